#include "noded/cmd/block.h"

#include "common/base/mem.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* One session in the queue of one key. */
struct nd_wait {
    struct nd_waiting *by;
    struct nd_waited *key;
    struct nd_wait *next, *prev;
};

/* A key with its queue: first come, first served. */
struct nd_waited {
    struct slice key; /* our copy */
    struct nd_wait *first, *last;
    struct nd_db *noted; /* where it is known to be ready already; NULL */
};

struct nd_waiting {
    struct heap_node timer; /* first: the heap gives it back */
    struct nd_session *s;
    const struct nd_indexed *row;
    struct nd_db *db;
    enum nd_type type;
    nd_command_fn *at_timeout;
    void (*gone)(void *what); /* of nd_block_outside(); else NULL */
    void *what;
    size_t argc;
    struct slice *argv; /* one allocation with its bytes */
    size_t n;
    struct nd_wait waits[]; /* n; key is NULL for a key that was named twice */
};

struct nd_ready_key {
    struct nd_db *db;
    struct slice key; /* our copy */
};

struct nd_waits *nd_waits_new(const uint64_t seed[2])
{
    struct nd_waits *w = mem_zalloc(sizeof *w);
    map_init(&w->keys, seed[0], seed[1]);
    return w;
}

void nd_waits_free(struct nd_waits *w)
{
    for (size_t i = 0; i < w->ready_n; i++)
        free((char *)w->ready[i].key.p);
    free(w->ready);
    map_free(&w->keys);
    heap_free(&w->timers);
    free(w);
}

static struct slice *copy_words(size_t argc, const struct slice *argv)
{
    size_t bytes = 0;
    for (size_t i = 0; i < argc; i++)
        bytes += argv[i].n;
    struct slice *copy = mem_alloc(argc * sizeof *copy + bytes);
    char *at = (char *)(copy + argc);
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].n > 0)
            memcpy(at, argv[i].p, argv[i].n);
        copy[i] = (struct slice){.p = at, .n = argv[i].n};
        at += argv[i].n;
    }
    return copy;
}

static void enqueue(struct nd_engine *e, struct nd_wait *wait, struct slice key)
{
    struct nd_waited *waited = map_get(&e->waits->keys, key);
    if (waited == NULL) {
        waited = mem_zalloc(sizeof *waited);
        waited->key = (struct slice){slice_dup(key), key.n};
        map_put(&e->waits->keys, key, waited);
    }
    /* A session joins all its queues at once, so a key named twice finds it at the end. */
    if (waited->last != NULL && waited->last->by == wait->by)
        return;
    wait->key = waited;
    wait->prev = waited->last;
    if (waited->last != NULL)
        waited->last->next = wait;
    else
        waited->first = wait;
    waited->last = wait;
}

static void dequeue(struct nd_engine *e, struct nd_wait *wait)
{
    struct nd_waited *waited = wait->key;
    if (waited == NULL)
        return;
    if (wait->prev != NULL)
        wait->prev->next = wait->next;
    else
        waited->first = wait->next;
    if (wait->next != NULL)
        wait->next->prev = wait->prev;
    else
        waited->last = wait->prev;
    if (waited->first == NULL) {
        map_del(&e->waits->keys, waited->key);
        free((char *)waited->key.p);
        free(waited);
    }
}

bool nd_may_block(const struct nd_call *c)
{
    return c->s->kind == ND_CLIENT && (c->s->flags & (ND_S_IN_EXEC | ND_S_IMPORT)) == 0;
}

