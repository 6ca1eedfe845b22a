#include "nodectl/slots/pair.h"

#include "common/base/mem.h"
#include "nodectl/slots/ask.h"

#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 5
#define AGAIN_MS 1000

struct picture_node *pair_from(const struct pair *l)
{
    return picture_by_id(l->p, l->from);
}

struct picture_node *pair_to(const struct pair *l)
{
    return picture_by_id(l->p, l->to);
}

void pair_batch_add(struct pair *l, const struct pair_batch *b)
{
    l->batches = mem_grow(l->batches, l->nbatches, &l->cap_batches, sizeof *l->batches);
    l->batches[l->nbatches++] = *b;
}

void pair_free(struct pair *l)
{
    for (size_t i = 0; i < l->nbatches; i++)
        freeReplyObject(l->batches[i].keys);
    freeReplyObject(l->compare.keys);
    free(l->batches);
    buf_free(&l->why);
    buf_free(&l->stuck_why);
    buf_free(&l->waits);
    buf_free(&l->waits_told);
}

void pair_fail(struct pair *l, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    buf_free(&l->why);
    l->why = text;
    l->phase = PAIR_FAILED;
}

void pair_again(struct pair *l)
{
    l->chunk = (struct slot_set){{0}};
    l->phase = ++l->failures > TRIES_MAX ? PAIR_FAILED : PAIR_WAITS;
    l->until_ms = fleet_now_ms() + AGAIN_MS;
}

/* ---- an atomic migration begins ---- */

static void begin_ask(struct pair *l)
{
    struct buf line = {0};
    struct picture_node *from = pair_from(l);
    if (from == NULL)
        return;
    buf_puts(&line, "CLUSTER MIGRATESLOTS SLOTSRANGE");
    for (unsigned first = 0, last; slot_set_range(&l->chunk, &first, &last); first = last + 1)
        buf_printf(&line, " %u %u", first, last);
    l->place[0] = ask_words(from->member, "%s NODE %s", buf_str(&line), l->to);
    buf_free(&line);
}

static void begin_take(struct pair *l)
{
    struct picture_node *from = pair_from(l);
    const redisReply *r = from != NULL ? ask_answer(from->member, l->place[0]) : NULL;
    if (r == NULL) {
        l->phase = PAIR_LOST;
    } else if (r->type != REDIS_REPLY_ERROR) {
        l->phase = PAIR_LOOKS;
    } else if (strstr(r->str, "use SETSLOT and MIGRATE") != NULL) {
        l->in_pieces = true;
        l->chunk = (struct slot_set){{0}};
        l->phase = PAIR_LOOKS;
    } else {
        buf_clear(&l->why);
        buf_puts(&l->why, r->str);
        pair_again(l);
    }
}

/* ---- it is cancelled ---- */

static void cancel_ask(struct pair *l)
{
    struct picture_node *from = pair_from(l);
    if (from != NULL)
        l->place[0] = ask_words(from->member, "CLUSTER CANCELSLOTMIGRATIONS");
}

/* Whatever is answered, what came of it is seen at the job. */
static void cancel_take(struct pair *l)
{
    struct picture_node *from = pair_from(l);
    const redisReply *r = from != NULL ? ask_answer(from->member, l->place[0]) : NULL;
    l->cancelled |= r != NULL && r->type != REDIS_REPLY_ERROR;
    l->phase = r != NULL ? PAIR_LOOKS : PAIR_LOST;
}

/* ---- a turn ---- */

/* Which part of a pair's work a phase is of. */
enum part { PART_NONE, PART_LOOK, PART_BEGIN, PART_CANCEL, PART_PIECES, PART_COMPARE, PART_DROP };

static enum part part_of(enum pair_phase phase)
{
    switch (phase) {
    case PAIR_LOOKS: return PART_LOOK;
    case PAIR_BEGINS: return PART_BEGIN;
    case PAIR_CANCELS: return PART_CANCEL;
    case PAIR_IMPORTS:
    case PAIR_PROBES:
    case PAIR_MIGRATES:
    case PAIR_READS:
    case PAIR_SENDS:
    case PAIR_CLAIMS:
    case PAIR_YIELDS:
    case PAIR_UNDOES: return PART_PIECES;
    case PAIR_COMPARES: return PART_COMPARE;
    case PAIR_DROPS: return PART_DROP;
    case PAIR_STANDS:
    case PAIR_WAITS:
    case PAIR_LOST:
    case PAIR_DONE:
    case PAIR_FAILED:
    case PAIR_STOPPED: break;
    }
    return PART_NONE;
}

void pair_ask(struct pair *l)
{
    if (l->phase == PAIR_WAITS && fleet_now_ms() >= l->until_ms)
        l->phase = PAIR_LOOKS;
    switch (part_of(l->phase)) {
    case PART_LOOK: look_ask(l); break;
    case PART_BEGIN: begin_ask(l); break;
    case PART_CANCEL: cancel_ask(l); break;
    case PART_PIECES: pieces_ask(l); break;
    case PART_COMPARE: same_ask(l); break;
    case PART_DROP: drop_ask(l); break;
    case PART_NONE: break;
    }
}

void pair_take(struct pair *l, bool stopping, unsigned *budget)
{
    switch (part_of(l->phase)) {
    case PART_LOOK: look_take(l, stopping, budget); break;
    case PART_BEGIN: begin_take(l); break;
    case PART_CANCEL: cancel_take(l); break;
    case PART_PIECES: pieces_take(l); break;
    case PART_COMPARE: same_take(l); break;
    case PART_DROP: drop_take(l); break;
    case PART_NONE: break;
    }
}
