#include "noded/store/keyspace.h"

#include "common/base/mem.h"
#include "noded/store/list.h"
#include "noded/store/string.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t seed[2] = {7, 11};

/* ---- a model: what each key of a small universe holds ---- */

enum { KEYS = 3000, DBS = 3 };

struct cell {
    bool there;
    bool list;
    unsigned char letter; /* of a string of `n` letters, or of the one element of a list */
    uint32_t n;
    int64_t number; /* a string that is this number, when n is 0 */
    int64_t expire_ms;
};

struct model {
    struct nd_keyspace k;
    struct cell cells[DBS][KEYS];
    size_t released;
    struct rng rng;
};

static void released(void *owner, struct nd_value v)
{
    struct model *m = owner;
    assert_int_equal(v.type, ND_LIST);
    m->released++;
    nd_value_free(&v);
}

static struct slice key_text(int i, char text[32])
{
    return (struct slice){text, (size_t)snprintf(text, 32, "key:%d:%.*s", i, i % 11, "abcdefghijk")};
}

static int number_of(const struct nd_entry *e)
{
    struct slice key = nd_entry_key(e);
    int i = 0;
    for (size_t at = 4; key.p[at] != ':'; at++)
        i = i * 10 + (key.p[at] - '0');
    return i;
}

static struct model *model_new(bool slots, uint64_t chance)
{
    struct model *m = mem_zalloc(sizeof *m);
    nd_keyspace_init(&m->k, DBS, slots, seed);
    m->k.release = released;
    m->k.release_owner = m;
    rng_seed(&m->rng, chance);
    return m;
}

static void model_free(struct model *m)
{
    nd_keyspace_free(&m->k);
    free(m);
}

static void check_cell(const struct cell *c, const struct nd_entry *e)
{
    assert_int_equal(c->there, e != NULL);
    if (e == NULL)
        return;
    assert_true(nd_entry_expire(e) == c->expire_ms);
    assert_int_equal(e->v.type, c->list ? ND_LIST : ND_STRING);
    if (c->list) {
        assert_int_equal(nd_value_length(&e->v), 1);
        return;
    }
    char tmp[ND_INT_TEXT], number[32];
    struct slice s = nd_string_slice(&e->v, tmp);
    assert_int_equal(nd_string_length(&e->v), s.n);
    if (c->n == 0) {
        snprintf(number, sizeof number, "%lld", (long long)c->number);
        assert_int_equal(e->v.enc, ND_ENC_INT);
        assert_true(slice_is(s, number));
        return;
    }
    assert_int_equal(s.n, c->n);
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal((unsigned char)s.p[i], c->letter);
}

static void check_db(struct model *m, int n)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    char text[32];
    size_t count = 0, expires = 0, shown = 0;
    for (int i = 0; i < KEYS; i++) {
        const struct cell *c = &m->cells[n][i];
        count += c->there;
        expires += c->there && c->expire_ms != ND_NO_EXPIRE;
        check_cell(c, nd_db_find(db, key_text(i, text)));
    }
    assert_int_equal(nd_db_count(db), count);
    assert_int_equal(nd_db_expires(db), expires);
    struct nd_db_iter it;
    nd_db_iterate(db, &it);
    for (struct nd_entry *e; (e = nd_db_next(&it)) != NULL; shown++) {
        struct slice key = nd_entry_key(e);
        int i = number_of(e);
        assert_true(slice_eq(key, key_text(i, text)));
        check_cell(&m->cells[n][i], e);
    }
    assert_int_equal(shown, count);
    size_t by_slot = 0;
    for (int slot = 0; slot < ND_SLOTS; slot++)
        by_slot += nd_db_slot_count(db, slot);
    assert_int_equal(by_slot, count);
}

