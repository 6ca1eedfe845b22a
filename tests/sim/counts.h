/* What is counted over a run. A run of many seeds in which one of these never happened has not tested it, and fails. */
#ifndef SIM_COUNTS_H
#define SIM_COUNTS_H

/*        name             in words                                     must happen */
#define SIM_COUNTS(X)                                                          \
    X(COUNT_FAILOVERS, "failovers", true)                                      \
    X(COUNT_ELECTED, "elections won", true)                                    \
    X(COUNT_NOT_ELECTED, "elections lost", true)                               \
    X(COUNT_NO_GOOD, "failovers without a suitable replica", true)             \
    X(COUNT_REPLAYED, "records decided again", true)                           \
    X(COUNT_PROMOTIONS, "promotions sent", true)                               \
    X(COUNT_MANUAL, "manual failovers accepted", true)                         \
    X(COUNT_UNOPPOSED, "manual failovers without votes", true)                 \
    X(COUNT_COORD_ASKED, "coordinated failovers accepted", true)               \
    X(COUNT_COORD_DONE, "coordinated failovers done, nothing lost", true)      \
    X(COUNT_COORD_STOPPED, "coordinated failovers given up", true)             \
    X(COUNT_CONVERTED, "returning masters demoted", true)                      \
    X(COUNT_FIXED, "replicas led back to their master", true)                  \
    X(COUNT_REBORN, "masters reborn empty", true)                              \
    X(COUNT_REBORN_SAVED, "of these, data saved by a failover", true)          \
    X(COUNT_TILT, "stalls noticed", true)                                      \
    X(COUNT_MASTER_KILL, "masters killed", true)                               \
    X(COUNT_REPLICA_KILL, "replicas killed", true)                             \
    X(COUNT_NODE_POWER, "machines of servers lost", true)                      \
    X(COUNT_NODE_STOP, "servers stopped for a while", true)                    \
    X(COUNT_BUSY, "servers busy with a script", true)                          \
    X(COUNT_FULL_SYNC, "full synchronisations", true)                          \
    X(COUNT_PARTIAL_SYNC, "partial synchronisations", true)                    \
    X(COUNT_SUPER_CRASH, "supervisors killed", true)                           \
    X(COUNT_SUPER_POWER, "machines of supervisors lost", true)                 \
    X(COUNT_SUPER_STOP, "supervisors stopped for a while", true)               \
    X(COUNT_SIMULATED, "supervisors crashed by SIMULATE-FAILURE", true)        \
    X(COUNT_ASKED_AGAIN, "voters asked again after a crash", true)             \
    X(COUNT_PERSIST_LOST, "persists lost in a crash", true)                    \
    X(COUNT_PERSIST_TORN, "persists of which a crash kept a part", true)       \
    X(COUNT_PERSIST_KEPT, "persists kept but never confirmed", true)           \
    X(COUNT_DISK_FULL, "disks full", true)                                     \
    X(COUNT_DISK_REFUSED, "persists refused by a full disk", true)             \
    X(COUNT_DISK_SLOW, "disks slow", true)                                     \
    X(COUNT_DRIFT, "clocks drifting", true)                                    \
    X(COUNT_JUMP, "clocks leaping", true)                                      \
    X(COUNT_CUT_ONE_WAY, "partitions, one way", true)                          \
    X(COUNT_CUT_TWO_WAY, "partitions, both ways", true)                        \
    X(COUNT_LOSS, "messages lost and sent again", true)                        \
    X(COUNT_RESET, "connections broken by loss", true)                         \
    X(COUNT_DELAY, "messages delayed", true)                                   \
    X(COUNT_DOUBLED, "messages doubled", true)                                 \
    X(COUNT_REORDERED, "messages that overtook others", true)                  \
    X(COUNT_LATE, "requests of a closed connection delivered", true)           \
    X(COUNT_LATE_PROMOTE, "promotions of a closed connection delivered", true) \
    X(COUNT_ROGUE, "servers reconfigured behind our back", true)               \
    X(COUNT_FORGOTTEN, "SENTINEL RESET", true)                                 \
    X(COUNT_VETOED, "failovers vetoed by a hook", true)                        \
    X(COUNT_CONSENTED, "failovers that a hook agreed to", true)                \
    X(COUNT_SET, "settings changed at run time", true)                         \
    X(COUNT_RELOADED, "settings changed by a reload", true)                    \
    X(COUNT_REMOVED, "groups removed from a supervisor", true)                 \
    X(COUNT_MONITORED, "groups monitored again", true)                         \
    X(COUNT_MOVED, "masters changed in a file", true)                          \
    X(COUNT_NOT_MOVED, "masters changed in a file, refused", true)             \
    X(COUNT_WIPED, "state directories lost", true)                             \
    X(COUNT_NEW_ID, "of these, supervisors with a new id", true)               \
    X(COUNT_WIPED_ASKED, "votes asked of them", true)                          \
    X(COUNT_STOCK, "supervisors that spoke the stock form", true)              \
    X(COUNT_WRITES, "writes acknowledged", true)                               \
    X(COUNT_WRITES_LOST, "acknowledged writes lost to faults", false)          \
    X(COUNT_STEPS, "steps of a core", true)                                    \
    X(COUNT_VIRTUAL_S, "virtual seconds", true)

enum {
#define X(name, words, wanted) name,
    SIM_COUNTS(X)
#undef X
        COUNTS
};

#endif
