/* What a drill is about, whether the fleet is fit for it, and what its report says. The documents are written as JSON
 * with ' for ". */
#include "nodectl/drill/report.h"
#include "nodectl/drill/target.h"

#include "common/base/mem.h"
#include "nodectl/past.h"
#include "noded/store/keyspace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REPLICA(port, state, link, lag) \
    "{'address':'127.0.0.1:" port "','state':'" state "','master_link':'" link "','lag_s':" lag "}"
#define GROUP(name, port, state, agreed, watched, replicas)                            \
    "{'name':'" name "','state':'" state "','agreed':" agreed ",'watched_by':" watched \
    ",'master':{'address':'127.0.0.1:" port "'},'replicas':[" replicas "]}"
#define SUPERVISOR(port, reachable, error) \
    "{'address':'127.0.0.1:" port "','reachable':" reachable ",'error':" error "}"
#define SUPERVISORS \
    SUPERVISOR("1", "true", "null") "," SUPERVISOR("2", "true", "null") "," SUPERVISOR("3", "true", "null")
#define DOCUMENT(supervisors, groups, problems) \
    "{'clusters':[{'name':'o'}],'supervisors':[" supervisors "],'groups':[" groups "],'problems':[" problems "]}"
#define GOOD(name, port, replica) GROUP(name, port, "ok", "true", "3", REPLICA(replica, "ok", "ok", "0"))
#define WELL DOCUMENT(SUPERVISORS, GOOD("o/a", "11", "21") "," GOOD("o/b", "12", "22") "," GOOD("o/c", "13", "23"), "")
#define SHARDS                                                                                \
    "[{'name':'o/a','slot-ranges':'0-5460'},{'name':'o/b','slot-ranges':'5461-10921 16000'}," \
    "{'name':'o/c','slot-ranges':'10922-15999 16001-16383'}]"

static json_t *read(const char *text)
{
    char *copy = mem_strdup(text);
    json_error_t error;
    for (char *c = copy; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    json_t *o = json_loads(copy, 0, &error);
    if (o == NULL)
        fail_msg("%s: %s", error.text, copy);
    free(copy);
    return o;
}

static size_t unfit(const char *text, struct buf *why)
{
    json_t *document = read(text);
    buf_clear(why);
    size_t n = target_unfit(document, "o", why);
    json_decref(document);
    return n;
}

static void a_fleet_that_is_well_is_fit(void **state)
{
    (void)state;
    struct buf why = {0};
    assert_int_equal(unfit(WELL, &why), 0);
    assert_int_equal(why.n, 0);
    /* What is wrong with others does not matter. */
    assert_int_equal(
        unfit(DOCUMENT(SUPERVISORS, GOOD("o/a", "11", "21") "," GROUP("x", "14", "o_down", "true", "3", ""), ""), &why),
        0);
    buf_free(&why);
}

static void each_fault_is_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *document, *reason;
    } cases[] = {
        {DOCUMENT(SUPERVISORS, GROUP("o/a", "11", "s_down", "true", "3", REPLICA("21", "ok", "ok", "0")), ""),
         "o/a: its state is s_down"},
        {DOCUMENT(SUPERVISORS, GROUP("o/a", "11", "ok", "false", "3", REPLICA("21", "ok", "ok", "0")), ""),
         "do not agree on its master"},
        {DOCUMENT(SUPERVISORS, GROUP("o/a", "11", "ok", "true", "3", ""), ""), "no replica of 127.0.0.1:11"},
        {DOCUMENT(SUPERVISORS, GROUP("o/a", "11", "ok", "true", "3", REPLICA("21", "s_down", "ok", "0")), ""),
         "no replica of 127.0.0.1:11"},
        {DOCUMENT(SUPERVISORS, GROUP("o/a", "11", "ok", "true", "3", REPLICA("21", "ok", "err", "0")), ""),
         "no replica of 127.0.0.1:11"},
        {DOCUMENT(SUPERVISORS, GROUP("o/a", "11", "ok", "true", "3", REPLICA("21", "ok", "ok", "9")), ""),
         "no replica of 127.0.0.1:11"},
        {DOCUMENT(SUPERVISORS, GROUP("o/a", "11", "ok", "true", "2", REPLICA("21", "ok", "ok", "0")), ""),
         "only 2 of 3 supervisors watch it"},
        {DOCUMENT(SUPERVISORS "," SUPERVISOR("4", "false", "'refused'"),
                  GROUP("o/a", "11", "ok", "true", "4", REPLICA("21", "ok", "ok", "0")), ""),
         "supervisor 127.0.0.1:4 cannot be asked: refused"},
        {DOCUMENT(SUPERVISORS, GOOD("o/a", "11", "21"), "'o/a: a failover is in progress (wait_start)'"),
         "a failover is in progress"},
        {DOCUMENT(SUPERVISORS, "", ""), "no supervisor watches"},
    };
    struct buf why = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(unfit(cases[i].document, &why), 1);
        if (strstr(buf_str(&why), cases[i].reason) == NULL)
            fail_msg("'%s' is not in '%s'", cases[i].reason, buf_str(&why));
    }
    buf_free(&why);
}

