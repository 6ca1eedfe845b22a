/* The decision log of swaps of databases over a cluster (SAFETY, section 6): what each supervisor keeps of it, how
 * one of them leads, and what follows from the word of a majority. Pure values: who is asked and when, and what nodes
 * are told, is swap_fleet.c and swap_nodes.c.
 *
 * The log is one register, of which a majority has the contents: the last attempt at a swap, begun, or decided. It is
 * changed only by the leader of a ballot. A ballot is at an epoch of the fleet, for which a voter gives one vote
 * (E1); the vote promises to accept nothing from below, and tells what was accepted so far. The leader goes on from
 * the latest of what its voters tell: an attempt that was only begun is to be aborted, a decision that some have
 * accepted is to be made that of a majority, and where nothing is open the leader may begin an attempt of its own.
 * Only the leader that began it and heard YES of all masters proposes to commit. What a majority has accepted is
 * decided, and nodes are told only that.
 *
 *   begun (epoch e) -- accepted by a majority --> masters PREPARE -- all said yes --> commit at e --\
 *      \-- some said no, or the leader is gone, and another one stands at e' > e --> abort ---------- > decided
 *
 * An attempt is named by the epoch at which it was begun: the mapping epoch of one that was aborted is used again. */
#ifndef CORE_SWAP_H
#define CORE_SWAP_H

#include "common/base/runid.h"

#include <stdbool.h>
#include <stdint.h>

#define SN_SWAP_VOTERS_MAX 64
#define SN_SWAP_WHY 200 /* bytes, with the terminator */

enum sn_swap_value { SN_SWAP_NONE, SN_SWAP_BEGUN, SN_SWAP_COMMIT, SN_SWAP_ABORT };

/* Databases a and b are exchanged, and the mapping has the epoch `version` from then on. 0: there is no such step. */
struct sn_swap_step {
    uint64_t version;
    uint64_t begun; /* names the attempt: the epoch of the ballot that began it; 0: nobody knows any more what it was */
    int a, b;
};

/* The contents of the register. All zero: no swap was ever begun. */
struct sn_swap_entry {
    enum sn_swap_value value;
    bool decided;               /* COMMIT, ABORT: a majority has accepted it */
    struct sn_swap_step step;   /* that it is, or would be */
    struct sn_swap_step before; /* the last one that was committed before it */
    runid asker;                /* the master whose client wants it; "" an operator */
    uint64_t request;           /* as that master names it */
    char why[SN_SWAP_WHY];      /* of an ABORT, for whoever waits for it: told, and not stored; "" nobody knows */
};

/* What a supervisor has of it, and has on disk before it tells it. */
struct sn_swap {
    bool blank;        /* its memory was lost, or never was: no vote is given before enough others told theirs (M2) */
    uint64_t promised; /* nothing from below is accepted */
    uint64_t accepted; /* the epoch of the ballot from which the entry was accepted; 0: none was */
    struct sn_swap_entry entry;
};

const char *sn_swap_value_name(enum sn_swap_value v); /* "begun" */
bool sn_swap_is_open(const struct sn_swap *s);        /* an attempt is not known to be decided */
/* The mapping that every master has, or is to have now; version 0: as it was from the beginning. */
struct sn_swap_step sn_swap_mapping(const struct sn_swap_entry *e);
/* Of a record from the disk or another supervisor: whether it can have been made here. */
bool sn_swap_is_sane(const struct sn_swap *s);

/* ---- a voter. Each returns whether the record changed or (promise, accept) whether the answer is yes. ---- */

/* The caller has seen to E1: the epoch is above that of every vote it gave in the fleet. */
bool sn_swap_promise(struct sn_swap *s, uint64_t epoch);
bool sn_swap_accept(struct sn_swap *s, uint64_t epoch, const struct sn_swap_entry *e);
/* What another supervisor has is taken over where it is the later: by one that has to know what others accepted before
 * it may vote. */
bool sn_swap_merge(struct sn_swap *s, const struct sn_swap *theirs);
/* Another supervisor knows what was decided. */
bool sn_swap_learn(struct sn_swap *s, const struct sn_swap *theirs);

/* ---- a leader ---- */

enum sn_swap_phase {
    SN_SWAP_IDLE,
    SN_SWAP_STANDING,  /* votes are asked for */
    SN_SWAP_BEGINNING, /* the attempt is proposed */
    SN_SWAP_PREPARING, /* a majority has it: masters are asked */
    SN_SWAP_DECIDING,  /* commit or abort is proposed */
};

struct sn_swap_lead {
    enum sn_swap_phase phase;
    uint64_t epoch;
    int needed;                /* a majority of the voters */
    uint64_t yes;              /* bits of the voters that said yes in this phase */
    bool wants;                /* a swap is to be begun if nothing is open */
    struct sn_swap_entry want; /* its databases, who asked, and before what it is that all masters have */
    struct sn_swap latest;     /* STANDING: of what the voters told */
    struct sn_swap_entry proposal;
};

/* Begins a ballot at that epoch; want NULL: only what is open is to be ended. */
void sn_swap_stand(struct sn_swap_lead *l, uint64_t epoch, int needed, const struct sn_swap_entry *want);
/* Voter number `voter` (0 to 63) promised, and told what it has. True: a majority has, and the phase is BEGINNING,
 * DECIDING, or IDLE: nothing is open and nothing was wanted. */
bool sn_swap_promised(struct sn_swap_lead *l, int voter, const struct sn_swap *has);
/* It has accepted a proposal of that value. True: a majority has. The phase is PREPARING then, or IDLE: the proposal is
 * decided. */
bool sn_swap_accepted(struct sn_swap_lead *l, int voter, enum sn_swap_value value);
/* PREPARING: all masters said yes, or it is to be aborted. */
void sn_swap_decide(struct sn_swap_lead *l, bool commit);

#endif
