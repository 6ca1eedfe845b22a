/* What is proposed at the end of a command line, and manual pages: both are made from the command tree. */
#include "nodectl/help/complete.h"
#include "nodectl/help/man.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct command_option options[] = {
    {"--fleet", "-f", "NAME", "whose"},
    {"--config", "-c", "FILE", "where"},
    {"--mode", NULL, "slow|fast", "how"},
    {"--yes", "-y", NULL, "do it"},
    {NULL, NULL, NULL, NULL},
};
static const struct command move = {
    .name = "move",
    .arguments = "FILE [SHARD...]",
    .summary = "Moves.",
    .text = "First\nparagraph.\n\nExample:\n  tool slots move a\n\n.not a macro",
    .options = options,
};
static const struct command turn = {.name = "turn", .arguments = "on|off", .summary = "Turns.", .options = options};
static const struct command secret = {.name = "__secret", .summary = "Hidden."};
static const struct command *const slots_commands[] = {&move, &turn, &secret, NULL};
static const struct command slots = {.name = "slots", .summary = "Slots.", .commands = slots_commands};
static const struct command *const root_commands[] = {&slots, &move, &secret, NULL};
static const struct command root = {
    .name = "tool", .summary = "A tool.", .options = options, .commands = root_commands, .text = "Files:\n  a-b  it"};

/* Cuts line at '|': what is behind the last one is completed. Returns the words that are proposed, with a blank behind
 * each. */
static char proposed[500];
static struct complete c;

static const char *at(const char *line)
{
    static char copy[200];
    const char *words[12];
    int n = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *rest = copy, *next; rest != NULL; rest = next) {
        next = strchr(rest, '|');
        if (next != NULL)
            *next++ = '\0';
        words[n++] = rest;
    }
    complete_find(&c, &root, n, words);
    proposed[0] = '\0';
    struct slice left = buf_slice(&c.lines);
    while (left.n > 0) {
        struct slice all = slice_cut(&left, '\n'), word = slice_cut(&all, '\t');
        snprintf(proposed + strlen(proposed), sizeof proposed - strlen(proposed), "%.*s ", (int)word.n, word.p);
    }
    complete_free(&c);
    return proposed;
}

static void test_commands(void **state)
{
    (void)state;
    assert_string_equal(at(""), "slots move help ");
    assert_string_equal(at("h"), "help ");
    assert_string_equal(at("help|s"), "slots ");
    assert_string_equal(at("slots|"), "move turn ");
    assert_string_equal(at("slots|m"), "move ");
    assert_string_equal(at("nosuch|"), "");
    assert_string_equal(at("--fleet|a|sl"), "slots ");
    assert_string_equal(at("__"), "");
}

static void test_options(void **state)
{
    (void)state;
    assert_string_equal(at("slots|move|-"), "--fleet --config --mode --yes --help ");
    assert_string_equal(at("slots|move|--m"), "--mode ");
    assert_string_equal(at("slots|move|--mode|"), "slow fast ");
    assert_string_equal(at("slots|move|--mode=f"), "--mode=fast ");
    assert_string_equal(at("slots|move|--nosuch=f"), "");
    assert_string_equal(at("slots|move|--|-"), "");
    assert_string_equal(at("slots|move|--fleet|"), "");
    assert_int_equal(c.kind, COMPLETE_FLEETS);
    at("slots|move|--fleet=x|--config|conf|a|");
    assert_int_equal(c.kind, COMPLETE_GROUPS);
    at("-f|x|slots|move|-c|");
    assert_int_equal(c.kind, COMPLETE_FILES);
}

static void test_arguments(void **state)
{
    (void)state;
    at("slots|move|");
    assert_int_equal(c.kind, COMPLETE_FILES);
    at("slots|move|a|--yes|b|c|");
    assert_int_equal(c.kind, COMPLETE_GROUPS);
    assert_string_equal(at("slots|turn|"), "on off ");
    assert_string_equal(at("slots|turn|on|"), "");
    assert_int_equal(c.kind, COMPLETE_WORDS);
    assert_string_equal(at("help|slots|move|"), "");
    assert_int_equal(c.kind, COMPLETE_WORDS);
}

/* A name from outside never becomes a command of the shell, or two words. */
static void test_odd_words(void **state)
{
    (void)state;
    const char *words[] = {"slots", "move", "f", ""};
    static const char *const odd[] = {"a b", "$(reboot)", "a\nb", "\033[1m", "", "a;b", "`a`", "~"};
    complete_find(&c, &root, 4, words);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        complete_offer(&c, slice_of(odd[i]), "");
    assert_int_equal(c.lines.n, 0);
    complete_offer(&c, slice_of("orders/1a2b3c4d"), "shard");
    assert_string_equal(buf_str(&c.lines), "orders/1a2b3c4d\tshard\n");
    complete_free(&c);
}

static void test_pages(void **state)
{
    (void)state;
    static const struct command_option told_once[] = {{"--fleet", "-f", "NAME", "whose"}, {NULL, NULL, NULL, NULL}};
    struct man_shared shared = {.options = told_once};
    struct buf page = {0};
    man_command(&page, &root, &slots, &shared);
    const char *text = buf_str(&page);
    assert_non_null(strstr(text, ".TH TOOL-SLOTS 1 "));
    assert_non_null(strstr(text, ".SS \\fBtool slots move\\fR [\\fIOPTIONS\\fR] \\fIFILE\\fR [\\fISHARD\\fR...]\n"));
    assert_non_null(strstr(text, ".PP\nFirst\nparagraph.\n.PP\nExample:\n.nf\n  tool slots move a\n.fi\n"));
    assert_non_null(strstr(text, "\n\\&.not a macro\n"));
    assert_non_null(strstr(text, "\\fB\\-\\-mode\\fR slow|fast\nhow\n"));
    assert_null(strstr(text, "whose"));
    assert_null(strstr(text, "secret"));
    buf_clear(&page);
    man_program(&page, &root, &shared);
    text = buf_str(&page);
    assert_non_null(strstr(text, "whose"));
    assert_non_null(strstr(text, ".SH \"FILES\"\n.nf\n  a\\-b  it\n.fi\n"));
    assert_non_null(strstr(text, ".B tool move\ntool slots move, see\n"));
    assert_null(strstr(text, "secret"));
    buf_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),  cmocka_unit_test(test_options), cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_odd_words), cmocka_unit_test(test_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
