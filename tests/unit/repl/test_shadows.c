/* Shadow databases and the epoch of the mapping go through RDB files, append-only files and streams, also to a node
 * that is set up for another number of databases. */
#include "noded/repl/aof_base.h"
#include "noded/repl/aof_read.h"
#include "noded/repl/aof_state.h"
#include "noded/repl/load.h"
#include "noded/repl/persist.h"
#include "noded/repl/rdb_write.h"
#include "noded/repl/stream.h"
#include "noded/store/string.h"
#include "noded/cmd/database.h"
#include "noded/cmd/run.h"

#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fixture *node(int databases, bool cluster)
{
    struct nd_config config;
    nd_config_init(&config);
    config.cluster_enabled = cluster;
    config.cluster_databases = config.databases = databases;
    struct fixture *f = fixture_new_with(&config);
    nd_config_free(&config);
    return f;
}

static size_t split(char *text, struct slice *argv)
{
    size_t argc = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        argv[argc++] = (struct slice){text, n};
        text += n + (text[n] == ' ');
    }
    return argc;
}

/* A request as a master's stream or the log has it. */
static void say(struct nd_session *s, const char *text)
{
    char words[128];
    struct slice argv[8];
    snprintf(words, sizeof words, "%s", text);
    assert_int_equal(nd_session_run(s, split(words, argv), argv), ND_RAN);
}

static const struct nd_entry *find(struct fixture *f, int db, const char *key)
{
    struct nd_db *in = nd_keyspace_peek(&f->e->keys, db);
    return in != NULL ? nd_db_find(in, slice_of(key)) : NULL;
}

static size_t count(struct fixture *f)
{
    size_t n = 0;
    for (int i = 0; i < nd_keyspace_all(&f->e->keys); i++) {
        const struct nd_db *db = nd_keyspace_peek(&f->e->keys, i);
        n += db != NULL ? nd_db_count(db) : 0;
    }
    return n;
}

/* Keys of every type, some with an expiry that is over, in two databases and two shadows of a node of 16. */
static struct fixture *filled(void)
{
    struct fixture *f = node(16, true);
    struct buf nowhere = {0};
    struct nd_session *s = nd_session_new(f->e, ND_MASTER, &nowhere, NULL);
    f->e->keys.mapping_epoch = 41;
    say(s, "SET seen 1");
    say(s, "SELECT 3");
    say(s, "RPUSH list a b c");
    say(s, "SELECT 16");
    say(s, "SET first 0");
    say(s, "SELECT 19");
    say(s, "SET k v");
    say(s, "HSET h f v");
    say(s, "SET over v PXAT 1000");
    assert_true(nd_swapdb_epoch(f->e, 5, 6, 42));
    nd_session_free(s);
    buf_free(&nowhere);
    return f;
}

static void assert_there(struct fixture *f, int databases)
{
    assert_int_equal(count(f), 6);
    assert_non_null(find(f, 0, "seen"));
    assert_non_null(find(f, 3, "list"));
    assert_non_null(find(f, databases, "first"));
    assert_non_null(find(f, databases + 3, "k"));
    assert_non_null(find(f, databases + 3, "h"));
    assert_int_equal(nd_entry_expire(find(f, databases + 3, "over")), 1000);
    assert_int_equal(f->e->keys.mapping_epoch, 42);
}

static bool put(void *owner, const char *p, size_t n)
{
    buf_put(owner, p, n);
    return true;
}

static void write_base(struct fixture *f, bool as_requests, struct buf *out)
{
    struct nd_rdb_sink sink = {.owner = out, .put = put};
    struct nd_rdb_facts facts;
    size_t keys;
    nd_rdb_facts_now(f->e, &facts);
    facts.repl_id = "0123456789012345678901234567890123456789";
    facts.repl_offset = 7;
    facts.repl_stream_db = 19;
    assert_true(as_requests ? nd_aof_base_write(&f->e->keys, 0, &sink, &keys)
                            : nd_rdb_write(&f->e->keys, &facts, &sink, &keys));
    assert_int_equal(keys, count(f));
}

