/* CLUSTER MIGRATESLOTS and its like, CLUSTER DBMAP, and who waits while slots or databases are held. The core decides
 * as in a node; what its target would say is put into its state. */
#include "noded/cluster/state.h"
#include "noded/cmd/migrate.h"
#include "tests/unit/cmd/cluster_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Slots: x 16287, y 12222, c 7365, n 1891. */
#define FILE_OF_TWO                                                                       \
    ME " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191 16287-16287\n" OTHER \
       " 10.0.0.2:7001@17001 master - 0 0 2 connected 8192-16286 16288-16383\n" VARS
#define C_SLOT 7365
#define MOVED_C "-MOVED 7365 10.0.0.2:7001\r\n"
#define NOT_DURING \
    "-ERR CLUSTER migrateslots has to wait for the cluster, which isn't possible inside a transaction\r\n"

/* ---- arguments ---- */

static void arguments_of_migrateslots(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_TWO);
    static const struct row rows[] = {
        {"CLUSTER MIGRATESLOTS", "-ERR wrong number of arguments for 'cluster|migrateslots' command\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE", "-ERR wrong number of arguments for 'cluster|migrateslots' command\r\n"},
        {"CLUSTER MIGRATESLOTS OTHERS 0 1", "-ERR syntax error\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0", "-ERR No end slot for final slot range\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0 1 2", "-ERR No end slot for final slot range\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 16384 16385", "-ERR Invalid or out of range slot\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 16380 16384", "-ERR Invalid or out of range slot\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE -1 0", "-ERR Invalid or out of range slot\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0 a", "-ERR Invalid or out of range slot\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE a 0", "-ERR No slot ranges specified\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE NODE " OTHER, "-ERR No slot ranges specified\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 1 0 NODE " OTHER,
         "-ERR Start slot number 1 is greater than end slot number 0\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 3 6 NODE " OTHER,
         "-ERR Slot range 3-6 overlaps with previous range 0-5\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 3 6 0 5 NODE " OTHER,
         "-ERR Slot range 0-5 overlaps with previous range 3-6\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0 0", "-ERR syntax error\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0 0 NODE", "-ERR syntax error\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0 0 NODES " OTHER, "-ERR syntax error\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0 0 NODE " OTHER " 1 1", "-ERR syntax error\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0 0 NODE " OTHER " SLOTSRANGE", "-ERR No slot ranges specified\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 1 1 NODE " OTHER " SLOTSRANGE 0 2 NODE " OTHER,
         "-ERR Slot ranges in migrations overlap: slot 1 is in two of them\r\n"},
        {"CLUSTER CANCELSLOTMIGRATIONS ALL",
         "-ERR wrong number of arguments for 'cluster|cancelslotmigrations' command\r\n"},
        {"CLUSTER GETSLOTMIGRATIONS", "*0\r\n"},
        {"MULTI", "+OK\r\n"},
        {"CLUSTER MIGRATESLOTS SLOTSRANGE 0 0 NODE " OTHER, "+QUEUED\r\n"},
        {"EXEC", "*1\r\n" NOT_DURING},
    };
    CHECK(w, rows);
    assert_int_equal(w->token, 0); /* the core was not asked */
    world_free(w);
    struct fixture *alone = fixture_new();
    assert_string_equal(run(alone, "CLUSTER GETSLOTMIGRATIONS"), "-ERR This instance has cluster support disabled\r\n");
    assert_string_equal(run(alone, "CLUSTER DBMAP"), "-ERR This instance has cluster support disabled\r\n");
    fixture_free(alone);
}

static void moves_are_handed_on(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_TWO);
    struct client *c = fixture_client(w->f);
    client_run(c, "cluster migrateslots slotsrange 0 9 20 29 node " OTHER " SLOTSRANGE 10 10 NODE nobody");
    assert_int_equal(c->ran, ND_BLOCKED);
    assert_int_equal(w->asked.verb, CL_MIGRATE_SLOTS);
    assert_int_equal(w->asked.nmoves, 2);
    for (int slot = 0; slot < CL_SLOTS; slot++) {
        assert_int_equal(cl_bit(w->moves[0].slots, slot), slot <= 9 || (slot >= 20 && slot <= 29));
        assert_int_equal(cl_bit(w->moves[1].slots, slot), slot == 10);
    }
    world_free(w);
}

