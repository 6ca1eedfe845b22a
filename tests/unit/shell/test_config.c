/* sentineld.conf: what is taken, what is refused and with which words. */
#include "sentineld/shell/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define GROUP "name = \"m\"; master = \"127.0.0.1:6379\"; quorum = 2;"

static struct conf_problems problems;

static struct sentineld_config *parse(const char *text)
{
    buf_free(&problems.text);
    problems = (struct conf_problems){.count = 0};
    return config_parse("s.conf", slice_of(text), &problems);
}

static struct sentineld_config *good(const char *text)
{
    struct sentineld_config *c = parse(text);
    if (c == NULL)
        fail_msg("%s\n%s", text, buf_str(&problems.text));
    return c;
}

static void bad(const char *text, const char *problem)
{
    struct sentineld_config *c = parse(text);
    if (c != NULL)
        fail_msg("taken: %s", text);
    if (strstr(buf_str(&problems.text), problem) == NULL)
        fail_msg("%s\ngives %s\nexpected %s", text, buf_str(&problems.text), problem);
}

static void bad_group(const char *inside, const char *problem)
{
    char text[2000];
    snprintf(text, sizeof text, "groups = ( { %s } );", inside);
    bad(text, problem);
}

static int clean(void **state)
{
    (void)state;
    buf_free(&problems.text);
    return 0;
}

static void test_empty_file(void **state)
{
    (void)state;
    struct sentineld_config *c = good("");
    assert_int_equal(c->listen.n, 1);
    assert_string_equal(c->listen.v[0].host, "127.0.0.1");
    assert_int_equal(c->listen.v[0].port, 26379);
    assert_string_equal(c->state_dir, "/var/lib/sentineld");
    assert_string_equal(c->announce.host, "");
    assert_int_equal(c->announce.port, 0);
    assert_int_equal(c->log.level, IO_NOTICE);
    assert_string_equal(c->log.file, "");
    assert_int_equal(c->supervisors.n, 0);
    assert_int_equal(c->user_count, 1);
    assert_string_equal(c->users[0].name, "default");
    assert_string_equal(c->users[0].password, "");
    assert_int_equal(c->users[0].access, CONFIG_ACCESS_ALL);
    assert_int_equal(c->defaults.quorum, 0);
    assert_int_equal(c->defaults.down_after_ms, 30000);
    assert_int_equal(c->defaults.failover_timeout_ms, 60000);
    assert_int_equal(c->defaults.parallel_syncs, 1);
    assert_true(c->deny_scripts_reconfig);
    assert_false(c->resolve_hostnames || c->announce_hostnames);
    assert_string_equal(c->peer_auth.user, "");
    assert_string_equal(c->id, "");
    assert_int_equal(c->group_count + c->cluster_count + c->hook_count, 0);
    config_free(c);
}

