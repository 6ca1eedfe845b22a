#include "sentineld/shell/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NEW_ID "0123456789abcdef0123456789abcdef01234567"
#define FILE_ID "1111111111111111111111111111111111111111"
#define STORED_ID "2222222222222222222222222222222222222222"
#define PEER_ID "3333333333333333333333333333333333333333"

#define HEAD "listen = [ \"127.0.0.1:26379\" ]; state_dir = \"/tmp/none\";\n"
#define GROUP(rest) "{ name = \"g\"; master = \"10.0.0.1:6379\"; quorum = 2; " rest " }"
#define ONE_GROUP(rest) HEAD "groups = ( " GROUP(rest) " );\n"

static struct sentineld_config *file(const char *text)
{
    struct conf_problems problems = {.count = 0};
    struct sentineld_config *c = config_parse("test.conf", slice_of(text), &problems);
    if (c == NULL)
        fail_msg("%s", buf_str(&problems.text));
    buf_free(&problems.text);
    return c;
}

static void merge_text(const char *text, const struct state_image *stored, struct merged *out)
{
    struct sentineld_config *c = file(text);
    merge(c, stored, NEW_ID, out);
    config_free(c);
}

/* What is stored after a first start with this file. */
static struct state_image started(const char *text)
{
    struct state_image empty = {.ngroups = 0}, image;
    struct merged m;
    merge_text(text, &empty, &m);
    state_image_copy(&image, &m.image);
    merged_free(&m);
    return image;
}

static struct addr address(const char *text)
{
    struct addr a;
    assert_true(addr_parse(slice_of(text), &a));
    return a;
}

static bool noted(const struct merged *m, const char *text)
{
    struct buf copy = {.n = 0};
    buf_put(&copy, m->notes.p, m->notes.n);
    bool found = strstr(buf_str(&copy), text) != NULL;
    buf_free(&copy);
    return found;
}

static void a_new_directory_takes_everything_from_the_file(void **state)
{
    (void)state;
    struct state_image empty = {.ngroups = 0};
    struct merged m;
    merge_text(HEAD "id = \"" FILE_ID "\"; current_epoch = 40;\n"
                    "peer_auth = { user = \"u\"; password = \"p\"; };\n"
                    "groups = ( " GROUP("down_after_ms = 700; config_epoch = 41; leader_epoch = 43; "
                                        "known_replicas = [ \"10.0.0.2:6379\" ]; "
                                        "known_sentinels = ( { address = \"10.0.0.7:26379\"; id = \"" PEER_ID "\"; }, "
                                        "{ address = \"10.0.0.8:26379\"; id = \"" FILE_ID "\"; } );") " );",
               &empty, &m);
    assert_string_equal(m.image.id, FILE_ID);
    assert_int_equal(m.image.epoch, 43);
    assert_false(m.image.joined);
    assert_string_equal(m.globals.user, "u");
    assert_int_equal(m.ngroups, 1);
    struct sn_core_group g = merged_core_group(&m, 0);
    assert_string_equal(g.name, "g");
    assert_int_equal(g.config_epoch, 41);
    assert_int_equal(g.vote_epoch, 43);
    assert_int_equal(g.settings->down_after_ms, 700);
    assert_int_equal(g.nreplicas, 1);
    assert_int_equal(g.npeers, 1); /* oneself is no peer */
    assert_string_equal(g.peers[0].id, PEER_ID);
    merged_free(&m);

    merge_text(ONE_GROUP(""), &empty, &m);
    assert_string_equal(m.image.id, NEW_ID);
    merged_free(&m);
}

static void a_known_directory_ignores_what_the_file_imports(void **state)
{
    (void)state;
    struct state_image stored = started(ONE_GROUP(""));
    memcpy(stored.id, STORED_ID, sizeof stored.id);
    stored.epoch = 5;
    stored.joined = true;
    struct merged m;
    merge_text(
        HEAD "id = \"" FILE_ID "\"; current_epoch = 40;\n"
             "groups = ( " GROUP("config_epoch = 41; leader_epoch = 43; known_replicas = [ \"10.0.0.2:6379\" ];") " );",
        &stored, &m);
    assert_string_equal(m.image.id, STORED_ID);
    assert_true(noted(&m, STORED_ID));
    assert_int_equal(m.image.epoch, 5);
    assert_true(m.image.joined);
    struct sn_core_group g = merged_core_group(&m, 0);
    assert_int_equal(g.config_epoch, 0);
    assert_int_equal(g.vote_epoch, 0);
    assert_int_equal(g.nreplicas, 0);
    merged_free(&m);
    state_image_free(&stored);
}

