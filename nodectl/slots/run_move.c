/* nodectl slots move. */
#include "nodectl/slots/commands.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/slots/close.h"
#include "nodectl/slots/move.h"
#include "nodectl/slots/plan.h"
#include "nodectl/slots/session.h"

#include <stdlib.h>
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
    if (command_value(call, "--to") == NULL)
        return command_fail(call, EXIT_USAGE, "give --to NODE");
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

/* --from: masters, or all but the target, which are those that have slots. Without it all may be meant. */
struct givers {
    struct picture_node **v; /* owned */
    size_t n;
    bool named;
};

static bool has_giver(const struct givers *g, const struct picture_node *n)
{
    size_t i = 0;
    while (i < g->n && g->v[i] != n)
        i++;
    return i < g->n;
}

static void add_giver(struct givers *g, struct picture_node *n)
{
    if (has_giver(g, n))
        return;
    g->v = mem_array(g->v, g->n + 1, sizeof *g->v);
    g->v[g->n++] = n;
}

static bool read_givers(struct session *s, const struct picture_node *to, struct givers *g, struct buf *why)
{
    const char *text = command_value(s->call, "--from");
    struct slice rest = slice_of(text != NULL ? text : "all");
    g->named = text != NULL && strcmp(text, "all") != 0;
    for (size_t i = 0; !g->named && i < s->picture.n; i++)
        if (s->picture.v[i].master && s->picture.v[i].nslots > 0 && &s->picture.v[i] != to)
            add_giver(g, &s->picture.v[i]);
    while (g->named && rest.p != NULL) {
        char *word = slice_dup(slice_trim(slice_cut(&rest, ',')));
        struct picture_node *n = session_master(s, word, why);
        free(word);
        if (n == NULL)
            return false;
        if (n == to) {
            buf_puts(why, "source and target are the same master");
            return false;
        }
        add_giver(g, n);
    }
    return true;
}

/* Named slots: those that the target has are where they should be. */
static void moves_of_slots(struct change *c, struct session *s, const struct wish *w, const struct givers *from,
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
        else if (from->named && !has_giver(from, owner))
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
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < from->nopen && count > 0; i++) {
        const struct picture_open *o = &from->open[i];
        if (o->importing || runid_cmp(o->other, to->id) != 0 || !slot_set_has(&all, o->slot))
            continue;
        slot_moves_add(out, from->id, to->id, o->slot);
        slot_set_drop(&all, o->slot);
        count--;
    }
    if (!plan_pick(&all, count, &picked)) {
        change_failed(c, "%s has fewer slots than are wanted", addr_text(&from->addr, text));
        return;
    }
    for (unsigned slot = slot_set_next(&picked, 0); slot < SN_SLOTS; slot = slot_set_next(&picked, slot + 1))
        slot_moves_add(out, from->id, to->id, slot);
}

/* Each gives in proportion to what it has. */
static void moves_of_shares(struct change *c, const struct session *s, unsigned count, const struct givers *from,
                            const struct picture_node *to, struct slot_moves *out)
{
    unsigned *has = mem_zalloc((from->n + 1) * sizeof *has), *gives = mem_zalloc((from->n + 1) * sizeof *gives);
    unsigned all = 0;
    for (size_t i = 0; i < from->n; i++) {
        struct slot_set own = slots_of(&s->picture, from->v[i]);
        has[i] = slot_set_count(&own);
        all += has[i];
    }
    if (!plan_shares(has, from->n, count, gives))
        change_failed(c, "%s has %u slots, and %u are wanted",
                      from->named ? command_value(s->call, "--from") : "all others together", all, count);
    for (size_t i = 0; c->failure.n == 0 && i < from->n; i++)
        if (gives[i] > 0)
            moves_of_count(c, s, gives[i], from->v[i], to, out);
    free(has);
    free(gives);
}

static void find_moves(struct change *c, struct session *s, const struct wish *w, runid target, struct slot_moves *out)
{
    struct buf why = {0};
    struct givers from = {.v = NULL};
    const struct picture_node *to = session_master(s, command_value(s->call, "--to"), &why);
    if (to != NULL)
        memcpy(target, to->id, sizeof(runid));
    if (to == NULL || !read_givers(s, to, &from, &why))
        change_failed(c, "%s", buf_str(&why));
    else if (w->given)
        moves_of_slots(c, s, w, &from, to, out);
    else
        moves_of_shares(c, s, w->count, &from, to, out);
    free(from.v);
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
                    const char *to, const char *title)
{
    size_t first;
    struct slot_moves left = {0};
    if (c->failure.n == 0 && close_left_plan(c, p, to, &left) && mover_plan(c, p, m, how, &first) &&
        change_agreed(c, title, m->n > 0 ? "Move them now?" : "Close them now?") && close_left_do(c, p, &left, 0) &&
        m->n > 0)
        mover_run(c, p, m, how, first);
    slot_moves_free(&left);
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
        runid target = "";
        find_moves(&c, &s, &w, target, &moves);
        code = slots_carry_out(&c, &s.picture, &moves, &how, target, "Move of slots");
    }
    slot_moves_free(&moves);
    session_end(&s);
    return code;
}
