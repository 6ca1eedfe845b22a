/* The bytes of a snapshot as the master sends them: where the file in them begins and ends, and whether it is whole. */
#include "noded/repl/follow_state.h"

#include "common/base/text.h"
#include "noded/store/dump.h"

#include <string.h>

#define PIECE_BYTES ((size_t)64 * 1024)

/* ---- bytes of the file ---- */

/* The checksum is of everything but the last eight bytes. */
static void add_to_checksum(struct nd_payload_in *in, const char *p, size_t n)
{
    if (n >= ND_FOLLOW_TAIL) {
        in->crc = nd_crc64(in->crc, in->tail, in->tail_n);
        in->crc = nd_crc64(in->crc, p, n - ND_FOLLOW_TAIL);
        memcpy(in->tail, p + n - ND_FOLLOW_TAIL, ND_FOLLOW_TAIL);
        in->tail_n = ND_FOLLOW_TAIL;
        return;
    }
    size_t over = in->tail_n + n > ND_FOLLOW_TAIL ? in->tail_n + n - ND_FOLLOW_TAIL : 0;
    in->crc = nd_crc64(in->crc, in->tail, over);
    memmove(in->tail, in->tail + over, in->tail_n - over);
    memcpy(in->tail + in->tail_n - over, p, n);
    in->tail_n += n - over;
}

/* As it was sent, as far as can be known: a master may leave the checksum out. */
static bool is_whole(struct nd_payload_in *in)
{
    uint64_t said = 0;
    for (size_t i = 0; i < ND_FOLLOW_TAIL; i++)
        said |= (uint64_t)(unsigned char)in->tail[i] << (8 * i);
    in->verified = in->tail_n == ND_FOLLOW_TAIL && said != 0 && said == in->crc;
    return in->verified || (in->tail_n == ND_FOLLOW_TAIL && said == 0);
}

/* false: the transfer has ended, badly. */
static bool put_file(struct nd_following *f, const char *p, size_t n)
{
    struct nd_payload_in *in = &f->in;
    struct buf why = {0};
    add_to_checksum(in, p, n);
    bool ok = f->host.file_write(f->host.owner, p, n, &why);
    if (!ok)
        nd_payload_failed(f, buf_str(&why));
    buf_free(&why);
    return ok;
}

static bool put_reader(struct nd_following *f, const char *p, size_t n)
{
    struct slice piece = {p, n};
    enum nd_rdb_status st = f->in.done ? ND_RDB_DONE : nd_rdb_feed(f->in.reader, &piece, 0);
    if (st == ND_RDB_BAD) {
        nd_payload_unreadable(f);
        return false;
    }
    nd_payload_progress(f);
    f->in.done = st == ND_RDB_DONE;
    if (f->in.done && piece.n > 0) {
        nd_payload_failed(f, "there is more than a dataset in it");
        return false;
    }
    return true;
}

static bool put(struct nd_following *f, const char *p, size_t n)
{
    if (n == 0)
        return true;
    f->in.got += (int64_t)n;
    return f->in.take == ND_TAKE_FILE ? put_file(f, p, n) : put_reader(f, p, n);
}

static void received(struct nd_following *f)
{
    struct nd_payload_in *in = &f->in;
    if (in->take != ND_TAKE_FILE) {
        if (in->done)
            nd_payload_loaded(f);
        else
            nd_payload_failed(f, "it ends too early");
        return;
    }
    if (!is_whole(in)) {
        nd_payload_failed(f, "its checksum is wrong: it was damaged on its way");
        return;
    }
    nd_follow_enter(f, ND_FOLLOW_FLUSHING);
    f->host.file_flush(f->host.owner);
}

/* ---- bytes of the link ---- */

/* The place of the mark, or n. */
static size_t find_mark(const struct nd_payload_in *in, const char *p, size_t n)
{
    const char *at = p;
    while (n - (size_t)(at - p) >= ND_FOLLOW_MARK &&
           (at = memchr(at, in->mark[0], n - (size_t)(at - p) - ND_FOLLOW_MARK + 1)) != NULL) {
        if (memcmp(at, in->mark, ND_FOLLOW_MARK) == 0)
            return (size_t)(at - p);
        at++;
    }
    return n;
}

static void take_marked(struct nd_following *f, struct slice *in)
{
    struct buf *held = &f->in.held;
    size_t n = in->n < PIECE_BYTES ? in->n : PIECE_BYTES;
    buf_put(held, in->p, n);
    size_t at = find_mark(&f->in, held->p, held->n);
    if (at < held->n) {
        size_t behind = held->n - at - ND_FOLLOW_MARK;
        *in = (struct slice){in->p + n - behind, in->n - n + behind};
        if (put(f, held->p, at))
            received(f);
        return;
    }
    *in = (struct slice){in->p + n, in->n - n};
    size_t sure = held->n >= ND_FOLLOW_MARK ? held->n - ND_FOLLOW_MARK + 1 : 0;
    if (put(f, held->p, sure))
        buf_drop(held, sure);
}

static void take_counted(struct nd_following *f, struct slice *in)
{
    size_t n = in->n < PIECE_BYTES ? in->n : PIECE_BYTES;
    int64_t left = f->in.length - f->in.got;
    if ((int64_t)n > left)
        n = (size_t)left;
    const char *p = in->p;
    *in = (struct slice){in->p + n, in->n - n};
    if (put(f, p, n) && f->in.got == f->in.length)
        received(f);
}

static void take_head(struct nd_following *f, struct slice *in)
{
    const char *nl = memchr(in->p, '\n', in->n);
    size_t n = nl != NULL ? (size_t)(nl - in->p) : in->n;
    buf_put(&f->line, in->p, n);
    *in = (struct slice){in->p + n + (nl != NULL), in->n - n - (nl != NULL)};
    if (nl == NULL && f->line.n <= ND_FOLLOW_LINE_MAX)
        return;
    struct slice line = slice_trim(buf_slice(&f->line));
    int64_t length;
    bool good = true, marked = line.n == 5 + ND_FOLLOW_MARK && memcmp(line.p, "$EOF:", 5) == 0;
    if (marked)
        memcpy(f->in.mark, line.p + 5, ND_FOLLOW_MARK);
    else if (line.n > 1 && line.p[0] == '$' &&
             text_range((struct slice){line.p + 1, line.n - 1}, 1, INT64_MAX, &length))
        f->in.length = length;
    else
        good = line.n == 0 && nl != NULL; /* the master lives, and is not ready yet */
    bool begins = good && line.n > 0;
    if (!good) {
        struct buf why = {0};
        buf_puts(&why, "it said ");
        text_quote(&why, line, 200);
        nd_payload_failed(f, buf_str(&why));
        buf_free(&why);
    }
    buf_clear(&f->line);
    if (begins)
        nd_payload_open(f);
}

bool nd_payload_bytes(struct nd_following *f, struct slice *in, int64_t until_us)
{
    const struct nd_host *host = &f->r->e->host;
    while (in->n > 0 && f->state == ND_FOLLOW_RECEIVING) {
        if (!f->in.head_seen)
            take_head(f, in);
        else if (f->in.length < 0)
            take_marked(f, in);
        else
            take_counted(f, in);
        if (in->n > 0 && until_us != HEAP_NEVER && host->clock_us(host->owner) >= until_us)
            break;
    }
    return in->n > 0 && f->state == ND_FOLLOW_RECEIVING;
}