/* ---- RDB ---- */

static enum nd_rdb_status load(struct fixture *f, struct slice file, struct nd_load *l, char error[256])
{
    nd_load_init(l, f->e, NULL);
    l->drop_expired = false;
    struct nd_rdb_reader *r = nd_load_reader(l);
    enum nd_rdb_status s = nd_rdb_feed(r, &file, 0);
    if (s == ND_RDB_DONE)
        nd_load_end(l);
    snprintf(error, 256, "%s", nd_rdb_error(r));
    nd_rdb_reader_free(r);
    return s;
}

static void a_file_has_the_shadows(void **state)
{
    (void)state;
    static const int sizes[] = {16, 4, 40};
    struct fixture *from = filled();
    struct buf file = {0};
    struct nd_load l;
    char error[256];
    write_base(from, false, &file);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fixture *to = node(sizes[i], true);
        assert_int_equal(load(to, buf_slice(&file), &l, error), ND_RDB_DONE);
        assert_there(to, sizes[i]);
        assert_int_equal(l.repl_stream_db, sizes[i] + 3);
        assert_true(nd_load_has_place(&l));
        fixture_free(to);
    }
    /* Too few, or none at all. */
    struct fixture *to = node(3, true), *alone = node(32, false);
    assert_int_equal(load(to, buf_slice(&file), &l, error), ND_RDB_BAD);
    assert_non_null(strstr(error, "database 3, but there are only 3 (setting databases)"));
    assert_int_equal(load(alone, buf_slice(&file), &l, error), ND_RDB_BAD);
    assert_non_null(strstr(error, "database 16, but there are only 32 (setting databases)"));
    fixture_free(to);
    fixture_free(alone);
    fixture_free(from);
    buf_free(&file);
}

/* What no cluster node wrote has none, whatever its numbers are. */
static void a_file_without_shadows(void **state)
{
    (void)state;
    struct fixture *from = node(32, false), *to = node(16, true);
    struct buf file = {0};
    struct nd_load l;
    char error[256];
    run(from, "SELECT 15");
    run(from, "SET a 1");
    write_base(from, false, &file);
    to->e->keys.mapping_epoch = 9;
    assert_int_equal(load(to, buf_slice(&file), &l, error), ND_RDB_DONE);
    assert_non_null(find(to, 15, "a"));
    assert_int_equal(to->e->keys.mapping_epoch, 0);
    run(from, "SELECT 16");
    run(from, "SET a 1");
    buf_clear(&file);
    write_base(from, false, &file);
    nd_db_clear(nd_keyspace_db(&to->e->keys, 15));
    assert_int_equal(load(to, buf_slice(&file), &l, error), ND_RDB_BAD);
    assert_non_null(strstr(error, "database 16, but there are only 16"));
    fixture_free(from);
    fixture_free(to);
    buf_free(&file);
}

/* ---- append-only files ---- */

static bool read_part(struct nd_aof_reader *r, struct slice part, char error[256])
{
    nd_aof_reader_begin(r, part.n);
    enum nd_aof_read st;
    do {
        st = nd_aof_read_some(r, &part, 50);
    } while (st == ND_AOF_BUSY);
    bool ok = st != ND_AOF_BAD && nd_aof_reader_end(r, part) == ND_AOF_END_WHOLE;
    snprintf(error, 256, "%s", nd_aof_error(r));
    return ok;
}

static void append(struct buf *out, const char *text)
{
    char words[128];
    struct slice argv[8];
    snprintf(words, sizeof words, "%s", text);
    nd_stream_request(out, split(words, argv), argv);
}

static void append_all(struct buf *out, const char *const *texts)
{
    buf_clear(out);
    for (; *texts != NULL; texts++)
        append(out, *texts);
}

