#include "nodectl/cluster/form.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/interrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 10 /* how often is looked whether something has come about */

enum { NODES, STATE, KEYSPACE, REPLICATION, QUESTIONS };

size_t form_slot(size_t shard, size_t shards)
{
    return shard * SN_SLOTS / shards;
}

void form_init(struct form *f, const struct asking *a, struct form_node *v, size_t n, size_t shards)
{
    *f = (struct form){.asking = a, .shards = shards, .v = v, .n = n};
    fleet_init(&f->fleet, a->timeout_ms);
    for (size_t i = 0; i < n; i++) {
        bool added;
        v[i].member = fleet_add(&f->fleet, &v[i].addr, true, &added);
        v[i].view = (struct sn_nodes){0};
    }
}

void form_free(struct form *f)
{
    for (size_t i = 0; i < f->n; i++)
        sn_nodes_free(&f->v[i].view);
    free(f->v);
    fleet_free(&f->fleet);
    *f = (struct form){0};
}

static const struct sn_nodes_line *self(const struct form_node *n)
{
    return &n->view.lines[n->view.self];
}

static const char *name(const struct form_node *n, char text[ADDR_TEXT_MAX])
{
    return addr_text(&n->addr, text);
}

static struct form_node *master_of(const struct form *f, size_t shard)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].master && f->v[i].shard == shard)
            return &f->v[i];
    return NULL;
}

/* ---- looking ---- */

/* "db0:keys=12,expires=0,..." */
static int64_t count_keys(struct slice text)
{
    int64_t all = 0, some;
    while (text.n > 0) {
        struct slice line = slice_cut_line(&text), head = slice_cut(&line, '=');
        if (head.n > 2 && memcmp(head.p, "db", 2) == 0 && text_i64(slice_cut(&line, ','), &some))
            all += some;
    }
    return all;
}

static bool has_line(struct slice text, const char *wanted)
{
    while (text.n > 0)
        if (slice_is(slice_cut_line(&text), wanted))
            return true;
    return false;
}

static struct slice text_of(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING ? (struct slice){r->str, r->len} : (struct slice){NULL, 0};
}

static void ask(struct form *f, struct form_node *n, int argc, const char *const *argv)
{
    if (n->member->fd < 0)
        asking_login_node(f->asking, n->member);
    fleet_ask(n->member, argc, argv);
}

/* Empty: it was understood; else why not. *waits: it may be different in a moment. */
static void read_answers(struct form_node *n, bool *waits, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    const struct fleet_member *m = n->member;
    struct sn_nodes view;
    if (m->error != NULL || m->nreplies < QUESTIONS) {
        buf_printf(why, "%s: %s\n", name(n, text), m->error != NULL ? m->error : "no answer");
        *waits = true;
        return;
    }
    redisReply *const *r = m->replies + (m->nreplies - QUESTIONS);
    for (size_t i = 0; i < m->nreplies; i++)
        if (m->replies[i]->type == REDIS_REPLY_ERROR) {
            buf_printf(why, "%s: %s\n", name(n, text), m->replies[i]->str);
            *waits = *waits || strncmp(m->replies[i]->str, "LOADING", 7) == 0;
            return;
        }
    if (!sn_nodes_parse(&view, text_of(r[NODES]))) {
        buf_printf(why, "%s: its CLUSTER NODES cannot be read\n", name(n, text));
        return;
    }
    sn_nodes_free(&n->view);
    n->view = view;
    n->state_ok = has_line(text_of(r[STATE]), "cluster_state:ok");
    n->keys = count_keys(text_of(r[KEYSPACE]));
    n->link_up = has_line(text_of(r[REPLICATION]), "master_link_status:up");
}

bool form_look(struct form *f, bool *waits, struct buf *why)
{
    static const char *const nodes[] = {"CLUSTER", "NODES"}, *const state[] = {"CLUSTER", "INFO"},
                             *const keyspace[] = {"INFO", "keyspace"}, *const replication[] = {"INFO", "replication"};
    size_t before = why->n;
    *waits = false;
    fleet_forget(&f->fleet);
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].member->error != NULL)
            fleet_retry(f->v[i].member);
        ask(f, &f->v[i], 2, nodes);
        fleet_ask(f->v[i].member, 2, state);
        fleet_ask(f->v[i].member, 2, keyspace);
        fleet_ask(f->v[i].member, 2, replication);
    }
    fleet_run(&f->fleet);
    for (size_t i = 0; i < f->n; i++)
        read_answers(&f->v[i], waits, why);
    return why->n == before;
}

