/* One seed: a fleet is drawn, formed, supervised, disturbed, healed, and has to agree. */
#ifndef FLEET_SEED_H
#define FLEET_SEED_H

#include "tests/runner/runner.h"

void seed_run(uint64_t seed, enum recording recording, struct outcome *out);

#endif
