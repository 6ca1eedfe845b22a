/* Which notes tell of one attempt at a failover. A ballot has an epoch and the configuration that comes of it has
 * one: in a cluster of redis-server these are different numbers, so each is compared with its like only. Pure. */
#ifndef NODECTL_EPOCHS_H
#define NODECTL_EPOCHS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct epochs {
    int64_t ballot, config; /* 0: not known */
};

/* What the entry (of past_notes()) says by itself. */
struct epochs epochs_of(const json_t *entry);
/* The other one of the two, where any note of explain_collect() tells both. */
struct epochs epochs_complete(const json_t *collected, struct epochs e);
/* What is meant by a number: the ballot that has it, else the configuration. */
struct epochs epochs_named(const json_t *collected, int64_t number);
bool epochs_fit(const json_t *entry, struct epochs e);

#endif
