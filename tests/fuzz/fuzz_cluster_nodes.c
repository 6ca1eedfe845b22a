/* CLUSTER NODES from a hostile server: any bytes, and what was read must lie within its ranges. */
#include "sentineld/core/cluster_nodes.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_id(const char *id, bool may_be_none)
{
    assert(strlen(id) == RUNID_LEN || (may_be_none && id[0] == '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sn_nodes nodes;
    if (!sn_nodes_parse(&nodes, (struct slice){(const char *)data, size})) {
        assert(nodes.nlines == 0 && nodes.lines == NULL && nodes.ranges == NULL);
        return 0;
    }
    assert(nodes.nlines > 0 && nodes.nlines <= SN_NODES_LINES_MAX && nodes.self < nodes.nlines);
    size_t selves = 0;
    for (size_t i = 0; i < nodes.nlines; i++) {
        const struct sn_nodes_line *l = &nodes.lines[i];
        check_id(l->id, false);
        check_id(l->master, true);
        check_id(l->shard, true);
        assert(strlen(l->addr.host) <= ADDR_HOST_MAX && l->addr.port >= 0 && l->addr.port <= 65535);
        assert(l->nslots <= SN_SLOTS && l->range + l->nranges <= nodes.nranges);
        unsigned slots = 0;
        for (size_t k = 0; k < l->nranges; k++) {
            const struct sn_slot_range *r = &nodes.ranges[l->range + k];
            assert(r->first <= r->last && r->last < SN_SLOTS);
            slots += (unsigned)(r->last - r->first + 1);
        }
        assert(slots == l->nslots);
        selves += (l->flags & SN_NODES_MYSELF) != 0;
        assert(sn_nodes_find(&nodes, l->id) != NULL);
    }
    assert(selves == 1);
    sn_nodes_free(&nodes);
    return 0;
}
