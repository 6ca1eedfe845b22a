/* What becomes of imported slots: shown or forgotten here, on copies, and once more after a restart. */
#include "tests/unit/repl/import_world.h"

#include "noded/cmd/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SYNC "CLUSTER SYNCSLOTS "

static size_t keys_in(struct nd_engine *e, int number)
{
    const struct nd_db *db = nd_keyspace_peek(&e->keys, number);
    return db != NULL ? nd_db_count(db) : 0;
}

static void shown(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "8192 16383");
    link_sends(c, "SET x 1");
    link_sends(c, "SET y 1");
    link_sends(c, "SELECT 15");
    link_sends(c, "SADD y 1 2 3");
    fixture_effects(t->f);
    int64_t before = t->f->e->changes;
    target_shows(t, 16000, 16383);
    assert_string_equal(fixture_effects(t->f), "0 CLUSTER SYNCSLOTS SHOW 16000 16383\n");
    assert_int_equal(t->f->e->changes, before + 1);
    assert_int_equal(keys_in(t->f->e, 0), 1);
    assert_int_equal(keys_in(t->f->e, 16), 1);
    target_assert_copied(t);
    /* The rest; then there is nothing more to be said. */
    target_shows(t, 0, 16383);
    assert_string_equal(fixture_effects(t->f), "0 CLUSTER SYNCSLOTS SHOW 0 16383\n");
    assert_int_equal(keys_in(t->f->e, 0), 2);
    assert_int_equal(keys_in(t->f->e, 15), 1);
    assert_int_equal(keys_in(t->f->e, 16) + keys_in(t->f->e, 31), 0);
    target_shows(t, 0, 16383);
    target_forgets(t, 0, 16383);
    assert_string_equal(fixture_effects(t->f), "");
    assert_int_equal(keys_in(t->f->e, 0), 2); /* shown before: it is not left over */
    target_assert_copied(t);
    target_free(t);
}

static void forgotten(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "8192 16383");
    run(t->f, "SET c mine");
    link_sends(c, "SET x 1");
    link_sends(c, "SET y 1");
    link_sends(c, "SELECT 2");
    link_sends(c, "SET y 1");
    fixture_effects(t->f);
    target_forgets(t, 12222, 12222);
    assert_string_equal(fixture_effects(t->f), "0 CLUSTER SYNCSLOTS FORGET 12222 12222\n");
    assert_int_equal(keys_in(t->f->e, 16), 1);
    assert_int_equal(keys_in(t->f->e, 18), 0);
    assert_int_equal(t->f->released, 4); /* in the background, of the copy too */
    target_assert_copied(t);
    /* A new job finds nothing of an old one. */
    target_stops(t, JOB_1, "enough");
    target_news(t);
    link_new(t, '2', "16287 16287");
    assert_string_equal(fixture_effects(t->f), "0 CLUSTER SYNCSLOTS FORGET 16287 16287\n");
    assert_int_equal(keys_in(t->f->e, 16), 0);
    assert_int_equal(keys_in(t->f->e, 0), 1);
    target_assert_copied(t);
    target_free(t);
}

/* Ranges as they are told. */
static void ranges(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "12222 12222 16287 16383");
    link_sends(c, "SET x 1");
    fixture_effects(t->f);
    nd_import_forget(t->r, t->asked);
    assert_string_equal(fixture_effects(t->f), "0 CLUSTER SYNCSLOTS FORGET 12222 12222 16287 16383\n");
    target_free(t);
}

