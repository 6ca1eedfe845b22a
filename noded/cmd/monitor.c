#include "noded/cmd/monitor.h"

#include "noded/cmd/engine.h"

/* A word between quotes, with what is not printable as an escape. */
static void put_word(struct buf *out, struct slice s)
{
    static const char escapes[] = "\nn\rr\tt\aa\bb\"\"\\\\";
    buf_puts(out, " \"");
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        const char *at = escapes;
        while (*at != '\0' && (unsigned char)*at != ch)
            at += 2;
        if (*at != '\0') {
            buf_putc(out, '\\');
            buf_putc(out, at[1]);
        } else if (ch < 0x20 || ch > 0x7e) {
            buf_printf(out, "\\x%02x", (unsigned)ch);
        } else {
            buf_putc(out, (char)ch);
        }
    }
    buf_putc(out, '"');
}

static void put_line(struct buf *out, const struct nd_call *c)
{
    const struct nd_engine *e = c->e;
    int64_t unix_us = e->turn_ms * 1000 + (e->now_us - e->turn_us);
    buf_printf(out, "+%lld.%06lld [%d %s%s]", (long long)(unix_us / 1000000), (long long)(unix_us % 1000000),
               nd_db_seen_number(c->s->db), (c->s->flags & ND_S_UNIX) != 0 ? "unix:" : "", c->s->addr);
    for (size_t i = 0; i < c->argc; i++)
        put_word(out, nd_is_redacted(c->redacted, i) ? slice_of("(redacted)") : c->argv[i]);
    buf_puts(out, "\r\n");
}

void nd_monitor_feed(const struct nd_call *c)
{
    struct nd_engine *e = c->e;
    if ((c->cmd->flags & (ND_SKIP_MONITOR | ND_ADMIN)) != 0 || c->ready_key.p != NULL || c->ended != NULL || e->loading)
        return;
    struct buf line = {0};
    put_line(&line, c);
    for (struct nd_session *s = e->monitors; s != NULL; s = s->next_monitor) {
        buf_put(s->r.out, line.p, line.n);
        e->host.wake(e->host.owner, s);
    }
    buf_free(&line);
}

void nd_monitor_start(struct nd_session *s)
{
    if ((s->flags & ND_S_MONITOR) != 0)
        return;
    s->flags |= ND_S_MONITOR;
    s->next_monitor = s->e->monitors;
    s->e->monitors = s;
}

void nd_monitor_stop(struct nd_session *s)
{
    if ((s->flags & ND_S_MONITOR) == 0)
        return;
    s->flags &= ~(uint32_t)ND_S_MONITOR;
    struct nd_session **place = &s->e->monitors;
    while (*place != s)
        place = &(*place)->next_monitor;
    *place = s->next_monitor;
}
