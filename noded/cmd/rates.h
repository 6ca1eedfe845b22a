/* Counters of a node over time: how much a second, and their reset. */
#ifndef CMD_RATES_H
#define CMD_RATES_H

#include "noded/cmd/engine.h"

/* Samples ten times a second while there is traffic, and until the last of it has left the samples. */
void nd_rates_tick(struct nd_engine *e);
int64_t nd_rates_deadline(const struct nd_engine *e); /* mono us, or HEAP_NEVER */
/* INFO's instantaneous_*: a second, the mean of the samples. */
uint64_t nd_rate(const struct nd_rate *r);

#endif
