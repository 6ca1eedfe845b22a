/* CLUSTER LEASE, RELEASE and FAILOVER TAKEOVER EPOCH, and what the end of a lease stops. The core decides as in a node;
 * the clock is the test's. */
#include "noded/cluster/describe.h"
#include "noded/cmd/block.h"
#include "noded/cmd/evict.h"
#include "noded/cmd/migrate.h"
#include "noded/cmd/pause.h"
#include "tests/unit/cmd/cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Slots: x 16287, y 12222. */
#define FILE_OF_ONE ME " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-16383\n" VARS
#define FILE_OF_TWO                                                                       \
    ME " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191 16287-16287\n" OTHER \
       " 10.0.0.2:7001@17001 master - 0 0 2 connected 8192-16286 16288-16383\n" VARS
#define LIST "a:1,b:2,c:3"
#define TTL_MS 1000
#define WORDS_MS 10 /* of time between one word of a supervisor and its next */
#define NO_LEASE "-CLUSTERDOWN This master holds no lease: %d of 2 grants that it needs from its 3 supervisors\r\n"

/* ---- the supervisors ---- */

/* The value behind a name of a flat map. */
static const char *value_of(const char *map, const char *name)
{
    static char value[128];
    char label[64];
    snprintf(label, sizeof label, "\r\n%s\r\n", name);
    const char *at = strstr(map, label);
    if (at == NULL) {
        fail_msg("no %s in %s", name, map);
        return "";
    }
    at += strlen(label);
    if (*at == '$')
        at = strstr(at, "\r\n") + 1;
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at + 1, "\r\n"), at + 1);
    return value;
}

/* Supervisor `position` speaks; its stamp is that of its last answer, if it has had one. */
static const char *speak(struct world *w, int position, int64_t ttl_ms, uint64_t epoch)
{
    static char stamps[3][64]; /* of the test that runs */
    static const struct world *of;
    char command[512];
    if (of != w)
        memset(stamps, 0, sizeof stamps);
    of = w;
    snprintf(command, sizeof command, "CLUSTER LEASE %040d 1:%d:" LIST " %lld %llu %s", position, position,
             (long long)ttl_ms, (unsigned long long)epoch, stamps[position]);
    const char *said = world_ask(w, command);
    if (*said == '*') {
        char incarnation[32];
        snprintf(incarnation, sizeof incarnation, "%s", value_of(said, "incarnation"));
        snprintf(stamps[position], sizeof stamps[position], "%s %s", incarnation, value_of(said, "clock"));
    }
    return said;
}

static void grant(struct world *w, int supervisors)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < supervisors; i++) {
            assert_int_equal(*speak(w, i, TTL_MS, 0), '*');
            fixture_forward_ms(w->f, WORDS_MS);
        }
}

static struct world *supervised(const char *file)
{
    struct world *w = world_new(file);
    fixture_forward_ms(w->f, 5000);
    grant(w, 3);
    struct cl_lease_state l;
    cl_lease_state(w->core, w->f->mono_us, &l);
    assert_true(l.supervised && l.grants == 3);
    assert_string_equal(run(w->f, "SET x first"), "+OK\r\n");
    return w;
}

static const char *no_lease(int grants)
{
    static char text[160];
    snprintf(text, sizeof text, NO_LEASE, grants);
    return text;
}

/* ---- tests ---- */

