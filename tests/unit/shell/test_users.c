/* One user and the set of them: rules, what they come to, their text, and changes that wait for the disk. */
#include "sentineld/shell/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct command *row(const char *full)
{
    const struct command *r = command_by_full_name(slice_of(full));
    assert_non_null(r);
    return r;
}

static struct user made(const char *rules)
{
    struct user u;
    user_init(&u, "bob");
    if (!user_read(&u, slice_of(rules)))
        fail_msg("not taken: %s", rules);
    return u;
}

static void reads_as(const char *rules, const char *text)
{
    struct user u = made(rules), again;
    struct buf out = {0}, second = {0};
    user_put(&out, &u);
    assert_string_equal(buf_str(&out), text);
    /* The text is what the state keeps: it must give the same user. */
    again = made(text);
    user_put(&second, &again);
    assert_string_equal(buf_str(&second), text);
    assert_memory_equal(u.allowed, again.allowed, sizeof u.allowed);
    user_free(&u);
    user_free(&again);
    buf_free(&out);
    buf_free(&second);
}

static void texts(void **state)
{
    (void)state;
    reads_as("", "off resetchannels -@all");
    reads_as("on nopass ~* &* +@all", "on nopass ~* &* +@all");
    reads_as("+@all -ping +ping", "off resetchannels +@all");
    reads_as("+PING +@All", "off resetchannels +@all");
    reads_as("+sentinel -sentinel|set +sentinel|set", "off resetchannels -@all +sentinel");
    reads_as("+@admin -sentinel +sentinel|masters", "off resetchannels -@all +@admin -sentinel +sentinel|masters");
    reads_as("+@all -@admin +role -@dangerous", "off resetchannels +@all -@dangerous");
    reads_as("&a &b &a %RW~x %R~y", "off ~x %R~y resetchannels &a &b -@all");
    reads_as("on nopass allkeys allchannels allcommands reset", "off sanitize-payload resetchannels -@all");
}

static void rights(void **state)
{
    (void)state;
    struct user u = made("+@all -sentinel|set -@dangerous +info &+s* &plain");
    assert_true(user_may_run(&u, row("ping")));
    assert_true(user_may_run(&u, row("info")));
    assert_false(user_may_run(&u, row("role")));
    assert_false(user_may_run(&u, row("sentinel|set")));
    assert_false(user_may_run(&u, row("shutdown")));
    assert_true(user_may_hear(&u, slice_of("+sdown"), false));
    assert_false(user_may_hear(&u, slice_of("-sdown"), false));
    assert_true(user_may_hear(&u, slice_of("+s*"), true));
    assert_false(user_may_hear(&u, slice_of("+sd*"), true));
    assert_false(user_may_hear(&u, slice_of("+sdown"), true));
    user_free(&u);
}

/* Each row of the tables can be allowed alone: no two share a place. */
static void every_row_has_its_own_place(void **state)
{
    (void)state;
    for (const struct command *top = command_table; top->name != NULL; top++) {
        for (const struct command *sub = top->subs; sub != NULL && sub->name != NULL; sub++) {
            struct user u;
            char rule[80];
            size_t allowed = 0;
            user_init(&u, "bob");
            snprintf(rule, sizeof rule, "+%s", sub->full);
            assert_null(user_apply(&u, slice_of(rule)));
            for (const struct command *t = command_table; t->name != NULL; t++) {
                allowed += user_may_run(&u, t);
                for (const struct command *s = t->subs; s != NULL && s->name != NULL; s++)
                    allowed += user_may_run(&u, s);
            }
            assert_int_equal(allowed, 1);
            assert_true(user_may_run(&u, sub));
            user_free(&u);
        }
    }
}

