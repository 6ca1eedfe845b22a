/* The target of migrations: a link's words, what is refused, questions that wait for the disk and for replicas. */
#include "tests/unit/repl/import_world.h"

#include "common/base/heap.h"
#include "noded/cmd/pause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ESTABLISH "CLUSTER SYNCSLOTS ESTABLISH "
#define SYNC "CLUSTER SYNCSLOTS "

/* ---- the whole way ---- */

static void whole_way(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "12222 12222 16000 16383");
    assert_true(cl_bit(t->asked, 12222) && cl_bit(t->asked, 16383) && !cl_bit(t->asked, 12223));
    link_sends(c, "SET x 1");
    link_sends(c, "SELECT 3");
    link_sends(c, "RPUSH y one two");
    link_sends(c, "SET x three PXAT 1800000000000");
    link_sends(c, "PING");
    link_sends(c, SYNC "SNAPSHOT-END");
    assert_int_equal(t->snapshot_keys, 3);
    link_sends(c, "MULTI");
    link_sends(c, "INCR {x}n");
    link_sends(c, "SELECT 4");
    link_sends(c, "SET x four");
    link_sends(c, "EXEC");
    link_sends(c, "MOVE x 5");
    assert_string_equal(fixture_effects(t->f), "16 SET x 1\n"
                                               "19 RPUSH y one two\n"
                                               "19 SET x three PXAT 1800000000000\n"
                                               "{\n19 INCR {x}n\n20 SET x four\n}\n"
                                               "20 MOVE x 5\n");
    /* Nobody sees any of it. */
    assert_string_equal(run(t->f, "DBSIZE"), ":0\r\n");
    assert_string_equal(run(t->f, "CLUSTER COUNTKEYSINSLOT 16287"), ":0\r\n");
    assert_null(strstr(run(t->f, "INFO keyspace"), "keys="));
    assert_string_equal(run(t->f, "SELECT 16"), "-ERR DB index is out of range\r\n");
    assert_string_equal(run(t->f, SYNC "SHOW 0 16383"), "-ERR CLUSTER SYNCSLOTS is for nodes that move slots\r\n");
    target_assert_copied(t);
    assert_string_equal(fixture_effects(t->f), "");
    /* The hand-over. */
    char said[64];
    const char *answer = link_says(c, SYNC "DRAIN");
    assert_int_equal(sscanf(answer, "+DRAINED %63[0-9] 9\r\n", said), 1);
    link_sends(c, SYNC "GRANT 10");
    assert_string_equal(target_news(t), "1 GRANTED 10\n");
    target_shows(t, 12222, 16383);
    assert_string_equal(fixture_effects(t->f), "0 CLUSTER SYNCSLOTS SHOW 12222 16383\n");
    target_stops(t, JOB_1, NULL);
    assert_string_equal(client_read(c), "");
    assert_int_equal(c->s->flags & ND_S_CLOSING, ND_S_CLOSING);
    assert_string_equal(target_news(t), "");
    assert_string_equal(run(t->f, "DBSIZE"), ":1\r\n");
    run(t->f, "SELECT 3");
    assert_string_equal(run(t->f, "DBSIZE"), ":3\r\n");
    run(t->f, "SELECT 5");
    assert_string_equal(run(t->f, "CLUSTER GETKEYSINSLOT 16287 5"), "*1\r\n$1\r\nx\r\n");
    target_assert_copied(t);
    client_close(c);
    assert_string_equal(target_news(t), "");
    target_free(t);
}

static void offsets(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "16287 16287");
    assert_int_equal(nd_imports_deadline(t->r), HEAP_NEVER);
    link_sends(c, "SET x 1"); /* 27 bytes */
    assert_int_equal(nd_imports_deadline(t->r), t->f->e->now_us + 100000);
    target_forward_ms(t, 99);
    assert_string_equal(client_read(c), "");
    target_forward_ms(t, 1);
    assert_string_equal(client_read(c), "+ACK 27\r\n");
    int64_t ms = 0;
    struct cl_id job;
    cl_id_parse(slice_of(JOB_1), &job);
    assert_true(nd_import_ack_ms(t->r, &job, &ms));
    assert_int_equal(ms, t->f->unix_ms);
    target_forward_ms(t, 1000);
    assert_string_equal(client_read(c), "");
    link_sends(c, "SET x 2");
    assert_string_equal(link_says(c, SYNC "FLUSH"), "+FLUSHED 97\r\n"); /* with the question: 43 */
    target_forward_ms(t, 100);
    assert_string_equal(client_read(c), ""); /* it knows */
    cl_id_parse(slice_of(JOB_2), &job);
    assert_false(nd_import_ack_ms(t->r, &job, &ms));
    target_free(t);
}

