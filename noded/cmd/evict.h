/* How lately and how often keys were used, and which of them go when memory is short. */
#ifndef CMD_EVICT_H
#define CMD_EVICT_H

#include "noded/cmd/engine.h"

struct nd_eviction *nd_eviction_new(void);
void nd_eviction_free(struct nd_eviction *x);

/* Brings the used memory below maxmemory, for a fraction of a millisecond at most; nd_engine_tick() goes on with it.
 * false: it is above, and nothing more can go. */
bool nd_evict(struct nd_engine *e);
bool nd_memory_is_short(const struct nd_engine *e); /* it is above now */
/* A new maxmemory or policy: the next tick looks. */
void nd_evict_soon(struct nd_engine *e);
bool nd_evict_pending(const struct nd_engine *e);

/* The 24 bits of nd_value's age: with an LFU policy 16 bits of minutes and a counter of 8, else the seconds' clock. */
static inline bool nd_age_is_lfu(const struct nd_engine *e)
{
    return e->config.maxmemory_policy == ND_ALLKEYS_LFU || e->config.maxmemory_policy == ND_VOLATILE_LFU;
}
uint32_t nd_age_new(const struct nd_engine *e);
void nd_age_count(struct nd_engine *e, struct nd_value *v);
static inline void nd_age_touch(struct nd_engine *e, struct nd_value *v)
{
    if (nd_age_is_lfu(e))
        nd_age_count(e, v);
    else if (v->age != e->lru_clock)
        v->age = e->lru_clock & 0xffffff;
}
/* OBJECT IDLETIME and FREQ, and RESTORE's words for them. */
int64_t nd_age_idle_s(const struct nd_engine *e, const struct nd_value *v);
unsigned nd_age_frequency(const struct nd_engine *e, const struct nd_value *v); /* 0-255, decayed until now */
uint32_t nd_age_of_idle(const struct nd_engine *e, int64_t idle_s);
uint32_t nd_age_of_frequency(const struct nd_engine *e, unsigned frequency);

#endif
