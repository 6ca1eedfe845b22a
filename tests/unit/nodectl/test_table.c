/* Tables and painted text: alignment, and bytes from outside that a terminal must not obey. */
#include "nodectl/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed; /* of the last call; freed by the next */
static size_t printed_n;

static FILE *begin(void)
{
    free(printed);
    printed = NULL;
    FILE *f = open_memstream(&printed, &printed_n);
    assert_non_null(f);
    return f;
}

static const char *end(FILE *f)
{
    assert_int_equal(fclose(f), 0);
    return printed;
}

static const char *table_text(const struct table *t, const char *indent, bool colour)
{
    FILE *f = begin();
    table_print(t, f, indent, colour);
    return end(f);
}

static const char *painted(const char *text, bool colour, enum paint paint)
{
    FILE *f = begin();
    print_painted(f, colour, paint, text);
    return end(f);
}

static const char *const titles[] = {"NAME", "N", "LAST", NULL};

static void columns_are_aligned(void **state)
{
    (void)state;
    struct table *t = table_new(titles);
    table_cell(t, PAINT_NONE, "a");
    table_cell(t, PAINT_NONE, "%d", 100);
    table_cell(t, PAINT_NONE, "x");
    table_cell(t, PAINT_NONE, "longer");
    table_cell(t, PAINT_NONE, "7");
    table_cell(t, PAINT_NONE, "%s", "");
    assert_string_equal(table_text(t, "  ", false), "  NAME    N    LAST\n"
                                                    "  a       100  x\n"
                                                    "  longer  7    \n");
    table_free(t);
}

static void colours_do_not_move_columns(void **state)
{
    (void)state;
    struct table *t = table_new(titles);
    table_cell(t, PAINT_BAD, "down");
    table_cell(t, PAINT_GOOD, "1");
    table_cell(t, PAINT_NONE, "-");
    assert_string_equal(table_text(t, "", true), "\033[1mNAME\033[0m  \033[1mN\033[0m  \033[1mLAST\033[0m\n"
                                                 "\033[31mdown\033[0m  \033[32m1\033[0m  -\n");
    assert_string_equal(table_text(t, "", false), "NAME  N  LAST\ndown  1  -\n");
    table_free(t);
}

static void letters_of_two_bytes_have_one_place(void **state)
{
    (void)state;
    struct table *t = table_new(titles);
    table_cell(t, PAINT_NONE, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f");
    table_cell(t, PAINT_NONE, "1");
    table_cell(t, PAINT_NONE, "-");
    assert_string_equal(table_text(t, "", false), "NAME  N  LAST\n\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f  1  -\n");
    table_free(t);
}

static void an_unfinished_row_is_left_out(void **state)
{
    (void)state;
    struct table *t = table_new(titles);
    table_cell(t, PAINT_NONE, "alone");
    assert_string_equal(table_text(t, "", false), "NAME  N  LAST\n");
    table_free(t);
}

static void a_terminal_is_never_steered_from_outside(void **state)
{
    (void)state;
    assert_string_equal(painted("a\033[2Jb\r\n\x07\x7f", false, PAINT_NONE), "a?[2Jb????");
    assert_string_equal(painted("\xc2\x9b"
                                "31m",
                                false, PAINT_NONE),
                        "?31m"); /* CSI as one character */
    assert_string_equal(painted("\xc2\xa3", false, PAINT_NONE), "\xc2\xa3");
    assert_string_equal(painted("x\033y", true, PAINT_WARN), "\033[33mx?y\033[0m");
    assert_string_equal(painted("\xc2", false, PAINT_NONE), "\xc2"); /* cut short: nothing is read behind the end */
}

static void a_file_gets_no_colours(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_false(colour_wanted(f));
    fclose(f);
}

static int last(void **state)
{
    (void)state;
    free(printed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(colours_do_not_move_columns),
        cmocka_unit_test(letters_of_two_bytes_have_one_place),
        cmocka_unit_test(an_unfinished_row_is_left_out),
        cmocka_unit_test(a_terminal_is_never_steered_from_outside),
        cmocka_unit_test(a_file_gets_no_colours),
    };
    return cmocka_run_group_tests(tests, NULL, last);
}