/* ---- what is refused ---- */

static void refused_establish(void **state)
{
    (void)state;
    struct target *t = target_new();
    link_new(t, '3', "100 200");
    static const struct {
        const char *request, *answer;
    } rows[] = {
        {JOB_1 " " SOURCE " " TARGET " 0 16 SLOTSRANGE 1", "-ERR CLUSTER SYNCSLOTS ESTABLISH <job>"},
        {"111 " SOURCE " " TARGET " 0 16 SLOTSRANGE 1 2", "-ERR the job's name"},
        {"0000000000000000000000000000000000000000 " SOURCE " " TARGET " 0 16 SLOTSRANGE 1 2", "-ERR the job's name"},
        {JOB_1 " " SOURCE "b " TARGET " 0 16 SLOTSRANGE 1 2", "-ERR the source's id"},
        {JOB_1 " " SOURCE " " TARGET "b 0 16 SLOTSRANGE 1 2", "-ERR the target's id"},
        {JOB_1 " " SOURCE " 0000000000000000000000000000000000000000 0 16 SLOTSRANGE 1 2", "-ERR the target's id"},
        {JOB_1 " " SOURCE " 0 16 SLOTSRANGE 1 2 3 4", "-ERR CLUSTER SYNCSLOTS ESTABLISH <job>"},
        /* It came to another node than was meant: that is said first, whatever else may be. */
        {JOB_1 " " SOURCE " " SOURCE " 7 17 SLOTSRANGE 100 200",
         "-ERR ESTABLISH is for node " SOURCE ", and this is node " TARGET "\r\n"},
        {JOB_1 " " SOURCE " " TARGET " -1 16 SLOTSRANGE 1 2", "-ERR the epoch"},
        {JOB_1 " " SOURCE " " TARGET " 0 0 SLOTSRANGE 1 2", "-ERR the number of databases"},
        {JOB_1 " " SOURCE " " TARGET " 0 17 SLOTSRANGE 1 2", "-ERR the source has 17 databases, this node has 16"},
        {JOB_1 " " SOURCE " " TARGET " 7 16 SLOTSRANGE 1 2",
         "-ERR the mapping of databases has epoch 7 at the source and epoch 0 at this node"},
        {JOB_1 " " SOURCE " " TARGET " 0 16 SLOTS 1 2", "-ERR CLUSTER SYNCSLOTS ESTABLISH <job>"},
        {JOB_1 " " SOURCE " " TARGET " 0 16 SLOTSRANGE 2 1", "-ERR invalid range"},
        {JOB_1 " " SOURCE " " TARGET " 0 16 SLOTSRANGE 1 16384", "-ERR invalid range"},
        {JOB_1 " " SOURCE " " TARGET " 0 16 SLOTSRANGE -1 2", "-ERR invalid range"},
        {JOB_1 " " SOURCE " " TARGET " 0 16 SLOTSRANGE 1 2 3", "-ERR ranges of slots"},
        {JOB_1 " " SOURCE " " TARGET " 0 16 SLOTSRANGE 5 9 1 5", "-ERR a slot is named twice"},
        {JOB_1 " " SOURCE " " TARGET " 0 16 SLOTSRANGE 1 2 200 300", "-ERR some of these slots are on their way"},
        {"3333333333333333333333333333333333333333 " SOURCE " " TARGET " 0 16 SLOTSRANGE 1 2",
         "-ERR there is a job of this name"},
    };
    char request[300];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client *c = fixture_client(t->f);
        snprintf(request, sizeof request, ESTABLISH "%s", rows[i].request);
        const char *answer = link_says(c, request);
        if (strncmp(answer, rows[i].answer, strlen(rows[i].answer)) != 0)
            fail_msg("row %zu: %s", i, answer);
        assert_int_equal(c->ran, ND_CLOSE);
    }
    assert_string_equal(target_news(t), "");
    static const char good[] = ESTABLISH JOB_1 " " SOURCE " " TARGET " 0 16 SLOTSRANGE 1 2";
    struct client *c = fixture_client(t->f);
    client_run(c, "MULTI");
    assert_memory_equal(link_says(c, good), "-ERR Command not allowed inside a transaction", 40);
    t->f->e->is_replica = true;
    assert_string_equal(link_says(fixture_client(t->f), good), "-ERR this node is not a master\r\n");
    t->f->e->is_replica = false;
    t->cl->stock_replicas = 1;
    assert_memory_equal(link_says(fixture_client(t->f), good), "-ERR this shard has a node", 26);
    t->cl->stock_replicas = 0;
    /* The core says no, and the client is told; or the client does not wait for it. */
    c = fixture_client(t->f);
    link_says(c, good);
    target_accepts(t, JOB_1, "it is ours");
    assert_string_equal(client_read(c), "-ERR it is ours\r\n");
    assert_int_equal(c->s->flags & (ND_S_CLOSING | ND_S_IMPORT), ND_S_CLOSING);
    assert_string_equal(target_news(t), "1 ASKED 0\n");
    client_close(c);
    c = fixture_client(t->f);
    link_says(c, good);
    client_close(c);
    assert_string_equal(target_news(t), "1 ASKED 0\n1 LOST 0 the link to the source is closed\n");
    target_accepts(t, JOB_1, NULL);
    /* All jobs end before the core has answered. */
    c = fixture_client(t->f);
    link_says(c, good);
    nd_imports_upset(t->r, "FLUSHALL");
    nd_imports_upset(t->r, "again");
    target_accepts(t, JOB_1, NULL);
    assert_string_equal(client_read(c), "-ERR FLUSHALL\r\n");
    assert_string_equal(target_news(t), "1 ASKED 0\n1 LOST 0 FLUSHALL\n3 LOST 0 FLUSHALL\n");
    assert_null(c->s->import);
    target_free(t);
}

