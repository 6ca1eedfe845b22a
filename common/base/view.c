#include "common/base/view.h"

/* A permutation in which each bit of x reaches every bit of the result: xorshifts around two multiplications. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

uint64_t view_slot(unsigned slot)
{
    return mix(slot + 1);
}

uint64_t view_of_node(const struct view_node *n)
{
    uint64_t x = mix(n->id + 1);
    x = mix(x ^ n->follows);
    x = mix(x + n->epoch * 2 + n->master);
    return mix(x ^ n->slots);
}

uint64_t view_end(uint64_t sum)
{
    return sum != 0 ? sum : 1;
}
