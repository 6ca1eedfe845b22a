#include "tests/unit/cmd/engine_fixture.h"

#include "common/base/mem.h"
#include "common/resp/inline.h"
#include "noded/cmd/block.h"
#include "noded/cmd/call.h"
#include "noded/store/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 256

/* ---- the host ---- */

static int64_t host_clock_us(void *owner)
{
    return ((struct fixture *)owner)->mono_us;
}

static struct client *client_of(const struct nd_session *s)
{
    assert_non_null(s->shell);
    return s->shell;
}

static void host_wake(void *owner, struct nd_session *s)
{
    (void)owner;
    client_of(s)->wakes++;
}

static void host_resume(void *owner, struct nd_session *s)
{
    (void)owner;
    client_of(s)->resumes++;
}

static void host_kill(void *owner, struct nd_session *s, const char *why)
{
    (void)owner;
    (void)why;
    client_of(s)->kills++;
}

static void put_row(struct buf *out, const struct nd_effect_row *row)
{
    buf_printf(out, "%d", row->db);
    for (size_t i = 0; i < row->argc; i++) {
        buf_putc(out, ' ');
        for (size_t j = 0; j < row->argv[i].n; j++) {
            unsigned char ch = (unsigned char)row->argv[i].p[j];
            if (ch < 0x20 || ch > 0x7e)
                buf_printf(out, "\\x%02x", (unsigned)ch);
            else
                buf_putc(out, (char)ch);
        }
    }
    buf_putc(out, '\n');
}

static void host_effects(void *owner, const struct nd_effect_row *rows, size_t n)
{
    struct fixture *f = owner;
    assert_true(n > 0);
    if (n > 1)
        buf_puts(&f->effects, "{\n");
    for (size_t i = 0; i < n; i++) {
        put_row(&f->effects, &rows[i]);
        if (rows[i].db >= 0)
            f->copy_session->db = nd_keyspace_db(&f->copy->keys, rows[i].db);
        enum nd_ran ran = nd_session_run(f->copy_session, rows[i].argc, rows[i].argv);
        assert_int_equal(ran, ND_RAN);
        f->copied++;
    }
    if (n > 1)
        buf_puts(&f->effects, "}\n");
    if (f->also != NULL)
        f->also(f->also_owner, rows, n);
}

static bool host_setting(void *owner, const char *name, struct buf *why)
{
    (void)owner;
    (void)name;
    (void)why;
    return true;
}

static bool host_rewrite(void *owner, struct buf *why)
{
    (void)owner;
    buf_puts(why, "The server is running without a config file");
    return false;
}

static size_t host_memory_used(void *owner)
{
    struct fixture *f = owner;
    size_t keys = 0;
    for (int i = 0; i < f->e->keys.db_count && f->memory_per_key > 0; i++) {
        const struct nd_db *db = nd_keyspace_peek(&f->e->keys, i);
        keys += db != NULL ? nd_db_count(db) : 0;
    }
    return f->memory_used + keys * f->memory_per_key;
}

static void host_facts(void *owner, struct nd_facts *out)
{
    (void)owner;
    memset(out, 0, sizeof *out);
    out->os = out->arch_bits = out->gcc_version = out->allocator = out->executable = out->config_file = "";
}

static void host_release(void *owner, struct nd_value v)
{
    ((struct fixture *)owner)->released++;
    nd_value_free(&v);
}

static void host_release_content(void *owner, struct nd_content *content)
{
    ((struct fixture *)owner)->released++;
    nd_content_free(content);
}

static enum nd_shutdown_answer host_shutdown(void *owner, uint32_t flags, struct buf *why)
{
    (void)owner;
    (void)flags;
    buf_puts(why, "not in a test");
    return ND_SHUTDOWN_REFUSED;
}

static void host_migrate(void *owner, const struct nd_migrate_spec *spec)
{
    ((struct fixture *)owner)->migrating = spec;
}

static void host_sleep_us(void *owner, int64_t us)
{
    ((struct fixture *)owner)->mono_us += us;
}