static void test_everything(void **state)
{
    (void)state;
    struct sentineld_config *c = good(
        "listen = [ \"127.0.0.1:5000\", \"[::1]:5000\" ]; state_dir = \"/tmp/x/\";\n"
        "announce = { host = \"10.0.0.2\"; port = 7000; }; log = { level = \"debug\"; file = \"/tmp/l\"; };\n"
        "supervisors = [ \"10.0.0.1:7000\", \"10.0.0.2:7000\", \"10.0.0.3:7000\" ];\n"
        "users = ( { name = \"default\"; password = \"\"; access = \"read\"; }, { name = \"admin\"; password = \"p\"; "
        "} );\n"
        "defaults = { quorum = 3; down_after_ms = 100; failover_timeout_ms = 200; parallel_syncs = 4; };\n"
        "deny_scripts_reconfig = false; resolve_hostnames = true; announce_hostnames = true;\n"
        "peer_auth = { user = \"pu\"; password = \"pp\"; }; id = \"" ID "\"; current_epoch = 5000000000L;\n"
        "groups = ( { name = \"a\"; master = \"redis.example:6379\"; quorum = 1; down_after_ms = 5;\n"
        "  failover_timeout_ms = 6; parallel_syncs = 7; master_reboot_down_after_ms = 8; user = \"u\"; password = "
        "\"p\";\n"
        "  notification_script = \"/bin/true\"; client_reconfig_script = \"/bin/false\"; reborn_empty = \"follow\";\n"
        "  rename_commands = ( { from = \"CONFIG\"; to = \"XC\"; } ); config_epoch = 9; leader_epoch = 10;\n"
        "  known_replicas = [ \"127.0.0.1:1\", \"127.0.0.1:2\" ];\n"
        "  known_sentinels = ( { address = \"127.0.0.1:3\"; id = \"" ID "\"; } ); },\n"
        "  { name = \"b\"; master = \"127.0.0.1:6380\"; } );\n"
        "clusters = (); hooks = ();");
    assert_int_equal(c->listen.n, 2);
    assert_string_equal(c->listen.v[1].host, "::1");
    assert_string_equal(c->state_dir, "/tmp/x");
    assert_int_equal(c->announce.port, 7000);
    assert_int_equal(c->log.level, IO_DEBUG);
    assert_string_equal(c->log.file, "/tmp/l");
    assert_int_equal(c->self, 1);
    assert_int_equal(c->user_count, 2);
    assert_int_equal(c->users[0].access, CONFIG_ACCESS_READ);
    assert_int_equal(c->users[1].access, CONFIG_ACCESS_ALL);
    assert_false(c->deny_scripts_reconfig);
    assert_true(c->resolve_hostnames && c->announce_hostnames);
    assert_string_equal(c->peer_auth.password, "pp");
    assert_string_equal(c->id, ID);
    assert_int_equal(c->current_epoch, 5000000000);
    const struct config_group *a = &c->groups[0], *b = &c->groups[1];
    assert_int_equal(c->group_count, 2);
    assert_string_equal(a->name, "a");
    assert_string_equal(a->master.host, "redis.example");
    assert_int_equal(a->settings.quorum, 1);
    assert_int_equal(a->settings.down_after_ms, 5);
    assert_int_equal(a->settings.failover_timeout_ms, 6);
    assert_int_equal(a->settings.parallel_syncs, 7);
    assert_int_equal(a->settings.master_reboot_down_after_ms, 8);
    assert_string_equal(a->settings.auth_user, "u");
    assert_string_equal(a->settings.auth_pass, "p");
    assert_string_equal(a->settings.notification_script, "/bin/true");
    assert_string_equal(a->settings.client_reconfig_script, "/bin/false");
    assert_int_equal(a->settings.reborn_empty, SN_REBORN_FOLLOW);
    assert_int_equal(a->settings.nrenames, 1);
    assert_string_equal(sn_settings_command(&a->settings, "CONFIG"), "XC");
    assert_int_equal(a->config_epoch, 9);
    assert_int_equal(a->leader_epoch, 10);
    assert_int_equal(a->known_replicas.n, 2);
    assert_int_equal(a->known_sentinel_count, 1);
    assert_string_equal(a->known_sentinels[0].id, ID);
    assert_int_equal(a->given, 0x7ff);
    assert_int_equal(b->settings.quorum, 3);
    assert_int_equal(b->settings.down_after_ms, 100);
    assert_int_equal(b->settings.failover_timeout_ms, 200);
    assert_int_equal(b->settings.parallel_syncs, 4);
    assert_string_equal(b->settings.auth_pass, "");
    assert_int_equal(b->given, 0);
    config_free(c);
}

