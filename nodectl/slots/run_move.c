/* nodectl slots move. */
#include "nodectl/slots/commands.h"

#include "common/base/text.h"
#include "nodectl/slots/move.h"
#include "nodectl/slots/plan.h"
#include "nodectl/slots/session.h"

#include <string.h>

struct wish {
    struct slot_set slots;
    bool given; /* --slots; else count of them */
    unsigned count;
};

static int read_wish(const struct command_call *call, struct wish *w)
{
    const char *slots = command_value(call, "--slots"), *count = command_value(call, "--count");
    struct buf why = {0};
    int64_t n;
    int code = EXIT_OK;
    *w = (struct wish){.given = slots != NULL};
    if ((slots != NULL) == (count != NULL))
        return command_fail(call, EXIT_USAGE, "give either --slots, as 0-100,200, or --count, as 500");
    if (command_value(call, "--to") == NULL || (command_value(call, "--from") == NULL && slots == NULL))
        return command_fail(call, EXIT_USAGE, "give --to NODE, and with --count --from NODE too");
    if (slots != NULL && !slot_set_parse(&w->slots, slots, &why))
        code = command_fail(call, EXIT_USAGE, "--slots: %s", buf_str(&why));
    if (count != NULL && !text_range(slice_of(count), 1, SN_SLOTS, &n))
        code = command_fail(call, EXIT_USAGE, "--count is '%s', but must be a number from 1 to 16384", count);
    else if (count != NULL)
        w->count = (unsigned)n;
    buf_free(&why);
    return code;
}

/* Those of the set that the master has. */
static struct slot_set slots_of(const struct picture *p, const struct picture_node *master)
{
    struct slot_set s = {{0}};
    for (unsigned slot = 0; slot < SN_SLOTS; slot++)
        if (picture_is_mine(p, slot, master))
            slot_set_add(&s, slot);
    return s;
}

/* Named slots: those that the target has are where they should be. */
static void moves_of_slots(struct change *c, struct session *s, const struct wish *w, const struct picture_node *from,
                           const struct picture_node *to, struct slot_moves *out)
{
    struct picture *p = &s->picture;
    char text[ADDR_TEXT_MAX];
    for (unsigned slot = slot_set_next(&w->slots, 0); slot < SN_SLOTS; slot = slot_set_next(&w->slots, slot + 1)) {
        const struct picture_node *owner = p->owner[slot] >= 0 ? &p->v[p->owner[slot]] : NULL;
        if (owner == NULL)
            change_failed(c, "slot %u is nobody's: `nodectl slots fix` gives it to a master", slot);
        else if (owner == to)
            continue;
        else if (from != NULL && owner != from)
            change_failed(c, "slot %u is not of %s, but of %s", slot, command_value(s->call, "--from"),
                          addr_text(&owner->addr, text));
        else
            slot_moves_add(out, owner->id, to->id, slot);
        if (c->failure.n > 0)
            return;
    }
}

/* Slots that are half way between the two, after a crash, come first: the same command goes on with them. */
static void moves_of_count(struct change *c, const struct session *s, unsigned count, const struct picture_node *from,
                           const struct picture_node *to, struct slot_moves *out)
{
    struct slot_set all = slots_of(&s->picture, from), picked;
    for (size_t i = 0; i < from->nopen && count > 0; i++) {
        const struct picture_open *o = &from->open[i];
        if (o->importing || runid_cmp(o->other, to->id) != 0 || !slot_set_has(&all, o->slot))
            continue;
        slot_moves_add(out, from->id, to->id, o->slot);
        slot_set_drop(&all, o->slot);
        count--;
    }
    if (!plan_pick(&all, count, &picked)) {
        change_failed(c, "%s has %u slots, and %u are wanted", command_value(s->call, "--from"),
                      slot_set_count(&all) + slot_moves_count(out), count + slot_moves_count(out));
        return;
    }
    for (unsigned slot = slot_set_next(&picked, 0); slot < SN_SLOTS; slot = slot_set_next(&picked, slot + 1))
        slot_moves_add(out, from->id, to->id, slot);
}

static void find_moves(struct change *c, struct session *s, const struct wish *w, struct slot_moves *out)
{
    const char *from_text = command_value(s->call, "--from");
    struct buf why = {0};
    const struct picture_node *to = session_master(s, command_value(s->call, "--to"), &why), *from = NULL;
    if (to != NULL && from_text != NULL)
        from = session_master(s, from_text, &why);
    if (to == NULL || (from_text != NULL && from == NULL))
        change_failed(c, "%s", buf_str(&why));
    else if (from == to)
        change_failed(c, "source and target are the same master");
    else if (w->given)
        moves_of_slots(c, s, w, from, to, out);
    else if (from != NULL) /* --count goes with --from */
        moves_of_count(c, s, w->count, from, to, out);
    buf_free(&why);
}

json_t *slots_moves_document(const struct slot_moves *m)
{
    json_t *o = json_object(), *list = json_array();
    for (size_t i = 0; i < m->n; i++) {
        struct buf ranges = {0};
        slot_set_put(&ranges, &m->v[i].slots, 0);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "from", m->v[i].from, "to", m->v[i].to, "slots",
                                              buf_str(&ranges), "count", (json_int_t)slot_set_count(&m->v[i].slots)));
        buf_free(&ranges);
    }
    json_object_set_new(o, "moves", list);
    return o;
}

int slots_carry_out(struct change *c, struct picture *p, const struct slot_moves *m, const struct mover *how,
                    const char *title)
{
    size_t first;
    if (c->failure.n == 0 && mover_plan(c, p, m, how, &first) && change_agreed(c, title, "Move them now?"))
        mover_run(c, p, m, how, first);
    return change_end(c, slots_moves_document(m));
}

int slots_run_move(const struct command_call *call)
{
    struct wish w;
    struct mover how;
    struct session s;
    struct change c;
    struct slot_moves moves = {0};
    int code = session_read(&s, call);
    if (code == EXIT_OK)
        code = read_wish(call, &w);
    if (code == EXIT_OK)
        code = mover_options(call, &how);
    if (code == EXIT_OK)
        code = session_look(&s);
    if (code == EXIT_OK)
        code = change_begin(&c, call, &s.asking);
    if (code == EXIT_OK) {
        find_moves(&c, &s, &w, &moves);
        code = slots_carry_out(&c, &s.picture, &moves, &how, "Move of slots");
    }
    slot_moves_free(&moves);
    session_end(&s);
    return code;
}
