/* Planted bugs of the bus. The simulator of the bus must find each of them, so that one that has gone blind is noticed.
 * Built with -DPLANT=n, condition n is the changed one; without it every condition is the normal one and nothing of
 * this is in the program.
 *
 *   1  votes twice in one epoch (B1)
 *   2  tells its vote before it is on disk (B1)
 *   3  votes for a claim of slots that is older than what it knows (B3)
 *   4  a minority marks a node as failed
 *   5  a slot follows the lower config epoch (B3)
 *   6  a collision of config epochs is left alone (B4)
 *   7  is elected without a majority (B2)
 *   8  a master that returns from a minority takes writes at once
 *   9  its own claim is told before it is on disk
 *  10  a candidate does not look at the age of its data
 *  11  writes to slots that were granted go on after a while (H1)
 *  12  a yes to a swap of databases is forgotten (W2)
 *  13  a swap is applied out of order (W4)
 *  14  a grant leaves before the replicas have its record (H2)
 *  15  who is elected over an open record claims its slots (H2)
 *  16  a target that has said that it will not take slots takes a late grant (H1)
 *  17  a lease begins when it is read, and not at its stamp (S6)
 *  18  a supervised node raises its config epoch by itself (E2)
 *  19  a yes to a swap is told before the replicas have it (W2) */
#ifndef CLUSTER_PLANT_H
#define CLUSTER_PLANT_H

#ifndef PLANT
#define PLANT 0
#endif

#define PLANTED(n, normal, changed) (PLANT == (n) ? (changed) : (normal))

#endif
