/* Supervisors of a whole cluster, as far as its nodes can tell: three that hear and grant for themselves, with clocks
 * and books of their own, over a network of their own; what they decide together is decided at once (how they come to
 * it is for the supervisors' own simulator). Nodes neither elect nor vote here. What must hold is S6: no slot has two
 * nodes that would execute a write at one time. */
#include "tests/bus/lineage.h"
#include "tests/bus/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define SUPERVISORS 3
#define RATE 4500 /* ppm: clocks differ by less than one in a hundred */

static const char list[] = "10.9.0.1:26379,10.9.0.2:26379,10.9.0.3:26379";

struct steady { /* a clock that counts all time; its rate never changes */
    int64_t offset_us, rate_ppm;
};

struct told { /* by a node in its answer */
    struct cl_stamp stamp;
    int64_t asked_us; /* supervisor's clock: when the request was sent */
    int64_t at_us;    /* world; 0 never */
    bool master, known, leased;
    int64_t offset;
    uint64_t config_epoch, greatest, wants;
    struct cl_id id, shard;
};

struct supervisor {
    struct happening turn; /* first */
    struct steady clock;
    struct told told[MAX_NODES];
    bool cut[MAX_NODES];
};

struct group { /* a shard */
    struct cl_id shard;
    /* By each one's clock: until when a grant to a node, as one of this shard, may be out. Who goes to another shard is
     * granted there what does not concern this one. */
    int64_t book_us[SUPERVISORS][MAX_NODES];
    int grantee;
    uint64_t epoch;
    struct lineage was_master, may_have_been; /* the newest first; the latter by attempts whose end nobody knows */
    bool promoting, again;                    /* again: nobody knows how an earlier attempt with the same node ended */
    int asked, refused;                       /* so often in this attempt */
    int64_t until_us;                         /* of the attempt */
    int passed_over; /* the node that answered so last; -1: none has since the last promotion */
    bool forced;     /* an operator has said that this node is to be the master all the same */
};

struct mail {
    struct happening h; /* first */
    bool used, answer, promotes, forced, refused, passed_over;
    int supervisor;
    int64_t ttl_ms, asked_us;
    uint64_t epoch;
    struct cl_stamp stamp;
    struct cl_grant grants[SUPERVISORS];
    size_t ngrants;
    struct lineage from;
    struct told told;
};

struct leases {
    struct happening turn, weather; /* turn first: the decisions */
    struct supervisor s[SUPERVISORS];
    struct group group[MAX_NODES];
    int ngroups, in[MAX_NODES]; /* the group of each node; -1 none */
    struct steady boot[MAX_NODES];
    struct mail **mails;
    size_t nmails, cap_mails;
    uint64_t epoch;
    bool begun, calm;
    struct ballot {
        int node;
        uint64_t epoch;
    } * ballots; /* all that were decided */
    size_t nballots, cap_ballots;
    uint64_t claims[MAX_NODES]; /* the config epoch of each node, as it was seen last */
};

static int64_t steady_now(const struct steady *k, int64_t now_us)
{
    return k->offset_us + now_us + now_us / 1000 * k->rate_ppm / 1000;
}

int64_t lease_clock(const struct world *w, const struct node *n)
{
    return steady_now(&w->leases->boot[n->index], w->time.now_us);
}

bool lease_allows(const struct world *w, const struct node *n)
{
    return lease_clock(w, n) < cl_lease_until(n->core);
}

bool lease_rules(const struct world *w)
{
    return w->leases->begun;
}

static int64_t clock_of(const struct world *w, const struct supervisor *s)
{
    return steady_now(&s->clock, w->time.now_us);
}

static bool is_fresh(const struct world *w, const struct told *t)
{
    return t->at_us != 0 && w->time.now_us - t->at_us <= MS(w->plan.lease_ms) * 2;
}

/* What a majority has heard of it lately, the newest; NULL: it is silent. */
static const struct told *heard(const struct world *w, int node)
{
    const struct told *newest = NULL;
    int count = 0;
    for (int i = 0; i < SUPERVISORS; i++) {
        const struct told *t = &w->leases->s[i].told[node];
        if (!is_fresh(w, t))
            continue;
        count++;
        newest = newest == NULL || t->at_us > newest->at_us ? t : newest;
    }
    return count > SUPERVISORS / 2 ? newest : NULL;
}

/* ---- messages ---- */

static struct mail *mail_new(struct world *w)
{
    struct leases *l = w->leases;
    for (size_t i = 0; i < l->nmails; i++)
        if (!l->mails[i]->used)
            return l->mails[i];
    l->mails = mem_grow(l->mails, l->nmails, &l->cap_mails, sizeof *l->mails);
    struct mail *m = mem_zalloc(sizeof *m);
    heap_node_init(&m->h.at);
    return l->mails[l->nmails++] = m;
}

