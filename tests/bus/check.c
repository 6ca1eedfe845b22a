/* What must hold at every moment, whatever fails: rules B1 to B3 of DESIGN section 5, and what the reference says of
 * disks, minorities and marks of failure. Looked at from outside: by the messages that leave, the effects, and what a
 * node believes after each step. */
#include "tests/bus/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define REPORTS_MAX 24 /* nodes up to which reports of failure are followed */
#define MARGIN MS(600) /* lateness, drift and the way of the messages */
#define PAGE_REPORTS ((size_t)IDS_MAX * IDS_MAX)

struct checks {
    struct cl_id ids[IDS_MAX]; /* all that ever were, numbered */
    int owner[IDS_MAX];        /* node */
    int nids;
    struct map by_id;
    struct map votes;   /* voter and epoch: to whom */
    struct map winners; /* epoch: who */
    int64_t (*heard_us)[MAX_NODES];
    int64_t *reports[REPORTS_MAX]; /* of a node: [by][about], when it heard it last */
};

static struct slice bytes_of(const void *p, size_t n)
{
    return (struct slice){p, n};
}

void check_init(struct world *w)
{
    struct checks *c = w->checks = mem_zalloc(sizeof *w->checks);
    map_init(&c->by_id, w->plan.seed, 1);
    map_init(&c->votes, w->plan.seed, 2);
    map_init(&c->winners, w->plan.seed, 3);
    c->heard_us = mem_zalloc(MAX_NODES * sizeof *c->heard_us);
    for (int i = 0; w->plan.nodes <= REPORTS_MAX && i < w->plan.nodes; i++)
        c->reports[i] = mem_zalloc(PAGE_REPORTS * sizeof(int64_t));
}

static void free_values(struct map *m)
{
    void *v;
    for (size_t it = 0; (v = map_next(m, &it, NULL)) != NULL;)
        free(v);
    map_free(m);
}

void check_free(struct world *w)
{
    struct checks *c = w->checks;
    free_values(&c->by_id);
    free_values(&c->votes);
    free_values(&c->winners);
    for (int i = 0; i < REPORTS_MAX; i++)
        free(c->reports[i]);
    free(c->heard_us);
    free(c);
}

int check_id(struct world *w, const struct cl_id *id)
{
    const int *at = map_get(&w->checks->by_id, bytes_of(id->b, sizeof id->b));
    return at != NULL ? *at : -1;
}

struct node *node_of_id(struct world *w, const struct cl_id *id)
{
    int at = check_id(w, id);
    struct node *n = at >= 0 ? &w->nodes[w->checks->owner[at]] : NULL;
    return n != NULL && cl_id_eq(&n->id, id) ? n : NULL;
}

static void register_id(struct world *w, struct node *n)
{
    struct checks *c = w->checks;
    n->id = cl_my_id(n->core);
    if (check_id(w, &n->id) >= 0)
        return;
    if (c->nids == IDS_MAX) {
        violated(w, "ids", "more than %d ids in one world", IDS_MAX);
        return;
    }
    int *at = mem_alloc(sizeof *at);
    *at = c->nids++;
    c->ids[*at] = n->id;
    c->owner[*at] = n->index;
    map_put(&c->by_id, bytes_of(n->id.b, sizeof n->id.b), at);
}

/* ---- beliefs about slots ---- */

static struct belief belief_of(const struct node *n, int slot)
{
    const struct cl_node *owner = cl_owner(n->core, slot);
    const struct cl_open_record *r = owner == n->core->me ? cl_record_of_slot(n->core, slot) : NULL;
    if (owner == NULL)
        return (struct belief){.epoch = 0};
    /* What it is taking it does not claim yet. */
    bool taking = r != NULL && r->r.taking && r->r.epoch > owner->config_epoch;
    return (struct belief){.owner = owner->id, .epoch = taking ? r->r.epoch : owner->config_epoch};
}

