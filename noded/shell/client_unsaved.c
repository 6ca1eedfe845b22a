/* Answers to what was executed and could not be written to the append-only file, or was executed too near to the end of
 * a lease: they must not say that it was done. */
#include "noded/shell/client.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/cluster.h"

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
static void put_errors(struct buf *out, struct slice answers, const char *error, const char *why)
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
            buf_printf(out, "-ERR Executed, but %s%s\r\n", error, why);
        if (!good)
            return;
    }
}

/* What such a client gets is not an answer, so none of it says that something was done. */
static bool only_hears(const struct client *c)
{
    const struct nd_session *s = c->session;
    return (nd_session_subscribed(s) && s->r.proto < 3) || (s->flags & ND_S_MONITOR) != 0;
}

/* The last n unsent bytes. Returns how many they are now. */
static size_t make_errors(struct client *c, size_t n, const char *error, const char *why)
{
    struct buf all = gather(c);
    struct buf kept = {0};
    size_t before = all.n - n;
    buf_put(&kept, all.p, before);
    put_errors(&kept, (struct slice){all.p + before, n}, error, why);
    size_t now = kept.n - before;
    buf_free(&all);
    replace(c, kept);
    return now;
}

size_t client_unsaved(struct client *c, size_t n)
{
    if (only_hears(c))
        return n;
    return make_errors(c, n, "not saved: the append-only file cannot be written: ", c->all->engine->guard_reason);
}

/* ---- leases ---- */

void client_wrote_leased(struct client *c)
{
    const struct nd_engine *e = c->all->engine;
    if (e->lease_until_us == INT64_MAX || (c->flags & CLIENT_LEASED) != 0)
        return;
    c->flags |= CLIENT_LEASED;
    c->lease_term = e->lease_term;
}

bool client_lease_is_over(struct client *c)
{
    const struct nd_engine *e = c->all->engine;
    if ((c->flags & CLIENT_LEASED) == 0 || (c->lease_term == e->lease_term && nd_leased(e)))
        return false;
    c->flags &= ~(unsigned)CLIENT_LEASED;
    if ((c->flags & CLIENT_AMIDST) != 0 || only_hears(c)) {
        client_kill(c, "its writes were executed under a lease that has ended, and it can't be told any more");
        return true;
    }
    client_unhold(c); /* an error waits for no disk */
    make_errors(c, client_unsent(c), "this master's lease ended before this answer could leave",
                ": another one may be there, and the change may be undone");
    return true;
}
