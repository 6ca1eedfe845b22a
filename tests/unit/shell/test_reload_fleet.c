/* A file that is read again: what it changes of clusters. */
#include "sentineld/shell/reload_plan.h"

#include "sentineld/core/fleet.h"
#include "sentineld/shell/merge.h"
#include "sentineld/shell/overrides.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define NODE_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NODE_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ONE "orders/aaaaaaaa"
#define TWO "orders/bbbbbbbb"
#define HEAD "listen = [ \"127.0.0.1:26379\" ]; state_dir = \"/tmp/none\";\n"
#define ORDERS(rest) HEAD "clusters = ( { name = \"orders\"; seeds = [ \"10.0.0.1:7001\" ]; quorum = 2; " rest " } );"
#define TRIES 20000 /* steps of virtual time in which a release must end */

static struct {
    struct sentineld_config *file;
    struct sn_core *core;
    struct overrides *overrides;
    int64_t now_us;
    struct reload_plan plan;
} s;

static struct sentineld_config *parse(const char *text)
{
    struct conf_problems problems = {.count = 0};
    struct sentineld_config *c = config_parse("test.conf", slice_of(text), &problems);
    if (c == NULL)
        fail_msg("%s", buf_str(&problems.text));
    buf_free(&problems.text);
    return c;
}

static void add_shard(struct state_image *m, const char *name, const char *id, int port)
{
    struct state_group *g = state_image_add(m, name);
    g->monitored = true;
    assert_true(addr_set(&g->master, slice_of("10.0.0.1"), port));
    state_group_set_fleet(g, "orders");
    state_group_add_node(g, id, &g->master);
}

/* A core that was started with this file, and two shards in its state. */
static void start(const char *text)
{
    struct state_image empty = {.ngroups = 0}, stored;
    struct sn_effects fx = {.n = 0};
    struct merged first, m;
    memset(&s, 0, sizeof s);
    s.file = parse(text);
    s.now_us = 1000000;
    merge(s.file, &empty, ID, &first);
    state_image_copy(&stored, &first.image);
    merged_free(&first);
    add_shard(&stored, ONE, NODE_A, 7001);
    add_shard(&stored, TWO, NODE_B, 7002);
    merge(s.file, &stored, ID, &m);
    struct sn_core_options o = {.port = 26379, .joined = true, .globals = m.globals, .params = m.params};
    memcpy(o.id, m.image.id, sizeof o.id);
    s.core = sn_core_new(&o, s.now_us);
    struct sn_core_fleet f = merged_core_fleet(&m, 0);
    assert_true(sn_core_add_fleet(s.core, &f, s.now_us, &fx));
    free((void *)(uintptr_t)f.shards);
    s.overrides = overrides_new(&m.image);
    sn_effects_free(&fx);
    merged_free(&m);
    state_image_free(&stored);
}

/* Does what the event asks for; the disk has all that is written. */
static void step(struct sn_event *e)
{
    struct sn_effects fx = {.n = 0};
    for (uint64_t seq = 1; seq > 0;) {
        e->now_us = ++s.now_us;
        sn_step(s.core, e, &fx);
        seq = 0;
        for (size_t i = 0; i < fx.n; i++) {
            if (fx.v[i].kind != SN_FX_PERSIST)
                continue;
            seq = fx.v[i].seq;
            overrides_queue(s.overrides, seq, fx.v[i].records, fx.v[i].count);
        }
        sn_effects_free(&fx);
        if (seq > 0)
            overrides_settle(s.overrides, seq, true);
        *e = (struct sn_event){.kind = SN_EV_PERSISTED, .seq = seq};
    }
}

static void set(const char *shard, const char *option, const char *value)
{
    struct slice argv[] = {slice_of(option), slice_of(value)};
    step(&(struct sn_event){.kind = SN_EV_SET, .group = slice_of(shard), .argv = argv, .count = 2});
}

static void reload(const char *text)
{
    struct sentineld_config *next = parse(text);
    reload_plan_free(&s.plan);
    reload_plan(s.core, s.file, next, overrides_options(s.overrides), overrides_file(s.overrides), &s.plan);
    struct sn_event e = {.kind = SN_EV_RELOAD, .reload = s.plan.change};
    s.plan.change = NULL;
    step(&e);
    config_free(s.file);
    s.file = next;
}

static int stop(void **state)
{
    (void)state;
    reload_plan_free(&s.plan);
    sn_core_free(s.core);
    overrides_free(s.overrides);
    config_free(s.file);
    return 0;
}

static const struct sn_settings *settings(const char *shard)
{
    const struct sn_group *g = sn_group_find(s.core, slice_of(shard));
    assert_non_null(g);
    return &g->set;
}

