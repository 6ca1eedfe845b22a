/* Which notes tell of one attempt, where ballots and configurations have epochs of their own. JSON with ' for ". */
#include "nodectl/epochs.h"
#include "nodectl/explain.h"

#include "common/base/mem.h"
#include "nodectl/past.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOTE(kind, epoch, wall, note) "{'kind':'" kind "','epoch':" epoch ",'wall_ms':" wall ",'note':{" note "}}"
#define BOTH(ballot, config) "'ballot':" ballot ",'config_epoch':" config
#define CHANGE(from, to) ",'from':'" from "','to':'" to "'"

/* A cluster of redis-server. Ballot 12 led to configuration 6, ballot 20 to configuration 12. The second supervisor
 * knew the ballot of the first one only; the third has told of configurations as older ones do. */
static const char fleet[] = "[{'address':'s1','id':'1','error':null,'notes':["
    /**/ NOTE("agreed", "20", "9020", BOTH("20", "12") ",'took_ms':8") ","
    /**/ NOTE("switched", "20", "9010", BOTH("20", "12") CHANGE("r:1", "m:1") ",'total_ms':7") ","
    /**/ NOTE("stand", "20", "9000", "'by':'1','candidate':'m:1','master':{'address':'r:1','down_us':-1}") ","
    /**/ NOTE("switched", "12", "1010", BOTH("12", "6") CHANGE("m:1", "r:1") ",'total_ms':1013") ","
    /**/ NOTE("stand", "12", "1000",
              "'by':'1','candidate':'r:1','master':{'address':'m:1','down_us':5000}") "]},"
                                                                                      "{'address':'s2','id':'2','error'"
                                                                                      ":null,'notes':["
    /**/ NOTE("config", "12", "9015", BOTH("0", "12") CHANGE("r:1", "m:1") ",'by':'1'") ","
    /**/ NOTE("config", "12", "1015", BOTH("12", "6") CHANGE("m:1", "r:1") ",'by':'1'") ","
    /**/ NOTE("vote", "12", "1003", "'for':'1','granted':true") "]},"
                                                                "{'address':'s3','id':'3','error':null,'notes':["
    /**/ NOTE("agreed", "12", "9030", "'took_ms':15") ","
    /**/ NOTE("agreed", "6", "1030", "'took_ms':20") "]}]";

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

static void a_number_is_a_ballot_else_a_configuration(void **state)
{
    (void)state;
    static const struct {
        int64_t number, ballot, config;
    } wanted[] = {{12, 12, 6}, {6, 12, 6}, {20, 20, 12}, {99, 99, 0}};
    json_t *collected = read(fleet);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct epochs e = epochs_named(collected, wanted[i].number);
        assert_int_equal(e.ballot, wanted[i].ballot);
        assert_int_equal(e.config, wanted[i].config);
    }
    json_decref(collected);
}

/* The walls of the records of an account, as one text. */
static void walls(const json_t *document, char *out, size_t size)
{
    size_t i;
    const json_t *e;
    struct buf b = {0};
    json_array_foreach(json_object_get(document, "records"), i, e)
    {
        buf_printf(&b, "%lld ", (long long)json_int(e, "wall_ms", 0));
    }
    snprintf(out, size, "%s", buf_str(&b));
    buf_free(&b);
}

static void an_account_has_the_notes_of_one_failover(void **state)
{
    (void)state;
    static const struct {
        int64_t number, epoch, config, total;
        const char *walls;
    } wanted[] = {
        {12, 12, 6, 1013, "1000 1003 1010 1015 1030 "},
        {6, 12, 6, 1013, "1000 1003 1010 1015 1030 "},
        {20, 20, 12, 7, "9000 9010 9015 9020 9030 "},
        {0, 20, 12, 7, "9000 9010 9015 9020 9030 "},
    };
    json_t *collected = read(fleet);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char text[256];
        json_t *d = explain_document(collected, "o/a", wanted[i].number, NULL);
        assert_non_null(d);
        assert_int_equal(json_int(d, "epoch", 0), wanted[i].epoch);
        assert_int_equal(json_int(d, "config_epoch", 0), wanted[i].config);
        assert_string_equal(json_word(d, "outcome"), "switched");
        assert_int_equal(json_int(json_object_get(d, "switched"), "total_ms", 0), wanted[i].total);
        walls(d, text, sizeof text);
        assert_string_equal(text, wanted[i].walls);
        json_decref(d);
    }
    assert_null(explain_document(collected, "o/a", 99, NULL));
    json_decref(collected);
}

static void who_led_knows_the_ballot_better_than_who_voted(void **state)
{
    (void)state;
    json_t *collected = read("[{'notes':[" NOTE(
        "config", "7", "20", BOTH("7", "3")) "]},"
                                             "{'notes':[" NOTE("switched", "8", "19", BOTH("8", "3")) "]}]");
    struct epochs e = epochs_complete(collected, (struct epochs){.config = 3});
    assert_int_equal(e.ballot, 8);
    json_decref(collected);
}

/* Both stood in epoch 4. The one that won it is dead. */
static const char rivals[] = "[{'address':'s1','id':'1','error':null,'notes':["
    /**/ NOTE("config", "4", "30", BOTH("4", "4") CHANGE("m:1", "r:1") ",'by':'2'") ","
    /**/ NOTE("lost", "4", "20", "'by':'1','candidate':'r:2','why':'refused'") ","
    /**/ NOTE("stand", "4", "10", "'by':'1','candidate':'r:2','master':{'address':'m:1','down_us':-1}") "]}]";

static void who_stood_and_lost_did_not_lead(void **state)
{
    (void)state;
    char text[64];
    json_t *collected = read(rivals), *d = explain_document(collected, "o/a", 0, NULL);
    assert_string_equal(json_word(d, "outcome"), "learned");
    assert_string_equal(json_word(json_object_get(d, "by"), "id"), "2");
    assert_string_equal(json_word(d, "to"), "r:1");
    assert_true(json_is_null(json_object_get(d, "stand")));
    walls(d, text, sizeof text);
    assert_string_equal(text, "10 20 30 ");
    json_decref(d);
    /* Nobody has learned of a master: it was a failover that came to nothing. */
    json_array_remove(json_object_get(json_array_get(collected, 0), "notes"), 0);
    d = explain_document(collected, "o/a", 0, NULL);
    assert_string_equal(json_word(d, "outcome"), "not elected");
    assert_string_equal(json_word(json_object_get(d, "by"), "id"), "1");
    json_decref(d);
    json_decref(collected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_a_ballot_else_a_configuration),
        cmocka_unit_test(an_account_has_the_notes_of_one_failover),
        cmocka_unit_test(who_led_knows_the_ballot_better_than_who_voted),
        cmocka_unit_test(who_stood_and_lost_did_not_lead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
