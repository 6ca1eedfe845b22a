/* What nodes.conf keeps beyond what stock nodes keep: the state of the shard, jobs, refused epochs. They are variables
 * of its last line, which stock nodes read over; a value has no blanks. None is written that says nothing. */
#include "noded/cluster/state.h"

#include "common/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- writing ---- */

static void put_id(struct buf *out, const struct cl_id *id)
{
    cl_id_put(out, id);
    buf_putc(out, ',');
}

static void put_slots(struct buf *out, const uint8_t *slots)
{
    int first = cl_bit_next(slots, 0, true);
    for (const char *sign = ""; first < CL_SLOTS; sign = "+") {
        int end = cl_bit_next(slots, first, false);
        buf_printf(out, "%s%d", sign, first);
        if (end > first + 1)
            buf_printf(out, "-%d", end - 1);
        first = cl_bit_next(slots, end, true);
    }
}

static void put_text(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        char ch = *text;
        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9'))
            buf_putc(out, ch);
        else
            buf_printf(out, "%%%02x", (unsigned)(unsigned char)ch);
    }
}

static void put_record(struct buf *out, const struct cl_record *r)
{
    buf_puts(out, " record ");
    put_id(out, &r->job);
    put_id(out, &r->source);
    put_id(out, &r->target);
    buf_printf(out, "%d,%" PRIu64 ",", r->taking ? 1 : 0, r->epoch);
    put_slots(out, r->slots);
    if (cl_id_is_none(&r->shard))
        return;
    buf_puts(out, " recordShard ");
    put_id(out, &r->job);
    cl_id_put(out, &r->shard);
}

static void put_job(struct buf *out, const struct cl_job *j)
{
    buf_puts(out, " job ");
    put_id(out, &j->name);
    put_id(out, &j->source);
    put_id(out, &j->target);
    buf_printf(out, "%d,%d,%d,%" PRId64 ",%" PRId64 ",", j->importing ? 1 : 0, (int)j->state, j->tries, j->created_ms,
               j->updated_ms);
    put_slots(out, j->slots);
    buf_putc(out, ',');
    put_text(out, j->message);
}

void cl_config_state_write(const struct cl_core *c, struct buf *out)
{
    const struct cl_shard_state *s = &c->shard;
    if (s->version > 0)
        buf_printf(out, " stateVersion %" PRIu64 " stateRequired %" PRIu64, s->version, s->required);
    if (c->refused_epoch > 0)
        buf_printf(out, " refusedEpoch %" PRIu64, c->refused_epoch);
    for (int i = CL_LINEAGE; i-- > 0;)
        if (!cl_id_is_none(&c->before[i])) {
            buf_puts(out, " succeeded ");
            cl_id_put(out, &c->before[i]);
        }
    cl_supervised_write(c, out);
    if (c->uncounted_until_us > c->now_us)
        buf_printf(out, " uncountedMs %" PRId64, (c->uncounted_until_us - c->now_us) / 1000 + 1);
    if (PLANTED(12, s->swap_epoch > 0, false))
        buf_printf(out, " swap %d,%d,%" PRIu64 ",%d", s->database_a, s->database_b, s->swap_epoch,
                   s->swap_aborted ? 1 : 0);
    if (s->swap_ballot > 0)
        buf_printf(out, " swapBallot %" PRIu64, s->swap_ballot);
    for (size_t i = 0; i < s->nrecords; i++)
        put_record(out, &s->records[i].r);
    for (size_t i = 0; i < c->njobs; i++)
        put_job(out, c->jobs[i]);
}

/* ---- reading ---- */

static bool get_id(struct slice *rest, struct cl_id *out)
{
    return cl_id_parse(slice_cut(rest, ','), out) && !cl_id_is_none(out);
}

static bool get_number(struct slice *rest, int64_t max, int64_t *out)
{
    return text_range(slice_cut(rest, ','), 0, max, out);
}

static bool get_slots(struct slice text, uint8_t *out)
{
    memset(out, 0, CL_SLOT_BYTES);
    while (text.n > 0) {
        int64_t first, last;
        struct slice end = slice_cut(&text, '+'), begin = slice_cut(&end, '-');
        if (!text_range(begin, 0, CL_SLOTS - 1, &first) ||
            !text_range(end.p != NULL ? end : begin, first, CL_SLOTS - 1, &last))
            return false;
        for (int64_t slot = first; slot <= last; slot++)
            cl_bit_set(out, (int)slot);
    }
    return true;
}

static int hex_digit(char ch)
{
    return ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static bool get_text(struct slice text, char *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n && n + 1 < room; i++) {
        char ch = text.p[i];
        if (ch == '%') {
            if (i + 2 >= text.n || hex_digit(text.p[i + 1]) < 0 || hex_digit(text.p[i + 2]) < 0)
                return false;
            ch = (char)(hex_digit(text.p[i + 1]) * 16 + hex_digit(text.p[i + 2]));
            i += 2;
        }
        out[n++] = ch;
    }
    out[n] = '\0';
    return true;
}