/* ---- GETSLOTMIGRATIONS ---- */

static const char *value_of(const char *answer, const char *field)
{
    static char out[128];
    char header[64];
    snprintf(header, sizeof header, "$%zu\r\n%s\r\n", strlen(field), field);
    const char *at = strstr(answer, header);
    if (at == NULL) {
        fail_msg("%s is not in %s", field, answer);
        return "";
    }
    at += strlen(header);
    if (*at == '$')
        at = strstr(at, "\r\n") + 2;
    size_t n = strcspn(at, "\r");
    assert_true(n < sizeof out);
    memcpy(out, at, n);
    out[n] = '\0';
    return out;
}

static struct cl_id first_job(struct world *w)
{
    struct cl_job_row row;
    size_t it = 0;
    assert_true(cl_next_job(w->core, &it, &row));
    return row.name;
}

static void news(struct world *w, enum cl_job_news what, uint64_t seq)
{
    world_step(w, (struct cl_event){
                      .kind = CL_EV_JOB, .job = first_job(w), .news = what, .seq = seq, .bytes = slice_of("why")});
}

static void jobs_are_shown(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_TWO);
    assert_string_equal(world_ask(w, "CLUSTER MIGRATESLOTS SLOTSRANGE 7 7 0 5 NODE " OTHER), "+OK\r\n");
    w->progress = (struct nd_job_progress){.ack_ms = 1999, .left_bytes = 12, .keys = 3};
    const char *got = run(w->f, "CLUSTER GETSLOTMIGRATIONS");
    assert_memory_equal(got, "*1\r\n*26\r\n$4\r\nname\r\n$40\r\n", 24);
    assert_string_equal(value_of(got, "operation"), "EXPORT");
    assert_string_equal(value_of(got, "slot_ranges"), "0-5 7-7");
    assert_string_equal(value_of(got, "source_node"), ME);
    assert_string_equal(value_of(got, "target_node"), OTHER);
    assert_string_equal(value_of(got, "state"), "connecting");
    assert_string_equal(value_of(got, "message"), "");
    assert_string_equal(value_of(got, "last_ack_time"), ":1");
    assert_string_equal(value_of(got, "remaining_repl_size"), ":12");
    assert_string_equal(value_of(got, "snapshot_keys"), ":3");
    assert_string_equal(value_of(got, "pauses"), ":0");
    char created[32];
    snprintf(created, sizeof created, ":%lld", (long long)(w->now_us / 1000000));
    assert_string_equal(value_of(got, "create_time"), created);
    run(w->f, "HELLO 3");
    assert_memory_equal(run(w->f, "CLUSTER GETSLOTMIGRATIONS"), "*1\r\n%13\r\n", 9);
    assert_string_equal(world_ask(w, "CLUSTER CANCELSLOTMIGRATIONS"), "+OK\r\n");
    w->progress.ack_ms = 0; /* the data side knows nothing of it any more */
    got = run(w->f, "CLUSTER GETSLOTMIGRATIONS");
    assert_string_equal(value_of(got, "state"), "cancelled");
    assert_string_not_equal(value_of(got, "message"), "");
    char updated[32];
    snprintf(updated, sizeof updated, "%s", value_of(got, "last_update_time"));
    assert_string_equal(value_of(got, "last_ack_time"), updated);
    world_free(w);
}

/* ---- slots that are held ---- */

/* A job that has come to its pause: writes to the slot of c wait. */
static struct world *world_paused(void)
{
    struct world *w = world_new(FILE_OF_TWO);
    assert_string_equal(run(w->f, "SET c 1"), "+OK\r\n");
    assert_string_equal(world_ask(w, "CLUSTER MIGRATESLOTS SLOTSRANGE 7365 7365 NODE " OTHER), "+OK\r\n");
    news(w, CL_JOB_IS_SNAPSHOTTING, 0);
    news(w, CL_JOB_IS_STREAMING, 0);
    assert_false(w->cl->holds);
    assert_string_equal(run(w->f, "SET c 2"), "+OK\r\n");
    news(w, CL_JOB_IS_NEAR, 0);
    assert_true(w->cl->holds);
    return w;
}

