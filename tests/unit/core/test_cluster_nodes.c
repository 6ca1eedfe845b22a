/* CLUSTER NODES, as nodes give it. The texts are those of a cluster of Redis 7.0.15 with three shards. */
#include "sentineld/core/cluster_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A "4b079c184c2cb382ecbc55624b3cddfe3db9bdae"
#define B "e936e9bfd524190f594653fadeaeae9f2ea82da7"
#define REPLICA "2310d2c1122cf79d36b9acf730d1222b0951a3bb"
#define SELF A " 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5460\n"

static struct sn_nodes nodes;

static int end(void **state)
{
    (void)state;
    sn_nodes_free(&nodes);
    return 0;
}

static bool parse(const char *text)
{
    sn_nodes_free(&nodes);
    return sn_nodes_parse(&nodes, slice_of(text));
}

static void a_cluster_of_redis_7(void **state)
{
    (void)state;
    assert_true(parse("66ac9f9ca9f872619843ba7c920241bb5d1048b1 127.0.0.1:42941@52941 slave "
                      "144649a3e0bad1ac5387148f7b12cfbf38edbf5e 0 1795342164000 3 connected\n" B
                      " 127.0.0.1:33937@43937 master - 0 1795342164519 2 connected 5461-10922\n"
                      "144649a3e0bad1ac5387148f7b12cfbf38edbf5e 127.0.0.1:38007@48007 master,fail - 0 1795342165523 3 "
                      "disconnected 10923-16383\n"
                      "23a4c6f035dd665a52c8c70686cc1d1e244e5c09 127.0.0.1:50671@60671 slave,fail?,nofailover " B
                      " 0 1795342164000 2 connected\n" A
                      " 127.0.0.1:52443@62443 myself,master - 0 1795342165000 1 connected 0-5460\n" REPLICA
                      " 127.0.0.1:38763@48763 slave " A " 0 1795342166527 1 connected\n"));
    assert_int_equal(nodes.nlines, 6);
    assert_int_equal(nodes.self, 4);
    const struct sn_nodes_line *l = &nodes.lines[4];
    assert_string_equal(l->id, A);
    assert_string_equal(l->addr.host, "127.0.0.1");
    assert_int_equal(l->addr.port, 52443);
    assert_int_equal(l->flags, SN_NODES_MYSELF | SN_NODES_MASTER);
    assert_string_equal(l->master, "");
    assert_int_equal(l->epoch, 1);
    assert_true(l->connected);
    assert_int_equal(l->nslots, 5461);
    assert_int_equal(l->nranges, 1);
    assert_int_equal(nodes.ranges[l->range].first, 0);
    assert_int_equal(nodes.ranges[l->range].last, 5460);
    l = sn_nodes_find(&nodes, REPLICA);
    assert_non_null(l);
    assert_int_equal(l->flags, SN_NODES_REPLICA);
    assert_string_equal(l->master, A);
    assert_int_equal(l->nslots, 0);
    assert_int_equal(nodes.lines[2].flags, SN_NODES_MASTER | SN_NODES_FAIL);
    assert_false(nodes.lines[2].connected);
    assert_int_equal(nodes.lines[3].flags, SN_NODES_REPLICA | SN_NODES_PFAIL | SN_NODES_NOFAILOVER);
    assert_null(sn_nodes_find(&nodes, "0000000000000000000000000000000000000000"));
}

static void names_and_fields_behind_the_address(void **state)
{
    (void)state;
    assert_true(parse(SELF B " 10.0.0.2:7002@17002,node2.example,shard-id=" REPLICA
                             ",availability-zone=a master - 0 0 2 connected\r\n" REPLICA
                             " 2001:db8::7:7003@17003,,shard-id=" REPLICA " slave " B " 0 0 2 connected\r\n"));
    assert_int_equal(nodes.nlines, 3);
    assert_string_equal(nodes.lines[1].addr.host, "10.0.0.2");
    assert_string_equal(nodes.lines[1].shard, REPLICA);
    assert_string_equal(nodes.lines[2].addr.host, "2001:db8::7");
    assert_int_equal(nodes.lines[2].addr.port, 7003);
    assert_string_equal(nodes.lines[2].shard, REPLICA);
}

static void nodes_whose_address_nobody_knows(void **state)
{
    (void)state;
    assert_true(parse(A " :7001@17001 myself,master - 0 0 0 connected\n" B " :0@0 master,noaddr - 0 0 2 disconnected "
                        "7\n" REPLICA " ?:7003@17003 slave - 0 0 2 connected\n"));
    assert_int_equal(nodes.nlines, 3);
    assert_string_equal(nodes.lines[0].addr.host, "");
    assert_int_equal(nodes.lines[0].addr.port, 7001);
    assert_int_equal(nodes.lines[1].addr.port, 0);
    assert_true(nodes.lines[1].flags & SN_NODES_NOADDR);
    assert_string_equal(nodes.lines[2].addr.host, "");
}

static void slots_that_are_on_their_way(void **state)
{
    (void)state;
    assert_true(
        parse(A " 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5 7 9-10 [77->-" B "] [93-<-" B "]\n"));
    assert_int_equal(nodes.lines[0].nslots, 9);
    assert_int_equal(nodes.lines[0].nranges, 3);
    assert_int_equal(nodes.ranges[1].first, 7);
    assert_int_equal(nodes.ranges[1].last, 7);
    assert_int_equal(nodes.lines[0].nopen, 2);
}

static void without_its_own_line_a_text_says_nothing(void **state)
{
    (void)state;
    assert_false(parse(""));
    assert_false(parse(B " 127.0.0.1:7002@17002 master - 0 0 2 connected 1-2\n"));
    assert_int_equal(nodes.nlines, 0);
    assert_null(nodes.lines);
    assert_false(parse(SELF SELF));
}

static void lines_that_are_none_are_skipped(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "ERR something",
        "zz079c184c2cb382ecbc55624b3cddfe3db9bdae 127.0.0.1:7002@17002 master - 0 0 2 connected",
        B " 127.0.0.1 master - 0 0 2 connected",
        B " 127.0.0.1:70000@17002 master - 0 0 2 connected",
        B " 127.0.0.1:7002@17002 master,slave - 0 0 2 connected",
        B " 127.0.0.1:7002@17002 slave nobody 0 0 2 connected",
        B " 127.0.0.1:7002@17002 master - 0 0 -2 connected",
        B " 127.0.0.1:7002@17002 master - 0 0 2 perhaps",
        B " 127.0.0.1:7002@17002 master - 0 0 2 connected 16384",
        B " 127.0.0.1:7002@17002 master - 0 0 2 connected 5-3",
        B " 127.0.0.1:7002@17002 master - 0 0 2 connected 0-16383 0",
        B " 127.0.0.1:7002@17002 master - 0 0 2",
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        char text[600];
        snprintf(text, sizeof text, "%s%s\n", SELF, bad[k]);
        assert_true(parse(text));
        if (nodes.nlines != 1)
            fail_msg("taken for a node: %s", bad[k]);
        assert_int_equal(nodes.nranges, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_cluster_of_redis_7, end),
        cmocka_unit_test_teardown(names_and_fields_behind_the_address, end),
        cmocka_unit_test_teardown(nodes_whose_address_nobody_knows, end),
        cmocka_unit_test_teardown(slots_that_are_on_their_way, end),
        cmocka_unit_test_teardown(without_its_own_line_a_text_says_nothing, end),
        cmocka_unit_test_teardown(lines_that_are_none_are_skipped, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
