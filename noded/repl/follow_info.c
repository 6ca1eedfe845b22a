/* What INFO and ROLE say of whom this node follows. */
#include "noded/repl/follow_state.h"

#include <inttypes.h>

static int64_t seconds_since(const struct nd_following *f, int64_t at_us)
{
    return at_us >= 0 ? (f->r->e->now_us - at_us) / 1000000 : -1;
}

static bool syncs(const struct nd_following *f)
{
    return f->state == ND_FOLLOW_RECEIVING || f->state == ND_FOLLOW_FLUSHING || f->state == ND_FOLLOW_LOADING;
}

static void put_sync(const struct nd_following *f, struct buf *out)
{
    const struct nd_payload_in *in = &f->in;
    int64_t total = in->length > 0 ? in->length : in->head_seen ? 0 : -1;
    buf_printf(out,
               "master_sync_total_bytes:%" PRId64 "\r\nmaster_sync_read_bytes:%" PRId64
               "\r\nmaster_sync_left_bytes:%" PRId64
               "\r\nmaster_sync_perc:%.2f\r\nmaster_sync_last_io_seconds_ago:%" PRId64 "\r\n",
               total, in->got, total - in->got, total > 0 ? (double)in->got * 100 / (double)total : 0.0,
               seconds_since(f, f->heard_us));
}

/* What no other server tells: why it does not follow. */
static void put_obstacles(const struct nd_following *f, struct buf *out)
{
    if (f->guarded[0] != '\0')
        buf_printf(out, "master_sync_guarded:%s\r\n", f->guarded);
    if (f->state == ND_FOLLOW_STOPPED)
        buf_printf(out, "master_stream_stopped:%.*s\r\n", (int)f->stopped.n, f->stopped.p);
    if (f->divergences > 0)
        buf_printf(out, "master_stream_divergences:%" PRId64 "\r\n", f->divergences);
}

void nd_follow_info(const struct nd_repl *r, struct buf *out)
{
    const struct nd_following *f = r->following;
    if (f == NULL || f->state == ND_FOLLOW_NOBODY)
        return;
    const struct nd_config *config = &r->e->config;
    bool up = nd_follow_is_up(r);
    buf_printf(out,
               "master_host:%s\r\nmaster_port:%d\r\nmaster_link_status:%s\r\nmaster_last_io_seconds_ago:%" PRId64
               "\r\nmaster_sync_in_progress:%d\r\nslave_read_repl_offset:%" PRId64 "\r\nslave_repl_offset:%" PRId64
               "\r\n",
               f->host_name, f->port, up ? "up" : "down", up ? seconds_since(f, f->heard_us) : -1, syncs(f),
               r->offset + (int64_t)f->held.n + f->unread, r->offset);
    if (syncs(f))
        put_sync(f, out);
    if (!up)
        buf_printf(out, "master_link_down_since_seconds:%" PRId64 "\r\n",
                   f->down_since_ms > 0 ? (r->e->now_ms - f->down_since_ms) / 1000 : -1);
    put_obstacles(f, out);
    buf_printf(out, "slave_priority:%" PRId64 "\r\nslave_read_only:%d\r\nreplica_announced:%d\r\n",
               config->replica_priority, config->replica_read_only, config->replica_announced);
}

void nd_follow_role(const struct nd_repl *r, struct reply *reply)
{
    reply_array(reply, 5);
    reply_bulks(reply, "slave");
    reply_bulks(reply, nd_follow_host_name(r));
    reply_int(reply, nd_follow_port(r));
    reply_bulks(reply, nd_follow_state_name(r));
    reply_int(reply, nd_follow_is_up(r) ? r->offset : -1);
}
