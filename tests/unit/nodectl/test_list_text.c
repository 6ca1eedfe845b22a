/* The list of supervisors in the text of a configuration. */
#include "nodectl/supervisor/list_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct addr list[2];

static void expect(const char *text, const char *wanted)
{
    struct buf out = {0};
    addr_set(&list[0], slice_of("10.0.0.1"), 26379);
    addr_set(&list[1], slice_of("::1"), 7);
    assert_true(list_text_replace(slice_of(text), list, 2, &out));
    assert_string_equal(buf_str(&out), wanted);
    buf_free(&out);
}

static void refused(const char *text)
{
    struct buf out = {0};
    assert_false(list_text_replace(slice_of(text), list, 2, &out));
    assert_int_equal(out.n, 0);
    buf_free(&out);
}

#define LIST "[ \"10.0.0.1:26379\", \"[::1]:7\" ]"

static void the_value_is_replaced(void **state)
{
    (void)state;
    expect("supervisors = [ \"a:1\" ];\n", "supervisors = " LIST ";\n");
    expect("a = 1;\nsupervisors:[]\nb = 2;", "a = 1;\nsupervisors:" LIST "\nb = 2;");
    expect("supervisors = # all of them ]\n  [\n  \"a:1\", // the ] first\n  \"b]:1\"\n];x=1;",
           "supervisors = # all of them ]\n  " LIST ";x=1;");
}

static void only_the_setting_itself(void **state)
{
    (void)state;
    expect("# supervisors = [ \"a:1\" ];\nname = \"supervisors = [ ]\";\nsupervisors = [];\n",
           "# supervisors = [ \"a:1\" ];\nname = \"supervisors = [ ]\";\nsupervisors = " LIST ";\n");
    expect("groups = ( { supervisors = [ 1 ]; } );\n/* supervisors = [ */ my-supervisors = 2;\n",
           "groups = ( { supervisors = [ 1 ]; } );\n/* supervisors = [ */ my-supervisors = 2;\nsupervisors = " LIST
           ";\n");
    expect("a = \"\\\"\"; supervisors = [];", "a = \"\\\"\"; supervisors = " LIST ";");
}

static void added_where_there_is_none(void **state)
{
    (void)state;
    expect("", "supervisors = " LIST ";\n");
    expect("a = 1;", "a = 1;\nsupervisors = " LIST ";\n");
}

static void other_forms_are_left_alone(void **state)
{
    (void)state;
    refused("supervisors = ( \"a:1\" );");
    refused("supervisors");
    refused("supervisors = [ \"a:1\"");
    refused("@include \"common.conf\"\n");
    refused("lease_ms = 300; /* what comes behind is in the comment");
    refused("lease_ms = 300; \"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_value_is_replaced),
        cmocka_unit_test(only_the_setting_itself),
        cmocka_unit_test(added_where_there_is_none),
        cmocka_unit_test(other_forms_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
