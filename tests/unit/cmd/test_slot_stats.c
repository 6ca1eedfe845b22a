/* CLUSTER SLOT-STATS: what is counted for which slot, in which order it is told, and what begins anew. */
#include "noded/cmd/slot_stats.h"

#include "tests/unit/cmd/cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Slots: x 16287, y 12222, z 8157, b 3300, c 7365, n 3432. */
#define FILE_OF_ME                                                                  \
    ME " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191 16287\n" OTHER \
       " 10.0.0.2:7001@17001 master - 0 0 2 connected 8192-16286 16288-16383\n" VARS
#define C 7365
#define N 3432
#define NONE (-1)

static long figure(struct world *w, int slot, const char *name)
{
    char command[80], wanted[80];
    snprintf(command, sizeof command, "CLUSTER SLOT-STATS SLOTSRANGE %d %d", slot, slot);
    snprintf(wanted, sizeof wanted, "\r\n%s\r\n:", name);
    const char *at = strstr(run(w->f, command), wanted);
    return at != NULL ? strtol(at + strlen(wanted), NULL, 10) : NONE;
}

static void keys_of_all_databases(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ME);
    static const struct row rows[] = {
        {"SET c 1", "+OK\r\n"},    {"SET {c}2 1", "+OK\r\n"}, {"SELECT 3", "+OK\r\n"},
        {"SET {c}2 1", "+OK\r\n"}, {"SET n 1", "+OK\r\n"},    {"SELECT 0", "+OK\r\n"},
    };
    CHECK(w, rows);
    assert_int_equal(figure(w, C, "key-count"), 3);
    assert_int_equal(figure(w, N, "key-count"), 1);
    assert_int_equal(figure(w, 5, "key-count"), 0);
    assert_int_equal(figure(w, 12222, "key-count"), NONE); /* another shard's */
    world_free(w);
}

static void memory(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ME);
    char big[2001], command[2100];
    memset(big, 'v', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    run(w->f, "SET n small");
    long small = figure(w, N, "memory-bytes");
    assert_in_range(small, 8, 200);
    for (int i = 0; i < 300; i++) {
        run(w->f, i % 3 == 0 ? "SELECT 7" : "SELECT 0");
        snprintf(command, sizeof command, "SET {c}%d %s", i, big);
        run(w->f, command);
    }
    assert_in_range(figure(w, C, "memory-bytes"), 300 * 2000, 300 * 2300);
    assert_int_equal(figure(w, N, "memory-bytes"), small);
    assert_int_equal(figure(w, 5, "memory-bytes"), 0);
    world_free(w);
}

/* Between two looks at it 50 us pass. */
static int64_t slow_clock_us(void *owner)
{
    return ((struct fixture *)owner)->mono_us += 50;
}

static void time_and_traffic(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ME);
    w->f->e->host.clock_us = slow_clock_us;
    run(w->f, "SET c 0123456789");
    assert_int_equal(figure(w, C, "cpu-usec"), 50);
    assert_int_equal(figure(w, C, "network-bytes-in"), strlen("*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$10\r\n0123456789\r\n"));
    assert_int_equal(figure(w, C, "network-bytes-out"), strlen("+OK\r\n"));
    /* Several keys, and those that are refused. */
    run(w->f, "MGET n {n}2");
    assert_int_equal(figure(w, N, "network-bytes-out"), strlen("*2\r\n$-1\r\n$-1\r\n"));
    long in = figure(w, N, "network-bytes-in");
    run(w->f, "MGET n c");
    run(w->f, "GET y");
    run(w->f, "PING");
    assert_int_equal(figure(w, N, "network-bytes-in"), in);
    assert_int_equal(figure(w, C, "cpu-usec"), 50);
    run(w->f, "CONFIG RESETSTAT");
    assert_int_equal(figure(w, C, "cpu-usec"), 0);
    assert_int_equal(figure(w, C, "network-bytes-in"), 0);
    assert_int_equal(figure(w, C, "key-count"), 1);
    world_free(w);
}

static void transactions(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ME);
    run(w->f, "MULTI");
    run(w->f, "SET c 1");
    run(w->f, "PING");
    run(w->f, "GET c");
    assert_int_equal(figure(w, C, "network-bytes-in"), NONE); /* queued too */
    run(w->f, "EXEC");
    assert_int_equal(figure(w, C, "network-bytes-in"),
                     strlen("*3\r\n$3\r\nSET\r\n$1\r\nc\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\nc\r\n"));
    assert_int_equal(figure(w, C, "network-bytes-out"), strlen("+OK\r\n$1\r\n1\r\n"));
    world_free(w);
}