static void waits(struct client *c, const char *command)
{
    c->resumes = 0;
    assert_string_equal(client_run(c, command), "");
    if (c->ran != ND_POSTPONED)
        fail_msg("%s does not wait", command);
}

static void only_writes_to_held_slots_wait(void **state)
{
    (void)state;
    struct world *w = world_paused();
    struct client *c = fixture_client(w->f), *gone = fixture_client(w->f);
    static const struct row run_on[] = {
        {"GET c", "$1\r\n2\r\n"},
        {"MGET c {c}2", "*2\r\n$1\r\n2\r\n$-1\r\n"},
        {"SET x 1", "+OK\r\n"},
        {"SET y 1", "-MOVED 12222 10.0.0.2:7001\r\n"},
        {"PING", "+PONG\r\n"},
        {"DBSIZE", ":2\r\n"},
        {"PUBLISH c m", ":0\r\n"},
        {"SPUBLISH c m", ":0\r\n"},
        {"WATCH c", "+OK\r\n"},
        {"MULTI", "+OK\r\n"},
        {"SET x 2", "+QUEUED\r\n"},
        {"GET c", "+QUEUED\r\n"},
        {"DISCARD", "+OK\r\n"},
        {"MULTI", "+OK\r\n"},
        {"GET c", "+QUEUED\r\n"},
        {"EXEC", "*1\r\n$1\r\n2\r\n"},
        {"COPY x c", "-CROSSSLOT Keys in request don't hash to the same slot\r\n"},
    };
    CHECK(w, run_on);
    waits(c, "SET c 3");
    waits(c, "DEL c");
    waits(c, "BLPOP {c}list 0");
    waits(c, "PEXPIRE c 1000");
    waits(c, "RESTORE c 0 x");
    waits(c, "MIGRATE 10.0.0.9 1 c 0 100");
    waits(c, "MOVE c 3");
    waits(c, "FLUSHALL");
    waits(c, "FLUSHDB");
    waits(c, "SWAPDB 0 1");
    assert_int_equal(w->f->e->postponed, 1);
    waits(gone, "SET c 4");
    assert_true(strstr(run(w->f, "CLIENT LIST"), "flags=b") != NULL);
    client_close(gone);
    assert_int_equal(w->f->e->postponed, 1);
    /* What CLIENT UNPAUSE lets try again has to wait again. */
    assert_string_equal(run(w->f, "CLIENT UNPAUSE"), "+OK\r\n");
    assert_int_equal(c->resumes, 1);
    waits(c, "SET c 3");
    world_step(w, (struct cl_event){.kind = CL_EV_TIME});
    assert_int_equal(c->resumes, 0);
    /* The job ends without a hand-over. */
    news(w, CL_JOB_IS_LOST, 0);
    assert_false(w->cl->holds);
    assert_int_equal(c->resumes, 1);
    assert_string_equal(client_run(c, "SET c 3"), "+OK\r\n");
    assert_string_equal(client_run(c, "FLUSHALL"), "+OK\r\n");
    assert_int_equal(w->f->e->postponed, 0);
    world_free(w);
}

static void what_flushes_is_told(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_TWO);
    run(w->f, "FLUSHDB");
    run(w->f, "FLUSHALL ASYNC");
    assert_int_equal(w->flushed, 2);
    run(w->f, "FLUSHALL NOW");
    assert_int_equal(w->flushed, 2);
    world_free(w);
}

