#include "nodectl/status_shard.h"

#include "nodectl/failover_ranking.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"

#include <stddef.h>

enum status_lease status_lease(const json_t *views, const char *group)
{
    bool leased = false;
    size_t held = 0, not_held = 0;
    for (size_t i = 0; i < json_array_size(views); i++) {
        const json_t *g = status_group(views, i, group), *master = json_object_get(g, "master");
        int64_t left_ms = field_number(master, "lease-held-ms", -1);
        /* Whose list no node counts gets no word of the master's lease: that it needs one its INFO says. */
        leased = leased || left_ms >= 0 ||
                 json_integer_value(json_object_get(json_object_get(g, "info"), "supervised")) > 0;
        held += left_ms > 0;
        not_held += left_ms == 0;
    }
    if (!leased)
        return LEASE_UNUSED;
    return held > 0 && held >= not_held ? LEASE_HELD : LEASE_NONE;
}

const char *status_against(const json_t *group, const json_t *replica)
{
    struct addr a;
    char text[ADDR_TEXT_MAX];
    const json_t *ranking = json_object_get(group, "ranking");
    const json_t *row = field_addr(replica, "ip", "port", &a) ? failover_ranking_row(ranking, addr_text(&a, text))
                                                              : NULL;
    if (row != NULL)
        return failover_ranking_against(row);
    if (field_has(replica, "flags", "s_down"))
        return "down";
    if (field_has(replica, "flags", "disconnected"))
        return "disconnected";
    return field_number(replica, "slave-priority", 100) == 0 ? "priority 0" : NULL;
}

bool status_nobody(const json_t *group, struct buf *why)
{
    const json_t *replicas = json_object_get(group, "replicas"), *replica;
    size_t i, before = why->n;
    json_array_foreach(replicas, i, replica)
    {
        const char *against = status_against(group, replica);
        struct addr a;
        char text[ADDR_TEXT_MAX] = "?";
        if (against == NULL) {
            why->n = before;
            return false;
        }
        if (field_addr(replica, "ip", "port", &a))
            addr_text(&a, text);
        buf_printf(why, "%s%s: %s", i > 0 ? "; " : "", text, against);
    }
    return json_array_size(replicas) > 0;
}
