/* nodectl slots fix. */
#include "nodectl/slots/commands.h"

#include "nodectl/db/about.h"
#include "nodectl/slots/ask.h"
#include "nodectl/slots/close.h"
#include "nodectl/slots/findings.h"
#include "nodectl/slots/home.h"
#include "nodectl/slots/known.h"
#include "nodectl/slots/repair.h"
#include "nodectl/slots/session.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_RANGES 6
#define AGREE_MS 10000
#define SETTLE_MS 2000
#define KNOWN_MS 30000
#define AGAIN_MS 3000

struct fixing {
    struct session s;
    struct change c;
    struct survey survey;
    struct repairs repairs;
    struct slot_moves moves; /* those to be finished */
    struct mover how;
    size_t first_move;
    bool give_up;
};

/* ---- the plan ---- */

static const char *name_of(const struct picture *p, const char *id, char text[ADDR_TEXT_MAX])
{
    const struct picture_node *n = picture_by_id(p, id);
    return n != NULL ? addr_text(&n->addr, text) : id;
}

static void plan_meeting(struct fixing *f, const struct repair *r)
{
    const struct picture *p = &f->s.picture;
    char at[ADDR_TEXT_MAX];
    struct buf who = {0};
    known_lacking(p, picture_by_id(p, r->at), &who);
    change_step(&f->c, "have %s meet %s (%.8s), which they do not know or have lost", buf_str(&who),
                name_of(p, r->at, at), r->at);
    buf_free(&who);
}

static void add_step(struct fixing *f, const struct repair *r)
{
    const struct picture *p = &f->s.picture;
    char at[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
    struct buf slots = {0};
    slot_set_put(&slots, &r->slots, SHOWN_RANGES);
    if (r->kind == REPAIR_MEET)
        plan_meeting(f, r);
    else if (r->kind == REPAIR_FORGET)
        change_step(
            &f->c, "have all nodes forget %.8s, which was at %s: it does not answer, has no slots, and not all know it",
            r->at, r->addr.host[0] != '\0' ? addr_text(&r->addr, at) : "no address");
    else if (r->kind == REPAIR_GIVE_UP)
        change_step(&f->c, "have %s give up its handshake with %s, where nobody answers", name_of(p, r->to, to),
                    addr_text(&r->addr, at));
    else if (r->kind == REPAIR_CLOSE)
        change_step(&f->c, "take back open slots %s at %s: no key has gone to the other end", buf_str(&slots),
                    name_of(p, r->at, at));
    else if (r->kind == REPAIR_HOME)
        change_step(&f->c, "bring %lld keys in slots %s from %s to %s, their master", (long long)r->keys,
                    buf_str(&slots), name_of(p, r->at, at), name_of(p, r->to, to));
    else if (r->kind == REPAIR_CLAIM)
        change_step(&f->c, "have %s claim its slots in a higher config epoch: not all nodes know that it has %s",
                    name_of(p, r->at, at), buf_str(&slots));
    else if (r->kind == REPAIR_ASSIGN)
        change_step(&f->c, "give slots %s, which are nobody's, to %s, %s", buf_str(&slots), name_of(p, r->at, at),
                    r->keys > 0 ? "which alone has keys of them" : "since nobody has keys of them");
    else if (r->kind == REPAIR_ABANDON)
        change_step(&f->c, "give slots %s to %s WITHOUT their keys, which were at %s (%.8s)", buf_str(&slots),
                    name_of(p, r->at, at), name_of(p, r->to, to), r->to);
    buf_free(&slots);
}

/* What all know comes first, and slots that are taken back: a slot moves only where nobody else has it open. */
static bool is_before_moves(const struct repair *r)
{
    return r->kind <= REPAIR_CLOSE;
}

static bool plan(struct fixing *f)
{
    const struct repairs *r = &f->repairs;
    for (size_t i = 0; i < r->n; i++) {
        for (unsigned s = 0; r->v[i].kind == REPAIR_FINISH && s < SN_SLOTS; s++)
            if (slot_set_has(&r->v[i].slots, s))
                slot_moves_add(&f->moves, r->v[i].at, r->v[i].to, s);
        if (is_before_moves(&r->v[i]))
            add_step(f, &r->v[i]);
    }
    if (!mover_plan(&f->c, &f->s.picture, &f->moves, &f->how, &f->first_move))
        return false;
    for (size_t i = 0; i < r->n; i++)
        if (!is_before_moves(&r->v[i]))
            add_step(f, &r->v[i]);
    for (struct slice rest = buf_slice(&r->refused); rest.n > 0;) {
        struct slice line = slice_cut(&rest, '\n');
        change_warn(&f->c, "left to you: %.*s", (int)line.n, line.p);
    }
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].kind == REPAIR_ABANDON && (i == 0 || strcmp(r->v[i].to, r->v[i - 1].to) != 0))
            change_warn(&f->c,
                        "what %.8s alone has is lost for good, also when it comes back; `nodectl node remove` "
                        "takes it out of the cluster then",
                        r->v[i].to);
    return true;
}

