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
        cmocka_unit_test(one_host_is_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
