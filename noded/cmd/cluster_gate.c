/* Whose request it is, and whether it has to wait. The slots of its keys are compared with the map before a command
 * runs, and before it is queued; EXEC looks at all that is queued together, with the databases that the SELECTs among
 * them choose. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/cluster_rows.h"
#include "noded/cmd/lookup.h"
#include "noded/cmd/multi.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/slot_stats.h"
#include "noded/cmd/transaction.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_AT_ONCE 64

/* Keys of one command: few stand here, many in memory of their own. */
struct keys {
    int few[KEYS_AT_ONCE];
    int *at;
    int n;
};

static bool is_channels(const struct nd_command *cmd)
{
    return cmd->keys[0].flags != NULL && strcmp(cmd->keys[0].flags, "NOT_KEY") == 0;
}

/* A command whose arguments make no sense has no keys: it answers its own error. */
static void find_keys(const struct nd_command *cmd, const struct slice *argv, size_t argc, struct keys *k)
{
    k->at = k->few;
    if (is_channels(cmd)) {
        /* Shard channels are no keys to COMMAND GETKEYS, but they have slots as keys have. */
        struct nd_command channels = *cmd;
        channels.keys[0].flags = "";
        k->n = nd_command_keys(&channels, argv, argc, k->few, KEYS_AT_ONCE);
        if (k->n > KEYS_AT_ONCE) {
            k->at = mem_array(NULL, (size_t)k->n, sizeof *k->at);
            nd_command_keys(&channels, argv, argc, k->at, k->n);
        }
    } else {
        k->n = nd_command_keys(cmd, argv, argc, k->few, KEYS_AT_ONCE);
        if (k->n > KEYS_AT_ONCE) {
            k->at = mem_array(NULL, (size_t)k->n, sizeof *k->at);
            nd_command_keys(cmd, argv, argc, k->at, k->n);
        }
    }
    if (k->n < 0)
        k->n = 0;
}

static void free_keys(struct keys *k)
{
    if (k->at != k->few)
        free(k->at);
}

/* ---- databases ---- */

/* SELECT among the queued: the database of those behind it. */
static int db_after(const struct nd_engine *e, int db, const struct nd_command *cmd, const struct slice *argv)
{
    int64_t n;
    if (strcmp(cmd->name, "select") != 0 || !text_range(argv[1], 0, e->keys.db_count - 1, &n))
        return db;
    return (int)n;
}

/* The other database of MOVE and COPY; `own` when there is none. */
static int other_db(const struct nd_command *cmd, const struct slice *argv, size_t argc, int own)
{
    int64_t n = own;
    if (strcmp(cmd->name, "move") == 0) {
        text_range(argv[2], 0, INT32_MAX, &n);
    } else if (strcmp(cmd->name, "copy") == 0) {
        for (size_t i = 3; i + 1 < argc; i++)
            if (slice_ieq(argv[i], "db"))
                text_range(argv[i + 1], 0, INT32_MAX, &n);
    }
    return (int)n;
}

/* ---- a request, command by command ---- */

struct part {
    const struct nd_command *cmd;
    const struct slice *argv;
    size_t argc;
    int db;
};

struct look {
    const struct nd_call *c;
    const struct nd_multi *queue; /* NULL: the command alone; else what was queued, */
    bool exec;                    /* and of EXEC nothing more */
    size_t next;
    int db;
};

static void look_begin(struct look *l, const struct nd_call *c)
{
    bool multi = (c->s->flags & ND_S_MULTI) != 0;
    *l = (struct look){
        .c = c,
        .queue = multi ? c->s->multi : NULL,
        .exec = c->cmd->run == nd_exec_command,
        .db = nd_db_number(c->s->db),
    };
}

/* The next part. Queued commands are parts of EXEC only; otherwise they are walked over for their SELECTs. */
static bool look_next(struct look *l, struct part *p)
{
    size_t queued = l->queue != NULL ? l->queue->n : 0;
    while (l->next < queued) {
        const struct nd_queued *q = &l->queue->v[l->next++];
        *p = (struct part){.cmd = q->row->cmd, .argv = q->argv, .argc = q->argc, .db = l->db};
        l->db = db_after(l->c->e, l->db, q->row->cmd, q->argv);
        if (l->exec)
            return true;
    }
    if (l->exec || l->next > queued)
        return false;
    l->next++;
    *p = (struct part){.cmd = l->c->cmd, .argv = l->c->argv, .argc = l->c->argc, .db = l->db};
    return true;
}

