/* What sources of migrations, or those who claim to be some, send to a target, before and after they are accepted: any
 * bytes on two links, as requests of the protocol or as lines. A word that begins with ! is what happens around them:
 * the core's answers, the disk, replicas, time. Whatever comes, clients see nothing that was not shown, this node's own
 * keys stay, and a copy that gets the effects has the same dataset.
 * fuzz.sh: at most 1000 inputs. */
#include "noded/repl/import.h"

#include "common/resp/request.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/extension.h"
#include "noded/cmd/pause.h"
#include "noded/repl/extension.h"
#include "noded/repl/serve.h"
#include "noded/store/digest.h"
#include "tests/fuzz/engine_host.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define LINKS 2
#define STEPS_MAX 200
#define OWN "c" /* of slot 7365, which is this node's */
#define LAST_OWN 8191

static const char nodes[] = ME " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191\n" OTHER
                               " 10.0.0.2:7001@17001 master - 0 0 2 connected 8192-16383\n"
                               "vars currentEpoch 2 lastVoteEpoch 0\n";
static const char greeting[] = "CLUSTER SYNCSLOTS ESTABLISH 1111111111111111111111111111111111111111 " OTHER " " ME
                               " 0 16 SLOTSRANGE 8192 16383\n!a\n";

struct world;

struct link {
    struct world *w;
    struct nd_session *s; /* NULL: closed */
    struct buf out;
    struct resp_parser *parser;
    bool blocked, killed, closing;
};

struct world {
    int64_t now_us;
    size_t memory;
    struct nd_engine *e, *copy;
    struct nd_session *of_copy;
    struct nd_repl *r;
    struct cl_core *core;
    struct nd_cluster *cl;
    struct link links[LINKS];
    struct cl_id asked;
    bool asked_ours; /* slots of this node, which no core gives away as a source's */
    int to_answer;   /* what the core was asked and has not answered */
    bool has_log, flushing, shown;
};

/* ---- hosts ---- */

static int64_t clock_us(void *owner)
{
    return ((struct world *)owner)->now_us;
}

static void wake(void *owner, struct nd_session *s)
{
    (void)owner;
    assert(s->shell != NULL);
}

static void resume(void *owner, struct nd_session *s)
{
    (void)owner;
    struct link *l = s->shell;
    l->blocked = false;
    l->closing |= (s->flags & ND_S_CLOSING) != 0;
}

static void kill_session(void *owner, struct nd_session *s, const char *why)
{
    (void)owner;
    (void)why;
    ((struct link *)s->shell)->killed = true;
}

static void effects(void *owner, const struct nd_effect_row *rows, size_t n)
{
    struct world *w = owner;
    nd_repl_feed(w->r, rows, n);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].db >= 0)
            w->of_copy->db = nd_keyspace_db(&w->copy->keys, rows[i].db);
        uint64_t errors = w->copy->stats.errors;
        if (nd_session_run(w->of_copy, rows[i].argc, rows[i].argv) != ND_RAN || w->copy->stats.errors != errors)
            abort();
    }
}

static void no_effects(void *owner, const struct nd_effect_row *rows, size_t n)
{
    (void)owner;
    (void)rows;
    (void)n;
}

static size_t memory_used(void *owner)
{
    return ((struct world *)owner)->memory;
}

static void take_news(void *owner, const struct cl_id *job, enum cl_job_news news, const struct cl_id *node,
                      const uint8_t *slots, uint64_t seq, struct slice why)
{
    struct world *w = owner;
    (void)node;
    (void)why;
    assert(!cl_id_is_none(job));
    assert(news == CL_JOB_IS_ASKED || news == CL_JOB_IS_STREAMING || news == CL_JOB_IS_LOST ||
           (news == CL_JOB_IS_GRANTED && seq > 0));
    if (news != CL_JOB_IS_ASKED)
        return;
    w->asked = *job;
    w->asked_ours = cl_bit_next(slots, 0, true) <= LAST_OWN;
    w->to_answer++;
}

static uint64_t greatest_epoch(void *owner)
{
    (void)owner;
    return 2;
}

static bool flush_log(void *owner)
{
    struct world *w = owner;
    assert(!w->flushing);
    w->flushing = w->has_log;
    return w->has_log;
}

static bool flush_replica(void *owner, struct nd_session *s)
{
    (void)owner;
    (void)s;
    return true;
}

/* ---- the world ---- */

static void open_cluster(struct world *w)
{
    struct cl_options o = {.seed = 7, .settings = {.node_timeout_ms = 100000000, .port = 7000, .bus_port = 17000}};
    struct nd_cluster_host host = {.owner = w};
    struct buf why = {0};
    w->core = cl_core_new(&o, 0, 0);
    if (!cl_core_load(w->core, slice_of(nodes), &why))
        abort();
    w->cl = nd_cluster_new(w->e, w->core, &host);
}

