/* Slots that hold few keys are a chain of buckets, those with more have tables: back and forth, against a model. */
#include "noded/store/db.h"

#include "common/base/mem.h"
#include "noded/store/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t seed[2] = {7, 11};

/* Keys of few tags, so that each slot gains and loses keys around the numbers at which it changes its form. */
enum { DBS = 2, TAGS = 7, EACH = 40 };

struct cell {
    bool there;
    int64_t expire_ms;
};

struct model {
    struct nd_keyspace k, spare; /* spare: empty, to exchange with and back */
    struct cell cells[DBS][TAGS][EACH];
    int slots[TAGS];
    struct rng rng;
};

static struct slice key_text(int tag, int i, char text[32])
{
    return (struct slice){text, (size_t)snprintf(text, 32, "{tag%d}:%d", tag, i)};
}

static void numbers_of(const struct nd_entry *e, int *tag, int *i)
{
    char text[32] = "";
    struct slice key = nd_entry_key(e);
    assert_in_range(key.n, 1, sizeof text - 1);
    memcpy(text, key.p, key.n);
    assert_int_equal(sscanf(text, "{tag%d}:%d", tag, i), 2);
}

static struct model *model_new(uint64_t chance)
{
    struct model *m = mem_zalloc(sizeof *m);
    char text[32];
    nd_keyspace_init(&m->k, DBS, true, seed);
    nd_keyspace_init(&m->spare, DBS, true, seed);
    rng_seed(&m->rng, chance);
    for (int t = 0; t < TAGS; t++)
        m->slots[t] = nd_key_slot(key_text(t, 0, text));
    return m;
}

static void model_free(struct model *m)
{
    nd_keyspace_free(&m->k);
    nd_keyspace_free(&m->spare);
    free(m);
}

static size_t count_tag(const struct model *m, int n, int tag, size_t *expires)
{
    size_t count = 0;
    for (int i = 0; i < EACH; i++) {
        const struct cell *c = &m->cells[n][tag][i];
        count += c->there;
        *expires += c->there && c->expire_ms != ND_NO_EXPIRE;
    }
    return count;
}

/* The form of a slot follows from how many keys it has, but for the numbers between, where it depends on the past. */
static void check_form(struct model *m, int n, int tag, size_t count)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    bool few = nd_content_few(&db->in, true, m->slots[tag]) != 0;
    bool tables = nd_content_slot(&db->in, true, m->slots[tag]) != NULL;
    assert_int_equal(few || tables, count > 0);
    if (count > ND_FEW)
        assert_true(tables);
    /* While the keyspace is to keep still a resizing stops half way. */
    if (count <= ND_FEW_AGAIN && tables)
        assert_true(nd_slot_resizing(nd_content_slot(&db->in, true, m->slots[tag])));
}

static void check_figures(struct nd_db *db, size_t count, size_t expires)
{
    size_t few_buckets = 0, tables = 0;
    for (int slot = nd_db_next_slot(db, 0); slot >= 0; slot = nd_db_next_slot(db, slot + 1)) {
        nd_slot_ref few = nd_content_few(&db->in, true, slot);
        tables += few == 0;
        for (struct nd_bucket *b = few != 0 ? nd_ref_chain(few) : NULL; b != NULL; b = nd_bucket_next(b))
            few_buckets++;
    }
    assert_int_equal(db->in.few_buckets, few_buckets);
    assert_int_equal(db->in.tables, tables);
    struct nd_table_stats keys, expiring;
    nd_db_table_stats(db, false, &keys);
    nd_db_table_stats(db, true, &expiring);
    assert_int_equal(keys.elements, count);
    assert_int_equal(expiring.elements, expires);
    assert_true(nd_db_table_memory(db, false) >= 64 * few_buckets);
    if (count == 0)
        assert_null(db->in.pages);
}

static void check_entry(const struct model *m, int n, const struct nd_entry *e)
{
    int tag, i;
    numbers_of(e, &tag, &i);
    assert_true(m->cells[n][tag][i].there);
    assert_true(nd_entry_expire(e) == m->cells[n][tag][i].expire_ms);
}

