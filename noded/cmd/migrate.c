#include "noded/cmd/migrate.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cluster/handover.h"
#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/families.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/run.h"
#include "noded/store/dump.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 1000 /* when none is given */
#define FIRST_OPTION 6

struct moved {
    struct slice key; /* our copy */
    bool taken;       /* the other server has it */
};

struct nd_migration {
    struct nd_migrate_spec spec;
    struct nd_migration *next, *prev;
    struct nd_engine *e;
    struct nd_session *s; /* NULL: the client went away */
    const struct nd_indexed *row;
    struct nd_db *db;
    bool copy, locked;
    bool disowned;   /* nd_migrations_disown(), */
    const char *why; /* and why */
    uint64_t redacted;
    size_t n, answered;
    struct moved *keys;
    char *host;
    struct buf login; /* bytes of user and password */
    struct buf requests;
    struct buf error; /* the first of the other side's */
    enum nd_migrate_end end;
};

/* ---- arguments ---- */

struct options {
    bool copy, replace;
    size_t user, password; /* positions; 0: not given */
    size_t first, n;       /* keys */
    uint64_t redacted;
};

/* The words behind the timeout. Returns NULL, or the error. */
static const char *read_options(const struct slice *argv, size_t argc, struct options *o)
{
    *o = (struct options){.first = 3, .n = 1};
    for (size_t i = FIRST_OPTION; i < argc; i++) {
        size_t more = argc - 1 - i;
        if (slice_ieq(argv[i], "copy")) {
            o->copy = true;
        } else if (slice_ieq(argv[i], "replace")) {
            o->replace = true;
        } else if (slice_ieq(argv[i], "auth") && more >= 1) {
            o->user = 0;
            o->password = ++i;
            nd_redact(&o->redacted, i);
        } else if (slice_ieq(argv[i], "auth2") && more >= 2) {
            o->user = ++i;
            o->password = ++i;
            nd_redact(&o->redacted, i - 1);
            nd_redact(&o->redacted, i);
        } else if (slice_ieq(argv[i], "keys")) {
            if (argv[3].n > 0)
                return "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string";
            o->first = i + 1;
            o->n = more;
            return NULL;
        } else {
            return "ERR syntax error";
        }
    }
    return NULL;
}

static int migrate_keys(const struct slice *argv, size_t argc, int *out, int max)
{
    struct options o;
    if (argc < FIRST_OPTION || read_options(argv, argc, &o) != NULL)
        return -1;
    if (o.n == 0) /* KEYS without any: the key that is left empty is all there is */
        o = (struct options){.first = 3, .n = 1};
    for (size_t i = 0; i < o.n && (int)i < max; i++)
        out[i] = (int)(o.first + i);
    return (int)o.n;
}

/* ---- requests ---- */

static void put_words(struct buf *out, size_t argc, const struct slice *argv)
{
    struct reply r = {.out = out, .proto = 2};
    reply_array(&r, argc);
    for (size_t i = 0; i < argc; i++)
        reply_bulk(&r, argv[i].p, argv[i].n);
}

static void put_restore(struct nd_call *c, struct nd_migration *m, const struct nd_entry *entry, struct slice key,
                        bool replace)
{
    const struct nd_config *config = &c->e->config;
    struct buf payload = {0};
    nd_dump_payload(&payload, &entry->v, config->rdbcompression);
    /* The time that is left: the clocks of two servers need not agree. */
    int64_t expire_ms = nd_entry_expire(entry), left_ms = 0;
    if (expire_ms != ND_NO_EXPIRE)
        left_ms = expire_ms > c->now_ms ? expire_ms - c->now_ms : 1;
    char ttl[24];
    int length = snprintf(ttl, sizeof ttl, "%" PRId64, left_ms);
    struct slice words[5] = {slice_of(config->cluster_enabled ? "RESTORE-ASKING" : "RESTORE"),
                             key,
                             {ttl, (size_t)length},
                             buf_slice(&payload),
                             slice_of("REPLACE")};
    put_words(&m->requests, replace ? 5 : 4, words);
    buf_free(&payload);
}

/* The keys that are there, with what makes them anew. */
static void collect(struct nd_call *c, struct nd_migration *m, const struct options *o)
{
    m->keys = mem_array(NULL, o->n, sizeof *m->keys);
    for (size_t i = 0; i < o->n; i++) {
        struct slice key = c->argv[o->first + i];
        const struct nd_entry *entry = nd_lookup(c, key, ND_READ);
        if (entry == NULL)
            continue;
        m->keys[m->n++] = (struct moved){.key = {slice_dup(key), key.n}};
        put_restore(c, m, entry, key, o->replace);
    }
}

/* ---- life ---- */

static void free_migration(struct nd_migration *m)
{
    struct nd_engine *e = m->e;
    if (m->prev != NULL)
        m->prev->next = m->next;
    else if (e->migrations == m)
        e->migrations = m->next;
    if (m->next != NULL)
        m->next->prev = m->prev;
    for (size_t i = 0; i < m->n; i++)
        free((char *)m->keys[i].key.p);
    free(m->keys);
    free(m->host);
    buf_free(&m->login);
    buf_free(&m->requests);
    buf_free(&m->error);
    free(m);
}