static void world_open(struct world *w)
{
    static const struct nd_extension of_copy = {.syncslots = nd_syncslots_command};
    struct nd_config config;
    struct nd_host host = fuzz_engine_host(w);
    struct nd_serve_host serve = {.owner = w, .flush = flush_replica};
    struct nd_import_host import = {
        .owner = w, .news = take_news, .greatest_epoch = greatest_epoch, .flush = flush_log};
    host.extension = &nd_repl_extension;
    host.clock_us = clock_us;
    host.wake = wake;
    host.resume = resume;
    host.kill = kill_session;
    host.effects = effects;
    host.memory_used = memory_used;
    nd_config_init(&config);
    config.cluster_enabled = true;
    w->now_us = 1000000;
    w->e = nd_engine_new(&host, &config, 1);
    host.extension = NULL;
    host.effects = no_effects;
    w->copy = nd_engine_new(&host, &config, 2);
    w->copy->host.extension = &of_copy;
    w->copy->is_replica = true;
    nd_config_free(&config);
    w->of_copy = nd_session_new(w->copy, ND_MASTER, NULL, NULL);
    nd_engine_time(w->e, 1700000000000, w->now_us);
    nd_engine_time(w->copy, 1700000000000, w->now_us);
    w->r = nd_repl_new(w->e);
    nd_serve_new(w->r, &serve);
    open_cluster(w);
    nd_imports_new(w->r, &import);
    struct nd_engine *both[] = {w->e, w->copy};
    for (size_t i = 0; i < 2; i++)
        nd_db_set_string(nd_keyspace_db(&both[i]->keys, 0), NULL, slice_of(OWN), slice_of("1"), true, ND_NO_EXPIRE);
}

static void hang_up(struct link *l)
{
    if (l->s != NULL)
        nd_session_free(l->s);
    resp_parser_free(l->parser);
    buf_free(&l->out);
    *l = (struct link){.w = l->w};
}

static void world_close(struct world *w)
{
    for (size_t i = 0; i < LINKS; i++)
        hang_up(&w->links[i]);
    nd_imports_free(w->r);
    nd_cluster_free(w->cl);
    nd_serve_free(w->r);
    nd_repl_free(w->r);
    nd_engine_free(w->e);
    nd_engine_free(w->copy);
    cl_core_free(w->core);
}

/* ---- what must be ---- */

static void compare(struct world *w)
{
    unsigned char a[ND_DIGEST_BYTES], b[ND_DIGEST_BYTES];
    nd_digest_keyspace(&w->e->keys, a);
    nd_digest_keyspace(&w->copy->keys, b);
    if (memcmp(a, b, sizeof a) != 0)
        abort();
    for (int n = 0; n < nd_keyspace_all(&w->e->keys); n++) {
        const struct nd_db *x = nd_keyspace_peek(&w->e->keys, n), *y = nd_keyspace_peek(&w->copy->keys, n);
        if ((x != NULL ? nd_db_count(x) : 0) != (y != NULL ? nd_db_count(y) : 0))
            abort();
    }
}

static void check(const struct world *w)
{
    struct nd_db *zero = nd_keyspace_peek(&w->e->keys, 0);
    if (nd_db_find(zero, slice_of(OWN)) == NULL)
        abort();
    for (int n = 0; n < w->e->keys.db_count && !w->shown; n++) {
        const struct nd_db *db = nd_keyspace_peek(&w->e->keys, n);
        if (db != NULL && nd_db_count(db) > (n == 0))
            abort();
    }
    for (size_t i = 0; i < LINKS; i++) {
        const struct nd_session *s = w->links[i].s;
        if (s != NULL && (s->flags & ND_S_IMPORT) != 0 && !nd_db_is_shadow(s->db))
            abort();
        if (s != NULL && s->import != NULL && (s->flags & ND_S_CLOSING) != 0)
            abort();
    }
}

/* ---- what happens ---- */

static void go_on(struct world *w, int64_t us)
{
    w->now_us += us;
    nd_engine_time(w->e, 1700000000000 + w->now_us / 1000, w->now_us);
    nd_engine_time(w->copy, 1700000000000 + w->now_us / 1000, w->now_us);
    nd_engine_tick(w->e);
    nd_repl_tick(w->r);
}

static void slots_of(struct slice word, uint8_t *slots)
{
    unsigned from = word.n > 2 ? (unsigned char)word.p[2] * 64U : 0;
    memset(slots, 0, CL_SLOT_BYTES);
    for (unsigned slot = from; slot < CL_SLOTS; slot++)
        cl_bit_set(slots, (int)slot);
}

