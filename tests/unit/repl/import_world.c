#include "tests/unit/repl/import_world.h"

#include "common/base/mem.h"
#include "common/resp/inline.h"
#include "noded/repl/extension.h"
#include "noded/repl/stream.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 64

static const char nodes[] = TARGET " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191\n" SOURCE
                                   " 10.0.0.2:7001@17001 master - 0 0 2 connected 8192-16383\n"
                                   "vars currentEpoch 9 lastVoteEpoch 0\n";

/* ---- hosts ---- */

static void take_news(void *owner, const struct cl_id *job, enum cl_job_news news, const struct cl_id *node,
                      const uint8_t *slots, uint64_t seq, struct slice why)
{
    struct target *t = owner;
    char id[CL_ID_DIGITS + 1];
    if (news == CL_JOB_IS_STREAMING) { /* nothing follows from it */
        t->snapshot_keys = seq;
        return;
    }
    if (news == CL_JOB_IS_ASKED) {
        memcpy(t->asked, slots, sizeof t->asked);
        assert_string_equal(cl_id_text(node, id), SOURCE);
    }
    const char *name = news == CL_JOB_IS_ASKED     ? "ASKED"
                       : news == CL_JOB_IS_GRANTED ? "GRANTED"
                       : news == CL_JOB_IS_LOST    ? "LOST"
                                                   : "?";
    buf_printf(&t->news, "%c %s %" PRIu64 "%s%.*s\n", cl_id_text(job, id)[0], name, seq, why.n > 0 ? " " : "",
               (int)why.n, why.p);
}

static uint64_t greatest_epoch(void *owner)
{
    (void)owner;
    return 9;
}

static bool flush_log(void *owner)
{
    struct target *t = owner;
    t->flushes += t->has_log;
    return t->has_log;
}

static void feed(void *owner, const struct nd_effect_row *rows, size_t n)
{
    nd_repl_feed(owner, rows, n);
}

static bool serve_flush(void *owner, struct nd_session *s)
{
    (void)owner;
    (void)s;
    return true;
}

/* ---- the node ---- */

static void step(struct target *t, int64_t now_us)
{
    struct cl_effects fx = {0};
    struct cl_event e = {.kind = CL_EV_TIME, .now_us = now_us, .unix_ms = now_us / 1000};
    e.facts.old_since_us = -1;
    e.facts.databases = 16;
    cl_step(t->core, &e, &fx);
    nd_cluster_changed(t->cl);
    cl_effects_free(&fx);
}

static void open_cluster(struct target *t)
{
    struct cl_options o = {.seed = 7, .settings = {.node_timeout_ms = 100000000, .port = 7000, .bus_port = 17000}};
    struct buf why = {0};
    t->core = cl_core_new(&o, 1000000, 1000);
    if (!cl_core_load(t->core, slice_of(nodes), &why))
        fail_msg("%s", buf_str(&why));
    struct nd_cluster_host host = {.owner = t};
    t->cl = nd_cluster_new(t->f->e, t->core, &host);
    for (int i = 0; i < 8; i++) /* a master that was away waits before it writes */
        step(t, 2000000 + i * 1000000);
    assert_true(cl_ok(t->core));
}

struct target *target_new(void)
{
    struct target *t = mem_zalloc(sizeof *t);
    struct nd_config config;
    nd_config_init(&config);
    config.cluster_enabled = true;
    t->f = fixture_new_extended(&config, &nd_repl_extension);
    nd_config_free(&config);
    t->of_copy = (struct nd_extension){.syncslots = nd_syncslots_command};
    t->f->copy->host.extension = &t->of_copy;
    t->r = nd_repl_new(t->f->e);
    struct nd_serve_host serve = {.owner = t, .flush = serve_flush};
    nd_serve_new(t->r, &serve);
    open_cluster(t);
    struct nd_import_host host = {.owner = t, .news = take_news, .greatest_epoch = greatest_epoch, .flush = flush_log};
    nd_imports_new(t->r, &host);
    t->f->also = feed;
    t->f->also_owner = t->r;
    return t;
}

void target_free(struct target *t)
{
    nd_imports_free(t->r);
    nd_cluster_free(t->cl);
    nd_serve_free(t->r);
    nd_repl_free(t->r);
    fixture_free(t->f);
    cl_core_free(t->core);
    buf_free(&t->news);
    free(t);
}

const char *target_news(struct target *t)
{
    const char *text = buf_str(&t->news);
    buf_clear(&t->news);
    return text;
}

void target_forward_ms(struct target *t, int64_t ms)
{
    fixture_forward_ms(t->f, ms);
    nd_repl_tick(t->r);
    nd_imports_turn_end(t->r);
    nd_serve_turn_end(t->r);
}

static struct cl_id id_of(const char *digits)
{
    struct cl_id id;
    assert_true(cl_id_parse(slice_of(digits), &id));
    return id;
}

