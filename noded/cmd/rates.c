#include "noded/cmd/rates.h"

#include "common/base/mem.h"
#include "noded/cmd/histogram.h"
#include "noded/cmd/slot_stats.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE_US 100000

uint64_t nd_rate(const struct nd_rate *r)
{
    uint64_t sum = 0;
    for (int i = 0; i < ND_RATE_SAMPLES; i++)
        sum += r->samples[i];
    return sum / ND_RATE_SAMPLES;
}

static bool is_quiet(const struct nd_rate *r, uint64_t count)
{
    if (count != r->last_count)
        return false;
    for (int i = 0; i < ND_RATE_SAMPLES; i++)
        if (r->samples[i] != 0)
            return false;
    return true;
}

/* A rate that slept has no use for the time before. */
static void sample(struct nd_rate *r, uint64_t count, int64_t now_us)
{
    int64_t past_us = now_us - r->last_us;
    if (past_us > 10 * SAMPLE_US || past_us <= 0)
        past_us = SAMPLE_US;
    r->samples[r->next] = (count - r->last_count) * 1000000 / (uint64_t)past_us;
    r->next = (r->next + 1) % ND_RATE_SAMPLES;
    r->last_count = count;
    r->last_us = now_us;
}

static bool all_quiet(const struct nd_engine *e)
{
    const struct nd_stats *s = &e->stats;
    return is_quiet(&s->ops, s->commands) && is_quiet(&s->input, s->net_input) && is_quiet(&s->output, s->net_output);
}

int64_t nd_rates_deadline(const struct nd_engine *e)
{
    if (all_quiet(e))
        return HEAP_NEVER;
    int64_t due_us = e->stats.ops.last_us + SAMPLE_US;
    return due_us > e->now_us + SAMPLE_US ? e->now_us + SAMPLE_US : due_us;
}

void nd_rates_tick(struct nd_engine *e)
{
    struct nd_stats *s = &e->stats;
    if (all_quiet(e) || e->now_us < s->ops.last_us + SAMPLE_US)
        return;
    sample(&s->ops, s->commands, e->now_us);
    sample(&s->input, s->net_input, e->now_us);
    sample(&s->output, s->net_output, e->now_us);
}

void nd_stats_forget_errors(struct nd_engine *e)
{
    uint64_t *count;
    for (size_t it = 0; (count = map_next(&e->stats.errors_by_code, &it, NULL)) != NULL;)
        free(count);
    map_free(&e->stats.errors_by_code);
}

static void forget_histograms(struct nd_engine *e)
{
    for (size_t i = 0; i < nd_command_numbers(e); i++)
        nd_histogram_free(e->stats.by_command[i].latency);
}

void nd_stats_free(struct nd_engine *e)
{
    nd_stats_forget_errors(e);
    map_free(&e->stats.errors_by_code);
    forget_histograms(e);
    free(e->stats.by_command);
}

void nd_stats_reset(struct nd_engine *e)
{
    nd_stats_forget_errors(e);
    forget_histograms(e);
    struct nd_stats kept = e->stats;
    struct nd_facts facts = {0};
    e->host.facts(e->host.owner, &facts);
    e->stats = (struct nd_stats){
        .by_command = kept.by_command,
        .errors_by_code = kept.errors_by_code,
        .pubsub_clients = kept.pubsub_clients,
        .peak_memory = kept.peak_memory,
        .startup_memory = kept.startup_memory,
        .lazyfreed_before = facts.lazyfreed,
    };
    memset(kept.by_command, 0, nd_command_numbers(e) * sizeof *kept.by_command);
    if (e->cluster != NULL)
        nd_slot_stats_reset(e->cluster);
}