static void take_beliefs(struct world *w, struct node *n)
{
    for (int i = 0; i < WATCHED; i++)
        n->believes[i] = belief_of(n, w->migrations.ledger.watched[i]);
}

void check_before(struct world *w, struct node *n)
{
    if (n->core->me->master != NULL)
        n->followed = n->core->me->master->id;
    for (int i = 0; i < WATCHED; i++) {
        int slot = w->migrations.ledger.watched[i];
        const struct cl_open_record *r = n->core->shard.nrecords > 0 ? cl_record_of_slot(n->core, slot) : NULL;
        n->believes[i].unclaimed = (n->core->some_unclaimed && cl_bit(n->core->unclaimed, slot)) ||
                                   r != NULL; /* whatever epoch its owner has reached meanwhile */
    }
}

/* B3: a slot goes to whoever claims it with a higher config epoch than its owner was known to have. */
static void compare_beliefs(struct world *w, struct node *n)
{
    for (int i = 0; i < WATCHED; i++) {
        struct belief now = belief_of(n, w->migrations.ledger.watched[i]);
        const struct belief *was = &n->believes[i];
        if (!cl_id_is_none(&now.owner) && !cl_id_is_none(&was->owner) && !cl_id_eq(&now.owner, &was->owner) &&
            now.epoch <= was->epoch && !was->unclaimed && cl_node_find(n->core, &was->owner) != NULL)
            violated(w, "B3", "%s gives slot %d of %s (epoch %llu) to %s (epoch %llu)", node_name(n->index),
                     w->migrations.ledger.watched[i], id_name(w, &was->owner), (unsigned long long)was->epoch,
                     id_name(w, &now.owner), (unsigned long long)now.epoch);
        if (!cl_id_eq(&now.owner, &was->owner))
            RECORD(w, node_name(n->index), "holds slot %d for %s's, at %llu", w->migrations.ledger.watched[i],
                   id_name(w, &now.owner), (unsigned long long)now.epoch);
        n->believes[i] = now;
    }
}

/* ---- marks of failure ---- */

/* One whose place it has taken keeps slots that are being handed over. */
static int majority_without(const struct node *n, const struct cl_id *replaced)
{
    struct cl_node *o;
    int size = 0;
    for (size_t it = 0; (o = cl_each(n->core, &it)) != NULL;)
        size += cl_votes_here(o) && !(replaced != NULL && cl_id_eq(&o->id, replaced));
    return size / 2 + 1;
}

static int majority(const struct node *n)
{
    return majority_without(n, NULL);
}

static void note_failed(struct world *w, struct node *n)
{
    struct cl_node *o;
    memset(n->failed, 0, sizeof n->failed);
    for (size_t it = 0; (o = cl_each(n->core, &it)) != NULL;) {
        int at = cl_has(o, CL_FAILED) ? check_id(w, &o->id) : -1;
        if (at >= 0)
            n->failed[at] = true;
    }
}

static void failed_by_itself(struct world *w, struct node *n, const struct cl_node *about, int about_id)
{
    const int64_t *reports = w->plan.nodes <= REPORTS_MAX ? w->checks->reports[n->index] : NULL;
    int64_t oldest = w->time.now_us - 2 * MS(n->set.node_timeout_ms) * 102 / 100 - MARGIN;
    int got = cl_is_master(n->core), needed = majority(n);
    for (int by = 0; reports != NULL && by < w->checks->nids; by++) {
        const struct cl_node *reporter = cl_node_find(n->core, &w->checks->ids[by]);
        int64_t at = reports[by * IDS_MAX + about_id];
        /* One that is not known any more may have been forgotten by the same message. */
        bool counts = reporter == NULL || (reporter != n->core->me && cl_votes_here(reporter));
        got += at > 0 && at >= oldest && counts;
    }
    if (reports != NULL && got < needed)
        violated(w, "FAIL", "%s holds %s for failed on the word of %d masters; %d are needed", node_name(n->index),
                 id_name(w, &about->id), got, needed);
}

