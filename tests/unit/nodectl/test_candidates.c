/* Who could be the master of a shard: as sentineld ranks them, and by the rules of stock. */
#include "nodectl/shard/candidates.h"

#include "nodectl/past.h"
#include "nodectl/reply_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *replica_of(const char *address, const char *state, int priority, int offset, int lag)
{
    return json_pack("{s:s, s:s, s:b, s:i, s:i, s:o, s:i, s:s}", "address", address, "state", state, "connected", 1,
                     "priority", priority, "offset", offset, "lag_bytes", lag >= 0 ? json_integer(lag) : json_null(),
                     "lag_s", 0, "run_id", address);
}

static json_t *group_of(json_t *replicas)
{
    return json_pack("{s:s, s:{s:s, s:s, s:i}, s:o}", "name", "orders/1", "master", "address", "a:1", "state", "ok",
                     "offset", 500, "replicas", replicas);
}

static json_t *three(void)
{
    json_t *list = json_array();
    json_array_append_new(list, replica_of("b:1", "ok", 100, 400, 100));
    json_array_append_new(list, replica_of("c:1", "s_down", 100, 500, 0));
    json_array_append_new(list, replica_of("d:1", "ok", 100, 500, 0));
    return group_of(list);
}

static const json_t *row(const json_t *document, size_t i)
{
    return json_array_get(json_object_get(document, "candidates"), i);
}

static char *printed(const json_t *document)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    candidates_print(document, out, false);
    fclose(out);
    return text;
}

/* The supervisor's order is kept, whatever the numbers look like from outside. */
static void test_ranking(void **state)
{
    (void)state;
    json_t *group = three();
    json_t *ranking = json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}, {s:s, s:s, s:s}]", "name", "b:1", "verdict",
                                "suitable", "impaired", "0", "name", "d:1", "verdict", "suitable", "impaired", "1",
                                "name", "e:\033[1m9", "verdict", "refused lately", "impaired", "0");
    json_t *document = candidates_document(group, ranking, "s:1");
    assert_string_equal(field_text(row(document, 0), "address"), "b:1");
    assert_int_equal(json_int(row(document, 0), "rank", -1), 1);
    assert_int_equal(json_int(row(document, 0), "loss_bytes", -1), 100);
    assert_int_equal(json_int(row(document, 1), "rank", -1), 2);
    assert_true(json_yes(row(document, 1), "impaired"));
    assert_false(json_yes(row(document, 2), "suitable"));
    assert_int_equal(json_int(row(document, 2), "rank", -1), -1);
    assert_int_equal(json_int(row(document, 2), "loss_bytes", -1), -1); /* nobody tells of it */
    char *text = printed(document);
    assert_non_null(strstr(text, "the next master"));
    assert_non_null(strstr(text, "only when there is no better one"));
    assert_non_null(strstr(text, "never: refused lately"));
    assert_non_null(strstr(text, "100 bytes"));
    assert_null(strchr(text, '\033'));
    free(text);
    json_decref(document);
    json_decref(ranking);
    json_decref(group);
}

/* Of redis-sentinel: priority, then offset; who is down is no candidate. */
static void test_rules(void **state)
{
    (void)state;
    json_t *group = three(), *document = candidates_document(group, NULL, "s:1");
    assert_string_equal(field_text(document, "ranked_by"), "rules of redis-sentinel");
    assert_string_equal(field_text(row(document, 0), "address"), "d:1");
    assert_string_equal(field_text(row(document, 1), "address"), "b:1");
    assert_string_equal(field_text(row(document, 2), "address"), "c:1");
    assert_string_equal(field_text(row(document, 2), "reason"), "it is down");
    assert_int_equal(json_array_size(json_object_get(group, "replicas")), 3);
    json_decref(document);
    json_decref(group);
}

static void test_none(void **state)
{
    (void)state;
    json_t *group = group_of(json_array()), *document = candidates_document(group, NULL, "s:1");
    char *text = printed(document);
    assert_non_null(strstr(text, "It has no replica"));
    free(text);
    json_decref(document);
    json_decref(group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranking), cmocka_unit_test(test_rules),
                                       cmocka_unit_test(test_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
