#include "noded/cmd/slot_stats.h"

#include "common/base/mem.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/info.h"

#include <stdlib.h>
#include <string.h>

/* How many keys are looked at for the memory of slots: of one slot in one database, and in all that a question is
 * about, so that it takes some milliseconds at most. */
#define LOOKED_AT_IN_SLOT 16
#define LOOKED_AT_IN_ALL 2048
#define LOOKED_AT_IN_KEY 5 /* elements, as MEMORY USAGE does */

/* ---- counting ---- */

static size_t digits(size_t n)
{
    if (n < 100) /* nearly all */
        return n < 10 ? 1 : 2;
    size_t d = 3;
    for (; n >= 1000; n /= 10)
        d++;
    return d;
}

/* "*3\r\n" and for each argument "$3\r\nSET\r\n". */
static size_t request_bytes(const struct nd_call *c)
{
    size_t n = 3 + digits(c->argc);
    for (size_t i = 0; i < c->argc; i++)
        n += 5 + digits(c->argv[i].n) + c->argv[i].n;
    return n;
}

void nd_slot_stats_count(struct nd_call *c, int64_t usec, size_t output)
{
    if (!c->e->config.cluster_slot_stats_enabled)
        return;
    struct nd_slot_count *count = &c->e->cluster->slot_stats->of[c->slot];
    count->usec += (uint64_t)usec;
    count->input += request_bytes(c);
    count->output += output;
}

static bool find_my_master(const struct cl_core *core, struct cl_member *m)
{
    struct cl_id master;
    for (size_t it = 0; cl_next_member(core, &it, m);) {
        if (!m->me)
            continue;
        if (m->is_master)
            return true;
        master = m->master;
        for (it = 0; cl_next_member(core, &it, m);)
            if (cl_id_eq(&m->id, &master))
                return true;
        return false;
    }
    return false;
}

void nd_slot_stats_look(struct nd_cluster *cl)
{
    struct nd_slot_stats *stats = cl->slot_stats;
    uint8_t shard[CL_SLOT_BYTES] = {0};
    struct cl_member m;
    struct cl_range r;
    if (find_my_master(cl->core, &m))
        for (int at = 0; cl_next_range_of(cl->core, m.number, &at, &r);)
            for (int slot = r.first; slot <= r.last; slot++)
                cl_bit_set(shard, slot);
    for (int slot = cl_bit_next(shard, 0, true); slot < CL_SLOTS; slot = cl_bit_next(shard, slot + 1, true))
        if (!cl_bit(stats->shard, slot))
            stats->of[slot] = (struct nd_slot_count){0};
    memcpy(stats->shard, shard, sizeof shard);
}

void nd_slot_stats_reset(struct nd_cluster *cl)
{
    memset(cl->slot_stats->of, 0, sizeof cl->slot_stats->of);
}

/* ---- the answer ---- */

enum metric {
    KEY_COUNT,
    MEMORY_BYTES, /* up to here they are found when they are asked for; the others are counted */
    CPU_USEC,
    NETWORK_BYTES_IN,
    NETWORK_BYTES_OUT,
    METRICS
};

static const char *const metric_names[METRICS] = {
    [KEY_COUNT] = "key-count",
    [MEMORY_BYTES] = "memory-bytes",
    [CPU_USEC] = "cpu-usec",
    [NETWORK_BYTES_IN] = "network-bytes-in",
    [NETWORK_BYTES_OUT] = "network-bytes-out",
};

struct slot_row {
    int slot;
    uint64_t rank; /* they are sorted by it, from the smallest */
    uint64_t figures[METRICS];
};

struct slot_rows {
    struct slot_row *v; /* by slot */
    size_t n;
    size_t parts; /* keys of one of them in one database: how many such parts there are */
};

static void count_keys(const struct nd_engine *e, struct slot_rows *rows)
{
    for (int i = 0; i < e->keys.db_count; i++) {
        const struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        for (size_t k = 0; db != NULL && nd_db_count(db) > 0 && k < rows->n; k++) {
            size_t keys = nd_db_slot_count(db, rows->v[k].slot);
            rows->v[k].figures[KEY_COUNT] += keys;
            rows->parts += keys > 0;
        }
    }
}

/* The keys of a slot in one database. They come in the order of their hashes, which has nothing to do with their sizes:
 * the first ones stand for all. */
static double mean_of_slot(struct nd_db *db, int slot, size_t looks)
{
    struct nd_db_iter it;
    size_t bytes = 0, seen = 0;
    nd_db_iterate_slot(db, slot, &it);
    for (const struct nd_entry *e; seen < looks && (e = nd_db_next(&it)) != NULL; seen++)
        bytes += nd_key_memory(e, LOOKED_AT_IN_KEY);
    nd_db_iterate_stop(&it);
    return seen > 0 ? (double)bytes / (double)seen : 0;
}

/* Of many slots every so many-th is looked at; the others have keys like theirs, as far as anybody knows. */
static void find_memory_in(struct nd_db *db, struct slot_rows *rows, size_t stride, size_t looks)
{
    double sum = 0, *mean = mem_zalloc((rows->n + 1) * sizeof *mean);
    size_t n = 0, looked = 0;
    for (size_t k = 0; k < rows->n; k++) {
        if (nd_db_slot_count(db, rows->v[k].slot) == 0 || n++ % stride != 0)
            continue;
        sum += mean[k] = mean_of_slot(db, rows->v[k].slot, looks);
        looked++;
    }
    for (size_t k = 0; k < rows->n && looked > 0; k++) {
        double each = mean[k] > 0 ? mean[k] : sum / (double)looked;
        rows->v[k].figures[MEMORY_BYTES] += (uint64_t)(each * (double)nd_db_slot_count(db, rows->v[k].slot));
    }
    free(mean);
}

