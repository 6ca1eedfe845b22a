#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct step {
    const char *command, *answer, *effects;
};

static void follow(struct fixture *f, const struct step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *answer = run(f, steps[i].command);
        if (strcmp(answer, steps[i].answer) != 0)
            fail_msg("%s answers %s instead of %s", steps[i].command, answer, steps[i].answer);
        const char *effects = fixture_effects(f);
        if (strcmp(effects, steps[i].effects) != 0)
            fail_msg("%s has the effects %s instead of %s", steps[i].command, effects, steps[i].effects);
        fixture_assert_copied(f);
    }
}

static void keys_of_every_type(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"SET s 1", "+OK\r\n", "0 SET s 1\n"},
        {"RPUSH l a b", ":2\r\n", "0 RPUSH l a b\n"},
        {"TYPE s", "+string\r\n", ""},
        {"TYPE l", "+list\r\n", ""},
        {"TYPE none", "+none\r\n", ""},
        {"EXISTS s l none s", ":3\r\n", ""},
        {"TOUCH s none", ":1\r\n", ""},
        {"RENAME s t", "+OK\r\n", "0 RENAME s t\n"},
        {"RENAME t t", "+OK\r\n", ""},
        {"RENAME none t", "-ERR no such key\r\n", ""},
        {"RENAMENX t l", ":0\r\n", ""},
        {"RENAMENX t t", ":0\r\n", ""},
        {"RENAMENX none x", "-ERR no such key\r\n", ""},
        {"RENAME t l", "+OK\r\n", "0 RENAME t l\n"},
        {"TYPE l", "+string\r\n", ""},
        {"EXPIRE l 100", ":1\r\n", "0 PEXPIREAT l 1700000100000\n"},
        {"COPY l m", ":1\r\n", "0 COPY l m\n"},
        {"COPY l m", ":0\r\n", ""},
        {"COPY none m", ":0\r\n", ""},
        {"COPY l l", "-ERR source and destination objects are the same\r\n", ""},
        {"COPY l l DB 3", ":1\r\n", "0 COPY l l DB 3\n"},
        {"COPY l l DB 16", "-ERR DB index is out of range\r\n", ""},
        {"COPY l l DB x", "-ERR value is not an integer or out of range\r\n", ""},
        {"COPY l l DB", "-ERR syntax error\r\n", ""},
        {"COPY l m FOO", "-ERR syntax error\r\n", ""},
        {"PERSIST m", ":1\r\n", "0 PERSIST m\n"},
        {"COPY l m REPLACE", ":1\r\n", "0 COPY l m REPLACE\n"},
        {"TTL m", ":100\r\n", ""},
        {"MOVE m 3", ":1\r\n", "0 MOVE m 3\n"},
        {"MOVE l 3", ":0\r\n", ""},
        {"MOVE none 3", ":0\r\n", ""},
        {"MOVE l 0", "-ERR source and destination objects are the same\r\n", ""},
        {"MOVE l -1", "-ERR DB index is out of range\r\n", ""},
        {"MOVE l 99999999999", "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n", ""},
        {"SELECT 3", "+OK\r\n", ""},
        {"TTL m", ":100\r\n", ""},
        {"DBSIZE", ":2\r\n", ""},
        {"DEL m none l", ":2\r\n", "3 DEL m none l\n"},
        {"UNLINK m", ":0\r\n", ""},
        {"SELECT 16", "-ERR DB index is out of range\r\n", ""},
        {"SELECT x", "-ERR value is not an integer or out of range\r\n", ""},
        {"DBSIZE", ":0\r\n", ""},
        {"SWAPDB 0 3", "+OK\r\n", "3 SWAPDB 0 3\n"},
        {"KEYS *", "*1\r\n$1\r\nl\r\n", ""},
        {"SWAPDB 0 16", "-ERR DB index is out of range\r\n", ""},
        {"SWAPDB x 1", "-ERR invalid first DB index\r\n", ""},
        {"SWAPDB 1 x", "-ERR invalid second DB index\r\n", ""},
        {"RANDOMKEY", "$1\r\nl\r\n", ""},
        {"FLUSHDB FOO", "-ERR syntax error\r\n", ""},
        {"FLUSHDB ASYNC", "+OK\r\n", "3 FLUSHDB ASYNC\n"},
        {"FLUSHALL", "+OK\r\n", "3 FLUSHALL\n"},
        {"RANDOMKEY", "$-1\r\n", ""},
        {"SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n", ""},
    };
    struct fixture *f = fixture_new();
    follow(f, steps, sizeof steps / sizeof steps[0]);
    fixture_free(f);
}

