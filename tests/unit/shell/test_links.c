/* Links against a server that says what the test tells it to: what is sent, and what becomes of the answers. */
#include "sentineld/shell/links.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "sentineld/shell/daemon.h"
#include "tests/unit/shell/answering_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECONDS_AT_MOST 120
#define ID "0123456789abcdef0123456789abcdef01234567"
#define PEER "fedcba9876543210fedcba9876543210fedcba98"

/* ---- the daemon ---- */

static struct daemon d;
static struct sn_effects connects; /* the core's own: they bring the numbers of the links */

static struct {
    unsigned kinds[64];
    struct sn_event last;
    char text[256];
    struct sn_opinion opinions[4];
    char groups[4][64];
    int64_t keys;
} got;

/* The daemon's door for events, as the links see it. */
void daemon_step(struct daemon *daemon, struct sn_event *e)
{
    assert_ptr_equal(daemon, &d);
    got.kinds[e->kind]++;
    got.last = *e;
    snprintf(got.text, sizeof got.text, "%.*s", (int)e->text.n, e->text.p == NULL ? "" : e->text.p);
    if (e->kind == SN_EV_LINK_UP)
        snprintf(got.text, sizeof got.text, "%s %s", e->ip, e->local_ip);
    for (size_t i = 0; e->kind == SN_EV_OPINIONS && i < e->count && i < 4; i++) {
        got.opinions[i] = e->opinions[i];
        snprintf(got.groups[i], sizeof got.groups[i], "%s", e->opinions[i].group);
    }
    if (e->kind == SN_EV_INFO)
        got.keys = e->info->keys;
}

static void wait_for(enum sn_event_kind kind)
{
    memset(got.kinds, 0, sizeof got.kinds);
    while (got.kinds[kind] == 0)
        io_loop_once(d.loop);
}

/* Makes a core that watches one master, our server, with these settings. */
static void make_core(const struct sn_settings *set)
{
    struct sn_core_options o = {.globals = {.announce_ip = "", .user = "", .pass = "", .loglevel = ""}};
    memcpy(o.id, ID, sizeof o.id);
    sn_params_default(&o.params);
    struct addr peer;
    assert_true(addr_set(&peer, slice_of("127.0.0.1"), io_listener_port(server.listener)));
    o.declared = &peer;
    o.ndeclared = 1;
    d.core = sn_core_new(&o, io_now_us());
    struct sn_core_group g = {.name = "g", .settings = set, .master = peer};
    assert_true(sn_core_add_group(d.core, &g, io_now_us(), &connects));
    struct sn_event tick = {.kind = SN_EV_TICK, .now_us = io_now_us()};
    sn_step(d.core, &tick, &connects);
}

enum which { NODE, NODE_SUB, PEER_LINK };

static struct sn_effect *connect_of(enum which which)
{
    for (size_t i = 0; i < connects.n; i++) {
        struct sn_effect *e = &connects.v[i];
        if (e->kind != SN_FX_CONNECT)
            continue;
        bool peer = sn_conn_of(d.core, e->link)->of == SN_CONN_PEER;
        if (which == (peer ? PEER_LINK : e->subscribe ? NODE_SUB : NODE))
            return e;
    }
    return NULL;
}

static void start(const struct answer *answers, const struct sn_settings *set)
{
    struct sn_settings defaults;
    memset(&got, 0, sizeof got);
    server_start(answers);
    d = (struct daemon){.loop = server.loop};
    sn_settings_init(&defaults);
    make_core(set == NULL ? &defaults : set);
    sn_settings_free(&defaults);
    d.links = links_new(&d);
}

/* Connects and waits until it is up. Returns the link's number. */
static sn_link up(enum which which)
{
    struct sn_effect *e = connect_of(which);
    assert_non_null(e);
    links_connect(d.links, e);
    wait_for(SN_EV_LINK_UP);
    assert_true(got.last.link == e->link);
    return e->link;
}

static void stop(void)
{
    links_free(d.links);
    sn_effects_free(&connects);
    sn_core_free(d.core);
    server_stop();
}

static void say(struct sn_effect e)
{
    e.kind = SN_FX_SEND;
    links_send(d.links, &e);
}

/* ---- the tests ---- */

