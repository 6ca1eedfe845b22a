#include "noded/cmd/age.h"

#include "noded/cmd/engine.h"

#define AGE_BITS 24
#define AGE_MASK ((1u << AGE_BITS) - 1)
#define MINUTES_MASK 0xffffu
#define COUNTER_MAX 255
#define COUNTER_NEW 5 /* a new key is given a chance to be used again before it is the rarest of all */

static bool counts(const struct nd_engine *e)
{
    return e->config.maxmemory_policy == ND_ALLKEYS_LFU || e->config.maxmemory_policy == ND_VOLATILE_LFU;
}

static uint32_t seconds(const struct nd_engine *e)
{
    return (uint32_t)(e->now_ms / 1000) & AGE_MASK;
}

static uint32_t minutes(const struct nd_engine *e)
{
    return (uint32_t)(e->now_ms / 60000) & MINUTES_MASK;
}

uint32_t nd_age_new(struct nd_engine *e)
{
    return counts(e) ? minutes(e) << 8 | COUNTER_NEW : seconds(e);
}

int nd_age_frequency(const struct nd_engine *e, const struct nd_value *v)
{
    uint32_t unused = (minutes(e) - (v->age >> 8)) & MINUTES_MASK;
    int64_t lost = e->config.lfu_decay_time > 0 ? unused / e->config.lfu_decay_time : 0;
    int64_t counter = v->age & COUNTER_MAX;
    return lost < counter ? (int)(counter - lost) : 0;
}

void nd_age_touch(struct nd_engine *e, struct nd_value *v)
{
    if (!counts(e)) {
        v->age = seconds(e) & AGE_MASK;
        return;
    }
    /* The higher the counter the less likely a use counts, so that eight bits tell thousands of uses from millions. */
    int counter = nd_age_frequency(e, v);
    if (counter < COUNTER_MAX) {
        uint64_t above = counter > COUNTER_NEW ? (uint64_t)(counter - COUNTER_NEW) : 0;
        if (rng_below(&e->rng, above * (uint64_t)e->config.lfu_log_factor + 1) == 0)
            counter++;
    }
    v->age = (minutes(e) << 8 | (uint32_t)counter) & AGE_MASK;
}

int64_t nd_age_idle_s(const struct nd_engine *e, const struct nd_value *v)
{
    return (seconds(e) - v->age) & AGE_MASK;
}

void nd_age_set_idle(struct nd_engine *e, struct nd_value *v, int64_t idle_s)
{
    if (!counts(e))
        v->age = (seconds(e) - (uint32_t)(idle_s < (int64_t)AGE_MASK ? idle_s : (int64_t)AGE_MASK)) & AGE_MASK;
}

void nd_age_set_frequency(struct nd_engine *e, struct nd_value *v, int frequency)
{
    if (counts(e))
        v->age = (minutes(e) << 8 | (uint32_t)frequency) & AGE_MASK;
}
