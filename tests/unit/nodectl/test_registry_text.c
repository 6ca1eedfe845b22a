/* The list of fleets in nodectl.conf: entries come and go, and the operator's own text stays. */
#include "nodectl/local/registry_text.h"

#include <libconfig.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NEW "{ name = \"new\"; seeds = [ \"h:1\" ]; }"

/* libconfig's opinion: the names in the list, each followed by a space; NULL: it cannot be read. */
static const char *names(const char *text)
{
    static char all[256];
    size_t n = 0;
    config_t c;
    config_init(&c);
    all[0] = '\0';
    if (config_read_string(&c, text) != CONFIG_TRUE) {
        config_destroy(&c);
        return NULL;
    }
    const config_setting_t *list = config_lookup(&c, "fleets");
    for (int i = 0; list != NULL && i < config_setting_length(list); i++) {
        const char *name = "?";
        (void)config_setting_lookup_string(config_setting_get_elem(list, (unsigned)i), "name", &name);
        n += (size_t)snprintf(all + n, sizeof all - n, "%s ", name);
    }
    config_destroy(&c);
    return all;
}

static void adds(const char *before, const char *after, const char *expected)
{
    struct buf out = {0};
    assert_true(registry_text_add(slice_of(before), slice_of(NEW), &out));
    assert_string_equal(buf_str(&out), after);
    assert_string_equal(names(after), expected);
    buf_free(&out);
}

static void test_adds(void **state)
{
    (void)state;
    adds("", "fleets = (\n  " NEW "\n);\n", "new ");
    adds("# mine\nsupervisors = [ \"h:2\" ]", "# mine\nsupervisors = [ \"h:2\" ]\nfleets = (\n  " NEW "\n);\n", "new ");
    adds("fleets = ();", "fleets = (\n  " NEW "\n);", "new ");
    adds("fleets = (\n);\n# end\n", "fleets = (\n  " NEW "\n);\n# end\n", "new ");
    adds("fleets : (\n  { name = \"a\"; } # of ) the shop\n  // not {this\n);\nsupervisors = [];\n",
         "fleets : (\n  { name = \"a\"; }, # of ) the shop\n  // not {this\n  " NEW "\n);\nsupervisors = [];\n",
         "a new ");
    adds("fleets = ({name=\"a\";},{name=\"b\";seeds=[\"x:1\"];});", /* all on one line */
         "fleets = ({name=\"a\";},{name=\"b\";seeds=[\"x:1\"];},\n  " NEW "\n);", "a b new ");
    adds("/* fleets = ( */ fleets = ( { name = \"a\\\"}\"; deep = { fleets = 1; }; } );",
         "/* fleets = ( */ fleets = ( { name = \"a\\\"}\"; deep = { fleets = 1; }; }, \n  " NEW "\n);", "a\"} new ");
}

static void removes(const char *before, const char *name, const char *after, const char *expected)
{
    struct buf out = {0};
    assert_non_null(names(before));
    assert_true(registry_text_remove(slice_of(before), name, &out));
    assert_string_equal(buf_str(&out), after);
    assert_string_equal(names(after), expected);
    buf_free(&out);
}

static void test_removes(void **state)
{
    (void)state;
    removes("fleets = (\n  { name = \"a\"; },\n  { name = \"b\"; }\n);\n", "b", "fleets = (\n  { name = \"a\"; }\n);\n",
            "a ");
    removes("fleets = (\n  { name = \"a\"; },\n  { name = \"b\"; }\n);\n", "a", "fleets = (\n  { name = \"b\"; }\n);\n",
            "b ");
    removes("fleets = (\n  # the first\n  { name = \"a\";\n    dir = \"/a\"; }\n);", "a",
            "fleets = (\n  # the first\n);", "");
    removes("fleets = ( {name=\"a\";}, {name=\"b\";}, {name=\"c\";} );", "b",
            "fleets = ( {name=\"a\";},  {name=\"c\";} );", "a c ");
    removes("fleets = ( { name = \"o\" /* and */ \"n\\x65\"; } );", "one", "fleets = (  );", "");
    removes("fleets = ({name=\"a\";}, # first\n {name=\"b\";} # second\n);", "b",
            "fleets = ({name=\"a\";} # first\n  # second\n);", "a ");
}

/* What was added is taken out again, and nothing is left of it. */
static void test_there_and_back(void **state)
{
    static const char *const texts[] = {
        "fleets = (\n);\n",
        "supervisors = [ \"h:2\" ];\nfleets = (\n  { name = \"a\"; }\n);\n",
        "fleets = (\n  { name = \"a\"; },\n  { name = \"b\"; } # b\n\n  # end\n);\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf with = {0}, without = {0};
        assert_true(registry_text_add(slice_of(texts[i]), slice_of(NEW), &with));
        assert_true(registry_text_remove(buf_slice(&with), "new", &without));
        assert_string_equal(buf_str(&without), texts[i]);
        buf_free(&with);
        buf_free(&without);
    }
}

static void test_refuses(void **state)
{
    static const char *const strange[] = {"fleets = 3;", "fleets = ( { name = \"a\";", "x = \"never ends", "}",
                                          "/* never ends"};
    struct buf out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        assert_false(registry_text_add(slice_of(strange[i]), slice_of(NEW), &out));
    assert_false(registry_text_remove(slice_of("fleets = ( { name = \"a\"; } );"), "b", &out));
    assert_false(registry_text_remove(slice_of("# { name = \"a\"; }"), "a", &out));
    assert_int_equal(out.n, 0);
}

static void other_lists(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(registry_text_add_to(slice_of("a = 1;\n"), "clusters", slice_of("{ name = \"x\"; }"), &out));
    assert_string_equal(buf_str(&out), "a = 1;\nclusters = (\n  { name = \"x\"; }\n);\n");
    buf_clear(&out);
    const char *two = "fleets = ( { name = \"y\"; } );\nclusters = ( { name = \"x\"; }, { name = \"y\"; a = 1; } );";
    assert_true(registry_text_entry(slice_of(two), "clusters", "y", &out));
    assert_string_equal(buf_str(&out), "{ name = \"y\"; a = 1; }");
    assert_false(registry_text_entry(slice_of(two), "clusters", "z", &out));
    assert_false(registry_text_entry(slice_of(two), "groups", "y", &out));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adds),           cmocka_unit_test(other_lists),  cmocka_unit_test(test_removes),
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