static void a_seed_always_chooses_the_same(void **state)
{
    (void)state;
    json_t *document = read(WELL), *shards = read(SHARDS);
    struct drill_order o = {0};
    struct buf why = {0};
    bool chosen[3] = {false, false, false};
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct drill_target a, b;
        assert_true(target_choose(document, shards, &o, "o", seed, &a, &why));
        assert_true(target_choose(document, shards, &o, "o", seed, &b, &why));
        assert_string_equal(a.shard.name, b.shard.name);
        assert_string_equal(a.bystander.name, b.bystander.name);
        assert_int_equal(a.drawn, b.drawn);
        assert_string_not_equal(a.shard.name, a.bystander.name);
        chosen[a.shard.name[2] - 'a'] = true;
        target_free(&a);
        target_free(&b);
    }
    assert_true(chosen[0] && chosen[1] && chosen[2]);
    json_decref(document);
    json_decref(shards);
    buf_free(&why);
}

static void a_named_shard_is_taken(void **state)
{
    (void)state;
    json_t *document = read(WELL), *shards = read(SHARDS);
    char name[] = "b", whole[] = "o/b", nobody[] = "z";
    struct drill_order o = {.shard = name};
    struct drill_target t;
    struct buf why = {0};
    assert_true(target_choose(document, shards, &o, "o", 7, &t, &why));
    assert_string_equal(t.shard.name, "o/b");
    assert_int_equal(t.shard.n, 2);
    assert_int_equal(t.shard.nodes[0].port, 12);
    assert_int_equal(t.shard.nodes[1].port, 22);
    assert_int_equal(t.nsupervisors, 3);
    int slot = nd_key_slot(slice_of(t.shard.tag));
    assert_true((slot >= 5461 && slot <= 10921) || slot == 16000);
    target_free(&t);
    o.shard = whole;
    assert_true(target_choose(document, shards, &o, "o", 7, &t, &why));
    assert_string_equal(t.shard.name, "o/b");
    target_free(&t);
    o.shard = nobody;
    assert_false(target_choose(document, shards, &o, "o", 7, &t, &why));
    assert_non_null(strstr(buf_str(&why), "o has no shard z"));
    json_decref(document);
    json_decref(shards);
    buf_free(&why);
}

static bool choose_node(const char *node, const char *shard, struct drill_target *t, struct buf *why)
{
    json_t *document = read(WELL), *shards = read(SHARDS);
    struct drill_order o = {.node = mem_strdup(node), .shard = shard != NULL ? mem_strdup(shard) : NULL};
    buf_clear(why);
    bool ok = target_choose(document, shards, &o, "o", 7, t, why);
    order_free(&o);
    json_decref(document);
    json_decref(shards);
    return ok;
}

static void a_named_node_has_its_shard_and_its_part(void **state)
{
    (void)state;
    static const struct {
        const char *node, *shard;
        enum drill_part part;
        size_t drawn;
    } cases[] = {{"127.0.0.1:12", "o/b", PART_MASTER, 1},
                 {"127.0.0.1:23", "o/c", PART_REPLICA, 1},
                 {"127.0.0.1:2", NULL, PART_SUPERVISOR, 1}};
    struct drill_target t;
    struct buf why = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(choose_node(cases[i].node, NULL, &t, &why));
        assert_true(t.named);
        assert_int_equal(t.part, cases[i].part);
        if (cases[i].shard != NULL)
            assert_string_equal(t.shard.name, cases[i].shard);
        assert_int_equal(cases[i].shard != NULL ? t.shard.drawn : t.drawn, cases[i].drawn);
        target_free(&t);
    }
    assert_false(choose_node("127.0.0.1:99", NULL, &t, &why));
    assert_non_null(strstr(buf_str(&why), "127.0.0.1:99 is no node of o"));
    assert_false(choose_node("127.0.0.1:12", "a", &t, &why));
    assert_non_null(strstr(buf_str(&why), "is of o/b, and not of a"));
    buf_free(&why);
}