static void arguments(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ONE);
#define NAME "0000000000000000000000000000000000000000"
#define SPEAKER "-ERR Invalid speaker: <version>:<position>:<address>,<address>,... is expected\r\n"
#define STAMP "-ERR Invalid stamp: the incarnation and the clock of an answer are expected\r\n"
#define LINEAGE "-ERR Invalid lineage: up to 64 ids of nodes are expected, with commas between them\r\n"
#define GRANT "-ERR Invalid grant: <position>/<incarnation>/<clock-us>/<ttl-ms>/<wait-ms> is expected\r\n"
    static const struct row rows[] = {
        {"CLUSTER LEASE " NAME " 1:0:a 1", "-ERR wrong number of arguments for 'cluster|lease' command\r\n"},
        {"CLUSTER LEASE " NAME " 1:0:a 1 1 1",
         "-ERR unknown subcommand or wrong number of arguments for 'LEASE'. Try CLUSTER HELP.\r\n"},
        {"CLUSTER LEASE RETURN " NAME " 1:0:a 1 1 1",
         "-ERR unknown subcommand or wrong number of arguments for 'LEASE'. Try CLUSTER HELP.\r\n"},
        {"CLUSTER LEASE 00 1:0:a 1 1", "-ERR Invalid id of a supervisor\r\n"},
        {"CLUSTER LEASE " NAME " 1:a 1 1", SPEAKER},
        {"CLUSTER LEASE " NAME " 1:0:a,a 1 1", SPEAKER},
        {"CLUSTER LEASE " NAME " 1:0:a -1 1", "-ERR Invalid ttl: 0 to 3600000 milliseconds are expected\r\n"},
        {"CLUSTER LEASE " NAME " 1:0:a 3600001 1", "-ERR Invalid ttl: 0 to 3600000 milliseconds are expected\r\n"},
        {"CLUSTER LEASE " NAME " 1:0:a 1 -1", "-ERR Invalid epoch\r\n"},
        {"CLUSTER LEASE " NAME " 1:0:a 1 1 x 1", STAMP},
        {"CLUSTER LEASE " NAME " 1:0:a 1 1 00112233445566778 1", STAMP},
        {"CLUSTER LEASE " NAME " 1:0:a 1 1 1 1x", STAMP},
        {"CLUSTER RELEASE NOW",
         "-ERR unknown subcommand or wrong number of arguments for 'RELEASE'. Try CLUSTER HELP.\r\n"},
        {"CLUSTER RELEASE 00 1:0:a", "-ERR Invalid id of a supervisor\r\n"},
        {"CLUSTER RELEASE " NAME " 0:0:a", SPEAKER},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1", "-ERR syntax error\r\n"},
        {"CLUSTER FAILOVER FORCE EPOCH 1 FROM " ME,
         "-ERR unknown subcommand or wrong number of arguments for 'FAILOVER'. Try CLUSTER HELP.\r\n"},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 OF " ME, "-ERR syntax error\r\n"},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM " ME " GRANTS", "-ERR syntax error\r\n"},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM " ME " FORCE FORCE", "-ERR syntax error\r\n"},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM " ME " FORCE GRANTS 1:0:a", "-ERR syntax error\r\n"},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM " ME " GRANTS 1:0:a", "-ERR syntax error\r\n"},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM " ME " GIVES 1:0:a 0/1/1/1/1", "-ERR syntax error\r\n"},
        {"CLUSTER FAILOVER TAKEOVER EPOCH x FROM " ME, "-ERR Invalid epoch\r\n"},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM " ME ",", LINEAGE},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM \"\"", LINEAGE},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM " ME " GRANTS x 0/1/1/1/1", SPEAKER},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM " ME " GRANTS 1:0:a 0/1/1/1", GRANT},
        {"CLUSTER FAILOVER TAKEOVER EPOCH 1 FROM " ME " GRANTS 1:0:a 0/1/1/1/1 0/1/1/1/x", GRANT},
        {"MULTI", "+OK\r\n"},
        {"CLUSTER LEASE " NAME " 1:0:a 1 1", "-ERR Command not allowed inside a transaction\r\n"},
        {"DISCARD", "+OK\r\n"},
    };
    CHECK(w, rows);
    assert_int_equal(w->token, 0);
    assert_false((w->f->clients[0].s->flags & ND_S_SUPERVISOR) != 0);
    world_free(w);
}

