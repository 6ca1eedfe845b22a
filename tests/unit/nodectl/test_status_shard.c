/* Whether a shard has its lease, and whether anybody in it could be promoted, by the views of its supervisors. */
#include "nodectl/status_shard.h"

#include "nodectl/reply_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static void expect_lease(const char *views_text, enum status_lease wanted)
{
    json_t *views = read_text(views_text);
    assert_int_equal(status_lease(views, "g"), wanted);
    json_decref(views);
}

#define VIEW(master) "{'groups':{'g':{'master':{" master "}}}}"

static void what_they_say_of_the_lease(void **state)
{
    (void)state;
    expect_lease("[" VIEW("") "," VIEW("") "]", LEASE_UNUSED);
    expect_lease("[" VIEW("'lease-held-ms':'120'") "," VIEW("'lease-held-ms':'0'") "," VIEW("") "]", LEASE_HELD);
    expect_lease("[" VIEW("'lease-held-ms':'0'") "," VIEW("'lease-held-ms':'120'") "," VIEW("'lease-held-ms':'0'") "]",
                 LEASE_NONE);
    expect_lease("[" VIEW("'lease-held-ms':'0'") "]", LEASE_NONE);
    expect_lease("[" VIEW("'lease-held-ms':'5'") ",{'groups':{}}]", LEASE_HELD);
}

/* No node counts any of their lists, so none of them has a word of the lease; the master's INFO says that it needs one.
 */
static void no_word_of_a_lease(void **state)
{
    (void)state;
    expect_lease("[{'groups':{'g':{'master':{},'info':{'supervised':3}}}}," VIEW("") "]", LEASE_NONE);
    expect_lease("[{'groups':{'g':{'master':{},'info':{'supervised':0}}}}," VIEW("") "]", LEASE_UNUSED);
    expect_lease("[{'groups':{'g':{'master':{},'info':{'supervised':null}}}}]", LEASE_UNUSED);
}

/* wanted NULL: somebody can be promoted, or there is no replica. */
static void expect_nobody(const char *group_text, const char *wanted)
{
    json_t *group = read_text(group_text);
    struct buf why = {0};
    assert_int_equal(status_nobody(group, &why), wanted != NULL);
    assert_string_equal(buf_str(&why), wanted != NULL ? wanted : "");
    buf_free(&why);
    json_decref(group);
}

#define REPLICA(ip) "{'ip':'" ip "','port':'1','flags':'slave','slave-priority':'100'}"

static void by_the_ranking(void **state)
{
    (void)state;
    expect_nobody("{'replicas':[" REPLICA("a") "," REPLICA(
                      "b") "],'ranking':["
                           "{'name':'b:1','verdict':'may not know what its master has promised'},"
                           "{'name':'a:1','verdict':'too long without its master'}]}",
                  "a:1: too long without its master; b:1: may not know what its master has promised");
    expect_nobody("{'replicas':[" REPLICA("a") "," REPLICA(
                      "b") "],'ranking':["
                           "{'name':'b:1','verdict':'suitable'},{'name':'a:1','verdict':'priority 0'}]}",
                  NULL);
}

/* redis-sentinel tells none. */
static void by_the_rules_without_one(void **state)
{
    (void)state;
    expect_nobody("{'replicas':[{'ip':'a','port':'1','flags':'slave','slave-priority':'0'},"
                  "{'ip':'b','port':'1','flags':'slave,s_down','slave-priority':'100'},"
                  "{'ip':'c','port':'1','flags':'slave,disconnected','slave-priority':'100'}]}",
                  "a:1: priority 0; b:1: down; c:1: disconnected");
    expect_nobody("{'replicas':[" REPLICA("a") "]}", NULL);
    expect_nobody("{'replicas':[]}", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_they_say_of_the_lease),
        cmocka_unit_test(no_word_of_a_lease),
        cmocka_unit_test(by_the_ranking),
        cmocka_unit_test(by_the_rules_without_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