static bool is_there(struct nd_engine *e, int number, struct slice key)
{
    struct nd_db *db = nd_keyspace_peek(&e->keys, number);
    const struct nd_entry *entry = db != NULL ? nd_db_find(db, key) : NULL;
    return entry != NULL && !nd_time_is_over(e->now_ms, entry);
}

/* One key named again counts once: so Redis sees whether there are several. */
static bool is_again(struct slice key, struct slice *first)
{
    if (first->p != NULL)
        return slice_eq(key, *first);
    *first = key.p != NULL ? key : slice_of("");
    return false;
}

static size_t count_missing(void *owner)
{
    struct look l;
    struct part p;
    struct slice first = {NULL, 0};
    size_t n = 0;
    const struct nd_call *c = owner;
    look_begin(&l, c);
    while (look_next(&l, &p)) {
        struct keys k;
        find_keys(p.cmd, p.argv, p.argc, &k);
        for (int i = 0; i < k.n; i++)
            n += !is_again(p.argv[k.at[i]], &first) && !is_there(c->e, p.db, p.argv[k.at[i]]);
        free_keys(&k);
    }
    return n;
}

/* What the parts are together. Returns the slot of the first key. */
static int gather(const struct nd_call *c, struct cl_request *r)
{
    struct look l;
    struct part p;
    struct slice first = {NULL, 0};
    int first_slot = CL_NO_KEYS;
    look_begin(&l, c);
    while (look_next(&l, &p)) {
        struct keys k;
        find_keys(p.cmd, p.argv, p.argc, &k);
        for (int i = 0; i < k.n; i++) {
            if (is_again(p.argv[k.at[i]], &first))
                continue;
            int slot = nd_key_slot(p.argv[k.at[i]]);
            if (first_slot == CL_NO_KEYS)
                r->slot = first_slot = slot;
            else if (slot != first_slot)
                r->slot = CL_MANY_SLOTS;
            r->keys++;
        }
        free_keys(&k);
        r->write |= (p.cmd->flags & ND_WRITE) != 0;
        r->changes |= (p.cmd->flags & (ND_WRITE | ND_MAY_REPLICATE)) != 0 && !is_channels(p.cmd);
        r->asking |= (p.cmd->flags & ND_ASKING) != 0;
        r->migrate |= strcmp(p.cmd->name, "migrate") == 0;
        r->shard_channels |= is_channels(p.cmd);
        r->between_databases |= other_db(p.cmd, p.argv, p.argc, p.db) != p.db;
    }
    return first_slot;
}

/* ---- what is held ---- */

/* What is only queued does not: EXEC waits for all of it. */
static bool may_wait(const struct nd_call *c)
{
    bool queued = (c->s->flags & ND_S_MULTI) != 0 && (c->row->flags & ND_RUNS_IN_MULTI) == 0;
    return c->s->kind == ND_CLIENT && !queued;
}

/* FLUSHALL, FLUSHDB, SWAPDB: they change whatever slots there are. */
static bool changes_all_slots(const struct part *p)
{
    return (p->cmd->flags & ND_WRITE) != 0 && p->cmd->keys[0].flags == NULL && p->cmd->find_keys == NULL;
}

/* Keys of the database are looked at or changed. */
static bool uses_database(const struct part *p)
{
    if ((p->cmd->flags & (ND_READONLY | ND_WRITE)) != 0 || p->cmd->run == nd_cluster_countkeysinslot ||
        p->cmd->run == nd_cluster_getkeysinslot)
        return true;
    return !is_channels(p->cmd) && (p->cmd->keys[0].flags != NULL || p->cmd->find_keys != NULL);
}

static bool uses_held_database(const struct nd_cluster *cl, const struct part *p)
{
    if ((cl->held_dbs[0] < 0 && !cl->holds_all) || !uses_database(p))
        return false;
    if (cl->holds_all)
        return true;
    int other = other_db(p->cmd, p->argv, p->argc, p->db);
    for (size_t i = 0; i < 2; i++)
        if (p->db == cl->held_dbs[i] || other == cl->held_dbs[i])
            return true;
    return strcmp(p->cmd->name, "flushall") == 0;
}

/* Its keys would go by the number of a database that is about to mean another (SAFETY H4). What ends a move goes on. */
static bool opens_slot(const struct nd_cluster *cl, const struct part *p)
{
    return cl->held_dbs[0] >= 0 && p->cmd->run == nd_cluster_setslot && p->argc > 3 &&
           (slice_ieq(p->argv[3], "migrating") || slice_ieq(p->argv[3], "importing"));
}

