/* The kernel's settings, where they can be seen, and memory. */
#include "nodectl/doctor/checks.h"

#include "nodectl/past.h"
#include "nodectl/reply_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define RESERVED_FILES 32 /* of the server itself, as redis-server counts */

static const json_t *first_local(const json_t *facts)
{
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        if (json_yes(node, "local") && *field_text(node, "error") == '\0')
            return node;
    }
    return NULL;
}

static bool keeps_data(const json_t *node)
{
    return strcmp(doctor_config(node, "appendonly"), "yes") == 0 || *doctor_config(node, "save") != '\0';
}

static void check_sysctls(const json_t *facts, const json_t *node, json_t *findings)
{
    const json_t *machine = json_object_get(facts, "machine");
    const char *host = field_text(node, "host"), *thp = json_word(machine, "transparent_hugepage");
    int64_t somaxconn = json_int(machine, "somaxconn", -1),
            backlog = field_number(json_object_get(node, "config"), "tcp-backlog", 0);
    if (json_int(machine, "overcommit_memory", 1) != 1 && keeps_data(node))
        doctor_change(
            doctor_finding(findings, FINDING_WARNING, "kernel", host,
                           "vm.overcommit_memory is %lld: a save, a rewrite of the append-only file or a full sync may "
                           "fail for want of memory that is not used",
                           (long long)json_int(machine, "overcommit_memory", 0)),
            "sysctl vm.overcommit_memory=1, and the same in /etc/sysctl.d");
    if (strcmp(thp, "always") == 0) {
        bool off = strcmp(doctor_config(node, "disable-thp"), "yes") == 0;
        doctor_change(doctor_finding(findings, off ? FINDING_NOTE : FINDING_WARNING, "kernel", host,
                                     "transparent huge pages are on%s: saves make latency and memory peaks",
                                     off ? " (the servers switch them off for themselves)" : ""),
                      "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
    }
    if (somaxconn >= 0 && backlog > somaxconn)
        doctor_change(
            doctor_finding(findings, FINDING_WARNING, "kernel", host,
                           "net.core.somaxconn is %lld, so tcp-backlog %lld is cut to that: many clients that come at "
                           "once are refused",
                           (long long)somaxconn, (long long)backlog),
            "sysctl net.core.somaxconn=%lld, and the same in /etc/sysctl.d", (long long)backlog);
}

static void check_files(const json_t *node, json_t *findings)
{
    int64_t limit = json_int(node, "open_files", -1),
            clients = field_number(json_object_get(node, "config"), "maxclients", 0);
    if (limit < 0 || clients == 0 || limit >= clients + RESERVED_FILES)
        return;
    doctor_change(doctor_finding(findings, FINDING_WARNING, "kernel", field_text(node, "address"),
                                 "it may open %lld files, which is less than its %lld clients and what it needs itself",
                                 (long long)limit, (long long)clients),
                  "LimitNOFILE=%lld in its unit", (long long)clients + 1024);
}

static void tell_remote(const json_t *facts, json_t *findings)
{
    json_t *hosts = json_object();
    struct buf text = {0};
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        const char *host = field_text(node, "host");
        if (json_yes(node, "local") || json_object_get(hosts, host) != NULL)
            continue;
        json_object_set_new(hosts, host, json_true());
        buf_printf(&text, "%s%s", text.n > 0 ? ", " : "", host);
    }
    if (text.n > 0)
        doctor_change(doctor_finding(findings, FINDING_NOTE, "kernel", "other hosts",
                                     "kernel settings, open files and disks of %s cannot be seen from here",
                                     buf_str(&text)),
                      "run nodectl doctor there as well");
    buf_free(&text);
    json_decref(hosts);
}

void check_kernel(const json_t *facts, json_t *findings)
{
    const json_t *local = first_local(facts);
    size_t i;
    const json_t *node;
    if (local != NULL)
        check_sysctls(facts, local, findings);
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        check_files(node, findings);
    }
    tell_remote(facts, findings);
}

