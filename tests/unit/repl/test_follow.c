/* The replica's side of replication against a master that is a script: its bytes arrive in any pieces, its link breaks
 * anywhere, and what it sends may be wrong. */
#include "common/base/heap.h"
#include "common/base/mem.h"
#include "noded/repl/rdb_write.h"
#include "noded/repl/stream.h"
#include "tests/unit/repl/follow_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void follow_pieces(int mode, struct slice all, const size_t *cuts, size_t n)
{
    struct follower *w = follower_new();
    w->f->e->config.repl_diskless_load = mode;
    assert_true(nd_follow_set(w->r, "master", 6379, false));
    follower_connects(w);
    follower_gets_pieces(w, all, cuts, n);
    assert_followed(w);
    assert_int_equal(w->kept, mode == ND_DISKLESS_DISABLED);
    assert_false(w->f->e->loading || w->f->e->async_loading);
    follower_free(w);
}

static void test_every_boundary(void **state)
{
    (void)state;
    for (size_t mode = 0; mode < 3; mode++) {
        for (int marked = 0; marked < 2; marked++) {
            struct buf all = {0};
            put_transcript(&all, some_commands, marked, some_stream);
            for (size_t at = 1; at < all.n; at++)
                follow_pieces(load_modes[mode], buf_slice(&all), &at, 1);
            size_t *cuts = mem_array(NULL, all.n, sizeof *cuts);
            for (size_t i = 0; i + 1 < all.n; i++)
                cuts[i] = i + 1;
            follow_pieces(load_modes[mode], buf_slice(&all), cuts, all.n - 1);
            free(cuts);
            buf_free(&all);
        }
    }
}

static void test_what_is_said(void **state)
{
    (void)state;
    struct follower *w = follower_new();
    struct nd_config *config = &w->f->e->config;
    free(config->masterauth);
    config->masterauth = mem_strdup("secret");
    free(config->masteruser);
    config->masteruser = mem_strdup("me");
    free(config->replica_announce_ip);
    config->replica_announce_ip = mem_strdup("10.0.0.1");
    config->replica_announce_port = 7;
    nd_follow_set(w->r, "master", 6379, false);
    assert_string_equal(config->replicaof, "master 6379");
    follower_connects(w);
    assert_string_equal(buf_str(&w->sent), "*1\r\n$4\r\nPING\r\n");
    buf_clear(&w->sent);
    follower_gets(w, "-NOAUTH x\r\n", 11);
    assert_string_equal(buf_str(&w->sent),
                        "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n"
                        "*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$1\r\n7\r\n"
                        "*3\r\n$8\r\nREPLCONF\r\n$10\r\nip-address\r\n$8\r\n10.0.0.1\r\n"
                        "*5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n$6\r\npsync2\r\n");
    buf_clear(&w->sent);
    follower_gets(w, "+OK\r\n+OK\r\n-ERR what\r\n+OK\r\n", 26);
    assert_string_equal(buf_str(&w->sent), "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
    assert_string_equal(nd_follow_state_name(w->r), "handshake");
    assert_false(nd_follow_set(w->r, "MASTER", 6379, false)); /* the same */
    follower_gets(w, "-LOADING wait\r\n", 15);
    assert_false(w->linked);
    follower_forward(w, 999);
    assert_int_equal(w->connects, 1);
    follower_forward(w, 1);
    assert_int_equal(w->connects, 2);
    follower_free(w);
}

/* The offset counts what was run: half a transaction is asked for again. */
static void test_break_in_a_transaction(void **state)
{
    (void)state;
    static const char first[] = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    static const char half[] = "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEX";
    static const char whole[] = "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEXEC\r\n";
    struct follower *w = follower_in_step(first);
    int64_t offset = w->r->offset;
    assert_int_equal(offset, 1000 + (int64_t)strlen(first));
    follower_gets(w, half, strlen(half));
    assert_int_equal(w->r->offset, offset);
    struct buf info = {0};
    nd_follow_info(w->r, &info);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "slave_read_repl_offset:%zu\r\nslave_repl_offset:%" PRId64 "\r\n",
             (size_t)offset + strlen(half), offset);
    assert_non_null(strstr(buf_str(&info), wanted));
    buf_free(&info);
    w->linked = false;
    nd_follow_lost(w->r, "cut");
    follower_forward(w, 1000);
    nd_follow_connected(w->r);
    buf_clear(&w->sent);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    snprintf(wanted, sizeof wanted, "$40\r\n" ID_A "\r\n$4\r\n%" PRId64 "\r\n", offset + 1);
    assert_non_null(strstr(buf_str(&w->sent), wanted));
    follower_gets(w, "+CONTINUE\r\n", 11);
    follower_gets(w, whole, strlen(whole));
    assert_int_equal(w->r->offset, offset + (int64_t)strlen(whole));
    run(w->f, "SELECT 2"); /* as the snapshot said */
    assert_string_equal(run(w->f, "GET n"), "$1\r\n2\r\n");
    follower_free(w);
}

