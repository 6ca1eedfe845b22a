/* Whatever is written before, while and after the child writes: what has come over the link makes exactly the keys of
 * the job's slots, in all databases. */
#include "tests/unit/repl/export_world.h"

#include "common/base/text.h"
#include "noded/repl/aof_base.h"
#include "noded/store/string.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DATABASES 3
#define KEYS 60

/* ---- a target ---- */

/* Requests as a target runs them; those of CLUSTER are not for its dataset. */
static void take_all(struct client *c, struct wire *l)
{
    struct slice in = {l->got.p + l->looked, l->got.n - l->looked};
    l->looked = l->got.n;
    while (in.n > 0) {
        struct slice argv[256] = {{NULL, 0}}, line = slice_cut(&in, '\n');
        int64_t argc = 0, n = 0;
        assert_true(line.n > 2 && text_i64((struct slice){line.p + 1, line.n - 2}, &argc) && argc > 0 && argc <= 256);
        for (int64_t i = 0; i < argc; i++) {
            line = slice_cut(&in, '\n');
            assert_true(text_i64((struct slice){line.p + 1, line.n - 2}, &n));
            argv[i] = (struct slice){in.p, (size_t)n};
            in = (struct slice){in.p + n + 2, in.n - (size_t)n - 2};
        }
        if (slice_is(argv[0], "CLUSTER"))
            continue;
        const char *answer = client_run_words(c, (size_t)argc, argv);
        assert_true(answer[0] != '-');
    }
}

/* The dataset's lines of these slots. The lines come in order of their keys. */
static void show(const struct nd_engine *e, const uint8_t *slots, struct buf *out)
{
    for (int i = 0; i < DATABASES; i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db == NULL)
            continue;
        for (int slot = 0; slot < ND_SLOTS; slot++) {
            size_t n = nd_db_slot_count(db, slot);
            if (n == 0 || !cl_bit(slots, slot))
                continue;
            struct nd_db_iter it;
            size_t seen = 0;
            nd_db_iterate_slot(db, slot, &it);
            for (const struct nd_entry *x; (x = nd_db_next(&it)) != NULL; seen++)
                assert_int_equal(nd_key_slot(nd_entry_key(x)), slot);
            nd_db_iterate_stop(&it);
            assert_int_equal(seen, n);
            buf_printf(out, "%d:%d:%zu ", i, slot, n);
        }
    }
}

static void delete_others(struct fixture *f, const uint8_t *slots)
{
    for (int i = 0; i < DATABASES; i++) {
        struct nd_db *db = nd_keyspace_peek(&f->e->keys, i);
        for (int slot = 0; db != NULL && slot < ND_SLOTS; slot++)
            if (!cl_bit(slots, slot))
                nd_db_slot_clear(db, slot);
    }
}

/* Their elements behind the digest may come in another order. */
static void assert_same_lines(const char *a, const char *b)
{
    struct slice mine = slice_of(a), its = slice_of(b);
    while (mine.n > 0 || its.n > 0) {
        struct slice x = slice_cut(&mine, '\n'), y = slice_cut(&its, '\n');
        x = slice_cut(&x, '[');
        y = slice_cut(&y, '[');
        if (!slice_eq(x, y))
            fail_msg("here %.*s, there %.*s", (int)x.n, x.p, (int)y.n, y.p);
    }
}

/* ---- writes by chance ---- */