/* It began before, and what it would delete is not this node's alone any more. */
static void a_migrate_deletes_nothing_that_is_held(void **state)
{
    (void)state;
    static const char *const text = "-TRYAGAIN The target instance has the keys, and they can't be deleted here now: "
                                    "their slot or database is being handed over\r\n";
    struct world *w = world_new(FILE_OF_TWO);
    struct client *c = fixture_client(w->f);
    run(w->f, "SET c 1");
    run(w->f, "SET x 1");
    w->core->supervised = true;
    for (int i = 0; i < 3; i++) {
        client_run(c, i == 2 ? "MIGRATE 10.0.0.9 1 x 0 100" : "MIGRATE 10.0.0.9 1 c 0 100");
        assert_int_equal(c->ran, ND_BLOCKED);
        struct nd_migration *m = w->f->migrating->migration;
        if (i == 0) {
            world_ask(w, "CLUSTER MIGRATESLOTS SLOTSRANGE 7365 7365 NODE " OTHER);
            news(w, CL_JOB_IS_SNAPSHOTTING, 0);
            news(w, CL_JOB_IS_STREAMING, 0);
            news(w, CL_JOB_IS_NEAR, 0);
        } else if (i == 1) {
            assert_string_equal(world_ask(w, "CLUSTER DBMAP PREPARE 0 1 EPOCH 1"), "+YES 1\r\n");
        }
        nd_migrate_answered(m, (struct slice){NULL, 0});
        nd_migrate_ended(m, ND_MIGRATE_DONE);
        assert_string_equal(client_read(c), i < 2 ? text : "+OK\r\n");
        if (i == 0)
            news(w, CL_JOB_IS_LOST, 0);
        else if (i == 1)
            world_ask(w, "CLUSTER DBMAP ABORT EPOCH 1");
    }
    assert_string_equal(run(w->f, "MGET c {c}2"), "*2\r\n$1\r\n1\r\n$-1\r\n");
    assert_string_equal(run(w->f, "GET x"), "$-1\r\n");
    world_free(w);
}

/* Who waits for a key was held up by a MIGRATE of another one; when that ends, the slot is held. */
static void whoever_is_blocked_is_not_served_meanwhile(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_TWO);
    struct client *mover = fixture_client(w->f), *blocked = fixture_client(w->f);
    w->core->supervised = true;
    for (int i = 0; i < 2; i++) {
        run(w->f, "DEL c {c}2");
        run(w->f, "RPUSH {c}2 0");
        client_run(blocked, "BLMOVE c {c}2 LEFT RIGHT 0");
        assert_int_equal(blocked->ran, ND_BLOCKED);
        client_run(mover, "MIGRATE 10.0.0.9 1 {c}2 0 100");
        run(w->f, "RPUSH c 1");
        if (i == 0) {
            world_ask(w, "CLUSTER MIGRATESLOTS SLOTSRANGE 7365 7365 NODE " OTHER);
            news(w, CL_JOB_IS_SNAPSHOTTING, 0);
            news(w, CL_JOB_IS_STREAMING, 0);
            news(w, CL_JOB_IS_NEAR, 0);
        } else {
            assert_string_equal(world_ask(w, "CLUSTER DBMAP PREPARE 0 1 EPOCH 1"), "+YES 1\r\n");
        }
        fixture_effects(w->f);
        nd_migrate_answered(w->f->migrating->migration, (struct slice){NULL, 0});
        nd_migrate_ended(w->f->migrating->migration, ND_MIGRATE_DONE);
        assert_string_equal(client_read(blocked), "");
        assert_string_equal(fixture_effects(w->f), "");
        if (i == 0)
            news(w, CL_JOB_IS_LOST, 0);
        else
            world_ask(w, "CLUSTER DBMAP ABORT EPOCH 1");
        assert_string_equal(client_read(blocked), "$1\r\n1\r\n");
        assert_string_equal(fixture_effects(w->f), "0 LMOVE c {c}2 left right\n");
    }
    fixture_assert_copied(w->f);
    world_free(w);
}

static void transactions_wait_as_a_whole(void **state)
{
    (void)state;
    struct world *w = world_paused();
    struct client *c = fixture_client(w->f), *other = fixture_client(w->f);
    client_run(c, "MULTI");
    assert_string_equal(client_run(c, "GET c"), "+QUEUED\r\n");
    assert_string_equal(client_run(c, "SET c 5"), "+QUEUED\r\n");
    waits(c, "EXEC");
    assert_string_equal(client_run(other, "MULTI"), "+OK\r\n");
    assert_string_equal(client_run(other, "FLUSHDB"), "+QUEUED\r\n");
    waits(other, "EXEC");
    news(w, CL_JOB_IS_LOST, 0);
    assert_string_equal(client_run(c, "EXEC"), "*2\r\n$1\r\n2\r\n+OK\r\n");
    assert_string_equal(client_run(other, "EXEC"), "*1\r\n+OK\r\n");
    world_free(w);
}