static void test_history_with_a_new_name(void **state)
{
    (void)state;
    struct follower *w = follower_in_step("*1\r\n$4\r\nPING\r\n");
    w->linked = false;
    nd_follow_lost(w->r, "cut");
    follower_forward(w, 1000);
    nd_follow_connected(w->r);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n+CONTINUE " ID_B "\r\n", 17 + 51 + 2 - 1);
    assert_string_equal(w->r->id, ID_B);
    assert_string_equal(w->r->id2, ID_A);
    assert_int_equal(w->r->id2_offset, w->r->offset + 1);
    nd_follow_none(w->r);
    assert_string_equal(w->r->id2, ID_B);
    assert_false(w->f->e->is_replica);
    assert_string_equal(w->f->e->config.replicaof, "");
    assert_int_equal(nd_follow_deadline(w->r), HEAP_NEVER);
    /* And as the replica of the one that was its replica it goes on from there. */
    nd_follow_set(w->r, "master", 6379, false);
    assert_true(w->f->e->is_replica);
    follower_settle(w);
    nd_follow_connected(w->r);
    buf_clear(&w->sent);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    assert_non_null(strstr(buf_str(&w->sent), w->r->id));
    follower_free(w);
}

static void test_acknowledgements(void **state)
{
    (void)state;
    struct follower *w = follower_in_step("");
    follower_forward(w, 1000);
    assert_string_equal(buf_str(&w->sent), "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1000\r\n");
    buf_clear(&w->sent);
    static const char ask[] = "*1\r\n$4\r\nPING\r\n*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
    follower_gets(w, ask, strlen(ask));
    assert_string_equal(buf_str(&w->sent), "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1014\r\n");
    assert_int_equal(w->r->offset, 1000 + (int64_t)strlen(ask));
    follower_forward(w, 30000);
    assert_true(w->linked);
    follower_forward(w, 30001);
    assert_false(nd_follow_is_up(w->r));
    follower_free(w);
}

static void assert_stopped(const char *request, const char *word)
{
    struct follower *w = follower_in_step("");
    int64_t offset = w->r->offset;
    struct buf bytes = {0};
    buf_puts(&bytes, "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nx\r\n");
    size_t good = bytes.n;
    buf_puts(&bytes, request);
    buf_puts(&bytes, "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\ny\r\n");
    follower_gets(w, bytes.p, bytes.n);
    buf_free(&bytes);
    assert_int_equal(nd_follow_state(w->r), ND_FOLLOW_STOPPED);
    assert_int_equal(w->r->offset, offset + (int64_t)good);
    struct buf info = {0};
    nd_follow_info(w->r, &info);
    assert_non_null(strstr(buf_str(&info), "master_stream_stopped:"));
    assert_non_null(strstr(buf_str(&info), word));
    buf_free(&info);
    run(w->f, "SELECT 2");
    assert_string_equal(run(w->f, "GET b"), "$1\r\nx\r\n");
    follower_forward(w, 100000);
    assert_int_equal(w->connects, 1);
    /* Said again, it begins with a snapshot. */
    assert_true(nd_follow_set(w->r, "master", 6379, false));
    follower_settle(w);
    nd_follow_connected(w->r);
    buf_clear(&w->sent);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    assert_non_null(strstr(buf_str(&w->sent), "$1\r\n?\r\n$2\r\n-1\r\n"));
    follower_free(w);
}