static void a_link_comes_up_with_both_addresses_and_a_name(void **state)
{
    (void)state;
    start(NULL, NULL);
    sn_link link = up(NODE);
    assert_string_equal(got.text, "127.0.0.1 127.0.0.1");
    say((struct sn_effect){.link = link, .command = SN_CMD_SCRIPT_KILL});
    wait_for(SN_EV_ACK);
    assert_true(got.last.ok);
    assert_int_equal(got.last.command, SN_CMD_SCRIPT_KILL);
    assert_true(asked("CLIENT SETNAME sentinel-01234567-cmd\n"));
    assert_true(asked("SCRIPT KILL\n"));
    stop();
}

static void every_answer_to_ping_has_its_meaning(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        enum sn_pong pong;
    } cases[] = {
        {"+PONG\r\n", SN_PONG_OK},
        {"-LOADING Redis is loading the dataset in memory\r\n", SN_PONG_LOADING},
        {"-MASTERDOWN Link with MASTER is down\r\n", SN_PONG_MASTERDOWN},
        {"-BUSY Redis is busy running a script\r\n", SN_PONG_BUSY},
        {"-NOAUTH Authentication required.\r\n", SN_PONG_AUTH},
        {"-WRONGPASS invalid\r\n", SN_PONG_AUTH},
        {"-NOPERM no\r\n", SN_PONG_AUTH},
        {"-ERR what\r\n", SN_PONG_ERROR},
        {"+PONGO\r\n", SN_PONG_ERROR},
        {"$4\r\nPONG\r\n", SN_PONG_ERROR},
        {":1\r\n", SN_PONG_ERROR},
        {"*0\r\n", SN_PONG_ERROR},
    };
    struct answer answers[] = {{"PING", NULL}, {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(NODE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        answers[0].reply = cases[i].reply;
        say((struct sn_effect){.link = link, .command = SN_CMD_PING});
        wait_for(SN_EV_PONG);
        if (got.last.pong != cases[i].pong)
            fail_msg("%s is %d", cases[i].reply, (int)got.last.pong);
    }
    stop();
}

static void info_is_read_and_kept(void **state)
{
    (void)state;
    static const char text[] =
        "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n# Keyspace\r\ndb0:keys=7,expires=0,avg_ttl=0\r\n";
    char reply[256];
    snprintf(reply, sizeof reply, "$%zu\r\n%s\r\n", strlen(text), text);
    const struct answer answers[] = {{"INFO", reply}, {NULL, NULL}};
    start(answers, NULL);
    const struct sn_node *node = sn_node_find(d.core, "127.0.0.1", io_listener_port(server.listener));
    assert_non_null(node);
    int64_t when_us = 1;
    assert_int_equal(links_info(d.links, node, &when_us).n, 0);
    assert_int_equal(when_us, 0);
    sn_link link = up(NODE);
    say((struct sn_effect){.link = link, .command = SN_CMD_INFO});
    wait_for(SN_EV_INFO);
    assert_int_equal(got.keys, 7);
    struct slice kept = links_info(d.links, node, &when_us);
    assert_true(slice_is(kept, text));
    assert_true(when_us > 0 && when_us <= io_now_us());
    stop();
}

/* An error, or a text that cannot be decided by, is told too: the core must not wait for it. */
static void a_refused_info_is_told(void **state)
{
    (void)state;
    struct answer answers[] = {{"INFO", "-NOPERM no\r\n"}, {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(NODE);
    say((struct sn_effect){.link = link, .command = SN_CMD_INFO});
    wait_for(SN_EV_ACK);
    assert_int_equal(got.last.command, SN_CMD_INFO);
    assert_false(got.last.ok);
    answers[0].reply = "$7\r\nnothing\r\n";
    say((struct sn_effect){.link = link, .command = SN_CMD_INFO});
    wait_for(SN_EV_ACK);
    assert_false(got.last.ok);
    int64_t when_us;
    const struct sn_node *node = sn_node_find(d.core, "127.0.0.1", io_listener_port(server.listener));
    assert_int_equal(links_info(d.links, node, &when_us).n, 0);
    stop();
}

static const struct answer transaction_answers[] = {
    {"MULTI", "+OK\r\n"},
    {"SLAVEOF", "+QUEUED\r\n"},
    {"CONFIG", "+QUEUED\r\n"},
    {"CLIENT KILL", "+QUEUED\r\n"},
    {"EXEC", "*4\r\n+OK\r\n-ERR The server is running without a config file\r\n:0\r\n:0\r\n"},
    {NULL, NULL},
};

static void promotion_is_the_stock_transaction(void **state)
{
    (void)state;
    start(transaction_answers, NULL);
    sn_link link = up(NODE);
    say((struct sn_effect){.link = link, .command = SN_CMD_REPLICAOF});
    wait_for(SN_EV_ACK);
    assert_true(got.last.ok);
    assert_int_equal(got.last.command, SN_CMD_REPLICAOF);
    assert_true(
        asked("MULTI\nSLAVEOF NO ONE\nCONFIG REWRITE\nCLIENT KILL TYPE normal\nCLIENT KILL TYPE pubsub\nEXEC\n"));
    struct sn_effect follow = {.link = link, .command = SN_CMD_REPLICAOF};
    assert_true(addr_set(&follow.addr, slice_of("10.0.0.5"), 6380));
    say(follow);
    wait_for(SN_EV_ACK);
    assert_true(asked("MULTI\nSLAVEOF 10.0.0.5 6380\nCONFIG REWRITE\n"));
    stop();
}

/* A server on which CONFIG was disabled must be promoted all the same. */
static void a_command_that_the_server_lacks_does_not_stop_a_promotion(void **state)
{
    (void)state;
    struct answer answers[] = {
        {"MULTI", "+OK\r\n"},
        {"SLAVEOF", "+QUEUED\r\n"},
        {"CONFIG", "-ERR unknown command 'CONFIG'\r\n"},
        {"CLIENT KILL TYPE pubsub", "+QUEUED\r\n"},
        {"CLIENT KILL TYPE normal", "+QUEUED\r\n"},
        {"EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"},
        {NULL, NULL},
    };
    start(answers, NULL);
    sn_link link = up(NODE);
    say((struct sn_effect){.link = link, .command = SN_CMD_REPLICAOF});
    while (!asked("EXEC\n"))
        io_loop_once(d.loop);
    answers[5].reply = "*3\r\n+OK\r\n:0\r\n:0\r\n";
    wait_for(SN_EV_ACK);
    assert_true(got.last.ok);
    assert_true(asked("EXEC\nMULTI\nSLAVEOF NO ONE\nCLIENT KILL TYPE normal\nCLIENT KILL TYPE pubsub\nEXEC\n"));
    stop();
}

static void a_refused_promotion_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *queued, *exec, *says;
    } cases[] = {
        {"+QUEUED\r\n", "*4\r\n-ERR not now\r\n+OK\r\n:0\r\n:0\r\n", "ERR not now"},
        {"+QUEUED\r\n", "*-1\r\n", ""},
        {"-NOPERM no slaveof\r\n", "-EXECABORT discarded\r\n", "EXECABORT discarded"},
        {"-NOAUTH\r\n", "-NOAUTH Authentication required.\r\n", "NOAUTH Authentication required."},
    };
    struct answer answers[] = {{"SLAVEOF", NULL}, {"EXEC", NULL}, {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(NODE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        answers[0].reply = cases[i].queued;
        answers[1].reply = cases[i].exec;
        say((struct sn_effect){.link = link, .command = SN_CMD_REPLICAOF});
        wait_for(SN_EV_ACK);
        assert_false(got.last.ok);
        assert_string_equal(got.text, cases[i].says);
    }
    stop();
}

static void renamed_commands_are_used(void **state)
{
    (void)state;
    struct sn_settings set;
    char error[128];
    sn_settings_init(&set);
    const char *const renames[][2] = {
        {"SLAVEOF", "s1"}, {"config", "c1"}, {"PING", "p1"}, {"AUTH", "a1"}, {"multi", "m1"}};
    for (size_t i = 0; i < 5; i++) {
        struct slice argv[3] = {slice_of("rename-command"), slice_of(renames[i][0]), slice_of(renames[i][1])};
        assert_int_equal(sn_settings_set(&set, argv, 3, error, sizeof error), 3);
    }
    struct slice pass[2] = {slice_of("auth-pass"), slice_of("secret")};
    assert_int_equal(sn_settings_set(&set, pass, 2, error, sizeof error), 2);
    const struct answer answers[] = {
        {"p1", "+PONG\r\n"}, {"a1", "-WRONGPASS no\r\n"}, {"EXEC", "*1\r\n+OK\r\n"}, {NULL, NULL}};
    start(answers, &set);
    sn_link link = up(NODE);
    wait_for(SN_EV_AUTH_FAILED);
    assert_true(got.last.link == link);
    say((struct sn_effect){.link = link, .command = SN_CMD_PING});
    wait_for(SN_EV_PONG);
    assert_int_equal(got.last.pong, SN_PONG_OK);
    say((struct sn_effect){.link = link, .command = SN_CMD_REPLICAOF});
    wait_for(SN_EV_ACK);
    assert_true(got.last.ok);
    assert_true(asked("a1 secret\n") && asked("m1\ns1 NO ONE\nc1 REWRITE\nCLIENT KILL"));
    assert_false(asked("AUTH"));
    stop();
    sn_settings_free(&set);
}

static void commands_of_a_planned_switch(void **state)
{
    (void)state;
    const struct answer answers[] = {{"FAILOVER TO", "-ERR FAILOVER requires connected replicas.\r\n"}, {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(NODE);
    struct sn_effect e = {.link = link, .command = SN_CMD_FAILOVER, .number = 1500};
    assert_true(addr_set(&e.addr, slice_of("10.0.0.5"), 6380));
    say(e);
    wait_for(SN_EV_ACK);
    assert_false(got.last.ok);
    assert_string_equal(got.text, "ERR FAILOVER requires connected replicas.");
    say((struct sn_effect){.link = link, .command = SN_CMD_FAILOVER_ABORT});
    wait_for(SN_EV_ACK);
    say((struct sn_effect){.link = link, .command = SN_CMD_PAUSE, .number = 700, .flag = true});
    wait_for(SN_EV_ACK);
    say((struct sn_effect){.link = link, .command = SN_CMD_PAUSE, .number = 800});
    wait_for(SN_EV_ACK);
    say((struct sn_effect){.link = link, .command = SN_CMD_UNPAUSE});
    wait_for(SN_EV_ACK);
    assert_int_equal(got.last.command, SN_CMD_UNPAUSE);
    assert_true(
        asked("FAILOVER TO 10.0.0.5 6380 TIMEOUT 1500\nFAILOVER ABORT\nCLIENT PAUSE 700 WRITE\nCLIENT PAUSE 800\n"
              "CLIENT UNPAUSE\n"));
    stop();
}

static void commands_of_a_cluster(void **state)
{
    (void)state;
    const struct answer answers[] = {
        {"CLUSTER NODES", "$5\r\nab\r\nc\r\n"}, {"CLUSTER REPLICATE", "-ERR Unknown node " PEER "\r\n"}, {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(NODE);
    say((struct sn_effect){.link = link, .command = SN_CMD_NODES});
    wait_for(SN_EV_NODES);
    assert_true(got.last.link == link);
    assert_string_equal(got.text, "ab\r\nc");
    say((struct sn_effect){.link = link, .command = SN_CMD_REPLICATE, .text = (char *)(uintptr_t)PEER});
    wait_for(SN_EV_ACK);
    assert_false(got.last.ok);
    assert_string_equal(got.text, "ERR Unknown node " PEER);
    static const enum sn_command plain[] = {SN_CMD_TAKEOVER, SN_CMD_CLUSTER_FAILOVER, SN_CMD_BUMP_EPOCH,
                                            SN_CMD_NO_FAILOVER};
    for (size_t i = 0; i < 4; i++) {
        say((struct sn_effect){.link = link, .command = plain[i], .flag = true});
        wait_for(SN_EV_ACK);
        assert_true(got.last.ok && got.last.command == plain[i]);
    }
    say((struct sn_effect){.link = link, .command = SN_CMD_NO_FAILOVER});
    wait_for(SN_EV_ACK);
    say((struct sn_effect){.link = link, .command = SN_CMD_ACCEPT, .text = (char *)(uintptr_t)PEER});
    wait_for(SN_EV_ACK);
    assert_int_equal(got.last.command, SN_CMD_ACCEPT);
    assert_true(asked("CLUSTER NODES\nCLUSTER REPLICATE " PEER "\nCLUSTER FAILOVER TAKEOVER\nCLUSTER FAILOVER\n"
                      "CLUSTER BUMPEPOCH\nCONFIG SET cluster-replica-no-failover yes\n"
                      "CONFIG SET cluster-replica-no-failover no\nSLAVEOF ACCEPT " PEER "\n"));
    stop();
}

/* A node that is in no cluster, or lets us not ask. */
static void refused_nodes_are_no_text(void **state)
{
    (void)state;
    struct answer answers[] = {{"CLUSTER NODES", "-ERR This instance has cluster support disabled\r\n"}, {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(NODE);
    static const char *const odd[] = {NULL, ":5\r\n", "*0\r\n", "$-1\r\n"};
    for (size_t i = 0; i < 4; i++) {
        answers[0].reply = odd[i] != NULL ? odd[i] : answers[0].reply;
        say((struct sn_effect){.link = link, .command = SN_CMD_NODES});
        wait_for(SN_EV_ACK);
        assert_false(got.last.ok);
        assert_int_equal(got.last.command, SN_CMD_NODES);
    }
    stop();
}

static void hellos_come_from_the_subscription(void **state)
{
    (void)state;
    start(NULL, NULL);
    /* The core wants a subscription when the node's first link is up. */
    struct sn_event e = {
        .kind = SN_EV_LINK_UP, .link = up(NODE), .now_us = io_now_us(), .ip = "127.0.0.1", .local_ip = "127.0.0.1"};
    sn_step(d.core, &e, &connects);
    sn_link link = up(NODE_SUB);
    while (!asked("SUBSCRIBE __sentinel__:hello\n"))
        io_loop_once(d.loop);
    assert_true(asked("CLIENT SETNAME sentinel-01234567-pubsub\n"));
    buf_puts(io_stream_out(server.streams[1]), "*3\r\n$7\r\nmessage\r\n$18\r\n__sentinel__:hello\r\n$5\r\na,b,c\r\n");
    wait_for(SN_EV_HELLO);
    assert_true(got.last.link == link);
    assert_string_equal(got.text, "a,b,c");
    stop();
}

static void publishing_a_hello(void **state)
{
    (void)state;
    const struct answer answers[] = {{"PUBLISH", ":1\r\n"}, {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(NODE);
    say((struct sn_effect){.link = link, .command = SN_CMD_HELLO, .text = (char *)(uintptr_t) "1.2.3.4,1,x"});
    wait_for(SN_EV_ACK);
    assert_true(got.last.ok);
    assert_true(asked("PUBLISH __sentinel__:hello 1.2.3.4,1,x\n"));
    stop();
}

static void a_peer_is_asked_what_it_is(void **state)
{
    (void)state;
    struct answer answers[] = {{"SENTINEL BALLOT", "*3\r\n$40\r\n" PEER "\r\n:12\r\n*0\r\n"}, {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(PEER_LINK);
    struct sn_effect e = {.link = link, .command = SN_CMD_PROBE, .text = (char *)(uintptr_t)ID, .epoch = 7};
    say(e);
    wait_for(SN_EV_PROBED);
    assert_true(got.last.ok);
    assert_string_equal(got.text, PEER);
    assert_int_equal(got.last.epoch, 12);
    assert_true(asked("SENTINEL BALLOT " ID " 7\n"));
    answers[0].reply = "-ERR Unknown sentinel subcommand 'BALLOT'\r\n";
    say(e);
    wait_for(SN_EV_PROBED);
    assert_false(got.last.ok);
    stop();
}

static struct sn_ballot ballot(const char *name, int port)
{
    struct sn_ballot b = {.verb = SN_BALLOT_DOWN, .down = true, .group = name};
    assert_true(addr_set(&b.master, slice_of("10.0.0.1"), port));
    return b;
}

static void opinions_know_whom_they_are_about(void **state)
{
    (void)state;
    struct answer answers[] = {{"SENTINEL BALLOT", "*3\r\n$40\r\n" PEER "\r\n:12\r\n*2\r\n*3\r\n:1\r\n$40\r\n" PEER
                                                   "\r\n:9\r\n*3\r\n:0\r\n$1\r\n*\r\n:0\r\n"},
                               {"SENTINEL IS-MASTER-DOWN-BY-ADDR", "*3\r\n:1\r\n$1\r\n*\r\n:0\r\n"},
                               {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(PEER_LINK);
    struct sn_ballot ballots[2] = {ballot("a", 1001), ballot("b", 1002)};
    ballots[1].verb = SN_BALLOT_VOTE;
    ballots[1].epoch = 8;
    struct sn_effect e = {.link = link,
                          .command = SN_CMD_BALLOT,
                          .text = (char *)(uintptr_t)ID,
                          .epoch = 7,
                          .ballots = ballots,
                          .count = 2};
    say(e);
    ballots[0].group = "changed meanwhile"; /* the effect is gone before the answer comes */
    wait_for(SN_EV_OPINIONS);
    assert_int_equal(got.last.count, 2);
    assert_string_equal(got.groups[0], "a");
    assert_int_equal(got.opinions[0].master.port, 1001);
    assert_true(got.opinions[0].down);
    assert_string_equal(got.opinions[0].leader, PEER);
    assert_int_equal(got.opinions[0].leader_epoch, 9);
    assert_string_equal(got.groups[1], "b");
    assert_false(got.opinions[1].down);
    /* A refusal is known by the epoch that was asked for; a question whether it is down can't be refused. */
    assert_int_equal(got.opinions[0].asked_epoch, 0);
    assert_int_equal(got.opinions[1].asked_epoch, 8);

    ballots[0].group = "a";
    e.command = SN_CMD_ASK;
    e.count = 1;
    say(e);
    wait_for(SN_EV_OPINIONS);
    assert_int_equal(got.last.count, 1);
    assert_string_equal(got.groups[0], "a");
    assert_true(asked("SENTINEL IS-MASTER-DOWN-BY-ADDR 10.0.0.1 1001 7 *\n"));

    /* Fewer opinions than questions, or an error: none at all. */
    e.command = SN_CMD_BALLOT;
    answers[0].reply = "*3\r\n$40\r\n" PEER "\r\n:12\r\n*1\r\n*3\r\n:1\r\n$1\r\n*\r\n:0\r\n";
    e.count = 2;
    say(e);
    wait_for(SN_EV_OPINIONS);
    assert_int_equal(got.last.count, 0);
    answers[0].reply = "-ERR no\r\n";
    say(e);
    wait_for(SN_EV_OPINIONS);
    assert_int_equal(got.last.count, 0);
    stop();
}

static void a_closed_link_is_told_once_with_its_commands(void **state)
{
    (void)state;
    const struct answer answers[] = {{"PING", ""}, {NULL, NULL}};
    start(answers, NULL);
    sn_link link = up(NODE);
    for (int i = 0; i < 3; i++)
        say((struct sn_effect){.link = link, .command = SN_CMD_PING});
    while (!asked("PING\nPING\nPING\n"))
        io_loop_once(d.loop);
    io_stream_free(server.streams[0]);
    server.streams[0] = NULL;
    wait_for(SN_EV_LINK_DOWN);
    assert_int_equal(got.last.why, SN_WHY_CLOSED);
    assert_true(got.last.link == link);
    assert_int_equal(got.kinds[SN_EV_PONG], 0);
    say((struct sn_effect){.link = link, .command = SN_CMD_PING}); /* nobody there: dropped */
    stop();
}

static void nobody_listens(void **state)
{
    (void)state;
    start(NULL, NULL);
    io_listener_close(server.listener);
    server.listener = NULL;
    links_connect(d.links, connect_of(NODE));
    wait_for(SN_EV_LINK_DOWN);
    assert_int_equal(got.last.why, SN_WHY_REFUSED);
    stop();
}

static void a_disconnected_link_says_no_more(void **state)
{
    (void)state;
    start(NULL, NULL);
    sn_link link = up(NODE);
    say((struct sn_effect){.link = link, .command = SN_CMD_SCRIPT_KILL});
    struct sn_effect e = {.kind = SN_FX_DISCONNECT, .link = link};
    links_disconnect(d.links, &e);
    links_disconnect(d.links, &e); /* unknown by now: no harm */
    memset(got.kinds, 0, sizeof got.kinds);
    while (server.n == 0 || server.streams[0] != NULL)
        io_loop_once(d.loop);
    assert_int_equal(got.kinds[SN_EV_LINK_DOWN] + got.kinds[SN_EV_ACK], 0);
    stop();
}

int main(void)
{
    alarm(SECONDS_AT_MOST);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_comes_up_with_both_addresses_and_a_name),
        cmocka_unit_test(every_answer_to_ping_has_its_meaning),
        cmocka_unit_test(info_is_read_and_kept),
        cmocka_unit_test(a_refused_info_is_told),
        cmocka_unit_test(promotion_is_the_stock_transaction),
        cmocka_unit_test(a_command_that_the_server_lacks_does_not_stop_a_promotion),
        cmocka_unit_test(a_refused_promotion_is_told),
        cmocka_unit_test(renamed_commands_are_used),
        cmocka_unit_test(commands_of_a_planned_switch),
        cmocka_unit_test(commands_of_a_cluster),
        cmocka_unit_test(refused_nodes_are_no_text),
        cmocka_unit_test(hellos_come_from_the_subscription),
        cmocka_unit_test(publishing_a_hello),
        cmocka_unit_test(a_peer_is_asked_what_it_is),
        cmocka_unit_test(opinions_know_whom_they_are_about),
        cmocka_unit_test(a_closed_link_is_told_once_with_its_commands),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_disconnected_link_says_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
