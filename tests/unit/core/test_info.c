/* INFO: what real servers say (tests/unit/core/info, taken from redis-server 7.0.15), and what nobody should. */
#include "sentineld/core/info.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The samples lie beside this source, which is compiled from the root of the tree. */
static struct buf sample(const char *name)
{
    struct buf path = {0}, text = {0};
    char part[4096];
    size_t n;
    buf_puts(&path, __FILE__);
    while (path.n > 0 && path.p[path.n - 1] != '/')
        path.n--;
    buf_printf(&path, "info/%s.txt", name);
    FILE *f = fopen(buf_str(&path), "rb");
    if (f == NULL)
        fail_msg("cannot open %s; tests are run from the root of the tree", buf_str(&path));
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_put(&text, part, n);
    fclose(f);
    buf_free(&path);
    assert_true(text.n > 1000);
    return text;
}

static bool parse(struct sn_info *info, const char *text)
{
    sn_info_init(info);
    return sn_info_parse(info, slice_of(text));
}

static void parse_sample(struct sn_info *info, const char *name)
{
    struct buf text = sample(name);
    sn_info_init(info);
    assert_true(sn_info_parse(info, buf_slice(&text)));
    buf_free(&text);
}

static void real_master(void **state)
{
    (void)state;
    struct sn_info info;
    parse_sample(&info, "master");
    assert_int_equal(info.role, SN_ROLE_MASTER);
    assert_string_equal(info.run_id, "a883d95e05255d1e181b7847f083e2d1ddd9e082");
    assert_string_equal(info.replid, "10469cb92bbf6af7f62668266a8e50547c873b12");
    assert_string_equal(info.replid2, "");
    assert_int_equal(info.repl_offset, 208);
    assert_int_equal(info.second_offset, -1);
    assert_int_equal(info.priority, 100);
    assert_true(info.keys_known);
    assert_int_equal(info.keys, 6); /* in two databases */
    assert_false(info.loading || info.async_loading || info.syncing);
    assert_true(info.failover_known);
    assert_false(info.failover_running);
    assert_false(addr_is_set(&info.master));
    assert_int_equal(info.nreplicas, 2);
    assert_string_equal(info.replicas[0].addr.host, "replica-1.example.org");
    assert_int_equal(info.replicas[0].addr.port, 6991);
    assert_true(info.replicas[0].online);
    assert_int_equal(info.replicas[0].offset, 208);
    assert_int_equal(info.replicas[0].lag_s, 0);
    assert_string_equal(info.replicas[1].addr.host, "2001:db8::2");
    assert_int_equal(info.replicas[1].addr.port, 7002);
    sn_info_free(&info);
    assert_null(info.replicas);
}

static void real_replica(void **state)
{
    (void)state;
    struct sn_info info;
    parse_sample(&info, "replica");
    assert_int_equal(info.role, SN_ROLE_REPLICA);
    assert_string_equal(info.master.host, "127.0.0.1");
    assert_int_equal(info.master.port, 6990);
    assert_true(info.master_link_up);
    assert_int_equal(info.master_link_down_ms, -1);
    assert_int_equal(info.priority, 50);
    assert_int_equal(info.repl_offset, 208);
    assert_true(info.replica_announced);
    assert_string_equal(info.replid, "10469cb92bbf6af7f62668266a8e50547c873b12");
    assert_int_equal(info.keys, 6);
    assert_int_equal(info.nreplicas, 0);
    sn_info_free(&info);

    parse_sample(&info, "replica-unannounced");
    assert_false(info.replica_announced);
    sn_info_free(&info);

    parse_sample(&info, "replica-ipv6");
    assert_string_equal(info.master.host, "::1");
    assert_int_equal(info.master.port, 6981);
    sn_info_free(&info);
}

static void real_replica_in_trouble(void **state)
{
    (void)state;
    struct sn_info info;
    parse_sample(&info, "replica-link-down");
    assert_false(info.master_link_up);
    assert_int_equal(info.master_link_down_ms, 2000);
    assert_int_equal(info.keys, 7);
    sn_info_free(&info);

    parse_sample(&info, "replica-syncing");
    assert_true(info.syncing);
    assert_false(info.loading);
    assert_false(info.master_link_up);
    assert_int_equal(info.master_link_down_ms, -1); /* it was never up */
    sn_info_free(&info);

    parse_sample(&info, "replica-loading");
    assert_true(info.syncing);
    assert_true(info.loading);
    sn_info_free(&info);
}