static void big_values_are_freed_elsewhere(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct slice push[202] = {slice_of("SADD"), slice_of("big")};
    char members[200][16];
    for (int i = 0; i < 200; i++) {
        snprintf(members[i], sizeof members[i], "m%d", i);
        push[i + 2] = slice_of(members[i]);
    }
    static const struct {
        const char *command;
        bool elsewhere;
    } ways[] = {
        {"UNLINK big", true},     {"DEL big", false},       {"SET big 1", false},    {"FLUSHDB ASYNC", true},
        {"FLUSHALL SYNC", false}, {"EXPIRE big -1", false}, {"RENAME s big", false}, {"FLUSHDB", false},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        run(f, "SET s 1");
        run_words(f, 202, push);
        f->released = 0;
        run(f, ways[i].command);
        assert_int_equal(f->released > 0, ways[i].elsewhere);
        run(f, "DEL big");
    }
    f->e->config.lazyfree_lazy_user_del = true;
    f->e->config.lazyfree_lazy_server_del = true;
    f->e->config.lazyfree_lazy_user_flush = true;
    f->e->config.lazyfree_lazy_expire = true;
    static const char *const lazy[] = {"DEL big", "SET big 1", "FLUSHALL", "FLUSHDB", "RENAME s big", "EXPIRE big 0"};
    for (size_t i = 0; i < sizeof lazy / sizeof lazy[0]; i++) {
        run(f, "SET s 1");
        run(f, "DEL big");
        run_words(f, 202, push);
        f->released = 0;
        run(f, lazy[i]);
        assert_true(f->released > 0); /* the copy of the dataset frees too */
    }
    fixture_assert_copied(f);
    fixture_free(f);
}

/* SCAN shows what is there from the first call to the last, whatever else comes and goes. */
static void a_scan_misses_nothing_that_stays(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct rng rng;
    rng_seed(&rng, 3);
    char command[64];
    for (int i = 0; i < 500; i++) {
        snprintf(command, sizeof command, "SET stays%d x", i);
        run(f, command);
    }
    for (int round = 0; round < 20; round++) {
        bool seen[500] = {false};
        char cursor[24] = "0";
        do {
            for (int i = 0; i < 30; i++) {
                snprintf(command, sizeof command, rng_below(&rng, 2) ? "SET t%d x PX 1" : "DEL t%d",
                         (int)rng_below(&rng, 3000));
                run(f, command);
            }
            snprintf(command, sizeof command, "SCAN %s MATCH stays* COUNT 7", cursor);
            const char *answer = run(f, command);
            sscanf(answer, "*2\r\n$%*d\r\n%23[0-9]", cursor);
            for (const char *at = answer; (at = strstr(at, "stays")) != NULL; at += 5)
                seen[atoi(at + 5)] = true;
            f->unix_ms += round % 2;
        } while (strcmp(cursor, "0") != 0);
        for (int i = 0; i < 500; i++)
            assert_true(seen[i]);
    }
    fixture_assert_copied(f);
    fixture_free(f);
}

/* Commands of chance over few keys and databases against an array. */
#define MODEL_DBS 3
#define MODEL_KEYS 6

struct model_key {
    bool there;
    int value;
    int64_t expire_ms;
};

struct model {
    struct model_key keys[MODEL_DBS][MODEL_KEYS];
};

