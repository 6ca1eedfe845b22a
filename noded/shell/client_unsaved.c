/* Answers to what was executed and could not be written to the append-only file: they must not say that it was done. */
#include "noded/shell/client.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

/* All that is unsent, in one buffer. */
static struct buf gather(const struct client *c)
{
    struct buf all = {0};
    size_t skip = c->sent;
    for (const struct client_chunk *k = c->chain; k != NULL; k = k->next) {
        buf_put(&all, k->bytes.p + skip, k->bytes.n - skip);
        skip = 0;
    }
    buf_put(&all, c->out.p + skip, c->out.n - skip);
    return all;
}

static void replace(struct client *c, struct buf all)
{
    struct client_chunk *k;
    while ((k = c->chain) != NULL) {
        c->chain = k->next;
        buf_free(&k->bytes);
        free(k);
    }
    c->chain_end = &c->chain;
    c->chain_bytes = c->chain_count = 0;
    buf_free(&c->out);
    c->out = all;
    c->sent = 0;
}

/* Takes one element from the front, and counts how many more belong to it. false: it is none. */
static bool take_element(struct slice *in, size_t *more)
{
    int64_t n = 0;
    char type = in->p[0];
    struct slice line = slice_cut(in, '\n');
    if (line.n < 2)
        return false;
    bool counted = strchr("$=!*~>%|", type) != NULL;
    if (counted && !text_i64((struct slice){line.p + 1, line.n - 2}, &n))
        return false;
    if (n <= 0 || !counted)
        return true;
    if (strchr("*~>", type) != NULL) {
        *more += (size_t)n;
    } else if (type == '%' || type == '|') {
        *more += 2 * (size_t)n + (type == '|');
    } else if (in->n >= (size_t)n + 2) {
        in->p += n + 2;
        in->n -= (size_t)n + 2;
    } else {
        return false;
    }
    return true;
}

/* An error for each answer; what was pushed to the client is none. */
static void put_errors(struct buf *out, struct slice answers, const char *why)
{
    while (answers.n > 0) {
        struct slice one = answers;
        size_t more = 1;
        bool pushed = answers.p[0] == '>', good = true;
        while (more > 0 && good && answers.n > 0) {
            more--;
            good = take_element(&answers, &more);
        }
        if (pushed)
            buf_put(out, one.p, one.n - answers.n);
        else
            buf_printf(out, "-ERR Executed, but not saved: the append-only file cannot be written: %s\r\n", why);
        if (!good)
            return;
    }
}

size_t client_unsaved(struct client *c, size_t n)
{
    /* What such a client gets is not an answer, so none of it says that something was done. */
    bool hears = nd_session_subscribed(c->session) && c->session->r.proto < 3;
    if (hears || (c->session->flags & ND_S_MONITOR) != 0)
        return n;
    struct buf all = gather(c);
    struct buf kept = {0};
    size_t before = all.n - n;
    buf_put(&kept, all.p, before);
    put_errors(&kept, (struct slice){all.p + before, n}, c->all->engine->guard_reason);
    size_t now = kept.n - before;
    buf_free(&all);
    replace(c, kept);
    return now;
}
