/* CLUSTER: slots that move with all their databases at once, and the mapping of databases that the whole cluster
 * changes together. What the arguments say is checked here; whether it can be done is the core's to say. */
#include "noded/cmd/cluster_rows.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

/* ---- MIGRATESLOTS ---- */

struct moves {
    struct cl_move *v;
    size_t n, cap;
};

/* Slots that this job or one before it has already. */
static bool overlaps(struct nd_call *c, const struct moves *m, const struct cl_move *job, int from, int to)
{
    for (int slot = from; slot <= to; slot++) {
        for (size_t i = 0; i + 1 < m->n; i++) {
            if (cl_bit(m->v[i].slots, slot)) {
                nd_error(c, "ERR Slot ranges in migrations overlap: slot %d is in two of them", slot);
                return true;
            }
        }
        if (cl_bit(job->slots, slot)) {
            int first = slot, last = cl_bit_next(job->slots, slot, false) - 1;
            while (first > 0 && cl_bit(job->slots, first - 1))
                first--;
            nd_error(c, "ERR Slot range %d-%d overlaps with previous range %d-%d", from, to, first, last);
            return true;
        }
    }
    return false;
}

/* s e [s e ...] from *at on, up to the first word that is no number. */
static bool read_ranges(struct nd_call *c, size_t *at, const struct moves *m, struct cl_move *job)
{
    size_t begin = *at;
    int64_t number;
    int from, to;
    while (*at < c->argc && text_i64(c->argv[*at], &number)) {
        if (!nd_cluster_slot_arg(c, *at, &from))
            return false;
        if (*at + 1 >= c->argc) {
            nd_error(c, "ERR No end slot for final slot range");
            return false;
        }
        if (!nd_cluster_slot_arg(c, *at + 1, &to))
            return false;
        if (from > to) {
            nd_error(c, "ERR Start slot number %d is greater than end slot number %d", from, to);
            return false;
        }
        if (overlaps(c, m, job, from, to))
            return false;
        for (int slot = from; slot <= to; slot++)
            cl_bit_set(job->slots, slot);
        *at += 2;
    }
    if (*at == begin)
        nd_error(c, "ERR No slot ranges specified");
    return *at > begin;
}

static bool read_moves(struct nd_call *c, struct moves *m)
{
    for (size_t at = 2; at < c->argc; at += 2) {
        m->v = mem_grow(m->v, m->n, &m->cap, sizeof *m->v);
        struct cl_move *job = &m->v[m->n++];
        *job = (struct cl_move){.node = {NULL, 0}};
        if (!nd_arg_is(c, at, "slotsrange")) {
            nd_syntax_error(c);
            return false;
        }
        at++;
        if (!read_ranges(c, &at, m, job))
            return false;
        if (!nd_arg_is(c, at, "node") || at + 1 >= c->argc) {
            nd_syntax_error(c);
            return false;
        }
        job->node = c->argv[at + 1];
    }
    return true;
}

void nd_cluster_migrateslots(struct nd_call *c)
{
    struct moves m = {0};
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    if (read_moves(c, &m)) {
        struct cl_command command = {.verb = CL_MIGRATE_SLOTS, .moves = m.v, .nmoves = m.n};
        nd_cluster_ask(c, &command);
    }
    free(m.v);
}

void nd_cluster_cancelslotmigrations(struct nd_call *c)
{
    struct cl_command command = {.verb = CL_CANCEL_MIGRATIONS};
    if (!nd_cluster_reply(c) && nd_cluster_on(c))
        nd_cluster_ask(c, &command);
}

void nd_cluster_freezeslotmigrations(struct nd_call *c)
{
    struct cl_command command = {.verb = CL_FREEZE};
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    command.node = c->argv[2];
    if (!text_range(c->argv[3], 0, INT32_MAX, &command.number))
        nd_error(c, "ERR Invalid time: milliseconds are expected");
    else
        nd_cluster_ask(c, &command);
}

/* ---- GETSLOTMIGRATIONS ---- */