/* A value for the cell: a number, letters that stand in the entry or not, a list. */
static void draw(struct model *m, struct cell *c, struct nd_value *list, char bytes[300], struct slice *out)
{
    *c = (struct cell){.there = true,
                       .expire_ms = rng_below(&m->rng, 3) == 0 ? (int64_t)rng_u64(&m->rng) >> 1 : ND_NO_EXPIRE};
    if (c->expire_ms < 0)
        c->expire_ms = ND_NO_EXPIRE;
    switch (rng_below(&m->rng, 5)) {
    case 0: c->number = (int64_t)(rng_u64(&m->rng) >> rng_below(&m->rng, 64)); break;
    case 1: c->list = true; break;
    case 2: c->n = 1 + (uint32_t)rng_below(&m->rng, 290); break;
    default: c->n = 1 + (uint32_t)rng_below(&m->rng, 50); break;
    }
    c->letter = (unsigned char)rng_below(&m->rng, 26) + 'a';
    memset(bytes, c->letter, 300);
    *out = (struct slice){bytes, c->n};
    if (c->n == 0 && !c->list)
        out->n = (size_t)snprintf(bytes, 300, "%lld", (long long)c->number);
    if (c->list) {
        *list = nd_list_new(&nd_limits_default);
        nd_list_push(list, false, (struct slice){bytes, 1});
    }
}

static void set(struct model *m, int n, int i)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    struct cell *c = &m->cells[n][i], was = *c;
    struct nd_value v;
    struct slice bytes;
    char text[32], room[300];
    struct slice key = key_text(i, text);
    size_t before = m->released;
    draw(m, c, &v, room, &bytes);
    struct nd_entry *old = nd_db_find(db, key), *e;
    if (!c->list && rng_below(&m->rng, 4) != 0)
        e = nd_db_set_string(db, old, key, bytes, true, c->expire_ms);
    else {
        if (!c->list)
            v = nd_string_make(bytes, true);
        e = old != NULL ? nd_db_set_value(db, old, v, c->expire_ms) : nd_db_add(db, key, v, c->expire_ms);
    }
    assert_ptr_equal(e, nd_db_find(db, key));
    check_cell(c, e);
    assert_int_equal(m->released - before, was.there && was.list);
}

static void change(struct model *m, int n, int i)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    struct cell *c = &m->cells[n][i];
    char text[32];
    struct slice key = key_text(i, text);
    struct nd_entry *e = nd_db_find(db, key);
    check_cell(c, e);
    if (e == NULL)
        return;
    switch (rng_below(&m->rng, 5)) {
    case 0:
        c->expire_ms = (int64_t)rng_below(&m->rng, 1000);
        e = nd_db_set_expire(db, e, c->expire_ms);
        break;
    case 1:
        c->expire_ms = ND_NO_EXPIRE;
        e = nd_db_set_expire(db, e, ND_NO_EXPIRE);
        break;
    case 2:
        if (c->list || c->n == 0)
            return;
        e = nd_db_unembed(db, e);
        char letter = (char)c->letter;
        nd_string_append(&e->v, (struct slice){&letter, 1});
        c->n++;
        break;
    case 3:
        nd_db_delete(db, e);
        *c = (struct cell){.there = false};
        assert_null(nd_db_find(db, key));
        return;
    default: {
        struct nd_value v = nd_db_take(db, e);
        assert_null(nd_db_find(db, key));
        int to = (n + 1) % DBS;
        struct cell *other = &m->cells[to][i];
        if (other->there) {
            nd_value_free(&v);
        } else {
            *other = *c;
            check_cell(other, nd_db_add(nd_keyspace_db(&m->k, to), key, v, c->expire_ms));
        }
        *c = (struct cell){.there = false};
        return;
    }
    }
    assert_ptr_equal(e, nd_db_find(db, key));
    check_cell(c, e);
}

static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 16; round++) {
        struct model *m = model_new(round % 2 == 1, round);
        size_t keys = round % 4 < 2 ? KEYS : 20;
        for (int step = 0; step < 60000; step++) {
            int n = (int)rng_below(&m->rng, DBS), i = (int)rng_below(&m->rng, keys);
            if (rng_below(&m->rng, 10) < (step / 10000 % 2 == 0 ? 7U : 1U))
                set(m, n, i);
            else
                change(m, n, i);
            if (step % 9000 == 0) {
                int a = (int)rng_below(&m->rng, DBS), b = (int)rng_below(&m->rng, DBS);
                nd_keyspace_swap(&m->k, a, b);
                struct cell kept[KEYS];
                memcpy(kept, m->cells[a], sizeof kept);
                memcpy(m->cells[a], m->cells[b], sizeof kept);
                memcpy(m->cells[b], kept, sizeof kept);
            }
            if (step % 10000 == 0)
                for (int d = 0; d < DBS; d++)
                    check_db(m, d);
        }
        for (int d = 0; d < DBS; d++)
            check_db(m, d);
        model_free(m);
    }
}

