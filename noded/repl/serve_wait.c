/* WAIT: a client waits until so many replicas have what it wrote. */
#include "common/base/mem.h"
#include "noded/cmd/block.h"
#include "noded/cmd/call.h"
#include "noded/repl/serve.h"

#include <stdlib.h>

struct nd_ack_wait {
    struct nd_session *s;
    const struct nd_command *cmd; /* of WAIT: the session waits for something else when its last command is another */
    int64_t offset;               /* behind its last write */
    int64_t replicas;             /* how many must have it */
};

static struct nd_ack_wait *find(struct nd_serving *v, const struct nd_session *s)
{
    for (size_t i = 0; i < v->waits_n; i++)
        if (v->waits[i].s == s)
            return &v->waits[i];
    return NULL;
}

void nd_serve_waits_forget(struct nd_serving *v, const struct nd_session *s)
{
    struct nd_ack_wait *w = find(v, s);
    if (w != NULL)
        *w = v->waits[--v->waits_n];
}

static void answer(struct nd_call *c)
{
    struct nd_serving *v = c->e->repl->serving;
    const struct nd_ack_wait *w = find(v, c->s);
    reply_int(c->r, (int64_t)nd_serve_count_acked(v, w != NULL ? w->offset : c->s->stream_offset));
    nd_serve_waits_forget(v, c->s);
}

void nd_serve_wait_command(struct nd_call *c)
{
    struct nd_serving *v = c->e->repl->serving;
    if (c->s->waiting != NULL) { /* it has waited, and enough of them have it */
        answer(c);
        return;
    }
    int64_t replicas, timeout_ms;
    if (c->e->is_replica) {
        nd_error(c,
                 "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica "
                 "is configured to be writable (which is not the default) writes to replicas are just local and are "
                 "not propagated.");
        return;
    }
    if (!nd_arg_i64(c, 1, &replicas))
        return;
    if (!nd_arg_range(c, 2, INT64_MIN, INT64_MAX, &timeout_ms, "ERR timeout is not an integer or out of range"))
        return;
    if (timeout_ms < 0) {
        nd_error(c, "ERR timeout is negative");
        return;
    }
    nd_serve_waits_forget(v, c->s); /* of a wait that CLIENT UNBLOCK ended */
    size_t have = nd_serve_count_acked(v, c->s->stream_offset);
    if ((int64_t)have >= replicas || !nd_may_block(c)) {
        reply_int(c->r, (int64_t)have);
        return;
    }
    v->waits = mem_grow(v->waits, v->waits_n, &v->waits_cap, sizeof *v->waits);
    v->waits[v->waits_n++] = (struct nd_ack_wait){
        .s = c->s, .cmd = c->cmd, .offset = c->s->stream_offset, .replicas = replicas};
    v->ask = true;
    nd_block(c, ND_STRING, NULL, 0, timeout_ms, answer);
}

void nd_serve_waits_look(struct nd_serving *v)
{
    for (size_t i = 0; i < v->waits_n;) {
        struct nd_ack_wait w = v->waits[i];
        bool still = w.s->waiting != NULL && w.s->last == w.cmd;
        if (still && (int64_t)nd_serve_count_acked(v, w.offset) < w.replicas) {
            i++;
            continue;
        }
        if (still)
            nd_wait_over(w.s);
        nd_serve_waits_forget(v, w.s);
    }
}
