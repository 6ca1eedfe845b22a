/* The pairs as the shards of one cluster of noded under leases. There is no bus: each node hears of a promotion by a
 * lag of its own after it happened, so a node's view is a number of changes that it knows, and what two nodes with the
 * same number tell is the same text. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/view.h"
#include "common/resp/reply.h"
#include "tests/bench/model/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 16384
#define LAG_MIN_US 5000
#define LAG_MAX_US 300000
#define NO_CHANGE SIZE_MAX

/* A shard has another master. */
struct change {
    struct server *to;
    uint64_t epoch;
    int64_t at_us;
    size_t before;  /* the change of the same shard before this one, or NO_CHANGE */
    uint64_t delta; /* what it adds to the digest of a view */
    uint64_t sum;   /* the digest of all changes up to this one */
};

struct cluster {
    struct change *changes;
    size_t n, cap;
    size_t *last;  /* of each pair: its last change, or NO_CHANGE */
    uint64_t base; /* the digest before any change */
    int64_t lapses, longest_gap_us;
    int64_t texts; /* of CLUSTER NODES that were asked for */
    /* the last text that was made, without "myself" */
    struct buf text;
    size_t text_of; /* of so many changes; NO_CHANGE: none */
    size_t *flags_at;
};

/* ---- what is known ---- */

/* The last change of a pair among the first `known`; `own` is known too. */
static size_t change_of(const struct cluster *k, size_t pair, size_t known, size_t own)
{
    size_t i = k->last[pair];
    while (i != NO_CHANGE && i >= known && i != own)
        i = k->changes[i].before;
    return i;
}

struct state {
    bool master;
    const struct server *follows;
    uint64_t epoch;
    bool slots;
};

/* What a server of a pair is after this change of it. Who was master and has been replaced is one without slots. */
static struct state state_after(const struct model *m, const struct server *s, size_t change)
{
    const struct cluster *k = m->cluster;
    const struct change *c = change != NO_CHANGE ? &k->changes[change] : NULL;
    const struct server *master = c != NULL ? c->to : &m->servers[s->pair];
    uint64_t epoch = c != NULL ? c->epoch : s->pair + 1;
    if (s == master)
        return (struct state){.master = true, .epoch = epoch, .slots = true};
    if (c == NULL || s->alive)
        return (struct state){.follows = master, .epoch = epoch};
    return (struct state){.master = true, .epoch = c->before != NO_CHANGE ? k->changes[c->before].epoch : s->pair + 1};
}

static unsigned slot_first(const struct model *m, size_t pair)
{
    return (unsigned)(SLOTS * pair / m->npairs);
}

static uint64_t id_view(const char *id)
{
    uint64_t x = 0;
    text_hex_u64((struct slice){id, 16}, &x);
    return x;
}

static uint64_t digest_of(const struct model *m, const struct server *s, size_t change)
{
    struct state is = state_after(m, s, change);
    uint64_t slots = 0;
    for (unsigned slot = slot_first(m, s->pair); is.slots && slot < slot_first(m, s->pair + 1); slot++)
        slots ^= view_slot(slot);
    return view_of_node(&(struct view_node){.id = id_view(s->id),
                                            .follows = is.follows != NULL ? id_view(is.follows->id) : 0,
                                            .master = is.master,
                                            .epoch = is.epoch,
                                            .slots = slots});
}

static uint64_t digest_of_pair(const struct model *m, size_t pair, size_t change)
{
    return digest_of(m, &m->servers[pair], change) + digest_of(m, m->servers[pair].partner, change);
}