/* The slots have another owner: what the target's claim does. */
static void hand_over(struct world *w)
{
    while (w->core->shard.nrecords > 0)
        w->core->shard.nrecords--;
    cl_slot_give(w->core, C_SLOT, cl_node_find_text(w->core, slice_of(OTHER)));
    cl_held_find(w->core);
    nd_cluster_changed(w->cl);
}

static void after_the_hand_over_they_are_sent_on(void **state)
{
    (void)state;
    struct world *w = world_paused();
    struct client *c = fixture_client(w->f), *exec = fixture_client(w->f), *asking = fixture_client(w->f);
    waits(c, "SET c 3");
    client_run(exec, "MULTI");
    client_run(exec, "SET c 4");
    waits(exec, "EXEC");
    client_run(asking, "ASKING");
    waits(asking, "SET c 5");
    assert_true((asking->s->flags & ND_S_ASKING) != 0); /* it is for the request that waits */
    news(w, CL_JOB_IS_DRAINED, 2);
    waits(c, "SET c 3"); /* granted */
    assert_string_equal(client_run(c, "CLUSTER KEYSLOT c"), ":7365\r\n");
    waits(c, "SET c 3");
    hand_over(w);
    assert_int_equal(c->resumes, 1);
    assert_string_equal(client_run(c, "SET c 3"), MOVED_C);
    assert_string_equal(client_run(exec, "EXEC"), MOVED_C);
    assert_string_equal(client_run(exec, "EXEC"), "-ERR EXEC without MULTI\r\n");
    assert_string_equal(client_run(asking, "SET c 5"), MOVED_C);
    assert_string_equal(run(w->f, "GET c"), MOVED_C);
    world_free(w);
}

static void a_target_that_does_not_answer(void **state)
{
    (void)state;
    static const char *const text = "-CLUSTERDOWN Hash slot 7365 is being handed over to " OTHER
                                    ", which does not answer\r\n";
    struct world *w = world_paused();
    struct client *c = fixture_client(w->f), *exec = fixture_client(w->f), *all = fixture_client(w->f);
    news(w, CL_JOB_IS_DRAINED, 2);
    waits(c, "SET c 3");
    client_run(exec, "MULTI");
    client_run(exec, "SET c 4");
    waits(exec, "EXEC");
    waits(all, "FLUSHALL");
    assert_int_equal(w->core->shard.nrecords, 1);
    w->core->shard.records[0].silent = true;
    cl_held_find(w->core);
    nd_cluster_changed(w->cl);
    assert_int_equal(c->resumes, 1);
    assert_string_equal(client_run(c, "SET c 3"), text);
    assert_string_equal(client_run(exec, "EXEC"), text);
    assert_string_equal(client_run(c, "GET c"), "$1\r\n2\r\n");
    waits(all, "FLUSHALL");
    hand_over(w);
    assert_string_equal(client_run(c, "SET c 3"), MOVED_C);
    assert_string_equal(client_run(all, "FLUSHALL"), "+OK\r\n");
    world_free(w);
}

/* At the target the keys are not to be seen until its replicas know of it. */
static void a_slot_that_arrives(void **state)
{
    (void)state;
    struct world *w = world_paused();
    struct client *c = fixture_client(w->f);
    news(w, CL_JOB_IS_DRAINED, 2);
    assert_int_equal(w->core->shard.nrecords, 1);
    w->core->shard.records[0].r.taking = true;
    nd_cluster_changed(w->cl);
    waits(c, "GET c");
    waits(c, "SET c 1");
    waits(c, "WATCH c");
    assert_string_equal(client_run(c, "GET x"), "$-1\r\n");
    assert_string_equal(client_run(c, "SSUBSCRIBE c"), "*3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1\r\n");
    world_free(w);
}

/* ---- databases that are held ---- */

