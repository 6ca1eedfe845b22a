/* What supervisors and nodes have in common: a process with a clock, which may be stopped, at an end of the network. */
#include "tests/fleet/watcher.h"

#include <stdlib.h>

#define STEPS_AT_ONCE_MAX 20000

int end_of_node(int i)
{
    return SUPERS_MAX + i;
}

bool end_is_super(int end)
{
    return end < SUPERS_MAX;
}

struct process *process_of(struct world *w, int end)
{
    return end_is_super(end) ? &w->supers[end].p : &w->nodes[end - SUPERS_MAX].p;
}

void process_init(struct world *w, struct process *p, int end)
{
    p->end = end;
    p->clock.local_us = SECONDS(rng_range(&w->rng, 1, 1000000));
    if (w->plan.drifts)
        p->clock.rate_ppm = rng_range(&w->rng, -4500, 4500);
}

int64_t process_clock(const struct world *w, const struct process *p)
{
    return clock_local(&p->clock, w->time.now_us);
}

bool process_works(const struct process *p)
{
    return p->runs && !p->stopped;
}

void process_stop(struct world *w, struct process *p)
{
    if (!process_works(p))
        return;
    RECORD(w, end_name(p->end), "is stopped");
    p->stopped = true;
}

void process_continue(struct world *w, struct process *p)
{
    if (!p->stopped)
        return;
    RECORD(w, end_name(p->end), "goes on");
    p->stopped = false;
    /* The order in which an event loop looks at what has gathered is not known. */
    bool clients_first = rng_below(&w->rng, 2) == 0;
    if (!end_is_super(p->end) && clients_first)
        client_woken(w, &w->nodes[p->end - SUPERS_MAX]);
    inbox_deliver(w, &p->inbox);
    if (!end_is_super(p->end) && !clients_first)
        client_woken(w, &w->nodes[p->end - SUPERS_MAX]);
}

void process_drift(struct world *w, struct process *p, int64_t rate_ppm)
{
    RECORD(w, end_name(p->end), "its clock runs %+lld ppm off", (long long)rate_ppm);
    clock_drift(&p->clock, w->time.now_us, rate_ppm);
    if (!process_works(p))
        return;
    if (end_is_super(p->end))
        super_timer(w, &w->supers[p->end]);
    else
        node_timer(w, &w->nodes[p->end - SUPERS_MAX]);
}

bool process_spins(struct world *w, struct process *p)
{
    p->steps_at_once = p->last_step_us == w->time.now_us ? p->steps_at_once + 1 : 0;
    p->last_step_us = w->time.now_us;
    if (p->steps_at_once > STEPS_AT_ONCE_MAX)
        violated(w, "end", "%s does one step after the other and time stands still", end_name(p->end));
    return w->violation != NULL;
}

void letter_init(struct letter *l, bool may_double, void (*free_it)(struct letter *))
{
    *l = (struct letter){.refs = 1, .may_double = may_double, .free = free_it};
}

void letter_free_plain(struct letter *l)
{
    free(l);
}

/* ---- what the network asks ---- */

static bool runs(struct world *w, int end)
{
    return process_of(w, end)->runs;
}

static bool off(struct world *w, int end)
{
    return process_of(w, end)->host_down;
}

static struct inbox *inbox(struct world *w, int end)
{
    struct process *p = process_of(w, end);
    return p->stopped ? &p->inbox : NULL;
}

static void accepted(struct world *w, struct conn *c)
{
    if (end_is_super(c->server))
        c->theirs = 1; /* it answers where it is asked, and asks nothing there */
    else
        node_accepted(w, c);
}

static void up(struct world *w, struct conn *c)
{
    if (!end_is_super(c->client))
        node_link(w, &w->nodes[c->client - SUPERS_MAX], c, true, CL_EV_LINK_UP);
    else if (w->supers[c->client].watcher != NULL)
        watcher_up(w, &w->supers[c->client], c);
    else
        super_up(w, &w->supers[c->client], c);
}

static void down(struct world *w, struct conn *c, bool at_client, enum net_down why)
{
    int end = at_client ? c->client : c->server;
    if (end_is_super(end)) {
        if (at_client && w->supers[end].watcher != NULL)
            watcher_down(w, &w->supers[end], c, why);
        else if (at_client)
            super_down(w, &w->supers[end], c);
        return;
    }
    if (c->kind == CONN_BUS)
        node_link(w, &w->nodes[end - SUPERS_MAX], c, at_client, CL_EV_LINK_DOWN);
    else
        ask_conn_closed(&w->nodes[end - SUPERS_MAX], c);
}

static void core_got(struct world *w, struct conn *c, bool at_client, struct letter *l, bool copy)
{
    if (at_client)
        watcher_heard(w, &w->supers[c->client], c, (struct reply *)l);
    else if (end_is_super(c->server))
        watcher_asked(w, &w->supers[c->server], c, (struct said *)l, copy);
    else
        serve(w, &w->nodes[c->server - SUPERS_MAX], c, (const struct said *)l, copy);
}

static void got(struct world *w, struct conn *c, bool at_client, struct letter *l, bool copy)
{
    int end = at_client ? c->client : c->server;
    if (c->kind == CONN_BUS)
        node_bus(w, &w->nodes[end - SUPERS_MAX], c, at_client, (const struct bus_letter *)l);
    else if (w->supers[c->client].watcher != NULL)
        core_got(w, c, at_client, l, copy);
    else if (c->kind == CONN_NODE && !at_client)
        ask_arrived(w, &w->nodes[end - SUPERS_MAX], c, (const struct ask *)l, copy);
    else if (c->kind == CONN_NODE)
        super_told(w, &w->supers[end], c, (const struct told *)l);
    else if (!at_client)
        super_vote_asked(w, &w->supers[end], c, (const struct vote_ask *)l, copy);
    else
        super_voted(w, &w->supers[end], (const struct voted *)l);
}

const struct net_world net_calls = {
    .runs = runs, .off = off, .inbox = inbox, .accepted = accepted, .up = up, .down = down, .got = got};