static void test_what_cannot_be_followed(void **state)
{
    (void)state;
    assert_stopped("*2\r\n$4\r\nXADD\r\n$1\r\ns\r\n", "XADD");
    assert_stopped("*2\r\n$3\r\nGET\r\n$1\r\ns\r\n", "GET");
    assert_stopped("*1\r\n$8\r\nSHUTDOWN\r\n", "SHUTDOWN");
    assert_stopped("*1\r\n$3\r\nSET\r\n", "arguments");
    assert_stopped("*1\r\n$4\r\nEXEC\r\n", "EXEC");
    assert_stopped("*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n", "index");
}

static void greet_again(struct follower *w)
{
    nd_follow_connected(w->r);
    buf_clear(&w->sent);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    assert_non_null(strstr(buf_str(&w->sent), "$1\r\n?\r\n$2\r\n-1\r\n"));
}

/* The master could run it: a snapshot is asked for at once, and a second one after a pause. */
static void assert_diverged(const char *requests, size_t counted)
{
    struct follower *w = follower_in_step("");
    int64_t offset = w->r->offset;
    follower_gets(w, requests, strlen(requests));
    assert_false(nd_follow_is_up(w->r));
    assert_int_equal(w->r->offset, offset + (int64_t)counted);
    struct buf info = {0};
    nd_follow_info(w->r, &info);
    assert_non_null(strstr(buf_str(&info), "master_stream_divergences:1\r\n"));
    buf_free(&info);
    follower_forward(w, 1);
    assert_int_equal(w->connects, 2);
    greet_again(w);
    /* Neither a file nor a promotion makes others believe that this is the master's dataset. */
    struct nd_rdb_facts facts;
    nd_rdb_facts_now(w->f->e, &facts);
    assert_null(facts.repl_id);
    nd_follow_none(w->r);
    assert_int_equal(w->r->id2_offset, -1);
    assert_string_not_equal(w->r->id, ID_A);
    nd_rdb_facts_now(w->f->e, &facts);
    assert_non_null(facts.repl_id);
    follower_free(w);
}

static void test_what_only_the_master_could_run(void **state)
{
    (void)state;
    static const char set[] = "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nx\r\n";
    struct buf bytes = {0};
    buf_puts(&bytes, set);
    buf_puts(&bytes, "*3\r\n$5\r\nRPUSH\r\n$1\r\nb\r\n$1\r\nx\r\n");
    assert_diverged(buf_str(&bytes), sizeof set - 1);
    assert_diverged("*3\r\n$6\r\nRENAME\r\n$1\r\nq\r\n$1\r\nx\r\n", 0);
    /* The error is inside of the answer of EXEC. */
    assert_diverged("*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nx\r\n"
                    "*3\r\n$5\r\nRPUSH\r\n$1\r\nb\r\n$1\r\nx\r\n*1\r\n$4\r\nEXEC\r\n",
                    0);
    buf_free(&bytes);
}

/* FAILOVER: the link breaks before the new master has answered. */
static void test_failover_without_an_answer(void **state)
{
    (void)state;
    static const char refusal[] = "-ERR PSYNC FAILOVER can't be sent to a master.\r\n";
    struct follower *w = follower_new();
    nd_follow_set(w->r, "master", 6379, true);
    follower_connects(w);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    assert_non_null(strstr(buf_str(&w->sent), "FAILOVER"));
    w->linked = false;
    nd_follow_lost(w->r, "cut");
    follower_forward(w, 1000);
    nd_follow_connected(w->r);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    follower_gets(w, refusal, sizeof refusal - 1);
    assert_true(w->f->e->is_replica); /* there is one master, and it is the other one */
    follower_forward(w, 1);
    nd_follow_connected(w->r);
    buf_clear(&w->sent);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    assert_non_null(strstr(buf_str(&w->sent), "PSYNC"));
    assert_null(strstr(buf_str(&w->sent), "FAILOVER"));
    nd_follow_none(w->r);
    /* Who says so at once is none of our replicas. */
    nd_follow_set(w->r, "master", 6379, true);
    follower_connects(w);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
    follower_gets(w, refusal, sizeof refusal - 1);
    assert_false(w->f->e->is_replica);
    follower_free(w);
}

/* ---- a master with random writes ---- */

struct master {
    struct fixture *f;
    struct buf stream; /* from offset 1 on */
    int db;
};