static void databases_are_made_when_used(void **state)
{
    (void)state;
    struct nd_keyspace k;
    nd_keyspace_init(&k, 16384, false, seed);
    for (int i = 0; i < 16384; i++)
        assert_null(nd_keyspace_peek(&k, i));
    struct nd_db *last = nd_keyspace_db(&k, 16383);
    assert_ptr_equal(nd_keyspace_peek(&k, 16383), last);
    assert_ptr_equal(nd_keyspace_db(&k, 16383), last);
    assert_null(nd_keyspace_peek(&k, 16382));
    assert_int_equal(nd_db_number(last), 16383);
    /* Swapping with one that nobody has used. */
    nd_db_add(last, slice_of("a"), nd_string_make(slice_of("1"), true), ND_NO_EXPIRE);
    nd_keyspace_swap(&k, 16383, 5);
    assert_int_equal(nd_db_count(last), 0);
    assert_non_null(nd_db_find(nd_keyspace_peek(&k, 5), slice_of("a")));
    assert_int_equal(nd_db_number(nd_keyspace_peek(&k, 5)), 5);
    nd_keyspace_swap(&k, 1, 2);
    assert_null(nd_keyspace_peek(&k, 1));
    nd_keyspace_free(&k);
}

/* ---- walks ---- */

struct walk {
    struct nd_db *db;
    unsigned char times[KEYS];
    size_t n;
    unsigned delete_one_in;
};

static void see(void *owner, struct nd_entry *e)
{
    struct walk *w = owner;
    int i = number_of(e);
    w->times[i]++;
    w->n++;
    if (w->delete_one_in > 0 && i % (int)w->delete_one_in == 0)
        nd_db_delete(w->db, e);
}

static void fill(struct nd_db *db, int n)
{
    char text[32];
    for (int i = 0; i < n; i++)
        nd_db_set_string(db, nd_db_find(db, key_text(i, text)), key_text(i, text), slice_of("value"), true,
                         i % 3 == 0 ? i : ND_NO_EXPIRE);
}

static void walks_show_every_key(void **state)
{
    (void)state;
    for (int slots = 0; slots < 2; slots++) {
        for (int n = 0; n < KEYS; n = n * 2 + 1) {
            struct nd_keyspace k;
            nd_keyspace_init(&k, 1, slots, seed);
            struct walk all = {.db = nd_keyspace_db(&k, 0)}, expiring = {.db = all.db};
            fill(all.db, n);
            uint64_t cursor = 0;
            do
                cursor = nd_db_scan(all.db, cursor, see, &all);
            while (cursor != 0);
            do
                cursor = nd_db_scan_expires(all.db, cursor, see, &expiring);
            while (cursor != 0);
            for (int i = 0; i < n; i++) {
                assert_true(all.times[i] > 0);
                assert_int_equal(expiring.times[i] > 0, i % 3 == 0);
            }
            nd_keyspace_free(&k);
        }
    }
}

static void walks_may_delete_what_they_show(void **state)
{
    (void)state;
    for (int slots = 0; slots < 2; slots++) {
        for (unsigned kind = 0; kind < 6; kind++) {
            struct nd_keyspace k;
            nd_keyspace_init(&k, 1, slots, seed);
            struct nd_db *db = nd_keyspace_db(&k, 0);
            struct walk w = {.db = db, .delete_one_in = 1 + kind % 2};
            fill(db, KEYS);
            if (kind < 4) {
                uint64_t cursor = 0;
                do
                    cursor = kind < 2 ? nd_db_scan(db, cursor, see, &w) : nd_db_scan_expires(db, cursor, see, &w);
                while (cursor != 0);
            } else {
                struct nd_db_iter it;
                nd_db_iterate(db, &it);
                for (struct nd_entry *e; (e = nd_db_next(&it)) != NULL;)
                    see(&w, e);
            }
            char text[32];
            size_t left = 0;
            for (int i = 0; i < KEYS; i++) {
                bool gone = i % (int)w.delete_one_in == 0 && (kind / 2 != 1 || i % 3 == 0);
                assert_int_equal(nd_db_find(db, key_text(i, text)) == NULL, gone);
                left += !gone;
            }
            assert_int_equal(nd_db_count(db), left);
            if (left == 0)
                assert_int_equal(nd_db_table_memory(db, false) + nd_db_table_memory(db, true), 0);
            nd_keyspace_free(&k);
        }
    }
}

