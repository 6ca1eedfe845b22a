#include "tests/unit/repl/export_world.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/repl/aof_base.h"
#include "noded/repl/extension.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct cl_id job_id(int n)
{
    struct cl_id id = {0};
    id.b[0] = (uint8_t)(n + 1);
    return id;
}

/* ---- links ---- */

static void *host_connect(void *owner, struct nd_export *x, const char *ip, int port, struct buf *why)
{
    struct xworld *w = owner;
    if (w->no_address) {
        buf_puts(why, "no such address");
        return NULL;
    }
    assert_true(w->wire_count < WIRES_MAX);
    struct wire *l = &w->wires[w->wire_count++];
    l->w = w;
    l->x = x;
    snprintf(l->address, sizeof l->address, "%s:%d", ip, port);
    return l;
}

static void host_send(void *owner, void *link, const char *p, size_t n)
{
    struct wire *l = link;
    (void)owner;
    assert_false(l->closed);
    buf_put(l->lent || l->stuck ? &l->waiting : &l->got, p, n);
}

static bool host_flush(void *owner, void *link)
{
    struct wire *l = link;
    (void)owner;
    assert_false(l->closed);
    if (!l->lent && !l->stuck) {
        buf_put(&l->got, l->waiting.p, l->waiting.n);
        buf_clear(&l->waiting);
    }
    return l->waiting.n == 0;
}

static size_t host_unsent(void *owner, const void *link)
{
    (void)owner;
    return ((const struct wire *)link)->waiting.n;
}

static int host_lend(void *owner, void *link, bool lent)
{
    struct wire *l = link;
    assert_false(l->closed);
    assert_true(l->lent != lent);
    l->lent = lent;
    host_flush(owner, link);
    return 100 + (int)(l - l->w->wires);
}

static void host_close(void *owner, void *link, bool gently)
{
    struct wire *l = link;
    (void)owner;
    assert_false(l->closed);
    l->closed = true;
    l->gently = gently;
}

static void host_news(void *owner, const struct cl_id *job, enum cl_job_news news, uint64_t seq, struct slice why)
{
    static const char *const names[] = {
        [CL_JOB_IS_SNAPSHOTTING] = "SNAPSHOTTING", [CL_JOB_IS_STREAMING] = "STREAMING", [CL_JOB_IS_NEAR] = "NEAR",
        [CL_JOB_IS_DRAINED] = "DRAINED",           [CL_JOB_IS_LOST] = "LOST",
    };
    struct buf *out = owner;
    buf_printf(out, "%d %s", job->b[0] - 1, names[news]);
    if (seq > 0)
        buf_printf(out, " %" PRIu64, seq);
    if (why.n > 0)
        buf_printf(out, " %.*s", (int)why.n, why.p);
    buf_putc(out, '\n');
}

/* ---- the child ---- */

/* It writes at once what it has at the fork; that nobody learns before its end. */
static bool put(void *owner, const char *p, size_t n)
{
    struct wire *l = owner;
    buf_put(&l->got, p, n);
    l->w->child_bytes += n;
    return true;
}

static bool host_start(void *owner, const struct nd_child_spec *spec, int64_t *fork_us, struct buf *why)
{
    struct xworld *w = owner;
    if (w->refuse) {
        buf_puts(why, "no memory");
        return false;
    }
    assert_false(w->child);
    w->child = true;
    w->stopped = false;
    w->kind = spec->kind;
    *fork_us = 10;
    if (spec->kind != ND_CHILD_SLOTS)
        return true;
    assert_int_equal(spec->fd_count, 1);
    struct wire *l = &w->wires[spec->fds[0] - 100];
    assert_true(l->lent);
    size_t keys;
    w->child_bytes = 0;
    struct nd_rdb_sink sink = {.owner = l, .put = put};
    assert_true(nd_aof_base_write_slots(&w->f->e->keys, spec->slots, &sink, &keys));
    w->child_keys = keys;
    return true;
}

static void host_stop(void *owner)
{
    ((struct xworld *)owner)->stopped = true;
}

void xworld_child_ends(struct xworld *w, bool ok)
{
    assert_true(w->child);
    w->child = false;
    struct nd_child_end end = {
        .ok = ok && !w->stopped, .why = "it was killed", .got = &ok, .keys = w->child_keys, .bytes = w->child_bytes};
    nd_persist_child_ended(w->p, &end);
}

/* ---- life ---- */

static void feed(void *owner, const struct nd_effect_row *rows, size_t n)
{
    nd_repl_feed(owner, rows, n);
}

