/* Who is on the list of supervisors, by what they say. */
#include "nodectl/supervisor/list_members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PEER(id, ip) "{'runid':'" id "','ip':'" ip "','port':'26379'}"
#define VIEW(ip, id, peers) \
    "{'address':'" ip ":26379','error':null,'id':'" id "','groups':{'g':{'supervisors':[" peers "]}}}"
#define SILENT(ip) "{'address':'" ip ":26379','error':'refused','id':'','groups':{}}"

static json_t *views;

static void are_told(const char *text)
{
    char *copy = strdup(text);
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    json_error_t error;
    json_decref(views);
    views = json_loads(copy, 0, &error);
    if (views == NULL)
        fail_msg("%s", error.text);
    free(copy);
}

static int forget_views(void **state)
{
    (void)state;
    json_decref(views);
    views = NULL;
    return 0;
}

static struct addr at(const char *host)
{
    struct addr a;
    assert_true(addr_set(&a, slice_of(host), 26379));
    return a;
}

/* names: "a b c", hosts of which the first is asked. */
static bool are(const char *names)
{
    struct conf_addresses list = {.n = 0};
    struct slice rest = slice_of(names);
    while (rest.n > 0) {
        char *host = slice_dup(slice_cut(&rest, ' '));
        struct addr a = at(host);
        list_members_add(&list, &a);
        free(host);
    }
    bool same = list_members_are(views, &list.v[0], list.v, list.n);
    conf_addresses_free(&list);
    return same;
}

static void the_same_ones_and_not_as_many(void **state)
{
    (void)state;
    are_told("[" VIEW("a", "1", PEER("2", "b") "," PEER("3", "c")) "," VIEW(
        "b", "2", PEER("1", "a") "," PEER("", "c")) "," SILENT("c") "," VIEW("d", "4", "") "]");
    assert_true(are("a b c"));
    assert_true(are("a c b"));
    assert_true(are("b a c"));
    assert_false(are("a b d"));
    assert_false(are("a b"));
    assert_false(are("a b c d"));
    assert_false(are("c a b"));
    assert_false(are("e a b"));
}

/* b announces another address than the one that it is asked at. */
static void by_id_where_it_has_two_addresses(void **state)
{
    (void)state;
    are_told("[" VIEW("a", "1", PEER("2", "10.0.0.2")) "," VIEW("b", "2", PEER("1", "a")) "]");
    assert_true(are("a b"));
    assert_false(are("a c"));
}

/* It watches nothing: nobody knows what it counts. */
static void who_watches_nothing_counts_nobody(void **state)
{
    (void)state;
    are_told("[{'address':'a:26379','error':null,'id':'1','groups':{}}]");
    assert_false(are("a"));
}

static void who_counts_whom(void **state)
{
    (void)state;
    struct addr a = at("a"), b = at("b"), c = at("c"), d = at("d");
    are_told(
        "[" VIEW("a", "1", PEER("2", "b")) "," VIEW("b", "2", PEER("1", "a")) "," VIEW("c", "3", PEER("1", "a")) "]");
    assert_true(list_members_count(views, &a, &b));
    assert_false(list_members_count(views, &a, &c));
    assert_true(list_members_count(views, NULL, &b));
    assert_false(list_members_count(views, NULL, &c)); /* others do not know the one that was left behind */
    assert_true(list_members_count(views, &c, &a));
    assert_false(list_members_count(views, NULL, &d));
}

static void expect_all(const char *wanted)
{
    struct conf_addresses list = {.n = 0};
    struct buf text = {0};
    list_members_all(views, &list);
    for (size_t i = 0; i < list.n; i++)
        buf_printf(&text, "%s%s", i > 0 ? " " : "", list.v[i].host);
    assert_string_equal(buf_str(&text), wanted);
    buf_free(&text);
    conf_addresses_free(&list);
}

static void all_are_those_that_count_each_other(void **state)
{
    (void)state;
    are_told("[" VIEW("c", "3", PEER("1", "a")) "," VIEW("a", "1", PEER("2", "b") "," PEER("5", "e")) "," VIEW(
        "b", "2", PEER("1", "a")) "," SILENT("e") "," SILENT("f") "]");
    expect_all("a b e");
    are_told("[" VIEW("a", "1", "") "," SILENT("b") "]");
    expect_all("a");
    are_told("[" VIEW("a", "1", PEER("", "b")) "," SILENT("b") "]");
    expect_all("b a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_same_ones_and_not_as_many, forget_views),
        cmocka_unit_test_teardown(by_id_where_it_has_two_addresses, forget_views),
        cmocka_unit_test_teardown(who_watches_nothing_counts_nobody, forget_views),
        cmocka_unit_test_teardown(who_counts_whom, forget_views),
        cmocka_unit_test_teardown(all_are_those_that_count_each_other, forget_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