static void an_iteration_may_stop(void **state)
{
    (void)state;
    for (int slots = 0; slots < 2; slots++) {
        struct nd_keyspace k;
        struct nd_db_iter it;
        nd_keyspace_init(&k, 1, slots, seed);
        struct nd_db *db = nd_keyspace_db(&k, 0);
        nd_db_iterate(db, &it);
        assert_null(nd_db_next(&it));
        nd_db_iterate_stop(&it);
        fill(db, 10);
        nd_db_iterate(db, &it);
        nd_db_delete(db, nd_db_next(&it));
        nd_db_iterate_stop(&it);
        assert_int_equal(nd_db_count(db), 9);
        assert_int_equal(nd_db_clear(db), 9);
        nd_keyspace_free(&k);
    }
}

static void chance_takes_any_key(void **state)
{
    (void)state;
    for (int slots = 0; slots < 2; slots++) {
        struct nd_keyspace k;
        struct rng rng;
        struct walk all = {.n = 0}, sampled = {.n = 0};
        struct nd_entry *out[100];
        rng_seed(&rng, 5);
        nd_keyspace_init(&k, 1, slots, seed);
        struct nd_db *db = nd_keyspace_db(&k, 0);
        assert_null(nd_db_random(db, &rng));
        assert_int_equal(nd_db_sample(db, &rng, false, out, 5), 0);
        fill(db, 60);
        for (int i = 0; i < 6000; i++)
            all.times[number_of(nd_db_random(db, &rng))] |= 1;
        for (int i = 0; i < 3000; i++) {
            bool expiring = i % 2 == 0;
            size_t want = 1 + rng_below(&rng, 100), n = nd_db_sample(db, &rng, expiring, out, want);
            assert_true(n >= 1 && n <= want);
            for (size_t j = 0; j < n; j++) {
                if (expiring)
                    assert_int_not_equal(nd_entry_expire(out[j]), ND_NO_EXPIRE);
                sampled.times[number_of(out[j])] |= 1;
            }
        }
        for (int i = 0; i < 60; i++)
            assert_int_equal(all.times[i] + sampled.times[i], 2);
        nd_keyspace_free(&k);
    }
}

/* ---- content ---- */

static void a_content_is_taken_away_whole(void **state)
{
    (void)state;
    for (int slots = 0; slots < 2; slots++) {
        struct nd_keyspace k;
        nd_keyspace_init(&k, 1, slots, seed);
        struct nd_db *db = nd_keyspace_db(&k, 0);
        assert_null(nd_db_detach(db));
        assert_int_equal(nd_content_count(NULL), 0);
        nd_content_free(NULL);
        fill(db, 1000);
        nd_db_set_average_ttl(db, 77);
        struct nd_content *c = nd_db_detach(db);
        assert_int_equal(nd_db_count(db), 0);
        assert_int_equal(nd_db_expires(db), 0);
        assert_true(nd_db_average_ttl(db) == 0);
        fill(db, 10);
        assert_int_equal(nd_content_count(c), 1000);
        nd_content_free(c);
        assert_int_equal(nd_db_count(db), 10);
        assert_int_equal(nd_db_clear(db), 10);
        assert_int_equal(nd_db_clear(db), 0);
        nd_keyspace_free(&k);
    }
}

static void resizing_goes_on_in_idle_time(void **state)
{
    (void)state;
    for (int slots = 0; slots < 2; slots++) {
        struct nd_keyspace k;
        struct nd_table_stats before, after;
        nd_keyspace_init(&k, 1, slots, seed);
        struct nd_db *db = nd_keyspace_db(&k, 0);
        assert_false(nd_db_step(db, 100));
        char text[64];
        /* With slots: all of them in one, so that it grows. */
        int n = 0;
        do {
            int len = snprintf(text, sizeof text, "{tag}%d", n++);
            nd_db_set_string(db, NULL, (struct slice){text, (size_t)len}, slice_of("v"), true, ND_NO_EXPIRE);
            nd_db_table_stats(db, false, &before);
        } while (n < 500 || before.elements < before.buckets / 2 || (before.buckets & (before.buckets - 1)) == 0);
        while (nd_db_step(db, 4)) {}
        nd_db_table_stats(db, false, &after);
        assert_true(after.buckets < before.buckets && (after.buckets & (after.buckets - 1)) == 0);
        assert_int_equal(after.elements, n);
        nd_keyspace_free(&k);
    }
}

