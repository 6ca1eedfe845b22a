#include "common/base/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct view_node first = {.id = 1, .master = true, .epoch = 7, .slots = 5},
                              second = {.id = 2, .follows = 1, .epoch = 7};

static void everything_counts(void **state)
{
    (void)state;
    struct view_node others[] = {first, first, first, first, first};
    others[0].id = 3;
    others[1].follows = 2;
    others[2].master = false;
    others[3].epoch = 8;
    others[4].slots = 4;
    for (size_t i = 0; i < 5; i++)
        assert_true(view_of_node(&others[i]) != view_of_node(&first));
}

/* What two nodes exchange between them is seen, though sums and XORs of the same numbers stand before and after. */
static void an_exchange_is_seen(void **state)
{
    (void)state;
    struct view_node a = first, b = second;
    a.slots = second.slots;
    b.slots = first.slots;
    assert_true(view_of_node(&a) + view_of_node(&b) != view_of_node(&first) + view_of_node(&second));
    a = first, b = second;
    a.epoch = 8, b.epoch = 6;
    assert_true(view_of_node(&a) + view_of_node(&b) != view_of_node(&first) + view_of_node(&second));
}

static void no_slot_is_like_another(void **state)
{
    (void)state;
    for (unsigned slot = 0; slot < 16384; slot++)
        for (unsigned other = slot < 64 ? 0 : slot - 64; other < slot; other++)
            assert_true(view_slot(slot) != view_slot(other));
    assert_true(view_slot(0) != 0);
}

static void none_is_no_digest(void **state)
{
    (void)state;
    assert_true(view_end(0) != 0);
    assert_true(view_end(5) == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_counts),
        cmocka_unit_test(an_exchange_is_seen),
        cmocka_unit_test(no_slot_is_like_another),
        cmocka_unit_test(none_is_no_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