static void master_feed(void *owner, const struct nd_effect_row *rows, size_t n)
{
    struct master *m = owner;
    nd_stream_put(&m->stream, &m->db, rows, n, true);
}

static void write_something(struct master *m, struct rng *rng)
{
    static const char *const shapes[] = {"SET k%u %u",     "INCR n%u",    "RPUSH l%u %u",   "LPOP l%u",
                                         "SADD s%u %u",    "SPOP s%u",    "HSET h%u f %u",  "DEL k%u",
                                         "ZADD z%u %u m",  "ZPOPMIN z%u", "SELECT %u",      "APPEND k%u x%u",
                                         "EXPIRE k%u 100", "SWAPDB %u 1", "PUBLISH c%u %u", "SET k%u %u EX 5"};
    char command[64];
    unsigned a = (unsigned)rng_below(rng, 8), b = (unsigned)rng_below(rng, 1000);
    if (rng_below(rng, 8) == 0) {
        run(m->f, "MULTI");
        snprintf(command, sizeof command, "SET k%u %u", a, b);
        run(m->f, command);
        run(m->f, "INCR both");
        run(m->f, "EXEC");
        return;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(command, sizeof command, shapes[rng_below(rng, sizeof shapes / sizeof *shapes)], a, b);
#pragma GCC diagnostic pop
    run(m->f, command);
}

static void begin_again(struct follower *w)
{
    if (w->linked) {
        w->linked = false;
        nd_follow_lost(w->r, "cut");
    }
    follower_forward(w, 1000);
    nd_follow_connected(w->r);
    follower_gets(w, "+PONG\r\n+OK\r\n+OK\r\n", 17);
}

static void test_random_stream(void **state)
{
    (void)state;
    struct rng rng;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        rng_seed(&rng, seed);
        struct master m = {.f = fixture_new(), .db = -1};
        m.f->also = master_feed;
        m.f->also_owner = &m;
        struct follower *w = follower_new();
        struct buf all = {0};
        put_greeting(&all);
        buf_puts(&all, "+FULLRESYNC " ID_A " 0\r\n$EOF:" MARK "\r\n");
        put_snapshot(&all, no_commands, true);
        buf_puts(&all, MARK);
        nd_follow_set(w->r, "master", 6379, false);
        follower_connects(w);
        follower_gets(w, all.p, all.n);
        buf_free(&all);
        struct buf kept = {0};
        size_t sent = 0;
        for (int i = 0; i < 400; i++) {
            write_something(&m, &rng);
            /* Some of what there is arrives; now and then the link breaks. */
            size_t n = (size_t)rng_below(&rng, m.stream.n - sent + 1);
            buf_put(&kept, m.stream.p + sent, n);
            sent += n;
            struct slice in = buf_slice(&kept);
            while (nd_follow_bytes(w->r, &in, 0)) {}
            buf_drop(&kept, kept.n - in.n);
            if (rng_below(&rng, 20) == 0) {
                begin_again(w);
                follower_gets(w, "+CONTINUE\r\n", 11);
                sent = (size_t)w->r->offset;
                buf_clear(&kept);
            }
            assert_true(nd_follow_is_up(w->r));
        }
        begin_again(w);
        follower_gets(w, "+CONTINUE\r\n", 11);
        follower_gets(w, m.stream.p + w->r->offset, m.stream.n - (size_t)w->r->offset);
        assert_int_equal(w->r->offset, m.stream.n);
        char *mine = fixture_dataset(w->f->e), *theirs = fixture_dataset(m.f->e);
        assert_string_equal(mine, theirs);
        free(mine);
        free(theirs);
        buf_free(&kept);
        buf_free(&m.stream);
        follower_free(w);
        fixture_free(m.f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_boundary),
        cmocka_unit_test(test_what_is_said),
        cmocka_unit_test(test_break_in_a_transaction),
        cmocka_unit_test(test_history_with_a_new_name),
        cmocka_unit_test(test_acknowledgements),
        cmocka_unit_test(test_what_cannot_be_followed),
        cmocka_unit_test(test_what_only_the_master_could_run),
        cmocka_unit_test(test_failover_without_an_answer),
        cmocka_unit_test(test_random_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