/* What is given is remembered one by one: the bits are the rows of the table. */
static void test_given(void **state)
{
    (void)state;
    const struct {
        const char *text;
        unsigned bit;
    } rows[] = {
        {"quorum = 2;", CONFIG_GIVEN_QUORUM},
        {"down_after_ms = 2;", CONFIG_GIVEN_DOWN_AFTER},
        {"failover_timeout_ms = 2;", CONFIG_GIVEN_FAILOVER_TIMEOUT},
        {"parallel_syncs = 2;", CONFIG_GIVEN_PARALLEL_SYNCS},
        {"master_reboot_down_after_ms = 2;", CONFIG_GIVEN_REBOOT_DOWN_AFTER},
        {"user = \"\";", CONFIG_GIVEN_USER},
        {"password = \"x\";", CONFIG_GIVEN_PASSWORD},
        {"notification_script = \"/bin/true\";", CONFIG_GIVEN_NOTIFICATION_SCRIPT},
        {"client_reconfig_script = \"/bin/true\";", CONFIG_GIVEN_RECONFIG_SCRIPT},
        {"reborn_empty = \"failover\";", CONFIG_GIVEN_REBORN_EMPTY},
        {"rename_commands = ();", CONFIG_GIVEN_RENAME_COMMANDS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "defaults = { quorum = 2; }; groups = ( { name = \"m\"; master = \"127.0.0.1:1\"; %s } );",
                 rows[i].text);
        struct sentineld_config *c = good(text);
        assert_int_equal(c->groups[0].given, rows[i].bit);
        config_free(c);
    }
}

/* The order in the file does not matter: defaults may come last. */
static void test_order_is_free(void **state)
{
    (void)state;
    struct sentineld_config *c = good("groups = ( { name = \"m\"; master = \"localhost:1\"; } );\n"
                                      "defaults = { quorum = 2; }; resolve_hostnames = true;");
    assert_int_equal(c->groups[0].settings.quorum, 2);
    config_free(c);
}

static void test_quorum(void **state)
{
    (void)state;
    struct sentineld_config *c = good("supervisors = [ \"127.0.0.1:26379\", \"127.0.0.1:2\", \"127.0.0.1:3\", "
                                      "\"127.0.0.1:4\" ]; groups = ( { name = \"m\"; master = \"127.0.0.1:1\"; } );");
    assert_int_equal(c->groups[0].settings.quorum, 3);
    config_free(c);
    bad_group("name = \"m\"; master = \"127.0.0.1:1\";", "s.conf:1: groups[0].quorum: is missing");
    bad_group("name = \"m\"; master = \"127.0.0.1:1\"; quorum = 0;", "groups[0].quorum: expected 1 to ");
    bad("supervisors = [ \"127.0.0.1:26379\" ]; groups = ( { " GROUP " } );",
        "groups[0].quorum: 2 can never be reached by 1 supervisors");
    bad("supervisors = [ \"127.0.0.1:26379\" ]; defaults = { quorum = 2; };",
        "defaults.quorum: 2 can never be reached");
}

static void test_self(void **state)
{
    (void)state;
    const char *const found[] = {
        "supervisors = [ \"10.0.0.1:1\", \"127.0.0.1:26379\" ];",
        "supervisors = [ \"10.0.0.1:1\", \"10.0.0.2:26379\" ]; announce = { host = \"10.0.0.2\"; };",
        "supervisors = [ \"10.0.0.1:1\", \"127.0.0.1:99\" ]; announce = { port = 99; };",
        "supervisors = [ \"10.0.0.1:1\", \"10.0.0.2:99\" ]; announce = { host = \"10.0.0.2\"; port = 99; };",
        "supervisors = [ \"10.0.0.1:1\", \"127.0.0.1:26379\" ]; announce = { host = \"10.0.0.9\"; };",
        "supervisors = [ \"10.0.0.1:1\", \"127.0.0.1:26379\" ]; listen = [ \"0.0.0.0:26379\" ];",
        "supervisors = [ \"10.0.0.1:1\", \"[::1]:5\" ]; listen = [ \"127.0.0.1:4\", \"[::1]:5\" ];",
        "supervisors = [ \"a.example:1\", \"b.example:26379\" ]; announce = { host = \"B.example\"; }; "
        "resolve_hostnames = true;",
    };
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        struct sentineld_config *c = good(found[i]);
        assert_int_equal(c->self, 1);
        config_free(c);
    }
    bad("supervisors = [ \"10.0.0.1:26379\" ];", "this supervisor (127.0.0.1:26379) is not in the list");
    bad("supervisors = [ \"127.0.0.1:26380\" ];", "is not in the list");
    bad("supervisors = [ \"192.0.2.1:26379\" ]; listen = [ \"0.0.0.0:26379\" ];", "is not in the list");
    bad("supervisors = [ \"127.0.0.1:26379\", \"[::1]:26379\" ]; listen = [ \"127.0.0.1:26379\", \"[::1]:26379\" ];",
        "2 entries are this supervisor");
    bad("supervisors = [ \"127.0.0.1:26379\", \"127.0.0.1:26379\" ];", "listed twice");
}

