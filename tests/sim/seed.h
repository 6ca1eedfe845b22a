/* One seed: a world is drawn, disturbed, healed, and must agree again. */
#ifndef SIM_SEED_H
#define SIM_SEED_H

#include "tests/sim/world.h"

struct outcome {
    bool held;
    char rule[16], broken[160]; /* which, and how */
    uint64_t hash;              /* of everything the cores did */
    uint64_t counts[COUNTS];
};

/* Runs one seed to its end, or to the first rule that breaks; then, when it was recorded, prints the transcript. */
void seed_run(uint64_t seed, enum recording recording, struct outcome *out);

#endif