/* ---- memory ---- */

static void check_bound(const json_t *node, json_t *findings)
{
    const json_t *info = doctor_info(node);
    int64_t max = field_number(info, "maxmemory", -1), used = field_number(info, "used_memory", 0);
    const char *policy = field_text(info, "maxmemory_policy"), *where = field_text(node, "address");
    if (max <= 0 || used * 10 < max * 9)
        return;
    bool refuses = strcmp(policy, "noeviction") == 0;
    doctor_change(doctor_finding(findings, refuses && used * 100 >= max * 98 ? FINDING_CRITICAL : FINDING_WARNING,
                                 "memory", where, "%s of maxmemory %s is used; with %s %s", doctor_bytes(used),
                                 doctor_bytes(max), policy,
                                 refuses ? "writes are refused then" : "keys are evicted then"),
                  "raise maxmemory, add a shard (nodectl slots rebalance), or let keys expire");
}

struct sum {
    int64_t max, used, total;
    size_t unbounded, nodes;
};

static struct sum sum_of(const json_t *facts, const char *host)
{
    struct sum s = {.max = 0};
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        const json_t *info = doctor_info(node);
        if (strcmp(field_text(node, "host"), host) != 0 || *field_text(info, "maxmemory") == '\0')
            continue;
        s.nodes++;
        s.max += field_number(info, "maxmemory", 0);
        s.used += field_number(info, "used_memory", 0);
        s.unbounded += field_number(info, "maxmemory", 0) == 0;
        s.total = field_number(info, "total_system_memory", 0);
    }
    return s;
}

static void check_host(const json_t *facts, const char *host, json_t *findings)
{
    struct sum s = sum_of(facts, host);
    if (s.total <= 0)
        return;
    if (s.used * 10 > s.total * 8)
        doctor_change(doctor_finding(findings, FINDING_CRITICAL, "memory", host,
                                     "its nodes use %s of the %s that the machine has: the system will end one of them",
                                     doctor_bytes(s.used), doctor_bytes(s.total)),
                      "move a node to another machine");
    else if (s.max > s.total)
        doctor_change(doctor_finding(findings, FINDING_WARNING, "memory", host,
                                     "maxmemory of its %zu nodes is %s together, and the machine has %s", s.nodes,
                                     doctor_bytes(s.max), doctor_bytes(s.total)),
                      "lower maxmemory, and leave a part for saves and buffers");
    else if (s.unbounded > 0)
        doctor_change(
            doctor_finding(findings, FINDING_NOTE, "memory", host,
                           "%zu of its %zu nodes have no maxmemory: they grow until the system ends one of them",
                           s.unbounded, s.nodes),
            "CONFIG SET maxmemory to what they may use");
}

/* A replica that may hold less than its master loses keys, or its link, when it is full. */
static void check_pair(const json_t *facts, const json_t *replica, json_t *findings)
{
    size_t i;
    const json_t *node;
    int64_t own = field_number(doctor_info(replica), "maxmemory", 0);
    if (doctor_is_master(replica) || own == 0)
        return;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        int64_t max = field_number(doctor_info(node), "maxmemory", 0);
        if (strcmp(field_text(node, "address"), doctor_master(replica)) == 0 && (max == 0 || max > own))
            doctor_change(
                doctor_finding(findings, FINDING_WARNING, "memory", field_text(replica, "address"),
                               "its maxmemory (%s) is below that of its master (%s): when it is promoted, data does "
                               "not fit",
                               doctor_bytes(own), max == 0 ? "unbounded" : doctor_bytes(max)),
                "the same maxmemory on all nodes of a shard");
    }
}

void check_memory(const json_t *facts, json_t *findings)
{
    json_t *hosts = json_object();
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        const char *host = field_text(node, "host");
        check_bound(node, findings);
        check_pair(facts, node, findings);
        if (json_object_get(hosts, host) == NULL)
            check_host(facts, host, findings);
        json_object_set_new(hosts, host, json_true());
    }
    json_decref(hosts);
}