static void compare_failed(struct world *w, struct node *n, const struct cl_event *e)
{
    const char *why;
    struct cl_message m;
    bool told = e->kind == CL_EV_MESSAGE && cl_wire_read(e->bytes.p, e->bytes.n, &m, &why) == CL_READ_OK &&
                m.head.type == CL_FAIL;
    struct cl_node *o;
    for (size_t it = 0; (o = cl_each(n->core, &it)) != NULL;) {
        int at = check_id(w, &o->id);
        if (at < 0)
            continue;
        bool failed = cl_has(o, CL_FAILED);
        if (failed && !n->failed[at]) {
            const struct node *lives = node_of_id(w, &o->id);
            w->counts[COUNT_FAILED]++;
            if (lives != NULL && lives->core != NULL && !lives->stopped)
                w->counts[COUNT_FALSE_FAIL]++;
            if (!told)
                failed_by_itself(w, n, o, at);
        }
        n->failed[at] = failed;
    }
}

static void hear_reports(struct world *w, struct node *n, const struct cl_message *m, int by)
{
    if (w->plan.nodes > REPORTS_MAX || by < 0)
        return;
    struct cl_gossip g;
    for (size_t i = 0; i < m->head.gossip; i++) {
        if (!cl_wire_gossip(m, i, &g) || (g.flags & (CL_PFAIL | CL_FAILED)) == 0)
            continue;
        int about = check_id(w, &g.id);
        if (about >= 0)
            w->checks->reports[n->index][by * IDS_MAX + about] = w->time.now_us;
    }
}

/* ---- being alone ---- */

static bool in_minority(const struct node *n)
{
    struct cl_node *o;
    int size = 0, there = 0;
    for (size_t it = 0; (o = cl_each(n->core, &it)) != NULL;) {
        size += cl_votes_here(o);
        there += cl_votes_here(o) && !cl_has(o, CL_PFAIL | CL_FAILED);
    }
    return size > 0 && there < size / 2 + 1;
}

static void note_state(struct world *w, struct node *n)
{
    bool ok = cl_ok(n->core);
    int64_t now = node_clock(w, n);
    if (in_minority(n))
        n->minority_us = now;
    if (!ok && n->was_ok)
        w->counts[COUNT_DOWN]++;
    if (ok && !n->was_ok && cl_votes_here(n->core->me) && n->minority_us != 0) {
        int64_t wait = MS(n->set.node_timeout_ms);
        wait = wait < MS(500) ? MS(500) : wait > MS(5000) ? MS(5000) : wait;
        if (now - n->minority_us < wait && w->time.now_us >= n->excused_us)
            violated(w, "rejoin", "%s takes requests %lld ms after it was in a minority", node_name(n->index),
                     (long long)((now - n->minority_us) / 1000));
    }
    n->was_ok = ok;
}

void check_write(struct world *w, struct node *n)
{
    int64_t oldest = w->time.now_us - MS(n->set.node_timeout_ms) * 102 / 100 - MARGIN - 4 * w->plan.lateness_us;
    struct cl_node *o;
    int there = 0;
    if (w->time.now_us < n->excused_us || cl_fenced(n->core)) /* its lease decides */
        return;
    for (size_t it = 0; (o = cl_each(n->core, &it)) != NULL;) {
        int at = cl_votes_here(o) ? check_id(w, &o->id) : -1;
        if (o == n->core->me ? cl_votes_here(o) : at >= 0)
            there += o == n->core->me || w->checks->heard_us[n->index][w->checks->owner[at]] >= oldest;
    }
    if (there < majority(n))
        violated(w, "minority", "%s takes a write and has heard only %d of the %d masters it needs for %lld ms",
                 node_name(n->index), there, majority(n), (long long)((w->time.now_us - oldest) / 1000));
}

/* ---- votes ---- */