/* Something is held, and the request's own slot is not. */
static bool waits_for_held(const struct nd_call *c)
{
    const struct nd_cluster *cl = c->e->cluster;
    bool some_slot = cl_some_slot_held(cl->core), waits = false;
    struct look l;
    struct part p;
    if (!may_wait(c))
        return false;
    look_begin(&l, c);
    while (!waits && look_next(&l, &p))
        waits = (some_slot && changes_all_slots(&p)) || uses_held_database(cl, &p) || opens_slot(cl, &p);
    return waits;
}

static enum nd_gate wait_for_held(struct nd_call *c)
{
    nd_postpone(c->s);
    return ND_GATE_POSTPONED;
}

/* ---- answers ---- */

/* A key that another node moves here: its number means the database as it was, and the swap waits for it there. */
static enum nd_gate refuse_to_hold(struct nd_call *c)
{
    nd_cluster_refuse(c, "TRYAGAIN The database is being swapped with another one");
    return ND_GATE_REFUSED;
}

void nd_cluster_refuse(struct nd_call *c, const char *error)
{
    struct nd_session *s = c->s;
    if (c->cmd->run == nd_exec_command)
        nd_multi_discard(s);
    else if ((s->flags & ND_S_MULTI) != 0)
        s->flags |= ND_S_DIRTY_EXEC;
    c->e->stats.by_command[c->row->number].rejected++;
    nd_error(c, "%s", error);
}

/* A node that knows database 0 only would take what is written to another one for its own (SAFETY, section 7). */
static bool refused_for_stock(struct nd_call *c)
{
    const struct nd_cluster *cl = c->e->cluster;
    struct look l;
    struct part p;
    int db = 0;
    look_begin(&l, c);
    while (db == 0 && look_next(&l, &p)) {
        if ((p.cmd->flags & ND_WRITE) == 0 || strcmp(p.cmd->name, "flushall") == 0)
            continue; /* FLUSHALL means the same everywhere */
        int other = other_db(p.cmd, p.argv, p.argc, p.db);
        db = p.db != 0 ? p.db : other;
    }
    if (db == 0)
        return false;
    char id[CL_ID_DIGITS + 1];
    struct cl_member m;
    struct buf error = {0};
    buf_printf(&error, "ERR Database %d can't be written: ", db);
    if (cl->has_stock) {
        buf_printf(&error, "node %s", cl_id_text(&cl->stock, id));
        if (cl_find_member(cl->core, slice_of(id), &m))
            buf_printf(&error, " at %s:%d", m.ip, (int)m.port);
        buf_puts(&error, " in this shard knows database 0 only");
    } else { /* not heard of over the bus yet, or forgotten, and still there */
        buf_printf(&error, "replica %s knows database 0 only", cl->stock_address);
    }
    nd_cluster_refuse(c, buf_str(&error));
    buf_free(&error);
    return true;
}

/* What the slot has cost so far is looked at after the run: it comes near meanwhile. */
static void is_in_slot(struct nd_call *c, int slot)
{
    c->in_slot = true;
    c->slot = (uint16_t)slot;
    __builtin_prefetch(&c->e->cluster->slot_stats->of[slot], 1);
}

static enum nd_gate look_at_slots(struct nd_call *c)
{
    const struct nd_cluster *cl = c->e->cluster;
    struct cl_request r = {
        .slot = CL_NO_KEYS,
        .asking = (c->s->flags & ND_S_ASKING) != 0,
        .readonly = (c->s->flags & ND_S_READONLY) != 0,
        .missing = count_missing,
        .owner = c,
    };
    struct cl_member to;
    int first = gather(c, &r);
    r.changes = r.changes && may_wait(c);
    /* A slot of nobody is told before the others are looked at. */
    if (r.slot == CL_MANY_SLOTS && !cl_slot_assigned(cl->core, first))
        r.slot = first;
    r.readonly |= r.shard_channels;
    enum cl_verdict v = cl_redirect(cl->core, &r, &to);
    if (v == CL_HERE || (v == CL_WAIT && !may_wait(c))) {
        if (r.slot >= 0)
            is_in_slot(c, r.slot);
        return ND_GATE_OPEN;
    }
    if (v == CL_WAIT)
        return wait_for_held(c);
    struct buf error = {0};
    cl_verdict_text(cl->core, v, r.slot, &to, &error);
    nd_cluster_refuse(c, buf_str(&error));
    buf_free(&error);
    return ND_GATE_REFUSED;
}

/* One key of a slot that is ours and at rest: what nearly every request is. */
static bool is_plain(struct nd_call *c)
{
    if (c->row->keyed != ND_KEYED_FIRST)
        return false;
    int slot = nd_keyspace_slot(&c->e->keys, c->argv[1]);
    if (!cl_bit(c->e->cluster->plain, slot))
        return false;
    is_in_slot(c, slot);
    return true;
}