static void test_names(void **state)
{
    (void)state;
    const char *const names[] = {"", "a b", "a,b", "a\\tb", "a\\\"b", "it's", "a\\x01"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[200];
        snprintf(text, sizeof text, "name = \"%s\"; master = \"127.0.0.1:1\"; quorum = 1;", names[i]);
        bad_group(text, "groups[0].name: ");
    }
    const char *why;
    assert_true(config_group_name_ok(slice_of("my-master_1.x/y@z\xc3\xa9"), &why));
    assert_false(config_group_name_ok((struct slice){"a\0b", 3}, &why));
    char big[257];
    memset(big, 'a', sizeof big);
    assert_true(config_group_name_ok((struct slice){big, 255}, &why));
    assert_false(config_group_name_ok((struct slice){big, 256}, &why));
    bad("groups = ( { " GROUP " }, { " GROUP " } );", "groups[1].name: there are two groups named 'm'");
    bad_group("master = \"127.0.0.1:1\"; quorum = 1;", "groups[0].name: is missing");
    bad_group("name = \"m\"; quorum = 1;", "groups[0].master: is missing");
}

static void test_host_names(void **state)
{
    (void)state;
    bad_group("name = \"m\"; master = \"redis.example:1\"; quorum = 1;", "\"redis.example\" is a name");
    bad_group(GROUP "known_replicas = [ \"127.0.0.1:1\", \"replica:2\" ];", "\"replica\" is a name");
    bad_group(GROUP "known_sentinels = ( { address = \"peer:2\"; id = \"" ID "\"; } );", "\"peer\" is a name");
    bad("supervisors = [ \"peer:1\" ];", "\"peer\" is a name");
    bad("announce = { host = \"me.example\"; };", "\"me.example\" is a name");
    bad("listen = [ \"localhost:1\" ]; resolve_hostnames = true;", "\"localhost\" is a name: expected an IPv4 or IPv6");
}

