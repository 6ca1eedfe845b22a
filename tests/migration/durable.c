/* A nodes.conf, as far as rules look at it: read by a parser of its own. */
#include "tests/migration/host.h"

#include <string.h>

#include "common/base/text.h"

static struct slice word(struct slice *rest)
{
    return slice_cut(rest, ' ');
}

static bool has_flag(struct slice flags, const char *name)
{
    while (flags.n > 0)
        if (slice_is(slice_cut(&flags, ','), name))
            return true;
    return false;
}

static void read_slots(struct slice rest, uint8_t *slots)
{
    while (rest.n > 0) {
        struct slice range = word(&rest), first = slice_cut(&range, '-');
        uint64_t from, to;
        if (!text_u64(first, &from)) /* an open one: [slot->-id] */
            continue;
        to = from;
        if (range.n > 0 && !text_u64(range, &to))
            continue;
        for (uint64_t s = from; s <= to && s < CL_SLOTS; s++)
            cl_bit_set(slots, (int)s);
    }
}

static bool read_own_line(struct slice line, struct durable *out)
{
    struct slice id = word(&line);
    word(&line); /* address */
    struct slice flags = word(&line), master = word(&line);
    word(&line);
    word(&line); /* PING and PONG */
    struct slice epoch = word(&line);
    word(&line); /* connected or not */
    if (!has_flag(flags, "myself"))
        return false;
    out->replica = has_flag(flags, "slave");
    cl_id_parse(id, &out->id);
    cl_id_parse(master, &out->master);
    text_u64(epoch, &out->config_epoch);
    read_slots(line, out->slots);
    return true;
}

static void read_record(struct slice value, struct durable *out)
{
    uint64_t taking;
    if (out->nrecords == DURABLE_RECORDS)
        return;
    struct durable_record *r = &out->records[out->nrecords++];
    cl_id_parse(slice_cut(&value, ','), &r->job);
    slice_cut(&value, ','); /* source and target */
    slice_cut(&value, ',');
    r->taking = text_u64(slice_cut(&value, ','), &taking) && taking != 0;
    text_u64(slice_cut(&value, ','), &r->epoch);
}

static void read_swap(struct slice value, struct durable *out)
{
    uint64_t aborted;
    slice_cut(&value, ','); /* the databases */
    slice_cut(&value, ',');
    text_u64(slice_cut(&value, ','), &out->swap_epoch);
    out->swap_aborted = text_u64(value, &aborted) && aborted != 0;
}

bool durable_read(struct slice text, struct durable *out)
{
    bool found = false;
    memset(out, 0, sizeof *out);
    while (text.n > 0) {
        struct slice line = slice_cut(&text, '\n');
        if (line.n > 5 && memcmp(line.p, "vars ", 5) == 0) {
            word(&line);
            while (line.n > 0) {
                struct slice name = word(&line), value = word(&line);
                if (slice_is(name, "currentEpoch"))
                    text_u64(value, &out->current_epoch);
                else if (slice_is(name, "lastVoteEpoch"))
                    text_u64(value, &out->last_vote_epoch);
                else if (slice_is(name, "stateVersion"))
                    text_u64(value, &out->state_version);
                else if (slice_is(name, "refusedEpoch"))
                    text_u64(value, &out->refused_epoch);
                else if (slice_is(name, "record"))
                    read_record(value, out);
                else if (slice_is(name, "swap"))
                    read_swap(value, out);
            }
        } else if (read_own_line(line, out)) {
            found = true;
        }
    }
    return found;
}