static void real_master_in_other_states(void **state)
{
    (void)state;
    struct sn_info info;
    parse_sample(&info, "empty-master");
    assert_true(info.keys_known);
    assert_int_equal(info.keys, 0);
    assert_int_equal(info.nreplicas, 0);
    sn_info_free(&info);

    parse_sample(&info, "master-failover");
    assert_true(info.failover_known);
    assert_true(info.failover_running);
    sn_info_free(&info);

    parse_sample(&info, "master-loading");
    assert_true(info.loading);
    assert_int_equal(info.role, SN_ROLE_MASTER);
    sn_info_free(&info);

    parse_sample(&info, "promoted");
    assert_int_equal(info.role, SN_ROLE_MASTER);
    assert_string_equal(info.replid2, "10469cb92bbf6af7f62668266a8e50547c873b12");
    assert_int_equal(info.second_offset, 236);
    assert_string_not_equal(info.replid, info.replid2);
    sn_info_free(&info);

    parse_sample(&info, "master-ipv6");
    assert_int_equal(info.nreplicas, 1);
    assert_string_equal(info.replicas[0].addr.host, "::1");
    assert_int_equal(info.replicas[0].addr.port, 6982);
    sn_info_free(&info);

    parse_sample(&info, "cluster-master");
    assert_int_equal(info.role, SN_ROLE_MASTER);
    assert_int_equal(info.keys, 1);
    sn_info_free(&info);
}

static void defaults_when_not_said(void **state)
{
    (void)state;
    struct sn_info info;
    assert_true(parse(&info, "role:slave\r\n"));
    assert_string_equal(info.run_id, "");
    assert_string_equal(info.replid, "");
    assert_int_equal(info.priority, 100);
    assert_int_equal(info.repl_offset, -1);
    assert_int_equal(info.master_link_down_ms, -1);
    assert_int_equal(info.second_offset, -1);
    assert_true(info.replica_announced);
    assert_false(info.master_link_up);
    assert_false(info.keys_known);
    assert_false(info.failover_known);
    assert_false(addr_is_set(&info.master));
    sn_info_free(&info);
}

static void not_an_info(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "\r\n",
                                        "role",
                                        "role:",
                                        "role:sentinel\r\n",
                                        "# Server\r\nredis_version:7.0.15\r\n",
                                        " role:master\r\n",
                                        "xrole:master\r\n",
                                        "role:master \r\n",
                                        "ERR no such section"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sn_info info;
        assert_false(parse(&info, texts[i]));
        sn_info_free(&info);
    }
}

static void line_ends(void **state)
{
    (void)state;
    struct sn_info info;
    assert_true(parse(&info, "run_id:0123456789012345678901234567890123456789\nrole:master\nmaster_repl_offset:7"));
    assert_int_equal(info.repl_offset, 7);
    assert_string_equal(info.run_id, "0123456789012345678901234567890123456789");
    sn_info_free(&info);
}

static void order_does_not_matter(void **state)
{
    (void)state;
    struct sn_info info;
    assert_true(parse(
        &info, "master_port:7\r\nmaster_repl_offset:5\r\nslave_repl_offset:6\r\nmaster_host:h\r\nrole:slave\r\n"));
    assert_int_equal(info.repl_offset, 6);
    assert_string_equal(info.master.host, "h");
    assert_int_equal(info.master.port, 7);
    sn_info_free(&info);
    assert_true(parse(&info, "slave_repl_offset:6\r\nmaster_repl_offset:5\r\nrole:master\r\n"));
    assert_int_equal(info.repl_offset, 5);
    sn_info_free(&info);
}

static void replica_words(void **state)
{
    (void)state;
    struct sn_info info;
    assert_true(parse(&info, "role:replica\r\nreplica_priority:3\r\nreplica_repl_offset:12\r\n"));
    assert_int_equal(info.role, SN_ROLE_REPLICA);
    assert_int_equal(info.priority, 3);
    assert_int_equal(info.repl_offset, 12);
    sn_info_free(&info);
    assert_true(
        parse(&info, "role:master\r\nreplica0:type=replica,port=7,ip=a-b.c_d,state=online,lag=4,offset=99\r\n"));
    assert_int_equal(info.nreplicas, 1); /* valkey puts a field before the address */
    assert_string_equal(info.replicas[0].addr.host, "a-b.c_d");
    sn_info_free(&info);
    assert_true(
        parse(&info, "role:master\r\nreplica0:ip=a-b.c_d,type=replica,port=7,state=online,lag=4,offset=99,x\r\n"));
    assert_int_equal(info.nreplicas, 1);
    assert_int_equal(info.replicas[0].lag_s, 4);
    assert_int_equal(info.replicas[0].offset, 99);
    sn_info_free(&info);
}

