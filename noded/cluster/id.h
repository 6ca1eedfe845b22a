/* A node's id: 40 hexadecimal digits for people and on the wire, 20 bytes here. */
#ifndef CLUSTER_ID_H
#define CLUSTER_ID_H

#include "common/base/bytes.h"
#include "common/base/rng.h"

#define CL_ID_DIGITS 40
#define CL_SLOTS 16384
#define CL_SLOT_BYTES (CL_SLOTS / 8)
#define CL_IP_MAX 46 /* with its terminator */

struct cl_id {
    uint8_t b[CL_ID_DIGITS / 2]; /* all zero: no node */
};

/* Exactly 40 hex digits in lower case; anything else gives false. */
bool cl_id_parse(struct slice s, struct cl_id *out);
const char *cl_id_text(const struct cl_id *id, char out[CL_ID_DIGITS + 1]); /* returns out */
void cl_id_put(struct buf *out, const struct cl_id *id);                    /* the 40 digits */
bool cl_id_eq(const struct cl_id *a, const struct cl_id *b);
int cl_id_cmp(const struct cl_id *a, const struct cl_id *b); /* as the texts compare */
bool cl_id_is_none(const struct cl_id *id);
void cl_id_draw(struct rng *r, struct cl_id *out);

/* A bitmap of slots, CL_SLOT_BYTES long: slot s is bit s % 8 of byte s / 8, as on the wire. */
static inline bool cl_bit(const uint8_t *map, int slot)
{
    return (map[slot / 8] >> (slot & 7) & 1) != 0;
}

static inline void cl_bit_set(uint8_t *map, int slot)
{
    map[slot / 8] = (uint8_t)(map[slot / 8] | 1U << (slot & 7));
}

static inline void cl_bit_clear(uint8_t *map, int slot)
{
    map[slot / 8] = (uint8_t)(map[slot / 8] & ~(1U << (slot & 7)));
}

/* The first slot at or behind `from` whose bit is `value`; CL_SLOTS when there is none. Looks at bytes, not bits. */
int cl_bit_next(const uint8_t *map, int from, bool value);

#endif