enum nd_gate nd_cluster_gate(struct nd_call *c)
{
    if (c->s->kind == ND_MASTER || c->s->kind == ND_INNER || (c->s->flags & ND_S_IMPORT) != 0)
        return ND_GATE_OPEN;
    if (c->row->keyed != ND_KEYED_NOT && !is_plain(c)) {
        enum nd_gate gate = look_at_slots(c);
        if (gate != ND_GATE_OPEN)
            return gate;
    }
    if (c->e->cluster->holds && waits_for_held(c))
        return (c->row->flags & ND_ASKING) != 0 ? refuse_to_hold(c) : wait_for_held(c);
    return nd_cluster_one_database(c->e->cluster) && refused_for_stock(c) ? ND_GATE_REFUSED : ND_GATE_OPEN;
}

bool nd_cluster_holds_key(const struct nd_engine *e, const struct nd_db *db, struct slice key)
{
    const struct nd_cluster *cl = e->cluster;
    if (cl == NULL || !cl->holds)
        return false;
    int slot = nd_key_slot(key), number = nd_db_number(db);
    return cl->holds_all || cl_bit(cl->held.waiting, slot) || cl_bit(cl->held.refused, slot) ||
           number == cl->held_dbs[0] || number == cl->held_dbs[1];
}

void nd_cluster_asked(struct nd_session *s, const struct nd_command *cmd)
{
    bool said_now = cmd != NULL && cmd->run == nd_asking_command;
    if (!said_now && (s->flags & ND_S_MULTI) == 0)
        s->flags &= ~(uint32_t)ND_S_ASKING;
}

/* ---- what has changed ---- */

/* true: it is another one than the last time. */
static bool look_at_holds(struct nd_cluster *cl)
{
    struct cl_held_slots held;
    int dbs[2];
    bool some_slot = cl_some_slot_held(cl->core), some_db = cl_databases_held(cl->core, &dbs[0], &dbs[1]);
    bool all = cl_mapping_doubted(cl->core);
    if (!some_slot && !some_db && !all && !cl->holds)
        return false;
    if (!some_db)
        dbs[0] = dbs[1] = -1;
    cl_held_slots(cl->core, &held);
    bool changed = all != cl->holds_all || memcmp(dbs, cl->held_dbs, sizeof dbs) != 0 ||
                   memcmp(&held, &cl->held, sizeof held) != 0;
    cl->holds = some_slot || some_db || all;
    cl->holds_all = all;
    cl->held = held;
    memcpy(cl->held_dbs, dbs, sizeof dbs);
    return changed;
}

bool nd_cluster_look(struct nd_cluster *cl)
{
    uint8_t plain[CL_SLOT_BYTES];
    uint64_t version = cl_version(cl->core);
    bool changed = look_at_holds(cl);
    cl_plain_slots(cl->core, plain);
    if (!changed && version == cl->version && memcmp(plain, cl->plain, sizeof plain) == 0)
        return false;
    cl->version = version;
    memcpy(cl->plain, plain, sizeof plain);
    cl->has_stock = cl_shard_has_stock(cl->core, &cl->stock);
    nd_slot_stats_look(cl);
    return true;
}

bool nd_cluster_shard_has(struct nd_cluster *cl, int slot)
{
    struct cl_request r = {.slot = slot, .keys = 1, .readonly = true, .shard_channels = true};
    enum cl_verdict v = cl_redirect(cl->core, &r, NULL);
    return v == CL_HERE || v == CL_DOWN;
}

bool nd_cluster_moved_away(struct nd_session *s, const struct nd_command *cmd, const struct slice *argv, size_t argc,
                           struct buf *out)
{
    const struct nd_cluster *cl = s->e->cluster;
    struct keys k;
    struct cl_member to;
    struct cl_request r = {
        .slot = CL_NO_KEYS,
        .readonly = (s->flags & ND_S_READONLY) != 0,
        .write = (cmd->flags & ND_WRITE) != 0,
    };
    find_keys(cmd, argv, argc, &k);
    if (k.n > 0)
        r.slot = nd_key_slot(argv[k.at[0]]);
    r.keys = (size_t)k.n;
    free_keys(&k);
    if (cl_still_here(cl->core, &r))
        return false;
    enum cl_verdict v = cl_redirect(cl->core, &r, &to);
    if (v == CL_HERE)
        return false;
    cl_verdict_text(cl->core, v, r.slot, &to, out);
    return true;
}
