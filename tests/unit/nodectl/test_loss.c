/* What is left of a fleet when something of it is lost. */
#include "nodectl/supervisor/loss.h"

#include "nodectl/reply_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Three hosts a, b and c with a supervisor each; shard 1 is on a and b, shard 2 on b and c. */
static const char three[] =
    "{'supervisors': [{'address': 'a:26379', 'host': 'a', 'up': true}, {'address': 'b:26379', 'host': 'b', 'up': true},"
    "                 {'address': 'c:26379', 'host': 'c', 'up': true}],"
    " 'shards': [{'name': 's/1', 'quorum': 2, 'leases': true, 'supervisors': ['a:26379', 'b:26379', 'c:26379'],"
    "             'nodes': [{'address': 'a:1', 'host': 'a', 'up': true, 'master': true},"
    "                       {'address': 'b:2', 'host': 'b', 'up': true, 'master': false}]},"
    "            {'name': 's/2', 'quorum': 2, 'leases': true, 'supervisors': ['a:26379', 'b:26379', 'c:26379'],"
    "             'nodes': [{'address': 'b:1', 'host': 'b', 'up': true, 'master': true},"
    "                       {'address': 'c:2', 'host': 'c', 'up': true, 'master': false}]}],"
    " 'zones': {'east': ['a', 'b'], 'west': ['c']}}";

static json_t *read_text(const char *text)
{
    char *copy = strdup(text);
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    json_error_t error;
    json_t *o = json_loads(copy, 0, &error);
    if (o == NULL)
        fail_msg("%s", error.text);
    free(copy);
    return o;
}

static const char *state(const json_t *document, const char *lost, const char *shard)
{
    const json_t *one = loss_named(document, lost);
    assert_non_null(one);
    const json_t *s = json_named(json_object_get(one, "shards"), shard);
    return s != NULL ? field_text(s, "state") : "untouched";
}

static bool is_ok(const json_t *document, const char *lost)
{
    return json_is_true(json_object_get(loss_named(document, lost), "ok"));
}

static void each_host_may_go(void **unused)
{
    (void)unused;
    json_t *fleet = read_text(three), *d = loss_document(fleet);
    assert_string_equal(state(d, "", "s/1"), "untouched");
    assert_string_equal(state(d, "a", "s/1"), "failover");
    assert_string_equal(state(d, "a", "s/2"), "untouched");
    assert_string_equal(state(d, "b", "s/1"), "alone");
    assert_string_equal(state(d, "b", "s/2"), "failover");
    assert_true(is_ok(d, "a") && is_ok(d, "b") && is_ok(d, "c") && is_ok(d, "west"));
    assert_string_equal(state(d, "a:26379", "s/1"), "untouched");
    assert_string_equal(state(d, "a:1", "s/1"), "failover");
    assert_int_equal(json_array_size(json_object_get(d, "losses")), 1 + 2 + 3 + 3 + 4);
    /* Of two zones one has the majority. */
    assert_false(is_ok(d, "east"));
    assert_string_equal(state(d, "east", "s/1"), "lost");
    assert_string_equal(state(d, "east", "s/2"), "lost");
    assert_false(json_is_true(json_object_get(d, "ok")));
    json_decref(d);
    json_decref(fleet);
}

static void what_is_down_already_counts(void **unused)
{
    (void)unused;
    json_t *fleet = read_text(three);
    json_t *first = json_array_get(json_object_get(fleet, "supervisors"), 0);
    json_object_set_new(first, "up", json_false());
    json_t *d = loss_document(fleet);
    assert_true(is_ok(d, ""));
    assert_string_equal(state(d, "c:26379", "s/1"), "no-lease");
    assert_string_equal(state(d, "c", "s/2"), "no-lease");
    assert_int_equal(json_integer_value(json_object_get(loss_named(d, "c"), "supervisors")), 1);
    json_decref(d);
    /* Without leases the master goes on, and nobody would replace it. */
    json_object_set_new(json_array_get(json_object_get(fleet, "shards"), 0), "leases", json_false());
    d = loss_document(fleet);
    assert_string_equal(state(d, "c:26379", "s/1"), "unwatched");
    json_decref(d);
    json_decref(fleet);
}