static void arrive(struct world *w, struct happening *h);

static void post(struct world *w, struct mail *m)
{
    struct supervisor *s = &w->leases->s[m->supervisor];
    int64_t delay = rng_skewed(&w->rng, 50, w->plan.delay_us * 4 + 100);
    if (!w->leases->calm && rng_below(&w->rng, 50) == 0)
        delay += (int64_t)rng_below(&w->rng, (uint64_t)MS(w->plan.lease_ms) * 3);
    m->used = !s->cut[m->h.who] && (w->leases->calm || rng_below(&w->rng, 100) != 0);
    if (m->used)
        happen(&w->time, &m->h, w->time.now_us + delay, arrive);
}

static void ask(struct world *w, struct node *n, struct mail *m)
{
    struct cl_speaker speaker = {1, m->supervisor, {list, sizeof list - 1}};
    struct cl_lease_ask lease = {.speaker = speaker, .ttl_ms = m->ttl_ms, .epoch = m->epoch, .stamp = m->stamp};
    struct cl_takeover promotion = {.epoch = m->epoch,
                                    .from = m->from.id,
                                    .nfrom = m->from.n,
                                    .speaker = &speaker,
                                    .grants = m->grants,
                                    .ngrants = m->ngrants,
                                    .force = m->forced};
    struct cl_command c = {.verb = m->promotes ? CL_TAKEOVER : CL_LEASE, .lease = &lease, .promotion = &promotion};
    bool named = n->named;
    int64_t forced_us = n->forced_us;
    n->named = n->named || m->promotes;
    if (m->forced)
        n->forced_us = w->time.now_us + MS(w->plan.timeout_ms) + SECONDS(2);
    const struct asked *a = node_ask(w, n, &c);
    m->refused = a != NULL && a->answered && !a->ok;
    m->passed_over = m->refused && a->passed_over;
    if (m->promotes && m->refused) {
        n->named = named;
        n->forced_us = forced_us;
    }
    if (!m->promotes && m->refused && w->violation == NULL)
        violated(w, "lease", "%s refuses a lease", node_name(n->index));
}

static void look(struct world *w, const struct node *n, struct told *t)
{
    struct cl_lease_state s;
    cl_lease_state(n->core, lease_clock(w, n), &s);
    *t = (struct told){.stamp = {s.incarnation, lease_clock(w, n)},
                       .master = (n->core->claim.flags & CL_MASTER) != 0,
                       .known = cl_state_known(n->core) && !n->data.loading,
                       .leased = lease_allows(w, n) && s.supervised,
                       .offset = n->data.set.offset,
                       .config_epoch = n->core->claim.config_epoch,
                       .greatest = cl_greatest_epoch(n->core),
                       .wants = s.wants_epoch,
                       .id = n->id,
                       .shard = n->core->claim.shard};
}

static struct group *group_of(const struct world *w, int node)
{
    int at = w->leases->in[node];
    return at >= 0 ? &w->leases->group[at] : NULL;
}

/* A master of a shard that was not heard of before is its grantee. */
static void enter(struct world *w, int node, const struct told *t)
{
    struct leases *l = w->leases;
    int at = 0;
    while (at < l->ngroups && !cl_id_eq(&l->group[at].shard, &t->shard))
        at++;
    if (at == l->ngroups && (at == MAX_NODES || !t->master))
        return;
    if (at == l->ngroups)
        l->group[l->ngroups++] = (struct group){
            .shard = t->shard, .grantee = node, .was_master = {{t->id}, 1}, .passed_over = -1};
    l->in[node] = at;
}

/* ---- lineages ---- */

/* As one node is told it: of itself nothing is said that is not known, for it knows that better. */
static struct lineage lineage_for(const struct group *g, const struct cl_id *node)
{
    struct lineage all = g->was_master;
    for (size_t i = g->may_have_been.n; i-- > 0;)
        if (!cl_id_eq(&g->may_have_been.id[i], node))
            lineage_add(&all, &g->may_have_been.id[i]);
    return all;
}

static void promoted(struct group *g, const struct cl_id *node)
{
    for (size_t i = g->may_have_been.n; i-- > 0;)
        lineage_add(&g->was_master, &g->may_have_been.id[i]);
    lineage_add(&g->was_master, node);
    g->may_have_been.n = 0;
    g->promoting = g->forced = false;
    g->passed_over = -1;
}

