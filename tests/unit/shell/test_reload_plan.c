#include "sentineld/shell/reload_plan.h"

#include "sentineld/shell/merge.h"
#include "sentineld/shell/overrides.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define HEAD "listen = [ \"127.0.0.1:26379\" ]; state_dir = \"/tmp/none\";\n"
#define GROUP(name, port, rest) "{ name = \"" name "\"; master = \"10.0.0.1:" port "\"; quorum = 2; " rest " }"
#define GROUPS(list) HEAD "groups = ( " list " );\n"

/* A core that was started with a file, as the daemon does it. */
static struct started {
    struct sentineld_config *file;
    struct sn_core *core;
    struct overrides *overrides;
    int64_t now_us;
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

static void start(const char *text)
{
    struct state_image empty = {.ngroups = 0};
    struct sn_effects fx = {.n = 0};
    struct merged m;
    s = (struct started){.file = parse(text), .now_us = 1000000};
    merge(s.file, &empty, ID, &m);
    struct sn_core_options o = {
        .port = 26379, .current_epoch = 4, .joined = true, .globals = m.globals, .params = m.params};
    memcpy(o.id, m.image.id, sizeof o.id);
    s.core = sn_core_new(&o, s.now_us);
    for (size_t i = 0; i < m.ngroups; i++) {
        struct sn_core_group g = merged_core_group(&m, i);
        assert_true(sn_core_add_group(s.core, &g, s.now_us, &fx));
    }
    s.overrides = overrides_new(&m.image);
    sn_effects_free(&fx);
    merged_free(&m);
}

/* Does what the event asks for, and says that the disk has it (or not). */
static void step(struct sn_event *e, bool disk)
{
    struct sn_effects fx = {.n = 0};
    e->now_us = ++s.now_us;
    sn_step(s.core, e, &fx);
    uint64_t seq = 0;
    for (size_t i = 0; i < fx.n; i++)
        if (fx.v[i].kind == SN_FX_PERSIST) {
            seq = fx.v[i].seq;
            overrides_queue(s.overrides, seq, fx.v[i].records, fx.v[i].count);
        }
    sn_effects_clear(&fx);
    if (seq > 0) {
        struct sn_event done = {
            .kind = disk ? SN_EV_PERSISTED : SN_EV_PERSIST_FAILED, .seq = seq, .now_us = ++s.now_us};
        done.text = slice_of("full");
        overrides_settle(s.overrides, seq, disk);
        sn_step(s.core, &done, &fx);
    }
    sn_effects_free(&fx);
}

static void set(const char *option, const char *value)
{
    struct slice argv[] = {slice_of(option), slice_of(value)};
    struct sn_event e = {.kind = SN_EV_SET, .group = slice_of("g"), .argv = argv, .count = 2};
    step(&e, true);
}

static void reload(const char *text, bool disk, struct reload_plan *p)
{
    struct sentineld_config *next = parse(text);
    reload_plan(s.core, s.file, next, overrides_options(s.overrides), overrides_file(s.overrides), p);
    struct sn_event e = {.kind = SN_EV_RELOAD, .reload = p->change};
    p->change = NULL;
    step(&e, disk);
    config_free(s.file);
    s.file = next;
}

static void stop(struct reload_plan *p)
{
    reload_plan_free(p);
    sn_core_free(s.core);
    overrides_free(s.overrides);
    config_free(s.file);
}

static const struct sn_group *group(const char *name)
{
    return sn_group_find(s.core, slice_of(name));
}

static void nothing_changes_by_the_same_file(void **state)
{
    (void)state;
    struct reload_plan p;
    start(GROUPS(GROUP("g", "1", "")));
    set("parallel-syncs", "5");
    struct sentineld_config *same = parse(GROUPS(GROUP("g", "1", "")));
    reload_plan(s.core, s.file, same, overrides_options(s.overrides), overrides_file(s.overrides), &p);
    assert_int_equal(p.added + p.removed + p.changed, 0);
    assert_int_equal(p.change->nset + p.change->nrecords, 0);
    config_free(same);
    stop(&p);
}

static void the_rule_of_run_time_changes(void **state)
{
    (void)state;
    struct reload_plan p;
    start(GROUPS(GROUP("g", "1", "down_after_ms = 100; rename_commands = ( { from = \"CONFIG\"; to = \"x\"; } );")));
    set("down-after-milliseconds", "200");
    set("parallel-syncs", "5");
    reload(GROUPS(GROUP("g", "1", "down_after_ms = 300; failover_timeout_ms = 700;")), true, &p);
    assert_int_equal(p.changed, 1);
    assert_int_equal(group("g")->set.down_after_ms, 300);
    assert_int_equal(group("g")->set.failover_timeout_ms, 700);
    assert_int_equal(group("g")->set.parallel_syncs, 5);
    assert_string_equal(sn_settings_command(&group("g")->set, "CONFIG"), "CONFIG");
    assert_null(state_options_get(overrides_options(s.overrides), "g", "down-after-milliseconds"));
    assert_string_equal(state_options_get(overrides_options(s.overrides), "g", "parallel-syncs"), "5");
    assert_string_equal(state_options_get(overrides_file(s.overrides), "g", "down-after-milliseconds"), "300");
    assert_null(state_options_get(overrides_file(s.overrides), "g", "rename-command CONFIG"));
    stop(&p);
}

static void groups_come_and_go(void **state)
{
    (void)state;
    struct reload_plan p;
    start(GROUPS(GROUP("g", "1", "") "," GROUP("old", "2", "")));
    reload(GROUPS(GROUP("g", "1", "") "," GROUP("new", "3", "")), true, &p);
    assert_int_equal(p.added, 1);
    assert_int_equal(p.removed, 1);
    assert_null(group("old"));
    assert_non_null(group("new"));
    assert_int_equal(group("new")->vote_epoch, 4); /* nothing is known of votes for it in former lives */
    assert_null(state_options_get(overrides_file(s.overrides), "old", "quorum"));
    stop(&p);
}

static void a_disk_that_fails_changes_nothing(void **state)
{
    (void)state;
    struct reload_plan p;
    start(GROUPS(GROUP("g", "1", "down_after_ms = 100;")));
    reload(GROUPS(GROUP("g", "1", "down_after_ms = 300;") "," GROUP("new", "3", "")), false, &p);
    assert_null(group("new"));
    assert_int_equal(group("g")->set.down_after_ms, 100);
    assert_string_equal(state_options_get(overrides_file(s.overrides), "g", "down-after-milliseconds"), "100");
    stop(&p);
}

static void another_master_is_a_configuration_of_its_own(void **state)
{
    (void)state;
    struct reload_plan p;
    start(GROUPS(GROUP("g", "1", "")));
    set("parallel-syncs", "5");
    struct sn_group *g = sn_group_find(s.core, slice_of("g"));
    g->vote_epoch = 4; /* as if it had voted; only the core may do so outside of a test */
    memcpy(g->vote_leader, ID, sizeof g->vote_leader);
    g->config_epoch = 3;
    reload(GROUPS(GROUP("g", "77", "")), true, &p);
    assert_int_equal(group("g")->master->node->addr.port, 77);
    /* The next epoch is all its own: no vote is given in it, nor in one before it. */
    assert_int_equal(group("g")->config_epoch, s.core->current_epoch);
    assert_true(group("g")->config_epoch > 3);
    assert_true(group("g")->vote_epoch >= group("g")->config_epoch);
    assert_int_equal(group("g")->set.parallel_syncs, 5);
    stop(&p);
}

static void meet(const char *id)
{
    char text[200];
    snprintf(text, sizeof text, "10.0.0.9,26379,%s,4,g,10.0.0.1,1,0", id);
    struct sn_event e = {.kind = SN_EV_HELLO, .text = slice_of(text)};
    step(&e, true);
}

static void the_master_stays_where_others_supervise_it(void **state)
{
    (void)state;
    struct reload_plan p;
    start(GROUPS(GROUP("g", "1", "")));
    meet("00000000000000000000000000000000000000bb");
    assert_int_equal(group("g")->nseats, 1);
    reload(GROUPS(GROUP("g", "77", "parallel_syncs = 3;")), true, &p);
    assert_int_equal(group("g")->master->node->addr.port, 1);
    assert_int_equal(group("g")->config_epoch, 0);
    assert_int_equal(group("g")->set.parallel_syncs, 3);
    assert_non_null(strstr(buf_str(&p.notes), "10.0.0.1:1, which stays"));
    stop(&p);
}

/* Between the plan and its turn somebody else may have come: the core looks for itself. */
static void the_core_refuses_what_the_plan_must_not_ask(void **state)
{
    (void)state;
    struct reload_plan p;
    struct sn_effects fx = {.n = 0};
    start(GROUPS(GROUP("g", "1", "")));
    struct sentineld_config *next = parse(GROUPS(GROUP("g", "77", "")));
    reload_plan(s.core, s.file, next, overrides_options(s.overrides), overrides_file(s.overrides), &p);
    assert_int_equal(p.change->nadd, 1);
    meet("00000000000000000000000000000000000000bb");
    struct sn_event e = {.kind = SN_EV_RELOAD, .now_us = s.now_us, .token = 1, .reload = p.change};
    p.change = NULL;
    sn_step(s.core, &e, &fx);
    const struct sn_effect *answer = NULL;
    for (size_t i = 0; i < fx.n; i++)
        if (fx.v[i].kind == SN_FX_ANSWER)
            answer = &fx.v[i];
    if (answer == NULL) {
        fail_msg("nothing was answered");
        return;
    }
    assert_int_equal(answer->answer, SN_ANSWER_ERROR);
    assert_non_null(strstr(answer->text, "other supervisors"));
    assert_int_equal(group("g")->master->node->addr.port, 1);
    sn_effects_free(&fx);
    config_free(next);
    stop(&p);
}

static void the_master_waits_for_the_end_of_a_failover(void **state)
{
    (void)state;
    struct reload_plan p;
    start(GROUPS(GROUP("g", "1", "")));
    sn_group_find(s.core, slice_of("g"))->fo.state = SN_FO_RECONF_SLAVES; /* as if it failed over */
    reload(GROUPS(GROUP("g", "77", "parallel_syncs = 3;")), true, &p);
    assert_int_equal(group("g")->master->node->addr.port, 1);
    assert_int_equal(group("g")->set.parallel_syncs, 3);
    assert_non_null(strstr(buf_str(&p.notes), "fails over just now"));
    assert_string_equal(state_options_get(overrides_file(s.overrides), "g", "master"), "10.0.0.1:1");
    stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changes_by_the_same_file),
        cmocka_unit_test(the_rule_of_run_time_changes),
        cmocka_unit_test(groups_come_and_go),
        cmocka_unit_test(a_disk_that_fails_changes_nothing),
        cmocka_unit_test(another_master_is_a_configuration_of_its_own),
        cmocka_unit_test(the_master_stays_where_others_supervise_it),
        cmocka_unit_test(the_core_refuses_what_the_plan_must_not_ask),
        cmocka_unit_test(the_master_waits_for_the_end_of_a_failover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
