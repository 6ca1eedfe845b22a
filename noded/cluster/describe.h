/* The cluster in the words of CLUSTER NODES, INFO, SLOTS, SHARDS and LINKS. Nothing here changes anything.
 *
 * Rows are walked over; what is made of them may be kept as long as cl_version() stays the same: it goes up with every
 * change of what the rows say, but not with the times of pings. */
#ifndef CLUSTER_DESCRIBE_H
#define CLUSTER_DESCRIBE_H

#include "noded/cluster/core.h"

uint64_t cl_version(const struct cl_core *c);

void cl_nodes_text(const struct cl_core *c, struct buf *out); /* CLUSTER NODES: a line for each */
/* The digest of that text (common/base/view.h). */
uint64_t cl_view(const struct cl_core *c);
/* CLUSTER REPLICAS: the lines of a master's replicas, each in order; next one: *it from 0 on. */
bool cl_next_replica_line(const struct cl_core *c, const struct cl_id *master, size_t *it, struct buf *out);
/* CLUSTER INFO, with \r\n; its last line, of the buffers of links, is the program's. ok: the state that it tells, which
 * is cl_ok() but for a supervised master without a lease: only its clock knows that. */
void cl_info_text(const struct cl_core *c, bool ok, struct buf *out);

struct cl_member {
    struct cl_id id, master, shard; /* none: no master, unknown shard */
    const char *ip, *hostname;      /* "" unknown, none; good until the next step */
    uint16_t port, bus_port;
    bool me, is_master, failing, suspected, handshake;
    uint64_t offset, config_epoch;
    int slots;
    int64_t ping_ms, pong_ms; /* Unix; ping_ms 0: none is without answer */
    size_t number;            /* for cl_next_range_of() */
};
bool cl_next_member(const struct cl_core *c, size_t *it, struct cl_member *out); /* *it from 0 on */
bool cl_find_member(const struct cl_core *c, struct slice id, struct cl_member *out);

struct cl_range {
    int first, last; /* slots */
    size_t owner;    /* cl_member.number */
};
/* Ranges with one owner, ascending; *at from 0 on. Slots without owner are left out. */
bool cl_next_range(const struct cl_core *c, int *at, struct cl_range *out);
bool cl_next_range_of(const struct cl_core *c, size_t owner, int *at, struct cl_range *out);
bool cl_member_at(const struct cl_core *c, size_t number, struct cl_member *out);

struct cl_link_row {
    cl_link link; /* the shell knows its buffers */
    bool outgoing;
    struct cl_id node;
    int64_t since_ms; /* Unix */
};
bool cl_next_link(const struct cl_core *c, size_t *it, struct cl_link_row *out);

/* Where clients are sent: the setting cluster-preferred-endpoint-type decides between address, host name ("?" when it
 * has none) and nothing. Appends it without port. */
void cl_put_endpoint(const struct cl_core *c, struct buf *out, const struct cl_member *m);

#endif