static void a_run_time_option_wins_until_the_file_changes_it(void **state)
{
    (void)state;
    struct state_image stored = started(ONE_GROUP("down_after_ms = 5000;"));
    state_options_add(&stored.options, "g", "Down-After-Milliseconds", "111");
    state_options_add(&stored.options, "g", "parallel-syncs", "7");
    struct merged m;

    merge_text(ONE_GROUP("down_after_ms = 5000;"), &stored, &m);
    assert_int_equal(m.groups[0].settings.down_after_ms, 111);
    assert_int_equal(m.groups[0].settings.parallel_syncs, 7);
    assert_int_equal(m.image.options.n, 2);
    merged_free(&m);

    /* Another option of the group in the file leaves it alone. */
    merge_text(ONE_GROUP("down_after_ms = 5000; failover_timeout_ms = 9000;"), &stored, &m);
    assert_int_equal(m.groups[0].settings.down_after_ms, 111);
    assert_int_equal(m.groups[0].settings.failover_timeout_ms, 9000);
    merged_free(&m);

    merge_text(ONE_GROUP("down_after_ms = 6000;"), &stored, &m);
    assert_int_equal(m.groups[0].settings.down_after_ms, 6000);
    assert_int_equal(m.groups[0].settings.parallel_syncs, 7);
    assert_int_equal(m.image.options.n, 1);
    assert_true(noted(&m, "own-After-Milliseconds"));
    merged_free(&m);
    state_image_free(&stored);
}

/* A dropped change does not come back when the file's value goes back to what it was. */
static void a_dropped_change_stays_dropped(void **state)
{
    (void)state;
    struct state_image stored = started(ONE_GROUP("down_after_ms = 5000;"));
    state_options_add(&stored.options, "g", "down-after-milliseconds", "111");
    struct merged changed, back;
    merge_text(ONE_GROUP("down_after_ms = 6000;"), &stored, &changed);
    merge_text(ONE_GROUP("down_after_ms = 5000;"), &changed.image, &back);
    assert_int_equal(back.groups[0].settings.down_after_ms, 5000);
    merged_free(&changed);
    merged_free(&back);
    state_image_free(&stored);
}

static void the_master_of_the_state_wins_over_another_in_the_file(void **state)
{
    (void)state;
    struct state_image stored = started(ONE_GROUP(""));
    struct state_group *g = state_image_group(&stored, "g");
    struct addr old = g->master, new_one = address("10.0.0.2:6379");
    g->master = new_one; /* a failover */
    g->config_epoch = 8;
    g->vote_epoch = 8;
    state_group_add_replica(g, &old);
    state_group_add_peer(g, &old, PEER_ID);
    struct merged m;

    merge_text(ONE_GROUP(""), &stored, &m);
    struct sn_core_group got = merged_core_group(&m, 0);
    assert_string_equal(got.master.host, "10.0.0.2");
    assert_int_equal(got.config_epoch, 8);
    assert_int_equal(got.nreplicas, 1);
    assert_int_equal(m.image.epoch, 8);
    merged_free(&m);

    /* The operator writes into the file what is true already: nothing changes. */
    merge_text(HEAD "groups = ( { name = \"g\"; master = \"10.0.0.2:6379\"; quorum = 2; } );", &stored, &m);
    got = merged_core_group(&m, 0);
    assert_string_equal(got.master.host, "10.0.0.2");
    assert_int_equal(got.nreplicas, 1);
    assert_int_equal(m.notes.n, 0);
    merged_free(&m);

    merge_text(HEAD "groups = ( { name = \"g\"; master = \"10.0.0.3:6379\"; quorum = 2; } );", &stored, &m);
    got = merged_core_group(&m, 0);
    assert_string_equal(got.master.host, "10.0.0.2"); /* another supervisor knows it so, and nobody has voted */
    assert_int_equal(got.config_epoch, 8);
    assert_int_equal(got.nreplicas, 1);
    assert_true(noted(&m, "10.0.0.3:6379"));
    assert_true(noted(&m, "10.0.0.2:6379, which stays"));
    merged_free(&m);
    state_image_free(&stored);
}

