/* The gate of cluster mode: an engine with a core behind it that was loaded from a file of two masters. */
#include "noded/cmd/cluster.h"

#include "noded/cmd/pubsub.h"
#include "tests/unit/cmd/cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Slots: x 16287, y 12222, z 8157, a 15495, b 3300, c 7365, n 1891. */
#define HERE_FILE \
    ME " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191 16287 [3300->-" OTHER "] [15495-<-" OTHER "]\n"
#define THERE_FILE OTHER " 10.0.0.2:7001@17001 master - 0 0 2 connected 8192-16286 16288-16382\n"

#define MOVED_Y "-MOVED 12222 10.0.0.2:7001\r\n"
#define ASK_B "-ASK 3300 10.0.0.2:7001\r\n"
#define MOVED_A "-MOVED 15495 10.0.0.2:7001\r\n"
#define TRYAGAIN "-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
#define CROSSSLOT "-CROSSSLOT Keys in request don't hash to the same slot\r\n"
#define UNBOUND "-CLUSTERDOWN Hash slot not served\r\n"

static void one_key_and_many(void **state)
{
    (void)state;
    struct world *w = world_new(HERE_FILE THERE_FILE VARS);
    static const struct row rows[] = {
        {"SET c 1", "+OK\r\n"},
        {"GET c", "$1\r\n1\r\n"},
        {"SET x 2", "+OK\r\n"},
        {"GET y", MOVED_Y},
        {"SET y 1", MOVED_Y},
        {"MGET c x", CROSSSLOT},
        {"MGET c y", CROSSSLOT},
        {"MGET y c", CROSSSLOT},
        {"MGET c {c}2", "*2\r\n$1\r\n1\r\n$-1\r\n"},
        {"MGET y {y}2", MOVED_Y},
        {"OBJECT ENCODING y", MOVED_Y},
        {"SORT y", MOVED_Y},
        {"ZUNION 2 c y", CROSSSLOT},
        {"ZUNION nonsense", "-ERR wrong number of arguments for 'zunion' command\r\n"},
        {"ZUNION a b c", "-ERR value is not an integer or out of range\r\n"}, /* no keys: its own error */
        {"PING", "+PONG\r\n"},
        {"DBSIZE", ":2\r\n"},
        {"SPUBLISH y m", MOVED_Y},
        {"SSUBSCRIBE y", MOVED_Y},
        {"SSUBSCRIBE c x", CROSSSLOT},
        {"SWAPDB 0 1", "-ERR SWAPDB is not allowed in cluster mode\r\n"},
    };
    CHECK(w, rows);
    world_free(w);
}

static void slots_of_nobody(void **state)
{
    (void)state;
    struct world *w = world_new(ME " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191\n" VARS);
    static const struct row rows[] = {
        {"GET c", "$-1\r\n"}, {"GET y", UNBOUND}, {"MGET y c", UNBOUND}, {"MGET c y", CROSSSLOT}, {"MGET y x", UNBOUND},
    };
    CHECK(w, rows);
    world_free(w);
}