static void refused_rules(void **state)
{
    (void)state;
    static const char *const bad[] = {"x",    "+nosuch", "-@nosuch", "+",    "+@", "+ping|x", "#12",     "!12", "<none",
                                      "~a b", "&a\tb",   "%~a",      "%Q~a", "%",  "%RR~a",   "(+ping)", "onn"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct user u = made("on");
        if (user_apply(&u, slice_of(bad[i])) == NULL)
            fail_msg("taken: %s", bad[i]);
        user_free(&u);
    }
    struct user u = made("&*");
    assert_non_null(user_apply(&u, slice_of("&a")));
    assert_non_null(user_apply(&u, (struct slice){"&a\0b", 4}));
    user_free(&u);
}

static void passwords(void **state)
{
    (void)state;
    struct user u = made("on >one >two");
    assert_true(user_password_fits(&u, slice_of("one")));
    assert_true(user_password_fits(&u, slice_of("two")));
    assert_false(user_password_fits(&u, slice_of("")));
    assert_false(user_password_fits(&u, slice_of("three")));
    assert_false(user_password_fits(&u, slice_of(u.hashes.v[0])));
    assert_null(user_apply(&u, slice_of("<one")));
    assert_false(user_password_fits(&u, slice_of("one")));
    assert_null(user_apply(&u, slice_of("nopass")));
    assert_true(user_password_fits(&u, slice_of("anything")));
    assert_null(user_apply(&u, slice_of("off")));
    assert_false(user_password_fits(&u, slice_of("anything")));
    assert_false(user_password_fits(NULL, slice_of("one")));
    user_free(&u);
}

static void option_names(void **state)
{
    (void)state;
    static const char *const names[] = {"", "bob", "Bob", "b%b", "a|b", "\xc3\xa9", "x.y@z-1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf option = {0}, name = {0};
        users_option_name(&option, names[i]);
        for (size_t k = 0; k < option.n; k++)
            assert_false(option.p[k] >= 'A' && option.p[k] <= 'Z');
        assert_true(users_option_read(buf_str(&option), &name));
        assert_string_equal(buf_str(&name), names[i]);
        buf_free(&option);
        buf_free(&name);
    }
    struct buf name = {0};
    assert_false(users_option_read("loglevel", &name));
    assert_false(users_option_read("user a%4", &name));
    buf_clear(&name);
    assert_false(users_option_read("user %00", &name));
    buf_free(&name);
}

/* ---- the set ---- */

static struct {
    char said[256];
} heard;

static void hear(void *owner, const struct user *u, bool gone)
{
    (void)owner;
    size_t n = strlen(heard.said);
    snprintf(heard.said + n, sizeof heard.said - n, "%s%s ", gone ? "-" : "", u->name);
}

static struct sentineld_config *file(const char *users)
{
    char text[512];
    struct conf_problems problems = {.count = 0};
    snprintf(text, sizeof text, "listen = [ \"127.0.0.1:1\" ]; state_dir = \"/none\"; %s", users);
    struct sentineld_config *c = config_parse("test.conf", slice_of(text), &problems);
    if (c == NULL)
        fail_msg("%s", buf_str(&problems.text));
    return c;
}

static const struct state_options nothing;