/* "0-5 7-7": clients of this command read two numbers in every range. */
static void put_ranges(const uint8_t *slots, struct buf *out)
{
    for (int first = cl_bit_next(slots, 0, true); first < CL_SLOTS;) {
        int end = cl_bit_next(slots, first, false);
        buf_printf(out, "%s%d-%d", out->n > 0 ? " " : "", first, end - 1);
        first = end < CL_SLOTS ? cl_bit_next(slots, end, true) : CL_SLOTS;
    }
}

static void put_job(struct nd_call *c, const struct cl_job_row *j, struct buf *scratch)
{
    const struct nd_cluster *cl = c->e->cluster;
    struct nd_job_progress p = {0};
    if (cl->host.job_progress == NULL || !cl->host.job_progress(cl->host.owner, &j->name, &p))
        p.ack_ms = j->updated_ms; /* over: nothing was heard behind its end */
    buf_clear(scratch);
    put_ranges(j->slots, scratch);
    reply_map(c->r, 13);
    nd_cluster_put_id(c->r, "name", &j->name);
    nd_cluster_put_text(c->r, "operation", j->importing ? "IMPORT" : "EXPORT");
    nd_cluster_put_text(c->r, "slot_ranges", buf_str(scratch));
    nd_cluster_put_id(c->r, "target_node", &j->target);
    nd_cluster_put_id(c->r, "source_node", &j->source);
    nd_cluster_put_number(c->r, "create_time", j->created_ms / 1000);
    nd_cluster_put_number(c->r, "last_update_time", j->updated_ms / 1000);
    nd_cluster_put_number(c->r, "last_ack_time", p.ack_ms / 1000);
    nd_cluster_put_text(c->r, "state", cl_job_state_name(j->state));
    nd_cluster_put_text(c->r, "message", j->message);
    nd_cluster_put_number(c->r, "remaining_repl_size", (int64_t)p.left_bytes);
    nd_cluster_put_number(c->r, "snapshot_keys", (int64_t)(p.keys > 0 ? p.keys : j->snapshot_keys));
    nd_cluster_put_number(c->r, "pauses", j->tries);
}

void nd_cluster_getslotmigrations(struct nd_call *c)
{
    struct cl_job_row row;
    struct buf scratch = {0};
    if (!nd_cluster_on(c))
        return;
    size_t mark = reply_begin(c->r), n = 0;
    for (size_t it = 0; cl_next_job(c->e->cluster->core, &it, &row); n++)
        put_job(c, &row, &scratch);
    reply_end_array(c->r, mark, n);
    buf_free(&scratch);
}

/* ---- DBMAP ---- */

static const char *swap_state(const struct cl_swap_row *swap)
{
    if (swap->epoch == 0)
        return "none";
    if (swap->prepared)
        return "prepared";
    return swap->aborted ? "aborted" : "applied";
}

static void describe_mapping(struct nd_call *c)
{
    const struct cl_core *core = c->e->cluster->core;
    struct cl_swap_row swap;
    cl_swap(core, &swap);
    reply_map(c->r, 7);
    nd_cluster_put_number(c->r, "epoch", (int64_t)c->e->keys.mapping_epoch);
    nd_cluster_put_text(c->r, "state", swap_state(&swap));
    reply_bulks(c->r, "databases");
    reply_array(c->r, swap.epoch == 0 ? 0 : 2);
    if (swap.epoch != 0) {
        reply_int(c->r, swap.a);
        reply_int(c->r, swap.b);
    }
    nd_cluster_put_number(c->r, "swap_epoch", (int64_t)swap.epoch);
    nd_cluster_put_number(c->r, "ballot", (int64_t)swap.ballot);
    nd_cluster_put_number(c->r, "held_ms", swap.held_us / 1000);
    reply_bulks(c->r, "supervised");
    reply_bool(c->r, cl_supervised(core));
}

static bool database_arg(struct nd_call *c, size_t i, const char *which, int *out)
{
    int64_t n;
    if (!text_range(c->argv[i], INT32_MIN, INT32_MAX, &n)) {
        nd_error(c, "ERR invalid %s DB index", which);
        return false;
    }
    if (n < 0 || n >= c->e->keys.db_count) {
        nd_error(c, "ERR DB index is out of range");
        return false;
    }
    *out = (int)n;
    return true;
}