/* Each on a link of its own: it ends, and the core is told why. */
static void refused_requests(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"SET y 1", NULL, "names a key of another slot"},
        {"MSET x 1 y 2", NULL, "names a key of another slot"},
        {"MULTI", "SET y 1", "names a key of another slot"},
        {"GET x", NULL, "does not belong on this link"},
        {"FLUSHALL", NULL, "names no keys"},
        {"FLUSHDB", NULL, "names no keys"},
        {"SWAPDB 0 1", NULL, "names no keys"},
        {"MIGRATE 127.0.0.1 1 x 0 1000", NULL, "does not belong on this link"},
        {"CONFIG SET maxmemory 1", NULL, "does not belong on this link"},
        {"NOSUCH x", NULL, "does not belong on this link"},
        {"AUTH x", NULL, "does not belong on this link"},
        {"CLUSTER", NULL, "does not belong on this link"},
        {"DISCARD", NULL, "does not belong on this link"},
        {"SELECT 16", NULL, "has no such database"},
        {"SELECT", NULL, "has no such database"},
        {"SELECT -1", NULL, "has no such database"},
        {"MOVE x 16", NULL, "DB index is out of range"},
        {"SET x", NULL, "wrong number of arguments"},
        {"SET x 1 NONSENSE", NULL, "syntax error"},
        {"RPUSH x 1", "INCR x", "WRONGTYPE"},
        {"EXEC", NULL, "EXEC without MULTI"},
        {"MULTI", "MULTI", "nested"},
        {"MULTI", SYNC "FLUSH", "not allowed inside a transaction"},
        {SYNC "NONSENSE", NULL, "unknown word"},
        {SYNC "SHOW 1 2", NULL, "unknown word"},
        {SYNC "FORGET 1 2", NULL, "unknown word"},
        {ESTABLISH JOB_2 " " SOURCE " " TARGET " 0 16 SLOTSRANGE 1 2", NULL, "unknown word"},
        {SYNC "SNAPSHOT-END", SYNC "SNAPSHOT-END", "comes once"},
        {SYNC "DRAIN", NULL, "behind SNAPSHOT-END"},
        {SYNC "FLUSH 1", NULL, "stand alone"},
        {SYNC "GRANT 10", NULL, "behind an answered DRAIN"},
        {SYNC "GRANT 0", NULL, "names an epoch"},
        {SYNC "GRANT", NULL, "names an epoch"},
        {SYNC "ABORT \"its operator\"", NULL, "the source has given it up: its operator"},
        {"RESTORE x 0 nonsense", NULL, "DUMP payload version or checksum are wrong"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct target *t = target_new();
        struct client *c = link_new(t, '1', "16287 16287");
        if (rows[i][1] != NULL)
            link_sends(c, rows[i][0]);
        const char *said = link_says(c, rows[i][rows[i][1] != NULL]);
        if (strncmp(said, "-ERR ", 5) != 0 || strstr(said, rows[i][2]) == NULL)
            fail_msg("row %zu is answered: %s", i, said);
        assert_int_equal(c->ran, ND_CLOSE);
        const char *news = target_news(t);
        if (strncmp(news, "1 LOST 0 ", 9) != 0 || strstr(news, rows[i][2]) == NULL)
            fail_msg("row %zu, the core learns: %s", i, news);
        /* What may still come is not run. */
        assert_string_equal(link_says(c, "SET x behind"), "");
        assert_int_equal(c->ran, ND_CLOSE);
        assert_int_equal(nd_imports_deadline(t->r), HEAP_NEVER);
        target_assert_copied(t);
        target_free(t);
    }
}