static void find_memory(const struct nd_engine *e, struct slot_rows *rows)
{
    size_t stride = rows->parts / LOOKED_AT_IN_ALL + 1, looks = rows->parts > 0 ? LOOKED_AT_IN_ALL / rows->parts : 0;
    looks = looks < 1 ? 1 : looks > LOOKED_AT_IN_SLOT ? LOOKED_AT_IN_SLOT : looks;
    for (int i = 0; i < e->keys.db_count; i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db != NULL && nd_db_count(db) > 0)
            find_memory_in(db, rows, stride, looks);
    }
}

static void gather(const struct nd_cluster *cl, int first, int last, struct slot_rows *rows)
{
    const struct nd_slot_stats *stats = cl->slot_stats;
    *rows = (struct slot_rows){.v = mem_zalloc((size_t)(last - first + 1) * sizeof *rows->v)};
    for (int slot = first; slot <= last; slot++) {
        if (!cl_bit(stats->shard, slot))
            continue;
        struct slot_row *row = &rows->v[rows->n++];
        row->slot = slot;
        row->figures[CPU_USEC] = stats->of[slot].usec;
        row->figures[NETWORK_BYTES_IN] = stats->of[slot].input;
        row->figures[NETWORK_BYTES_OUT] = stats->of[slot].output;
    }
    count_keys(cl->e, rows);
    find_memory(cl->e, rows);
}

static size_t metrics_shown(const struct nd_call *c)
{
    return c->e->config.cluster_slot_stats_enabled ? METRICS : CPU_USEC;
}

static void put_rows(struct nd_call *c, const struct slot_rows *rows, size_t n)
{
    size_t shown = metrics_shown(c);
    reply_array(c->r, n);
    for (size_t i = 0; i < n; i++) {
        reply_array(c->r, 2);
        reply_int(c->r, rows->v[i].slot);
        reply_map(c->r, shown);
        for (size_t m = 0; m < shown; m++) {
            reply_bulks(c->r, metric_names[m]);
            reply_int(c->r, (int64_t)rows->v[i].figures[m]);
        }
    }
}

static void slots_range(struct nd_call *c)
{
    struct slot_rows rows;
    int first, last;
    if (!nd_cluster_slot_arg(c, 3, &first) || !nd_cluster_slot_arg(c, 4, &last))
        return;
    if (first > last) {
        nd_error(c, "ERR Start slot number %d is greater than end slot number %d", first, last);
        return;
    }
    gather(c->e->cluster, first, last, &rows);
    put_rows(c, &rows, rows.n);
    free(rows.v);
}

struct order {
    enum metric by;
    int64_t limit;
    bool ascending;
};

static bool read_order(struct nd_call *c, struct order *o)
{
    int limits = 0, directions = 0;
    *o = (struct order){.limit = CL_SLOTS};
    size_t shown = metrics_shown(c), by = 0;
    while (by < shown && !nd_arg_is(c, 3, metric_names[by]))
        by++;
    if (by == shown) {
        nd_error(c, "ERR Unrecognized sort metric for ORDERBY.");
        return false;
    }
    o->by = (enum metric)by;
    for (size_t i = 4; i < c->argc; i++) {
        if (nd_arg_is(c, i, "limit") && i + 1 < c->argc) {
            if (!nd_arg_range(c, ++i, 1, CL_SLOTS, &o->limit,
                              "ERR Limit has to lie in between 1 and 16384 (maximum number of slots)."))
                return false;
            limits++;
        } else if (nd_arg_is(c, i, "asc") || nd_arg_is(c, i, "desc")) {
            o->ascending = nd_arg_is(c, i, "asc");
            directions++;
        } else {
            nd_syntax_error(c);
            return false;
        }
        if (limits > 1 || directions > 1) {
            nd_error(c, "ERR Multiple filters of the same type are disallowed.");
            return false;
        }
    }
    return true;
}

static int compare_rows(const void *a, const void *b)
{
    const struct slot_row *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->slot - y->slot;
}

static void order_by(struct nd_call *c)
{
    struct slot_rows rows;
    struct order o;
    if (!read_order(c, &o))
        return;
    gather(c->e->cluster, 0, CL_SLOTS - 1, &rows);
    for (size_t i = 0; i < rows.n; i++) {
        uint64_t figure = rows.v[i].figures[o.by];
        rows.v[i].rank = o.ascending ? figure : UINT64_MAX - figure;
    }
    qsort(rows.v, rows.n, sizeof *rows.v, compare_rows);
    put_rows(c, &rows, rows.n < (size_t)o.limit ? rows.n : (size_t)o.limit);
    free(rows.v);
}

void nd_cluster_slot_stats(struct nd_call *c)
{
    if (!nd_cluster_on(c))
        return;
    if (c->argc == 5 && nd_arg_is(c, 2, "slotsrange"))
        slots_range(c);
    else if (nd_arg_is(c, 2, "orderby"))
        order_by(c);
    else
        nd_subcommand_syntax(c);
}
