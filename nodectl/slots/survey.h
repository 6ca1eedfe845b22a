/* What `slots check` and `slots fix` look at beside the picture: each node's own word about its state, leases, mapping
 * of databases, migrations, and the keys that it holds in slots of others. */
#ifndef NODECTL_SLOTS_SURVEY_H
#define NODECTL_SLOTS_SURVEY_H

#include "common/base/sha1.h"
#include "nodectl/cluster/picture.h"
#include "nodectl/slots/jobs.h"
#include "nodectl/slots/keys.h"

struct survey_of {
    bool state_ok;                              /* cluster_state is ok; true where it is not told */
    int64_t supervised;                         /* 0: it is not, or cannot be */
    int64_t lease_ms;                           /* what is left; 0: none; -1: not supervised */
    bool mapped;                                /* it tells of its mapping of databases */
    int64_t mapping_epoch;                      /* swaps that it has applied */
    char mapping_state[16];                     /* "none", "applied", "prepared", "aborted" */
    char link[8];                               /* of a replica to its master: "up", "down"; "" else */
    int64_t now_s;                              /* its own clock */
    int64_t functions;                          /* libraries that it has; -1: it knows no functions */
    unsigned char functions_digest[SHA1_BYTES]; /* of their names */
    struct slot_jobs jobs;
    /* Of a master that answers: its keys by slot; else NULL. */
    const struct key_counts *keys;
};

/* Somebody is shaking hands with whoever is at this address. */
struct survey_stray {
    size_t by; /* index in the picture */
    runid id;  /* drawn by it, until it knows the right one */
    struct addr addr;
    bool answers; /* something does, at its port for clients */
};

struct survey {
    struct survey_of *v; /* as picture.v */
    size_t n;
    struct survey_stray *strays;
    size_t nstrays;
    struct key_counts *counts;
};

/* false: why is appended to. survey_free() either way. */
bool survey_take(struct survey *s, struct picture *p, struct buf *why);
void survey_free(struct survey *s);
/* Keys of a node in a slot, 0 where they were not counted. */
int64_t survey_keys(const struct survey *s, size_t node, unsigned slot);

#endif