static void mapping_and_its_arguments(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_TWO);
    static const struct row rows[] = {
        {"CLUSTER DBMAP",
         "*14\r\n$5\r\nepoch\r\n:0\r\n$5\r\nstate\r\n$4\r\nnone\r\n$9\r\ndatabases\r\n*0\r\n"
         "$10\r\nswap_epoch\r\n:0\r\n$6\r\nballot\r\n:0\r\n$7\r\nheld_ms\r\n:0\r\n$10\r\nsupervised\r\n:0\r\n"},
        {"CLUSTER DBMAP PREPARE 0 1", "-ERR unknown subcommand or wrong number of arguments for 'DBMAP'. Try CLUSTER "
                                      "HELP.\r\n"},
        {"CLUSTER DBMAP FORGET 0 1 EPOCH 1", "-ERR unknown subcommand or wrong number of arguments for 'DBMAP'. Try "
                                             "CLUSTER HELP.\r\n"},
        {"CLUSTER DBMAP PREPARE a 1 EPOCH 1", "-ERR invalid first DB index\r\n"},
        {"CLUSTER DBMAP PREPARE 0 b EPOCH 1", "-ERR invalid second DB index\r\n"},
        {"CLUSTER DBMAP PREPARE 0 16 EPOCH 1", "-ERR DB index is out of range\r\n"},
        {"CLUSTER DBMAP APPLY -1 1 EPOCH 1", "-ERR DB index is out of range\r\n"},
        {"CLUSTER DBMAP APPLY 1 1 EPOCH 1", "-ERR A database can't be exchanged with itself\r\n"},
        {"CLUSTER DBMAP PREPARE 0 1 AT 1", "-ERR syntax error\r\n"},
        {"CLUSTER DBMAP PREPARE 0 1 EPOCH 0", "-ERR Invalid epoch of the mapping: a number above 0 is expected\r\n"},
        {"CLUSTER DBMAP ABORT EPOCH x", "-ERR Invalid epoch of the mapping: a number above 0 is expected\r\n"},
        {"CLUSTER DBMAP ABORT AT 1", "-ERR syntax error\r\n"},
    };
    CHECK(w, rows);
    assert_int_equal(w->token, 0);
    assert_int_equal(*world_ask(w, "CLUSTER DBMAP PREPARE 0 1 EPOCH 1"), '-'); /* nobody supervises it */
    assert_int_equal(w->asked.verb, CL_DBMAP_PREPARE);
    w->core->supervised = true;
    assert_string_equal(world_ask(w, "CLUSTER DBMAP PREPARE 2 5 EPOCH 1"), "+YES 1\r\n");
    assert_string_equal(
        run(w->f, "CLUSTER DBMAP"),
        "*14\r\n$5\r\nepoch\r\n:0\r\n$5\r\nstate\r\n$8\r\nprepared\r\n$9\r\ndatabases\r\n*2\r\n:2\r\n:5\r\n"
        "$10\r\nswap_epoch\r\n:1\r\n$6\r\nballot\r\n:0\r\n$7\r\nheld_ms\r\n:1\r\n$10\r\nsupervised\r\n:1\r\n");
    assert_string_equal(world_ask(w, "CLUSTER DBMAP ABORT EPOCH 1"), "+OK\r\n");
    assert_string_equal(value_of(run(w->f, "CLUSTER DBMAP"), "state"), "aborted");
    world_free(w);
}