static void host_log(void *owner, int level, const char *text)
{
    buf_printf(&((struct fixture *)owner)->log, "%d %s\n", level, text);
}

static void host_client_buffers(void *owner, const struct nd_session *s, struct nd_client_buffers *out)
{
    (void)owner;
    *out = (struct nd_client_buffers){.output = s->r.out->n, .events = "r"};
}

/* The copy has nobody of its own to tell. */
static void ignore_effects(void *owner, const struct nd_effect_row *rows, size_t n)
{
    (void)owner;
    (void)rows;
    (void)n;
}

static struct nd_host host_of(struct fixture *f)
{
    return (struct nd_host){
        .owner = f,
        .clock_us = host_clock_us,
        .wake = host_wake,
        .resume = host_resume,
        .kill = host_kill,
        .effects = host_effects,
        .setting = host_setting,
        .rewrite = host_rewrite,
        .memory_used = host_memory_used,
        .facts = host_facts,
        .release = host_release,
        .release_content = host_release_content,
        .shutdown = host_shutdown,
        .migrate = host_migrate,
        .sleep_us = host_sleep_us,
        .log = host_log,
        .client_buffers = host_client_buffers,
    };
}

/* ---- making and ending ---- */

struct fixture *fixture_new_with(const struct nd_config *config)
{
    return fixture_new_extended(config, NULL);
}

struct fixture *fixture_new_extended(const struct nd_config *config, const struct nd_extension *more)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    nd_config_copy(&f->config, config);
    f->unix_ms = 1700000000000;
    f->mono_us = 1000000;
    struct nd_host host = host_of(f);
    host.extension = more;
    f->e = nd_engine_new(&host, config, 1);
    nd_engine_time(f->e, f->unix_ms, f->mono_us);
    host.effects = ignore_effects;
    host.extension = NULL;
    f->copy = nd_engine_new(&host, config, 2);
    f->copy->is_replica = true;
    nd_engine_time(f->copy, f->unix_ms, f->mono_us);
    f->copy_session = nd_session_new(f->copy, ND_MASTER, &f->copy_out, NULL);
    fixture_client(f);
    return f;
}

struct fixture *fixture_new(void)
{
    struct nd_config config;
    nd_config_init(&config);
    struct fixture *f = fixture_new_with(&config);
    nd_config_free(&config);
    return f;
}

void fixture_free(struct fixture *f)
{
    nd_engine_free(f->e);
    nd_engine_free(f->copy);
    for (size_t i = 0; i < f->client_count; i++)
        buf_free(&f->clients[i].out);
    buf_free(&f->effects);
    buf_free(&f->log);
    buf_free(&f->copy_out);
    nd_config_free(&f->config);
    free(f);
}

struct client *fixture_client(struct fixture *f)
{
    assert_true(f->client_count < FIXTURE_CLIENTS);
    struct client *c = &f->clients[f->client_count++];
    c->f = f;
    c->s = nd_session_new(f->e, ND_CLIENT, &c->out, c);
    snprintf(c->s->addr, sizeof c->s->addr, "127.0.0.1:%d", 50000 + (int)f->client_count);
    return c;
}

void client_close(struct client *c)
{
    nd_session_free(c->s);
    c->s = NULL;
}

/* ---- commands ---- */

const char *client_read(struct client *c)
{
    /* What was read stays behind the end until more is written. */
    const char *text = buf_str(&c->out);
    buf_clear(&c->out);
    return text;
}

const char *client_run_words(struct client *c, size_t argc, const struct slice *argv)
{
    nd_engine_time(c->f->e, c->f->unix_ms, c->f->mono_us);
    nd_engine_time(c->f->copy, c->f->unix_ms, c->f->mono_us);
    c->ran = nd_session_run(c->s, argc, argv);
    /* An answer of a client with a reply of its own must be whole: nothing is deferred. */
    return client_read(c);
}