/* ---- what there is ---- */

static bool is_ours(const struct form *f, const struct sn_nodes_line *line)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(self(&f->v[i])->id, line->id) == 0 || addr_eq(&f->v[i].addr, &line->addr))
            return true;
    return false;
}

static bool has_its_slots(const struct form *f, const struct form_node *n)
{
    const struct sn_nodes_line *me = self(n);
    const struct sn_slot_range *r = me->nranges == 1 ? &n->view.ranges[me->range] : NULL;
    return r != NULL && r->first == form_slot(n->shard, f->shards) &&
           (size_t)r->last + 1 == form_slot(n->shard + 1, f->shards);
}

static bool follows(const struct form *f, const struct form_node *n)
{
    return strcmp(self(n)->master, self(master_of(f, n->shard))->id) == 0;
}

static void judge(const struct form *f, const struct form_node *n, struct buf *why)
{
    const struct sn_nodes_line *me = self(n);
    char text[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];
    bool wanted = n->master ? has_its_slots(f, n) : follows(f, n);
    for (size_t i = 0; i < n->view.nlines; i++)
        if (!is_ours(f, &n->view.lines[i]) && (n->view.lines[i].flags & SN_NODES_HANDSHAKE) == 0) {
            buf_printf(why, "%s belongs to a cluster already: it knows node %s\n", name(n, text),
                       addr_text(&n->view.lines[i].addr, other));
            return;
        }
    if (wanted)
        return;
    if (me->nslots > 0)
        buf_printf(why, "%s has %u slots already\n", name(n, text), me->nslots);
    else if ((me->flags & SN_NODES_REPLICA) != 0)
        buf_printf(why, "%s is a replica of another node already\n", name(n, text));
    else if (n->keys > 0)
        buf_printf(why, "%s is not empty: it holds %lld keys\n", name(n, text), (long long)n->keys);
}

bool form_is_fit(const struct form *f, struct buf *why)
{
    size_t before = why->n;
    for (size_t i = 0; i < f->n; i++)
        judge(f, &f->v[i], why);
    return why->n == before;
}

/* Of the others it knows the ids too. */
static size_t known(const struct form_node *n)
{
    size_t count = 0;
    for (size_t i = 0; i < n->view.nlines; i++)
        count += (n->view.lines[i].flags & SN_NODES_HANDSHAKE) == 0;
    return count;
}

/* Who is master of what may have changed since, so that is not held against the plan. */
bool form_is_done(const struct form *f)
{
    size_t masters = 0;
    bool done = true;
    for (size_t i = 0; i < f->n; i++) {
        const struct form_node *n = &f->v[i];
        bool replica = (self(n)->flags & SN_NODES_REPLICA) != 0;
        masters += !replica && self(n)->nslots > 0;
        done = done && known(n) == f->n && n->state_ok && (replica ? n->link_up : self(n)->nslots > 0);
    }
    return done && masters == f->shards;
}

bool form_sees_whole(const struct form *f, size_t nodes)
{
    bool whole = true;
    for (size_t i = 0; i < f->n; i++) {
        const struct form_node *n = &f->v[i];
        whole = whole && known(n) >= nodes && n->state_ok;
        for (size_t k = 0; k < n->view.nlines; k++)
            whole = whole && ((n->view.lines[k].flags & SN_NODES_REPLICA) != 0 || n->view.lines[k].nslots > 0);
    }
    return whole;
}

/* ---- the parts ---- */

/* Sends what was asked; errors of any answer are told. */
static bool run(struct form *f, struct buf *why)
{
    size_t before = why->n;
    char text[ADDR_TEXT_MAX];
    fleet_run(&f->fleet);
    for (size_t i = 0; i < f->n; i++) {
        const struct fleet_member *m = f->v[i].member;
        if (m->error != NULL)
            buf_printf(why, "%s: %s\n", name(&f->v[i], text), m->error);
        for (size_t k = 0; k < m->nreplies; k++)
            if (m->replies[k]->type == REDIS_REPLY_ERROR)
                buf_printf(why, "%s: %s\n", name(&f->v[i], text), m->replies[k]->str);
    }
    fleet_forget(&f->fleet);
    return why->n == before;
}

/* A node that is alone is told an epoch of its own, so that no two claim the same; others settle it among themselves.
 */
static void ask_epoch(struct form *f, struct form_node *n, size_t number)
{
    char text[24];
    const char *epoch[] = {"CLUSTER", "SET-CONFIG-EPOCH", text};
    snprintf(text, sizeof text, "%zu", number);
    if (n->view.nlines == 1 && self(n)->epoch == 0)
        ask(f, n, 3, epoch);
}

