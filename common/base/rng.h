/* Random numbers as data: the generator is a value, its seed comes from whoever made it. xoshiro256**, seeded through
 * splitmix64. Not for secrets. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, below); below >= 1. */
uint64_t rng_below(struct rng *r, uint64_t below);
/* Uniform in [min, max]. */
int64_t rng_range(struct rng *r, int64_t min, int64_t max);
/* Of the same range, as likely in each power of two of min: mostly near it, now and then far above. */
int64_t rng_skewed(struct rng *r, int64_t min, int64_t max);
/* True with a probability of per_million / 1,000,000. */
bool rng_chance(struct rng *r, uint32_t per_million);

#endif