static void left_over(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "8192 16383");
    /* This node was their owner once, and forgot to tidy up; and its own slots are nobody else's. */
    struct nd_db *one = nd_keyspace_db(&t->f->e->keys, 1), *copied = nd_keyspace_db(&t->f->copy->keys, 1);
    struct nd_db *both[] = {one, copied};
    for (size_t i = 0; i < 2; i++) {
        nd_db_set_string(both[i], NULL, slice_of("{x}old"), slice_of("1"), true, ND_NO_EXPIRE);
        nd_db_set_string(both[i], NULL, slice_of("y"), slice_of("1"), true, ND_NO_EXPIRE);
        nd_db_set_string(both[i], NULL, slice_of("c"), slice_of("1"), true, ND_NO_EXPIRE);
    }
    link_sends(c, "SET x 1");
    fixture_effects(t->f);
    target_shows(t, 0, 16383);
    assert_string_equal(fixture_effects(t->f),
                        "1 CLUSTER SYNCSLOTS DROP 16287 16287\n0 CLUSTER SYNCSLOTS SHOW 0 16383\n");
    assert_int_equal(nd_db_count(one), 2);
    /* The next job for its slots finds nothing of them. It goes at once, however much it is. */
    target_stops(t, JOB_1, "enough");
    fixture_effects(t->f);
    size_t released = t->f->released;
    link_new(t, '2', "12222 12222");
    assert_string_equal(fixture_effects(t->f), "1 CLUSTER SYNCSLOTS DROP 12222 12222\n");
    assert_int_equal(t->f->released, released + 2); /* of the copy too */
    assert_int_equal(nd_db_count(one), 1);
    target_assert_copied(t);
    target_free(t);
}

/* Time: what comes never expires before it is shown, and does then. */
static void expiry(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "8192 16383");
    char request[100];
    long long now_ms = (long long)t->f->unix_ms;
    snprintf(request, sizeof request, "SET x 1 PXAT %lld", now_ms + 1000);
    link_sends(c, request);
    snprintf(request, sizeof request, "SET {x}3 1 PXAT %lld", now_ms + 3000);
    link_sends(c, request);
    link_sends(c, "SET {x}2 1");
    snprintf(request, sizeof request, "PEXPIREAT {x}2 %lld", now_ms - 1); /* the source's clock is behind ours */
    link_sends(c, request);
    target_forward_ms(t, 2000);
    target_forward_ms(t, 100);
    assert_int_equal(keys_in(t->f->e, 16), 3);
    client_read(c);
    link_sends(c, "APPEND x 2"); /* there is still something for it */
    assert_string_equal(run(t->f, "CONFIG SET notify-keyspace-events KEA"), "+OK\r\n");
    struct client *listener = fixture_client(t->f);
    client_run(listener, "PSUBSCRIBE *");
    link_sends(c, "SET {x}4 1");
    assert_string_equal(client_read(listener), "");
    fixture_effects(t->f);
    int64_t before = nd_engine_deadline(t->f->e);
    target_shows(t, 16287, 16287);
    assert_true(nd_engine_deadline(t->f->e) <= before);
    assert_string_equal(fixture_effects(t->f), "0 CLUSTER SYNCSLOTS SHOW 16287 16287\n");
    target_forward_ms(t, 200);
    const char *effects = fixture_effects(t->f);
    assert_non_null(strstr(effects, "0 DEL x\n"));
    assert_non_null(strstr(effects, "0 DEL {x}2\n"));
    assert_non_null(strstr(client_read(listener), "__keyevent@0__:expired"));
    assert_int_equal(keys_in(t->f->e, 0), 2);
    target_forward_ms(t, 3000); /* the cycle knows when the other one's time is over */
    assert_string_equal(fixture_effects(t->f), "0 DEL {x}3\n");
    target_assert_copied(t);
    target_free(t);
}

