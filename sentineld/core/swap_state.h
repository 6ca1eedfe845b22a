/* A swap of databases over one cluster, as this supervisor has part in it: its record of the decision log (swap.h), its
 * own lead, and what it knows of the masters. For readers, as fleet.h; only the core writes it. */
#ifndef CORE_SWAP_STATE_H
#define CORE_SWAP_STATE_H

#include "sentineld/core/event.h"
#include "sentineld/core/swap.h"

struct sn_peer;

/* Another supervisor on the list. */
struct sn_swap_voter {
    struct sn_peer *peer;
    int64_t asked_us; /* in this phase of our lead, on this link; 0: not yet */
    bool refused;     /* in this phase */
    int64_t told_us;  /* our record was told to it, 0: not on this link */
    bool knows;       /* has what was decided last, as we have it */
    bool heard;       /* has told us its record since we began, under the list that is ours, */
    bool blank;       /* and has none worth the name */
    char *lists;      /* those of its record then; NULL: it has told us none */
    int place;        /* in the list */
};

/* Of whom a yes is needed: as it was when all were asked. */
struct sn_swap_master {
    runid id;
    uint64_t config_epoch;
    bool yes;
};

struct sn_swapping {
    struct sn_swap has;
    /* Of which `has` is, with ';' between them: ours last. Before it those under which we have told it since it had all
     * that was decided. Never NULL in a fleet that is known. */
    char *lists;
    runid promised_to;
    uint64_t seq; /* `has` is on disk when this is persisted */
    bool dirty;   /* `has` is to be persisted at the end of the step */
    struct sn_swap_voter *voters;
    size_t nvoters;
    struct sn_swap_lead lead;
    int64_t phase_us; /* since when it is in its phase, */
    int64_t lead_us;  /* and leads */
    struct sn_swap_master *masters;
    size_t nmasters;
    char why[512];      /* our lead proposed to abort: why */
    int64_t heard_us;   /* when the leader of an open attempt was last heard of */
    int64_t again_us;   /* not standing before */
    int64_t decided_us; /* when this life learned of the last decision; 0: it was restored */
    uint64_t done;      /* the latest mapping that all masters are known to have */
    bool telling;       /* +swapdb-done is due for the last decision */
    bool hurry;         /* a failover waits for its end */
    int64_t wish_us;    /* since when the wish below is known */
    uint64_t wish;      /* the request of a master's client that nobody has taken up; 0: none */
    struct {
        sn_token token; /* 0: none */
        int a, b;
        int64_t since_us;
        uint64_t begun;   /* the attempt that we have begun for it; 0: none yet */
        uint64_t version; /* the mapping that it leads to */
    } order;              /* SENTINEL SWAPDB */
};

#endif
