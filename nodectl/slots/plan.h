/* Which slots go where, so that masters have what they should have. Pure, and the same for the same question. */
#ifndef NODECTL_SLOTS_PLAN_H
#define NODECTL_SLOTS_PLAN_H

#include "nodectl/slots/set.h"

#define PLAN_NOBODY (-1)

struct plan_question {
    size_t n;                /* masters; they are numbered from 0 */
    const double *weight;    /* of each: its share of all; 0: it gives all away */
    int16_t owner[SN_SLOTS]; /* PLAN_NOBODY, or one that is not asked about: it stays where it is */
    double load[SN_SLOTS];   /* what a slot weighs: 1 for slots, else keys, bytes, ...; at least 0 */
};

/* Fills `to` with the owner of each slot afterwards. Few slots move, and neighbours together: a giver loses those that
 * are heavier than its others by far, and then runs from an end of its slots; those without a load stay, but for short
 * gaps between others. Where all loads are equal nobody is more than one slot off in the end. */
void plan_balance(const struct plan_question *q, int16_t to[SN_SLOTS]);
/* How far the master that is furthest off is from its share, in percent of the share; one that should have nothing and
 * has a slot is 100 % off. */
double plan_worst(const struct plan_question *q);
/* `count` slots of one set, as few runs as possible: the whole runs first that fit, the smallest, then the end of a
 * longer one. false: it has less. */
bool plan_pick(const struct slot_set *of, unsigned count, struct slot_set *out);
/* How many of `count` slots each of n masters gives, in proportion to those that it has; the sum is count. false: all
 * of them together have less. */
bool plan_shares(const unsigned *has, size_t n, unsigned count, unsigned *gives);

#endif