static void replicas_are_drawn_of_those_in_step(void **state)
{
    (void)state;
    json_t *shards = read(SHARDS);
    json_t *document = read(DOCUMENT(
        SUPERVISORS,
        GROUP("o/a", "11", "ok", "true", "3",
              REPLICA("21", "ok", "ok", "0") "," REPLICA("22", "s_down", "ok", "0") "," REPLICA("23", "ok", "ok", "0")),
        ""));
    struct drill_order o = {0};
    struct buf why = {0};
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct drill_target t;
        assert_true(target_choose(document, shards, &o, "o", seed, &t, &why));
        seen |= 1U << t.shard.drawn;
        target_free(&t);
    }
    assert_int_equal(seen, 1U << 1 | 1U << 3);
    json_decref(document);
    json_decref(shards);
    buf_free(&why);
}

static void a_replica_is_missed_when_it_is_held_for_down(void **state)
{
    (void)state;
    json_t *document = read(DOCUMENT(
        SUPERVISORS,
        GROUP("o/a", "11", "ok", "true", "3", REPLICA("21", "ok", "ok", "0") "," REPLICA("22", "s_down", "ok", "0")),
        ""));
    static const struct {
        int port;
        bool missed;
    } cases[] = {{21, false}, {22, true}, {23, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct addr a;
        addr_set(&a, slice_of("127.0.0.1"), cases[i].port);
        assert_int_equal(target_misses(document, "o/a", &a), cases[i].missed);
        assert_false(target_misses(document, "o/b", &a));
    }
    json_decref(document);
}

static void a_tag_is_found_for_any_slots(void **state)
{
    (void)state;
    char tag[TARGET_TAG_MAX];
    static const char *const ranges[] = {"0", "16383", "5 7-9", "16000-16001"};
    for (size_t i = 0; i < 4; i++)
        assert_true(target_tag(ranges[i], tag));
    assert_true(target_tag("12345", tag));
    assert_int_equal(nd_key_slot(slice_of(tag)), 12345);
    assert_false(target_tag("", tag));
}

static void random_tries_every_kind_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        enum drill_kind kinds[DRILL_RANDOM];
        unsigned seen = 0;
        target_draw_kinds(seed, kinds);
        for (int i = 0; i < DRILL_RANDOM; i++)
            seen |= 1U << kinds[i];
        assert_int_equal(seen, (1U << DRILL_RANDOM) - 1);
    }
}

/* ---- the report ---- */

#define NOTE(kind, epoch, wall, note) "{'kind':'" kind "','epoch':" epoch ",'wall_ms':" wall ",'note':{" note "}}"
#define SWITCHED                                                                                                    \
    "'from':'m:1','to':'r:1','detect_ms':500,'agree_ms':3,'stand_ms':2,'elect_ms':5,'prepare_ms':1,'promote_ms':4," \
    "'tell_ms':6,'total_ms':521"