static void replica_lines_of_old_servers(void **state)
{
    (void)state;
    struct sn_info info;
    assert_true(parse(&info, "role:master\r\nslave0:10.0.0.1,6380,online\r\nslave1:10.0.0.2,6381,send_bulk\r\n"
                             "slave2:some-host,6382\r\nslave10:::1,6383,online\r\n"));
    assert_int_equal(info.nreplicas, 4);
    assert_string_equal(info.replicas[0].addr.host, "10.0.0.1");
    assert_int_equal(info.replicas[0].addr.port, 6380);
    assert_true(info.replicas[0].online);
    assert_int_equal(info.replicas[0].offset, -1);
    assert_int_equal(info.replicas[0].lag_s, -1);
    assert_false(info.replicas[1].online);
    assert_false(info.replicas[2].online);
    assert_string_equal(info.replicas[3].addr.host, "::1");
    sn_info_free(&info);
}

static void bad_replica_lines_are_left_out(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "slave0:",
        "slave0:,",
        "slave0:,,",
        "slave0:a",
        "slave0:a,0,online",
        "slave0:a,65536,online",
        "slave0:a,-1,online",
        "slave0:a b,1,online",
        "slave0:ip=,port=1,state=online",
        "slave0:ip=a,state=online",
        "slave0:ip=a,port=x",
        "slave0:port=1,state=online",
        "slave:a,1,online",
        "slavex:a,1,online",
        "slave0x:a,1,online",
        "slave0",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct buf text = {0};
        struct sn_info info;
        buf_printf(&text, "%s\r\nrole:master\r\n%s\r\n", lines[i], lines[i]);
        assert_true(parse(&info, buf_str(&text)));
        assert_int_equal(info.nreplicas, 0);
        sn_info_free(&info);
        buf_free(&text);
    }
}

static void replicas_are_bounded(void **state)
{
    (void)state;
    struct buf text = {0};
    struct sn_info info;
    buf_puts(&text, "role:master\r\n");
    for (int i = 0; i < SN_INFO_REPLICAS_MAX + 100; i++)
        buf_printf(&text, "slave%d:ip=10.0.%d.%d,port=6379,state=online,offset=%d,lag=1\r\n", i, i / 256, i % 256, i);
    assert_true(parse(&info, buf_str(&text)));
    assert_int_equal(info.nreplicas, SN_INFO_REPLICAS_MAX);
    assert_int_equal(info.replicas[SN_INFO_REPLICAS_MAX - 1].offset, SN_INFO_REPLICAS_MAX - 1);
    sn_info_free(&info);
    buf_free(&text);
}

static void numbers_out_of_range(void **state)
{
    (void)state;
    struct sn_info info;
    assert_true(parse(&info,
                      "role:slave\r\nslave_priority:99999999999999999999\r\nslave_repl_offset:-5\r\n"
                      "master_host:h\r\nmaster_port:70000\r\nmaster_link_down_since_seconds:9223372036854775807\r\n"
                      "second_repl_offset:x\r\n"));
    assert_int_equal(info.priority, 100);
    assert_int_equal(info.repl_offset, -1);
    assert_false(addr_is_set(&info.master));
    assert_int_equal(info.master_link_down_ms, -1);
    assert_int_equal(info.second_offset, -1);
    sn_info_free(&info);

    assert_true(parse(&info, "role:slave\r\nmaster_link_down_since_seconds:9223372036854775\r\n"));
    assert_true(info.master_link_down_ms == INT64_C(9223372036854775000));
    sn_info_free(&info);

    /* Two databases of impossible sizes: the sum stays a number. */
    assert_true(parse(&info, "role:master\r\ndb0:keys=9223372036854775807,expires=0\r\ndb1:keys=1,expires=0\r\n"));
    assert_true(info.keys == INT64_MAX);
    sn_info_free(&info);
}

static void master_host_that_is_none(void **state)
{
    (void)state;
    static const char *const hosts[] = {"?", "", "a b", "-\x01", "h,1"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct buf text = {0};
        struct sn_info info;
        buf_printf(&text, "role:slave\r\nmaster_host:%s\r\nmaster_port:6379\r\n", hosts[i]);
        assert_true(parse(&info, buf_str(&text)));
        assert_false(addr_is_set(&info.master));
        sn_info_free(&info);
        buf_free(&text);
    }
}

