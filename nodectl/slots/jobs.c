#include "nodectl/slots/jobs.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"
#include "nodectl/slots/ask.h"

#include <stdlib.h>
#include <string.h>

static const redisReply *field(const redisReply *row, const char *name)
{
    for (size_t i = 0; i + 1 < row->elements; i += 2)
        if (slice_is(reply_text(row->element[i]), name))
            return row->element[i + 1];
    return NULL;
}

static void text_of(const redisReply *row, const char *name, char *to, size_t cap)
{
    struct slice text = reply_text(field(row, name));
    size_t n = text.n < cap - 1 ? text.n : cap - 1;
    if (n > 0)
        memcpy(to, text.p, n);
    to[n] = '\0';
}

static int64_t number_of(const redisReply *row, const char *name)
{
    const redisReply *r = field(row, name);
    return r != NULL && r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
}

static bool read_row(struct slot_job *j, const redisReply *row)
{
    struct buf why = {0};
    char *ranges = slice_dup(reply_text(field(row, "slot_ranges")));
    *j = (struct slot_job){.exports = slice_is(reply_text(field(row, "operation")), "EXPORT")};
    bool ok = slot_set_parse(&j->slots, ranges, &why) &&
              runid_parse(reply_text(field(row, "target_node")), j->target) &&
              runid_parse(reply_text(field(row, "source_node")), j->source);
    text_of(row, "state", j->state, sizeof j->state);
    text_of(row, "message", j->message, sizeof j->message);
    j->keys = number_of(row, "snapshot_keys");
    j->left_bytes = number_of(row, "remaining_repl_size");
    j->updated_s = number_of(row, "last_update_time");
    j->acked_s = number_of(row, "last_ack_time");
    free(ranges);
    buf_free(&why);
    return ok;
}

void slot_jobs_read(struct slot_jobs *out, const redisReply *r)
{
    *out = (struct slot_jobs){0};
    if (r == NULL || r->type != REDIS_REPLY_ARRAY)
        return;
    out->v = mem_array(NULL, r->elements + 1, sizeof *out->v);
    for (size_t i = 0; i < r->elements; i++)
        if (r->element[i]->type == REDIS_REPLY_ARRAY && read_row(&out->v[out->n], r->element[i]))
            out->n++;
}

void slot_jobs_free(struct slot_jobs *j)
{
    free(j->v);
    *j = (struct slot_jobs){0};
}

bool slot_job_is_over(const struct slot_job *j)
{
    return strcmp(j->state, "success") == 0 || strcmp(j->state, "failed") == 0 || strcmp(j->state, "cancelled") == 0;
}

bool slot_sets_touch(const struct slot_set *a, const struct slot_set *b)
{
    for (size_t i = 0; i < sizeof a->bits; i++)
        if ((a->bits[i] & b->bits[i]) != 0)
            return true;
    return false;
}