static void test_groups(void **state)
{
    (void)state;
    bad_group(GROUP "down_after_ms = 0;", "down_after_ms: expected 1 to 2147483647");
    bad_group(GROUP "down_after_ms = -1;", "down_after_ms: expected 1 to");
    bad_group(GROUP "failover_timeout_ms = 0;", "failover_timeout_ms: expected 1 to");
    bad_group(GROUP "parallel_syncs = 0;", "parallel_syncs: expected 1 to");
    bad_group(GROUP "master_reboot_down_after_ms = -1;", "master_reboot_down_after_ms: expected 0 to");
    bad_group(GROUP "reborn_empty = \"maybe\";", "expected one of \"failover\", \"follow\"");
    bad_group(GROUP "user = \"u\";", "password: is missing: user 'u' cannot log in without one");
    bad_group(GROUP "notification_script = \"/does/not/exist\";",
              "notification_script: /does/not/exist does not exist");
    bad_group(GROUP "client_reconfig_script = \"/etc/passwd\";",
              "client_reconfig_script: /etc/passwd is not executable");
    bad_group(GROUP "client_reconfig_script = \"/tmp\";", "/tmp is not a file");
    bad_group(GROUP "rename_commands = ( { from = \"a\"; } );", "rename_commands[0].to: is missing");
    bad_group(GROUP "rename_commands = ( { from = \"a\"; to = \"\"; } );", "rename_commands[0].to: must not be empty");
    bad_group(GROUP "rename_commands = ( { from = \"a\"; to = \"b\"; }, { from = \"A\"; to = \"c\"; } );",
              "rename_commands[1].from: command 'A' is renamed twice");
    bad_group(GROUP "known_sentinels = ( { address = \"127.0.0.1:2\"; } );", "known_sentinels[0].id: is missing");
    bad_group(GROUP "known_sentinels = ( { id = \"" ID "\"; } );", "known_sentinels[0].address: is missing");
    bad_group(GROUP "known_sentinels = ( { address = \"127.0.0.1:2\"; id = \"12\"; } );", "40 hexadecimal digits");
    bad_group(GROUP "known_sentinels = ( { address = \"127.0.0.1:2\"; id = \"" ID
                    "\"; }, { address = \"127.0.0.1:3\"; id = \"" ID "\"; } );",
              "known_sentinels[1].id: " ID " is listed twice");
    bad_group(GROUP "known_replicas = [ \"127.0.0.1:2\", \"127.0.0.1:2\" ];", "listed twice");
    bad_group(GROUP "lease_ms = 5;", "lease_ms: unknown key");
    bad_group(GROUP "down_after = 5;", "down_after: unknown key (did you mean 'down_after_ms'?)");
}

/* Relative scripts count from state_dir, wherever the daemon was started. */
static void test_relative_script(void **state)
{
    (void)state;
    struct sentineld_config *c = good("state_dir = \"/bin\"; groups = ( { " GROUP
                                      " notification_script = \"true\"; } );");
    assert_string_equal(c->groups[0].settings.notification_script, "true");
    config_free(c);
    bad("state_dir = \"/usr\"; groups = ( { " GROUP " notification_script = \"true\"; } );",
        "/usr/true does not exist");
}

static void test_relative_paths(void **state)
{
    (void)state;
    char *here = getcwd(NULL, 0), expected[1000];
    struct sentineld_config *c = good("state_dir = \"./state\"; log = { file = \"a.log\"; };");
    snprintf(expected, sizeof expected, "%s/state", here);
    assert_string_equal(c->state_dir, expected);
    snprintf(expected, sizeof expected, "%s/a.log", here);
    assert_string_equal(c->log.file, expected);
    config_free(c);
    free(here);
}

static void test_users(void **state)
{
    (void)state;
    bad("users = ( { password = \"x\"; } );", "users[0].name: is missing");
    bad("users = ( { name = \"a b\"; } );", "users[0].name: ");
    bad("users = ( { name = \"a\"; }, { name = \"a\"; } );", "users[1].name: user 'a' is listed twice");
    bad("users = ( { name = \"a\"; access = \"write\"; } );", "expected one of \"all\", \"read\"");
    bad("peer_auth = { user = \"a\"; };", "peer_auth.password: is missing");
}

static void test_top(void **state)
{
    (void)state;
    bad("listen = [];", "listen: expected at least 1");
    bad("listen = [ \"127.0.0.1\" ];", "\"127.0.0.1\" is not an address");
    bad("id = \"123\";", "id: expected a string of 40");
    bad("id = 5;", "id: expected a string of 40");
    bad("current_epoch = -1;", "current_epoch: expected 0 to");
    bad("state_dir = \"\";", "state_dir: must not be empty");
    bad("announce = { port = 70000; };", "announce.port: expected 0 to 65535");
    bad("announce = { host = \"no host\"; };", "announce.host: \"no host\" is not a host");
    bad("log = { level = \"loud\"; };", "log.level: expected one of");
    bad("lisen = [];", "lisen: unknown key (did you mean 'listen'?)");
}

#define SUPERVISED "supervisors = [ \"127.0.0.1:26379\", \"127.0.0.1:1\", \"127.0.0.1:2\" ]; "
#define SEEDS "seeds = [ \"127.0.0.1:7\" ]; "

