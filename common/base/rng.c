#include "common/base/rng.h"

#include <assert.h>

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t below)
{
    assert(below >= 1);
    /* 2^64 mod below: the values under it are drawn again, so that what is left divides evenly. */
    uint64_t unfair = (0 - below) % below;
    uint64_t v;
    do {
        v = rng_u64(r);
    } while (v < unfair);
    return v % below;
}

int64_t rng_range(struct rng *r, int64_t min, int64_t max)
{
    assert(min <= max);
    uint64_t span = (uint64_t)max - (uint64_t)min;
    uint64_t step = span == UINT64_MAX ? rng_u64(r) : rng_below(r, span + 1);
    return (int64_t)((uint64_t)min + step);
}

bool rng_chance(struct rng *r, uint32_t per_million)
{
    return rng_below(r, 1000000) < per_million;
}

int64_t rng_skewed(struct rng *r, int64_t min, int64_t max)
{
    int64_t low = min;
    while (low * 2 < max && rng_below(r, 2) == 0)
        low *= 2;
    int64_t high = low * 2 < max ? low * 2 : max;
    return rng_range(r, low, high > low ? high : low);
}