static void both_bases_and_what_follows(void **state)
{
    (void)state;
    static const int sizes[] = {16, 7, 40};
    static const char *const more[] = {"SELECT 19",           "APPEND k 2", "MULTI", "SELECT 1", "SET b 1",
                                       "SELECT 18",           "SET c 1",    "EXEC",  "SET d 1",  "SWAPDB 2 3 EPOCH 42",
                                       "SWAPDB 2 3 EPOCH 43", NULL};
    struct fixture *from = filled();
    struct buf file = {0};
    char error[256];
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        int n = sizes[i / 2];
        struct fixture *to = node(n, true);
        struct nd_aof_reader *r = nd_aof_reader_new(to->e);
        to->e->loading = true;
        buf_clear(&file);
        write_base(from, i % 2 == 0, &file);
        if (!read_part(r, buf_slice(&file), error))
            fail_msg("%s", error);
        assert_there(to, n);
        append_all(&file, more);
        if (!read_part(r, buf_slice(&file), error))
            fail_msg("%s", error);
        assert_int_equal(to->e->keys.mapping_epoch, 43);
        assert_non_null(find(to, 1, "b"));
        /* The databases were exchanged once, with their shadows. */
        assert_non_null(find(to, n + 2, "k"));
        assert_int_equal(nd_string_length(&find(to, n + 2, "k")->v), 2);
        assert_non_null(find(to, n + 3, "c"));
        assert_non_null(find(to, n + 3, "d"));
        assert_non_null(find(to, 2, "list"));
        nd_aof_reader_free(r);
        fixture_free(to);
    }
    fixture_free(from);
    buf_free(&file);
}

static void what_a_log_cannot_have(void **state)
{
    (void)state;
    static const struct {
        const char *texts[3], *error;
    } rows[] = {
        {{"SELECT 32"}, "a database that is not there (setting databases): '32'"},
        {{"SELECT -1"}, "a database that is not there"},
        {{"SWAPDB 0 1 EPOCH 1", "SWAPDB 0 1 EPOCH 3"}, "an exchange of databases whose EPOCH is not the next: '3'"},
    };
    struct buf file = {0};
    char error[256];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture *f = node(16, true);
        struct nd_aof_reader *r = nd_aof_reader_new(f->e);
        append_all(&file, rows[i].texts);
        assert_false(read_part(r, buf_slice(&file), error));
        assert_non_null(strstr(error, rows[i].error));
        nd_aof_reader_free(r);
        fixture_free(f);
    }
    buf_free(&file);
}

/* Each run of the program says once what its numbers mean, before the first of them. */
static void a_log_says_what_its_numbers_mean(void **state)
{
    (void)state;
    struct fixture *f = node(5, true);
    struct slice words[] = {slice_of("SET"), slice_of("k"), slice_of("v")}, message[] = {slice_of("PING")};
    struct nd_effect_row row = {.db = 7, .argc = 3, .argv = words};
    struct nd_effect_row said = {.db = -1, .argc = 1, .argv = message};
    struct nd_aof_host host = {.owner = f};
    struct nd_aof_state *s = nd_aof_new(f->e, &host);
    char error[256];
    nd_aof_begin(s, 0, 0);
    nd_aof_feed(s, &said, 1);
    assert_int_equal(s->pending.n, 0);
    nd_aof_feed(s, &row, 1);
    assert_memory_equal(s->pending.p, "#cluster-databases:5\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n", 45);
    size_t before = s->pending.n;
    nd_aof_feed(s, &row, 1);
    assert_int_equal(s->pending.n - before, before - 45);
    struct fixture *to = node(16, true);
    struct nd_aof_reader *r = nd_aof_reader_new(to->e);
    assert_true(read_part(r, buf_slice(&s->pending), error));
    assert_non_null(find(to, 18, "k"));
    nd_aof_reader_free(r);
    fixture_free(to);
    nd_aof_free(s);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_the_shadows),           cmocka_unit_test(a_file_without_shadows),
        cmocka_unit_test(both_bases_and_what_follows),      cmocka_unit_test(what_a_log_cannot_have),
        cmocka_unit_test(a_log_says_what_its_numbers_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