static void words_are_handed_on(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ONE);
    world_ask(w, "CLUSTER LEASE 000000000000000000000000000000000000000f 7:2:" LIST " 1500 9 00ff 123456");
    assert_int_equal(w->asked.verb, CL_LEASE);
    assert_false(w->lease.give_back);
    assert_true(w->lease.supervisor.b[19] == 15 && w->lease.speaker.version == 7 && w->lease.speaker.position == 2);
    assert_true(slice_is(w->lease.speaker.list, LIST) && w->lease.ttl_ms == 1500 && w->lease.epoch == 9);
    assert_true(w->lease.stamp.incarnation == 255 && w->lease.stamp.clock_us == 123456);
    assert_true((w->f->clients[0].s->flags & ND_S_SUPERVISOR) != 0);
    assert_int_equal(*world_ask(w, "CLUSTER LEASE return 000000000000000000000000000000000000000f 7:2:" LIST " 11"),
                     '-');
    assert_true(w->lease.give_back && w->lease.epoch == 11);
    assert_string_equal(world_ask(w, "CLUSTER RELEASE"), "-ERR This node is not supervised\r\n");
    assert_true(w->asked.verb == CL_RELEASE && w->asked.lease == NULL);
    world_ask(w, "CLUSTER RELEASE 000000000000000000000000000000000000000f 7:2:" LIST);
    assert_true(w->asked.verb == CL_RELEASE && w->asked.lease->supervisor.b[19] == 15 &&
                w->asked.lease->speaker.position == 2);
    assert_int_equal(*world_ask(w, "CLUSTER FAILOVER takeover epoch 44 from " ME "," OTHER " grants 7:0:" LIST
                                   " 0/a/11/12/13 2/b/21/22/23"),
                     '+');
    const struct cl_takeover *t = w->asked.promotion;
    assert_int_equal(w->asked.verb, CL_TAKEOVER);
    assert_true(t->epoch == 44 && !t->force && t->nfrom == 2 && t->from[0].b[0] == 0xaa && t->from[1].b[0] == 0xbb);
    assert_true(t->speaker->version == 7 && slice_is(t->speaker->list, LIST) && t->ngrants == 2);
    assert_true(t->grants[0].position == 0 && t->grants[0].stamp.incarnation == 10 && t->grants[1].position == 2 &&
                t->grants[1].stamp.clock_us == 21 && t->grants[1].ttl_ms == 22 && t->grants[1].wait_ms == 23);
    assert_int_equal(*world_ask(w, "CLUSTER FAILOVER TAKEOVER EPOCH 45 FROM " ME), '+');
    assert_true(w->asked.promotion->speaker == NULL && w->asked.promotion->ngrants == 0);
    assert_int_equal(*world_ask(w, "CLUSTER FAILOVER TAKEOVER EPOCH 46 FROM " ME " FORCE"), '+');
    assert_true(w->asked.promotion->force && w->asked.promotion->speaker == NULL);
    assert_int_equal(
        *world_ask(w, "CLUSTER FAILOVER TAKEOVER EPOCH 47 FROM " ME " force GRANTS 7:0:" LIST " 0/a/11/12/13"), '+');
    assert_true(w->asked.promotion->force && w->asked.promotion->ngrants == 1);
    world_free(w);
}

static void what_is_answered(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_TWO);
    run(w->f, "MSET {x}1 a {x}2 b");
    const char *said = speak(w, 0, TTL_MS, 0);
    assert_int_equal(strncmp(said, "*50\r\n", 5), 0);
    static const struct row fields[] = {
        {"node", ME},     {"role", "master"}, {"config_epoch", "1"},     {"current_epoch", "2"}, {"slots", "8193"},
        {"link", "none"}, {"link_ms", "0"},   {"replid", "the history"}, {"offset", "0"},        {"priority", "100"},
        {"loading", "0"}, {"keys", "3"},      {"mapping_epoch", "0"},    {"supervised", "1"},    {"version", "1"},
        {"grants", "3"},  {"migrating", "0"}, {"wants_epoch", "0"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        assert_string_equal(value_of(said, fields[i].command), fields[i].answer);
    assert_int_equal(strlen(value_of(said, "view")), 16);
    assert_int_equal(strlen(value_of(said, "incarnation")), 16);
    assert_int_equal(strtoll(value_of(said, "clock"), NULL, 10), w->f->mono_us);
    assert_in_range(strtoll(value_of(said, "lease_ms"), NULL, 10), 1, TTL_MS);
    client_run(&w->f->clients[0], "HELLO 3");
    assert_int_equal(strncmp(speak(w, 1, TTL_MS, 0), "%25\r\n", 5), 0);
    world_free(w);
}

/* Before the core is stepped, while the dataset is loaded, it is answered all the same. */
static void answered_while_loading(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ONE);
    w->cl->started = false;
    w->f->e->loading = true;
    const char *said = run(w->f, "CLUSTER LEASE 0000000000000000000000000000000000000000 1:0:" LIST " 1000 0");
    assert_string_equal(value_of(said, "loading"), "1");
    assert_string_equal(value_of(said, "lease_ms"), "-1");
    assert_int_equal(w->token, 0);
    w->f->e->loading = false;
    world_free(w);
}