static const char *read_record(struct cl_core *c, struct slice rest)
{
    struct cl_record r = {.taking = false};
    int64_t taking, epoch;
    if (!get_id(&rest, &r.job) || !get_id(&rest, &r.source) || !get_id(&rest, &r.target) ||
        !get_number(&rest, 1, &taking) || !get_number(&rest, (int64_t)CL_EPOCH_MAX - 1, &epoch) ||
        !get_slots(rest, r.slots) || c->shard.nrecords >= CL_RECORDS_MAX)
        return "bad record of a hand-over";
    r.taking = taking != 0;
    r.epoch = (uint64_t)epoch;
    cl_record_loaded(c, &r);
    return NULL;
}

static const char *read_record_shard(struct cl_core *c, struct slice rest)
{
    struct cl_id job, shard;
    struct cl_open_record *r;
    if (!get_id(&rest, &job) || !cl_id_parse(rest, &shard) || (r = cl_record_find(c, &job)) == NULL)
        return "bad shard of a hand-over";
    r->r.shard = shard;
    return NULL;
}

static const char *read_job(struct cl_core *c, struct slice rest)
{
    struct cl_id name, source, target;
    uint8_t slots[CL_SLOT_BYTES];
    int64_t importing, state, tries, created, updated;
    if (!get_id(&rest, &name) || !get_id(&rest, &source) || !get_id(&rest, &target) ||
        !get_number(&rest, 1, &importing) || !get_number(&rest, CL_JOB_CANCELLED, &state) ||
        !get_number(&rest, INT32_MAX, &tries) || !get_number(&rest, INT64_MAX, &created) ||
        !get_number(&rest, INT64_MAX, &updated) || !get_slots(slice_cut(&rest, ','), slots) ||
        c->njobs >= CL_JOBS_LIVE + CL_JOBS_KEPT)
        return "bad migration";
    struct cl_job *j = cl_job_new(c, &name, importing != 0, &source, &target, slots);
    j->state = (enum cl_job_state)state;
    j->tries = (int)tries;
    j->created_ms = created;
    j->updated_ms = updated;
    j->begun = true;
    if (!get_text(rest, j->message, sizeof j->message))
        return "bad migration";
    if (j->state >= CL_JOB_SUCCESS)
        c->live_jobs--;
    return NULL;
}

static const char *read_swap(struct cl_shard_state *s, struct slice rest)
{
    int64_t a, b, epoch, aborted;
    if (!get_number(&rest, INT32_MAX, &a) || !get_number(&rest, INT32_MAX, &b) ||
        !get_number(&rest, (int64_t)CL_EPOCH_MAX - 1, &epoch) || !get_number(&rest, 1, &aborted))
        return "bad swap of databases";
    s->database_a = (int)a;
    s->database_b = (int)b;
    s->swap_epoch = (uint64_t)epoch;
    s->swap_aborted = aborted != 0;
    return NULL;
}

/* The oldest comes first. */
static const char *read_succeeded(struct cl_core *c, struct slice value)
{
    struct cl_id id;
    if (!cl_id_parse(value, &id) || cl_id_is_none(&id))
        return "bad id of a master that was succeeded";
    memmove(&c->before[1], &c->before[0], (CL_LINEAGE - 1) * sizeof c->before[0]);
    c->before[0] = id;
    return NULL;
}

const char *cl_config_state_read(struct cl_core *c, struct slice name, struct slice value)
{
    uint64_t v;
    if (slice_is(name, "record"))
        return read_record(c, value);
    if (slice_is(name, "recordShard"))
        return read_record_shard(c, value);
    if (slice_is(name, "job"))
        return read_job(c, value);
    if (slice_is(name, "swap"))
        return read_swap(&c->shard, value);
    if (slice_is(name, "succeeded"))
        return read_succeeded(c, value);
    if (slice_is(name, "supervised"))
        return cl_supervised_read(c, value);
    if (!text_u64(value, &v))
        return "";
    if (slice_is(name, "stateVersion"))
        c->shard.version = v;
    else if (slice_is(name, "stateRequired"))
        c->shard.required = v;
    else if (slice_is(name, "swapBallot"))
        c->shard.swap_ballot = v;
    else if (slice_is(name, "refusedEpoch"))
        c->refused_epoch = c->untaken_epoch = v;
    else if (slice_is(name, "uncountedMs"))
        c->uncounted_until_us = c->now_us + (int64_t)(v < INT32_MAX ? v : INT32_MAX) * 1000;
    else
        return "";
    return NULL;
}