void nd_block(struct nd_call *c, enum nd_type type, const struct slice *keys, size_t n, int64_t timeout_ms,
              nd_command_fn *at_timeout)
{
    struct nd_engine *e = c->e;
    c->blocked = true;
    if (c->s->waiting != NULL)
        return; /* it ran again and found nothing after all: it keeps its place and its time */
    struct nd_waiting *w = mem_zalloc(sizeof *w + n * sizeof w->waits[0]);
    w->s = c->s;
    w->row = c->row;
    w->db = c->db;
    w->type = type;
    w->at_timeout = at_timeout;
    w->argc = c->argc;
    w->argv = copy_words(c->argc, c->argv);
    w->n = n;
    for (size_t i = 0; i < n; i++) {
        w->waits[i].by = w;
        enqueue(e, &w->waits[i], keys[i]);
    }
    heap_node_init(&w->timer);
    if (timeout_ms > 0 && timeout_ms < (HEAP_NEVER - e->now_us) / 1000)
        heap_set(&e->waits->timers, &w->timer, e->now_us + timeout_ms * 1000);
    c->s->waiting = w;
    e->waits->blocked++;
}

/* Takes the session out of its queues. The waiting itself stays for the caller to free. */
static struct nd_waiting *detach(struct nd_session *s)
{
    struct nd_engine *e = s->e;
    struct nd_waiting *w = s->waiting;
    for (size_t i = 0; i < w->n; i++)
        dequeue(e, &w->waits[i]);
    heap_set(&e->waits->timers, &w->timer, HEAP_NEVER);
    s->waiting = NULL;
    e->waits->blocked--;
    return w;
}

static void free_waiting(struct nd_waiting *w)
{
    free(w->argv);
    free(w);
}

void nd_wait_drop(struct nd_session *s)
{
    if (s->waiting == NULL)
        return;
    struct nd_waiting *w = detach(s);
    if (w->gone != NULL)
        w->gone(w->what);
    free_waiting(w);
}

/* It has its answer. */
static void go_on(struct nd_session *s)
{
    struct nd_engine *e = s->e;
    nd_session_answered(s);
    e->host.wake(e->host.owner, s);
    e->host.resume(e->host.owner, s);
}

static struct nd_call call_of(const struct nd_waiting *w)
{
    return (struct nd_call){
        .e = w->s->e,
        .s = w->s,
        .cmd = w->row->cmd,
        .row = w->row,
        .db = w->db,
        .argc = w->argc,
        .argv = w->argv,
        .r = nd_session_reply(w->s),
        .now_ms = w->s->e->now_ms,
    };
}

static void run_again(struct nd_session *s, struct slice key, void *ended)
{
    struct nd_waiting *w = s->waiting;
    struct nd_call c = call_of(w);
    c.ready_key = key;
    c.ended = ended;
    c.in_slot = key.p != NULL && s->e->cluster != NULL;
    c.slot = (uint16_t)(c.in_slot ? nd_key_slot(key) : 0);
    nd_run(&c);
    if (c.blocked)
        return;
    detach(s);
    nd_effects_flush(s->e); /* they point into the words that are freed now */
    free_waiting(w);
    go_on(s);
}

void nd_block_outside(struct nd_call *c, void (*gone)(void *what), void *what)
{
    assert(nd_may_block(c) && c->s->waiting == NULL);
    nd_block(c, ND_STRING, NULL, 0, 0, NULL);
    c->s->waiting->gone = gone;
    c->s->waiting->what = what;
}

void nd_wait_over(struct nd_session *s)
{
    run_again(s, (struct slice){NULL, 0}, s->waiting->what);
}

bool nd_waits_for_keys(const struct nd_session *s, const struct nd_command **cmd, const struct slice **argv,
                       size_t *argc)
{
    const struct nd_waiting *w = s->waiting;
    if (w == NULL || w->n == 0)
        return false;
    *cmd = w->row->cmd;
    *argv = w->argv;
    *argc = w->argc;
    return true;
}

/* It may write to another key than to the one that is ready, and that one may be locked; or their slot or database is
 * held, and nothing of it may change; or nothing at all may, because the lease has ended. */