static bool has_voted_in(const struct cl_core *c, uint64_t epoch)
{
    for (size_t i = 0; i < c->nvoted; i++)
        if (c->voted[i] == epoch)
            return true;
    return false;
}

/* A vote for slots that the voter knows to be somebody else's by now would bring an old owner back. What it has voted
 * on may be on its way to a slow disk, and is asked for again meanwhile. */
static void hear_request(struct node *n, const struct cl_header *h, int from)
{
    if (has_voted_in(n->core, h->current_epoch))
        return;
    n->overtaken[from] = 0;
    for (int slot = cl_bit_next(h->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(h->slots, slot + 1, true)) {
        const struct cl_node *owner = cl_owner(n->core, slot);
        if (owner != NULL && owner->config_epoch > h->config_epoch)
            n->overtaken[from] = h->current_epoch;
    }
}

static void note_vote(struct world *w, struct node *n, const struct cl_header *h, const struct node *to)
{
    uint8_t key[sizeof h->sender.b + 8];
    memcpy(key, h->sender.b, sizeof h->sender.b);
    for (int i = 0; i < 8; i++)
        key[sizeof h->sender.b + (size_t)i] = (uint8_t)(h->current_epoch >> 8 * i);
    w->counts[COUNT_VOTES]++;
    if (n->disk.says.last_vote_epoch < h->current_epoch)
        violated(w, "B1", "%s tells its vote in epoch %llu, and its disk knows none after %llu", node_name(n->index),
                 (unsigned long long)h->current_epoch, (unsigned long long)n->disk.says.last_vote_epoch);
    if (n->overtaken[to->index] == h->current_epoch)
        violated(w, "B3", "%s votes for %s, and knows a newer owner of its slots", node_name(n->index),
                 node_name(to->index));
    const struct cl_id *before = map_get(&w->checks->votes, bytes_of(key, sizeof key));
    if (before == NULL) {
        struct cl_id *id = mem_alloc(sizeof *id);
        *id = to->id;
        map_put(&w->checks->votes, bytes_of(key, sizeof key), id);
    } else if (!cl_id_eq(before, &to->id)) {
        violated(w, "B1", "%s votes in epoch %llu for %s, and has voted for %s", node_name(n->index),
                 (unsigned long long)h->current_epoch, id_name(w, &to->id), id_name(w, before));
    }
}

static void hear_vote(struct node *n, uint64_t epoch, int by)
{
    size_t at = n->nacks++ % ACKS_KEPT;
    n->acks[at].epoch = epoch;
    n->acks[at].by = by;
}

static int votes_heard(const struct node *n, uint64_t epoch)
{
    bool voted[IDS_MAX] = {false};
    int count = 0;
    for (size_t i = 0; i < n->nacks && i < ACKS_KEPT; i++) {
        int by = n->acks[i].by;
        if (n->acks[i].epoch != epoch || by < 0 || voted[by])
            continue;
        voted[by] = true;
        count++;
    }
    return count;
}

static void note_winner(struct world *w, struct node *n)
{
    uint64_t epoch = n->core->election.epoch;
    w->counts[COUNT_ELECTED]++;
    /* The step in which it won may also have told it of fewer masters, and it has taken the place of one. */
    int now = majority_without(n, &n->followed);
    if (now < n->needed)
        n->needed = now;
    if (votes_heard(n, epoch) < n->needed)
        violated(w, "B2", "%s is elected in epoch %llu with %d votes; %d are needed", node_name(n->index),
                 (unsigned long long)epoch, votes_heard(n, epoch), n->needed);
    const struct cl_id *before = map_get(&w->checks->winners, bytes_of(&epoch, sizeof epoch));
    if (before != NULL && !cl_id_eq(before, &n->id))
        violated(w, "B2", "%s is elected in epoch %llu, and so was %s", node_name(n->index), (unsigned long long)epoch,
                 id_name(w, before));
    if (before != NULL)
        return;
    struct cl_id *id = mem_alloc(sizeof *id);
    *id = n->id;
    map_put(&w->checks->winners, bytes_of(&epoch, sizeof epoch), id);
}

static void succeeds(struct world *w, struct node *n, bool elected)
{
    static const struct cl_id nobody;
    handover_succeeds(w, n, &n->followed, elected);
    swap_succeeds(w, n, &n->followed, elected);
    n->followed = nobody;
    /* What the old master acknowledged last had not reached it. */
    for (int i = 0; i < WATCHED; i++)
        if (cl_owns_slot(n->core, w->migrations.ledger.watched[i]))
            data_excuse(w, i);
}

static void promoted(struct world *w, struct node *n)
{
    if (n->told_role)
        w->counts[COUNT_TAKEOVER]++;
    else if (n->named)
        w->counts[COUNT_NAMED]++;
    else
        note_winner(w, n);
    succeeds(w, n, !n->told_role && w->time.now_us > n->forced_us);
    n->told_role = n->named = false;
}

/* A candidate whose data is older than the reference allows does not stand, unless it was told to. */
static void check_age(struct world *w, struct node *n, const struct cl_header *h)
{
    struct cl_facts f = data_facts(w, n);
    int64_t nt = MS(n->set.node_timeout_ms), limit = nt + MS(n->set.repl_ping_ms) + nt * n->set.validity_factor;
    if (n->set.validity_factor == 0 || (h->message_flags & CL_MSG_FORCE_ACK) != 0 || w->time.now_us < n->excused_us)
        return;
    if (f.old_since_us < 0)
        violated(w, "age", "%s stands for election and never had its master's data", node_name(n->index));
    else if (node_clock(w, n) - f.old_since_us > limit + MARGIN)
        violated(w, "age", "%s stands for election with data that is %lld ms old", node_name(n->index),
                 (long long)((node_clock(w, n) - f.old_since_us) / 1000));
}

/* ---- messages ---- */

static void check_claim(struct world *w, struct node *n, const struct cl_header *h)
{
    const struct durable *d = &n->disk.says;
    const char *wrong = NULL;
    if (n->disk.text.n == 0 || !cl_id_eq(&h->sender, &d->id))
        wrong = "its id";
    else if (h->current_epoch > d->current_epoch)
        wrong = "its current epoch";
    else if (((h->flags & CL_REPLICA) != 0) != d->replica || (d->replica && !cl_id_eq(&h->master, &d->master)))
        wrong = "its role";
    else if (!d->replica && h->config_epoch != d->config_epoch)
        wrong = "its config epoch";
    for (int i = 0; wrong == NULL && !d->replica && i < CL_SLOT_BYTES; i++)
        if ((h->slots[i] & ~d->slots[i]) != 0)
            wrong = "its slots";
    if (wrong != NULL)
        violated(w, "durable", "%s tells (%s) what its disk does not know: %s", node_name(n->index),
                 cl_wire_type_name(h->type), wrong);
}

static void check_sent(struct world *w, struct node *n, const struct cl_effect *fx)
{
    struct slice s = cl_effect_text(fx);
    struct cl_message m;
    const char *why = "";
    w->counts[COUNT_MESSAGES]++;
    n->bytes_sent += s.n;
    if (cl_wire_length(s.p, s.n, &why) != (int64_t)s.n || cl_wire_read(s.p, s.n, &m, &why) != CL_READ_OK) {
        violated(w, "wire", "%s sends what cannot be read: %s", node_name(n->index), why);
        return;
    }
    if (m.head.type == CL_PING)
        n->pings++;
    check_claim(w, n, &m.head);
    if (m.head.type == CL_AUTH_REQUEST)
        check_age(w, n, &m.head);
    if (m.head.type != CL_AUTH_ACK)
        return;
    const struct conn *l = (fx->link & CL_INCOMING) != 0 ? idmap_get(&n->ins, fx->link & ~CL_INCOMING)
                                                         : idmap_get(&n->outs, fx->link);
    if (l != NULL)
        note_vote(w, n, &m.head, &w->nodes[l->client == n->index ? l->server : l->client]);
}

void check_heard(struct world *w, struct node *n, const struct conn *l, struct slice message)
{
    const char *why;
    struct cl_message m;
    int other = l->client == n->index ? l->server : l->client;
    w->checks->heard_us[n->index][other] = w->time.now_us;
    if (n->core == NULL || cl_wire_read(message.p, message.n, &m, &why) != CL_READ_OK)
        return;
    int by = check_id(w, &m.head.sender);
    if (m.head.type == CL_AUTH_REQUEST)
        hear_request(n, &m.head, other);
    if (m.head.type == CL_AUTH_ACK)
        hear_vote(n, m.head.current_epoch, by);
    if (m.head.type == CL_PING || m.head.type == CL_PONG || m.head.type == CL_MEET)
        hear_reports(w, n, &m, by);
}

void check_effect(struct world *w, struct node *n, const struct cl_event *e, const struct cl_effect *fx)
{
    if (e->kind == CL_EV_COMMAND && e->command->verb == CL_RESET) {
        static const struct cl_id nobody;
        n->told_role = true;
        n->followed = nobody; /* it succeeds nobody */
    }
    if (fx->kind == CL_FX_SEND)
        check_sent(w, n, fx);
    else if (fx->kind == CL_FX_PROMOTE)
        promoted(w, n);
}

/* ---- steps ---- */

void check_started(struct world *w, struct node *n)
{
    register_id(w, n);
    note_failed(w, n);
    take_beliefs(w, n);
    n->version = 0;
    /* Its promotion was on the disk when it died, and nothing was told of it. What its disk never knew is forgotten. */
    n->followed = n->followed_disk;
    n->followed_disk = n->disk.says.master;
    if (cl_is_master(n->core) && !cl_id_is_none(&n->followed))
        succeeds(w, n, !n->told_role && w->time.now_us > n->forced_us);
    n->told_role = n->named = n->was_ok = false;
    n->minority_us = 0;
    n->nacks = 0;
}

static void check_bounds(struct world *w, const struct node *n)
{
    const struct cl_core *c = n->core;
    size_t most = (size_t)w->checks->nids + (size_t)w->plan.nodes + 4;
    if (c->known > most)
        violated(w, "memory", "%s knows %zu nodes", node_name(n->index), c->known);
    if (c->nbans > most || c->nwaiting > ASKED_MAX || c->nvotes > most)
        violated(w, "memory", "%s keeps %zu bans, %zu answers, %zu votes", node_name(n->index), c->nbans, c->nwaiting,
                 c->nvotes);
    /* Each link that is open at the other end may stay until it is found out to be dead. */
    if (c->outs.used > 2 * most || n->outs.used > 2 * most || n->ins.used > 8 * most)
        violated(w, "memory", "%s has %zu links of its own and %zu that came in", node_name(n->index), n->outs.used,
                 n->ins.used);
}

void check_beliefs(struct world *w, struct node *n, const struct cl_event *e)
{
    if (n->version == n->core->version)
        return;
    if (e->kind == CL_EV_COMMAND)
        take_beliefs(w, n);
    else
        compare_beliefs(w, n);
    compare_failed(w, n, e);
}

void check_step(struct world *w, struct node *n)
{
    if (n->core == NULL || w->violation != NULL)
        return;
    if (n->version == n->core->version && n->was_ok == cl_ok(n->core))
        return;
    n->version = n->core->version;
    struct cl_id id = cl_my_id(n->core);
    if (!cl_id_eq(&id, &n->id))
        register_id(w, n);
    note_state(w, n);
    check_bounds(w, n);
    /* What a candidate needs is counted while it asks: once elected it is a master itself. */
    if (!cl_is_master(n->core))
        n->needed = majority(n);
}