static void check_db(struct model *m, int n)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    size_t count = 0, expires = 0;
    char text[32];
    struct slice keys[EACH + 1];
    for (int t = 0; t < TAGS; t++) {
        size_t here = count_tag(m, n, t, &expires);
        count += here;
        assert_int_equal(nd_db_slot_count(db, m->slots[t]), here);
        assert_int_equal(nd_db_slot_keys(db, m->slots[t], keys, EACH + 1), here);
        assert_int_equal(nd_db_slot_keys(db, m->slots[t], keys, 3), here < 3 ? here : 3);
        check_form(m, n, t, here);
        for (int i = 0; i < EACH; i++) {
            const struct nd_entry *e = nd_db_find(db, key_text(t, i, text));
            assert_int_equal(e != NULL, m->cells[n][t][i].there);
            if (e != NULL)
                check_entry(m, n, e);
        }
    }
    assert_int_equal(nd_db_count(db), count);
    assert_int_equal(nd_db_expires(db), expires);
    check_figures(db, count, expires);
}

/* ---- changes ---- */

static int64_t draw_expire(struct model *m)
{
    return rng_below(&m->rng, 3) == 0 ? (int64_t)rng_below(&m->rng, 100000) : ND_NO_EXPIRE;
}

static void change_one(struct model *m, int n, int t, int i, bool grows)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    struct cell *c = &m->cells[n][t][i];
    char text[32], bytes[200];
    struct slice key = key_text(t, i, text), value = {bytes, 1 + rng_below(&m->rng, sizeof bytes - 1)};
    memset(bytes, 'v', sizeof bytes);
    struct nd_entry *e = nd_db_find(db, key);
    assert_int_equal(e != NULL, c->there);
    if (rng_below(&m->rng, 4) == 0 && e != NULL) {
        c->expire_ms = draw_expire(m);
        e = nd_db_set_expire(db, e, c->expire_ms);
    } else if (grows) {
        c->expire_ms = draw_expire(m);
        if (e == NULL && rng_below(&m->rng, 3) == 0)
            e = nd_db_load_string(db, key, value, c->expire_ms, 0);
        else
            e = nd_db_set_string(db, e, key, value, true, c->expire_ms);
        c->there = true;
    } else if (e != NULL) {
        if (rng_below(&m->rng, 2) == 0) {
            nd_db_delete(db, e);
        } else {
            struct nd_value v = nd_db_take(db, e);
            nd_value_free(&v);
        }
        c->there = false;
        e = NULL;
    }
    assert_ptr_equal(nd_db_find(db, key), e);
}

static void swap_cells(struct model *m)
{
    struct cell kept[TAGS][EACH];
    memcpy(kept, m->cells[0], sizeof kept);
    memcpy(m->cells[0], m->cells[1], sizeof kept);
    memcpy(m->cells[1], kept, sizeof kept);
}

struct walk {
    struct model *m;
    int n;
    unsigned delete_one_in; /* 0: none */
    unsigned char times[TAGS][EACH];
};

static void see(void *owner, struct nd_entry *e)
{
    struct walk *w = owner;
    int t, i;
    numbers_of(e, &t, &i);
    check_entry(w->m, w->n, e);
    w->times[t][i]++;
    if (w->delete_one_in > 0 && rng_below(&w->m->rng, w->delete_one_in) == 0) {
        nd_db_delete(nd_keyspace_db(&w->m->k, w->n), e);
        w->m->cells[w->n][t][i].there = false;
    }
}

/* Between the steps of a walk others may change what was there neither at its beginning nor will be at its end. */
static void walk_over(struct model *m, int n, unsigned way)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    struct walk w = {.m = m, .n = n, .delete_one_in = (unsigned)rng_below(&m->rng, 4)};
    struct cell before[TAGS][EACH];
    uint64_t cursor = 0;
    memcpy(before, m->cells[n], sizeof before);
    if (way == 0) {
        struct nd_db_iter it;
        nd_db_iterate(db, &it);
        for (struct nd_entry *e; (e = nd_db_next(&it)) != NULL;)
            see(&w, e);
    }
    while (way > 0) {
        cursor = way == 1 ? nd_db_scan(db, cursor, see, &w) : nd_db_scan_expires(db, cursor, see, &w);
        if (cursor == 0)
            break;
        /* Those of the last tag come and go, so that slots change their form under the cursor. */
        for (int k = 0; k < 8; k++) {
            int i = (int)rng_below(&m->rng, EACH);
            before[TAGS - 1][i].there = false;
            change_one(m, n, TAGS - 1, i, rng_below(&m->rng, 2) == 0);
        }
    }
    for (int t = 0; t < TAGS; t++)
        for (int i = 0; i < EACH; i++)
            if (before[t][i].there && (way < 2 || before[t][i].expire_ms != ND_NO_EXPIRE))
                assert_true(w.times[t][i] > 0);
    check_db(m, n);
}