/* Who has refused each time that it was asked was not promoted. */
static void refused(struct group *g, const struct mail *m)
{
    g->passed_over = m->passed_over ? m->h.who : g->passed_over;
    if (++g->refused == g->asked && !g->again)
        lineage_drop_newest(&g->may_have_been);
}

/* ---- what arrives ---- */

static void arrive(struct world *w, struct happening *h)
{
    struct mail *m = (struct mail *)h;
    struct node *n = &w->nodes[h->who];
    struct supervisor *s = &w->leases->s[m->supervisor];
    if (!m->answer && n->stopped) {
        inbox_put(&n->inbox, h);
        return;
    }
    m->used = false;
    if (!m->answer && n->core != NULL) {
        ask(w, n, m);
        if (n->core == NULL || w->violation != NULL)
            return;
        look(w, n, &m->told);
        m->answer = true;
        post(w, m);
    } else if (m->answer) {
        struct told *t = &s->told[h->who];
        struct group *g = group_of(w, h->who);
        if (g != NULL && m->promotes && m->refused && g->promoting && g->epoch == m->epoch) {
            refused(g, m);
        }
        /* An incarnation that is not the last one's is newer: what is late does not come over a new connection. */
        if (t->at_us != 0 && t->stamp.incarnation == m->told.stamp.incarnation &&
            t->stamp.clock_us > m->told.stamp.clock_us)
            return;
        *t = m->told;
        t->asked_us = m->asked_us;
        t->at_us = w->time.now_us;
        enter(w, h->who, t);
        w->leases->epoch = t->greatest > w->leases->epoch ? t->greatest : w->leases->epoch;
        w->leases->epoch = t->wants > w->leases->epoch + 1 ? t->wants - 1 : w->leases->epoch;
    }
}

/* ---- grants ---- */

/* Until when grants of this supervisor to others of the group may be out. */
static int64_t others_end(const struct world *w, const struct group *g, int supervisor, int node)
{
    int64_t end = 0;
    for (int k = 0; k < w->plan.nodes; k++)
        if (k != node && g->book_us[supervisor][k] > end)
            end = g->book_us[supervisor][k];
    return end;
}

static void book(struct group *g, int supervisor, int node, int64_t end_us)
{
    if (g->book_us[supervisor][node] < end_us)
        g->book_us[supervisor][node] = end_us;
}

static void probe(struct world *w, struct supervisor *s, int i, int node)
{
    struct group *g = group_of(w, node);
    int64_t now = clock_of(w, s);
    struct mail *m = mail_new(w);
    struct happening h = m->h;
    *m = (struct mail){.h = h, .supervisor = i, .asked_us = now, .ttl_ms = w->plan.lease_ms};
    m->h.who = node;
    /* While nobody knows whether it was promoted, the grants that come with that order are all that it gets. */
    if (g != NULL && g->grantee == node && !g->promoting && now >= others_end(w, g, i, node)) {
        m->epoch = g->epoch;
        m->stamp = s->told[node].stamp;
        book(g, i, node, now + w->plan.lease_ms * 1010);
    } else if (g != NULL && g->grantee != node && rng_below(&w->rng, 4) == 0) {
        m->ttl_ms = 0; /* else: a word that neither grants nor takes back, for it has no stamp */
    }
    post(w, m);
}

static void supervise(struct world *w, struct happening *h)
{
    struct supervisor *s = (struct supervisor *)h;
    int64_t period = MS(w->plan.lease_ms) / 5;
    for (int node = 0; node < w->plan.nodes; node++)
        probe(w, s, (int)(s - w->leases->s), node);
    happen(&w->time, h, w->time.now_us + period / 2 + (int64_t)rng_below(&w->rng, (uint64_t)period), supervise);
}

/* ---- decisions ---- */

/* The grants of those who hear it: at once where the old ones are over, else from then on. */
static void promote(struct world *w, struct group *g)
{
    struct mail *m = mail_new(w);
    struct happening h = m->h;
    *m = (struct mail){.h = h,
                       .promotes = true,
                       .epoch = g->epoch,
                       .from = lineage_for(g, &w->nodes[g->grantee].id),
                       .forced = g->forced && g->grantee == g->passed_over};
    m->h.who = g->grantee;
    g->asked++;
    for (int i = 0; i < SUPERVISORS; i++) {
        const struct supervisor *s = &w->leases->s[i];
        const struct told *t = &s->told[g->grantee];
        int64_t now = clock_of(w, s), end = others_end(w, g, i, g->grantee);
        if (!is_fresh(w, t))
            continue;
        m->supervisor = i;
        m->asked_us = now;
        int64_t wait_ms = end > now ? (end - t->asked_us) / 1000 + 1 : 0;
        struct cl_grant grant = {i, t->stamp, wait_ms + w->plan.lease_ms, wait_ms};
        m->grants[m->ngrants++] = grant;
        book(g, i, g->grantee, now + grant.ttl_ms * 1010);
    }
    post(w, m);
}

