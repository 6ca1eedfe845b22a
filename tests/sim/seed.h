/* One seed: a world is drawn, disturbed, healed, and must agree again. */
#ifndef SIM_SEED_H
#define SIM_SEED_H

#include "tests/sim/world.h"

void seed_run(uint64_t seed, enum recording recording, struct outcome *out);

#endif
