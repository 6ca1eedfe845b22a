#include "sentineld/shell/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "sentineld/shell/config.h"

struct rows {
    const struct command *v[256];
    const struct command *parent[256];
    size_t n;
};

static void collect(struct rows *all, const struct command *rows, const struct command *parent)
{
    for (const struct command *row = rows; row != NULL && row->name != NULL; row++) {
        assert_true(all->n < sizeof all->v / sizeof all->v[0]);
        all->parent[all->n] = parent;
        all->v[all->n++] = row;
        collect(all, row->subs, row);
    }
}

static struct rows all_rows(void)
{
    struct rows all = {.n = 0};
    collect(&all, command_table, NULL);
    return all;
}

static void rows_are_whole(void **state)
{
    (void)state;
    struct rows all = all_rows();
    assert_true(all.n > 70);
    for (size_t i = 0; i < all.n; i++) {
        const struct command *row = all.v[i];
        char full[128];
        if (all.parent[i] == NULL)
            snprintf(full, sizeof full, "%s", row->name);
        else
            snprintf(full, sizeof full, "%s|%s", all.parent[i]->name, row->name);
        assert_string_equal(row->full, full);
        for (const char *p = row->name; *p != '\0'; p++)
            assert_true((*p >= 'a' && *p <= 'z') || *p == '-');
        /* A subcommand's words include its parent's name. */
        int least = row->arity < 0 ? -row->arity : row->arity;
        assert_true(least >= (all.parent[i] != NULL ? 2 : 1));
        assert_true(row->run != NULL || row->subs != NULL);
        assert_true(row->run == NULL || row->subs == NULL || row->arity == -1);
        assert_true(strlen(row->summary) > 5 && row->summary[strlen(row->summary) - 1] != '.');
        assert_true(row->since[0] >= '1' && row->since[0] <= '9');
        assert_non_null(row->group);
        assert_non_null(row->complexity);
        assert_non_null(row->syntax);
        assert_non_null(row->tips);
        assert_null(strchr(row->syntax, '\n'));
    }
}

static void names_are_found_and_unique(void **state)
{
    (void)state;
    struct rows all = all_rows();
    for (size_t i = 0; i < all.n; i++) {
        assert_ptr_equal(command_by_full_name(slice_of(all.v[i]->full)), all.v[i]);
        char *upper = mem_strdup(all.v[i]->full);
        for (char *p = upper; *p != '\0'; p++)
            *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
        assert_ptr_equal(command_by_full_name(slice_of(upper)), all.v[i]);
        free(upper);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(all.v[i]->full, all.v[k]->full);
    }
    static const char *const unknown[] = {"",      "get",        "client|",    "|list",         "client|list|",
                                          "ping|", "client|get", "config|get", "client|list|x", "sentinel|sentinel"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_null(command_by_full_name(slice_of(unknown[i])));
}

/* What a user with access "read" may do must change nothing. */
static void read_access_changes_nothing(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "sentinel|set",
        "sentinel|monitor",
        "sentinel|remove",
        "sentinel|reset",
        "sentinel|failover",
        "sentinel|config",
        "sentinel|debug",
        "sentinel|flushconfig",
        "sentinel|simulate-failure",
        "sentinel|ballot",
        "shutdown",
        "sentinel|is-master-down-by-addr",
        "publish",
        "client|kill",
        "sentinel|is-primary-down-by-addr",
        "client|pause",
        "client|unpause",
        "client|list",
        "acl|setuser",
        "acl|deluser",
        "acl|getuser",
        "acl|list",
        "acl|log",
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const struct command *row = command_by_full_name(slice_of(changes[i]));
        assert_non_null(row);
        assert_false(command_allowed(row, CONFIG_ACCESS_READ));
        assert_true(command_allowed(row, CONFIG_ACCESS_ALL));
    }
    static const char *const views[] = {"ping",
                                        "info",
                                        "role",
                                        "sentinel|masters",
                                        "sentinel|clusters",
                                        "sentinel|cluster",
                                        "sentinel|get-master-addr-by-name",
                                        "sentinel|replicas",
                                        "subscribe",
                                        "psubscribe",
                                        "client|setname",
                                        "command|docs"};
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
        assert_true(command_allowed(command_by_full_name(slice_of(views[i])), CONFIG_ACCESS_READ));
}

static size_t category(const char *name)
{
    for (size_t i = 0; i < command_category_count; i++)
        if (strcmp(command_categories[i], name) == 0)
            return i;
    fail_msg("no category %s", name);
    return 0;
}

