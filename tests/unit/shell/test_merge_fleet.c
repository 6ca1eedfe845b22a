/* Clusters in the merge of the file and the state. */
#include "sentineld/shell/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NEW_ID "0123456789abcdef0123456789abcdef01234567"
#define NODE_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NODE_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define PEER_ID "3333333333333333333333333333333333333333"
#define SHARD "orders/aaaaaaaa"

#define HEAD "listen = [ \"127.0.0.1:26379\" ]; state_dir = \"/tmp/none\";\n"
#define ORDERS(rest)                                                                                                   \
    HEAD "clusters = ( { name = \"orders\"; seeds = [ \"10.0.0.1:7001\", \"10.0.0.2:7001\" ]; quorum = 2; " rest " } " \
         ");"

static void merge_text(const char *text, const struct state_image *stored, struct merged *out)
{
    struct conf_problems problems = {.count = 0};
    struct sentineld_config *c = config_parse("test.conf", slice_of(text), &problems);
    if (c == NULL)
        fail_msg("%s", buf_str(&problems.text));
    buf_free(&problems.text);
    merge(c, stored, NEW_ID, out);
    config_free(c);
}

/* The state after some time under this file: one shard was found. */
static struct state_image found(const char *text)
{
    struct state_image empty = {.ngroups = 0}, image;
    struct merged m;
    struct addr a;
    merge_text(text, &empty, &m);
    state_image_copy(&image, &m.image);
    merged_free(&m);
    struct state_group *g = state_image_add(&image, SHARD);
    g->monitored = true;
    addr_set(&g->master, slice_of("10.0.0.1"), 7001);
    g->config_epoch = 5;
    g->vote_epoch = 6;
    state_group_set_fleet(g, "orders");
    addr_set(&a, slice_of("10.0.0.2"), 7001);
    state_group_add_replica(g, &a);
    state_group_add_peer(g, &a, PEER_ID);
    state_group_add_node(g, NODE_B, &g->master);
    state_group_add_node(g, NODE_A, &a);
    image.fleets[0].config_epoch = 7;
    image.fleets[0].vote_epoch = 9;
    return image;
}

static bool noted(const struct merged *m, const char *text)
{
    struct buf copy = {.n = 0};
    buf_put(&copy, m->notes.p, m->notes.n);
    bool is_there = strstr(buf_str(&copy), text) != NULL;
    buf_free(&copy);
    return is_there;
}

static void a_new_cluster_has_seeds_and_settings(void **state)
{
    (void)state;
    struct state_image empty = {.ngroups = 0};
    struct merged m;
    merge_text(ORDERS("down_after_ms = 700; user = \"u\"; password = \"p\";"), &empty, &m);
    assert_int_equal(m.ngroups, 0);
    assert_int_equal(m.nfleets, 1);
    struct sn_core_fleet f = merged_core_fleet(&m, 0);
    assert_string_equal(f.name, "orders");
    assert_int_equal(f.nseeds, 2);
    assert_string_equal(f.seeds[1].host, "10.0.0.2");
    assert_int_equal(f.settings->down_after_ms, 700);
    assert_string_equal(f.settings->auth_pass, "p");
    assert_int_equal(f.nshards, 0);
    free((void *)(uintptr_t)f.shards);
    assert_false(m.fleets[0].release);
    assert_int_equal(m.image.nfleets, 1);
    assert_true(m.image.fleets[0].monitored);
    merged_free(&m);
}

static void shards_come_from_the_state(void **state)
{
    (void)state;
    struct state_image stored = found(ORDERS("down_after_ms = 700;"));
    struct merged m;
    memcpy(stored.id, NEW_ID, sizeof stored.id);
    stored.epoch = 3;
    merge_text(ORDERS("down_after_ms = 700;"), &stored, &m);
    assert_int_equal(m.ngroups, 1);
    assert_int_equal(m.groups[0].fleet, 0);
    assert_int_equal(m.image.epoch, 9); /* no vote of a cluster lies above it */
    struct sn_core_fleet f = merged_core_fleet(&m, 0);
    assert_int_equal(f.config_epoch, 7);
    assert_int_equal(f.vote_epoch, 9);
    assert_int_equal(f.nshards, 1);
    const struct sn_core_shard *s = &f.shards[0];
    assert_string_equal(s->group.name, SHARD);
    assert_int_equal(s->group.config_epoch, 5);
    assert_int_equal(s->group.nreplicas, 1);
    assert_int_equal(s->group.npeers, 1);
    assert_int_equal(s->group.settings->down_after_ms, 700);
    assert_int_equal(s->nnodes, 2);
    assert_string_equal(s->nodes[0].id, NODE_B);
    free((void *)(uintptr_t)f.shards);
    merged_free(&m);
    state_image_free(&stored);
}

