/* What is said to the target, and what it says. */
#include "noded/repl/export_state.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/repl/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)4096)
#define SHOWN_MAX ((size_t)256) /* of what the target says */
#define NUMBER_MAX 24

/* ---- to it ---- */

void nd_export_send(struct nd_export *x, const char *p, size_t n)
{
    const struct nd_export_host *host = &x->all->host;
    if (!nd_export_is_due(x))
        x->heard_us = x->all->r->e->now_us;
    x->sent += n;
    host->send(host->owner, x->wire, p, n);
}

void nd_export_request(struct nd_export *x, size_t argc, const struct slice *argv)
{
    struct buf *out = &x->all->out;
    buf_clear(out);
    nd_stream_request(out, argc, argv);
    nd_export_send(x, out->p, out->n);
}

void nd_export_sync(struct nd_export *x, const char *verb, struct slice argument)
{
    struct slice words[] = {slice_of("CLUSTER"), slice_of("SYNCSLOTS"), slice_of(verb), argument};
    nd_export_request(x, argument.p != NULL ? 4 : 3, words);
}

void nd_export_flush(struct nd_export *x)
{
    x->flushing = true;
    x->asked_us = x->all->r->e->now_us;
    nd_export_sync(x, "FLUSH", (struct slice){NULL, 0});
}

static size_t count_ranges(const uint8_t *slots)
{
    size_t n = 0;
    for (int s = cl_bit_next(slots, 0, true); s < CL_SLOTS; s = cl_bit_next(slots, s, true)) {
        s = cl_bit_next(slots, s, false);
        n++;
    }
    return n;
}

/* Bytes count from behind it. */
static void establish(struct nd_export *x)
{
    const struct nd_keyspace *keys = &x->all->r->e->keys;
    size_t ranges = count_ranges(x->slots), n = 0;
    char(*numbers)[NUMBER_MAX] = mem_array(NULL, 2 + 2 * ranges, sizeof *numbers), (*next)[NUMBER_MAX] = numbers;
    struct slice *words = mem_array(NULL, 9 + 2 * ranges, sizeof *words);
    char job[CL_ID_DIGITS + 1], source[CL_ID_DIGITS + 1], target[CL_ID_DIGITS + 1];
    words[n++] = slice_of("CLUSTER");
    words[n++] = slice_of("SYNCSLOTS");
    words[n++] = slice_of("ESTABLISH");
    words[n++] = slice_of(cl_id_text(&x->job, job));
    words[n++] = slice_of(cl_id_text(&x->source, source));
    words[n++] = slice_of(cl_id_text(&x->target, target));
    snprintf(*next, sizeof *next, "%" PRIu64, keys->mapping_epoch);
    words[n++] = slice_of(*next++);
    snprintf(*next, sizeof *next, "%d", keys->db_count);
    words[n++] = slice_of(*next++);
    words[n++] = slice_of("SLOTSRANGE");
    for (int s = cl_bit_next(x->slots, 0, true); s < CL_SLOTS; s = cl_bit_next(x->slots, s, true)) {
        snprintf(*next, sizeof *next, "%d", s);
        words[n++] = slice_of(*next++);
        s = cl_bit_next(x->slots, s, false);
        snprintf(*next, sizeof *next, "%d", s - 1);
        words[n++] = slice_of(*next++);
    }
    nd_export_request(x, n, words);
    x->sent = 0;
    free(words);
    free(numbers);
    nd_export_enter(x, ND_EXPORT_ASKING);
}

void nd_export_greet(struct nd_export *x)
{
    const struct nd_config *config = &x->all->r->e->config;
    if (config->masterauth[0] == '\0') {
        establish(x);
        return;
    }
    struct slice words[] = {slice_of("AUTH"), slice_of(config->masteruser), slice_of(config->masterauth)};
    if (config->masteruser[0] == '\0')
        words[1] = words[2];
    nd_export_request(x, config->masteruser[0] != '\0' ? 3 : 2, words);
    nd_export_enter(x, ND_EXPORT_GREETING);
}

/* ---- from it ---- */