static void categories_follow_from_flags(void **state)
{
    (void)state;
    struct rows all = all_rows();
    for (size_t i = 0; i < all.n; i++) {
        assert_true(command_in_category(all.v[i], category("fast")) != command_in_category(all.v[i], category("slow")));
        if (command_in_category(all.v[i], category("admin")))
            assert_true(command_in_category(all.v[i], category("dangerous")));
        assert_false(command_in_category(all.v[i], category("write")));
    }
    assert_true(command_in_category(command_by_full_name(slice_of("role")), category("admin")));
    assert_true(command_in_category(command_by_full_name(slice_of("info")), category("dangerous")));
    assert_false(command_in_category(command_by_full_name(slice_of("info")), category("admin")));
    assert_true(command_in_category(command_by_full_name(slice_of("client|list")), category("connection")));
    assert_false(command_in_category(command_by_full_name(slice_of("client")), category("connection")));
}

/* ---- what is not a command ---- */

static char *error_of(size_t argc, const struct slice *argv)
{
    struct buf error = {.n = 0};
    const struct command *row = command_resolve(argv, argc, &error);
    char *text = row != NULL ? NULL : mem_strdup(buf_str(&error));
    buf_free(&error);
    return text;
}

#define ASSERT_ERROR(expected, ...)                                    \
    do {                                                               \
        const struct slice argv_[] = {__VA_ARGS__};                    \
        char *text_ = error_of(sizeof argv_ / sizeof argv_[0], argv_); \
        assert_non_null(text_);                                        \
        assert_string_equal(text_, expected);                          \
        free(text_);                                                   \
    } while (0)

#define S(text)               \
    {                         \
        text, sizeof text - 1 \
    }

static void errors_are_stock(void **state)
{
    (void)state;
    ASSERT_ERROR("ERR unknown command 'get', with args beginning with: ", S("get"));
    ASSERT_ERROR("ERR unknown command 'Get', with args beginning with: 'a' 'b c' ", S("Get"), S("a"), S("b c"));
    ASSERT_ERROR("ERR unknown command 'client|list', with args beginning with: ", S("client|list"));
    ASSERT_ERROR("ERR unknown command '', with args beginning with: '' ", S(""), S(""));
    ASSERT_ERROR("ERR unknown command 'a', with args beginning with: 'b' ", S("a\0x"), S("b\0y"));
    ASSERT_ERROR("ERR unknown subcommand 'nosuch'. Try CLIENT HELP.", S("client"), S("nosuch"));
    ASSERT_ERROR("ERR unknown subcommand 'LiSt '. Try SENTINEL HELP.", S("Sentinel"), S("LiSt "));
    ASSERT_ERROR("ERR wrong number of arguments for 'sentinel' command", S("sentinel"));
    ASSERT_ERROR("ERR wrong number of arguments for 'sentinel|master' command", S("sentinel"), S("MASTER"));
    ASSERT_ERROR("ERR wrong number of arguments for 'sentinel|myid' command", S("sentinel"), S("myid"), S("x"));
    ASSERT_ERROR("ERR wrong number of arguments for 'role' command", S("role"), S("x"));
}

/* Stock stops adding arguments when 128 bytes of them are shown, and cuts the one that reaches that. */
static void long_errors_are_cut(void **state)
{
    (void)state;
    char name[200], arg[100];
    memset(name, 'n', sizeof name);
    memset(arg, 'a', sizeof arg);
    struct slice argv[] = {{name, sizeof name}, {arg, sizeof arg}, {arg, sizeof arg}, {arg, sizeof arg}};
    char *text = error_of(4, argv);
    size_t shown = strlen("ERR unknown command '") + 128 + strlen("', with args beginning with: ");
    assert_int_equal(strlen(text), shown + (1 + 100 + 2) + (1 + 128 - 103 + 2));
    free(text);
}

static void good_requests_resolve(void **state)
{
    (void)state;
    const struct slice argv[] = {S("CLIENT"), S("Kill"), S("ID"), S("7")};
    struct buf error = {.n = 0};
    assert_string_equal(command_resolve(argv, 4, &error)->full, "client|kill");
    assert_string_equal(command_resolve(&(struct slice)S("command"), 1, &error)->full, "command");
    assert_int_equal(error.n, 0);
    buf_free(&error);
}

static void supervisors_agree_while_clients_are_paused(void **state)
{
    (void)state;
    const struct slice ask[] = {S("sentinel"), S("is-master-down-by-addr")}, ballot[] = {S("SENTINEL"), S("BALLOT")};
    const struct slice hello[] = {S("publish"), S("c"), S("m")}, ping[] = {S("ping")}, bare[] = {S("sentinel")};
    assert_true(command_runs_paused(ask, 2));
    assert_true(command_runs_paused(ballot, 2));
    assert_true(command_runs_paused(hello, 3));
    assert_false(command_runs_paused(ping, 1));
    assert_false(command_runs_paused(bare, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(names_are_found_and_unique),
        cmocka_unit_test(read_access_changes_nothing),
        cmocka_unit_test(categories_follow_from_flags),
        cmocka_unit_test(errors_are_stock),
        cmocka_unit_test(long_errors_are_cut),
        cmocka_unit_test(good_requests_resolve),
        cmocka_unit_test(supervisors_agree_while_clients_are_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