static void changes_wait(void **state)
{
    (void)state;
    struct sentineld_config *c = file("");
    struct users *all = users_new(c, &nothing);
    struct user u;
    memset(&heard, 0, sizeof heard);
    users_draft(all, slice_of("bob"), &u);
    assert_null(user_apply(&u, slice_of(">one")));
    users_change(all, 1, &u, false);
    assert_null(users_find(all, slice_of("bob")));
    assert_true(users_will_be(all, slice_of("bob")));
    users_draft(all, slice_of("bob"), &u); /* builds on what waits */
    assert_int_equal(u.hashes.n, 1);
    assert_null(user_apply(&u, slice_of("on")));
    users_change(all, 2, &u, false);
    assert_int_equal(users_settle(all, 7, true, hear, NULL), 0);
    assert_int_equal(users_settle(all, 1, true, hear, NULL), 0);
    assert_false(users_find(all, slice_of("bob"))->on);
    const struct user *same = users_find(all, slice_of("bob"));
    users_settle(all, 2, true, hear, NULL);
    assert_ptr_equal(users_find(all, slice_of("bob")), same);
    assert_non_null(users_login(all, slice_of("bob"), slice_of("one")));
    users_draft(all, slice_of("bob"), &u);
    users_change(all, 3, &u, true);
    assert_false(users_will_be(all, slice_of("bob")));
    users_settle(all, 3, false, hear, NULL); /* the disk refused */
    assert_true(users_will_be(all, slice_of("bob")));
    users_draft(all, slice_of("bob"), &u);
    users_change(all, 4, &u, true);
    assert_int_equal(users_settle(all, 4, true, hear, NULL), 1);
    assert_null(users_find(all, slice_of("bob")));
    assert_string_equal(heard.said, "bob bob -bob ");
    users_draft(all, slice_of("late"), &u);
    users_change(all, 5, &u, false);
    users_free(all); /* frees what waits too */
    config_free(c);
}

static void file_and_state(void **state)
{
    (void)state;
    struct sentineld_config *c = file("users = ( { name = \"viewer\"; password = \"p\"; access = \"read\"; }, "
                                      "{ name = \"admin\"; password = \"q\"; access = \"all\"; } );");
    struct state_options stored = {.n = 0};
    state_options_add(&stored, "", "loglevel", "debug");
    state_options_add(&stored, "", "user admin", USERS_REMOVED);
    state_options_add(&stored, "", "user ann", "on nopass ~* &* -@all +ping");
    state_options_add(&stored, "", "user broken", "on +nosuch");
    struct users *all = users_new(c, &stored);
    assert_int_equal(users_count(all), 3);
    assert_string_equal(users_at(all, 0)->name, "ann");
    assert_string_equal(users_at(all, 1)->name, "default");
    assert_string_equal(users_at(all, 2)->name, "viewer");
    assert_false(users_default(all)->on); /* the file has users, and this one is not among them */
    assert_null(users_login(all, slice_of("default"), slice_of("")));
    assert_non_null(users_login(all, slice_of("viewer"), slice_of("p")));
    assert_true(user_may_run(users_find(all, slice_of("viewer")), row("sentinel|masters")));
    assert_false(user_may_run(users_find(all, slice_of("viewer")), row("sentinel|failover")));
    users_free(all);
    state_options_free(&stored);
    config_free(c);
}

static void reload(void **state)
{
    (void)state;
    struct sentineld_config *c = file("users = ( { name = \"a\"; password = \"1\"; access = \"all\"; }, "
                                      "{ name = \"b\"; password = \"2\"; access = \"all\"; }, "
                                      "{ name = \"c\"; password = \"3\"; access = \"all\"; } );");
    struct users *all = users_new(c, &nothing);
    config_free(c);
    memset(&heard, 0, sizeof heard);
    const struct user *kept = users_find(all, slice_of("b"));
    c = file("users = ( { name = \"a\"; password = \"9\"; access = \"all\"; }, "
             "{ name = \"b\"; password = \"2\"; access = \"read\"; } );");
    users_reload(all, c, &nothing, hear, NULL);
    config_free(c);
    assert_string_equal(heard.said, "-a -c a b default ");
    assert_ptr_equal(users_find(all, slice_of("b")), kept);
    assert_false(user_may_run(kept, row("shutdown")));
    assert_null(users_login(all, slice_of("a"), slice_of("1")));
    assert_non_null(users_login(all, slice_of("a"), slice_of("9")));
    assert_null(users_find(all, slice_of("c")));
    users_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),         cmocka_unit_test(rights),
        cmocka_unit_test(refused_rules), cmocka_unit_test(every_row_has_its_own_place),
        cmocka_unit_test(passwords),     cmocka_unit_test(option_names),
        cmocka_unit_test(changes_wait),  cmocka_unit_test(file_and_state),
        cmocka_unit_test(reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
