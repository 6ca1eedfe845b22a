/* The supervisor's decisions: what is down, who leads, who is promoted, what is told to whom. Pure: state and event and
 * time in, effects out. One core is one supervisor. Reference: ../shared/reference is the protocol; SAFETY the rules.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "sentineld/core/effect.h"
#include "sentineld/core/event.h"
#include "sentineld/core/params.h"
#include "sentineld/core/settings.h"

struct sn_core;

/* The daemon's own settings; SENTINEL CONFIG SET changes them at run time. */
struct sn_globals {
    char *announce_ip;     /* never NULL; "" is found out from the links */
    int64_t announce_port; /* 0: the listening port */
    bool resolve_hostnames, announce_hostnames;
    char *user, *pass; /* towards peers; never NULL */
    char *loglevel;    /* kept here, obeyed by the shell; never NULL */
};

/* `supervisors` as nodes are told of them (SAFETY M1). A list that differs from the stored one is one version above it,
 * and is not counted yet. */
struct sn_list {
    const char *text; /* all of them, with commas between them, in the order of the configuration; NULL or "": none */
    int position;     /* our own, from 0 */
    uint64_t version; /* 1 or more */
    bool counted;     /* stored as counted by nodes */
};

struct sn_core_options {
    runid id;
    uint64_t seed;          /* of random backoffs and hash tables */
    int port;               /* where we listen */
    uint64_t current_epoch; /* from the state, 0 when new */
    bool id_drawn;          /* the id is in no configuration: a forgotten life had another, so this one never voted */
    bool joined;            /* from the state: false for an empty state directory (SAFETY M2) */
    struct sn_globals globals; /* copied */
    struct sn_params params;
    bool asks_veto;              /* as SN_EV_HOOKS changes it */
    const struct addr *declared; /* `supervisors`, oneself left out; none: peers are discovered */
    size_t ndeclared;
    struct sn_list list; /* copied */
    const char *pauses;  /* of the OPTION record SN_PAUSE_OPTION; NULL: none. Copied */
    int64_t wall_ms;     /* what the wall clock shows now: the pauses end by it */
};

struct sn_core *sn_core_new(const struct sn_core_options *o, int64_t now_us);
void sn_core_free(struct sn_core *c);

/* A group from the configuration and the state, before the first step. Returns false when the name is taken or the
 * master has no address. */
struct sn_core_group {
    const char *name;
    struct addr master;
    const struct sn_settings *settings; /* copied */
    uint64_t config_epoch, vote_epoch;
    runid vote_leader;
    const struct addr *replicas;
    size_t nreplicas;
    const struct sn_record_peer *peers;
    size_t npeers;
    runid lease_grantee; /* of the LEASE record; "" none */
    int64_t lease_max_us;
    bool lease_settled;
};
bool sn_core_add_group(struct sn_core *c, const struct sn_core_group *g, int64_t now_us, struct sn_effects *out);

/* A shard from the state: a group, and which node of the cluster is which of its servers. A server that no node stands
 * for is left out. */
struct sn_core_shard {
    struct sn_core_group group;
    const struct sn_record_node *nodes;
    size_t nnodes;
};

/* A cluster from the configuration and the state, before the first step. Returns false when the name is taken or there
 * is neither a seed nor a shard. */
struct sn_core_fleet {
    const char *name;
    const struct sn_settings *settings; /* copied; the login is for all nodes */
    int64_t lease_ms;                   /* 0: no leases */
    const struct addr *seeds;
    size_t nseeds;
    uint64_t config_epoch, vote_epoch; /* of the FLEET record */
    struct sn_swap swap;               /* of the SWAP record; all zero: none */
    const char *swap_lists;            /* its value; NULL or "": there is no such record */
    const struct sn_core_shard *shards;
    size_t nshards;
};
bool sn_core_add_fleet(struct sn_core *c, const struct sn_core_fleet *f, int64_t now_us, struct sn_effects *out);

/* Decides. Effects are appended to `out` in the order in which they are to be done. */
void sn_step(struct sn_core *c, const struct sn_event *e, struct sn_effects *out);
/* When sn_step() wants to be called with a TICK at the latest (it may be called earlier). HEAP_NEVER: not by time. */
int64_t sn_deadline(const struct sn_core *c);

#endif