static void room_is_reserved(void **state)
{
    (void)state;
    struct nd_keyspace k;
    nd_keyspace_init(&k, 1, false, seed);
    struct nd_db *db = nd_keyspace_db(&k, 0);
    nd_db_reserve(db, KEYS);
    size_t memory = 64 * 512;
    fill(db, KEYS);
    assert_false(nd_db_step(db, 1));
    assert_in_range(nd_db_table_memory(db, false), memory, memory * 3 / 2);
    nd_keyspace_free(&k);
}

/* ---- slots ---- */

static void keys_have_slots(void **state)
{
    (void)state;
    /* What `CLUSTER KEYSLOT` of a real server answers. */
    static const struct {
        const char *key;
        int slot;
    } rows[] = {
        {"", 0},
        {"123456789", 12739},
        {"foo", 12182},
        {"{foo}bar", 12182},
        {"x{foo}y{z}", 12182},
        {"{}foo", 9500},
        {"foo{}", 5542},
        {"{foo", 13308},
        {"foo}{", 8134},
        {"{{foo}}", 13308},
        {"\xff\x80", 4727},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(nd_key_slot(slice_of(rows[i].key)), rows[i].slot);
}

static void slots_are_told_apart(void **state)
{
    (void)state;
    struct nd_keyspace k;
    struct slice keys[10];
    char text[32];
    nd_keyspace_init(&k, 1, true, seed);
    struct nd_db *db = nd_keyspace_db(&k, 0);
    int foo = nd_key_slot(slice_of("foo")), slot0 = 0;
    assert_int_equal(nd_db_slot_keys(db, foo, keys, 10), 0);
    fill(db, 1000);
    size_t others = nd_db_slot_count(db, foo);
    for (int i = 0; i < 20; i++) {
        int len = snprintf(text, sizeof text, "{foo}%d", i);
        nd_db_set_string(db, NULL, (struct slice){text, (size_t)len}, slice_of("v"), true, i);
    }
    assert_int_equal(nd_db_slot_count(db, foo), 20 + others);
    assert_int_equal(nd_db_slot_keys(db, foo, keys, 10), 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(nd_key_slot(keys[i]), foo);
    size_t expires = nd_db_expires(db);
    assert_int_equal(nd_db_slot_clear(db, foo), 20 + others);
    assert_int_equal(nd_db_slot_clear(db, foo), 0);
    assert_int_equal(nd_db_count(db), 1000 - others);
    assert_in_range(expires - nd_db_expires(db), 20, 20 + others);
    for (int slot = 0; slot < ND_SLOTS; slot++)
        nd_db_slot_clear(db, slot);
    assert_int_equal(nd_db_count(db), 0);
    assert_int_equal(nd_db_expires(db), 0);
    nd_keyspace_free(&k);

    /* Without slots all keys are in the one table. */
    nd_keyspace_init(&k, 1, false, seed);
    db = nd_keyspace_db(&k, 0);
    fill(db, 30);
    assert_int_equal(nd_db_slot_count(db, slot0), 30);
    assert_int_equal(nd_db_slot_count(db, foo), 0);
    assert_int_equal(nd_db_slot_keys(db, 0, keys, 10), 10);
    assert_int_equal(nd_db_slot_clear(db, 0), 30);
    nd_keyspace_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_an_array),
        cmocka_unit_test(databases_are_made_when_used),
        cmocka_unit_test(walks_show_every_key),
        cmocka_unit_test(walks_may_delete_what_they_show),
        cmocka_unit_test(an_iteration_may_stop),
        cmocka_unit_test(chance_takes_any_key),
        cmocka_unit_test(a_content_is_taken_away_whole),
        cmocka_unit_test(resizing_goes_on_in_idle_time),
        cmocka_unit_test(room_is_reserved),
        cmocka_unit_test(keys_have_slots),
        cmocka_unit_test(slots_are_told_apart),
    };
    return cmocka_run_group_tests_name("keyspace", tests, NULL, NULL);
}
