/* Many requests about keys to the masters of a cluster: each goes to the owner of its key's slot, many are under way at
 * once, and what a node answers about slots and leases is followed: MOVED, ASK, TRYAGAIN, CLUSTERDOWN. Binary safe.
 *
 * A connection that is lost ends it (unless `repeatable`), also when another node takes over: what the lost one has
 * acknowledged may be gone with it, and only who begins anew or compares can be sure. */
#ifndef NODECTL_DB_ROUTE_H
#define NODECTL_DB_ROUTE_H

#include "nodectl/cluster/picture.h"
#include "nodectl/db/node_link.h"

struct route_node;
struct route_request;

struct route {
    /* The caller's. */
    struct picture *picture; /* who owns what; looked at again when a node is gone */
    bool repeatable; /* a lost connection does not end it: what was not answered is sent again. For whoever compares
                        afterwards */
    /* An answer that is no redirection. key: as route_send() got it. false: the sending ends, and the reason is
     * appended to why. */
    bool (*answered)(void *owner, struct slice key, int64_t db, const redisReply *reply, struct buf *why);
    void *owner;
    struct buf error; /* why it ended: a clause that begins with who */
    /* route.c's */
    struct route_node *v;
    size_t n;
    int16_t at[SN_SLOTS];                     /* index in v; -1: nobody is known */
    struct route_request *later, **later_end; /* those that have to be sent again, after a pause */
    int64_t stuck_ms;                         /* since when nothing but pauses happened; 0: it goes on */
    struct buf why_later;                     /* who had no time for the last of them, and why */
};

/* picture, repeatable, answered and owner are set. */
void route_begin(struct route *r);
void route_free(struct route *r);
/* argv[key] is the key. May wait for answers to other requests first. false: it has ended, with error. */
bool route_send(struct route *r, int64_t db, size_t key, size_t argc, const struct slice *argv);
/* Waits until everything is answered. false: it has ended, with error; also after Ctrl-C. */
bool route_flush(struct route *r);

#endif
