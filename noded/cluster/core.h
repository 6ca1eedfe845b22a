/* The bus of a cluster as one node sees it: who is there, who is down, who owns which slot, who is elected. Pure: state
 * and event and time in, effects out. One core is one node. Reference: cluster-bus; rules: B1-B4 of DESIGN, section 5.
 *
 * How a world drives it (the shell in the daemon, the simulator in tests):
 *
 *  - cl_core_new(), then cl_core_load() with the text of nodes.conf if there is one, then a first cl_step() with TIME.
 *    The first step asks for the PERSIST of what is new (the node's own id), and tells the data side its role (FOLLOW;
 *    a master hears nothing: it is one).
 *  - The effects of a step are done in their order before the next step. SEND appends to the link's stream; streams
 *    are in order, and end with LINK_DOWN or DISCONNECT. The receiving side cuts its stream into messages with
 *    cl_wire_length() (-1: close the link and tell LINK_DOWN), and gives each as a MESSAGE. Messages on a link that
 *    CONNECT made come back on the same link; on one that was ACCEPTED the core answers there.
 *  - PERSIST: the text reaches the disk or not, whole. PERSISTED n: all of it up to n will be read back after any
 *    crash. A restart begins with cl_core_load() of the newest text that is on the disk, which may be one whose
 *    PERSISTED was never told.
 *  - cl_deadline() is the one timer: a TIME event is due then, in the same clock as now_us. Late is allowed, but a
 *    node that is late by a large part of NT takes others' silence for its own: it marks nobody as failing at once.
 *  - Facts come in every event as they are at that time. FOLLOW and PROMOTE change what they mean: after FOLLOW,
 *    link_up is false and old_since_us -1 until the data of the new master is in (a replica that only changes to
 *    another master of the same data may keep the time at which it lost the old one); after PROMOTE they do not matter.
 *  - What is read (describe.h, redirect.h, the functions below) may be read at any time between steps.
 *
 * What is durable (epochs, the last vote, who we are, our slots and our role) is told to nobody before PERSISTED: the
 * header of every message is made from the copy that is known to be on disk, and votes, requests for votes and
 * promotions wait for it. */
#ifndef CLUSTER_CORE_H
#define CLUSTER_CORE_H

#include "noded/cluster/effect.h"
#include "noded/cluster/event.h"

struct cl_core;

struct cl_options {
    uint64_t seed; /* of ids, jitter, hash tables. Never the same for two nodes, nor for two lives of one. */
    struct cl_settings settings;
};

struct cl_core *cl_core_new(const struct cl_options *o, int64_t now_us, int64_t unix_ms);
void cl_core_free(struct cl_core *c);
/* Before the first step. false: the text is refused as a whole; *why says the line and the reason (the caller clears or
 * frees it). The core is then only good for cl_core_free(). */
bool cl_core_load(struct cl_core *c, struct slice nodes_conf, struct buf *why);
/* After cl_core_load(), before the first step: slots in which the loaded dataset holds keys. Those that nobody owns
 * become ours; those of others are opened as importing, as after a torn resharding. Returns how many were touched. */
size_t cl_core_claim(struct cl_core *c, const uint8_t *slots_with_keys);

/* What is not in a file yet, or on its way into one, although it is worth to be kept: the text of a whole file is
 * appended to out. For an end in good order; what had to be durable is so before. false: there is nothing. */
bool cl_core_unsaved(struct cl_core *c, struct buf *out);

/* Decides. Effects are appended to `out` in the order in which they are to be done. */
void cl_step(struct cl_core *c, const struct cl_event *e, struct cl_effects *out);
/* When cl_step() wants to be called with TIME at the latest. HEAP_NEVER: not by time. */
int64_t cl_deadline(const struct cl_core *c);

/* ---- what others ask ---- */
struct cl_id cl_my_id(const struct cl_core *c);
bool cl_is_master(const struct cl_core *c);
bool cl_ok(const struct cl_core *c);                 /* the cluster's state */
uint64_t cl_greatest_epoch(const struct cl_core *c); /* of the cluster and of all configurations that it has heard of */
/* Some member of this node's shard knows database 0 only (a stock node): SAFETY, section 7. *who (may be NULL): one. */
bool cl_shard_has_stock(const struct cl_core *c, struct cl_id *who);
bool cl_node_is_stock(const struct cl_core *c, const struct cl_id *id); /* false too for those not yet heard of */
/* Failure reports against a node that are valid now; -1: no such node. */
int64_t cl_failure_reports(const struct cl_core *c, struct slice id);
bool cl_owns_slot(const struct cl_core *c, int slot);
bool cl_slot_assigned(const struct cl_core *c, int slot); /* to whomever */

#endif