static const char *expected(struct model *m, int64_t now_ms, int what, int db, int key, int other, int n, char *command,
                            size_t size)
{
    struct model_key *k = &m->keys[db][key];
    static char answer[32];
    switch (what) {
    case 0:
        snprintf(command, size, "SET k%d %d", key, n);
        *k = (struct model_key){true, n, -1};
        return "+OK\r\n";
    case 1:
        snprintf(command, size, "GET k%d", key);
        snprintf(answer, sizeof answer, "$%d\r\n%d\r\n", snprintf(NULL, 0, "%d", k->value), k->value);
        return k->there ? answer : "$-1\r\n";
    case 2:
        snprintf(command, size, "DEL k%d", key);
        snprintf(answer, sizeof answer, ":%d\r\n", k->there);
        k->there = false;
        return answer;
    case 3:
        snprintf(command, size, "RENAME k%d k%d", key, other);
        if (!k->there)
            return "-ERR no such key\r\n";
        if (key != other) {
            m->keys[db][other] = *k;
            k->there = false;
        }
        return "+OK\r\n";
    case 4: {
        int to = n % MODEL_DBS;
        snprintf(command, size, "MOVE k%d %d", key, to);
        if (to == db)
            return "-ERR source and destination objects are the same\r\n";
        if (!k->there || m->keys[to][key].there)
            return ":0\r\n";
        m->keys[to][key] = *k;
        k->there = false;
        return ":1\r\n";
    }
    case 5: {
        int to = n % MODEL_DBS;
        snprintf(command, size, "COPY k%d k%d DB %d REPLACE", key, other, to);
        if (to == db && key == other)
            return "-ERR source and destination objects are the same\r\n";
        if (!k->there)
            return ":0\r\n";
        m->keys[to][other] = *k;
        return ":1\r\n";
    }
    case 6:
        snprintf(command, size, "PEXPIRE k%d %d", key, n % 50 - 5);
        if (!k->there)
            return ":0\r\n";
        k->expire_ms = now_ms + n % 50 - 5;
        k->there = k->expire_ms > now_ms;
        return ":1\r\n";
    case 7:
        snprintf(command, size, "PTTL k%d", key);
        snprintf(answer, sizeof answer, ":%d\r\n",
                 !k->there          ? -2
                 : k->expire_ms < 0 ? -1
                                    : (int)(k->expire_ms - now_ms));
        return answer;
    case 8: {
        int to = n % MODEL_DBS;
        snprintf(command, size, "SWAPDB %d %d", db, to);
        for (int i = 0; i < MODEL_KEYS; i++) {
            struct model_key keep = m->keys[db][i];
            m->keys[db][i] = m->keys[to][i];
            m->keys[to][i] = keep;
        }
        return "+OK\r\n";
    }
    default:
        snprintf(command, size, "PERSIST k%d", key);
        snprintf(answer, sizeof answer, ":%d\r\n", k->there && k->expire_ms >= 0);
        k->expire_ms = -1;
        return answer;
    }
}

static void against_a_model(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct model m = {0};
    struct rng rng;
    rng_seed(&rng, 11);
    int db = 0;
    for (int i = 0; i < 60000; i++) {
        if (i % 5 == 0)
            f->unix_ms += (int64_t)rng_below(&rng, 4);
        for (int d = 0; d < MODEL_DBS; d++)
            for (int k = 0; k < MODEL_KEYS; k++)
                if (m.keys[d][k].there && m.keys[d][k].expire_ms >= 0 && m.keys[d][k].expire_ms < f->unix_ms)
                    m.keys[d][k].there = false;
        char command[64];
        if (rng_below(&rng, 20) == 0) {
            db = (int)rng_below(&rng, MODEL_DBS);
            snprintf(command, sizeof command, "SELECT %d", db);
            assert_string_equal(run(f, command), "+OK\r\n");
        }
        int what = (int)rng_below(&rng, 10), key = (int)rng_below(&rng, MODEL_KEYS);
        int other = (int)rng_below(&rng, MODEL_KEYS), n = (int)rng_below(&rng, 1000);
        const char *answer = expected(&m, f->unix_ms, what, db, key, other, n, command, sizeof command);
        const char *got = run(f, command);
        if (strcmp(got, answer) != 0)
            fail_msg("step %d: %s answers %s instead of %s", i, command, got, answer);
        if (i % 100 == 0)
            fixture_assert_copied(f);
        if (i % 1000 == 0)
            nd_engine_tick(f->e);
    }
    fixture_assert_copied(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_type),
        cmocka_unit_test(big_values_are_freed_elsewhere),
        cmocka_unit_test(a_scan_misses_nothing_that_stays),
        cmocka_unit_test(against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