/* ---- the deeds ---- */

/* A higher epoch makes the claim known to those who remember another owner. That it cannot be had is no failure: then
 * nobody claims otherwise, or the supervisors see to it. */
static bool assign_slots(struct fixing *f, const struct repair *r)
{
    struct picture_node *n = picture_by_id(&f->s.picture, r->at);
    struct buf line = {0}, why = {0};
    buf_puts(&line, "CLUSTER ADDSLOTS");
    for (unsigned s = slot_set_next(&r->slots, 0); s < SN_SLOTS; s = slot_set_next(&r->slots, s + 1))
        buf_printf(&line, " %u", s);
    fleet_forget(&f->s.picture.fleet);
    ask_words(n->member, "%s", buf_str(&line));
    fleet_run(&f->s.picture.fleet);
    bool ok = close_all_good(&f->c, n);
    if (ok)
        picture_askf(&f->s.picture, n, &why, "CLUSTER BUMPEPOCH");
    buf_free(&line);
    buf_free(&why);
    return ok;
}

/* Everybody who gives these slots to the lost one forgets that. */
static bool drop_claims(struct fixing *f, const struct repair *r)
{
    bool ok = true;
    struct picture *p = &f->s.picture;
    fleet_forget(&p->fleet);
    for (size_t i = 0; i < p->n; i++) {
        const struct sn_nodes_line *l = p->v[i].answers ? sn_nodes_find(&p->v[i].view, r->to) : NULL;
        struct buf line = {0};
        for (size_t k = 0; l != NULL && k < l->nranges; k++) {
            const struct sn_slot_range *range = &p->v[i].view.ranges[l->range + k];
            for (unsigned s = range->first; s <= range->last; s++)
                if (slot_set_has(&r->slots, s))
                    buf_printf(&line, " %u", s);
        }
        if (line.n > 0)
            ask_words(p->v[i].member, "CLUSTER DELSLOTS%s", buf_str(&line));
        buf_free(&line);
    }
    fleet_run(&p->fleet);
    for (size_t i = 0; i < p->n; i++)
        ok = ok && (!p->v[i].answers || close_all_good(&f->c, &p->v[i]));
    return ok;
}

/* Of one that has come back since the plan was made nothing is given up. */
static bool abandon(struct fixing *f, const struct repair *r)
{
    char text[ADDR_TEXT_MAX];
    struct buf why = {0};
    bool seen = picture_again(&f->s.picture, &why);
    const struct picture_node *n = seen ? picture_by_id(&f->s.picture, r->to) : NULL;
    if (!seen)
        change_failed(&f->c, "%s", buf_str(&why));
    else if (n != NULL && n->answers)
        change_failed(&f->c, "%s answers now: give this command again", addr_text(&n->addr, text));
    buf_free(&why);
    return f->c.failure.n == 0 && drop_claims(f, r) && assign_slots(f, r);
}

static bool claim_slots(struct fixing *f, const struct repair *r)
{
    struct buf why = {0};
    bool ok = picture_askf(&f->s.picture, picture_by_id(&f->s.picture, r->at), &why, "CLUSTER BUMPEPOCH") != NULL;
    if (!ok)
        change_failed(&f->c, "%s", buf_str(&why));
    buf_free(&why);
    return ok;
}

/* Asks those who are still concerned, looks again, and so on, until nobody is. Tells at most every AGAIN_MS, since what
 * was told takes effect in a moment. */
