/* Supervisors: whether they agree, how they are spread, and whether their times fit together. */
#include "nodectl/doctor/checks.h"

#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/supervisor/loss.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define DOWN_AFTER_LEAST_MS 500

static const json_t *supervisors(const json_t *facts)
{
    return json_object_get(facts, "supervisors");
}

/* ---- agreement ---- */

/* Nodes of other makers know no leases. */
static bool any_noded(const json_t *facts)
{
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        if (strcmp(field_text(doctor_info(node), "server_name"), "noded") == 0)
            return true;
    }
    return false;
}

static void check_one(const json_t *s, bool leases, json_t *findings)
{
    const char *where = field_text(s, "address");
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(s, "disagrees"), i, one)
    {
        doctor_change(doctor_finding(findings, FINDING_CRITICAL, "supervisors", where, "%s", json_string_value(one)),
                      "see nodectl status; the same groups and clusters in every supervisor's file");
    }
    json_array_foreach(json_object_get(s, "paused"), i, one)
    {
        char until[WALL_TEXT_MAX];
        const char *name = field_text(one, "failover-paused");
        doctor_change(doctor_finding(findings, FINDING_WARNING, "supervisors", where,
                                     "automatic failovers of %s are paused until %s by %s: %s",
                                     strcmp(name, "*") == 0 ? "everything" : name,
                                     wall_text(field_number(one, "failover-paused-until", 0), until),
                                     field_text(one, "failover-paused-by"), field_text(one, "failover-paused-reason")),
                      "nodectl supervisor resume, when it is over");
    }
    if (leases && json_int(s, "list_version", 0) > 0 && !json_yes(s, "list_counted"))
        doctor_change(
            doctor_finding(findings, FINDING_WARNING, "supervisors", where,
                           "no node counts its list of supervisors (version %lld): its grants are worth nothing",
                           (long long)json_int(s, "list_version", 0)),
            "the same supervisors = [...] in every file, then restart it");
}

static void check_count(const json_t *facts, json_t *findings)
{
    size_t n = json_array_size(supervisors(facts));
    if (n == 1 || n == 2)
        doctor_change(doctor_finding(findings, FINDING_WARNING, "supervisors", "all",
                                     n == 1 ? "there is one supervisor: when it is lost nothing is failed over"
                                            : "there are two supervisors: when one is lost nothing is failed over"),
                      "three at least, on hosts that fail independently: nodectl supervisor add");
    else if (n > 0 && n % 2 == 0)
        doctor_change(doctor_finding(findings, FINDING_NOTE, "supervisors", "all",
                                     "%zu supervisors survive no more losses than %zu", n, n - 1),
                      "an odd number of them");
}

void check_supervisors(const json_t *facts, json_t *findings)
{
    size_t i;
    const json_t *s;
    int64_t first = 0;
    bool told = false, leases = any_noded(facts);
    json_array_foreach(supervisors(facts), i, s)
    {
        int64_t version = json_int(s, "list_version", 0);
        check_one(s, leases, findings);
        if (version > 0 && first > 0 && version != first && !told) {
            told = true;
            doctor_change(
                doctor_finding(findings, FINDING_WARNING, "supervisors", field_text(s, "address"),
                               "it speaks under version %lld of the list of supervisors, another one under %lld",
                               (long long)version, (long long)first),
                "finish the change: the same supervisors = [...] in every file, restart one by one");
        }
        first = version > 0 ? version : first;
    }
    check_count(facts, findings);
}

/* ---- placement ---- */

/* Shards that have replicas, and none that would be promoted. Those without one are told by check_replication(). */
static void check_nobody(const json_t *now, json_t *findings)
{
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(now, "shards"), i, s)
    {
        const char *name = field_text(s, "name");
        if (strcmp(field_text(s, "state"), "alone") == 0 && json_int(s, "replicas", 0) > 0)
            doctor_change(doctor_finding(findings, FINDING_WARNING, "quorum", name,
                                         "nobody can be promoted in it when its master dies: %s", field_text(s, "why")),
                          "end the maintenance or give a replica a priority above 0 (nodectl node maintenance off "
                          "NODE), or add a replica; nodectl shard candidates %s shows them",
                          name);
    }
}

/* Those that take no writes then, and the first of them. */
static size_t without_writes(const json_t *loss, const json_t **first)
{
    size_t i, lost = 0;
    const json_t *s;
    *first = NULL;
    json_array_foreach(json_object_get(loss, "shards"), i, s)
    {
        if (json_yes(s, "writes"))
            continue;
        *first = *first != NULL ? *first : s;
        lost++;
    }
    return lost;
}

/* before: how many take no writes as it is, with nothing lost. */
static void check_loss(const json_t *loss, bool one_host, size_t before, json_t *findings)
{
    const char *kind = field_text(loss, "kind"), *name = field_text(loss, "name");
    const json_t *first;
    size_t lost = without_writes(loss, &first);
    bool now = strcmp(kind, "now") == 0;
    if (first == NULL || (one_host && strcmp(kind, "host") == 0) || (!now && lost <= before))
        return;
    doctor_change(doctor_finding(findings, now ? FINDING_CRITICAL : FINDING_WARNING, "quorum",
                                 now ? field_text(first, "name") : name,
                                 now ? "%s%s%zu of the shards take no writes (%s: %s)"
                                     : "when %s %s is lost, %zu of the shards take no writes (%s: %s)",
                                 now ? "" : kind, now ? "" : name, lost, field_text(first, "name"),
                                 field_text(first, "why")),
                  "masters, replicas and supervisors on different hosts; nodectl supervisor quorum shows all losses");
}