static void errors_within_a_unit(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "16287 16287");
    link_sends(c, "RPUSH {x}list 1");
    link_sends(c, "MULTI");
    link_sends(c, "SET x 1");
    link_sends(c, "INCR {x}list");
    const char *said = link_says(c, "EXEC");
    assert_non_null(strstr(said, "WRONGTYPE"));
    assert_memory_equal(target_news(t), "1 LOST", 6);
    target_assert_copied(t);
    target_free(t);
}

/* What the client was about before it said ESTABLISH: a watched key that has changed would let EXEC do nothing, and say
 * nothing of it. */
static void watched_before(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = fixture_client(t->f);
    assert_string_equal(client_run(c, "WATCH c"), "+OK\r\n");
    assert_string_equal(client_run(c, "WATCH n"), "+OK\r\n");
    run(t->f, "SET c 1");
    link_says(c, ESTABLISH JOB_1 " " SOURCE " " TARGET " 0 16 SLOTSRANGE 16287 16287");
    target_accepts(t, JOB_1, NULL);
    assert_string_equal(client_read(c), "+OK\r\n");
    run(t->f, "SET n 1");
    fixture_effects(t->f);
    link_sends(c, "MULTI");
    link_sends(c, "SET x 1");
    link_sends(c, "EXEC");
    assert_string_equal(fixture_effects(t->f), "16 SET x 1\n");
    target_free(t);
}

static void granted_is_the_last_word(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "16287 16287");
    link_sends(c, SYNC "SNAPSHOT-END");
    assert_string_equal(link_says(c, SYNC "DRAIN"), "+DRAINED 94 9\r\n");
    link_sends(c, "SET x 1"); /* an expiry of the source's may still come */
    link_sends(c, SYNC "GRANT 10");
    assert_string_equal(target_news(t), "1 GRANTED 10\n");
    assert_memory_equal(link_says(c, "SET x 2"), "-ERR ", 5);
    assert_memory_equal(target_news(t), "1 LOST", 6);
    target_free(t);
}

static void drain_is_taken_back(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "16287 16287");
    assert_non_null(strstr(link_says(c, SYNC "RESUME"), "RESUME comes behind DRAIN"));
    target_news(t);
    t->has_log = true;
    c = link_new(t, '1', "16287 16287");
    link_sends(c, SYNC "SNAPSHOT-END");
    link_sends(c, SYNC "FLUSH");
    link_sends(c, SYNC "DRAIN");
    assert_memory_equal(link_says(c, SYNC "RESUME"), "+RESUMED ", 9);
    /* What is asked besides is answered, and DRAIN never is. */
    nd_import_flushed(t->r, NULL);
    nd_import_flushed(t->r, NULL);
    const char *answer = client_read(c);
    assert_memory_equal(answer, "+FLUSHED ", 9);
    assert_null(strstr(answer, "DRAINED"));
    assert_non_null(strstr(link_says(c, SYNC "GRANT 10"), "GRANT comes behind"));
    target_news(t);
    /* An answered one counts no more either. */
    t->has_log = false;
    c = link_new(t, '1', "16287 16287");
    link_sends(c, SYNC "SNAPSHOT-END");
    assert_memory_equal(link_says(c, SYNC "DRAIN"), "+DRAINED ", 9);
    assert_memory_equal(link_says(c, SYNC "RESUME"), "+RESUMED ", 9);
    link_sends(c, "SET x 1");
    assert_memory_equal(link_says(c, SYNC "DRAIN"), "+DRAINED ", 9);
    link_sends(c, SYNC "GRANT 10");
    assert_string_equal(target_news(t), "1 GRANTED 10\n");
    target_free(t);
}

/* ---- questions ---- */