/* Two supervisors: none of them may go. A quorum above the majority counts. */
static void quorums(void **unused)
{
    (void)unused;
    json_t *fleet = read_text(three);
    json_object_set_new(json_array_get(json_object_get(fleet, "shards"), 0), "quorum", json_integer(3));
    json_t *d = loss_document(fleet);
    assert_string_equal(state(d, "a", "s/1"), "lost");
    assert_string_equal(state(d, "b:26379", "s/1"), "unwatched");
    json_decref(d);
    json_array_remove(json_object_get(fleet, "supervisors"), 2);
    d = loss_document(fleet);
    assert_string_equal(state(d, "a:26379", "s/2"), "no-lease");
    json_decref(d);
    json_decref(fleet);
}

static const char *reason(const json_t *document, const char *lost, const char *shard)
{
    return field_text(json_named(json_object_get(loss_named(document, lost), "shards"), shard), "why");
}

/* A replica of priority 0 is there and is never promoted. */
static void a_replica_that_would_not_be_promoted(void **unused)
{
    (void)unused;
    json_t *fleet = read_text(three);
    json_t *nodes = json_object_get(json_array_get(json_object_get(fleet, "shards"), 0), "nodes");
    json_object_set_new(json_array_get(nodes, 1), "against", json_string("priority 0"));
    json_t *d = loss_document(fleet);
    assert_true(is_ok(d, ""));
    assert_string_equal(state(d, "", "s/1"), "alone");
    assert_string_equal(reason(d, "", "s/1"), "no replica that is left can be promoted (b:2: priority 0)");
    assert_false(is_ok(d, "a:1"));
    assert_string_equal(state(d, "a:1", "s/1"), "lost");
    assert_string_equal(reason(d, "a", "s/1"), "no replica that is left can be promoted (b:2: priority 0)");
    assert_string_equal(reason(d, "b", "s/1"), "no replica is left");
    json_decref(d);
    /* With another one it is as it was. */
    json_array_append_new(
        nodes, json_pack("{s:s, s:s, s:b, s:b, s:n}", "address", "c:3", "host", "c", "up", 1, "master", 0, "against"));
    d = loss_document(fleet);
    assert_string_equal(state(d, "", "s/1"), "untouched");
    assert_string_equal(state(d, "a:1", "s/1"), "failover");
    assert_string_equal(state(d, "c", "s/1"), "alone");
    json_decref(d);
    json_decref(fleet);
}

/* All is up, and the supervisors' lists have no majority, say: writes stop now, not only after a loss. */
static void a_master_without_a_lease(void **unused)
{
    (void)unused;
    json_t *fleet = read_text(three), *shards = json_object_get(fleet, "shards");
    json_object_set_new(json_array_get(shards, 0), "leased", json_false());
    json_object_set_new(json_array_get(shards, 1), "leased", json_true());
    json_t *d = loss_document(fleet);
    assert_false(is_ok(d, ""));
    assert_string_equal(state(d, "", "s/1"), "no-lease");
    assert_string_equal(reason(d, "", "s/1"), "it holds no lease of a majority of the supervisors now");
    assert_string_equal(state(d, "", "s/2"), "untouched");
    assert_string_equal(state(d, "c:26379", "s/1"), "no-lease");
    json_decref(d);
    /* Who takes writes without a lease needs none. */
    json_object_set_new(json_array_get(shards, 0), "leases", json_false());
    d = loss_document(fleet);
    assert_true(is_ok(d, ""));
    json_decref(d);
    json_decref(fleet);
}

static void one_host_is_everything(void **unused)
{
    (void)unused;
    json_t *fleet = read_text(
        "{'supervisors': [{'address': 'a:1', 'host': 'a', 'up': true}, {'address': 'a:2', 'host': 'a', "
        "'up': true}, {'address': 'a:3', 'host': 'a', 'up': true}],"
        " 'shards': [{'name': 's', 'quorum': 2, 'leases': false, 'supervisors': ['a:1', 'a:2', 'a:3'],"
        " 'nodes': [{'address': 'a:4', 'host': 'a', 'up': true, 'master': true},"
        "           {'address': 'a:5', 'host': 'a', 'up': true, 'master': false}]}]}");
    json_t *d = loss_document(fleet);
    assert_true(json_is_true(json_object_get(d, "one_host")));
    assert_true(json_is_true(json_object_get(d, "ok")));
    assert_string_equal(state(d, "a", "s"), "lost");
    json_decref(d);
    json_decref(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_host_may_go),
        cmocka_unit_test(what_is_down_already_counts),
        cmocka_unit_test(quorums),
        cmocka_unit_test(a_replica_that_would_not_be_promoted),
        cmocka_unit_test(a_master_without_a_lease),
        cmocka_unit_test(one_host_is_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
