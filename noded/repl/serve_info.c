/* INFO replication. */
#include "noded/cmd/info.h"
#include "noded/repl/extension.h"
#include "noded/repl/failover.h"
#include "noded/repl/follow.h"

#include <inttypes.h>

static void replicas(struct nd_info *i, const struct nd_serving *v)
{
    const struct nd_config *config = &i->e->config;
    struct buf address = {0};
    size_t n = 0;
    buf_printf(i->out, "connected_slaves:%zu\r\n", v->count);
    if (config->min_replicas_to_write > 0 && config->min_replicas_max_lag_s > 0)
        buf_printf(i->out, "min_slaves_good_slaves:%zu\r\n", nd_serve_count_good(v));
    for (const struct nd_replica *p = v->first; p != NULL; p = p->next) {
        buf_clear(&address);
        nd_serve_address(p, &address);
        if (address.n == 0)
            continue;
        buf_printf(i->out, "slave%zu:ip=%s,port=%" PRId64 ",state=%s,offset=%" PRId64 ",lag=%" PRId64 "\r\n", n++,
                   buf_str(&address), p->port, nd_serve_state_name(p), p->ack,
                   p->state == ND_REPLICA_ONLINE ? nd_serve_lag_s(p) : 0);
    }
    buf_free(&address);
}

void nd_serve_info(struct nd_info *i)
{
    const struct nd_repl *r = i->e->repl;
    const struct nd_backlog *b = r->backlog;
    buf_printf(i->out, "# Replication\r\nrole:%s\r\n", i->e->is_replica ? "slave" : "master");
    nd_follow_info(r, i->out);
    if (nd_keyspace_emptied(&i->e->keys)) /* no other server tells it: what the guard of its replicas waits for */
        buf_puts(i->out, "dataset_emptied:1\r\n");
    replicas(i, r->serving);
    buf_printf(i->out,
               "master_failover_state:%s\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\nmaster_repl_offset:%" PRId64
               "\r\nsecond_repl_offset:%" PRId64 "\r\nrepl_backlog_active:%d\r\nrepl_backlog_size:%" PRId64
               "\r\nrepl_backlog_first_byte_offset:%" PRId64 "\r\nrepl_backlog_histlen:%" PRId64 "\r\n",
               nd_failover_state_name(r), r->id, r->id2, r->offset, r->id2_offset, b != NULL,
               i->e->config.repl_backlog_size, b != NULL ? nd_backlog_first(b) : 0,
               b != NULL ? nd_backlog_end(b) + 1 - nd_backlog_first(b) : 0);
}