struct xworld *xworld_new(void)
{
    struct xworld *w = mem_zalloc(sizeof *w);
    struct nd_config config;
    nd_config_init(&config);
    config.cluster_enabled = true;
    w->f = fixture_new_extended(&config, &nd_repl_extension);
    nd_config_free(&config);
    w->r = nd_repl_new(w->f->e);
    struct nd_persist_host persist = {.owner = w, .start = host_start, .stop = host_stop};
    w->p = nd_persist_new(w->f->e, &persist);
    free(w->f->e->config.save);
    w->f->e->config.save = mem_strdup("");
    nd_persist_settings(w->p);
    struct nd_export_host host = {
        .owner = w,
        .news_owner = &w->news,
        .connect = host_connect,
        .send = host_send,
        .flush = host_flush,
        .unsent = host_unsent,
        .lend = host_lend,
        .close = host_close,
        .news = host_news,
    };
    nd_exports_new(w->r, &host);
    w->f->also = feed;
    w->f->also_owner = w->r;
    return w;
}

void xworld_free(struct xworld *w)
{
    nd_exports_free(w->r);
    nd_persist_free(w->p);
    nd_repl_free(w->r);
    fixture_free(w->f);
    for (size_t i = 0; i < w->wire_count; i++) {
        buf_free(&w->wires[i].got);
        buf_free(&w->wires[i].waiting);
    }
    buf_free(&w->news);
    free(w);
}

void xworld_forward_ms(struct xworld *w, int64_t ms)
{
    int64_t until_us = w->f->mono_us + ms * 1000;
    for (;;) {
        int64_t at_us = nd_exports_deadline(w->r);
        if (at_us > until_us)
            break;
        int64_t step_us = at_us > w->f->mono_us ? at_us - w->f->mono_us : 0;
        fixture_forward_ms(w->f, (step_us + 999) / 1000);
        nd_exports_tick(w->r);
        if (w->f->mono_us < until_us)
            assert_true(nd_exports_deadline(w->r) > w->f->mono_us); /* nothing is due again at once */
    }
    if (w->f->mono_us < until_us)
        fixture_forward_ms(w->f, (until_us - w->f->mono_us) / 1000);
}

const char *xworld_news(struct xworld *w)
{
    static char text[4096];
    snprintf(text, sizeof text, "%s", buf_str(&w->news));
    buf_clear(&w->news);
    return text;
}

/* ---- jobs ---- */

struct wire *xworld_begin(struct xworld *w, int from, int to)
{
    uint8_t slots[CL_SLOT_BYTES] = {0};
    struct cl_id job = job_id((int)w->wire_count), source = {.b = {0xab}}, target = {.b = {0xcd}};
    for (int s = from; s <= to; s++)
        cl_bit_set(slots, s);
    nd_export_begin(w->r, &job, "10.0.0.1", 7000, slots, &source, &target);
    return w->no_address ? NULL : &w->wires[w->wire_count - 1];
}

struct wire *xworld_begin_to(struct xworld *w, int from, int to, const char *state)
{
    struct wire *l = xworld_begin(w, from, to);
    nd_export_connected(l->x);
    wire_hears(l);
    if (strcmp(state, "asking") == 0)
        return l;
    wire_says(l, "+OK\r\n");
    if (strcmp(state, "waiting") == 0)
        return l;
    xworld_forward_ms(w, 0);
    if (strcmp(state, "snapshot") == 0)
        return l;
    xworld_child_ends(w, true);
    wire_hears(l);
    xworld_news(w);
    return l;
}

void wire_says(struct wire *l, const char *lines)
{
    struct slice in = slice_of(lines);
    assert_false(l->closed);
    nd_export_bytes(l->x, &in);
    assert_true(l->closed || in.n == 0);
}

static int64_t read_count(struct slice *in, char sign)
{
    int64_t n = 0;
    struct slice line = slice_cut(in, '\n');
    assert_true(line.n > 2 && line.p[0] == sign && line.p[line.n - 1] == '\r');
    assert_true(text_i64((struct slice){line.p + 1, line.n - 2}, &n));
    return n;
}

const char *wire_hears(struct wire *l)
{
    static char text[8192];
    struct buf out = {0};
    struct slice in = {l->got.p + l->looked, l->got.n - l->looked};
    while (in.n > 0) {
        int64_t words = read_count(&in, '*');
        for (int64_t i = 0; i < words; i++) {
            int64_t n = read_count(&in, '$');
            assert_true(in.n >= (size_t)n + 2);
            buf_printf(&out, "%s%.*s", i > 0 ? " " : "", (int)n, in.p);
            in = (struct slice){in.p + n + 2, in.n - (size_t)n - 2};
        }
        buf_putc(&out, '\n');
    }
    l->looked = l->got.n;
    snprintf(text, sizeof text, "%s", buf_str(&out));
    buf_free(&out);
    return text;
}

int64_t wire_offset(const struct wire *l)
{
    static const char word[] = "SLOTSRANGE\r\n";
    const char *found = memmem(l->got.p, l->got.n, word, sizeof word - 1);
    assert_non_null(found);
    struct slice behind = {found + sizeof word - 1, (size_t)(l->got.p + l->got.n - found) - (sizeof word - 1)};
    while (behind.n > 0 && behind.p[0] == '$') { /* its ranges: what follows is another request */
        slice_cut(&behind, '\n');
        slice_cut(&behind, '\n');
    }
    return (int64_t)(behind.n + l->waiting.n);
}
