/* What the worlds of a run have gone through, added up and printed at its end. */
#ifndef FLEET_COUNTS_H
#define FLEET_COUNTS_H

/*    name           words                                                               must happen */
#define FLEET_COUNTS(X)                                                                             \
    X(VIRTUAL_S, "seconds of virtual time", true)                                                   \
    X(STEPS, "steps of nodes", true)                                                                \
    X(PROBES, "questions of supervisors to nodes answered", true)                                   \
    X(WRITES, "writes executed", true)                                                              \
    X(WRITES_LOST, "acknowledged writes lost: a replica was promoted that did not have them", true) \
    X(WRITES_FENCED, "writes refused at a master without a lease", true)                            \
    X(BUFFERED, "writes that waited in the socket of a stopped master", true)                       \
    X(ADOPTED, "nodes that became supervised", true)                                                \
    X(STOOD, "ballots", true)                                                                       \
    X(STOOD_INCUMBENT, "ballots that named the master at hand", true)                               \
    X(VOTES, "votes given", true)                                                                   \
    X(VOTES_WAIT, "votes whose grant begins later", true)                                           \
    X(VOTES_REFUSED, "votes refused", true)                                                         \
    X(TAKEOVERS, "promotions that were confirmed", true)                                            \
    X(TAKEOVERS_REFUSED, "promotions that a node refused", true)                                    \
    X(RETURNED, "leases given back for a planned switch", true)                                     \
    X(FOLLOWS, "times that a node was told whom to follow", true)                                   \
    X(GRANTS, "grants sent", true)                                                                  \
    X(GRANTS_VOID, "grants that came too late to count", true)                                      \
    X(KILL, "nodes killed", true)                                                                   \
    X(POWER, "machines of nodes that lost power", true)                                             \
    X(MASS, "deaths of several nodes at once", true)                                                \
    X(STOP, "nodes stopped", true)                                                                  \
    X(WIPED, "disks of nodes lost", true)                                                           \
    X(KILL_SUPER, "supervisors killed", true)                                                       \
    X(STOP_SUPER, "supervisors stopped", true)                                                      \
    X(WIPED_SUPER, "state directories of supervisors lost", true)                                   \
    X(ALL_SUPERS, "times that all supervisors died", true)                                          \
    X(MEMBERS, "changes of the list of supervisors", true)                                          \
    X(SUSPEND, "machines suspended", true)                                                          \
    X(DRIFT, "clocks that changed their rate", true)                                                \
    X(CUT, "partitions", true)                                                                      \
    X(CUT_ONE_WAY, "partitions, one way", true)                                                     \
    X(CUT_LISTS, "partitions between two lists of supervisors", true)                               \
    X(HIDDEN, "switches that the master heard of from no node", true)                               \
    X(DELAYED, "messages delayed", true)                                                            \
    X(LOST, "messages lost and sent again", true)                                                   \
    X(DOUBLED, "requests doubled", true)                                                            \
    X(RESET, "connections reset", true)                                                             \
    X(REORDERED, "messages that overtook others", true)                                             \
    X(LATE, "requests that arrived after their sender had given up", true)                          \
    X(HUNG, "connections that hung", true)                                                          \
    X(DISK_SLOW, "slow disks", true)                                                                \
    X(DISK_FULL, "disks that took nothing", true)                                                   \
    X(PERSIST_LOST, "texts under way that a crash lost", true)                                      \
    X(SUPER_STEPS, "steps of supervisors' cores", true)                                             \
    X(ELECTED, "leaders elected by supervisors' cores", true)                                       \
    X(SWITCHED, "masters switched, as each of them tells", true)                                    \
    X(RENAMED, "shards that took the name that others had given", false)                            \
    X(RELEASED, "clusters released and adopted by an operator", true)                               \
    X(SWAPS_WANTED, "swaps of databases wanted", true)                                              \
    X(SWAPPED, "swaps made", true)                                                                  \
    X(SWAPS_OK, "swaps told to be made", true)                                                      \
    X(SWAPS_REFUSED, "swaps not made, or not known to be", true)                                    \
    X(MIGRATE, "migrations that an operator asked for", true)                                       \
    X(CANCELLED, "times that he cancelled those of a node", true)                                   \
    X(MOVED_WRITES, "writes to slots that are moved", true)                                         \
    X(JOBS, "migrations begun", true)                                                               \
    X(GRANTS_OF_SLOTS, "of these, granted", true)                                                   \
    X(STRUCK, "of these, with a fault at one end", true)                                            \
    X(LATE_GRANTS, "of these, late", true)                                                          \
    X(TRIED_AGAIN, "hand-overs put off, and tried again", true)                                     \
    X(JOBS_DONE, "migrations that ended well", true)                                                \
    X(JOBS_ENDED, "migrations that failed", true)                                                   \
    X(TAKEN, "slots taken", true)                                                                   \
    X(RESUMED, "slots that came back to their source", true)                                        \
    X(INHERITED, "records inherited by a promoted node", false)                                     \
    X(DISTURBED, "hand-overs of a slot disturbed by a lost disk", false)                            \
    X(STALE, "slots granted while they were another's", false)                                      \
    X(CLOSED, "slots left open by a restart, and closed by an operator", false)                     \
    X(JOINED, "masters without slots that an operator led back to their shard", false)              \
    X(FROZEN, "times that supervisors froze migrations", true)                                      \
    X(ASKED_SWITCH, "planned switches asked of them", true)                                         \
    X(SHARDS_LOST, "shards that only an operator could bring back", false)                          \
    X(PERSIST_KEPT, "texts under way that a crash kept", true)

enum count {
#define X(name, words, wanted) COUNT_##name,
    FLEET_COUNTS(X)
#undef X
        COUNTS
};

#endif
