/* What is said of slots and databases while slots move. */
#include "nodectl/slots/moving.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct slot_moves moves;
static struct key_parts parts[2];
static struct slot_set left[2];

static void has(size_t move, uint16_t slot, int16_t database, int64_t keys)
{
    static struct key_part room[2][16];
    runid from = "a", to = "c";
    from[0] = (char)('a' + move);
    slot_moves_add(&moves, from, to, slot);
    slot_set_add(&left[move], slot);
    parts[move].v = room[move];
    if (keys > 0)
        parts[move].v[parts[move].n++] = (struct key_part){slot, database, keys};
}

static void says(const char *wanted)
{
    struct buf text = {0};
    moving_note(&moves, parts, left, &text);
    assert_string_equal(buf_str(&text), wanted);
    buf_free(&text);
}

static int begin(void **state)
{
    (void)state;
    memset(parts, 0, sizeof parts);
    memset(left, 0, sizeof left);
    return 0;
}

static int end(void **state)
{
    (void)state;
    slot_moves_free(&moves);
    return 0;
}

static void one_database(void **state)
{
    (void)state;
    has(0, 1, 0, 10);
    has(0, 2, 0, 0);
    has(1, 9, 0, 10);
    says("0 of 3 slots");
    slot_set_drop(&left[0], 2);
    slot_set_drop(&left[1], 9);
    says("2 of 3 slots");
}

static void several(void **state)
{
    (void)state;
    has(0, 1, 0, 10);
    has(0, 1, 7, 30);
    has(1, 9, 7, 10);
    slot_set_drop(&left[0], 1);
    says("1 of 2 slots; db0 100%, db7 75%");
    for (int16_t db = 8; db < 12; db++)
        has(1, 9, db, 1);
    says("1 of 2 slots; db0 100%, db7 75%, db8 0%, db9 0%, 2 more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_database, begin, end),
        cmocka_unit_test_setup_teardown(several, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