static void writes_end_with_the_lease(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_TWO);
    struct client *c = fixture_client(w->f);
    client_run(c, "MULTI");
    assert_string_equal(client_run(c, "SET x queued"), "+QUEUED\r\n");
    int64_t until_us = cl_lease_until(w->core);
    w->f->mono_us = until_us - 1;
    assert_string_equal(run(w->f, "SET x last"), "+OK\r\n");
    w->f->mono_us = until_us;
    static const struct row rows[] = {
        {"GET x", "$4\r\nlast\r\n"},
        {"SET y 1", "-MOVED 12222 10.0.0.2:7001\r\n"},
        {"MULTI", "+OK\r\n"},
        {"GET x", "+QUEUED\r\n"},
        {"EXEC", "*1\r\n$4\r\nlast\r\n"},
        {"PUBLISH ch hello", ":0\r\n"},
    };
    assert_string_equal(run(w->f, "SET x late"), no_lease(1));
    CHECK(w, rows);
    static const char *const writing[] = {"DEL x",        "APPEND x a", "FLUSHALL",     "EXPIRE x 10",  "GETDEL x",
                                          "RPUSH {x}l a", "SORT x",     "BLPOP {x}l 0", "FLUSHDB ASYNC"};
    for (size_t i = 0; i < sizeof writing / sizeof *writing; i++)
        assert_string_equal(run(w->f, writing[i]), no_lease(1));
    assert_string_equal(client_run(c, "EXEC"), no_lease(1));
    assert_string_equal(client_run(c, "EXEC"), "-ERR EXEC without MULTI\r\n");
    assert_string_equal(client_run(c, "GET x"), "$4\r\nlast\r\n");
    assert_non_null(strstr(run(w->f, "INFO errorstats"), "errorstat_CLUSTERDOWN:count=1"));
    /* The core says so when it is next stepped, and the log has it once. */
    buf_clear(&w->f->log);
    world_step(w, (struct cl_event){.kind = CL_EV_TIME});
    world_step(w, (struct cl_event){.kind = CL_EV_TIME});
    assert_string_equal(buf_str(&w->f->log), "3 This master's lease has ended: 1 of 2 grants that it needs from its 3 "
                                             "supervisors; writes are refused\n");
    assert_non_null(strstr(run(w->f, "CLUSTER INFO"), "cluster_state:fail"));
    uint64_t term = w->f->e->lease_term;
    buf_clear(&w->f->log);
    grant(w, 2);
    assert_string_equal(run(w->f, "SET x again"), "+OK\r\n");
    assert_true(w->f->e->lease_term > term);
    assert_string_equal(buf_str(&w->f->log),
                        "2 This master holds a lease: grants of 2 of its 3 supervisors; writes are taken\n");
    const char *info = run(w->f, "CLUSTER INFO");
    assert_non_null(strstr(info, "cluster_state:ok\r\n"));
    assert_non_null(strstr(info, "cluster_supervised:1\r\ncluster_supervisors:3\r\ncluster_lease_ms:"));
    assert_non_null(strstr(info, "cluster_lease_grants:2\r\n"));
    assert_non_null(strstr(run(w->f, "INFO cluster"), "cluster_lease_grants:2\r\n"));
    world_free(w);
}

/* The stream of a master and what comes with slots is no client's. */
static void others_are_not_fenced(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_ONE);
    struct client *in = fixture_client(w->f), *c = fixture_client(w->f);
    struct nd_session *master = nd_session_new(w->f->e, ND_MASTER, &in->out, NULL);
    w->f->mono_us = cl_lease_until(w->core);
    const struct slice set[] = {slice_of("SET"), slice_of("k"), slice_of("v")};
    nd_session_run(master, 3, set);
    assert_string_equal(run(w->f, "GET k"), "$1\r\nv\r\n");
    c->s->flags |= ND_S_IMPORT;
    const struct slice more[] = {slice_of("SET"), slice_of("k"), slice_of("w")};
    nd_session_run(c->s, 3, more);
    c->s->flags &= ~(uint32_t)ND_S_IMPORT;
    assert_string_equal(run(w->f, "GET k"), "$1\r\nw\r\n");
    nd_session_free(master);
    world_free(w);
}

