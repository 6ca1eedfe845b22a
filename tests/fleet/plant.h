/* Planted bugs of supervised clusters. The simulator of fleets must find each of them. They lie in the nodes' half
 * (noded/cluster), in the supervisors' book (sentineld/core) and in the modelled supervisor.
 *
 *   101  a supervisor grants to two nodes of a shard (L3)
 *   102  a grant counts from its receipt on, not from its stamp (L2)
 *   103  a vote's grant counts at once, whatever its voter granted before (E4)
 *   106  a promotion is sent without votes (E5)
 *   107  a supervisor forgets its grantee in a restart (L3)
 *   108  a vote is told before it is on disk (E1)
 *   109  a promotion at an epoch that is not above the claimant's is taken (E6)
 *   110  a supervised node takes writes after a restart until it hears of supervisors (L6)
 *   111  a minority of grants is a lease (L4)
 *   112  who is named anew does not wait for what its former had (E4)
 *   113  a restart forgets whom its grantee came after (L3)
 *   114  a supervised node raises its config epoch by itself (E2)
 *   115  a swap of databases is committed before all masters have said yes (W3)
 *   116  a master is leased before it has come to the mapping that was decided (W1)
 *   117  who ends a swap does not look at what its voters have accepted (W3)
 *   120  slots are handed over at an epoch that no ballot gave to the target (E2)
 *   121  a migration that supervisors have frozen goes on to its pause
 *
 * Three have no place here; the unit tests of the node and of the supervisor find them. 104, a node takes grants that
 * were stamped in an earlier life (L2): within one life of the machine the books keep such a grant exclusive like any
 * other, and behind a restart of the machine its clock is below the stamp, so S6 needs a ballot that outlives the
 * machine's whole uptime. 105, a node counts two lists at once (L4): it needs majorities of both lists that have
 * nobody in common and are kept apart in the moment in which each holds another node for the master; some thousand
 * seeds have not met it. 119, supervisors on a new list decide swaps before a majority of the old one has told what
 * it has (M1): a decision has to fall while the list changes, by a majority of which only one stays, who is silent
 * behind it.
 *
 * A yes to a swap that is told before the replicas have it is none under leases, where those that are away are not
 * waited for: 116 is what they are safe by. Without leases (W2) the simulator of the bus finds it: 19 there. */
#ifndef FLEET_PLANT_H
#define FLEET_PLANT_H

#ifndef PLANT
#define PLANT 0
#endif

#ifndef PLANTED
#define PLANTED(n, normal, changed) (PLANT == (n) ? (changed) : (normal))
#endif

#endif