static bool until_none(struct fixing *f, const struct repair *r,
                       bool (*concerns)(const struct fixing *f, const struct repair *r, const struct picture_node *by),
                       const char *words)
{
    int64_t until_ms = fleet_now_ms() + KNOWN_MS, again_ms = 0;
    struct picture *p = &f->s.picture;
    struct buf why = {0};
    for (size_t left = 1; left > 0;) {
        int64_t now_ms = fleet_now_ms();
        bool seen = picture_again(p, &why);
        left = seen ? 0 : 1;
        for (size_t i = 0; seen && i < p->n; i++) {
            if (!concerns(f, r, &p->v[i]))
                continue;
            left++;
            if (now_ms >= again_ms) {
                buf_clear(&why);
                picture_askf(p, &p->v[i], &why, "%s", words);
            }
        }
        again_ms = now_ms >= again_ms ? now_ms + AGAIN_MS : again_ms;
        if (left > 0 && (now_ms > until_ms || !interrupt_sleep(100))) {
            change_failed(&f->c, "%zu nodes have not done it (%s): %s", left, words,
                          why.n > 0 ? buf_str(&why) : "they were told, and nothing has changed");
            break;
        }
    }
    buf_free(&why);
    return f->c.failure.n == 0;
}

static bool does_not_know(const struct fixing *f, const struct repair *r, const struct picture_node *by)
{
    const struct picture_node *n = picture_by_id(&f->s.picture, r->at);
    return n != NULL && !known_by(by, n);
}

static bool meet(struct fixing *f, const struct repair *r)
{
    struct buf words = {0};
    buf_printf(&words, "CLUSTER MEET %s %d", r->addr.host, r->addr.port);
    if (r->bus_port != 0)
        buf_printf(&words, " %u", r->bus_port);
    bool ok = until_none(f, r, does_not_know, buf_str(&words));
    buf_free(&words);
    return ok;
}

static bool lists(const struct fixing *f, const struct repair *r, const struct picture_node *by)
{
    (void)f;
    return by->answers && runid_cmp(by->id, r->at) != 0 && sn_nodes_find(&by->view, r->at) != NULL;
}

/* Of one that has come back since the plan was made nothing is forgotten. */
static bool forget(struct fixing *f, const struct repair *r)
{
    char words[32 + RUNID_LEN], text[ADDR_TEXT_MAX];
    struct buf why = {0};
    bool seen = picture_again(&f->s.picture, &why);
    const struct picture_node *n = seen ? picture_by_id(&f->s.picture, r->at) : NULL;
    if (!seen)
        change_failed(&f->c, "%s", buf_str(&why));
    else if (n != NULL && n->answers)
        change_failed(&f->c, "%s answers now: give this command again", addr_text(&n->addr, text));
    buf_free(&why);
    snprintf(words, sizeof words, "CLUSTER FORGET %s", r->at);
    return f->c.failure.n == 0 && until_none(f, r, lists, words);
}

static bool do_one(struct fixing *f, const struct repair *r)
{
    switch (r->kind) {
    case REPAIR_MEET: return meet(f, r);
    case REPAIR_FORGET:
    case REPAIR_GIVE_UP: return forget(f, r);
    case REPAIR_CLOSE: return close_slots(&f->c, &f->s.picture, r->at, &r->slots);
    case REPAIR_HOME: return home_bring(&f->c, &f->s.picture, r->at, r->to, &r->slots, &f->how);
    case REPAIR_ASSIGN: return assign_slots(f, r);
    case REPAIR_CLAIM: return claim_slots(f, r);
    case REPAIR_ABANDON: return abandon(f, r);
    case REPAIR_FINISH: return true; /* the mover's */
    }
    return true;
}

/* Looks until all nodes see what was done. */
static void wait_agreed(struct fixing *f)
{
    int64_t until_ms = fleet_now_ms() + AGREE_MS;
    struct buf why = {0};
    while (!(picture_again(&f->s.picture, &why) && findings_views_agree(&f->s.picture)))
        if (fleet_now_ms() > until_ms || !interrupt_sleep(100)) {
            change_failed(&f->c, "it is done, but not all nodes see it yet: give `nodectl slots check` in a moment");
            break;
        }
    buf_free(&why);
}