/* Bytes from outside become part of a message, and of a line of the log. */
static void fail_saying(struct nd_export *x, const char *what, struct slice line)
{
    struct buf why = {0};
    size_t n = line.n < SHOWN_MAX ? line.n : SHOWN_MAX;
    buf_puts(&why, what);
    for (size_t i = 0; i < n; i++)
        buf_putc(&why, line.p[i] >= ' ' && line.p[i] <= '~' ? line.p[i] : '?');
    nd_export_fail(x, buf_str(&why));
    buf_free(&why);
}

/* An answer without a number where one is wanted is no answer. */
static bool take_number(struct slice *words, uint64_t *out)
{
    return text_u64(slice_cut(words, ' '), out);
}

/* What the target has. While the child writes nobody here knows what was sent. The answer to a question waits for disk
 * and replicas, and what has come meanwhile may be acknowledged before it. */
static bool take_offset(struct nd_export *x, uint64_t offset, bool answer)
{
    if ((offset < x->acked && !answer) || (x->step != ND_EXPORT_SNAPSHOT && offset > x->sent))
        return false;
    if (offset > x->acked)
        x->acked = offset;
    x->ack_ms = x->all->r->e->now_ms;
    return true;
}

static bool take_drained(struct nd_export *x, struct slice words)
{
    uint64_t offset, epoch;
    bool late = x->step == ND_EXPORT_STREAMING && x->resuming;
    if ((x->step != ND_EXPORT_DRAINING && !late) || x->drained || !take_number(&words, &offset) ||
        !take_number(&words, &epoch) || words.n > 0 || offset < x->drain_from || !take_offset(x, offset, true))
        return false;
    if (late)
        return true;
    x->drained = true;
    nd_export_news(x, CL_JOB_IS_DRAINED, epoch, (struct slice){NULL, 0});
    return true;
}

static bool take_resumed(struct nd_export *x, struct slice words)
{
    uint64_t offset;
    if (x->step != ND_EXPORT_STREAMING || !x->resuming || !take_number(&words, &offset) || words.n > 0 ||
        offset < x->drain_from || !take_offset(x, offset, true))
        return false;
    x->resuming = false;
    nd_export_acked(x, false);
    return true;
}

/* false: it makes no sense here. */
static bool take_word(struct nd_export *x, struct slice line)
{
    struct slice words = line, first = slice_cut(&words, ' ');
    uint64_t offset;
    if (slice_is(first, "+OK") && x->step == ND_EXPORT_GREETING) {
        establish(x);
        return true;
    }
    if (slice_is(first, "+OK") && x->step == ND_EXPORT_ASKING) {
        nd_export_enter(x, ND_EXPORT_WAITING);
        return true;
    }
    if (x->step < ND_EXPORT_WAITING)
        return false;
    if (slice_is(first, "+DRAINED"))
        return take_drained(x, words);
    if (slice_is(first, "+RESUMED"))
        return take_resumed(x, words);
    bool flushed = slice_is(first, "+FLUSHED");
    if ((!flushed && !slice_is(first, "+ACK")) || (flushed && !x->flushing) || !take_number(&words, &offset) ||
        words.n > 0 || !take_offset(x, offset, flushed))
        return false;
    if (flushed)
        x->flushing = false;
    if (x->step == ND_EXPORT_STREAMING)
        nd_export_acked(x, flushed);
    return true;
}

/* false: that was the job's end. */
static bool take_line(struct nd_export *x, struct slice line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    x->heard_us = x->all->r->e->now_us;
    if (line.n > 0 && line.p[0] == '-') {
        fail_saying(x, "the target refuses: ", (struct slice){line.p + 1, line.n - 1});
        return false;
    }
    if (!take_word(x, line)) {
        fail_saying(x, "the target says what it should not: ", line);
        return false;
    }
    return true;
}

void nd_export_bytes(struct nd_export *x, struct slice *in)
{
    while (in->n > 0) {
        const char *end = memchr(in->p, '\n', in->n);
        if (end == NULL) {
            if (in->n > LINE_MAX_BYTES)
                nd_export_fail(x, "the target says a line without an end");
            return;
        }
        struct slice line = {in->p, (size_t)(end - in->p)};
        *in = (struct slice){end + 1, in->n - line.n - 1};
        if (!take_line(x, line))
            return;
    }
}