static const struct sn_fleet *fleet(void)
{
    return sn_fleet_find(s.core, slice_of("orders"));
}

/* Nobody answers, so its nodes cannot be told; it ends all the same. */
static void wait_released(void)
{
    for (int i = 0; i < TRIES && fleet() != NULL; i++) {
        s.now_us += 10000;
        step(&(struct sn_event){.kind = SN_EV_TICK});
    }
    assert_null(fleet());
}

static void the_same_file_changes_nothing(void **state)
{
    (void)state;
    start(ORDERS(""));
    set(TWO, "parallel-syncs", "5");
    struct sentineld_config *same = parse(ORDERS(""));
    reload_plan(s.core, s.file, same, overrides_options(s.overrides), overrides_file(s.overrides), &s.plan);
    assert_int_equal(s.plan.added + s.plan.removed + s.plan.changed, 0);
    assert_int_equal(s.plan.fleets_added + s.plan.fleets_released + s.plan.fleets_changed, 0);
    assert_int_equal(s.plan.change->nset + s.plan.change->nrecords + s.plan.change->nfleets, 0);
    config_free(same);
}

static void settings_reach_the_shards(void **state)
{
    (void)state;
    start(ORDERS("down_after_ms = 100;"));
    set(TWO, "down-after-milliseconds", "200");
    set(TWO, "parallel-syncs", "5");
    reload(ORDERS("down_after_ms = 100; failover_timeout_ms = 700;"));
    assert_int_equal(s.plan.fleets_changed, 1);
    assert_int_equal(s.plan.changed, 2);
    assert_int_equal(fleet()->set.failover_timeout_ms, 700);
    assert_int_equal(settings(ONE)->failover_timeout_ms, 700);
    assert_int_equal(settings(TWO)->down_after_ms, 200);
    reload(ORDERS("down_after_ms = 300; failover_timeout_ms = 700;"));
    assert_int_equal(settings(ONE)->down_after_ms, 300);
    assert_int_equal(settings(TWO)->down_after_ms, 300); /* the file's own value has changed */
    assert_int_equal(settings(TWO)->parallel_syncs, 5);
    assert_null(state_options_get(overrides_options(s.overrides), TWO, "down-after-milliseconds"));
    assert_string_equal(state_options_get(overrides_file(s.overrides), "cluster orders", "down-after-milliseconds"),
                        "300");
}

static void other_seeds_are_taken(void **state)
{
    (void)state;
    start(ORDERS(""));
    reload(HEAD "clusters = ( { name = \"orders\"; seeds = [ \"10.0.0.9:7001\", \"10.0.0.8:1\" ]; quorum = 2; } );");
    assert_int_equal(s.plan.fleets_changed, 1);
    assert_int_equal(fleet()->nseeds, 2);
    assert_string_equal(fleet()->seeds[0].host, "10.0.0.9");
    assert_int_equal(fleet()->nshards, 2);
}

static void clusters_come_and_go(void **state)
{
    (void)state;
    start(ORDERS(""));
    reload(HEAD "clusters = ( { name = \"carts\"; seeds = [ \"10.0.0.3:7001\" ]; quorum = 2; } );");
    assert_int_equal(s.plan.fleets_added, 1);
    assert_int_equal(s.plan.fleets_released, 1);
    assert_int_equal(s.plan.removed, 0); /* no shard is removed by itself */
    assert_non_null(sn_fleet_find(s.core, slice_of("carts")));
    wait_released();
    assert_null(sn_group_find(s.core, slice_of(ONE)));
    /* An entry like the former one is a new one. */
    reload(ORDERS(""));
    assert_int_equal(s.plan.fleets_added, 1);
    assert_non_null(fleet());
    assert_int_equal(fleet()->nshards, 0);
}

static void a_release_holds_until_the_entry_changes(void **state)
{
    (void)state;
    start(ORDERS(""));
    step(&(struct sn_event){.kind = SN_EV_RELEASE, .group = slice_of("orders")});
    wait_released();
    reload(ORDERS(""));
    assert_int_equal(s.plan.fleets_added, 0);
    assert_null(fleet());
    assert_true(s.plan.notes.n > 0);
    reload(ORDERS("parallel_syncs = 2;"));
    assert_int_equal(s.plan.fleets_added, 1);
    assert_non_null(fleet());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_same_file_changes_nothing, stop),
        cmocka_unit_test_teardown(settings_reach_the_shards, stop),
        cmocka_unit_test_teardown(other_seeds_are_taken, stop),
        cmocka_unit_test_teardown(clusters_come_and_go, stop),
        cmocka_unit_test_teardown(a_release_holds_until_the_entry_changes, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