static void disk(void **state)
{
    (void)state;
    struct target *t = target_new();
    t->has_log = true;
    struct client *c = link_new(t, '1', "16287 16287"), *d = link_new(t, '2', "12222 12222");
    link_sends(c, SYNC "FLUSH");
    assert_int_equal(t->flushes, 1);
    /* What comes while the log is flushed waits for the next flush. */
    link_sends(c, "SET x 1");
    link_sends(c, SYNC "FLUSH");
    link_sends(d, SYNC "FLUSH");
    assert_int_equal(t->flushes, 1);
    nd_import_flushed(t->r, NULL);
    assert_string_equal(client_read(c), "+FLUSHED 43\r\n");
    assert_string_equal(client_read(d), "");
    assert_int_equal(t->flushes, 2);
    nd_import_flushed(t->r, NULL);
    assert_string_equal(client_read(c), "+FLUSHED 113\r\n");
    assert_string_equal(client_read(d), "+FLUSHED 43\r\n");
    assert_int_equal(t->flushes, 2);
    /* The log is switched off meanwhile. */
    link_sends(c, SYNC "FLUSH");
    link_sends(c, SYNC "FLUSH");
    t->has_log = false;
    nd_import_flushed(t->r, NULL);
    assert_string_equal(client_read(c), "+FLUSHED 156\r\n+FLUSHED 199\r\n");
    t->has_log = true;
    /* One that goes while it waits. */
    link_sends(d, SYNC "FLUSH");
    client_close(d);
    nd_import_flushed(t->r, NULL);
    assert_string_equal(target_news(t), "2 LOST 0 the link to the source is closed\n");
    /* The disk is full: nobody can be promised anything. */
    link_sends(c, SYNC "FLUSH");
    nd_import_flushed(t->r, "No space left on device");
    assert_string_equal(client_read(c),
                        "-ERR the append-only file of the target can't be written: No space left on device\r\n");
    assert_memory_equal(target_news(t), "1 LOST", 6);
    nd_import_flushed(t->r, NULL);
    target_free(t);
}

static void slow_disk(void **state)
{
    (void)state;
    struct target *t = target_new();
    t->has_log = true;
    struct client *c = link_new(t, '1', "16287 16287");
    link_sends(c, SYNC "SNAPSHOT-END");
    link_sends(c, SYNC "DRAIN");
    target_forward_ms(t, 9999);
    assert_string_equal(target_news(t), "");
    target_forward_ms(t, 1);
    assert_string_equal(target_news(t), "1 LOST 0 the disk of the target is slow\n");
    /* Those that come while one waits are counted. */
    c = link_new(t, '1', "16287 16287");
    for (int i = 0; i < 16; i++)
        link_sends(c, SYNC "FLUSH");
    assert_non_null(strstr(link_says(c, SYNC "FLUSH"), "too many questions"));
    target_free(t);
}

static void replicas(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *a = target_replica(t), *b = target_replica(t);
    struct client *c = link_new(t, '1', "16287 16287");
    link_sends(c, "SET x 1");
    int64_t offset = t->r->offset;
    link_sends(c, SYNC "FLUSH");
    nd_imports_turn_end(t->r);
    nd_serve_turn_end(t->r); /* REPLCONF GETACK goes out */
    assert_true(t->r->offset > offset);
    nd_serve_ack(a->s->replica, offset);
    nd_imports_turn_end(t->r);
    assert_string_equal(client_read(c), "");
    nd_serve_ack(b->s->replica, offset - 1);
    nd_imports_turn_end(t->r);
    assert_string_equal(client_read(c), "");
    nd_serve_ack(b->s->replica, offset);
    nd_imports_turn_end(t->r);
    assert_string_equal(client_read(c), "+FLUSHED 70\r\n");
    /* One that goes is not waited for. */
    link_sends(c, "SET x 2");
    link_sends(c, SYNC "FLUSH");
    nd_serve_ack(a->s->replica, t->r->offset);
    nd_imports_turn_end(t->r);
    assert_string_equal(client_read(c), "");
    client_close(b);
    nd_imports_turn_end(t->r);
    assert_string_equal(client_read(c), "+FLUSHED 140\r\n");
    /* One that is behind: FLUSH has time, DRAIN has not. */
    link_sends(c, "SET x 3");
    link_sends(c, SYNC "SNAPSHOT-END");
    link_sends(c, SYNC "FLUSH");
    target_forward_ms(t, 10000);
    assert_string_equal(target_news(t), "");
    client_read(c);
    link_sends(c, SYNC "DRAIN");
    target_forward_ms(t, 10000);
    assert_string_equal(client_read(c), "-ERR a replica of the target is behind\r\n");
    assert_string_equal(target_news(t), "1 LOST 0 a replica of the target is behind\n");
    target_free(t);
}