static void sample(struct model *m, int n)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    struct nd_entry *out[100], *e = nd_db_random(db, &m->rng);
    assert_int_equal(e != NULL, nd_db_count(db) > 0);
    if (e != NULL)
        check_entry(m, n, e);
    for (int expiring = 0; expiring < 2; expiring++) {
        size_t want = rng_below(&m->rng, 100);
        size_t got = nd_db_sample(db, &m->rng, expiring, out, want);
        assert_true(got <= want);
        assert_int_equal(got > 0, want > 0 && (expiring ? nd_db_expires(db) : nd_db_count(db)) > 0);
        for (size_t i = 0; i < got; i++) {
            check_entry(m, n, out[i]);
            assert_true(!expiring || nd_entry_expire(out[i]) != ND_NO_EXPIRE);
        }
    }
}

static void forget(struct cell *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cells[i].there = false;
}

/* All slots that a bitmap names, or one, are taken out. */
static void detach(struct model *m, int n, int t)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    uint8_t slots[ND_SLOTS / 8] = {0};
    size_t expires = 0, want = 0;
    bool one = rng_below(&m->rng, 2) == 0;
    for (int tag = 0; tag < TAGS; tag++) {
        if (one ? tag != t : rng_below(&m->rng, 4) != 0)
            continue;
        slots[m->slots[tag] / 8] |= (uint8_t)(1 << m->slots[tag] % 8);
        want += count_tag(m, n, tag, &expires);
        forget(m->cells[n][tag], EACH);
    }
    struct nd_content *c = one ? nd_db_slot_detach(db, m->slots[t]) : nd_db_slots_detach(db, slots);
    assert_int_equal(c != NULL, want > 0);
    assert_int_equal(nd_content_count(c), want);
    assert_true(c == NULL || c->expires == expires);
    nd_content_free(c);
}

/* The slot moves to the other database, which is emptied there before: by keys or as a whole. */
static void move(struct model *m, int n, int t)
{
    struct nd_db *from = nd_keyspace_db(&m->k, n), *to = nd_keyspace_db(&m->k, 1 - n);
    char text[32];
    size_t expires = 0, here = count_tag(m, n, t, &expires);
    if (rng_below(&m->rng, 2) == 0) {
        nd_db_slot_clear(to, m->slots[t]);
    } else {
        for (int i = 0; i < EACH; i++)
            if (m->cells[1 - n][t][i].there)
                nd_db_delete(to, nd_db_find(to, key_text(t, i, text)));
    }
    assert_int_equal(nd_db_slot_move(from, to, m->slots[t]), here);
    memcpy(m->cells[1 - n][t], m->cells[n][t], sizeof m->cells[n][t]);
    forget(m->cells[n][t], EACH);
}

static void do_rare(struct model *m, int n, int t)
{
    struct nd_db *db = nd_keyspace_db(&m->k, n);
    size_t expires = 0, here = count_tag(m, n, t, &expires);
    switch (rng_below(&m->rng, 40)) {
    case 0:
        nd_keyspace_swap(&m->k, 0, 1);
        swap_cells(m);
        break;
    case 1:
        nd_keyspace_exchange(&m->k, &m->spare);
        assert_int_equal(nd_db_count(nd_keyspace_db(&m->k, n)), 0);
        nd_keyspace_exchange(&m->k, &m->spare);
        break;
    case 2:
        assert_int_equal(nd_db_slot_clear(db, m->slots[t]), here);
        forget(m->cells[n][t], EACH);
        break;
    case 3:
        if (rng_below(&m->rng, 4) == 0) {
            nd_content_free(nd_db_detach(db));
            forget(m->cells[n][0], (size_t)TAGS * EACH);
        }
        break;
    case 4: nd_keyspace_keep_still(&m->k, rng_below(&m->rng, 3) == 0); break;
    case 5:
    case 6:
    case 7: walk_over(m, n, (unsigned)rng_below(&m->rng, 3)); break;
    case 8: nd_db_step(db, 4); break;
    case 9:
    case 10: move(m, n, t); break;
    case 11: detach(m, n, t); break;
    default: sample(m, n); break;
    }
}