const char *client_run(struct client *c, const char *command)
{
    struct slice line = slice_of(command), argv[WORDS_MAX];
    struct buf bytes = {0};
    size_t ends[WORDS_MAX], argc = 0;
    enum inline_status status;
    while ((status = inline_next_quoted(&line, &bytes)) == INLINE_WORD) {
        assert_true(argc < WORDS_MAX);
        ends[argc++] = bytes.n;
    }
    assert_int_equal(status, INLINE_END);
    assert_true(argc > 0);
    buf_reserve(&bytes, 1);
    for (size_t i = 0; i < argc; i++) {
        size_t begin = i > 0 ? ends[i - 1] : 0;
        argv[i] = (struct slice){.p = bytes.p + begin, .n = ends[i] - begin};
    }
    const char *text = client_run_words(c, argc, argv);
    buf_free(&bytes);
    return text;
}

const char *run(struct fixture *f, const char *command)
{
    return client_run(&f->clients[0], command);
}

const char *run_words(struct fixture *f, size_t argc, const struct slice *argv)
{
    return client_run_words(&f->clients[0], argc, argv);
}

const char *fixture_effects(struct fixture *f)
{
    const char *text = buf_str(&f->effects);
    buf_clear(&f->effects);
    return text;
}

void fixture_forward_ms(struct fixture *f, int64_t ms)
{
    f->unix_ms += ms;
    f->mono_us += ms * 1000;
    nd_engine_time(f->e, f->unix_ms, f->mono_us);
    nd_engine_time(f->copy, f->unix_ms, f->mono_us);
    nd_engine_tick(f->e);
}

/* ---- comparing ---- */

struct line {
    char *text;
};

static int compare_lines(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

static bool put_element(void *owner, struct slice a, struct slice b, double score)
{
    buf_printf(owner, " [%.*s|%.*s|%.17g]", (int)a.n, a.n > 0 ? a.p : "", (int)b.n, b.n > 0 ? b.p : "", score);
    return true;
}

char *fixture_dataset(struct nd_engine *e)
{
    struct line *lines = NULL;
    size_t n = 0, cap = 0;
    for (int i = 0; i < e->keys.db_count; i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db == NULL)
            continue;
        struct nd_db_iter it;
        nd_db_iterate(db, &it);
        for (struct nd_entry *entry; (entry = nd_db_next(&it)) != NULL;) {
            struct buf line = {0};
            struct slice key = nd_entry_key(entry);
            unsigned char digest[ND_DIGEST_BYTES];
            char hex[2 * ND_DIGEST_BYTES + 1];
            nd_digest_value(&entry->v, nd_entry_expire(entry), digest);
            nd_digest_hex(digest, hex);
            buf_printf(&line, "%d %.*s %s expires %lld %s", i, (int)key.n, key.n > 0 ? key.p : "",
                       nd_type_name((enum nd_type)entry->v.type), (long long)nd_entry_expire(entry), hex);
            if (entry->v.type != ND_STRING)
                nd_value_visit(&entry->v, put_element, &line);
            buf_putc(&line, '\n');
            buf_str(&line);
            lines = mem_grow(lines, n, &cap, sizeof *lines);
            lines[n++].text = line.p;
        }
    }
    if (n > 0)
        qsort(lines, n, sizeof *lines, compare_lines);
    struct buf all = {0};
    for (size_t i = 0; i < n; i++) {
        buf_puts(&all, lines[i].text);
        free(lines[i].text);
    }
    free(lines);
    buf_str(&all);
    return all.p;
}

void fixture_assert_copied(struct fixture *f)
{
    unsigned char own[ND_DIGEST_BYTES], copied[ND_DIGEST_BYTES];
    nd_digest_keyspace(&f->e->keys, own);
    nd_digest_keyspace(&f->copy->keys, copied);
    if (memcmp(own, copied, sizeof own) == 0)
        return;
    char *have = fixture_dataset(f->e), *got = fixture_dataset(f->copy);
    print_message("the node:\n%sits copy:\n%s", have, got);
    free(have);
    free(got);
    fail_msg("the copy differs after %zu effects", f->copied);
}
