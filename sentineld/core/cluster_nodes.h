/* What CLUSTER NODES of a node says. The parser is pure and takes any bytes: the text of stock nodes (Redis 7, Valkey)
 * and of `noded`, with a host name and auxiliary fields behind the address where there are some. */
#ifndef CORE_CLUSTER_NODES_H
#define CORE_CLUSTER_NODES_H

#include "common/base/addr.h"
#include "common/base/runid.h"

#define SN_SLOTS 16384
#define SN_NODES_LINES_MAX 16384

struct sn_slot_range {
    uint16_t first, last; /* both in it; 0-16383 */
};

enum sn_nodes_flag {
    SN_NODES_MYSELF = 1 << 0,
    SN_NODES_MASTER = 1 << 1,
    SN_NODES_REPLICA = 1 << 2,
    SN_NODES_PFAIL = 1 << 3,
    SN_NODES_FAIL = 1 << 4,
    SN_NODES_HANDSHAKE = 1 << 5, /* its id is not known yet: the one of the line was drawn */
    SN_NODES_NOADDR = 1 << 6,
    SN_NODES_NOFAILOVER = 1 << 7,
};

struct sn_nodes_line {
    runid id, master, shard; /* master: of a replica; shard: "" when the text has none */
    struct addr addr;        /* host "" and the port: a node that does not know its own; port 0: none at all */
    uint16_t bus_port;       /* 0: not told */
    unsigned flags;          /* enum sn_nodes_flag */
    uint64_t epoch;          /* config epoch; of a replica that of its master */
    bool connected;          /* of the teller's bus link */
    size_t range, nranges;   /* its slots: ranges[range..range + nranges) */
    unsigned nslots;
    unsigned nopen; /* slots that it is importing or migrating; told by the node itself only */
};

struct sn_nodes {
    struct sn_nodes_line *lines; /* owned, as ranges */
    size_t nlines;
    struct sn_slot_range *ranges;
    size_t nranges;
    size_t self; /* the line of the teller */
};

/* Reads a text. Lines that are none are skipped. Returns false, and leaves *out empty, when it does not hold exactly
 * one line of the teller itself: then nothing can be decided by it. */
bool sn_nodes_parse(struct sn_nodes *out, struct slice text);
/* The digest of what it says (common/base/view.h). */
uint64_t sn_nodes_view(const struct sn_nodes *n);
void sn_nodes_free(struct sn_nodes *n); /* what it owns */
/* The line of that id, or NULL. */
const struct sn_nodes_line *sn_nodes_find(const struct sn_nodes *n, const char *id);

#endif