void nd_migrations_free(struct nd_engine *e)
{
    while (e->migrations != NULL)
        free_migration(e->migrations);
}

void nd_migrations_disown(struct nd_engine *e, const char *why)
{
    for (struct nd_migration *m = e->migrations; m != NULL; m = m->next) {
        m->disowned = true;
        m->why = why;
    }
}

bool nd_migrations_move(const struct nd_engine *e)
{
    for (const struct nd_migration *m = e->migrations; m != NULL; m = m->next)
        if (!m->copy && !m->disowned)
            return true;
    return false;
}

static void client_gone(void *what)
{
    struct nd_migration *m = what;
    m->s = NULL;
}

static void set_login(struct nd_call *c, struct nd_migration *m, const struct options *o)
{
    if (o->password == 0)
        return;
    struct slice user = o->user > 0 ? c->argv[o->user] : (struct slice){NULL, 0}, password = c->argv[o->password];
    buf_reserve(&m->login, user.n + password.n + 1); /* the slices must not move any more */
    buf_put(&m->login, user.p, user.n);
    buf_put(&m->login, password.p, password.n);
    m->spec.user = (struct slice){o->user > 0 ? m->login.p : NULL, user.n};
    m->spec.password = (struct slice){m->login.p + user.n, password.n};
}

static void start(struct nd_call *c, struct nd_migration *m, int port)
{
    struct nd_engine *e = c->e;
    m->next = e->migrations;
    if (m->next != NULL)
        m->next->prev = m;
    e->migrations = m;
    m->spec.migration = m;
    m->spec.host = m->host;
    m->spec.port = port;
    m->spec.requests = buf_slice(&m->requests);
    m->spec.count = m->n;
    /* A copy is as old as its beginning: nobody has to wait for it. */
    m->locked = !m->copy;
    for (size_t i = 0; i < m->n && m->locked; i++)
        nd_lock_key(e, m->keys[i].key);
    nd_block_outside(c, client_gone, m);
    e->host.migrate(e->host.owner, &m->spec);
}

/* The other end of a swap of databases over the cluster gives our numbers another meaning before we do, or behind us:
 * it is told which is meant. Where no supervisors are there are no swaps. */
static void say_mapping(const struct nd_call *c, struct nd_migrate_spec *spec)
{
    const struct nd_engine *e = c->e;
    if (e->cluster == NULL || (!cl_supervised(e->cluster->core) && e->keys.mapping_epoch == 0))
        return;
    struct cl_id me = cl_my_id(e->cluster->core);
    cl_id_text(&me, spec->node);
    spec->mapping_epoch = e->keys.mapping_epoch;
}

/* Answers an error and returns false when nothing can be sent there. */
static bool read_target(struct nd_call *c, int *port)
{
    int64_t number;
    if (!text_range(c->argv[2], 1, 65535, &number)) {
        nd_error(c, "IOERR error or timeout writing to target instance");
        return false;
    }
    struct slice host = c->argv[1];
    if (host.n == 0 || memchr(host.p, '\0', host.n) != NULL) {
        nd_error(c, "IOERR error or timeout connecting to the client");
        return false;
    }
    *port = (int)number;
    return true;
}

static void begin(struct nd_call *c)
{
    struct options o;
    int64_t timeout_ms, db;
    int port;
    const char *error = read_options(c->argv, c->argc, &o);
    c->redacted = o.redacted;
    if (error != NULL) {
        nd_error(c, "%s", error);
        return;
    }
    if (!nd_arg_i64(c, 5, &timeout_ms) || !nd_arg_i64(c, 4, &db))
        return;
    struct nd_migration *m = mem_zalloc(sizeof *m);
    *m = (struct nd_migration){
        .spec = {.db = db, .timeout_ms = timeout_ms > 0 ? timeout_ms : TIMEOUT_MS},
        .e = c->e,
        .s = c->s,
        .row = c->row,
        .db = c->db,
        .copy = o.copy,
        .redacted = o.redacted,
    };
    collect(c, m, &o);
    if (m->n == 0) {
        reply_status(c->r, "NOKEY");
    } else if (!nd_may_block(c)) {
        nd_error(c, "ERR MIGRATE has to wait for the target instance, which isn't possible inside a transaction");
    } else if (read_target(c, &port)) {
        m->host = slice_dup(c->argv[1]);
        say_mapping(c, &m->spec);
        set_login(c, m, &o);
        start(c, m, port);
        return;
    }
    free_migration(m);
}

/* ---- the end ---- */