static void keyspace_lines(void **state)
{
    (void)state;
    struct sn_info info;
    assert_true(parse(&info,
                      "role:master\r\n# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=0\r\ndb15:keys=4\r\ndbx:keys=5\r\n"
                      "db2:expires=7\r\ndb3:keys=-1\r\n"));
    assert_true(info.keys_known);
    assert_int_equal(info.keys, 7);
    sn_info_free(&info);
}

static void same_length_names_are_told_apart(void **state)
{
    (void)state;
    struct sn_info info;
    assert_true(parse(&info, "role:master\r\nrun_ix:0123456789012345678901234567890123456789\r\nmaster_replie:"
                             "0123456789012345678901234567890123456789\r\nslave_prioritx:1\r\nloadinh:1\r\n"));
    assert_string_equal(info.run_id, "");
    assert_string_equal(info.replid, "");
    assert_int_equal(info.priority, 100);
    assert_false(info.loading);
    sn_info_free(&info);
}

/* Each cut is parsed from memory of exactly its size, so that the sanitizer sees a byte read too far. */
static void parse_copy(struct slice text)
{
    char *copy = mem_alloc(text.n);
    struct sn_info info;
    memcpy(copy, text.p, text.n);
    sn_info_init(&info);
    bool decided = sn_info_parse(&info, (struct slice){copy, text.n});
    assert_int_equal(decided, info.role != SN_ROLE_UNKNOWN);
    assert_true(info.nreplicas <= SN_INFO_REPLICAS_MAX);
    sn_info_free(&info);
    free(copy);
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    static const char *const names[] = {"master", "replica", "replica-link-down"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        struct buf text = sample(names[k]);
        for (size_t n = 1; n <= text.n; n++)
            parse_copy((struct slice){text.p, n});
        buf_free(&text);
    }
}

static void damaged_at_random(void **state)
{
    (void)state;
    struct rng r;
    struct buf text = sample("master");
    rng_seed(&r, 42);
    for (int round = 0; round < 3000; round++) {
        struct buf copy = {0};
        buf_put(&copy, text.p, text.n);
        for (uint64_t i = 1 + rng_below(&r, 30); i > 0; i--)
            copy.p[rng_below(&r, copy.n)] = (char)rng_below(&r, 256);
        parse_copy(buf_slice(&copy));
        buf_free(&copy);
    }
    for (int round = 0; round < 3000; round++) {
        char noise[300];
        size_t n = 1 + (size_t)rng_below(&r, sizeof noise);
        for (size_t i = 0; i < n; i++)
            noise[i] = "sdmrla0:=,\r\n#k\0x"[rng_below(&r, 16)];
        parse_copy((struct slice){noise, n});
    }
    buf_free(&text);
}

/* What only a noded says. */
static void words_of_a_noded(void **state)
{
    (void)state;
    struct sn_info info;
    assert_true(parse(&info, "role:slave\r\nmaster_sync_guarded:10469cb92bbf6af7f62668266a8e50547c873b12\r\n"));
    assert_string_equal(info.guarded, "10469cb92bbf6af7f62668266a8e50547c873b12");
    assert_false(info.emptied);
    sn_info_free(&info);
    assert_true(parse(&info, "role:master\r\ndataset_emptied:1\r\nmaster_sync_guarded:odd\r\n"));
    assert_string_equal(info.guarded, "");
    assert_true(info.emptied);
    sn_info_free(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_master),
        cmocka_unit_test(words_of_a_noded),
        cmocka_unit_test(real_replica),
        cmocka_unit_test(real_replica_in_trouble),
        cmocka_unit_test(real_master_in_other_states),
        cmocka_unit_test(defaults_when_not_said),
        cmocka_unit_test(not_an_info),
        cmocka_unit_test(line_ends),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(replica_words),
        cmocka_unit_test(replica_lines_of_old_servers),
        cmocka_unit_test(bad_replica_lines_are_left_out),
        cmocka_unit_test(replicas_are_bounded),
        cmocka_unit_test(numbers_out_of_range),
        cmocka_unit_test(master_host_that_is_none),
        cmocka_unit_test(keyspace_lines),
        cmocka_unit_test(same_length_names_are_told_apart),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(damaged_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
