/* The writes to a job's slots, and how much of them is on its way. */
#include "noded/repl/export_state.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "noded/cmd/cluster.h"
#include "noded/repl/stream.h"

#include <string.h>

#define OUT_KEPT ((size_t)1024 * 1024)
#define NEAR_LEAST ((uint64_t)1024) /* a round itself is on its way too */
#define NEAR_GROWTH ((uint64_t)64)  /* of the measure at most */
#define LOOK_US 250000              /* in which what is left has to become less by a tenth */
#define AGAIN_US 1000000            /* the core was told, and has not taken it up */
#define QUICK_US 20000              /* in which FLUSH should be answered, */
#define SLOWER_US 250000            /* and how long we insist before twice as much will do */
#define BUSY_US 20000               /* before a target that was not quick is asked again */

/* ---- which writes ---- */

enum { SLOT_NONE = -1, SLOT_UPSET = -2 };

static bool upsets(const struct nd_command *cmd)
{
    return strcmp(cmd->name, "flushall") == 0 || strcmp(cmd->name, "flushdb") == 0 || strcmp(cmd->name, "swapdb") == 0;
}

/* The slot of the first key. What lies in shadows is on its way to this node, and not from it. */
static int slot_of(struct nd_engine *e, const struct nd_effect_row *row)
{
    int at;
    if (row->db < 0 || row->db >= e->keys.db_count)
        return SLOT_NONE;
    const struct nd_indexed *found = nd_commands_find(e->commands, row->argv, row->argc, NULL);
    if (found == NULL)
        return SLOT_NONE;
    if (found->keyed == ND_KEYED_FIRST)
        return nd_keyspace_slot(&e->keys, row->argv[1]);
    if (found->keyed == ND_KEYED_NOT)
        return upsets(found->cmd) ? SLOT_UPSET : SLOT_NONE;
    return nd_command_keys(found->cmd, row->argv, row->argc, &at, 1) > 0 ? nd_key_slot(row->argv[at]) : SLOT_NONE;
}

/* false: the unit did what no job can follow. */
static bool find_slots(struct nd_exports *xs, const struct nd_effect_row *rows, size_t n)
{
    while (xs->slots_cap < n)
        xs->row_slots = mem_grow(xs->row_slots, xs->slots_cap, &xs->slots_cap, sizeof *xs->row_slots);
    for (size_t i = 0; i < n; i++) {
        xs->row_slots[i] = slot_of(xs->r->e, &rows[i]);
        if (xs->row_slots[i] == SLOT_UPSET)
            return false;
    }
    return true;
}

static void overflow_look(struct nd_export *x)
{
    const struct nd_exports *xs = x->all;
    int64_t limit = xs->r->e->config.slot_migration_buffer_limit;
    if (limit > 0 && xs->host.unsent(xs->host.owner, x->wire) > (size_t)limit)
        nd_export_fail(x, "source buffer overflow");
}

static void feed(struct nd_export *x, const struct nd_effect_row *rows, size_t n)
{
    struct nd_exports *xs = x->all;
    size_t count = 0;
    while (xs->rows_cap < n)
        xs->rows = mem_grow(xs->rows, xs->rows_cap, &xs->rows_cap, sizeof *xs->rows);
    for (size_t i = 0; i < n; i++)
        if (xs->row_slots[i] >= 0 && cl_bit(x->slots, xs->row_slots[i]))
            xs->rows[count++] = rows[i];
    if (count == 0)
        return;
    buf_clear(&xs->out);
    nd_stream_put(&xs->out, &x->stream_db, xs->rows, count, false);
    nd_export_send(x, xs->out.p, xs->out.n);
    if (xs->out.cap > OUT_KEPT)
        buf_free(&xs->out);
    overflow_look(x);
}

void nd_exports_feed(struct nd_repl *r, const struct nd_effect_row *rows, size_t n)
{
    struct nd_exports *xs = r->exports;
    if (!find_slots(xs, rows, n)) {
        nd_exports_upset(r, "a database was emptied or exchanged");
        return;
    }
    for (struct nd_export *x = xs->first, *next; x != NULL; x = next) {
        next = x->next;
        /* While writes wait, keys of the slots still expire or are evicted. */
        if (x->step >= ND_EXPORT_SNAPSHOT && x->step < ND_EXPORT_GRANTED)
            feed(x, rows, n);
    }
}

/* ---- how much is left ---- */

static uint64_t setting(const struct nd_export *x)
{
    uint64_t bytes = (uint64_t)x->all->r->e->config.slot_migration_near_bytes;
    return bytes > NEAR_LEAST ? bytes : NEAR_LEAST;
}

void nd_export_begin_stream(struct nd_export *x)
{
    x->near_bytes = setting(x);
    x->least_bytes = UINT64_MAX;
    x->next_us = x->look_us = x->all->r->e->now_us;
}

/* What is left is looked at when an acknowledgement has just come: then it is what is really on its way. */
static void measure(struct nd_export *x)
{
    int64_t now_us = x->all->r->e->now_us;
    uint64_t left = nd_export_left(x), most = setting(x) * NEAR_GROWTH;
    if (left <= x->near_bytes || now_us < x->look_us)
        return;
    if (left > x->least_bytes - x->least_bytes / 10 && x->near_bytes < most)
        x->near_bytes *= 2;
    x->least_bytes = left;
    x->look_us = now_us + LOOK_US;
}

/* What the target took to bring all to its disk and to its replicas it takes once more while writes wait: with a disk
 * that is busy just now they had better not begin to. */
static bool was_quick(struct nd_export *x)
{
    int64_t now_us = x->all->r->e->now_us, bound_us = QUICK_US;
    if (x->near_us == 0)
        x->near_us = now_us;
    for (int64_t us = now_us - x->near_us; us >= SLOWER_US && bound_us < AGAIN_US; us -= SLOWER_US)
        bound_us *= 2;
    return now_us - x->asked_us <= bound_us || bound_us >= AGAIN_US;
}

void nd_export_acked(struct nd_export *x, bool flushed)
{
    int64_t now_us = x->all->r->e->now_us;
    measure(x);
    if (flushed && !x->resuming && nd_export_left(x) <= x->near_bytes) {
        bool quick = was_quick(x);
        x->next_us = now_us + (quick ? AGAIN_US : BUSY_US);
        if (quick)
            nd_export_news(x, CL_JOB_IS_NEAR, 0, (struct slice){NULL, 0});
        return;
    }
    nd_export_look(x);
}

int64_t nd_export_look_us(const struct nd_export *x)
{
    return !x->flushing && !x->resuming && nd_export_left(x) <= x->near_bytes ? x->next_us : HEAP_NEVER;
}

void nd_export_look(struct nd_export *x)
{
    if (nd_export_look_us(x) <= x->all->r->e->now_us)
        nd_export_flush(x);
}