static bool do_all(struct fixing *f, bool before_moves, size_t step)
{
    for (size_t i = 0; i < f->repairs.n; i++) {
        const struct repair *r = &f->repairs.v[i];
        if (r->kind == REPAIR_FINISH || is_before_moves(r) != before_moves)
            continue;
        if (!change_now(&f->c, step) || !do_one(f, r))
            return false;
        change_did(&f->c, step++);
    }
    return true;
}

static void perform(struct fixing *f)
{
    if (do_all(f, true, 0) && (f->moves.n == 0 || mover_run(&f->c, &f->s.picture, &f->moves, &f->how, f->first_move)) &&
        do_all(f, false, f->first_move + f->moves.n))
        wait_agreed(f);
}

static json_t *document(const struct fixing *f)
{
    json_t *o = json_object();
    json_object_set_new(o, "left_to_you", output_lines(buf_slice(&f->repairs.refused)));
    return o;
}

/* There is nothing to agree to, but something to be read. */
static void print_left(const struct fixing *f)
{
    print_lines(asking_people(&f->s.asking), "left to you: ", buf_slice(&f->repairs.refused));
}

/* What nodes are just telling each other is nothing to mend. */
static void settle(struct fixing *f)
{
    int64_t until_ms = fleet_now_ms() + SETTLE_MS;
    struct buf why = {0};
    while (!findings_views_agree(&f->s.picture) && fleet_now_ms() < until_ms && interrupt_sleep(100))
        if (!picture_again(&f->s.picture, &why))
            break;
    buf_free(&why);
}

static bool agreed(struct fixing *f)
{
    char name[ADDR_TEXT_MAX];
    size_t i = 0;
    while (i < f->repairs.n && f->repairs.v[i].kind != REPAIR_ABANDON)
        i++;
    if (i == f->repairs.n)
        return change_agreed(&f->c, "Repair of slots", "Do it now?");
    return change_agreed_by_word(&f->c, "Repair of slots", "Keys are given up for good.",
                                 about_name(&f->s.asking, name));
}

/* --yes alone is soon said: whose keys are given up has to be named too. */
static int check_confirmed(struct fixing *f)
{
    char text[ADDR_TEXT_MAX];
    const struct command_call *call = f->s.call;
    const char *given = command_value(call, "--confirm"), *name = about_name(&f->s.asking, text);
    f->give_up = command_value(call, "--give-up-keys") != NULL;
    if (given != NULL && strcmp(given, name) != 0)
        return command_fail(call, EXIT_USAGE, "--confirm is '%s', but this is about %s", given, name);
    bool yes = command_value(call, "--yes") != NULL && command_value(call, "--dry-run") == NULL;
    if (yes && f->give_up && given == NULL)
        return command_fail(call, EXIT_USAGE, "--yes --give-up-keys needs --confirm %s: it cannot be undone", name);
    return EXIT_OK;
}

static int fix(struct fixing *f)
{
    struct buf why = {0};
    int code = change_begin(&f->c, f->s.call, &f->s.asking);
    if (code != EXIT_OK)
        return code;
    settle(f);
    if (!survey_take(&f->survey, &f->s.picture, &why)) {
        change_failed(&f->c, "%s", buf_str(&why));
    } else {
        repairs_find(&f->s.picture, &f->survey, f->give_up, &f->repairs);
        if (plan(f) && agreed(f))
            perform(f);
        else if (f->repairs.n == 0 && f->repairs.nrefused > 0)
            print_left(f);
        if (f->repairs.nrefused > 0 && !f->c.dry)
            change_failed(&f->c, "%zu findings need a decision of yours", f->repairs.nrefused);
    }
    buf_free(&why);
    return change_end(&f->c, document(f));
}

int slots_run_fix(const struct command_call *call)
{
    struct fixing f = {.moves = {0}};
    int code = session_read(&f.s, call);
    f.s.tells_strangers = true;
    if (code == EXIT_OK)
        code = mover_options(call, &f.how);
    if (code == EXIT_OK)
        code = check_confirmed(&f);
    if (code == EXIT_OK)
        code = session_look(&f.s);
    if (code == EXIT_OK)
        code = fix(&f);
    slot_moves_free(&f.moves);
    repairs_free(&f.repairs);
    survey_free(&f.survey);
    session_end(&f.s);
    return code;
}