static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 12; round++) {
        struct model *m = model_new(round);
        /* Each tag is drawn to a number of keys of its own, which changes: most are around a change of form. */
        size_t aim[DBS][TAGS] = {{0}};
        for (int step = 0; step < 30000; step++) {
            int n = (int)rng_below(&m->rng, DBS), t = (int)rng_below(&m->rng, TAGS);
            size_t expires = 0, here = count_tag(m, n, t, &expires);
            if (here == aim[n][t])
                aim[n][t] = rng_below(&m->rng, 3) == 0 ? rng_below(&m->rng, EACH) : 4 + rng_below(&m->rng, 13);
            change_one(m, n, t, (int)rng_below(&m->rng, EACH), here < aim[n][t]);
            if (step % 20 == 0)
                do_rare(m, n, t);
            if (step % 200 == 0)
                check_db(m, n);
        }
        for (int n = 0; n < DBS; n++) {
            check_db(m, n);
            nd_db_clear(nd_keyspace_db(&m->k, n));
            forget(m->cells[n][0], (size_t)TAGS * EACH);
            check_db(m, n);
        }
        model_free(m);
    }
}

/* One key more and one less again and again: the form changes once, not each time. */
static void forms_change_with_a_distance(void **state)
{
    (void)state;
    struct model *m = model_new(1);
    struct nd_db *db = nd_keyspace_db(&m->k, 0);
    char text[32];
    int slot = m->slots[0];
    for (int i = 0; i < ND_FEW; i++)
        nd_db_set_string(db, NULL, key_text(0, i, text), slice_of("v"), true, i % 2 == 0 ? 5 : ND_NO_EXPIRE);
    assert_int_equal(nd_db_table_memory(db, false), 128);
    assert_int_equal(nd_db_table_memory(db, true), 0);
    for (int round = 0; round < 3; round++) {
        nd_db_set_string(db, NULL, key_text(0, ND_FEW, text), slice_of("v"), true, ND_NO_EXPIRE);
        const struct nd_slot *s = nd_content_slot(&db->in, true, slot);
        assert_non_null(s);
        assert_int_equal(nd_table_count(s->expires), (ND_FEW + 1) / 2);
        nd_db_delete(db, nd_db_find(db, key_text(0, ND_FEW, text)));
        assert_ptr_equal(nd_content_slot(&db->in, true, slot), s);
    }
    for (int i = ND_FEW; i-- > 0;) {
        nd_db_delete(db, nd_db_find(db, key_text(0, i, text)));
        assert_int_equal(nd_content_slot(&db->in, true, slot) != NULL, i > ND_FEW_AGAIN);
        assert_int_equal(nd_db_expires(db), (i + 1) / 2);
    }
    assert_null(db->in.pages);
    model_free(m);
}

/* What the keys of a slot are walked over with may stop in the middle, and the slot gives back what it need not have.
 */
static void a_walk_that_empties_a_slot(void **state)
{
    (void)state;
    for (int keys = 1; keys < EACH; keys++) {
        for (int left = 0; left < keys; left++) {
            struct model *m = model_new(1);
            struct nd_db *db = nd_keyspace_db(&m->k, 0);
            struct nd_db_iter it;
            char text[32];
            for (int i = 0; i < keys; i++)
                nd_db_set_string(db, NULL, key_text(0, i, text), slice_of("v"), true, i);
            nd_db_iterate(db, &it);
            for (int i = left; i < keys; i++)
                nd_db_delete(db, nd_db_next(&it));
            nd_db_iterate_stop(&it);
            while (nd_db_step(db, 4)) {}
            assert_int_equal(nd_db_count(db), left);
            assert_int_equal(nd_db_expires(db), left);
            if (left <= ND_FEW_AGAIN)
                assert_null(nd_content_slot(&db->in, true, m->slots[0]));
            assert_int_equal(db->in.pages != NULL, left > 0);
            model_free(m);
        }
    }
}