bool form_give_slots(struct form *f, struct buf *why)
{
    char first[8], last[8];
    fleet_forget(&f->fleet);
    for (size_t i = 0; i < f->n; i++) {
        struct form_node *n = &f->v[i];
        const char *slots[] = {"CLUSTER", "ADDSLOTSRANGE", first, last};
        ask_epoch(f, n, n->master ? n->shard + 1 : f->shards + i + 1);
        snprintf(first, sizeof first, "%zu", form_slot(n->shard, f->shards));
        snprintf(last, sizeof last, "%zu", form_slot(n->shard + 1, f->shards) - 1);
        if (n->master && !has_its_slots(f, n))
            ask(f, n, 4, slots);
    }
    return run(f, why);
}

static void ask_meet(struct form *f, struct form_node *who, const struct form_node *whom)
{
    char port[8], bus[8];
    snprintf(port, sizeof port, "%d", whom->addr.port);
    snprintf(bus, sizeof bus, "%d", whom->bus_port);
    const char *meet[] = {"CLUSTER", "MEET", whom->addr.host, port, bus};
    ask(f, who, 5, meet);
}

static bool knows(const struct form_node *who, const struct form_node *whom)
{
    return sn_nodes_find(&who->view, self(whom)->id) != NULL;
}

/* Everybody meets the next one, the second next, the fourth next and so on: so nobody is more than some steps of gossip
 * away from anybody, and nobody has more to do than the others. */
static void meet_all(struct form *f)
{
    for (size_t i = 0; i < f->n; i++)
        for (size_t step = 1; step < f->n; step *= 2) {
            size_t other = (i + step) % f->n, back = f->n - step;
            /* Where both would meet each other, one does: two handshakes between two nodes end each other. */
            bool twice = (back & (back - 1)) == 0 && other < i;
            if (!twice && !knows(&f->v[i], &f->v[other]))
                ask_meet(f, &f->v[i], &f->v[other]);
        }
}

static size_t strangers(const struct form *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += known(&f->v[i]) < f->n;
    return n;
}

/* Looks until `open` finds nothing more that is open. */
static bool wait_for(struct form *f, size_t (*open)(struct form *f, struct buf *why), int limit_ms, const char *what,
                     struct buf *why)
{
    int64_t deadline = fleet_now_ms() + limit_ms;
    bool waits;
    for (;;) {
        struct buf reasons = {0};
        size_t left = form_look(f, &waits, &reasons) ? open(f, &reasons) : f->n;
        if (left == 0) {
            buf_free(&reasons);
            return true;
        }
        if (fleet_now_ms() >= deadline || !interrupt_sleep(LOOK_MS)) {
            if (interrupted())
                buf_puts(why, "interrupted");
            else
                buf_printf(why, "%zu of %zu nodes %s after %d ms%s%s", left, f->n, what, limit_ms,
                           reasons.n > 0 ? ": " : "", reasons.n > 0 ? buf_str(&reasons) : "");
            buf_free(&reasons);
            return false;
        }
        buf_free(&reasons);
    }
}

static size_t open_meetings(struct form *f, struct buf *why)
{
    (void)why;
    return strangers(f);
}

bool form_meet(struct form *f, int limit_ms, struct buf *why)
{
    bool waits;
    if (!form_look(f, &waits, why))
        return false;
    fleet_forget(&f->fleet);
    meet_all(f);
    return run(f, why) && wait_for(f, open_meetings, limit_ms, "do not know all others yet", why);
}

/* A node that has just been met may not follow the other yet, so whoever does not is told again each time. */
static size_t open_replicas(struct form *f, struct buf *why)
{
    size_t left = 0, asked = 0;
    fleet_forget(&f->fleet);
    for (size_t i = 0; i < f->n; i++) {
        struct form_node *n = &f->v[i];
        const char *replicate[] = {"CLUSTER", "REPLICATE", self(master_of(f, n->shard))->id};
        bool sent = n->master || follows(f, n);
        left += !sent || !n->state_ok || (!n->master && !n->link_up);
        asked += !sent;
        if (!sent)
            ask(f, n, 3, replicate);
    }
    if (asked > 0)
        (void)run(f, why);
    return left;
}

bool form_replicate(struct form *f, int limit_ms, struct buf *why)
{
    return wait_for(f, open_replicas, limit_ms, "do not follow their masters, or do not call the cluster ok", why);
}