static bool epoch_arg(struct nd_call *c, size_t i, int64_t *out)
{
    if (!nd_arg_is(c, i, "epoch")) {
        nd_syntax_error(c);
        return false;
    }
    if (!text_range(c->argv[i + 1], 1, INT64_MAX, out)) {
        nd_error(c, "ERR Invalid epoch of the mapping: a number above 0 is expected");
        return false;
    }
    return true;
}

/* [BALLOT n [word n]] from `at` on, to the end. */
static bool ballot_args(struct nd_call *c, size_t at, const char *word, struct cl_command *command)
{
    if (c->argc == at)
        return true;
    bool more = word != NULL && c->argc == at + 4;
    if ((c->argc != at + 2 && !more) || !nd_arg_is(c, at, "ballot") || (more && !nd_arg_is(c, at + 2, word))) {
        nd_syntax_error(c);
        return false;
    }
    if (!text_u64(c->argv[at + 1], &command->ballot) || command->ballot == 0 || command->ballot > INT64_MAX) {
        nd_error(c, "ERR Invalid ballot: a number above 0 is expected");
        return false;
    }
    if (!more)
        return true;
    command->text = c->argv[at + 3];
    return true;
}

static bool read_abort(struct nd_call *c, struct cl_command *command)
{
    command->verb = CL_DBMAP_ABORT;
    command->text = slice_of("a supervisor ended it");
    return epoch_arg(c, 3, &command->number) && ballot_args(c, 5, "because", command);
}

static bool read_swap(struct nd_call *c, struct cl_command *command)
{
    bool prepares = command->verb == CL_DBMAP_PREPARE;
    if (!database_arg(c, 3, "first", &command->database_a) || !database_arg(c, 4, "second", &command->database_b) ||
        !epoch_arg(c, 5, &command->number) || !ballot_args(c, 7, prepares ? "request" : NULL, command))
        return false;
    if (command->text.n > 0 && (!text_u64(command->text, &command->request) || command->request == 0)) {
        nd_error(c, "ERR Invalid request: a number above 0 is expected");
        return false;
    }
    if (command->database_a == command->database_b)
        nd_error(c, "ERR A database can't be exchanged with itself");
    return command->database_a != command->database_b;
}

static bool read_dbmap(struct nd_call *c, struct cl_command *command)
{
    bool prepares = nd_arg_is(c, 2, "prepare"), applies = nd_arg_is(c, 2, "apply");
    if (c->argc >= 5 && nd_arg_is(c, 2, "abort"))
        return read_abort(c, command);
    if (c->argc == 5 && nd_arg_is(c, 2, "done")) {
        command->verb = CL_DBMAP_DONE;
        return epoch_arg(c, 3, &command->number);
    }
    if (c->argc < 7 || (!prepares && !applies)) {
        nd_subcommand_syntax(c);
        return false;
    }
    command->verb = prepares ? CL_DBMAP_PREPARE : CL_DBMAP_APPLY;
    return read_swap(c, command);
}

/* A node says before its RESTOREs which databases it means (MIGRATE). One of another cluster means ours. */
static void mapping_from(struct nd_call *c)
{
    struct cl_member from;
    uint64_t epoch;
    if (!text_u64(c->argv[4], &epoch) || epoch >= INT64_MAX) {
        nd_error(c, "ERR Invalid epoch of the mapping");
        return;
    }
    c->s->mapping_meant = cl_find_member(c->e->cluster->core, c->argv[3], &from) ? epoch + 1 : 0;
    nd_ok(c);
}

void nd_cluster_dbmap(struct nd_call *c)
{
    struct cl_command command = {.number = 0};
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    if (c->argc == 2)
        describe_mapping(c);
    else if (c->argc == 5 && nd_arg_is(c, 2, "from"))
        mapping_from(c);
    else if (read_dbmap(c, &command))
        nd_cluster_ask(c, &command);
}