static void watchers(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "8192 16383");
    struct client *of_x = fixture_client(t->f), *of_y = fixture_client(t->f), *elsewhere = fixture_client(t->f);
    struct {
        struct client *c;
        int db;
        const char *key;
    } rows[] = {{of_x, 0, "x"}, {of_y, 0, "{y}none"}, {elsewhere, 1, "x"}};
    for (size_t i = 0; i < 3; i++) {
        nd_watch(rows[i].c->s, slice_of(rows[i].key)); /* as it was when the slot was this node's */
        if (rows[i].db == 1) {
            nd_unwatch_all(rows[i].c->s);
            rows[i].c->s->db = nd_keyspace_db(&t->f->e->keys, 1);
            nd_watch(rows[i].c->s, slice_of(rows[i].key));
        }
    }
    link_sends(c, "SET x 1");
    link_sends(c, "SET y 1");
    assert_int_equal(of_x->s->flags & ND_S_DIRTY_CAS, 0);
    target_shows(t, 8192, 16383);
    assert_int_equal(of_x->s->flags & ND_S_DIRTY_CAS, ND_S_DIRTY_CAS);
    assert_int_equal(of_y->s->flags & ND_S_DIRTY_CAS, 0);
    assert_int_equal(elsewhere->s->flags & ND_S_DIRTY_CAS, 0);
    target_free(t);
}

/* ---- as requests ---- */

static const char *obeys(struct target *t, struct nd_session *s, const char *verb, const char *from, const char *to)
{
    struct slice words[] = {slice_of("CLUSTER"), slice_of("SYNCSLOTS"), slice_of(verb), slice_of(from), slice_of(to)};
    assert_int_equal(nd_session_run(s, 5, words), ND_RAN);
    return buf_str(&t->f->e->dropped);
}

static void from_a_master(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "8192 16383");
    link_sends(c, "SET x 1");
    link_sends(c, "SET y 1");
    fixture_effects(t->f);
    struct nd_session *s = nd_session_new(t->f->e, ND_MASTER, NULL, NULL);
    struct nd_db *zero = nd_keyspace_db(&t->f->e->keys, 0);
    nd_db_set_string(zero, NULL, slice_of("{x}old"), slice_of("1"), true, ND_NO_EXPIRE);
    assert_memory_equal(obeys(t, s, "SHOW", "16287", "16384"), "-ERR invalid range", 18);
    assert_memory_equal(obeys(t, s, "SHOW", "5", "4"), "-ERR invalid range", 18);
    assert_memory_equal(obeys(t, s, "GRANT", "5", "5"), "-ERR CLUSTER SYNCSLOTS is for", 29);
    obeys(t, s, "SHOW", "16287", "16287");
    obeys(t, s, "FORGET", "12222", "12222");
    obeys(t, s, "FORGET", "12222", "12222");
    assert_string_equal(fixture_effects(t->f), "0 CLUSTER SYNCSLOTS SHOW 16287 16287\n"
                                               "0 CLUSTER SYNCSLOTS FORGET 12222 12222\n");
    assert_int_equal(nd_db_count(zero), 1);
    assert_int_equal(keys_in(t->f->e, 16), 0);
    target_assert_copied(t);
    target_free(t);
}

/* ---- the other end ---- */

/* Slots that went to another node: what is seen of them goes, what is on its way here stays. */
static void dropped(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *link = link_new(t, '1', "8192 16383"), *watching = fixture_client(t->f);
    uint8_t slots[CL_SLOT_BYTES] = {0};
    link_sends(link, "SET x 1");
    run(t->f, "SET c 1");
    run(t->f, "SET n 1");
    client_run(watching, "SELECT 3");
    client_run(watching, "SET {c}2 1 PX 100000");
    client_run(watching, "WATCH {c}2");
    cl_bit_set(slots, 7365);
    cl_bit_set(slots, 16287);
    fixture_effects(t->f);
    int64_t before = t->f->e->changes;
    size_t released = t->f->released;
    nd_slots_drop(t->r, slots);
    assert_string_equal(fixture_effects(t->f), "1 CLUSTER SYNCSLOTS DROP 7365 7365 16287 16287\n");
    assert_int_equal(t->f->e->changes, before + 2);
    assert_int_equal(t->f->released, released + 4); /* of the copy too */
    assert_int_equal(nd_cluster_slot_keys(t->f->e, 7365), 0);
    assert_int_equal(keys_in(t->f->e, 0), 1);
    assert_int_equal(keys_in(t->f->e, 16), 1);
    assert_true((watching->s->flags & ND_S_DIRTY_CAS) != 0);
    target_assert_copied(t);
    nd_slots_drop(t->r, slots); /* there is nothing to be said of it any more */
    assert_string_equal(fixture_effects(t->f), "");
    assert_memory_equal(run(t->f, SYNC "DROP 0 16383"), "-ERR CLUSTER SYNCSLOTS is for", 29);
    assert_int_equal(keys_in(t->f->e, 0), 1);
    target_free(t);
}

