/* What a node keeps of its supervisors, for the core's own files (lease.h says what follows from it). A membership is
 * one version of the list with what each of its members has said; a node has up to three: the one that counts, the one
 * that is on its way to the disk and will count then, and one that is heard of, but not by enough yet. */
#ifndef CLUSTER_SUPERVISION_H
#define CLUSTER_SUPERVISION_H

#include "noded/cluster/lease.h"

struct cl_node;

#define CL_VOICE_US (INT64_C(5) * 1000000)    /* so long a word of a supervisor counts for a new list, */
#define CL_RELEASE_US (INT64_C(60) * 1000000) /* and one for the release */

struct cl_voice {
    int64_t heard_us;         /* monotonic: its last word under this list; 0 none */
    int64_t first_us;         /* and its first one */
    int64_t after_us;         /* boot clock: it took back then what it had granted; no stamp up to it counts */
    int64_t begin_us, end_us; /* boot clock: of its grant; end_us 0: none */
    int64_t release_us;       /* monotonic: its last word for the release of this node; 0 none */
};

struct cl_membership {
    uint64_t version;
    int n;
    struct cl_voice voices[CL_SUPERVISORS_MAX]; /* by position */
    size_t list_n;
    char list[CL_SUPERVISORS_TEXT];
};

struct cl_supervision {
    uint64_t incarnation;
    uint64_t generation;           /* of what counts, or will once it is on disk */
    uint64_t told;                 /* the newest generation that was told to our replicas at once */
    uint64_t floor;                /* no grant of an epoch below it counts */
    struct cl_membership *counted; /* on disk; NULL: not supervised */
    struct cl_membership *next;    /* while moving: what will count. NULL: nothing, the node is released. */
    struct cl_membership *heard;   /* NULL: none */
    int64_t heard_us;              /* the last word for `heard` */
    int64_t longest_ms;            /* the longest grant that was ever heard of */
    bool moving;
    int64_t dropped_us; /* boot clock: what was granted up to then was forgotten, and does not come back */
    int64_t until_us;   /* cl_lease_until() */
    bool collision_told;
    uint64_t asked_epoch; /* somebody waits for our claim of slots of ours at this config epoch or above; 0 nobody */
};

/* speaker.c: lists as text */
bool cl_list_is_good(struct slice list, int *n);           /* 1 to CL_SUPERVISORS_MAX different addresses */
int cl_list_find(struct slice list, struct slice address); /* its position; -1 none */
struct slice cl_list_at(struct slice list, int position);

/* lease.c */
void cl_lease_init(struct cl_core *c, uint64_t seed);
void cl_lease_free(struct cl_core *c);
void cl_lease_command(struct cl_core *c, cl_token token, const struct cl_lease_ask *a);
void cl_lease_reset(struct cl_core *c); /* no supervisors any more, without a word */
void cl_release(struct cl_core *c, cl_token token, const struct cl_lease_ask *word); /* NULL: an operator's */
void cl_lease_run(struct cl_core *c);
void cl_lease_persisted(struct cl_core *c);
int64_t cl_lease_deadline(const struct cl_core *c);
bool cl_fenced(const struct cl_core *c); /* leases alone decide whether writes are taken: the list is on disk */
/* Neither elections nor votes: it counts a list, or is about to. */
bool cl_has_supervisors(const struct cl_core *c);
/* It raises no epoch by itself: so, or others of its cluster do, and it will be supervised soon. */
bool cl_epochs_by_ballot(const struct cl_core *c);
bool cl_leased(const struct cl_core *c); /* it is not fenced, or holds a lease now */
/* An unleased node claims nothing. true: the error was answered. */
bool cl_lacks_lease(struct cl_core *c, cl_token token);
/* The membership that a speaker speaks for. NULL: the error was answered. */
struct cl_membership *cl_speaker_heard(struct cl_core *c, cl_token token, const struct cl_speaker *s);
void cl_grant_take(struct cl_core *c, struct cl_membership *m, const struct cl_grant *g, uint64_t epoch);
void cl_lease_adopt(struct cl_core *c,
                    struct cl_membership *m); /* if it is only heard of, and enough grants are there */
void cl_lease_find(struct cl_core *c);        /* until when, anew */

/* inherit.c: what a master and its replicas tell each other of it, and nodes.conf */
void cl_membership_set(struct cl_core *c, struct cl_membership *next,
                       uint64_t generation); /* takes it; NULL: released */
struct cl_membership *cl_membership_new(uint64_t version, struct slice list);
bool cl_membership_is(const struct cl_membership *m, uint64_t version, struct slice list); /* m may be NULL: no list */
void cl_supervised_tell(struct cl_core *c); /* what is new: to our replicas, at once */
void cl_supervised_put(struct cl_core *c, struct buf *out, const struct cl_node *to);
void cl_supervised_told(struct cl_core *c, struct slice body, struct cl_node *sender);
void cl_supervised_write(const struct cl_core *c, struct buf *out);
const char *cl_supervised_read(struct cl_core *c, struct slice value); /* NULL: good; else what is wrong */

/* takeover.c */
void cl_takeover(struct cl_core *c, cl_token token, const struct cl_takeover *t);

#endif