/* ---- memory, pauses ---- */

static void out_of_memory(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "16287 16287"), *d = link_new(t, '2', "12222 12222");
    run(t->f, "SET c mine");
    t->f->e->config.maxmemory = 1000;
    t->f->e->config.maxmemory_policy = ND_ALLKEYS_RANDOM;
    t->f->memory_used = 1000;
    link_sends(c, "SET x 1");
    t->f->memory_used = 1001;
    assert_string_equal(link_says(c, "SET x 2"), "-ERR the target is out of memory\r\n");
    assert_int_equal(c->ran, ND_CLOSE);
    assert_string_equal(client_read(d), "-ERR the target is out of memory\r\n");
    assert_string_equal(target_news(t), "2 LOST 0 the target is out of memory\n1 LOST 0 the target is out of memory\n");
    /* Nor are they taken when all is here: FLUSH is answered, DRAIN is not. */
    t->f->memory_used = 1000;
    c = link_new(t, '3', "16287 16287");
    link_sends(c, "SET x 1");
    link_sends(c, SYNC "SNAPSHOT-END");
    t->f->memory_used = 1001;
    assert_memory_equal(link_says(c, SYNC "FLUSH"), "+FLUSHED ", 9);
    assert_string_equal(link_says(c, SYNC "DRAIN"), "-ERR the target is out of memory\r\n");
    assert_int_equal(c->ran, ND_CLOSE);
    assert_string_equal(target_news(t), "3 LOST 0 the target is out of memory\n");
    t->f->e->config.maxmemory = 0;
    assert_string_equal(run(t->f, "GET c"), "$4\r\nmine\r\n"); /* nothing has gone for them */
    assert_int_equal(t->f->e->stats.evicted, 0);
    target_free(t);
}

static void paused(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "16287 16287");
    nd_hold_writes(t->f->e, ND_HOLD_FAILOVER, true);
    uint64_t input = c->s->input;
    link_says(c, "SET x 1");
    assert_int_equal(c->ran, ND_POSTPONED);
    assert_int_equal(c->s->input, input);
    nd_hold_writes(t->f->e, ND_HOLD_FAILOVER, false);
    assert_int_equal(c->resumes, 2); /* once when it was accepted */
    link_sends(c, "SET x 1");
    assert_string_equal(link_says(c, SYNC "FLUSH"), "+FLUSHED 70\r\n");
    /* What this node can't keep safe ends the job. */
    t->f->e->guards = ND_GUARD_SNAPSHOT_FAILED;
    assert_non_null(strstr(link_says(c, "SET x 2"), "MISCONF"));
    assert_memory_equal(target_news(t), "1 LOST", 6);
    target_free(t);
}

static void ends(void **state)
{
    (void)state;
    struct target *t = target_new();
    struct client *c = link_new(t, '1', "16287 16287");
    assert_non_null(strstr(run(t->f, "CLIENT LIST"), "flags=ei db=0"));
    target_stops(t, JOB_1, "it was cancelled");
    assert_string_equal(client_read(c), "-ERR it was cancelled\r\n");
    assert_int_equal(c->s->flags & ND_S_CLOSING, ND_S_CLOSING);
    target_stops(t, JOB_1, "again");
    assert_string_equal(target_news(t), "");
    c = link_new(t, '2', "16287 16287");
    client_close(c);
    assert_string_equal(target_news(t), "2 LOST 0 the link to the source is closed\n");
    /* Open jobs and one that is asked for, when the program ends. */
    link_new(t, '1', "16287 16287");
    link_says(fixture_client(t->f), ESTABLISH JOB_2 " " SOURCE " " TARGET " 0 1 SLOTSRANGE 1 2");
    target_news(t);
    nd_imports_free(t->r);
    assert_string_equal(buf_str(&t->news), "");
    target_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_way),
        cmocka_unit_test(offsets),
        cmocka_unit_test(refused_establish),
        cmocka_unit_test(refused_requests),
        cmocka_unit_test(errors_within_a_unit),
        cmocka_unit_test(watched_before),
        cmocka_unit_test(granted_is_the_last_word),
        cmocka_unit_test(drain_is_taken_back),
        cmocka_unit_test(disk),
        cmocka_unit_test(slow_disk),
        cmocka_unit_test(replicas),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(paused),
        cmocka_unit_test(ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