static void write_some(struct fixture *f, struct rng *rng, size_t n)
{
    char command[256];
    for (size_t i = 0; i < n; i++) {
        int key = (int)rng_below(rng, KEYS), value = (int)rng_below(rng, 1000);
        switch (rng_below(rng, 16)) {
        case 0: snprintf(command, sizeof command, "SELECT %d", (int)rng_below(rng, DATABASES)); break;
        case 1:
        case 2: snprintf(command, sizeof command, "SET {%d}s %d", key, value); break;
        case 3: snprintf(command, sizeof command, "APPEND {%d}s x%d", key, value); break;
        case 4: snprintf(command, sizeof command, "RPUSH {%d}l %d a b", key, value); break;
        case 5: snprintf(command, sizeof command, "LPOP {%d}l", key); break;
        case 6: snprintf(command, sizeof command, "HSET {%d}h %d v w %d", key, value, value); break;
        case 7: snprintf(command, sizeof command, "SADD {%d}t %d m", key, value); break;
        case 8: snprintf(command, sizeof command, "SPOP {%d}t", key); break;
        case 9: snprintf(command, sizeof command, "ZADD {%d}z %d.5 m%d", key, value, value % 7); break;
        case 10: snprintf(command, sizeof command, "DEL {%d}s {%d}l {%d}h", key, key, key); break;
        case 11: snprintf(command, sizeof command, "PEXPIRE {%d}s 100000", key); break;
        case 12: snprintf(command, sizeof command, "RENAME {%d}s {%d}r", key, key); break;
        case 13:
            snprintf(command, sizeof command, "COPY {%d}s {%d}c DB %d REPLACE", key, key, value % DATABASES);
            break;
        case 14: snprintf(command, sizeof command, "MSET {%d}s 1 {%d}s2 2", key, key); break;
        default: snprintf(command, sizeof command, "INCRBYFLOAT {%d}f 0.5", key); break;
        }
        if (rng_below(rng, 20) == 0) {
            run(f, "MULTI");
            run(f, command);
            snprintf(command, sizeof command, "SET {%d}m %d", (int)rng_below(rng, KEYS), value);
            run(f, command);
            snprintf(command, sizeof command, "EXEC");
        }
        run(f, command);
    }
}

static void draw_slots(struct rng *rng, uint8_t slots[CL_SLOT_BYTES])
{
    memset(slots, 0, CL_SLOT_BYTES);
    uint64_t share = 1 + rng_below(rng, 4);
    for (int s = 0; s < CL_SLOTS; s++)
        if (rng_below(rng, 4) < share)
            cl_bit_set(slots, s);
}

/* ---- the test ---- */

static void one_migration(uint64_t seed)
{
    struct xworld *w = xworld_new();
    struct nd_config config;
    nd_config_init(&config);
    config.cluster_enabled = true;
    struct fixture *to = fixture_new_with(&config);
    nd_config_free(&config);
    struct rng rng;
    uint8_t slots[CL_SLOT_BYTES];
    struct cl_id job = job_id(0), source = job_id(9), target = job_id(10);
    rng_seed(&rng, seed);
    draw_slots(&rng, slots);
    write_some(w->f, &rng, rng_below(&rng, 600));
    nd_export_begin(w->r, &job, "10.0.0.1", 7000, slots, &source, &target);
    struct wire *l = &w->wires[0];
    nd_export_connected(l->x);
    wire_hears(l); /* ESTABLISH */
    write_some(w->f, &rng, rng_below(&rng, 50));
    wire_says(l, "+OK\r\n");
    xworld_forward_ms(w, 0);
    write_some(w->f, &rng, rng_below(&rng, 200));
    xworld_child_ends(w, true);
    for (int round = 0; round < 3; round++) {
        write_some(w->f, &rng, rng_below(&rng, 100));
        take_all(&to->clients[0], l);
    }
    struct nd_export_progress progress;
    assert_true(nd_export_progress(w->r, &job, &progress));
    assert_int_equal(progress.sent_bytes, wire_offset(l));
    nd_export_drain(w->r, &job);
    take_all(&to->clients[0], l);
    struct buf here = {0}, there = {0};
    show(w->f->e, slots, &here);
    show(to->e, slots, &there);
    assert_string_equal(buf_str(&here), buf_str(&there));
    /* Nothing else is there, and it is the same. */
    delete_others(w->f, slots);
    char *mine = fixture_dataset(w->f->e), *its = fixture_dataset(to->e);
    assert_same_lines(mine, its);
    free(mine);
    free(its);
    buf_free(&here);
    buf_free(&there);
    fixture_free(to);
    xworld_free(w);
}

static void test_migrations_by_chance(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        one_migration(seed);
}

/* ---- the child's output ---- */

struct text {
    struct buf out;
    size_t most; /* bytes that it takes */
};

static bool put(void *owner, const char *p, size_t n)
{
    struct text *t = owner;
    buf_put(&t->out, p, n);
    return t->out.n <= t->most;
}