static void phases_are_those_of_the_failover_of_the_harm(void **state)
{
    (void)state;
    /* One before it, the one of the harm, and the switch back. */
    json_t *collected = read(
        "[{'notes':[" NOTE("switched", "9", "20000", "'from':'r:1','to':'m:1','total_ms':7") "," NOTE(
            "agreed", "8", "10600",
            "'took_ms':9") "," NOTE("switched", "8", "10521",
                                    SWITCHED) "," NOTE("switched", "5", "2000",
                                                       "'from':'m:1','to':'r:1','total_"
                                                       "ms':99") "]},"
                                                                 "{'notes':[" NOTE("config", "8", "10530",
                                                                                   "'from':'m:1','to':'"
                                                                                   "r:1'") "," NOTE("ag"
                                                                                                    "re"
                                                                                                    "e"
                                                                                                    "d",
                                                                                                    "8",
                                                                                                    "10"
                                                                                                    "61"
                                                                                                    "0",
                                                                                                    "'t"
                                                                                                    "oo"
                                                                                                    "k_"
                                                                                                    "ms"
                                                                                                    "':"
                                                                                                    "1"
                                                                                                    "2") "]}]");
    json_t *p = report_phases(collected, "o/a", "m:1", 5);
    static const struct {
        const char *name;
        int64_t ms;
    } wanted[] = {{"epoch", 8},   {"detect", 500}, {"agree", 3},   {"elect", 7},    {"fence", 1},
                  {"promote", 4}, {"tell", 6},     {"total", 521}, {"converge", 12}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_int_equal(json_int(p, wanted[i].name, -1), wanted[i].ms);
    json_decref(p);
    p = report_phases(collected, "o/a", "m:1", 8); /* nothing has happened since then */
    assert_true(json_is_null(json_object_get(p, "epoch")));
    assert_true(json_is_null(json_object_get(p, "detect")));
    assert_true(json_is_null(json_object_get(p, "total")));
    json_decref(p);
    json_decref(collected);
}

static void phases_that_were_not_noted_at_the_end_are_taken_from_the_way(void **state)
{
    (void)state;
    json_t *collected = read("[{'notes':[" NOTE("switched", "8", "0", "'from':'m:1','to':'r:1'") "," NOTE(
        "stand", "8", "0",
        "'odown_us':1000,'master':{'since_us':603000,'down_us':3000}") "," NOTE("won", "8", "0",
                                                                                "'took_us':25900") "]}]");
    json_t *p = report_phases(collected, "o/a", "m:1", 5);
    assert_int_equal(json_int(p, "detect", -1), 600);
    assert_int_equal(json_int(p, "agree", -1), 2);
    assert_int_equal(json_int(p, "elect", -1), 25);
    assert_true(json_is_null(json_object_get(p, "promote")));
    assert_true(json_is_null(json_object_get(p, "total")));
    json_decref(p);
    json_decref(collected);
}

static void an_objective_that_is_missed_is_a_reason(void **state)
{
    (void)state;
    struct lane lanes[3];
    struct client_errors errors = {0};
    lane_init(&lanes[0], "a", 0, false, 0);
    lane_init(&lanes[1], "b", 1, false, 0);
    lane_init(&lanes[2], "c", 0, true, 0);
    lanes[0].silence_us[DRILL_HARM] = 700000;
    lanes[1].silence_us[DRILL_HARM] = 700001;
    lanes[2].silence_us[DRILL_HARM] = 9000000; /* the bystander's is told apart */
    lanes[0].lost = 2;
    lanes[2].lost = 1;
    client_errors_add(&errors, false, "no");
    client_errors_add(&errors, true, "no");
    client_errors_add(&errors, false, "no");
    lanes[1].silent_from_us[DRILL_HARM] = 5000000;
    json_t *seen = report_canaries(lanes, 3, &errors, 4990000);
    assert_int_equal(json_int(seen, "outage_ms", 0), 701);
    assert_int_equal(json_int(seen, "outage_from_ms", 0), 10);
    assert_int_equal(json_int(seen, "bystander_outage_ms", 0), 9000);
    assert_int_equal(json_array_size(json_object_get(seen, "databases")), 3);
    assert_int_equal(json_int(json_array_get(json_object_get(seen, "errors"), 0), "count", 0), 2);
    static const struct {
        int64_t outage_ms, lost;
        size_t reasons;
    } cases[] = {{-1, 3, 0}, {701, 3, 0}, {700, 3, 1}, {-1, 2, 1}, {0, 0, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *reasons = json_array();
        struct drill_order o = {
            .max_outage_ms = cases[i].outage_ms, .max_bystander_ms = 9000, .max_lost = cases[i].lost};
        report_judge(reasons, seen, &o);
        assert_int_equal(json_array_size(reasons), cases[i].reasons);
        json_decref(reasons);
    }
    json_t *reasons = json_array(); /* the other shard should have noticed nothing */
    report_judge(reasons, seen, &(struct drill_order){.max_outage_ms = -1, .max_bystander_ms = 8999, .max_lost = 3});
    assert_int_equal(json_array_size(reasons), 1);
    assert_non_null(strstr(json_string_value(json_array_get(reasons, 0)), "9000 ms in the other shard"));
    json_decref(reasons);
    json_decref(seen);
    free(errors.v);
    for (size_t i = 0; i < 3; i++)
        lane_free(&lanes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fleet_that_is_well_is_fit),
        cmocka_unit_test(each_fault_is_a_reason),
        cmocka_unit_test(a_seed_always_chooses_the_same),
        cmocka_unit_test(a_named_shard_is_taken),
        cmocka_unit_test(a_named_node_has_its_shard_and_its_part),
        cmocka_unit_test(replicas_are_drawn_of_those_in_step),
        cmocka_unit_test(a_replica_is_missed_when_it_is_held_for_down),
        cmocka_unit_test(a_tag_is_found_for_any_slots),
        cmocka_unit_test(random_tries_every_kind_once),
        cmocka_unit_test(phases_are_those_of_the_failover_of_the_harm),
        cmocka_unit_test(phases_that_were_not_noted_at_the_end_are_taken_from_the_way),
        cmocka_unit_test(an_objective_that_is_missed_is_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
