/* How a replica comes in: with what it lacks of the stream, or with a snapshot. */
#include "noded/repl/serve_sync.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "common/base/runid.h"
#include "noded/cmd/call.h"
#include "noded/repl/follow.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void note(struct nd_serving *v, const struct nd_replica *p, const char *what)
{
    struct nd_engine *e = v->r->e;
    struct buf line = {0}, address = {0};
    nd_serve_address(p, &address);
    buf_printf(&line, "Replica %s:%d %s", buf_str(&address), (int)p->port, what);
    e->host.log(e->host.owner, ND_LOG_NOTICE, buf_str(&line));
    buf_free(&line);
    buf_free(&address);
}

/* ---- partial ---- */

static bool same_id(const char *a, const char *b)
{
    return slice_ieq(slice_of(a), b);
}

/* Its history is ours up to the byte before `offset`. */
static bool knows_our_history(const struct nd_repl *r, const char *id, int64_t offset)
{
    return same_id(id, r->id) || (r->id2_offset >= 0 && same_id(id, r->id2) && offset <= r->id2_offset);
}

const char *nd_serve_knows_too_little(struct nd_call *c)
{
    const struct nd_engine *e = c->e;
    if (!nd_serve_knows_one_database(e, nd_serve_replica(e->repl, c->s)))
        return NULL;
    /* Who would follow it as a master had no mapping any more, and no supervisor could say which one its data has. */
    if (e->keys.mapping_epoch > 0)
        return "Databases of this cluster were swapped, and a node that knows database 0 only cannot keep which is "
               "which: let a noded be its replica";
    for (int i = 1; i < nd_keyspace_all(&e->keys); i++) {
        const struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db != NULL && nd_db_count(db) > 0)
            return "Databases other than 0 hold keys, which a replica that knows database 0 only would mix up";
    }
    return NULL;
}

static bool go_on(struct nd_call *c, struct nd_replica *p, const char *id, int64_t offset)
{
    struct nd_repl *r = c->e->repl;
    if (r->backlog == NULL || !knows_our_history(r, id, offset) ||
        (nd_serve_knows_one_database(c->e, p) && offset <= r->other_db_offset) ||
        !nd_backlog_open(r->backlog, offset, &p->cursor))
        return false;
    struct buf *out = c->s->r.out;
    if ((p->capa & ND_CAPA_PSYNC2) != 0)
        buf_printf(out, "+CONTINUE %s\r\n", r->id);
    else
        buf_puts(out, "+CONTINUE\r\n");
    nd_serve_join(r->serving, p);
    nd_serve_online(r->serving, p);
    note(r->serving, p, "goes on where it was");
    return true;
}

/* ---- in full ---- */

/* The snapshot that is being written to a file will do for this one too: what came since its beginning is kept for
 * another replica that waits for the same file. */
static bool share_file(struct nd_serving *v, struct nd_replica *p)
{
    if (!v->writing || v->to_sockets || (p->capa & v->file_capa) != v->file_capa || strcmp(v->file_id, v->r->id) != 0 ||
        (nd_serve_knows_one_database(v->r->e, p) && v->file_offset < v->r->other_db_offset) ||
        !nd_backlog_open(v->r->backlog, v->file_offset + 1, &p->cursor))
        return false;
    if (p->rdb_only)
        nd_backlog_close(&p->cursor);
    p->state = ND_REPLICA_WRITTEN;
    p->snapshot_offset = v->file_offset;
    if (!p->old)
        buf_printf(p->s->r.out, "+FULLRESYNC %s %" PRId64 "\r\n", v->r->id, v->file_offset);
    return true;
}

void nd_serve_begin(struct nd_call *c, const char *id, int64_t offset)
{
    struct nd_repl *r = c->e->repl;
    struct nd_serving *v = r->serving;
    struct nd_replica *p = nd_serve_replica(r, c->s);
    p->old = id == NULL;
    if (id != NULL && go_on(c, p, id, offset)) {
        c->e->stats.sync_partial_ok++;
        return;
    }
    if (id != NULL && id[0] != '?')
        c->e->stats.sync_partial_err++;
    c->e->stats.sync_full++;
    if (r->backlog == NULL)
        nd_repl_open_backlog(r, !c->e->is_replica);
    p->state = ND_REPLICA_WAITS;
    nd_serve_join(v, p);
    note(v, p, "gets a snapshot");
    share_file(v, p);
}