static void test_only_its_slots(void **state)
{
    (void)state;
    struct xworld *w = xworld_new();
    uint8_t slots[CL_SLOT_BYTES] = {0};
    run(w->f, "SET foo 1");
    run(w->f, "SELECT 5");
    run(w->f, "SET bar 2");
    for (int i = 0; i < 300; i++) {
        char command[64];
        snprintf(command, sizeof command, "SET {foo}%d 1", i); /* more than a few: tables */
        run(w->f, command);
    }
    nd_db_add(nd_keyspace_db(&w->f->e->keys, 16), slice_of("bar"), nd_string_make(slice_of("7"), true), ND_NO_EXPIRE);
    struct text t = {.most = SIZE_MAX};
    struct nd_rdb_sink sink = {.owner = &t, .put = put};
    size_t keys;
    assert_true(nd_aof_base_write_slots(&w->f->e->keys, slots, &sink, &keys));
    assert_int_equal(t.out.n, 0);
    assert_int_equal(keys, 0);
    cl_bit_set(slots, nd_key_slot(slice_of("bar")));
    assert_true(nd_aof_base_write_slots(&w->f->e->keys, slots, &sink, &keys));
    assert_int_equal(keys, 1);
    assert_string_equal(buf_str(&t.out),
                        "*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n*3\r\n$3\r\nSET\r\n$3\r\nbar\r\n$1\r\n2\r\n");
    cl_bit_set(slots, nd_key_slot(slice_of("foo")));
    assert_true(nd_aof_base_write_slots(&w->f->e->keys, slots, &sink, &keys));
    assert_int_equal(keys, 302);
    t.most = t.out.n + 10;
    assert_false(nd_aof_base_write_slots(&w->f->e->keys, slots, &sink, &keys));
    buf_free(&t.out);
    xworld_free(w);
}

static size_t count_words(const struct buf *b, const char *word)
{
    struct buf copy = {0};
    size_t n = 0;
    buf_put(&copy, b->p, b->n);
    for (const char *at = buf_str(&copy); (at = strstr(at, word)) != NULL; at++)
        n++;
    buf_free(&copy);
    return n;
}

/* Strings of a slot share requests as long as these stay short; who has a time to live says it with its value. */
static void test_strings_share_requests(void **state)
{
    (void)state;
    struct xworld *w = xworld_new();
    uint8_t slots[CL_SLOT_BYTES] = {0};
    char value[6000];
    cl_bit_set(slots, nd_key_slot(slice_of("foo")));
    run(w->f, "SET {foo}soon x PX 50");
    run(w->f, "SADD {foo}set a");
    for (int i = 0; i < 40; i++) {
        char command[64];
        snprintf(command, sizeof command, "SET {foo}%d %d", i, i);
        run(w->f, command);
    }
    struct text t = {.most = SIZE_MAX};
    struct nd_rdb_sink sink = {.owner = &t, .put = put};
    size_t keys;
    assert_true(nd_aof_base_write_slots(&w->f->e->keys, slots, &sink, &keys));
    assert_int_equal(keys, 42);
    assert_int_equal(count_words(&t.out, "*33\r\n$4\r\nMSET"), 2);
    assert_int_equal(count_words(&t.out, "*17\r\n$4\r\nMSET"), 1);
    assert_int_equal(count_words(&t.out, "$3\r\nSET"), 1);
    assert_int_equal(count_words(&t.out, "$4\r\nPXAT\r\n$13\r\n1700000000050"), 1);
    assert_int_equal(count_words(&t.out, "PEXPIREAT"), 0);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 40; i++) {
        char key[20];
        struct slice bytes = {value, sizeof value};
        struct nd_db *db = nd_keyspace_db(&w->f->e->keys, 0);
        snprintf(key, sizeof key, "{foo}%d", i);
        nd_db_set_string(db, nd_db_find(db, slice_of(key)), slice_of(key), bytes, false, ND_NO_EXPIRE);
    }
    buf_clear(&t.out);
    assert_true(nd_aof_base_write_slots(&w->f->e->keys, slots, &sink, &keys));
    assert_int_equal(keys, 42);
    assert_int_equal(count_words(&t.out, "*7\r\n$4\r\nMSET"), 13); /* three are long enough */
    buf_free(&t.out);
    xworld_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_share_requests),
        cmocka_unit_test(test_migrations_by_chance),
        cmocka_unit_test(test_only_its_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