static bool is_held_up(const struct nd_engine *e, const struct nd_waiting *by, struct nd_db *db, struct slice key)
{
    return (e->locked.used > 0 && nd_names_locked_key(e, by->row->cmd, by->argv, by->argc)) ||
           nd_cluster_holds_key(e, db, key) || !nd_leased(e);
}

static void serve_key(struct nd_engine *e, struct nd_db *db, struct slice key)
{
    struct nd_waited *waited = map_get(&e->waits->keys, key);
    if (waited == NULL)
        return;
    struct nd_wait *next;
    for (struct nd_wait *wait = waited->first; wait != NULL; wait = next) {
        /* Serving one takes nobody else out of the queue, so the next one stays good. */
        next = wait->next;
        if (wait->by->db != db)
            continue;
        const struct nd_entry *entry = nd_db_find(db, key);
        if (entry == NULL)
            return;
        if (entry->v.type != wait->by->type)
            continue;
        if (is_held_up(e, wait->by, db, key))
            e->waits->held = true;
        else
            run_again(wait->by->s, key, NULL);
    }
}

void nd_wait_key_ready(struct nd_engine *e, struct nd_db *db, struct slice key)
{
    struct nd_waits *w = e->waits;
    struct nd_waited *waited = map_get(&w->keys, key);
    if (waited == NULL || waited->noted == db || e->loading)
        return;
    const struct nd_wait *wait = waited->first;
    while (wait != NULL && wait->by->db != db)
        wait = wait->next;
    if (wait == NULL)
        return;
    waited->noted = db;
    w->ready = mem_grow(w->ready, w->ready_n, &w->ready_cap, sizeof *w->ready);
    w->ready[w->ready_n++] = (struct nd_ready_key){.db = db, .key = {slice_dup(key), key.n}};
}

void nd_wait_db_ready(struct nd_engine *e, struct nd_db *db)
{
    struct nd_waited *waited;
    for (size_t it = 0; (waited = map_next(&e->waits->keys, &it, NULL)) != NULL;)
        if (nd_db_find(db, waited->key) != NULL)
            nd_wait_key_ready(e, db, waited->key);
}

void nd_serve_ready(struct nd_engine *e)
{
    struct nd_waits *w = e->waits;
    /* What serving makes ready comes behind what is ready already. */
    for (size_t i = 0; i < w->ready_n; i++) {
        struct nd_ready_key ready = w->ready[i];
        struct nd_waited *waited = map_get(&w->keys, ready.key);
        if (waited != NULL)
            waited->noted = NULL;
        serve_key(e, ready.db, ready.key);
        free((char *)ready.key.p);
    }
    w->ready_n = 0;
}

void nd_serve_held(struct nd_engine *e)
{
    if (!e->waits->held)
        return;
    e->waits->held = false;
    for (int i = 0; i < e->keys.db_count; i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db != NULL)
            nd_wait_db_ready(e, db);
    }
    nd_serve_ready(e);
}

/* The answer is written by at_timeout or is this error. */
static void give_up(struct nd_session *s, const char *error)
{
    struct nd_waiting *w = detach(s);
    struct nd_call c = call_of(w);
    if (error != NULL)
        nd_error(&c, "%s", error);
    else
        w->at_timeout(&c);
    nd_count_call(&c, 0);
    free_waiting(w);
    go_on(s);
}

bool nd_unblock(struct nd_session *s, const char *error)
{
    if (s->waiting == NULL || s->waiting->gone != NULL)
        return false;
    give_up(s, error);
    return true;
}

void nd_serve_timeouts(struct nd_engine *e)
{
    struct heap_node *top;
    while ((top = heap_top(&e->waits->timers)) != NULL && top->at <= e->now_us)
        give_up(((struct nd_waiting *)top)->s, NULL);
}

int64_t nd_waits_deadline(const struct nd_engine *e)
{
    const struct heap_node *top = heap_top(&e->waits->timers);
    return top != NULL ? top->at : HEAP_NEVER;
}
