/* Sets of slots, and who should have which. */
#include "nodectl/slots/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct plan_question question;
static int16_t after[SN_SLOTS];
static unsigned count[8], moved, runs;

static void ask(size_t n, const double *weight)
{
    question = (struct plan_question){.n = n, .weight = weight};
    for (unsigned s = 0; s < SN_SLOTS; s++) {
        question.owner[s] = PLAN_NOBODY;
        question.load[s] = 1;
    }
}

static void owned(unsigned first, unsigned last, int16_t owner)
{
    for (unsigned s = first; s <= last; s++)
        question.owner[s] = owner;
}

static void balance(void)
{
    plan_balance(&question, after);
    memset(count, 0, sizeof count);
    moved = runs = 0;
    for (unsigned s = 0; s < SN_SLOTS; s++) {
        if (after[s] >= 0)
            count[after[s]]++;
        moved += after[s] != question.owner[s];
        runs += after[s] >= 0 && (s == 0 || after[s] != after[s - 1]);
    }
}

static void three_masters(size_t n, const double *weight)
{
    ask(n, weight);
    owned(0, 5460, 0);
    owned(5461, 10922, 1);
    owned(10923, 16383, 2);
}

static void test_fourth_master(void **state)
{
    const double weight[] = {1, 1, 1, 1};
    (void)state;
    three_masters(4, weight);
    assert_true(plan_worst(&question) > 99);
    balance();
    for (int i = 0; i < 4; i++)
        assert_int_equal(count[i], 4096);
    assert_int_equal(moved, 4096);
    assert_true(runs <= 5); /* two of the three givers have theirs side by side */
    memcpy(question.owner, after, sizeof after);
    assert_true(plan_worst(&question) < 0.01);
    balance();
    assert_int_equal(moved, 0);
}

static void test_one_is_emptied(void **state)
{
    const double four[] = {1, 1, 1, 1}, three[] = {1, 1, 1, 0};
    (void)state;
    three_masters(4, four);
    balance();
    question.weight = three;
    memcpy(question.owner, after, sizeof after);
    assert_true(plan_worst(&question) >= 100);
    balance();
    assert_int_equal(count[3], 0);
    assert_int_equal(moved, 4096);
    for (int i = 0; i < 3; i++)
        assert_in_range(count[i], 5461, 5462);
}

static void test_weights(void **state)
{
    const double weight[] = {3, 1, 0};
    (void)state;
    three_masters(3, weight);
    balance();
    assert_int_equal(count[0], 12288);
    assert_int_equal(count[1], 4096);
    assert_int_equal(count[2], 0);
    assert_int_equal(moved, 12288 - 5461);
    const double nobody[] = {0, 0, 0};
    three_masters(3, nobody);
    balance();
    assert_int_equal(moved, 0);
    assert_true(plan_worst(&question) < 0.01);
}

static void test_nothing_beyond_what_is_needed(void **state)
{
    const double weight[] = {1, 1, 1};
    (void)state;
    three_masters(3, weight);
    balance();
    assert_int_equal(moved, 0); /* 5461, 5462, 5461: the one beyond stays where it is */
    owned(100, 100, PLAN_NOBODY);
    owned(16000, 16000, PLAN_NOBODY);
    balance();
    assert_int_equal(after[100], PLAN_NOBODY);
    assert_true(moved <= 1);
}

static double load_of(int owner, const int16_t *map)
{
    double sum = 0;
    for (unsigned s = 0; s < SN_SLOTS; s++)
        sum += map[s] == owner ? question.load[s] : 0;
    return sum;
}

static void test_uneven_loads(void **state)
{
    const double weight[] = {1, 1, 1, 1};
    (void)state;
    three_masters(4, weight);
    for (unsigned s = 0; s < SN_SLOTS; s++)
        question.load[s] = s < 1000 ? 90 : s % 7;
    balance();
    double all = 0;
    for (int i = 0; i < 4; i++)
        all += load_of(i, question.owner);
    for (int i = 0; i < 4; i++)
        assert_true(load_of(i, after) > all / 4 * 0.99 && load_of(i, after) < all / 4 * 1.01);
    int16_t before[SN_SLOTS];
    memcpy(before, after, sizeof after);
    balance();
    assert_memory_equal(before, after, sizeof after);
    assert_true(runs < 12);
}

static void test_one_hot_slot(void **state)
{
    const double weight[] = {1, 1};
    (void)state;
    ask(2, weight);
    owned(0, 16383, 0);
    memset(question.load, 0, sizeof question.load);
    question.load[77] = 1000000;
    question.load[78] = 10;
    balance();
    assert_true(after[77] == after[78] || load_of(0, after) == 10 || load_of(1, after) == 10);
    memset(question.load, 0, sizeof question.load); /* no keys at all */
    balance();
    assert_int_equal(moved, 0);
}

