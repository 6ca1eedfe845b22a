/* The cluster of fleet_lab.h under leases: its nodes answer LEASE, and the two other supervisors on the list answer
 * too. All of them do what a test sets here; only times and grants are as the core made them. */
#ifndef TESTS_LEASE_LAB_H
#define TESTS_LEASE_LAB_H

#include "tests/unit/core/fleet_lab.h"

#define LEASE_MS 200
#define LEASE_LIST "10.0.0.7:26379,10.0.0.8:26379,10.0.0.9:26379"
#define PEERS 2
#define FIRST "2310d2c1" /* its nodes are 0 and 3 */
#define SECOND "23a4c6f0"

struct lease_node {
    uint64_t incarnation;
    int64_t clock_us;           /* ahead of ours */
    int64_t lease_ms;           /* what it says that it has left: -1 it is not supervised */
    const char *error;          /* to LEASE, instead of an answer */
    const char *stale;          /* to LEASE of a list whose version is not above the one that it counts */
    bool deaf;                  /* LEASE gets no answer */
    bool empty;                 /* INFO and LEASE say that it holds no key, and has a history of its own */
    bool emptied;               /* the same, in the history that it has always had, */
    bool word;                  /* and it tells that it was emptied */
    const char *guarded;        /* a replica: it does not let this history of its master in; NULL: it follows */
    const char *refuses_accept; /* the error that ACCEPT gets */
    bool no_return;             /* RETURN gets no answer */
    bool in_the_dark;           /* what its master has promised, it may not know */
    uint64_t version;           /* of the list that it counts */
    unsigned freed; /* how often it was told that it is nobody's any more; the others tell it at the first time, */
    bool holds_on;  /* or never */
    uint64_t mapping, prepared, ballot; /* of swaps of databases */
    uint64_t request;                   /* a client wants databases 1 and 2 swapped; 0: none does */
    bool own_epoch;                     /* TAKEOVER EPOCH takes the epoch that it says; otherwise it is refused */
    uint64_t wants_epoch;
    int64_t migrating;
    /* what it was told last */
    unsigned asked, granted;
    uint64_t epoch;
    struct sn_stamp stamp;
};

struct lease_peer {
    bool up, sees_down, votes;
    bool silent;         /* no answer to ballots */
    const char *refuses; /* to give a cluster up, or to take it on: this error */
    bool says_down;
};

struct lease_lab {
    struct lease_node nodes[LAB_NODES];
    struct lease_peer peers[PEERS];
    bool views;          /* nodes tell digests of what they know */
    struct buf takeover; /* "7004 <epoch> <lineage> <speaker> <grant> ..." of the last one */
};

extern struct lease_lab lease;

struct lease_begin {
    bool empty_state, supervised, no_fleet, views;
    uint64_t version;
    bool counted;
    struct sn_swap swap;
    const char *swap_lists;
};

/* Nothing has run yet. */
void lease_begin(const struct lease_begin *o);
/* All nodes are supervised, their masters hold leases, and nothing has happened since. */
void lease_adopted(void);
int lease_end(void **state);
const struct sn_group *lease_first(void); /* the first shard */
void lease_peers_see(bool down);          /* the master, from now on */
/* What nodes are asked and granted is counted from now on, and the logs begin anew. */
void lease_forget(void);
/* A ballot of a peer for the first shard; its answer is in lab.answer as soon as it may leave. */
void lease_ballot(int peer, enum sn_ballot_verb verb, uint64_t epoch, int candidate);
const struct sn_opinion *lease_answer(void);        /* NULL: there is none yet */
int64_t lease_number(const char *grant, int field); /* <position>/<incarnation>/<clock>/<ttl>/<wait>, from 0 */
void lease_disk(bool ok);                           /* the last PERSIST ends */
void lease_restart_node(int k, bool empty);

#endif