static void test_clusters(void **state)
{
    (void)state;
    struct sentineld_config *c = good(
        "supervisors = [ \"127.0.0.1:26379\", \"127.0.0.1:1\", \"127.0.0.1:2\" ]; defaults = { down_after_ms = 700; };"
        "clusters = ( { name = \"orders\"; seeds = [ \"127.0.0.1:7\", \"[::1]:8\" ]; user = \"u\"; password = \"p\"; "
        "lease_ms = 0; }, { name = \"o\"; " SEEDS "quorum = 3; reborn_empty = \"follow\"; } );");
    assert_int_equal(c->cluster_count, 2);
    const struct config_cluster *k = &c->clusters[0];
    assert_string_equal(k->name, "orders");
    assert_int_equal(k->seeds.n, 2);
    assert_string_equal(k->seeds.v[1].host, "::1");
    assert_int_equal(k->settings.quorum, 2); /* the majority of the supervisors */
    assert_int_equal(k->settings.down_after_ms, 700);
    assert_int_equal(k->settings.failover_timeout_ms, 60000);
    assert_string_equal(k->settings.auth_user, "u");
    assert_string_equal(k->settings.auth_pass, "p");
    assert_int_equal(k->lease_ms, 0);
    assert_int_equal(c->clusters[1].lease_ms, 350); /* half of down-after */
    assert_int_equal(c->clusters[1].settings.quorum, 3);
    assert_int_equal(c->clusters[1].settings.reborn_empty, SN_REBORN_FOLLOW);
    assert_ptr_equal(config_cluster_of(c, "orders/1a2b3c4d"), k);
    assert_ptr_equal(config_cluster_of(c, "o/1a2b3c4d"), &c->clusters[1]);
    assert_null(config_cluster_of(c, "orders"));
    assert_null(config_cluster_of(c, "order/1a2b3c4d"));
    config_free(c);
}

static void test_bad_clusters(void **state)
{
    (void)state;
    bad("clusters = ( { name = \"o\"; " SEEDS "quorum = 1; lease_ms = 50; } );",
        "s.conf:1: clusters[0].lease_ms: leases need the list of supervisors at the top");
    assert_int_equal(problems.count, 1);
    bad(SUPERVISED "clusters = ( { name = \"o\"; " SEEDS "down_after_ms = 700; lease_ms = 700; } );",
        "s.conf:1: clusters[0].lease_ms: expected less than down_after_ms (700)");
    bad(SUPERVISED "clusters = ( { name = \"o\"; " SEEDS "lease_ms = 2; } );",
        "s.conf:1: clusters[0].lease_ms: a lease of 2 ms is over before it is renewed: expected 20 or more");
    bad(SUPERVISED "clusters = ( { name = \"o\"; " SEEDS "down_after_ms = 10; } );",
        "s.conf:1: clusters[0].down_after_ms: a lease of 5 ms (half of it) is over before it is renewed");
    bad("clusters = ( { name = \"o\"; quorum = 1; } );", "clusters[0].seeds: is missing");
    bad("clusters = ( { name = \"o\"; seeds = []; quorum = 1; } );", "clusters[0].seeds: expected at least 1");
    bad("clusters = ( { " SEEDS "quorum = 1; } );", "clusters[0].name: is missing");
    bad("clusters = ( { name = \"o\"; " SEEDS "} );", "clusters[0].quorum: is missing");
    bad("clusters = ( { name = \"o\"; seeds = [ \"h:7\" ]; quorum = 1; } );", "\"h\" is a name");
    bad("clusters = ( { name = \"o/p\"; " SEEDS "quorum = 1; } );", "clusters[0].name: must not hold a '/'");
    bad("clusters = ( { name = \"o p\"; " SEEDS "quorum = 1; } );", "clusters[0].name: a name must not hold");
    bad("clusters = ( { name = \"o\"; " SEEDS "quorum = 1; user = \"u\"; } );", "clusters[0].password: is missing");
    bad("clusters = ( { name = \"o\"; " SEEDS "quorum = 1; }, { name = \"o\"; " SEEDS "quorum = 1; } );",
        "there are two clusters named 'o'");
    bad("groups = ( { name = \"o\"; master = \"127.0.0.1:7\"; quorum = 1; } ); clusters = ( { name = \"o\"; " SEEDS
        "quorum = 1; } );",
        "there is a group named 'o' already");
    bad("groups = ( { name = \"o/x\"; master = \"127.0.0.1:7\"; quorum = 1; } ); clusters = ( { name = \"o\"; " SEEDS
        "quorum = 1; } );",
        "the group 'o/x' is named like one of its shards");
    bad("supervisors = [ \"127.0.0.1:26379\" ]; clusters = ( { name = \"o\"; " SEEDS "quorum = 2; } );",
        "2 can never be reached by 1 supervisors");
}