/* The child's sockets: taken away from everybody else until it ends. */
static void share_sockets(struct nd_serving *v, struct nd_replica *p)
{
    v->shared[v->shared_n] = p;
    v->fds[v->shared_n] = v->host.socket(v->host.owner, p->s);
    v->shared_n++;
    p->lent = true;
    v->host.lend(v->host.owner, p->s, true);
}

void nd_serve_unshare(struct nd_serving *v, struct nd_replica *p)
{
    size_t left = 0;
    for (size_t i = 0; i < v->shared_n; i++) {
        if (v->shared[i] == p)
            v->shared[i] = NULL;
        left += v->shared[i] != NULL;
    }
    if (!p->lent)
        return;
    p->lent = false;
    if (left == 0 && v->writing && v->to_sockets)
        nd_persist_stop(v->r->e->persist); /* it would write for nobody */
}

static void failed(struct nd_serving *v, struct nd_replica *p, const char *why)
{
    struct buf line = {0};
    buf_printf(&line, "no snapshot could be made for it (%s)", why);
    nd_serve_drop(v, p, buf_str(&line));
    buf_free(&line);
}

static void take_part(struct nd_serving *v, struct nd_replica *p)
{
    struct nd_repl *r = v->r;
    p->snapshot_offset = r->offset;
    p->acknowledged = false;
    if (!p->old)
        buf_printf(p->s->r.out, "+FULLRESYNC %s %" PRId64 "\r\n", r->id, r->offset);
    p->state = ND_REPLICA_WRITTEN;
}

/* ---- the end of a snapshot ---- */

static void sockets_ended(struct nd_serving *v, const struct nd_child_end *end)
{
    for (size_t i = 0; i < v->shared_n; i++) {
        struct nd_replica *p = v->shared[i];
        if (p == NULL)
            continue;
        v->shared[i] = NULL;
        p->lent = false;
        bool got = end->got != NULL && end->got[i];
        if (!got) {
            nd_serve_drop(v, p, end->why != NULL ? end->why : "it did not take its snapshot");
            continue;
        }
        v->host.lend(v->host.owner, p->s, false);
        if (p->rdb_only) {
            nd_serve_drop(v, p, "it has the snapshot that it wanted");
            continue;
        }
        nd_serve_online(v, p);
        p->held = !p->acknowledged; /* the stream may not run into the end of what it still reads */
        note(v, p, "got its snapshot");
    }
    v->shared_n = 0;
}

static bool only_for_replicas(const struct nd_config *config)
{
    return config->rdb_del_sync_files && config->save[0] == '\0' && !config->appendonly;
}

static void file_ended(struct nd_serving *v, const struct nd_child_end *end)
{
    const struct nd_config *config = &v->r->e->config;
    struct buf why = {0};
    for (struct nd_replica *p = v->first, *next; p != NULL; p = next) {
        next = p->next;
        if (p->state != ND_REPLICA_WRITTEN)
            continue;
        buf_clear(&why);
        if (!end->ok) {
            failed(v, p, end->why);
        } else if (v->host.send_file(v->host.owner, p->s, v->file_path, &why)) {
            p->state = ND_REPLICA_SENT;
            v->r->e->host.wake(v->r->e->host.owner, p->s);
        } else {
            failed(v, p, buf_str(&why));
        }
    }
    buf_free(&why);
    if (end->ok && only_for_replicas(config))
        v->host.remove_file(v->host.owner, v->file_path);
}

static void snapshot_ended(void *owner, const struct nd_child_end *end)
{
    struct nd_serving *v = owner;
    v->writing = false;
    if (v->to_sockets)
        sockets_ended(v, end);
    else
        file_ended(v, end);
}

void nd_serve_file_sent(struct nd_session *s)
{
    struct nd_serving *v = s->e->repl->serving;
    struct nd_replica *p = s->replica;
    if (p == NULL || p->state != ND_REPLICA_SENT)
        return;
    if (p->rdb_only) {
        nd_serve_drop(v, p, "it has the snapshot that it wanted");
        return;
    }
    nd_serve_online(v, p);
    note(v, p, "got its snapshot");
}

/* ---- its beginning ---- */

/* Those that wait now, and what all of them can take. */
struct crowd {
    size_t n;
    unsigned capa;
    int64_t first_us; /* the one that has waited longest */
};

