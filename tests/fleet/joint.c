/* An operator gives the whole cluster up and takes it on again (SENTINEL CLUSTER RELEASE, ADOPT), by one
 * supervisor after the other until it is done; and the supervisors' daemons around that. Nothing else is wrong
 * meanwhile but that a supervisor may die: without leases nothing would keep two masters of a shard apart. */
#include "noded/cluster/lease.h"
#include "noded/cluster/state.h"
#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "sentineld/core/reload.h"
#include "sentineld/core/state.h"

#define LOOKS MS(500)
#define PATIENCE SECONDS(12) /* longer than a supervisor waits for the others */

static bool has_fleet(const struct super *s)
{
    return s->watcher->core != NULL && s->watcher->core->nfleets > 0;
}

/* ---- a supervisor's daemon ---- */

/* The configuration file is read again: it names the cluster as ever. Behind that the others are told, or not. */
static void take_on(struct world *w, struct super *s, sn_token token, bool alone)
{
    struct watcher *d = s->watcher;
    struct sn_reload *r = mem_zalloc(sizeof *r);
    r->fleets = mem_zalloc(sizeof *r->fleets);
    r->nfleets = 1;
    struct sn_reload_fleet *f = r->fleets;
    f->name = mem_strdup(FLEET_NAME);
    watcher_settings(w, s, &f->settings);
    f->lease_ms = w->plan.lease_ms;
    f->seeds = mem_zalloc(2 * sizeof *f->seeds);
    f->nseeds = 2;
    for (int i = 0; i < 2; i++)
        addr_set(&f->seeds[i], slice_of(w->nodes[i % w->nnodes].ip), NODE_PORT);
    d->adoption = (struct adoption){.reload = ++d->last_token, .then = token, .alone = alone};
    struct sn_event e = {.kind = SN_EV_RELOAD, .token = d->adoption.reload, .reload = r};
    watcher_step(w, s, &e);
}

static void give_up(struct world *w, struct super *s, sn_token token, bool alone)
{
    struct sn_event e = {.kind = SN_EV_RELEASE, .token = token, .group = slice_of(FLEET_NAME), .alone = alone};
    watcher_step(w, s, &e);
}

void joint_asked(struct world *w, struct super *s, struct conn *c, const struct said *said, bool copy)
{
    if (copy)
        return;
    struct question *q = mem_zalloc(sizeof *q);
    *q = (struct question){.token = ++s->watcher->last_token, .conn = c, .command = said->fx.command};
    q->next = s->watcher->questions;
    s->watcher->questions = q;
    if (said->fx.command == SN_CMD_GIVE_UP)
        give_up(w, s, q->token, true);
    else
        take_on(w, s, q->token, true);
}

/* The answer to a peer. */
static bool tell_peer(struct world *w, struct super *s, const struct sn_effect *e)
{
    for (struct question **at = &s->watcher->questions; *at != NULL; at = &(*at)->next) {
        struct question *q = *at;
        if (q->token != e->token)
            continue;
        *at = q->next;
        if (q->conn->server_open) {
            struct reply *r = reply_new(q->command, e->answer == SN_ANSWER_OK);
            r->text = mem_strdup(e->text != NULL ? e->text : "OK");
            net_send(&w->net, q->conn, BACK, &r->l);
        }
        free(q);
        return true;
    }
    return false;
}

void joint_answers(struct world *w, struct super *s, const struct sn_effect *e)
{
    struct watcher *d = s->watcher;
    if (d->adoption.reload == e->token && e->answer == SN_ANSWER_OK) {
        struct sn_event next = {.kind = SN_EV_ADOPTED, .token = d->adoption.then, .group = slice_of(FLEET_NAME)};
        next.alone = d->adoption.alone;
        d->adoption.reload = 0;
        watcher_step(w, s, &next);
        return;
    }
    if (tell_peer(w, s, e) || s->index != w->joint.super || e->token != w->joint.token)
        return;
    RECORD(w, end_name(s->p.end), "answers the operator: %s", e->answer == SN_ANSWER_OK ? "OK" : e->text);
    w->joint.token = 0;
}

/* ---- the operator ---- */

static bool is_done(const struct world *w, bool adopt)
{
    for (int i = 0; i < SUPERS_MAX; i++)
        if (super_declared(w, &w->supers[i]) && (!w->supers[i].p.runs || has_fleet(&w->supers[i]) != adopt))
            return false;
    return true;
}

static void ask_one(struct world *w)
{
    struct joint *j = &w->joint;
    int begin = (int)rng_below(&w->rng, SUPERS_MAX);
    for (int i = 0; i < SUPERS_MAX; i++) {
        struct super *s = &w->supers[(begin + i) % SUPERS_MAX];
        if (!s->p.runs || has_fleet(s) == j->adopts)
            continue;
        RECORD(w, "operator", "asks %s to %s the cluster", end_name(s->p.end), j->adopts ? "adopt" : "release");
        j->super = s->index;
        j->token = ++s->watcher->last_token;
        j->until_us = w->time.now_us + PATIENCE;
        if (j->adopts)
            take_on(w, s, j->token, false);
        else
            give_up(w, s, j->token, false);
        return;
    }
}

static void turn(struct world *w, struct happening *h)
{
    struct joint *j = &w->joint;
    if (is_done(w, j->adopts))
        return;
    happen(&w->time, h, w->time.now_us + LOOKS, turn);
    if (j->dies && j->token != 0 && rng_below(&w->rng, 2) == 0) {
        struct super *s = &w->supers[rng_below(&w->rng, SUPERS_MAX)];
        j->dies = false;
        if (s->p.runs) {
            super_crash(w, s, false);
            j->token = s->index == j->super ? 0 : j->token;
            super_start(w, s);
        }
    }
    if (j->token == 0 || w->time.now_us > j->until_us)
        ask_one(w);
}

static void begin(struct world *w, bool adopts)
{
    struct joint *j = &w->joint;
    j->adopts = adopts;
    j->dies = rng_below(&w->rng, 3) == 0;
    j->token = 0;
    turn(w, &j->turn);
}

void joint_release(struct world *w)
{
    w->counts[COUNT_RELEASED]++;
    w->released = true;
    begin(w, false);
}

void joint_adopt(struct world *w)
{
    begin(w, true);
}

const char *not_released(struct world *w)
{
    static char why[100];
    if (!is_done(w, false))
        return "a supervisor has the cluster still";
    for (int i = 0; i < w->nnodes; i++)
        if (w->nodes[i].core != NULL && cl_lease_list(w->nodes[i].core).n > 0) {
            snprintf(why, sizeof why, "%s is supervised still", end_name(end_of_node(i)));
            return why;
        }
    return NULL;
}