void check_quorum(const json_t *facts, json_t *findings)
{
    const json_t *fleet = json_object_get(facts, "placement"), *loss;
    if (!json_is_object(fleet))
        return;
    json_t *document = loss_document(fleet);
    bool one_host = json_yes(document, "one_host");
    size_t i, before = without_writes(loss_named(document, ""), &loss);
    json_array_foreach(json_object_get(document, "losses"), i, loss)
    {
        check_loss(loss, one_host, before, findings);
        if (strcmp(field_text(loss, "kind"), "now") == 0)
            check_nobody(loss, findings);
    }
    if (one_host)
        doctor_change(doctor_finding(findings, FINDING_NOTE, "quorum", "all", "all of it is on one host"),
                      "for a fleet that is to survive a host: three hosts at least");
    json_decref(document);
}

/* ---- times ---- */

static void check_group(const char *name, const json_t *map, json_t *findings)
{
    int64_t down_after = field_number(map, "down-after-milliseconds", 0), quorum = field_number(map, "quorum", 0);
    int64_t timeout = field_number(map, "failover-timeout", 0), known = field_number(map, "num-other-sentinels", 0) + 1;
    if (quorum > known)
        doctor_change(
            doctor_finding(findings, FINDING_CRITICAL, "timeouts", name,
                           "its quorum is %lld, and %lld supervisors know of each other: nothing is ever failed over",
                           (long long)quorum, (long long)known),
            "quorum = %lld", (long long)known / 2 + 1);
    else if (quorum < known / 2 + 1 && known > 2)
        doctor_change(
            doctor_finding(
                findings, FINDING_NOTE, "timeouts", name,
                "its quorum (%lld of %lld) is no majority: fewer hold it for down, and a majority still has to "
                "vote",
                (long long)quorum, (long long)known),
            "quorum = %lld", (long long)known / 2 + 1);
    if (timeout > 0 && timeout < 2 * down_after)
        doctor_change(
            doctor_finding(
                findings, FINDING_NOTE, "timeouts", name,
                "failover-timeout (%lld ms) is less than twice down-after (%lld ms): a failover that fails is "
                "tried again late",
                (long long)timeout, (long long)down_after),
            "failover_timeout_ms = %lld", (long long)down_after * 2);
}

static void check_times(const char *name, const json_t *map, int64_t ping_period, json_t *findings)
{
    int64_t down_after = field_number(map, "down-after-milliseconds", 0),
            lease = field_number(map, "lease-milliseconds", 0);
    if (down_after > 0 && down_after < DOWN_AFTER_LEAST_MS)
        doctor_change(doctor_finding(findings, FINDING_WARNING, "timeouts", name,
                                     "down-after is %lld ms: a busy machine is taken for a dead one",
                                     (long long)down_after),
                      "down_after_ms = %d or more", DOWN_AFTER_LEAST_MS);
    if (lease > 0 && lease * 2 > down_after)
        doctor_change(
            doctor_finding(
                findings, FINDING_NOTE, "timeouts", name,
                "its leases (%lld ms) are longer than half of down-after (%lld ms): a failover waits for their "
                "end",
                (long long)lease, (long long)down_after),
            "lease_ms = %lld", (long long)down_after / 2);
    if (lease == 0 && ping_period * 2 > down_after && down_after > 0 && ping_period > 0)
        doctor_change(doctor_finding(
                          findings, FINDING_WARNING, "timeouts", name,
                          "a PING is sent every %lld ms, and down-after is %lld ms: one that is lost may be a failover",
                          (long long)ping_period, (long long)down_after),
                      "down_after_ms of twice the period at least (SENTINEL DEBUG ping-period)");
}

/* Whether the supervisors say the same of the fields that decide. */
static void compare(const json_t *facts, const json_t *map, json_t *findings)
{
    static const char *const fields[] = {"quorum", "down-after-milliseconds", "failover-timeout"};
    size_t i;
    const json_t *s;
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
        json_array_foreach(supervisors(facts), i, s)
        {
            const json_t *other = json_named(json_object_get(s, "masters"), field_text(map, "name"));
            if (other == NULL || strcmp(field_text(other, fields[k]), field_text(map, fields[k])) == 0)
                continue;
            doctor_change(doctor_finding(findings, FINDING_WARNING, "timeouts", field_text(map, "name"),
                                         "%s is %s at %s and %s at another supervisor", fields[k],
                                         field_text(other, fields[k]), field_text(s, "address"),
                                         field_text(map, fields[k])),
                          "the same in every file (nodectl config diff), then SENTINEL RELOAD");
            break;
        }
    }
}

void check_timeouts(const json_t *facts, json_t *findings)
{
    json_t *seen = json_object();
    size_t i, k;
    const json_t *s, *map;
    json_array_foreach(supervisors(facts), i, s)
    {
        json_array_foreach(json_object_get(s, "masters"), k, map)
        {
            const char *name = field_text(map, "name"), *cluster = field_text(map, "cluster");
            const char *settings = *cluster != '\0' ? cluster : name; /* shards have those of their cluster */
            const json_t *told = json_named(json_object_get(s, "clusters_told"), cluster);
            if (json_object_get(seen, settings) != NULL)
                continue;
            json_object_set_new(seen, settings, json_true());
            compare(facts, map, findings);
            check_group(settings, map, findings);
            check_times(settings, told != NULL ? told : map, json_int(s, "ping_period_ms", -1), findings);
        }
    }
    json_decref(seen);
}
