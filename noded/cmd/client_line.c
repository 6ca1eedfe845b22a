#include "noded/cmd/client_line.h"

#include "noded/cmd/multi.h"

#include <inttypes.h>

enum nd_client_type nd_client_type(const struct nd_session *s)
{
    if (s->kind == ND_MASTER)
        return ND_TYPE_MASTER;
    if (s->kind == ND_REPLICA)
        return ND_TYPE_REPLICA;
    return nd_session_subscribed(s) ? ND_TYPE_PUBSUB : ND_TYPE_NORMAL;
}

enum nd_client_type nd_client_type_named(struct slice name)
{
    if (slice_ieq(name, "normal"))
        return ND_TYPE_NORMAL;
    if (slice_ieq(name, "slave") || slice_ieq(name, "replica"))
        return ND_TYPE_REPLICA;
    if (slice_ieq(name, "pubsub"))
        return ND_TYPE_PUBSUB;
    return slice_ieq(name, "master") ? ND_TYPE_MASTER : ND_TYPE_UNKNOWN;
}

static void put_flags(const struct nd_session *s, struct buf *out)
{
    static const struct {
        uint32_t flag;
        char letter;
    } rows[] = {{ND_S_MULTI, 'x'},    {0, 'b'},          {ND_S_DIRTY_CAS, 'd'},
                {ND_S_CLOSING, 'c'},  {ND_S_UNIX, 'U'},  {ND_S_READONLY, 'r'},
                {ND_S_NO_EVICT, 'e'}, {ND_S_IMPORT, 'i'}};
    size_t before = out->n;
    if ((s->flags & ND_S_MONITOR) != 0)
        buf_putc(out, 'O');
    else if (s->kind == ND_REPLICA)
        buf_putc(out, 'S');
    if (s->kind == ND_MASTER)
        buf_putc(out, 'M');
    if (nd_session_subscribed(s))
        buf_putc(out, 'P');
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].flag != 0 ? (s->flags & rows[i].flag) != 0 : s->waiting != NULL || (s->flags & ND_S_POSTPONED) != 0)
            buf_putc(out, rows[i].letter);
    if (out->n == before)
        buf_putc(out, 'N');
}

void nd_client_line(const struct nd_session *s, struct buf *out)
{
    const struct nd_engine *e = s->e;
    struct nd_client_buffers b = {.events = "r"};
    e->host.client_buffers(e->host.owner, s, &b);
    size_t multi = s->multi != NULL ? s->multi->memory : 0;
    buf_printf(out, "id=%" PRIu64 " addr=%s laddr=%s fd=%d name=%s age=%" PRId64 " idle=%" PRId64 " flags=", s->id,
               s->addr, s->laddr, s->fd, s->name != NULL ? s->name : "", (e->now_ms - s->created_ms) / 1000,
               (e->now_ms - s->active_ms) / 1000);
    put_flags(s, out);
    buf_printf(out, " db=%d sub=%zu psub=%zu ssub=%zu multi=%d", nd_db_seen_number(s->db), s->channels.used,
               s->patterns.used, s->shard_channels.used,
               (s->flags & ND_S_MULTI) == 0 ? -1
               : s->multi != NULL           ? (int)s->multi->n
                                            : 0);
    buf_printf(out,
               " qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=%zu rbs=%zu rbp=%zu obl=%zu oll=%zu omem=%zu tot-mem=%zu"
               " events=%s cmd=%s user=default redir=-1 resp=%d",
               b.query, b.query_free, multi, b.output, b.output, b.output_list > 0 ? 0 : b.output, b.output_list,
               b.output_list > 0 ? b.output : 0, b.total + multi, b.events,
               s->last != NULL ? nd_command_full_name(e, s->last) : "NULL", s->r.proto);
    /* Newer than 7.0, and shown only where a client asked for it. */
    if (s->lib_name != NULL || s->lib_ver != NULL)
        buf_printf(out, " lib-name=%s lib-ver=%s", s->lib_name != NULL ? s->lib_name : "",
                   s->lib_ver != NULL ? s->lib_ver : "");
    buf_putc(out, '\n');
}