/* A mark that nothing expires any more costs one look. */
static void the_mark_of_expiring_keys_goes(void **state)
{
    (void)state;
    struct model *m = model_new(1);
    struct nd_db *db = nd_keyspace_db(&m->k, 0);
    struct walk w = {.m = m};
    char text[32];
    struct nd_entry *e = nd_db_set_string(db, NULL, key_text(0, 0, text), slice_of("v"), true, 7);
    const nd_slot_ref *ref = nd_content_ref(&db->in, m->slots[0]);
    nd_db_set_expire(db, e, ND_NO_EXPIRE);
    assert_true((*ref & ND_REF_EXPIRING) != 0);
    assert_int_equal(nd_db_scan_expires(db, 0, see, &w), 0);
    assert_true((*ref & ND_REF_EXPIRING) == 0);
    nd_db_set_expire(db, nd_db_find(db, key_text(0, 0, text)), 9);
    assert_true((*ref & ND_REF_EXPIRING) != 0);
    model_free(m);
}

/* What is remembered of keys is told by their address, in their order, until it is forgotten. */
static void keys_looked_at_ahead(void **state)
{
    (void)state;
    for (int slots = 0; slots < 2; slots++) {
        struct nd_keyspace k;
        struct rng rng;
        char text[ND_PREFETCH_MAX][32], other[32];
        struct slice keys[ND_PREFETCH_MAX];
        bool there[EACH] = {false};
        int numbers[ND_PREFETCH_MAX];
        rng_seed(&rng, 3);
        nd_keyspace_init(&k, 1, slots, seed);
        struct nd_db *db = nd_keyspace_db(&k, 0);
        for (int round = 0; round < 2000; round++) {
            size_t n = rng_below(&rng, ND_PREFETCH_MAX + 1);
            for (size_t i = 0; i < n; i++) {
                numbers[i] = (int)rng_below(&rng, EACH);
                keys[i] = key_text(numbers[i] % TAGS, numbers[i], text[i]);
            }
            nd_db_look_ahead(db, keys, n);
            for (size_t i = 0; i < n; i++) {
                if (rng_below(&rng, 4) == 0)
                    continue; /* no key after all */
                struct nd_entry *e = nd_db_find(db, keys[i]);
                assert_int_equal(e != NULL, there[numbers[i]]);
                assert_int_equal(nd_keyspace_slot(&k, keys[i]), nd_key_slot(keys[i]));
                int another = (int)rng_below(&rng, EACH);
                assert_int_equal(nd_db_find(db, key_text(another % TAGS, another, other)) != NULL, there[another]);
                if (e == NULL)
                    nd_db_set_string(db, NULL, keys[i], slice_of("v"), true, ND_NO_EXPIRE);
                else if (rng_below(&rng, 2) == 0)
                    nd_db_set_expire(db, e, 5);
                else
                    nd_db_delete(db, e);
                there[numbers[i]] = nd_db_find(db, keys[i]) != NULL;
            }
            nd_keyspace_look_away(&k);
            /* The same addresses, other keys. */
            for (size_t i = 0; i < n; i++) {
                keys[i] = key_text((int)i % TAGS, (int)i, text[i]);
                assert_int_equal(nd_db_find(db, keys[i]) != NULL, there[i]);
                assert_int_equal(nd_keyspace_slot(&k, keys[i]), nd_key_slot(keys[i]));
            }
        }
        nd_keyspace_free(&k);
    }
}

static void keys_are_asked_for_together(void **state)
{
    (void)state;
    struct model *m = model_new(1);
    struct nd_db *db = nd_keyspace_db(&m->k, 0);
    char text[ND_PREFETCH_MAX][32];
    struct slice keys[ND_PREFETCH_MAX];
    for (int i = 0; i < ND_PREFETCH_MAX; i++)
        keys[i] = key_text(i % TAGS, i, text[i]);
    for (int i = 0; i < EACH; i++) {
        nd_db_prefetch_all(db, keys, ND_PREFETCH_MAX);
        nd_db_prefetch(db, keys[0]);
        char room[32];
        nd_db_set_string(db, NULL, key_text(3, i, room), slice_of("v"), true, ND_NO_EXPIRE);
        nd_db_set_string(db, NULL, key_text(i % 3, i, room), slice_of("v"), true, ND_NO_EXPIRE);
    }
    assert_int_equal(nd_db_count(db), 2 * EACH);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_an_array), cmocka_unit_test(forms_change_with_a_distance),
        cmocka_unit_test(a_walk_that_empties_a_slot),         cmocka_unit_test(the_mark_of_expiring_keys_goes),
        cmocka_unit_test(keys_are_asked_for_together),        cmocka_unit_test(keys_looked_at_ahead),
    };
    return cmocka_run_group_tests_name("slots of a database", tests, NULL, NULL);
}