static size_t known_by(const struct server *s)
{
    const struct cluster *k = s->model->cluster;
    int64_t until = model_now() - s->lag_us;
    size_t low = 0, high = k->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (k->changes[mid].at_us <= until)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* What a node did itself it knows at once: its own promotion beside those of others; NO_CHANGE: none that it does not
 * know anyway. */
static size_t own_change(const struct server *s, size_t known)
{
    const struct cluster *k = s->model->cluster;
    size_t i = k->last[s->pair];
    return i != NO_CHANGE && i >= known && k->changes[i].to == s ? i : NO_CHANGE;
}

static uint64_t view_of(const struct server *s)
{
    const struct cluster *k = s->model->cluster;
    size_t known = known_by(s), own = own_change(s, known);
    uint64_t sum = known > 0 ? k->changes[known - 1].sum : k->base;
    return view_end(own != NO_CHANGE ? sum + k->changes[own].delta : sum);
}

/* ---- CLUSTER NODES ---- */

static void put_line(const struct model *m, const struct server *s, size_t change, struct buf *out, size_t *flags_at)
{
    struct state is = state_after(m, s, change);
    unsigned first = slot_first(m, s->pair), end = slot_first(m, s->pair + 1);
    buf_printf(out, "%s %s:%d@%d ", s->id, MODEL_HOST, s->port, s->port + 30000);
    *flags_at = out->n;
    buf_printf(out, "%s %s 0 1700000000000 %" PRIu64 " %s", is.master ? "master" : "slave",
               is.follows != NULL ? is.follows->id : "-", is.epoch, s->alive ? "connected" : "disconnected");
    if (is.slots && end - first > 1)
        buf_printf(out, " %u-%u", first, end - 1);
    else if (is.slots)
        buf_printf(out, " %u", first);
    buf_puts(out, "\n");
}

static void make_text(const struct model *m, size_t known, size_t own)
{
    struct cluster *k = m->cluster;
    buf_clear(&k->text);
    for (size_t i = 0; i < 2 * m->npairs; i++) {
        const struct server *s = &m->servers[i];
        put_line(m, s, change_of(k, s->pair, known, own), &k->text, &k->flags_at[i]);
    }
    k->text_of = own == NO_CHANGE ? known : NO_CHANGE;
}

static void nodes(const struct server *s, struct reply *r)
{
    static const char myself[] = "myself,";
    const struct model *m = s->model;
    struct cluster *k = m->cluster;
    size_t known = known_by(s), own = own_change(s, known);
    if (own != NO_CHANGE || k->text_of != known)
        make_text(m, known, own);
    size_t at = k->flags_at[s - m->servers];
    k->texts++;
    buf_printf(r->out, "$%zu\r\n", k->text.n + sizeof myself - 1);
    buf_put(r->out, k->text.p, at);
    buf_puts(r->out, myself);
    buf_put(r->out, k->text.p + at, k->text.n - at);
    buf_puts(r->out, "\r\n");
}

/* ---- leases ---- */

/* Until when a majority grants. */
static int64_t lease_until(const struct server *s)
{
    int64_t best = 0;
    for (int i = 0; i < s->supervisors; i++) {
        int later = 0;
        for (int j = 0; j < s->supervisors; j++)
            later += s->until_us[j] >= s->until_us[i];
        if (2 * later > s->supervisors && s->until_us[i] > best)
            best = s->until_us[i];
    }
    return best;
}

static void grant(struct server *s, int64_t position, int64_t until_us)
{
    int64_t before = lease_until(s), now = model_now();
    if (until_us > s->until_us[position])
        s->until_us[position] = until_us;
    if (s->leased && before < now) {
        s->leased = false;
        s->model->cluster->lapses++;
        if (now - before > s->model->cluster->longest_gap_us)
            s->model->cluster->longest_gap_us = now - before;
    }
    s->leased = s->leased || lease_until(s) > now;
}

/* "<version>:<position>:<address>,...": false: it is none. */
static bool read_speaker(struct server *s, struct slice text, int64_t *position)
{
    int64_t version;
    if (!text_range(slice_cut(&text, ':'), 1, INT64_MAX, &version) ||
        !text_range(slice_cut(&text, ':'), 0, MODEL_SUPERVISORS - 1, position) || text.n == 0)
        return false;
    s->list_version = version;
    s->supervisors = 0;
    while (text.p != NULL && s->supervisors < MODEL_SUPERVISORS) {
        slice_cut(&text, ',');
        s->supervisors++;
    }
    return *position < s->supervisors;
}

static void pair_text(struct reply *r, const char *name, const char *value)
{
    reply_bulks(r, name);
    reply_bulks(r, value);
}

static void pair_number(struct reply *r, const char *name, int64_t value)
{
    reply_bulks(r, name);
    reply_int(r, value);
}

static void pair_hex(struct reply *r, const char *name, uint64_t value)
{
    reply_bulks(r, name);
    reply_bulkf(r, "%016" PRIx64, value);
}

static void lease_answer(const struct server *s, struct reply *r)
{
    const struct cluster *k = s->model->cluster;
    int64_t now = model_now(), until = lease_until(s);
    bool master = s->master == NULL;
    size_t known = known_by(s), change = change_of(k, s->pair, known, own_change(s, known));
    struct state is = state_after(s->model, s, change);
    unsigned slots = slot_first(s->model, s->pair + 1) - slot_first(s->model, s->pair);
    uint64_t newest = s->model->npairs;
    for (size_t i = 0; i < known; i++) /* they rise, but for ballots that overtook each other */
        newest = k->changes[i].epoch > newest ? k->changes[i].epoch : newest;
    reply_array(r, 48);
    pair_text(r, "node", s->id);
    pair_text(r, "shard", s->model->servers[s->pair].id);
    pair_text(r, "role", master ? "master" : "replica");
    pair_number(r, "config_epoch", (int64_t)is.epoch);
    pair_number(r, "current_epoch", (int64_t)newest);
    pair_text(r, "master", master ? "" : s->master->id);
    pair_number(r, "slots", master ? slots : 0);
    pair_text(r, "link", master ? "none" : server_linked(s) ? "up" : "down");
    pair_number(r, "link_ms", master ? 0 : (now - (server_linked(s) ? s->link_up_us : s->link_lost_us)) / 1000);
    pair_text(r, "replid", master || !server_linked(s) ? s->replid : s->master->replid);
    pair_number(r, "offset", server_offset(s));
    pair_number(r, "priority", 100);
    pair_number(r, "loading", 0);
    pair_number(r, "keys", 1);
    pair_number(r, "mapping_epoch", 0);
    pair_number(r, "supervised", s->list_version > 0);
    pair_number(r, "version", s->list_version);
    pair_number(r, "lease_ms", s->list_version == 0 ? -1 : until > now ? (until - now) / 1000 : 0);
    pair_number(r, "grants", until > now ? s->supervisors : 0);
    pair_number(r, "state_known", 1);
    pair_number(r, "migrating", 0);
    pair_hex(r, "view", view_of(s));
    pair_hex(r, "incarnation", s->incarnation);
    pair_number(r, "clock", now);
}

/* CLUSTER LEASE id speaker ttl epoch [incarnation clock] */
static void lease(struct server *s, const struct slice *argv, size_t argc, struct reply *r)
{
    int64_t position, ttl_ms, clock_us;
    uint64_t incarnation;
    if (argc < 6 || !read_speaker(s, argv[3], &position) || !text_range(argv[4], 0, 3600000, &ttl_ms)) {
        reply_error(r, "ERR syntax error");
        return;
    }
    bool stamped = argc == 8 && text_hex_u64(argv[6], &incarnation) && text_range(argv[7], 0, INT64_MAX, &clock_us);
    if (stamped && incarnation == s->incarnation && s->master == NULL)
        grant(s, position, clock_us + ttl_ms * 990);
    lease_answer(s, r);
}

/* ---- promotion ---- */

static void note_change(struct server *to, uint64_t epoch)
{
    struct model *m = to->model;
    struct cluster *k = m->cluster;
    k->changes = mem_grow(k->changes, k->n, &k->cap, sizeof *k->changes);
    size_t before = k->last[to->pair], i = k->n++;
    uint64_t was = digest_of_pair(m, to->pair, before), sum = i > 0 ? k->changes[i - 1].sum : k->base;
    k->changes[i] = (struct change){.to = to, .epoch = epoch, .at_us = model_now(), .before = before};
    k->last[to->pair] = i;
    k->changes[i].delta = digest_of_pair(m, to->pair, i) - was;
    k->changes[i].sum = sum + k->changes[i].delta;
}

static bool names_the_lineage(const struct server *s, struct slice ids)
{
    bool found = false;
    while (ids.p != NULL) {
        struct slice id = slice_cut(&ids, ',');
        found = found || slice_is(id, s->partner->id);
    }
    return found;
}

/* "<position>/<incarnation>/<clock-us>/<ttl-ms>/<wait-ms>" */
static void take_grant(struct server *s, struct slice text)
{
    int64_t position, clock_us, ttl_ms;
    uint64_t incarnation;
    if (text_range(slice_cut(&text, '/'), 0, MODEL_SUPERVISORS - 1, &position) &&
        text_hex_u64(slice_cut(&text, '/'), &incarnation) && incarnation == s->incarnation &&
        text_range(slice_cut(&text, '/'), 0, INT64_MAX, &clock_us) &&
        text_range(slice_cut(&text, '/'), 0, 3600000, &ttl_ms))
        grant(s, position, clock_us + ttl_ms * 990);
}

/* CLUSTER FAILOVER TAKEOVER EPOCH e FROM ids [FORCE] GRANTS speaker grant ... */
static void takeover(struct server *s, const struct slice *argv, size_t argc, struct reply *r)
{
    const struct cluster *k = s->model->cluster;
    size_t last = k->last[s->pair];
    uint64_t epoch, newest = last != NO_CHANGE ? k->changes[last].epoch : s->pair + 1;
    int64_t position;
    if (argc < 7 || !slice_ieq(argv[2], "TAKEOVER") || !slice_ieq(argv[3], "EPOCH") || !text_u64(argv[4], &epoch) ||
        !slice_ieq(argv[5], "FROM")) {
        reply_error(r, "ERR the model is promoted by TAKEOVER EPOCH only");
        return;
    }
    if (s->master == NULL && epoch == newest) {
        reply_status(r, "OK");
        return;
    }
    if (epoch <= newest || !names_the_lineage(s, argv[6])) {
        reply_error(r, "ERR the epoch is not above that of a claimant of the shard's slots, or it is another lineage");
        return;
    }
    server_promote(s);
    note_change(s, epoch);
    for (size_t i = 7; i + 1 < argc; i++)
        if (slice_ieq(argv[i], "GRANTS") && read_speaker(s, argv[i + 1], &position))
            for (size_t g = i + 2; g < argc; g++)
                take_grant(s, argv[g]);
    reply_status(r, "OK");
}

/* ---- the doors ---- */

void cluster_run(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    struct server *s = c->server;
    if (s->model->cluster == NULL)
        reply_error(r, "ERR This instance has cluster support disabled");
    else if (slice_ieq(argv[1], "LEASE"))
        lease(s, argv, argc, r);
    else if (slice_ieq(argv[1], "NODES"))
        nodes(s, r);
    else if (slice_ieq(argv[1], "MYID"))
        reply_bulks(r, s->id);
    else if (slice_ieq(argv[1], "FAILOVER"))
        takeover(s, argv, argc, r);
    else
        reply_error(r, "ERR the model knows no CLUSTER %.*s", (int)(argv[1].n < 128 ? argv[1].n : 128), argv[1].p);
}

void cluster_leases(const struct model *m, struct reply *r)
{
    int64_t unleased = 0;
    for (size_t i = 0; i < 2 * m->npairs; i++) {
        const struct server *s = &m->servers[i];
        unleased += s->alive && s->master == NULL && lease_until(s) <= model_now();
    }
    reply_array(r, 4);
    reply_int(r, m->cluster->lapses);
    reply_int(r, m->cluster->longest_gap_us / 1000);
    reply_int(r, unleased);
    reply_int(r, m->cluster->texts);
}

void cluster_agree(const struct model *m, struct reply *r)
{
    int64_t at = 0, lag = 0;
    for (size_t i = 0; i < m->cluster->n; i++)
        at = m->cluster->changes[i].at_us > at ? m->cluster->changes[i].at_us : at;
    for (size_t i = 0; i < 2 * m->npairs; i++)
        lag = m->servers[i].alive && m->servers[i].lag_us > lag ? m->servers[i].lag_us : lag;
    reply_int(r, at + lag);
}

void cluster_forget_texts(struct model *m)
{
    if (m->cluster != NULL)
        m->cluster->text_of = NO_CHANGE;
}

void cluster_begin(struct model *m)
{
    struct cluster *k = m->cluster = mem_zalloc(sizeof *k);
    k->last = mem_array(NULL, m->npairs, sizeof *k->last);
    k->flags_at = mem_array(NULL, 2 * m->npairs, sizeof *k->flags_at);
    k->text_of = NO_CHANGE;
    for (size_t i = 0; i < m->npairs; i++)
        k->last[i] = NO_CHANGE;
    for (size_t i = 0; i < 2 * m->npairs; i++) {
        struct server *s = &m->servers[i];
        runid_draw(&m->rng, s->id);
        s->lag_us = rng_range(&m->rng, LAG_MIN_US, LAG_MAX_US);
        s->incarnation = rng_u64(&m->rng) | 1;
    }
    for (size_t i = 0; i < m->npairs; i++)
        k->base += digest_of_pair(m, i, NO_CHANGE);
}
