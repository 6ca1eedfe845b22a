#include "nodectl/slots/home.h"

#include "nodectl/slots/ask.h"
#include "nodectl/slots/pair.h"

#include <string.h>

#define PATIENCE_MS 15000
#define AGAIN_MS 500

/* A node takes MIGRATE of a slot that is not its own only while it imports the slot. */
static bool open_here(struct pair *l, const char *state, const char *node, struct buf *why)
{
    struct picture_node *from = pair_from(l);
    bool ok = from != NULL;
    fleet_forget(&l->p->fleet);
    for (size_t i = 0; ok && i < l->nwindow; i++)
        ask_words(from->member, "CLUSTER SETSLOT %u %s %s", l->window[i], state, node);
    fleet_run(&l->p->fleet);
    for (size_t i = 0; ok && i < l->nwindow; i++)
        ok = ask_good(from->member, i, why) != NULL;
    return ok;
}

static bool bring_window(struct pair *l, struct buf *why)
{
    struct pair opened = *l; /* the window loses slots that are stuck */
    unsigned budget = SN_SLOTS;
    struct buf ignored = {0};
    if (!open_here(l, "IMPORTING", l->to, why))
        return false;
    l->phase = PAIR_READS;
    while (l->phase == PAIR_READS || l->phase == PAIR_SENDS || l->phase == PAIR_COMPARES || l->phase == PAIR_DROPS ||
           l->phase == PAIR_WAITS) {
        if (l->phase == PAIR_WAITS) { /* it may be over in a second: not all know the owner yet, say */
            l->phase = interrupt_sleep(AGAIN_MS) ? PAIR_READS : PAIR_FAILED;
            continue;
        }
        fleet_forget(&l->p->fleet);
        pair_ask(l);
        fleet_run(&l->p->fleet);
        pair_take(l, false, &budget);
    }
    bool ok = l->phase == PAIR_CLAIMS || l->phase == PAIR_LOOKS; /* none is left, but for what is stuck */
    if (!ok)
        buf_puts(why, l->why.n > 0 ? buf_str(&l->why) : "one of the two does not answer any more");
    ok = open_here(&opened, "STABLE", "", ok ? why : &ignored) && ok;
    buf_free(&ignored);
    return ok;
}

bool home_bring(struct change *c, struct picture *p, const char *at, const char *to, const struct slot_set *slots,
                const struct mover *how)
{
    struct slot_set left = *slots;
    struct buf why = {0};
    bool ok = true;
    int timeout_ms = p->fleet.timeout_ms;
    struct pair l = {.p = p, .how = how};
    memcpy(l.from, at, sizeof(runid));
    memcpy(l.to, to, sizeof(runid));
    p->fleet.timeout_ms = timeout_ms > PATIENCE_MS ? timeout_ms : PATIENCE_MS;
    while (ok && slot_set_count(&left) > 0) {
        pieces_begin(&l, &left, false);
        unsigned window[PAIR_WINDOW];
        size_t n = l.nwindow;
        memcpy(window, l.window, sizeof window);
        ok = !interrupted() && bring_window(&l, &why);
        for (size_t i = 0; i < n; i++)
            slot_set_drop(&left, window[i]);
    }
    if (l.stuck_why.n > 0)
        change_failed(c, "%s", buf_str(&l.stuck_why));
    else if (!ok)
        change_failed(c, "%s", why.n > 0 ? buf_str(&why) : "interrupted");
    p->fleet.timeout_ms = timeout_ms;
    ok = ok && l.stuck_why.n == 0;
    pair_free(&l);
    buf_free(&why);
    return ok;
}
