/* Planted bugs. The simulator must find each of them, so that a simulator that has gone blind is noticed. Built with
 * -DPLANT=n, condition n is the changed one; without it every condition is the normal one and nothing of this is in the
 * program.
 *
 *   1  the vote given before a crash is forgotten: votes twice in one epoch (S2)
 *   2  promotes without a majority (S3)
 *   3  takes an older configuration for a newer one (S4)
 *   4  forgets a peer when it counts the voters (S3)
 *   5  prefers the replica with the least data (stale candidate)
 *   6  votes at once after the state directory was lost (S2) */
#ifndef CORE_PLANT_H
#define CORE_PLANT_H

#ifndef PLANT
#define PLANT 0
#endif

#define PLANTED(n, normal, changed) (PLANT == (n) ? (changed) : (normal))

#endif
