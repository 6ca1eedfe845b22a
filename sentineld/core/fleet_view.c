/* How much of a cluster is known. */
#include "sentineld/core/fleet.h"
#include "sentineld/core/inner.h"

unsigned sn_fleet_covered(const struct sn_fleet *f, unsigned *assigned)
{
    struct sn_slots have = {{0}}, up = {{0}};
    unsigned covered = 0;
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_shard *s = f->shards[k];
        for (size_t w = 0; w < SN_SLOTS / 64; w++) {
            have.bits[w] |= s->slots.bits[w];
            up.bits[w] |= s->group->master->s_down ? 0 : s->slots.bits[w];
        }
    }
    *assigned = 0;
    for (unsigned slot = 0; slot < SN_SLOTS; slot++) {
        *assigned += sn_slots_has(&have, slot);
        covered += sn_slots_has(&up, slot);
    }
    return covered;
}