static void decide_for(struct world *w, struct group *g, int node, const struct told *t)
{
    struct leases *l = w->leases;
    w->counts[COUNT_BALLOTS]++;
    g->grantee = node;
    g->again = lineage_find(&g->may_have_been, &t->id) < g->may_have_been.n;
    lineage_add(&g->may_have_been, &t->id);
    g->epoch = ++l->epoch;
    l->ballots = mem_grow(l->ballots, l->nballots, &l->cap_ballots, sizeof *l->ballots);
    l->ballots[l->nballots++] = (struct ballot){node, g->epoch};
    g->promoting = true;
    g->asked = g->refused = 0;
    g->until_us = w->time.now_us + MS(w->plan.lease_ms) * 2;
    RECORD(w, "supervisors", "%s is to be the master of its shard in epoch %llu", node_name(node),
           (unsigned long long)g->epoch);
    promote(w, g);
}

/* The replica with most data that may; else a master that has come back. */
static void choose(struct world *w, struct group *g)
{
    const struct told *best = NULL;
    int node = -1;
    for (int k = 0; k < w->plan.nodes; k++) {
        const struct told *t = group_of(w, k) == g ? heard(w, k) : NULL;
        if (t == NULL || (!t->master && !t->known))
            continue;
        if (g->forced && k != g->passed_over)
            continue;
        bool better = best == NULL || (best->master && !t->master) ||
                      (best->master == t->master && (best->offset < t->offset || rng_below(&w->rng, 4) == 0));
        if (better) {
            best = t;
            node = k;
        }
    }
    if (best != NULL)
        decide_for(w, g, node, best);
}

/* Another master that was heard has its config epoch. One of the two gets a new one; it is not who is passed over. */
static bool collides(const struct world *w, int node, const struct told *t)
{
    for (int k = 0; k < w->plan.nodes; k++) {
        const struct told *o = k != node ? heard(w, k) : NULL;
        bool same = o != NULL && o->master && t->master && o->config_epoch == t->config_epoch;
        if (same && (cl_id_cmp(&t->id, &o->id) < 0 || group_of(w, k) == NULL || group_of(w, k)->grantee != k))
            return true;
    }
    return false;
}

static void watch(struct world *w, struct group *g)
{
    const struct told *t = group_of(w, g->grantee) == g ? heard(w, g->grantee) : NULL;
    if (g->promoting && t != NULL && t->master && t->config_epoch >= g->epoch)
        promoted(g, &t->id);
    /* Again, for it may have been lost. Who refuses is not asked at once, and nobody else either: each attempt puts off
     * the beginning of the next one's grants by a lease. */
    bool waits = g->promoting && w->time.now_us < g->until_us;
    if (waits && g->refused == 0)
        promote(w, g);
    else if (waits)
        return;
    else if (g->promoting || t == NULL || !t->master)
        choose(w, g);
    else if ((collides(w, g->grantee, t) || t->wants > t->config_epoch) && w->time.now_us >= g->until_us)
        decide_for(w, g, g->grantee, t);
}

static void decide(struct world *w, struct happening *h)
{
    struct leases *l = w->leases;
    for (int i = 0; i < l->ngroups; i++)
        watch(w, &l->group[i]);
    happen(&w->time, h, w->time.now_us + rng_skewed(&w->rng, MS(5), MS(100)), decide);
}

/* ---- its own network ---- */

static void weather(struct world *w, struct happening *h)
{
    struct supervisor *s = &w->leases->s[rng_below(&w->rng, SUPERVISORS)];
    uint32_t part = rng_below(&w->rng, 3) == 0 ? (uint32_t)rng_range(&w->rng, 0, 1000000) : 0;
    for (int i = 0; i < w->plan.nodes; i++)
        s->cut[i] = rng_chance(&w->rng, part);
    happen(&w->time, h, w->time.now_us + rng_skewed(&w->rng, MS(100), SECONDS(4)), weather);
}

/* ---- the whole ---- */

