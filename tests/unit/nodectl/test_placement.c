/* Placement of a new fleet: held to its promises for many shapes, and some by hand. */
#include "nodectl/local/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NODES_MAX 400
#define HOSTS_MAX 24

static const char *zone_of(const struct placement_host *h)
{
    return h->zone[0] != '\0' ? h->zone : h->name;
}

/* Every shard is whole, has one master, and no zone twice; hosts differ by one master at most where they have equally
 * many nodes. */
static void check(const struct placement_host *hosts, size_t nhosts, const struct placement_node *nodes, size_t n,
                  size_t shards)
{
    size_t masters[HOSTS_MAX] = {0}, most = 0, fewest = n;
    for (size_t s = 0; s < shards; s++) {
        size_t have = 0, heads = 0;
        for (size_t i = 0; i < n; i++) {
            if (nodes[i].shard != s)
                continue;
            have++;
            heads += nodes[i].master;
            masters[nodes[i].host] += nodes[i].master;
            for (size_t k = 0; k < i && nhosts > 1; k++)
                if (nodes[k].shard == s)
                    assert_string_not_equal(zone_of(&hosts[nodes[k].host]), zone_of(&hosts[nodes[i].host]));
        }
        assert_int_equal(have, n / shards);
        assert_int_equal(heads, 1);
    }
    for (size_t h = 0; h < nhosts; h++) {
        most = masters[h] > most ? masters[h] : most;
        fewest = masters[h] < fewest ? masters[h] : fewest;
    }
    if (n % nhosts == 0 && hosts[0].zone[0] == 0)
        assert_true(most - fewest <= 1);
}

static size_t place(const struct placement_host *hosts, size_t nhosts, size_t shards, size_t replicas,
                    struct placement_node *nodes)
{
    size_t counts[HOSTS_MAX], n = 0;
    struct buf why = {0};
    if (!placement_count(hosts, nhosts, shards, replicas, counts, &why)) {
        assert_true(why.n > 0);
        buf_free(&why);
        return 0;
    }
    for (size_t h = 0; h < nhosts; h++)
        for (size_t i = 0; i < counts[h]; i++)
            nodes[n++] = (struct placement_node){.host = h};
    assert_int_equal(n, shards * (1 + replicas));
    assert_true(placement_deal(hosts, nhosts, nodes, n, shards, &why));
    assert_int_equal(why.n, 0);
    return n;
}

static void test_every_shape(void **state)
{
    static char names[HOSTS_MAX][8], zones[HOSTS_MAX][8];
    struct placement_host hosts[HOSTS_MAX];
    struct placement_node nodes[NODES_MAX];
    (void)state;
    for (size_t nhosts = 1; nhosts <= HOSTS_MAX; nhosts += nhosts < 8 ? 1 : 5)
        for (size_t nzones = 0; nzones <= nhosts && nzones < 6; nzones++) /* 0: none are named */
            for (size_t shards = 1; shards <= 24; shards += shards < 7 ? 1 : 4)
                for (size_t replicas = 0; replicas < 4; replicas++) {
                    for (size_t h = 0; h < nhosts; h++) {
                        snprintf(names[h], sizeof names[h], "h%zu", h);
                        snprintf(zones[h], sizeof zones[h], "z%zu", nzones > 0 ? h * h % nzones : 0);
                        hosts[h] = (struct placement_host){names[h], nzones > 0 ? zones[h] : ""};
                    }
                    size_t n = place(hosts, nhosts, shards, replicas, nodes);
                    if (n > 0)
                        check(hosts, nhosts, nodes, n, shards);
                    else
                        assert_true(nzones > 0 || nhosts <= replicas);
                }
}

static void test_three_zones(void **state)
{
    const struct placement_host hosts[] = {{"a", "x"}, {"b", "y"}, {"c", "z"}};
    struct placement_node nodes[NODES_MAX];
    size_t masters[3] = {0};
    (void)state;
    size_t n = place(hosts, 3, 3, 1, nodes);
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++)
        masters[nodes[i].host] += nodes[i].master;
    for (size_t h = 0; h < 3; h++)
        assert_int_equal(masters[h], 1);
}

/* What one host has is not all beside one other host. */
static void test_partners_differ(void **state)
{
    const struct placement_host hosts[] = {{"a1", "a"}, {"a2", "a"}, {"a3", "a"},
                                           {"b1", "b"}, {"b2", "b"}, {"b3", "b"}};
    struct placement_node nodes[NODES_MAX];
    (void)state;
    size_t n = place(hosts, 6, 6, 1, nodes), first = NODES_MAX, partners = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; nodes[i].host == 0 && k < n; k++)
            if (nodes[k].host != 0 && nodes[k].shard == nodes[i].shard && nodes[k].host != first) {
                first = nodes[k].host;
                partners++;
            }
    assert_int_equal(partners, 2);
}

static void test_refuses(void **state)
{
    const struct placement_host hosts[] = {{"a", ""}, {"b", ""}, {"c", "b"}};
    struct placement_node nodes[] = {{.host = 0}, {.host = 0}, {.host = 0}, {.host = 1}};
    size_t counts[3];
    struct buf why = {0};
    (void)state;
    assert_false(placement_count(hosts, 3, 3, 2, counts, &why));
    assert_non_null(strstr(buf_str(&why), "needs 3 zones, and there are 2"));
    buf_clear(&why);
    assert_false(placement_deal(hosts, 2, nodes, 4, 2, &why));
    assert_non_null(strstr(buf_str(&why), "a has 3 of the 4 nodes"));
    buf_free(&why);
}

static void test_one_host_takes_all(void **state)
{
    const struct placement_host host = {"here", ""};
    struct placement_node nodes[NODES_MAX];
    (void)state;
    size_t n = place(&host, 1, 5, 2, nodes);
    assert_int_equal(n, 15);
    check(&host, 1, nodes, n, 5);
}

static void test_supervisors(void **state)
{
    const struct placement_host hosts[] = {{"a", "x"}, {"b", "x"}, {"c", "y"}, {"d", "z"}};
    size_t places[5], zones[3] = {0};
    (void)state;
    placement_supervisors(hosts, 4, places, 5);
    for (size_t i = 0; i < 5; i++)
        zones[zone_of(&hosts[places[i]])[0] - 'x']++;
    assert_int_equal(zones[0], 2);
    assert_int_equal(zones[1], 2);
    assert_int_equal(zones[2], 1);
    assert_int_not_equal(places[0], places[3]); /* of the first zone both hosts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape),        cmocka_unit_test(test_three_zones),
        cmocka_unit_test(test_partners_differ),    cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_one_host_takes_all), cmocka_unit_test(test_supervisors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