/* ---- by chance ---- */

#define KEYS 40
#define STEPS 3000

static const char *const tags[] = {"x", "y", "a"};

static unsigned draw(struct rng *rng, unsigned n)
{
    return (unsigned)rng_below(rng, n);
}

static void draw_request(struct rng *rng, char *out, size_t cap)
{
    static const char *const numbered[] = {"SET %s %u",       "SET %s %u",        "APPEND %s %u",
                                           "RPUSH {%s}l %u",  "SADD {%s}s %u",    "SREM {%s}s %u",
                                           "ZADD {%s}z %u m", "HSET {%s}h f%u 1", "INCRBY {%s}n %u"};
    static const char *const others[] = {"DEL %s {%s}c", "LPOP {%s}l", "UNLINK {%s}l {%s}", "COPY %s {%s}c REPLACE"};
    const char *key = tags[draw(rng, 3)];
    if (draw(rng, 3) > 0)
        snprintf(out, cap, numbered[draw(rng, 9)], key, draw(rng, KEYS));
    else
        snprintf(out, cap, others[draw(rng, 4)], key, key);
}

/* A plain node is told the same requests, in the databases where they are to be seen at the end. */
static void by_chance(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct rng rng;
        rng_seed(&rng, seed);
        struct target *t = target_new();
        struct fixture *plain = fixture_new();
        struct client *c = link_new(t, '1', "8192 16383");
        for (int i = 0; i < STEPS; i++) {
            char request[64];
            if (draw(&rng, 8) == 0)
                snprintf(request, sizeof request, "SELECT %u", draw(&rng, 16));
            else if (draw(&rng, 40) == 0)
                snprintf(request, sizeof request, "MOVE %s %u", tags[draw(&rng, 3)], draw(&rng, 16));
            else
                draw_request(&rng, request, sizeof request);
            const char *answer = run(plain, request);
            if (answer[0] == '-') /* a source says only what it could do */
                continue;
            bool unit = draw(&rng, 10) == 0;
            if (unit)
                link_sends(c, "MULTI");
            link_sends(c, request);
            if (unit)
                link_sends(c, "EXEC");
            if (draw(&rng, 1000) == 0)
                target_forgets(t, 0, 8191); /* which are none of the job's */
        }
        assert_string_equal(target_news(t), "");
        assert_string_equal(run(t->f, "DBSIZE"), ":0\r\n");
        target_assert_copied(t);
        /* Shown in two parts, in between seen by half. */
        target_shows(t, 8192, 8192 + (int)draw(&rng, 8000));
        target_assert_copied(t);
        target_shows(t, 8192, 16383);
        target_assert_copied(t);
        for (int n = 0; n < 16; n++) /* fixture_dataset() shows what clients see */
            assert_int_equal(keys_in(t->f->e, n), keys_in(plain->e, n));
        char *got = fixture_dataset(t->f->e), *want = fixture_dataset(plain->e);
        assert_string_equal(got, want);
        free(got);
        free(want);
        fixture_free(plain);
        target_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shown),         cmocka_unit_test(forgotten), cmocka_unit_test(ranges),
        cmocka_unit_test(left_over),     cmocka_unit_test(expiry),    cmocka_unit_test(watchers),
        cmocka_unit_test(from_a_master), cmocka_unit_test(dropped),   cmocka_unit_test(by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