/* A client that waits is counted when it is served. */
static void blocked(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ME);
    assert_string_equal(client_run(fixture_client(w->f), "BLPOP c 0"), "");
    assert_int_equal(figure(w, C, "network-bytes-out"), 0);
    run(w->f, "RPUSH c v");
    assert_int_equal(figure(w, C, "network-bytes-out"), strlen(":1\r\n*2\r\n$1\r\nc\r\n$1\r\nv\r\n"));
    world_free(w);
}

static void order(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ME);
    run(w->f, "SET x 1");
    run(w->f, "SET c 1");
    run(w->f, "SET n 1");
    run(w->f, "SET {n}2 1");
    run(w->f, "CONFIG SET cluster-slot-stats-enabled no");
    const char *got = run(w->f, "CLUSTER SLOT-STATS ORDERBY key-count LIMIT 3");
    const char *first = strstr(got, ":3432\r\n"), *second = strstr(got, ":7365\r\n"),
               *third = strstr(got, ":16287\r\n");
    assert_memory_equal(got, "*3\r\n", 4);
    assert_true(first != NULL && second != NULL && third != NULL && first < second && second < third);
    assert_null(strstr(got, "cpu-usec")); /* not counted now */
    got = run(w->f, "CLUSTER SLOT-STATS ORDERBY KEY-COUNT ASC LIMIT 1");
    const char *begin = "*1\r\n*2\r\n:0\r\n*4\r\n$9\r\nkey-count\r\n:0\r\n";
    assert_memory_equal(got, begin, strlen(begin));
    static const struct row rows[] = {
        {"CLUSTER SLOT-STATS ORDERBY cpu-usec", "-ERR Unrecognized sort metric for ORDERBY.\r\n"},
        {"CONFIG SET cluster-slot-stats-enabled yes", "+OK\r\n"},
        {"CLUSTER SLOT-STATS ORDERBY nonsense", "-ERR Unrecognized sort metric for ORDERBY.\r\n"},
        {"CLUSTER SLOT-STATS ORDERBY cpu-usec LIMIT 0",
         "-ERR Limit has to lie in between 1 and 16384 (maximum number of slots).\r\n"},
        {"CLUSTER SLOT-STATS ORDERBY cpu-usec LIMIT 16385",
         "-ERR Limit has to lie in between 1 and 16384 (maximum number of slots).\r\n"},
        {"CLUSTER SLOT-STATS ORDERBY cpu-usec LIMIT", "-ERR syntax error\r\n"},
        {"CLUSTER SLOT-STATS ORDERBY cpu-usec ASC DESC", "-ERR Multiple filters of the same type are disallowed.\r\n"},
        {"CLUSTER SLOT-STATS ORDERBY cpu-usec LIMIT 1 LIMIT 2",
         "-ERR Multiple filters of the same type are disallowed.\r\n"},
        {"CLUSTER SLOT-STATS SLOTSRANGE 5 4", "-ERR Start slot number 5 is greater than end slot number 4\r\n"},
        {"CLUSTER SLOT-STATS SLOTSRANGE 5 16384", "-ERR Invalid or out of range slot\r\n"},
        {"CLUSTER SLOT-STATS SLOTSRANGE 5 5 5",
         "-ERR unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP.\r\n"},
        {"CLUSTER SLOT-STATS SLOTSRANGE 12222 12222", "*0\r\n"},
    };
    CHECK(w, rows);
    world_free(w);
}

/* A slot that goes and comes back begins anew; the others go on. */
static void gone_and_back(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_ME);
    run(w->f, "GET c");
    run(w->f, "GET n");
    long before = figure(w, N, "network-bytes-in");
    assert_string_equal(world_ask(w, "CLUSTER DELSLOTS 7365"), "+OK\r\n");
    assert_int_equal(figure(w, C, "key-count"), NONE);
    assert_string_equal(world_ask(w, "CLUSTER ADDSLOTS 7365"), "+OK\r\n");
    assert_int_equal(figure(w, C, "network-bytes-in"), 0);
    assert_int_equal(figure(w, N, "network-bytes-in"), before);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_all_databases), cmocka_unit_test(memory),  cmocka_unit_test(time_and_traffic),
        cmocka_unit_test(transactions),          cmocka_unit_test(blocked), cmocka_unit_test(order),
        cmocka_unit_test(gone_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