static void open_slots(void **state)
{
    (void)state;
    struct world *w = world_new(HERE_FILE THERE_FILE VARS);
    struct nd_session *s = w->f->clients[0].s;
    static const struct row rows[] = {
        {"SET b 1", ASK_B}, /* not here: it is made there */
        {"SELECT 1", "+OK\r\n"},
        {"GET b", ASK_B},
        {"GET a", MOVED_A},
        {"ASKING", "+OK\r\n"},
        {"SET a 1", "+OK\r\n"},
        {"GET a", MOVED_A}, /* ASKING was for one request */
        {"ASKING", "+OK\r\n"},
        {"PING", "+PONG\r\n"},
        {"GET a", MOVED_A},
        {"ASKING", "+OK\r\n"},
        {"ASKING", "+OK\r\n"},
        {"MGET a {a}2", TRYAGAIN},
        {"ASKING", "+OK\r\n"},
        {"MGET a a", "*2\r\n$1\r\n1\r\n$1\r\n1\r\n"},
        {"ASKING", "+OK\r\n"},
        {"MOVE a 2", TRYAGAIN},
        {"ASKING", "+OK\r\n"},
        {"MULTI", "+OK\r\n"},
        {"SET a 2", "+QUEUED\r\n"},
        {"GET a", "+QUEUED\r\n"},
        {"EXEC", "*2\r\n+OK\r\n$1\r\n2\r\n"},
        {"GET a", MOVED_A},
        {"ASKING", "+OK\r\n"},
        {"NOSUCH a", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n"},
        {"GET a", MOVED_A},
    };
    CHECK(w, rows);
    /* Keys of database 2, there only. */
    struct nd_db *two = nd_keyspace_db(&w->f->e->keys, 2);
    nd_db_set_string(two, NULL, slice_of("b"), slice_of("in two"), false, ND_NO_EXPIRE);
    s->db = nd_keyspace_db(&w->f->e->keys, 0);
    static const struct row databases[] = {
        {"GET b", ASK_B},
        {"MULTI", "+OK\r\n"},
        {"SELECT 2", "+QUEUED\r\n"},
        {"GET b", "+QUEUED\r\n"},
        {"EXEC", "*2\r\n+OK\r\n$6\r\nin two\r\n"},
        {"GET b", "$6\r\nin two\r\n"},
        {"MGET b {b}2", TRYAGAIN},
        {"MGET {b}2 {b}3", ASK_B},
        {"MOVE b 3", TRYAGAIN},
        {"COPY b {b}2 DB 3", TRYAGAIN},
        {"COPY b {b}2", TRYAGAIN}, /* the destination is missing */
        {"CLUSTER SLOT-KEYS 3300", "*2\r\n:2\r\n:1\r\n"},
        {"MULTI", "+OK\r\n"},
        {"SELECT 4", "+QUEUED\r\n"},
        {"GET b", ASK_B},
        {"EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"},
        {"GET b", "$6\r\nin two\r\n"},
    };
    CHECK(w, databases);
    world_free(w);
}

static void transactions(void **state)
{
    (void)state;
    struct world *w = world_new(HERE_FILE THERE_FILE VARS);
    static const struct row rows[] = {
        {"MULTI", "+OK\r\n"},
        {"SET c 1", "+QUEUED\r\n"},
        {"SET x 1", "+QUEUED\r\n"},
        {"EXEC", CROSSSLOT}, /* together they are of two slots */
        {"GET c", "$-1\r\n"},
        {"EXEC", "-ERR EXEC without MULTI\r\n"},
        {"MULTI", "+OK\r\n"},
        {"GET y", MOVED_Y},
        {"EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"},
        {"MULTI", "+OK\r\n"},
        {"PING", "+QUEUED\r\n"},
        {"EXEC", "*1\r\n+PONG\r\n"},
        {"MULTI", "+OK\r\n"},
        {"CLUSTER KEYSLOT c", "+QUEUED\r\n"},
        {"CLUSTER FORGET " OTHER, "+QUEUED\r\n"},
        {"EXEC", "*2\r\n:7365\r\n-ERR CLUSTER forget has to wait for the cluster, which isn't possible inside a "
                 "transaction\r\n"},
        {"WATCH y", MOVED_Y},
    };
    CHECK(w, rows);
    world_free(w);
}

static void commands_wait_for_the_core(void **state)
{
    (void)state;
    struct world *w = world_new(HERE_FILE THERE_FILE VARS);
    assert_string_equal(world_ask(w, "CLUSTER BUMPEPOCH"), "+BUMPED 3\r\n");
    assert_string_equal(world_ask(w, "CLUSTER SETSLOT 3300 STABLE"), "+OK\r\n");
    assert_string_equal(run(w->f, "GET b"), "$-1\r\n");
    assert_string_equal(world_ask(w, "CLUSTER ADDSLOTS 16383"), "+OK\r\n");
    assert_string_equal(run(w->f, "CLUSTER ADDSLOTS 16383"), "-ERR Slot 16383 is already busy\r\n");
    assert_string_equal(run(w->f, "SET b 1"), "+OK\r\n");
    assert_string_equal(world_ask(w, "CLUSTER SETSLOT 3300 NODE " OTHER),
                        "-ERR Can't assign hashslot 3300 to a different node while I still hold keys for this hash "
                        "slot.\r\n");
    assert_string_equal(run(w->f, "SELECT 9"), "+OK\r\n");
    assert_string_equal(run(w->f, "SET b 9"), "+OK\r\n");
    assert_string_equal(run(w->f, "SELECT 0"), "+OK\r\n");
    assert_string_equal(run(w->f, "DEL b"), ":1\r\n");
    assert_true(strncmp(world_ask(w, "CLUSTER SETSLOT 3300 NODE " OTHER), "-ERR Can't assign", 17) ==
                0); /* database 9 */
    /* Who goes away while it waits is not answered, and nobody minds. */
    struct client *c = fixture_client(w->f);
    client_run(c, "CLUSTER SAVECONFIG");
    cl_token token = w->token;
    client_close(c);
    world_step(w, (struct cl_event){.kind = CL_EV_COMMAND, .token = token, .command = &w->asked});
    struct client *last = fixture_client(w->f);
    client_run(last, "CLUSTER SAVECONFIG"); /* never answered: the node ends */
    world_free(w);
}

/* Its answer comes as a whole, in the order of its commands; nothing of it is there before. */
static void exec_waits_for_the_core(void **state)
{
    (void)state;
    struct world *w = world_new(HERE_FILE THERE_FILE VARS);
    static const struct row rows[] = {
        {"MULTI", "+OK\r\n"},
        {"SET c 1", "+QUEUED\r\n"},
        {"CLUSTER BUMPEPOCH", "+QUEUED\r\n"},
        {"GET c", "+QUEUED\r\n"},
    };
    CHECK(w, rows);
    assert_string_equal(world_ask(w, "EXEC"), "*3\r\n+OK\r\n+BUMPED 3\r\n$1\r\n1\r\n");
    static const struct row refused[] = {
        {"MULTI", "+OK\r\n"},
        {"CLUSTER DELSLOTS 16383", "+QUEUED\r\n"},
        {"CLUSTER SET-CONFIG-EPOCH 9", "+QUEUED\r\n"},
    };
    CHECK(w, refused);
    /* The first one is refused at once, the other by the core. */
    assert_string_equal(world_ask(w, "EXEC"),
                        "*2\r\n-ERR Slot 16383 is already unassigned\r\n"
                        "-ERR The user can assign a config epoch only when the node does not know any other node.\r\n");
    /* It goes away while it waits. */
    static const struct row gone[] = {
        {"MULTI", "+OK\r\n"},
        {"CLUSTER SAVECONFIG", "+QUEUED\r\n"},
        {"CLUSTER SAVECONFIG", "+QUEUED\r\n"},
        {"EXEC", ""},
    };
    CHECK(w, gone);
    assert_int_equal(w->f->clients[0].ran, ND_BLOCKED);
    world_free(w);
}

static void who_waits_is_sent_on(void **state)
{
    (void)state;
    struct world *w = world_new(HERE_FILE THERE_FILE VARS);
    struct client *blocked = fixture_client(w->f), *stays = fixture_client(w->f), *sub = fixture_client(w->f);
    assert_string_equal(client_run(blocked, "BLPOP c 0"), "");
    assert_string_equal(client_run(stays, "BLPOP x 0"), "");
    assert_string_equal(client_run(sub, "SSUBSCRIBE c"), "*3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1\r\n");
    assert_string_equal(world_ask(w, "CLUSTER SETSLOT 7365 NODE " OTHER), "+OK\r\n");
    assert_string_equal(client_read(blocked), "-MOVED 7365 10.0.0.2:7001\r\n");
    assert_string_equal(client_read(stays), "");
    assert_string_equal(client_read(sub), "*3\r\n$12\r\nsunsubscribe\r\n$1\r\nc\r\n:0\r\n");
    assert_string_equal(client_run(sub, "SPUBLISH c m"), "-MOVED 7365 10.0.0.2:7001\r\n");
    assert_string_equal(run(w->f, "RPUSH x 1"), ":1\r\n");
    assert_string_equal(client_read(stays), "*2\r\n$1\r\nx\r\n$1\r\n1\r\n");
    world_free(w);
}

static void messages_are_spread(void **state)
{
    (void)state;
    struct world *w = world_new(HERE_FILE THERE_FILE VARS);
    assert_string_equal(run(w->f, "PUBLISH y hello"), ":0\r\n");
    assert_int_equal(w->published, 1);
    assert_false(w->shard);
    assert_string_equal(run(w->f, "SPUBLISH c hello"), ":0\r\n");
    assert_int_equal(w->published, 2);
    assert_true(w->shard);
    assert_string_equal(fixture_effects(w->f), ""); /* the bus takes them to replicas */
    world_free(w);
}

static void keys_of_lost_slots(void **state)
{
    (void)state;
    struct world *w = world_new(HERE_FILE THERE_FILE VARS);
    uint8_t lost[CL_SLOT_BYTES] = {0};
    char command[64];
    for (int db = 0; db < 3; db++) {
        snprintf(command, sizeof command, "SELECT %d", db);
        run(w->f, command);
        for (int i = 0; i < 150; i++) {
            snprintf(command, sizeof command, "SET {c}%d x", i);
            assert_string_equal(run(w->f, command), "+OK\r\n");
        }
        assert_string_equal(run(w->f, "SET x kept"), "+OK\r\n");
    }
    assert_int_equal(nd_cluster_slot_keys(w->f->e, 7365), 450);
    fixture_effects(w->f);
    cl_bit_set(lost, 7365);
    nd_cluster_drop_slots(w->f->e, lost);
    assert_int_equal(nd_cluster_slot_keys(w->f->e, 7365), 0);
    assert_int_equal(nd_cluster_slot_keys(w->f->e, 16287), 3);
    assert_true(strstr(fixture_effects(w->f), "2 DEL {c}") != NULL);
    fixture_assert_copied(w->f);
    nd_cluster_key_slots(w->f->e, lost);
    assert_true(cl_bit(lost, 16287) && !cl_bit(lost, 7365));
    w->f->e->keys.mapping_epoch = w->f->copy->keys.mapping_epoch = 3;
    fixture_effects(w->f);
    nd_cluster_empty(w->f->e);
    assert_false(nd_cluster_has_keys(w->f->e));
    assert_non_null(strstr(fixture_effects(w->f), "FLUSHALL\n0 SWAPDB 0 0 EPOCH 0\n"));
    assert_int_equal(w->f->e->keys.mapping_epoch, 0);
    assert_int_equal(w->f->copy->keys.mapping_epoch, 0);
    fixture_assert_copied(w->f);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_and_many),
        cmocka_unit_test(slots_of_nobody),
        cmocka_unit_test(open_slots),
        cmocka_unit_test(transactions),
        cmocka_unit_test(commands_wait_for_the_core),
        cmocka_unit_test(exec_waits_for_the_core),
        cmocka_unit_test(who_waits_is_sent_on),
        cmocka_unit_test(messages_are_spread),
        cmocka_unit_test(keys_of_lost_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