static void a_shards_option_holds_until_the_file_changes_it(void **state)
{
    (void)state;
    struct state_image stored = found(ORDERS("down_after_ms = 700;"));
    state_options_add(&stored.options, SHARD, "down-after-milliseconds", "50");
    state_options_add(&stored.options, SHARD, "parallel-syncs", "4");
    struct merged m;
    merge_text(ORDERS("down_after_ms = 700; failover_timeout_ms = 1234;"), &stored, &m);
    assert_int_equal(m.groups[0].settings.down_after_ms, 50);
    assert_int_equal(m.groups[0].settings.parallel_syncs, 4);
    assert_int_equal(m.groups[0].settings.failover_timeout_ms, 1234);
    assert_int_equal(m.fleets[0].settings.down_after_ms, 700); /* of shards to come */
    assert_int_equal(m.image.options.n, 2);
    merged_free(&m);

    merge_text(ORDERS("down_after_ms = 800;"), &stored, &m);
    assert_int_equal(m.groups[0].settings.down_after_ms, 800);
    assert_int_equal(m.groups[0].settings.parallel_syncs, 4);
    assert_int_equal(m.image.options.n, 1);
    assert_true(noted(&m, SHARD ": down-after-milliseconds was changed in the configuration file"));
    merged_free(&m);
    state_image_free(&stored);
}

static void a_released_cluster_stays_so_until_its_entry_changes(void **state)
{
    (void)state;
    struct state_image stored = found(ORDERS(""));
    stored.fleets[0].monitored = false;
    stored.groups[0].monitored = false;
    struct merged m;
    merge_text(ORDERS(""), &stored, &m);
    assert_int_equal(m.nfleets, 0);
    assert_int_equal(m.ngroups, 0);
    assert_false(m.image.fleets[0].monitored);
    assert_int_equal(m.image.fleets[0].vote_epoch, 9);
    assert_true(noted(&m, "orders: stays released"));
    merged_free(&m);
    merge_text(ORDERS("down_after_ms = 1;"), &stored, &m);
    assert_int_equal(m.nfleets, 1);
    assert_int_equal(m.ngroups, 0); /* its shards are found anew */
    assert_true(m.image.fleets[0].monitored);
    struct sn_core_fleet f = merged_core_fleet(&m, 0);
    assert_int_equal(f.vote_epoch, 9);
    free((void *)(uintptr_t)f.shards);
    merged_free(&m);
    state_image_free(&stored);
}

static void one_that_has_gone_from_the_file_is_released(void **state)
{
    (void)state;
    struct state_image stored = found(ORDERS("password = \"p\";"));
    state_options_add(&stored.options, SHARD, "down-after-milliseconds", "50");
    struct merged m, again;
    merge_text(HEAD, &stored, &m);
    assert_int_equal(m.nfleets, 1);
    assert_true(m.fleets[0].release);
    assert_int_equal(m.fleets[0].nseeds, 0);
    assert_string_equal(m.fleets[0].settings.auth_pass, "p"); /* for the login at its nodes */
    assert_int_equal(m.ngroups, 1);
    assert_true(noted(&m, "orders: is no longer in the configuration file"));
    assert_false(noted(&m, "dropped"));

    /* Not done when the process ended: it is tried again, with the same login. */
    merge_text(HEAD, &m.image, &again);
    assert_true(again.fleets[0].release);
    assert_string_equal(again.fleets[0].settings.auth_pass, "p");
    merged_free(&again);

    /* Done; and an entry as before is a new one. */
    m.image.fleets[0].monitored = false;
    merge_text(ORDERS("password = \"p\";"), &m.image, &again);
    assert_int_equal(again.nfleets, 1);
    assert_false(again.fleets[0].release);
    merged_free(&again);
    merge_text(HEAD, &m.image, &again);
    assert_int_equal(again.nfleets, 0);
    assert_false(state_options_has_group(&again.image.file_values, "cluster orders"));
    assert_int_equal(again.image.fleets[0].vote_epoch, 9);
    merged_free(&again);
    merged_free(&m);
    state_image_free(&stored);
}

static void groups_and_shards_do_not_mix(void **state)
{
    (void)state;
    struct state_image stored = found(ORDERS(""));
    struct state_group *g = state_image_add(&stored, "classic");
    g->monitored = true;
    addr_set(&g->master, slice_of("10.0.0.9"), 6379);
    struct merged m;
    merge_text(ORDERS(""), &stored, &m);
    assert_int_equal(m.ngroups, 2);
    assert_true(m.groups[0].fleet == SIZE_MAX);
    assert_string_equal(m.image.groups[m.groups[0].row].name, "classic");
    merged_free(&m);
    /* A group that takes the name of a shard of a former cluster is a new one, but its vote holds. */
    merge_text(HEAD "groups = ( { name = \"" SHARD "\"; master = \"10.0.0.3:1\"; quorum = 1; } );", &stored, &m);
    assert_int_equal(m.groups[0].fleet == SIZE_MAX, 1);
    struct sn_core_group core = merged_core_group(&m, 0);
    assert_string_equal(core.name, SHARD);
    assert_string_equal(core.master.host, "10.0.0.3");
    assert_int_equal(core.nreplicas, 0);
    assert_int_equal(core.vote_epoch, 6);
    merged_free(&m);
    state_image_free(&stored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster_has_seeds_and_settings),
        cmocka_unit_test(shards_come_from_the_state),
        cmocka_unit_test(a_shards_option_holds_until_the_file_changes_it),
        cmocka_unit_test(a_released_cluster_stays_so_until_its_entry_changes),
        cmocka_unit_test(one_that_has_gone_from_the_file_is_released),
        cmocka_unit_test(groups_and_shards_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