static void a_supervisor_that_is_alone_takes_the_master_of_the_file(void **state)
{
    (void)state;
    struct state_image stored = started(ONE_GROUP(""));
    struct state_group *g = state_image_group(&stored, "g");
    struct addr replica = address("10.0.0.2:6379");
    g->config_epoch = g->vote_epoch = 8;
    memcpy(g->vote_leader, PEER_ID, sizeof g->vote_leader);
    stored.epoch = 9;
    state_group_add_replica(g, &replica);
    struct merged m;

    merge_text(HEAD "groups = ( { name = \"g\"; master = \"10.0.0.3:6379\"; quorum = 2; } );", &stored, &m);
    struct sn_core_group got = merged_core_group(&m, 0);
    assert_string_equal(got.master.host, "10.0.0.3");
    assert_int_equal(got.config_epoch, 10); /* 8 means 10.0.0.1 for ever */
    assert_int_equal(got.vote_epoch, 10);
    assert_string_equal(got.vote_leader, "");
    assert_int_equal(m.image.epoch, 10);
    assert_int_equal(got.nreplicas, 0); /* the old master's are nobody's replicas now */
    assert_true(noted(&m, "10.0.0.3:6379"));
    merged_free(&m);

    /* The list of the file counts as well. */
    merge_text(HEAD "supervisors = [ \"127.0.0.1:26379\", \"10.0.0.9:26379\" ];"
                    "groups = ( { name = \"g\"; master = \"10.0.0.3:6379\"; quorum = 2; } );",
               &stored, &m);
    got = merged_core_group(&m, 0);
    assert_string_equal(got.master.host, "10.0.0.1");
    merged_free(&m);
    state_image_free(&stored);
}

static void a_removed_group_stays_away_until_its_entry_changes(void **state)
{
    (void)state;
    struct state_image stored = started(ONE_GROUP("down_after_ms = 5000;"));
    struct state_group *g = state_image_group(&stored, "g");
    g->monitored = false;
    g->vote_epoch = 9;
    memcpy(g->vote_leader, PEER_ID, sizeof g->vote_leader);
    struct merged m, again;

    merge_text(ONE_GROUP("down_after_ms = 5000;"), &stored, &m);
    assert_int_equal(m.ngroups, 0);
    assert_int_equal(m.image.ngroups, 1);
    assert_true(noted(&m, "stays removed"));
    merge_text(ONE_GROUP("down_after_ms = 5000;"), &m.image, &again); /* and at the start after that */
    assert_int_equal(again.ngroups, 0);
    merged_free(&again);
    merged_free(&m);

    merge_text(ONE_GROUP("down_after_ms = 5001;"), &stored, &m);
    assert_int_equal(m.ngroups, 1);
    struct sn_core_group got = merged_core_group(&m, 0);
    assert_int_equal(got.settings->down_after_ms, 5001);
    assert_int_equal(got.vote_epoch, 9); /* the vote is not forgotten */
    assert_string_equal(got.vote_leader, PEER_ID);
    merged_free(&m);
    state_image_free(&stored);
}

static void a_group_that_has_gone_from_the_file_is_dropped(void **state)
{
    (void)state;
    struct state_image stored = started(ONE_GROUP(""));
    state_image_group(&stored, "g")->vote_epoch = 4;
    state_options_add(&stored.options, "g", "quorum", "3");
    struct merged gone, back;
    merge_text(HEAD, &stored, &gone);
    assert_int_equal(gone.ngroups, 0);
    assert_int_equal(gone.image.options.n, 0);
    assert_int_equal(state_image_group(&gone.image, "g")->vote_epoch, 4);
    assert_true(noted(&gone, "no longer in the configuration file"));
    merge_text(ONE_GROUP(""), &gone.image, &back);
    assert_int_equal(back.ngroups, 1);
    assert_int_equal(back.groups[0].settings.quorum, 2);
    assert_int_equal(merged_core_group(&back, 0).vote_epoch, 4);
    merged_free(&gone);
    merged_free(&back);
    state_image_free(&stored);
}