/* What the node writes by itself stands still, and goes on when there is a lease again. */
static void nothing_is_written_by_itself(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_ONE);
    struct nd_engine *e = w->f->e;
    run(w->f, "SET a 1 PX 1500");
    run(w->f, "SET b 1 PX 1500");
    fixture_effects(w->f);
    fixture_forward_ms(w->f, 3000);
    assert_string_equal(run(w->f, "DBSIZE"), ":3\r\n");
    assert_string_equal(run(w->f, "GET a"), "$-1\r\n");
    assert_string_equal(run(w->f, "TTL b"), ":-2\r\n");
    assert_string_equal(run(w->f, "DBSIZE"), ":3\r\n");
    assert_true(nd_engine_deadline(e) > e->now_us); /* it does not wait for what it may not do */
    e->config.maxmemory = 1;
    e->config.maxmemory_policy = ND_ALLKEYS_RANDOM;
    w->f->memory_used = 1000;
    assert_true(nd_evict(e));
    assert_string_equal(run(w->f, "GET x"), "$5\r\nfirst\r\n");
    assert_string_equal(run(w->f, "SET x 2"), no_lease(0));
    nd_evict_soon(e);
    fixture_forward_ms(w->f, 100);
    assert_string_equal(run(w->f, "DBSIZE"), ":3\r\n");
    assert_string_equal(fixture_effects(w->f), "");
    assert_int_equal(e->stats.expired + e->stats.evicted, 0);
    e->config.maxmemory = 0;
    grant(w, 3);
    fixture_forward_ms(w->f, 200);
    assert_string_equal(run(w->f, "DBSIZE"), ":1\r\n");
    assert_int_equal(e->stats.expired, 2);
    world_free(w);
}

/* A key that becomes ready meanwhile, by what is no client's, serves nobody until the lease is back. */
static void who_waits_is_not_served(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_ONE);
    struct client *in = fixture_client(w->f), *waiter = fixture_client(w->f);
    struct nd_session *master = nd_session_new(w->f->e, ND_MASTER, &in->out, NULL);
    assert_string_equal(client_run(waiter, "BLPOP list 0"), "");
    w->f->mono_us = cl_lease_until(w->core);
    const struct slice push[] = {slice_of("RPUSH"), slice_of("list"), slice_of("e")};
    nd_session_run(master, 3, push);
    assert_string_equal(client_read(waiter), "");
    world_step(w, (struct cl_event){.kind = CL_EV_TIME});
    assert_string_equal(client_read(waiter), "");
    assert_string_equal(run(w->f, "LLEN list"), ":1\r\n");
    grant(w, 3);
    assert_string_equal(client_read(waiter), "*2\r\n$4\r\nlist\r\n$1\r\ne\r\n");
    nd_session_free(master);
    world_free(w);
}

static void a_migrate_deletes_nothing(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_ONE);
    struct client *c = fixture_client(w->f);
    assert_string_equal(client_run(c, "MIGRATE 10.0.0.9 6379 x 0 1000"), "");
    assert_non_null(w->f->migrating);
    struct nd_migration *m = w->f->migrating->migration;
    nd_migrate_answered(m, (struct slice){NULL, 0});
    w->f->mono_us = cl_lease_until(w->core);
    nd_migrate_ended(m, ND_MIGRATE_DONE);
    assert_int_equal(strncmp(client_read(c), "-TRYAGAIN ", 10), 0);
    assert_string_equal(run(w->f, "GET x"), "$5\r\nfirst\r\n");
    world_free(w);
}

/* Neither pauses nor transactions of others hold supervisors up. */
static void supervisors_do_not_wait(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_ONE);
    struct client *c = fixture_client(w->f);
    client_run(c, "CLIENT PAUSE 100000 ALL");
    assert_int_equal(*speak(w, 0, TTL_MS, 0), '*');
    assert_string_equal(run(w->f, "GET x"), "$5\r\nfirst\r\n"); /* that session is a supervisor's */
    assert_string_equal(run(w->f, "SET x 1"), "");
    assert_int_equal(w->f->clients[0].ran, ND_POSTPONED);
    assert_string_equal(client_run(c, "GET x"), "");
    assert_int_equal(c->ran, ND_POSTPONED);
    world_free(w);
}

