/* What is counted over a run. A run of many seeds in which one of these never happened has not tested it, and fails. */
#ifndef BUS_COUNTS_H
#define BUS_COUNTS_H

/*        name             in words                                     must happen */
#define BUS_COUNTS(X)                                                      \
    X(COUNT_PROMOTED, "replicas promoted", true)                           \
    X(COUNT_ELECTED, "of these, by votes", true)                           \
    X(COUNT_TAKEOVER, "of these, by an operator's word alone", true)       \
    X(COUNT_NAMED, "of these, by supervisors", true)                       \
    X(COUNT_BALLOTS, "decisions of supervisors", true)                     \
    X(COUNT_VOTES, "votes given", true)                                    \
    X(COUNT_FAILED, "nodes held for failed", true)                         \
    X(COUNT_FALSE_FAIL, "of these, nodes that ran", true)                  \
    X(COUNT_FOLLOWS, "masters given to data sides", true)                  \
    X(COUNT_DROPPED, "slots of others dropped", true)                      \
    X(COUNT_DOWN, "times that a node refused requests", true)              \
    X(COUNT_KILL, "nodes killed", true)                                    \
    X(COUNT_POWER, "machines lost", true)                                  \
    X(COUNT_STOP, "nodes stopped for a while", true)                       \
    X(COUNT_WIPED, "nodes that lost their disk", true)                     \
    X(COUNT_MOVED, "nodes that came back with another address", true)      \
    X(COUNT_MASS, "halves of a cluster lost at once", true)                \
    X(COUNT_DRIFT, "clocks drifting", true)                                \
    X(COUNT_JUMP, "clocks leaping", true)                                  \
    X(COUNT_CUT_ONE_WAY, "partitions, one way", true)                      \
    X(COUNT_CUT_TWO_WAY, "partitions, both ways", true)                    \
    X(COUNT_LOSS, "messages lost and sent again", true)                    \
    X(COUNT_RESET, "connections broken by loss", true)                     \
    X(COUNT_DELAY, "messages delayed", true)                               \
    X(COUNT_REORDERED, "messages that overtook others", true)              \
    X(COUNT_HUNG, "connections that hung", true)                           \
    X(COUNT_DISK_SLOW, "disks slow", true)                                 \
    X(COUNT_DISK_FULL, "disks full", true)                                 \
    X(COUNT_STREAM, "streams of replicas broken", true)                    \
    X(COUNT_DISK_REFUSED, "texts refused by a full disk", true)            \
    X(COUNT_PERSIST_LOST, "texts lost in a crash", true)                   \
    X(COUNT_PERSIST_KEPT, "texts kept but never confirmed", true)          \
    X(COUNT_MEET, "MEET", true)                                            \
    X(COUNT_FORGET, "FORGET", true)                                        \
    X(COUNT_RESET_NODE, "RESET", true)                                     \
    X(COUNT_REPLICATE, "REPLICATE", true)                                  \
    X(COUNT_FAILOVER, "FAILOVER accepted", true)                           \
    X(COUNT_SLOT_MOVED, "slots moved", true)                               \
    X(COUNT_SLOT_TORN, "slots moved half", true)                           \
    X(COUNT_BUMPED, "BUMPEPOCH", true)                                     \
    X(COUNT_SETTINGS, "settings changed at run time", true)                \
    X(COUNT_REFUSED, "commands refused", true)                             \
    X(COUNT_REPAIRED, "things that an operator had to put right", false)   \
    X(COUNT_FORCED, "of these, masters that were passed over", false)      \
    X(COUNT_WRITES, "writes acknowledged", true)                           \
    X(COUNT_WRITES_LOST, "acknowledged writes lost to faults", false)      \
    X(COUNT_TWO_MASTERS, "writes on two masters of a slot", false)         \
    X(COUNT_JOBS, "migrations begun", true)                                \
    X(COUNT_GRANTS, "of these, granted", true)                             \
    X(COUNT_STRUCK, "of these, with a fault at one end", true)             \
    X(COUNT_LATE, "of these, late", true)                                  \
    X(COUNT_TRIED_AGAIN, "hand-overs put off, and tried again", true)      \
    X(COUNT_JOBS_DONE, "migrations that ended well", true)                 \
    X(COUNT_JOBS_ENDED, "migrations that failed", true)                    \
    X(COUNT_CANCELLED, "CANCELSLOTMIGRATIONS", true)                       \
    X(COUNT_FLUSHED, "FLUSHALL", true)                                     \
    X(COUNT_TAKEN, "slots taken", true)                                    \
    X(COUNT_RESUMED, "slots that came back to their source", true)         \
    X(COUNT_INHERITED, "records inherited in an election", false)          \
    X(COUNT_DISTURBED, "hand-overs of a slot disturbed by force", true)    \
    X(COUNT_STALE, "times that a stopped master had been replaced", false) \
    X(COUNT_PREPARED, "swaps prepared by a master", true)                  \
    X(COUNT_SWAPPED, "swaps applied", true)                                \
    X(COUNT_ABORTED, "swaps aborted", true)                                \
    X(COUNT_LEFT, "swaps whose coordinator died", true)                    \
    X(COUNT_LARGE, "clusters of 100 nodes", false)                         \
    X(COUNT_MESSAGES, "messages", true)                                    \
    X(COUNT_STEPS, "steps of a core", true)                                \
    X(COUNT_VIRTUAL_S, "virtual seconds", true)

enum {
#define X(name, words, wanted) name,
    BUS_COUNTS(X)
#undef X
        COUNTS
};

#endif