static void a_group_monitored_at_run_time_lives_in_the_state(void **state)
{
    (void)state;
    struct state_image stored = started(ONE_GROUP(""));
    struct state_group *g = state_image_add(&stored, "late");
    g->monitored = true;
    g->master = address("10.1.0.1:6379");
    state_options_add(&stored.options, "late", "quorum", "3");
    state_options_add(&stored.options, "late", "auth-pass", "secret");
    state_options_add(&stored.options, "late", "rename-command CONFIG", "guessme");
    struct merged m, again;
    merge_text(ONE_GROUP(""), &stored, &m);
    assert_int_equal(m.ngroups, 2);
    struct sn_core_group got = merged_core_group(&m, 1);
    assert_string_equal(got.name, "late");
    assert_int_equal(got.settings->quorum, 3);
    assert_string_equal(got.settings->auth_pass, "secret");
    assert_string_equal(sn_settings_command(got.settings, "config"), "guessme");
    merge_text(ONE_GROUP(""), &m.image, &again);
    assert_int_equal(again.ngroups, 2);
    assert_int_equal(again.groups[1].settings.quorum, 3);
    merged_free(&again);
    merged_free(&m);
    state_image_free(&stored);
}

static void settings_of_the_daemon_follow_the_same_rule(void **state)
{
    (void)state;
    struct state_image stored = started(HEAD);
    state_options_add(&stored.options, "", "announce-ip", "192.0.2.1");
    state_options_add(&stored.options, "", "resolve-hostnames", "yes");
    state_options_add(&stored.options, "", "loglevel", "debug");
    struct merged m;
    merge_text(HEAD "log = { level = \"warning\"; };", &stored, &m);
    assert_string_equal(m.globals.announce_ip, "192.0.2.1");
    assert_true(m.globals.resolve_hostnames);
    assert_string_equal(m.globals.loglevel, "warning");
    assert_int_equal(m.image.options.n, 2);
    merged_free(&m);
    state_image_free(&stored);
}

static void a_value_that_cannot_be_used_is_dropped_and_told(void **state)
{
    (void)state;
    struct state_image stored = started(ONE_GROUP(""));
    state_options_add(&stored.options, "g", "quorum", "many");
    state_options_add(&stored.options, "g", "no-such-option", "1");
    state_options_add(&stored.options, "", "what", "1");
    struct merged m;
    merge_text(ONE_GROUP(""), &stored, &m);
    assert_int_equal(m.groups[0].settings.quorum, 2);
    assert_int_equal(m.image.options.n, 0);
    assert_true(noted(&m, "quorum") && noted(&m, "no-such-option") && noted(&m, "what"));
    merged_free(&m);
    state_image_free(&stored);
}

static void a_renamed_command_in_the_file_is_an_option_of_its_own(void **state)
{
    (void)state;
    const char *both = ONE_GROUP(
        "rename_commands = ( { from = \"CONFIG\"; to = \"a\"; }, { from = \"SLAVEOF\"; to = \"b\"; } );");
    struct state_image stored = started(both);
    state_options_add(&stored.options, "g", "rename-command config", "z");
    struct merged m;
    merge_text(both, &stored, &m);
    assert_string_equal(sn_settings_command(&m.groups[0].settings, "CONFIG"), "z");
    assert_string_equal(sn_settings_command(&m.groups[0].settings, "SLAVEOF"), "b");
    merged_free(&m);
    merge_text(ONE_GROUP("rename_commands = ( { from = \"CONFIG\"; to = \"c\"; } );"), &stored, &m);
    assert_string_equal(sn_settings_command(&m.groups[0].settings, "CONFIG"), "c");
    assert_string_equal(sn_settings_command(&m.groups[0].settings, "SLAVEOF"), "SLAVEOF");
    merged_free(&m);
    state_image_free(&stored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_directory_takes_everything_from_the_file),
        cmocka_unit_test(a_known_directory_ignores_what_the_file_imports),
        cmocka_unit_test(a_run_time_option_wins_until_the_file_changes_it),
        cmocka_unit_test(a_dropped_change_stays_dropped),
        cmocka_unit_test(the_master_of_the_state_wins_over_another_in_the_file),
        cmocka_unit_test(a_supervisor_that_is_alone_takes_the_master_of_the_file),
        cmocka_unit_test(a_removed_group_stays_away_until_its_entry_changes),
        cmocka_unit_test(a_group_that_has_gone_from_the_file_is_dropped),
        cmocka_unit_test(a_group_monitored_at_run_time_lives_in_the_state),
        cmocka_unit_test(settings_of_the_daemon_follow_the_same_rule),
        cmocka_unit_test(a_value_that_cannot_be_used_is_dropped_and_told),
        cmocka_unit_test(a_renamed_command_in_the_file_is_an_option_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
