/* What a configuration file that was read again changes. The shell finds it out by comparing (merge.h has the rules);
 * the core writes it first and makes it when it is on disk, all of it or nothing, as any other change of an operator.
 */
#ifndef CORE_RELOAD_H
#define CORE_RELOAD_H

#include "sentineld/core/record.h"
#include "sentineld/core/settings.h"

/* One option in the words of SENTINEL SET ("rename-command <old>" is the name of a renamed command) or CONFIG SET. */
struct sn_word {
    char *option, *value;
};

struct sn_reload_set {
    char *group; /* "": the daemon's own */
    struct sn_word *words;
    size_t n;
};

/* A group that is supervised from now on. One that is already, under the same name, is given up first and keeps its
 * last vote: its file names another master. That is a new configuration, so it needs an epoch of its own, and with it
 * the votes of a majority (S4). A supervisor that knows no other of that group is the majority: the core gives it the
 * next epoch, in which it then votes for nobody. Where it knows others the core refuses the whole change: the shell
 * asks for none (merge.h). */
struct sn_reload_add {
    char *name;
    struct addr master;
    struct sn_settings settings;
    uint64_t config_epoch, vote_epoch;
    struct addr *replicas;
    size_t nreplicas;
    struct sn_record_peer *peers;
    size_t npeers;
};

/* A cluster that is supervised from now on; one that is already, under the same name, goes on with these seeds and
 * settings. Shards that it has keep theirs (those that change are among `set`); the login is for all nodes. */
struct sn_reload_fleet {
    char *name;
    struct sn_settings settings;
    int64_t lease_ms;
    struct addr *seeds;
    size_t nseeds;
};

struct sn_reload {
    struct sn_reload_add *add;
    size_t nadd;
    char **remove; /* groups */
    size_t nremove;
    struct sn_reload_set *set;
    size_t nset;
    struct sn_reload_fleet *fleets;
    size_t nfleets;
    char **release; /* clusters; what is stored of their shards goes with them */
    size_t nrelease;
    int64_t default_down_after_ms, default_failover_timeout_ms; /* of groups monitored at run time; 0: as it was */
    struct sn_record *records; /* stored with it: what the file says now, and run-time options that it overrules */
    size_t nrecords;
};

void sn_reload_free(struct sn_reload *r); /* and what it owns; NULL is allowed */

#endif