static void requests_of_held_databases_wait(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_TWO);
    struct client *c = fixture_client(w->f), *in = fixture_client(w->f);
    struct nd_session *master = nd_session_new(w->f->e, ND_MASTER, &in->out, NULL);
    w->core->supervised = true;
    client_run(in, "SELECT 5");
    client_run(in, "SET c five");
    assert_string_equal(world_ask(w, "CLUSTER DBMAP PREPARE 2 5 EPOCH 1"), "+YES 1\r\n");
    assert_true(w->cl->holds);
    static const struct row run_on[] = {
        {"SET c 1", "+OK\r\n"},
        {"GET c", "$1\r\n1\r\n"},
        {"DBSIZE", ":1\r\n"},
        {"SELECT 2", "+OK\r\n"},
        {"PING", "+PONG\r\n"},
        {"CLUSTER KEYSLOT c", ":7365\r\n"},
        {"SELECT 0", "+OK\r\n"},
        {"COPY c {c}2 DB 3", ":1\r\n"},
        {"PUBLISH c m", ":0\r\n"},
        {"FLUSHDB", "+OK\r\n"},
        {"GET y", "-MOVED 12222 10.0.0.2:7001\r\n"},
    };
    CHECK(w, run_on);
    waits(in, "GET c");
    waits(in, "SET c 1");
    waits(in, "DBSIZE");
    waits(in, "SCAN 0");
    waits(in, "RANDOMKEY");
    waits(in, "FLUSHDB");
    waits(in, "WATCH c");
    waits(in, "BLPOP c 0");
    waits(in, "MOVE c 0");
    assert_string_equal(client_run(in, "GET y"), "-MOVED 12222 10.0.0.2:7001\r\n"); /* is sent on without waiting */
    waits(c, "MOVE c 5");
    waits(c, "COPY c {c}3 DB 2");
    waits(c, "FLUSHALL");
    assert_string_equal(client_run(c, "MULTI"), "+OK\r\n");
    assert_string_equal(client_run(c, "SELECT 2"), "+QUEUED\r\n");
    assert_string_equal(client_run(c, "GET c"), "+QUEUED\r\n");
    waits(c, "EXEC");
    waits(in, "GET c");
    /* The master's stream goes on: it brings the swap. */
    static const struct slice select[] = {{"SELECT", 6}, {"2", 1}}, set[] = {{"SET", 3}, {"c", 1}, {"2", 1}};
    assert_int_equal(nd_session_run(master, 2, select), ND_RAN);
    assert_int_equal(nd_session_run(master, 3, set), ND_RAN);
    assert_int_equal(nd_db_count(nd_keyspace_db(&w->f->e->keys, 2)), 1);
    assert_string_equal(world_ask(w, "CLUSTER DBMAP ABORT EPOCH 1"), "+OK\r\n");
    assert_false(w->cl->holds);
    assert_int_equal(in->resumes, 1);
    assert_string_equal(client_run(in, "GET c"), "$4\r\nfive\r\n");
    assert_string_equal(client_run(c, "EXEC"), "*2\r\n+OK\r\n$1\r\n2\r\n");
    nd_session_free(master);
    world_free(w);
}

/* A replica has its mapping from its master, and its readers wait as long. */
static void readers_of_a_replica_wait_too(void **state)
{
    (void)state;
    struct world *w = world_new(FILE_OF_TWO);
    struct client *c = fixture_client(w->f);
    w->core->shard.database_a = 0;
    w->core->shard.database_b = 1;
    w->core->shard.swap_epoch = 1;
    w->f->e->is_replica = true;
    nd_cluster_changed(w->cl);
    waits(c, "GET c");
    waits(c, "DBSIZE");
    w->f->e->keys.mapping_epoch = 1; /* by the stream */
    world_step(w, (struct cl_event){.kind = CL_EV_TIME});
    assert_int_equal(c->resumes, 1);
    assert_string_equal(client_run(c, "GET c"), "$-1\r\n");
    assert_string_equal(value_of(run(w->f, "CLUSTER DBMAP"), "state"), "applied");
    w->f->e->is_replica = false;
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_of_migrateslots),
        cmocka_unit_test(moves_are_handed_on),
        cmocka_unit_test(jobs_are_shown),
        cmocka_unit_test(only_writes_to_held_slots_wait),
        cmocka_unit_test(what_flushes_is_told),
        cmocka_unit_test(a_migrate_deletes_nothing_that_is_held),
        cmocka_unit_test(whoever_is_blocked_is_not_served_meanwhile),
        cmocka_unit_test(transactions_wait_as_a_whole),
        cmocka_unit_test(after_the_hand_over_they_are_sent_on),
        cmocka_unit_test(a_target_that_does_not_answer),
        cmocka_unit_test(a_slot_that_arrives),
        cmocka_unit_test(mapping_and_its_arguments),
        cmocka_unit_test(requests_of_held_databases_wait),
        cmocka_unit_test(readers_of_a_replica_wait_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
