/* One seed: a world is drawn, lives, is disturbed, is healed and must agree. */
#ifndef BUS_SEED_H
#define BUS_SEED_H

#include "tests/bus/world.h"

void seed_run(uint64_t seed, enum recording recording, struct outcome *out);

/* The stages of a life, which scenarios use too. false: a rule broke, or it took longer than `within_us`. */
bool seed_form(struct world *w, int64_t within_us);
bool seed_agree(struct world *w, int64_t within_us, const char *after);

#endif