static void happens(struct world *w, struct slice word)
{
    uint8_t slots[CL_SLOT_BYTES];
    switch (word.n > 1 ? word.p[1] : '\0') {
    case 'a':
    case 'n':
        if (w->to_answer > 0)
            nd_import_accept(w->r, &w->asked, word.p[1] == 'a' && !w->asked_ours, slice_of("no"));
        w->to_answer = 0;
        break;
    case 'x': nd_import_stop(w->r, &w->asked, word.n > 2, slice_of("enough")); break;
    case 'u': nd_imports_upset(w->r, "test"); break;
    case 'l': w->has_log = !w->has_log; break;
    case 'f':
    case 'F':
        if (w->flushing) {
            w->flushing = false;
            nd_import_flushed(w->r, word.p[1] == 'f' ? NULL : "No space left on device");
        }
        break;
    case 's':
        slots_of(word, slots);
        nd_import_show(w->r, slots);
        w->shown = true;
        break;
    case 'g':
        slots_of(word, slots);
        nd_import_forget(w->r, slots);
        break;
    case 't': go_on(w, (int64_t)(word.n > 2 ? (unsigned char)word.p[2] : 1) * 20000); break;
    case 'm':
        w->e->config.maxmemory = 1000;
        w->memory = w->memory == 0 ? 2000 : 0;
        break;
    case 'p': nd_hold_writes(w->e, ND_HOLD_CLUSTER, w->e->writes_held == 0); break;
    case 'r': w->e->is_replica = !w->e->is_replica; break;
    case 'e': w->e->keys.mapping_epoch ^= 1; break;
    default: break;
    }
}

/* Before it is accepted this is no test of what clients may say. */
static bool is_of_interest(const struct link *l, const struct resp_request *q)
{
    if ((l->s->flags & ND_S_IMPORT) != 0)
        return true;
    bool syncs = q->argc > 1 && slice_ieq(q->argv[0], "cluster") && slice_ieq(q->argv[1], "syncslots");
    return syncs || slice_ieq(q->argv[0], "multi") || slice_ieq(q->argv[0], "exec");
}

/* As shell/client.c does it. false: the link takes nothing more. */
static bool take(struct link *l, const struct resp_request *q)
{
    struct nd_session *s = l->s;
    s->input += q->consumed;
    if (q->argc == 0)
        return true;
    if (q->argv[0].n > 0 && q->argv[0].p[0] == '!') {
        happens(l->w, q->argv[0]);
        return !l->killed && !l->closing;
    }
    if (l->blocked || !is_of_interest(l, q))
        return true;
    enum nd_ran ran = (s->flags & ND_S_IMPORT) != 0 ? nd_import_run(s, q->argc, q->argv)
                                                    : nd_session_run(s, q->argc, q->argv);
    if (ran == ND_POSTPONED)
        s->input -= q->consumed;
    l->blocked = ran == ND_BLOCKED;
    return ran != ND_CLOSE && !l->killed && !l->closing;
}

static void open_link(struct world *w, struct link *l)
{
    static const struct resp_limits limits = {
        .max_args = 1000, .max_bulk = 65536, .max_query = 1 << 20, .max_inline = 65536};
    *l = (struct link){.w = w};
    l->s = nd_session_new(w->e, ND_CLIENT, &l->out, l);
    l->parser = resp_parser_new(&limits);
}

/* All that can be taken of what stands in front. false: nothing more will be. */
static bool feed(struct world *w, struct link *l, struct slice *in, int *steps)
{
    struct resp_request q;
    if (l->s == NULL)
        open_link(w, l);
    enum resp_status st = resp_parse(l->parser, in->p, in->n, &q);
    if (st != RESP_READY) {
        hang_up(l);
        return false;
    }
    ++*steps;
    bool ok = take(l, &q);
    *in = (struct slice){in->p + q.consumed, in->n - q.consumed};
    nd_imports_turn_end(w->r);
    nd_serve_turn_end(w->r);
    check(w);
    for (size_t i = 0; i < LINKS; i++)
        if (w->links[i].s != NULL && (w->links[i].killed || w->links[i].closing || (&w->links[i] == l && !ok)))
            hang_up(&w->links[i]);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {0};
    int steps = 0;
    if (size < 1)
        return 0;
    world_open(&w);
    for (size_t i = 0; i < LINKS; i++)
        w.links[i].w = &w;
    if ((data[0] & 1) != 0) {
        struct slice first = slice_of(greeting);
        while (first.n > 0 && feed(&w, &w.links[0], &first, &steps))
            ;
        assert(w.links[0].s != NULL && w.links[0].s->import != NULL);
    }
    struct slice in = {(const char *)data + 1, size - 1};
    size_t which = 0;
    while (in.n > 0 && steps < STEPS_MAX) {
        if (in.p[0] == '\\') { /* the other link goes on */
            which = (which + 1) % LINKS;
            in = (struct slice){in.p + 1, in.n - 1};
        } else if (!feed(&w, &w.links[which], &in, &steps)) {
            break;
        }
    }
    if (!w.e->is_replica)
        compare(&w);
    world_close(&w);
    return 0;
}