/* A few hot slots of one master make it uneven: some of these move, and none of the many beside them. */
static void test_hot_slots_go_first(void **state)
{
    const double weight[] = {1, 1, 1};
    (void)state;
    three_masters(3, weight);
    for (unsigned s = 0; s < SN_SLOTS; s++)
        question.load[s] = s % 2;
    for (unsigned s = 1000; s < 1012; s++)
        question.load[s] = 1000;
    balance();
    assert_int_equal(moved, 8);
    for (unsigned s = 0; s < SN_SLOTS; s++)
        assert_true(after[s] == question.owner[s] || question.load[s] > 999);
    assert_true(load_of(0, after) > load_of(2, after) - 20 && load_of(0, after) < load_of(2, after) + 20);
}

/* What has no load stays where it is, but for short gaps between slots that go. */
static void test_idle_slots_stay(void **state)
{
    const double weight[] = {1, 1};
    (void)state;
    ask(2, weight);
    owned(0, 16383, 0);
    for (unsigned s = 0; s < SN_SLOTS; s++)
        question.load[s] = s % 100 == 0 ? 10 : 0;
    balance();
    assert_int_equal(moved, 164 / 2);
    for (unsigned s = 0; s < SN_SLOTS; s++)
        question.load[s] = s % 4 == 0 ? 10 : 0;
    balance();
    assert_in_range(moved, SN_SLOTS / 2 - 3, SN_SLOTS / 2);
    assert_true(runs <= 3);
}

static void test_pick(void **state)
{
    struct slot_set of = {{0}}, out;
    struct buf text = {0};
    (void)state;
    assert_true(slot_set_parse(&of, "0-99,200-209 300,400-402", &text));
    assert_int_equal(slot_set_count(&of), 114);
    assert_true(plan_pick(&of, 20, &out));
    slot_set_put(&text, &out, 0);
    assert_string_equal(buf_str(&text), "94-99,200-209,300,400-402");
    assert_true(plan_pick(&of, 114, &out));
    assert_memory_equal(&of, &out, sizeof of);
    assert_false(plan_pick(&of, 115, &out));
    const unsigned has[] = {5461, 5462, 0, 5461};
    unsigned gives[4];
    assert_true(plan_shares(has, 4, 100, gives));
    assert_int_equal(gives[0] + gives[1] + gives[2] + gives[3], 100);
    assert_in_range(gives[0], 33, 34);
    assert_in_range(gives[1], 33, 34);
    assert_int_equal(gives[2], 0);
    assert_true(plan_shares(has, 4, 16384, gives));
    assert_int_equal(gives[1], 5462);
    assert_true(plan_shares(has, 4, 1, gives));
    assert_int_equal(gives[1], 1);
    assert_false(plan_shares(has, 4, 16385, gives));
    assert_true(plan_shares(has, 0, 0, gives));
    buf_clear(&text);
    slot_set_put(&text, &of, 2);
    assert_string_equal(buf_str(&text), "0-99,200-209, ... (4 ranges)");
    buf_free(&text);
}

static void test_parse_refuses(void **state)
{
    static const char *const bad[] = {"",    " ,",    "x",       "16384", "1-", "-1",
                                      "5-4", "1-2-3", "0-16384", "1;2",   "01", "0x1"};
    struct slot_set s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf why = {0};
        assert_false(slot_set_parse(&s, bad[i], &why));
        assert_true(why.n > 0);
        buf_free(&why);
    }
    struct buf why = {0};
    assert_true(slot_set_parse(&s, "16383,0-0", &why));
    assert_true(slot_set_has(&s, 16383) && slot_set_has(&s, 0) && slot_set_count(&s) == 2);
    assert_false(slot_set_has(&s, SN_SLOTS));
    unsigned first = 1, last;
    assert_true(slot_set_range(&s, &first, &last));
    assert_int_equal(first, 16383);
    assert_int_equal(last, 16383);
    buf_free(&why);
}

static void test_moves(void **state)
{
    struct slot_moves m = {0};
    runid a, b, c;
    (void)state;
    memset(a, 'a', RUNID_LEN);
    memset(b, 'b', RUNID_LEN);
    memset(c, 'c', RUNID_LEN);
    a[RUNID_LEN] = b[RUNID_LEN] = c[RUNID_LEN] = '\0';
    slot_moves_add(&m, a, c, 1);
    slot_moves_add(&m, b, c, 2);
    slot_moves_add(&m, a, c, 3);
    assert_int_equal(m.n, 2);
    assert_int_equal(slot_moves_count(&m), 3);
    assert_string_equal(m.v[0].from, a);
    assert_int_equal(slot_set_count(&m.v[0].slots), 2);
    slot_moves_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fourth_master),
        cmocka_unit_test(test_one_is_emptied),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_nothing_beyond_what_is_needed),
        cmocka_unit_test(test_uneven_loads),
        cmocka_unit_test(test_one_hot_slot),
        cmocka_unit_test(test_hot_slots_go_first),
        cmocka_unit_test(test_idle_slots_stay),
        cmocka_unit_test(test_pick),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