static void released(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_ONE);
    w->f->mono_us = cl_lease_until(w->core);
    assert_string_equal(run(w->f, "SET x 1"), no_lease(1));
    assert_string_equal(world_ask(w, "CLUSTER RELEASE"), "+OK\r\n");
    assert_int_equal(w->f->e->lease_until_us, INT64_MAX);
    assert_string_equal(run(w->f, "SET x 1"), "+OK\r\n");
    assert_non_null(
        strstr(run(w->f, "CLUSTER INFO"), "cluster_supervised:0\r\ncluster_supervisors:0\r\ncluster_lease_ms:-1\r\n"));
    assert_null(strstr(run(w->f, "INFO cluster"), "cluster_lease"));
    world_free(w);
}

/* Given back, it is over at once, and the answer has the offset of that moment. Writes wait for half a second for what
 * comes of it. */
static void given_back(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_ONE);
    int64_t offset = 4711;
    w->f->e->stream_offset = &offset;
    const char *said = world_ask(w, "CLUSTER LEASE RETURN " NAME " 1:1:" LIST " 5");
    assert_string_equal(value_of(said, "offset"), "4711");
    assert_string_equal(value_of(said, "lease_ms"), "0");
    struct client *c = fixture_client(w->f);
    assert_string_equal(client_run(c, "SET x 1"), "");
    assert_int_equal(c->ran, ND_POSTPONED);
    assert_string_equal(run(w->f, "GET x"), "$5\r\nfirst\r\n");
    int resumes = c->resumes;
    fixture_forward_ms(w->f, 499);
    assert_int_equal(c->resumes, resumes);
    assert_true(nd_engine_deadline(w->f->e) <= w->f->e->now_us + 1000);
    fixture_forward_ms(w->f, 1);
    assert_int_equal(c->resumes, resumes + 1);
    assert_string_equal(client_run(c, "SET x 1"), no_lease(0));
    grant(w, 3); /* of epoch 0 */
    assert_string_equal(run(w->f, "SET x 1"), no_lease(0));
    assert_int_equal(*world_ask(w, "CLUSTER FAILOVER TAKEOVER EPOCH 5 FROM " ME), '+'); /* a ballot names it anew */
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2; i++)
            speak(w, i, TTL_MS, 5);
    assert_string_equal(run(w->f, "SET x 1"), "+OK\r\n");
    w->f->e->stream_offset = NULL;
    world_free(w);
}

/* Who waits behind a lease that was given back goes on with the next one; refused, nothing was given back. */
static void given_back_and_there_again(void **state)
{
    (void)state;
    struct world *w = supervised(FILE_OF_ONE);
    struct client *c = fixture_client(w->f);
    assert_int_equal(*world_ask(w, "CLUSTER LEASE RETURN " NAME " 1:1:" LIST " 1"), '-'); /* no epoch above its own */
    assert_int_equal(w->f->e->lease_grace_us, 0);
    assert_string_equal(run(w->f, "SET x 1"), "+OK\r\n");
    world_ask(w, "CLUSTER LEASE RETURN " NAME " 1:1:" LIST " 5");
    assert_string_equal(client_run(c, "MULTI"), "+OK\r\n");
    assert_string_equal(client_run(c, "INCR x"), "+QUEUED\r\n");
    assert_string_equal(client_run(c, "EXEC"), "");
    assert_int_equal(c->ran, ND_POSTPONED);
    fixture_forward_ms(w->f, 10);
    int resumes = c->resumes;
    assert_int_equal(*world_ask(w, "CLUSTER FAILOVER TAKEOVER EPOCH 5 FROM " ME), '+');
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2; i++) {
            speak(w, i, TTL_MS, 5);
            fixture_forward_ms(w->f, WORDS_MS);
        }
    assert_true(c->resumes > resumes);
    assert_string_equal(client_run(c, "EXEC"), "*1\r\n:2\r\n");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),
        cmocka_unit_test(words_are_handed_on),
        cmocka_unit_test(what_is_answered),
        cmocka_unit_test(answered_while_loading),
        cmocka_unit_test(writes_end_with_the_lease),
        cmocka_unit_test(others_are_not_fenced),
        cmocka_unit_test(nothing_is_written_by_itself),
        cmocka_unit_test(who_waits_is_not_served),
        cmocka_unit_test(a_migrate_deletes_nothing),
        cmocka_unit_test(supervisors_do_not_wait),
        cmocka_unit_test(released),
        cmocka_unit_test(given_back),
        cmocka_unit_test(given_back_and_there_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