/* What the other side has is deleted, and all of it is one effect. */
static void delete_taken(struct nd_call *c, struct nd_migration *m)
{
    struct slice *words = mem_array(NULL, m->n + 1, sizeof *words);
    size_t n = 0;
    words[n++] = slice_of("DEL");
    for (size_t i = 0; i < m->n; i++) {
        struct slice key = m->keys[i].key;
        /* It may have run out of time, or was evicted. */
        struct nd_entry *entry = m->keys[i].taken ? nd_db_find(c->db, key) : NULL;
        if (entry == NULL)
            continue;
        nd_delete(c, c->db, entry, c->e->config.lazyfree_lazy_server_del);
        nd_notify(c, ND_EV_GENERIC, "del", key);
        nd_changed(c, key, 1);
        words[n++] = key;
    }
    if (n > 1)
        nd_effect(c, n, words);
    free(words);
}

static void answer(struct nd_call *c, struct nd_migration *m)
{
    static const char *const failures[] = {
        [ND_MIGRATE_NO_CONNECT] = "connecting to the client",
        [ND_MIGRATE_NO_WRITE] = "writing to target instance",
        [ND_MIGRATE_NO_READ] = "reading to target instance",
    };
    if (m->error.n > 0)
        nd_error(c, "ERR Target instance replied with error: %s", buf_str(&m->error));
    else if (m->end != ND_MIGRATE_DONE)
        nd_error(c, "IOERR error or timeout %s", failures[m->end]);
    else
        nd_ok(c);
}

/* What it would delete belongs to somebody else soon, who has been told all that there is to it. */
static bool is_held(const struct nd_call *c, const struct nd_migration *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->keys[i].taken && nd_cluster_holds_key(c->e, c->db, m->keys[i].key))
            return true;
    return false;
}

static void finish(struct nd_call *c)
{
    struct nd_migration *m = c->ended;
    c->redacted = m->redacted;
    /* A replica has what its master has, and so has a master that was one meanwhile: the keys stay, and are there
     * twice. */
    if (m->disowned) {
        nd_error(c, "%s",
                 m->why != NULL
                     ? m->why
                     : "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");
        return;
    }
    if (!m->copy && !nd_leased(c->e)) {
        nd_error(c,
                 "TRYAGAIN The target instance has the keys, and they can't be deleted here now: this master's lease "
                 "has ended");
        return;
    }
    if (!m->copy && is_held(c, m)) {
        nd_error(c, "TRYAGAIN The target instance has the keys, and they can't be deleted here now: their slot or "
                    "database is being handed over");
        return;
    }
    if (!m->copy)
        delete_taken(c, m);
    answer(c, m);
}

static void migrate(struct nd_call *c)
{
    if (c->ended != NULL)
        finish(c);
    else
        begin(c);
}

void nd_migrate_refused(struct nd_migration *m, struct slice error)
{
    if (m->error.n == 0)
        buf_put(&m->error, error.p, error.n);
}

void nd_migrate_answered(struct nd_migration *m, struct slice error)
{
    assert(m->answered < m->n);
    m->keys[m->answered++].taken = error.p == NULL;
    if (error.p != NULL)
        nd_migrate_refused(m, error);
}

/* Nobody is there any more who waits for the answer; the keys are deleted all the same. */
static void finish_alone(struct nd_migration *m)
{
    struct nd_engine *e = m->e;
    struct slice name = slice_of("MIGRATE");
    struct nd_call c = {
        .e = e,
        .s = e->inner,
        .cmd = m->row->cmd,
        .row = m->row,
        .db = m->db,
        .argc = 1,
        .argv = &name,
        .r = nd_session_reply(e->inner),
        .now_ms = e->now_ms,
        .ended = m,
    };
    nd_run(&c);
}

void nd_migrate_ended(struct nd_migration *m, enum nd_migrate_end end)
{
    struct nd_engine *e = m->e;
    assert(e->depth == 0);
    m->end = end;
    if (m->s != NULL)
        nd_wait_over(m->s);
    else
        finish_alone(m);
    for (size_t i = 0; i < m->n && m->locked; i++)
        nd_unlock_key(e, m->keys[i].key);
    free_migration(m);
    nd_serve_held(e);
}

const struct nd_command nd_migrate_commands[] = {
    {.name = "migrate",
     .arity = -6,
     .flags = ND_WRITE | ND_MOVABLE_KEYS,
     .categories = ND_CAT_KEYSPACE | ND_CAT_DANGEROUS,
     .run = migrate,
     .keys = {{.flags = "RW ACCESS DELETE", .first = 3, .step = 1},
              {.flags = "RW ACCESS DELETE INCOMPLETE", .word = "KEYS", .first_from = -2, .last = -1, .step = 1}},
     .find_keys = migrate_keys,
     .syntax = "host port <key | \"\"{empty_string}>{key_or_empty_string} destination-db timeout{:integer} "
               "[COPY]{@3.0.0} [REPLACE]{@3.0.0} [[AUTH password]{@4.0.7} | "
               "[AUTH2 username password]{@6.0.0}]{authentication} [KEYS key [key ...]]{@3.0.6}",
     .summary = "Moves keys to another server: they are deleted here once that one has them.",
     .since = "2.6.0",
     .group = "generic",
     .complexity = "O(N) for values of N bytes, here and there; the server goes on with its work meanwhile.",
     .tips = "nondeterministic_output"},
    {0},
};