void lease_init(struct world *w)
{
    struct rng own; /* worlds without leases are what they were */
    struct leases *l = w->leases = mem_zalloc(sizeof *w->leases);
    rng_seed(&own, w->plan.seed ^ 0x1ea5e5U);
    heap_node_init(&l->turn.at);
    heap_node_init(&l->weather.at);
    l->calm = true;
    memset(l->in, -1, sizeof l->in);
    for (int i = 0; i < w->plan.nodes; i++)
        l->boot[i] = (struct steady){SECONDS(rng_range(&own, 1000, 1000000)), rng_range(&own, -RATE, RATE)};
    for (int i = 0; i < SUPERVISORS; i++) {
        heap_node_init(&l->s[i].turn.at);
        l->s[i].clock = (struct steady){SECONDS(rng_range(&own, 1000, 1000000)), rng_range(&own, -RATE, RATE)};
    }
}

void lease_free(struct world *w)
{
    for (size_t i = 0; i < w->leases->nmails; i++)
        free(w->leases->mails[i]);
    free(w->leases->mails);
    free(w->leases->ballots);
    free(w->leases);
}

const char *lease_missing(struct world *w)
{
    for (int i = 0; i < w->plan.nodes && w->plan.lease_ms > 0; i++) {
        const struct node *n = &w->nodes[i];
        if (n->core == NULL)
            continue;
        if (!cl_fenced(n->core))
            return "a node is not supervised";
        if (cl_is_master(n->core) && n->core->me->nslots > 0 && !lease_allows(w, n))
            return "a master has no lease";
    }
    return NULL;
}

void lease_adopt(struct world *w)
{
    struct leases *l = w->leases;
    if (w->plan.lease_ms == 0)
        return;
    for (int i = 0; i < SUPERVISORS; i++)
        happen(&w->time, &l->s[i].turn, w->time.now_us + (int64_t)rng_below(&w->rng, (uint64_t)MS(w->plan.lease_ms)),
               supervise);
}

void lease_begin(struct world *w)
{
    struct leases *l = w->leases;
    if (w->plan.lease_ms == 0)
        return;
    l->begun = true;
    l->calm = false;
    happen(&w->time, &l->turn, w->time.now_us, decide);
    happen(&w->time, &l->weather, w->time.now_us + MS(100), weather);
}

void lease_heal(struct world *w)
{
    struct leases *l = w->leases;
    l->calm = true;
    happen_not(&w->time, &l->weather);
    for (int i = 0; i < SUPERVISORS; i++)
        memset(l->s[i].cut, 0, sizeof l->s[i].cut);
}

struct node *lease_force(struct world *w)
{
    struct leases *l = w->leases;
    for (int i = 0; i < l->ngroups; i++) {
        struct group *g = &l->group[i];
        if (g->passed_over < 0 || g->forced || heard(w, g->passed_over) == NULL)
            continue;
        g->forced = true;
        return &w->nodes[g->passed_over];
    }
    return NULL;
}

static bool may_write_some(const struct world *w, const struct node *n)
{
    return n->core != NULL && !n->stopped && cl_is_master(n->core) && lease_allows(w, n);
}

/* E2: under supervisors a config epoch comes from a ballot that named the node. */
static void look_at_epoch(struct world *w, const struct node *n)
{
    struct leases *l = w->leases;
    uint64_t before = l->claims[n->index], now = n->core != NULL ? n->core->me->config_epoch : before;
    l->claims[n->index] = now;
    /* A replica's own claims nothing: it has read its master's from its disk, perhaps. */
    if (n->core == NULL || now <= before || !cl_fenced(n->core) || !cl_is_master(n->core))
        return;
    for (size_t i = 0; i < l->nballots; i++)
        if (l->ballots[i].node == n->index && l->ballots[i].epoch == now)
            return;
    violated(w, "E2", "%s, which is supervised, takes config epoch %llu, and no ballot gave it that",
             node_name(n->index), (unsigned long long)now);
}

/* After each step: a write may be waiting in a socket of any node. */
void lease_look(struct world *w, const struct node *n)
{
    look_at_epoch(w, n);
    if (!w->leases->begun || w->time.now_us < n->forced_us || !may_write_some(w, n))
        return;
    for (int k = 0; k < w->plan.nodes; k++) {
        const struct node *o = &w->nodes[k];
        if (o == n || w->time.now_us < o->forced_us || !may_write_some(w, o))
            continue;
        for (int i = 0; i < WATCHED; i++)
            if (cl_owns_slot(n->core, w->migrations.ledger.watched[i]) &&
                cl_owns_slot(o->core, w->migrations.ledger.watched[i]) && client_may_write(w, n, i) &&
                client_may_write(w, o, i))
                violated(w, "S6", "%s and %s would both execute a write to slot %d", node_name(n->index), node_name(k),
                         w->migrations.ledger.watched[i]);
    }
}