static struct crowd look(const struct nd_serving *v)
{
    struct crowd c = {.capa = ~0U, .first_us = HEAP_NEVER};
    for (const struct nd_replica *p = v->first; p != NULL; p = p->next) {
        if (p->state != ND_REPLICA_WAITS)
            continue;
        c.n++;
        c.capa &= p->capa;
        if (p->since_us < c.first_us)
            c.first_us = p->since_us;
    }
    return c;
}

static int64_t due_us(const struct nd_serving *v, const struct crowd *c)
{
    const struct nd_config *config = &v->r->e->config;
    int64_t enough = config->repl_diskless_sync_max_replicas;
    if (c->n == 0)
        return HEAP_NEVER;
    if (!config->repl_diskless_sync || (c->capa & ND_CAPA_EOF) == 0 || (enough > 0 && c->n >= (size_t)enough))
        return c->first_us;
    return c->first_us + config->repl_diskless_sync_delay_s * 1000000;
}

static bool may_begin(const struct nd_serving *v)
{
    const struct nd_persist *persist = v->r->e->persist;
    return persist != NULL && persist->child == ND_CHILD_NONE && !v->writing;
}

int64_t nd_serve_snapshot_due_us(const struct nd_serving *v)
{
    if (v->first == NULL || v->r->e->loading || !may_begin(v))
        return HEAP_NEVER;
    struct crowd c = look(v);
    return due_us(v, &c);
}

/* What is in the way of the child's bytes leaves first; who does not take it is not served. */
static void gather(struct nd_serving *v, const struct crowd *c)
{
    v->shared = mem_array(v->shared, c->n, sizeof(struct nd_replica *));
    v->fds = mem_array(v->fds, c->n, sizeof *v->fds);
    v->shared_n = 0;
    for (struct nd_replica *p = v->first, *next; p != NULL; p = next) {
        next = p->next;
        if (p->state != ND_REPLICA_WAITS)
            continue;
        take_part(v, p);
        if (!v->to_sockets)
            continue;
        if (v->host.flush(v->host.owner, p->s))
            share_sockets(v, p);
        else
            nd_serve_drop(v, p, "it does not read what it is sent");
    }
}

static void give_up(struct nd_serving *v, const char *why)
{
    v->writing = false;
    for (struct nd_replica *p = v->first, *next; p != NULL; p = next) {
        next = p->next;
        if (p->state == ND_REPLICA_WRITTEN)
            failed(v, p, why);
    }
    v->shared_n = 0;
}

/* The cursors of those that take part begin behind the snapshot. */
static void open_cursors(struct nd_serving *v)
{
    for (struct nd_replica *p = v->first; p != NULL; p = p->next)
        if (p->state == ND_REPLICA_WRITTEN && !p->rdb_only)
            nd_backlog_open(v->r->backlog, v->file_offset + 1, &p->cursor);
}

static void start(struct nd_serving *v)
{
    struct nd_repl *r = v->r;
    struct nd_child_spec spec = {.kind = ND_CHILD_SYNC};
    struct buf head = {0}, why = {0};
    runid_draw(&r->e->rng, v->mark);
    buf_printf(&head, "$EOF:%s\r\n", v->mark);
    if (v->to_sockets) {
        spec.fds = v->fds;
        spec.fd_count = v->shared_n;
        spec.head = buf_slice(&head);
        spec.tail = (struct slice){v->mark, ND_REPL_ID};
    } else {
        free(v->file_path);
        spec.path = v->file_path = mem_strdup(r->e->config.dbfilename);
    }
    if (!r->e->is_replica)
        r->stream_db = -1; /* what follows says anew which database it means */
    v->writing = true;
    if (nd_persist_start(r->e->persist, &spec, snapshot_ended, v, &why))
        open_cursors(v);
    else
        give_up(v, buf_str(&why));
    buf_free(&head);
    buf_free(&why);
}

void nd_serve_look_for_snapshot(struct nd_serving *v)
{
    struct nd_repl *r = v->r;
    if (v->first == NULL || r->e->loading || !may_begin(v))
        return;
    struct crowd c = look(v);
    if (due_us(v, &c) > r->e->now_us)
        return;
    v->to_sockets = r->e->config.repl_diskless_sync && (c.capa & ND_CAPA_EOF) != 0;
    v->file_capa = c.capa;
    memcpy(v->file_id, r->id, sizeof v->file_id);
    v->file_offset = r->offset;
    gather(v, &c);
    if (v->to_sockets && v->shared_n == 0)
        return;
    start(v);
}
