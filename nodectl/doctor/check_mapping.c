/* Databases that are about to be swapped: requests to them wait, with no end by time, until the supervisors have ended
 * the swap. Where they know of none, nobody does. */
#include "nodectl/doctor/checks.h"

#include "nodectl/reply_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HELD_LONG_MS 1000

/* Some supervisor has a swap to end, or has decided this one. */
static bool is_known(const json_t *facts, int64_t epoch)
{
    size_t i, k;
    const json_t *s, *told;
    json_array_foreach(json_object_get(facts, "supervisors"), i, s)
    {
        json_array_foreach(json_object_get(s, "clusters_told"), k, told)
        {
            const char *state = field_text(told, "swapdb-state");
            if (strcmp(state, "open") == 0 || strcmp(state, "committed") == 0 ||
                field_number(told, "mapping-epoch", 0) >= epoch)
                return true;
        }
    }
    return false;
}

static bool some_tells(const json_t *facts)
{
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(facts, "supervisors"), i, s)
    {
        if (json_array_size(json_object_get(s, "clusters_told")) > 0)
            return true;
    }
    return false;
}

void check_mapping(const json_t *facts, json_t *findings)
{
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        const json_t *m = json_object_get(node, "mapping");
        int64_t held_ms = field_number(m, "held_ms", 0), epoch = field_number(m, "swap_epoch", 0);
        const char *ballot = field_text(m, "ballot");
        if (!doctor_is_master(node) || strcmp(field_text(m, "state"), "prepared") != 0 || held_ms < HELD_LONG_MS)
            continue;
        json_t *one = doctor_finding(findings, FINDING_CRITICAL, "swapdb", field_text(node, "address"),
                                     "two databases wait to be swapped for %lld s, and all requests to them too "
                                     "(CLUSTER DBMAP: mapping %lld, attempt %s)",
                                     (long long)held_ms / 1000, (long long)epoch, ballot);
        if (is_known(facts, epoch))
            doctor_change(one, "its supervisors end it: see whether a majority of them runs, and their logs");
        else if (!some_tells(facts))
            doctor_change(one, "ask its supervisors (nodectl doctor -s): a majority of them ends it");
        else if (strcmp(ballot, "0") == 0)
            doctor_change(one, "none of its supervisors has begun it: CLUSTER DBMAP ABORT EPOCH %lld there",
                          (long long)epoch);
        else
            doctor_change(one, "none of its supervisors has begun it: CLUSTER DBMAP ABORT EPOCH %lld BALLOT %s there",
                          (long long)epoch, ballot);
    }
}