void target_accepts(struct target *t, const char *job, const char *why)
{
    struct cl_id id = id_of(job);
    nd_import_accept(t->r, &id, why == NULL, slice_of(why));
}

void target_stops(struct target *t, const char *job, const char *why)
{
    struct cl_id id = id_of(job);
    nd_import_stop(t->r, &id, why == NULL, slice_of(why));
}

static void range(uint8_t *slots, int from, int to)
{
    memset(slots, 0, CL_SLOT_BYTES);
    for (int slot = from; slot <= to; slot++)
        cl_bit_set(slots, slot);
}

void target_shows(struct target *t, int from, int to)
{
    uint8_t slots[CL_SLOT_BYTES];
    range(slots, from, to);
    nd_import_show(t->r, slots);
}

void target_forgets(struct target *t, int from, int to)
{
    uint8_t slots[CL_SLOT_BYTES];
    range(slots, from, to);
    nd_import_forget(t->r, slots);
}

/* A snapshot is not what this is about: it is as if it had one. */
struct client *target_replica(struct target *t)
{
    struct client *c = fixture_client(t->f);
    client_run(c, "REPLCONF capa eof capa psync2 capa databases listening-port 7009");
    nd_repl_open_backlog(t->r, true);
    char psync[100];
    snprintf(psync, sizeof psync, "PSYNC %s %" PRId64, t->r->id, t->r->offset + 1);
    client_run(c, psync);
    assert_int_equal(c->s->kind, ND_REPLICA);
    assert_int_equal(c->s->replica->state, ND_REPLICA_ONLINE);
    return c;
}

/* ---- links ---- */

const char *link_says(struct client *c, const char *request)
{
    struct slice line = slice_of(request), argv[WORDS_MAX];
    struct buf bytes = {0}, wire = {0};
    size_t ends[WORDS_MAX], argc = 0;
    while (inline_next_quoted(&line, &bytes) == INLINE_WORD) {
        assert_true(argc < WORDS_MAX);
        ends[argc++] = bytes.n;
    }
    buf_reserve(&bytes, 1);
    for (size_t i = 0; i < argc; i++) {
        size_t begin = i > 0 ? ends[i - 1] : 0;
        argv[i] = (struct slice){bytes.p + begin, ends[i] - begin};
    }
    nd_stream_request(&wire, argc, argv);
    nd_engine_time(c->f->e, c->f->unix_ms, c->f->mono_us);
    nd_engine_time(c->f->copy, c->f->unix_ms, c->f->mono_us);
    c->s->input += wire.n;
    c->ran = (c->s->flags & ND_S_IMPORT) != 0 ? nd_import_run(c->s, argc, argv) : nd_session_run(c->s, argc, argv);
    if (c->ran == ND_POSTPONED)
        c->s->input -= wire.n;
    buf_free(&bytes);
    buf_free(&wire);
    return client_read(c);
}

void link_sends(struct client *c, const char *request)
{
    const char *said = link_says(c, request);
    if (said[0] != '\0' || c->ran != ND_RAN)
        fail_msg("%s is answered: %s", request, said);
}

struct client *link_new(struct target *t, char digit, const char *ranges)
{
    struct client *c = fixture_client(t->f);
    char job[CL_ID_DIGITS + 1], request[400], asked[16];
    memset(job, digit, CL_ID_DIGITS);
    job[CL_ID_DIGITS] = '\0';
    snprintf(request, sizeof request, "CLUSTER SYNCSLOTS ESTABLISH %s " SOURCE " " TARGET " 0 16 SLOTSRANGE %s", job,
             ranges);
    assert_string_equal(link_says(c, request), "");
    assert_int_equal(c->ran, ND_BLOCKED);
    snprintf(asked, sizeof asked, "%c ASKED 0\n", digit);
    assert_string_equal(target_news(t), asked);
    target_accepts(t, job, NULL);
    assert_string_equal(client_read(c), "+OK\r\n");
    return c;
}

void target_assert_copied(struct target *t)
{
    struct nd_engine *a = t->f->e, *b = t->f->copy;
    for (int i = 0; i < nd_keyspace_all(&a->keys); i++) {
        struct nd_db *x = nd_keyspace_peek(&a->keys, i), *y = nd_keyspace_peek(&b->keys, i);
        size_t n = x != NULL ? nd_db_count(x) : 0;
        assert_int_equal(n, y != NULL ? nd_db_count(y) : 0);
        if (n == 0)
            continue;
        struct nd_db_iter it;
        nd_db_iterate(x, &it);
        for (struct nd_entry *e; (e = nd_db_next(&it)) != NULL;) {
            struct nd_entry *other = nd_db_find(y, nd_entry_key(e));
            assert_non_null(other);
            assert_int_equal(nd_entry_expire(e), nd_entry_expire(other));
        }
    }
    fixture_assert_copied(t->f);
}