static void test_hooks_refused(void **state)
{
    (void)state;
    bad("hooks = ( { on = [ \"+odown\" ]; run = [ \"/bin/true\" ]; timeout_ms = 5; veto = true; } );",
        "hooks[0].veto: only \"pre-failover\" can be vetoed");
    assert_int_equal(problems.count, 1);
    bad("hooks = ( { on = []; } );", "hooks[0].run: is missing");
    bad("hooks = ( { on = [ \"*\" ]; run = [ \"/no/such\" ]; } );", "hooks[0].run: \"/no/such\" does not exist");
    bad("hooks = ( { on = [ \"*\" ]; run = [ \"/bin/true\" ]; on_error = \"abort\"; } );",
        "hooks[0].on_error: is for hooks with veto = true");
    bad("hooks = ( { on = [ \"\" ]; run = [ \"/bin/true\" ]; } );", "hooks[0].on: an empty name matches no event");
}

static void test_all_at_once(void **state)
{
    (void)state;
    bad("listen = [ \"x\" ];\nid = \"y\";\ngroups = ( { name = \"a,b\"; master = \"z\"; down_after_ms = 0; } );\nfoo = "
        "1;",
        "");
    assert_int_equal(problems.count, 7); /* quorum is missing too */
}

static void test_sample(void **state)
{
    (void)state;
    problems = (struct conf_problems){.count = 0};
    struct sentineld_config *c = config_load("etc/sentineld.conf", &problems);
    if (c == NULL) {
        fail_msg("%s", buf_str(&problems.text));
        return;
    }
    assert_int_equal(c->group_count, 1);
    assert_string_equal(c->groups[0].name, "mymaster");
    config_free(c);
    assert_null(config_load("etc/no-such-file.conf", &problems));
    assert_non_null(strstr(buf_str(&problems.text), "etc/no-such-file.conf cannot be opened"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_empty_file, clean),
        cmocka_unit_test_teardown(test_everything, clean),
        cmocka_unit_test_teardown(test_given, clean),
        cmocka_unit_test_teardown(test_order_is_free, clean),
        cmocka_unit_test_teardown(test_quorum, clean),
        cmocka_unit_test_teardown(test_self, clean),
        cmocka_unit_test_teardown(test_names, clean),
        cmocka_unit_test_teardown(test_host_names, clean),
        cmocka_unit_test_teardown(test_groups, clean),
        cmocka_unit_test_teardown(test_relative_script, clean),
        cmocka_unit_test_teardown(test_relative_paths, clean),
        cmocka_unit_test_teardown(test_users, clean),
        cmocka_unit_test_teardown(test_top, clean),
        cmocka_unit_test_teardown(test_clusters, clean),
        cmocka_unit_test_teardown(test_bad_clusters, clean),
        cmocka_unit_test_teardown(test_hooks_refused, clean),
        cmocka_unit_test_teardown(test_all_at_once, clean),
        cmocka_unit_test_teardown(test_sample, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
