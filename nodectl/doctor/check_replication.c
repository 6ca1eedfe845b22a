/* Replicas and their links, and clusters as their nodes see them. */
#include "nodectl/doctor/checks.h"

#include "nodectl/past.h"
#include "nodectl/reply_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LAG_WARN_S 10
#define BACKLOG_LEAST_S 60 /* a restart of a replica, or a short break of the network, should fit into the backlog */
#define NODE_TIMEOUT_LEAST_MS 1000
#define SLOTS 16384

static size_t replicas_of(const json_t *facts, const char *master)
{
    size_t i, n = 0;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        n += *field_text(node, "error") == '\0' && !doctor_is_master(node) && strcmp(doctor_master(node), master) == 0;
    }
    return n;
}

/* replica-guard: the link is down because the replica wants it so. */
static void check_guarded(const json_t *node, json_t *findings)
{
    const char *history = field_text(doctor_info(node), "master_sync_guarded");
    doctor_change(
        doctor_finding(findings, FINDING_CRITICAL, "replication", field_text(node, "address"),
                       "it does not follow its master %s: that one is empty and may have lost its data, "
                       "which this replica still has (replica-guard)",
                       doctor_master(node)),
        "when its data is the right one: stop the master, then nodectl failover to this replica; when it may go, say "
        "to it: REPLICAOF ACCEPT %s",
        history);
}

static void check_link(const json_t *node, json_t *findings)
{
    const json_t *info = doctor_info(node);
    const char *where = field_text(node, "address");
    int64_t ago = field_number(info, "master_last_io_seconds_ago", 0);
    int64_t down_s = field_number(info, "master_link_down_since_seconds", -1);
    char since[48] = "has not been up since it was started";
    if (down_s >= 0)
        snprintf(since, sizeof since, "is down for %lld s", (long long)down_s);
    bool up = strcmp(field_text(info, "master_link_status"), "up") == 0;
    if (!up && *field_text(info, "master_sync_guarded") != '\0')
        check_guarded(node, findings);
    else if (!up)
        doctor_change(
            doctor_finding(findings, FINDING_CRITICAL, "replication", where, "its link to the master %s %s%s",
                           doctor_master(node), since,
                           field_number(info, "master_sync_in_progress", 0) != 0 ? " (a full sync is under way)" : ""),
            "see its log: is the master reachable from there, does masterauth fit?");
    else if (ago > LAG_WARN_S)
        doctor_change(doctor_finding(findings, FINDING_WARNING, "replication", where,
                                     "it has heard nothing from its master for %lld s", (long long)ago),
                      "see the network between them");
}

/* "ip=127.0.0.1,port=7001,state=online,offset=123,lag=0" */
static int64_t part(const char *text, const char *name)
{
    char key[32];
    snprintf(key, sizeof key, ",%s=", name);
    const char *at = strstr(text, key);
    long long n = -1;
    return at != NULL && sscanf(at + strlen(key), "%lld", &n) == 1 ? n : -1;
}

static void check_lag(const json_t *node, json_t *findings)
{
    const json_t *info = doctor_info(node);
    int64_t offset = field_number(info, "master_repl_offset", 0), backlog = field_number(info, "repl_backlog_size", 0);
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "slave%d", i);
        const char *text = field_text(info, name);
        if (*text == '\0')
            return;
        int64_t behind = offset - part(text, "offset"), lag = part(text, "lag");
        long long port = (long long)part(text, "port");
        if (part(text, "offset") >= 0 && backlog > 0 && behind > backlog)
            doctor_change(doctor_finding(
                              findings, FINDING_WARNING, "replication", field_text(node, "address"),
                              "its replica at port %lld is %s behind, more than the backlog (%s): when its link breaks "
                              "it needs a full sync",
                              port, doctor_bytes(behind), doctor_bytes(backlog)),
                          "raise repl-backlog-size, and see why the replica is slow");
        else if (lag > LAG_WARN_S)
            doctor_change(doctor_finding(findings, FINDING_WARNING, "replication", field_text(node, "address"),
                                         "its replica at port %lld has acknowledged nothing for %lld s", port,
                                         (long long)lag),
                          "see the replica's log and load");
    }
}

static void check_backlog(const json_t *node, json_t *findings)
{
    int64_t size = field_number(doctor_info(node), "repl_backlog_size", 0), rate = json_int(node, "write_rate", 0);
    if (size <= 0 || rate <= 0 || size / rate >= BACKLOG_LEAST_S)
        return;
    doctor_change(
        doctor_finding(findings, FINDING_WARNING, "replication", field_text(node, "address"),
                       "at %s a second its backlog of %s holds the last %lld s: a replica that is away longer needs a "
                       "full sync",
                       doctor_bytes(rate), doctor_bytes(size), (long long)(size / rate)),
        "CONFIG SET repl-backlog-size %lld", (long long)rate * BACKLOG_LEAST_S);
}

static void check_master(const json_t *facts, const json_t *node, json_t *findings)
{
    const json_t *info = doctor_info(node);
    const char *where = field_text(node, "address");
    int64_t needed = field_number(json_object_get(node, "config"), "min-replicas-to-write", 0);
    int64_t connected = field_number(info, "connected_slaves", 0),
            good = field_number(info, "min_slaves_good_slaves", connected);
    if (needed > 0 && good < needed)
        doctor_change(doctor_finding(findings, FINDING_CRITICAL, "replication", where,
                                     "it refuses writes: min-replicas-to-write is %lld, and %lld replicas are in step",
                                     (long long)needed, (long long)good),
                      "bring its replicas back, or CONFIG SET min-replicas-to-write 0 knowingly");
    else if (needed > 0 && good == needed)
        doctor_change(
            doctor_finding(findings, FINDING_WARNING, "replication", where,
                           "when one of its %lld replicas is lost it refuses writes (min-replicas-to-write %lld)",
                           (long long)good, (long long)needed),
            "one replica more than min-replicas-to-write");
    if (connected == 0 && replicas_of(facts, where) == 0)
        doctor_change(doctor_finding(findings, FINDING_WARNING, "replication", where,
                                     "it has no replica: when it dies, nothing can be promoted"),
                      "add one: nodectl node add");
    check_lag(node, findings);
    check_backlog(node, findings);
}

/* A cluster's master without slots serves nothing, and needs no replica. */
static bool serves(const json_t *node)
{
    return field_number(json_object_get(node, "cluster"), "cluster_my_slots", 1) != 0;
}

void check_replication(const json_t *facts, json_t *findings)
{
    size_t i;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        if (*field_text(node, "error") != '\0')
            continue;
        if (!doctor_is_master(node))
            check_link(node, findings);
        else if (serves(node))
            check_master(facts, node, findings);
    }
}

/* ---- hosts, where no supervisor tells what a loss would cost ---- */

static bool on_two_hosts(const json_t *facts)
{
    size_t i;
    const json_t *node, *nodes = json_object_get(facts, "nodes");
    json_array_foreach(nodes, i, node)
    {
        if (strcmp(field_text(node, "host"), field_text(json_array_get(nodes, 0), "host")) != 0)
            return true;
    }
    return false;
}

/* A shard that is on one host altogether goes with it. */
static void check_shard(const json_t *facts, const json_t *master, json_t *findings)
{
    const char *address = field_text(master, "address"), *host = field_text(master, "host");
    size_t i, replicas = 0;
    const json_t *node;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        if (*field_text(node, "error") != '\0' || doctor_is_master(node) || strcmp(doctor_master(node), address) != 0)
            continue;
        if (strcmp(field_text(node, "host"), host) != 0)
            return;
        replicas++;
    }
    if (replicas > 0)
        doctor_change(doctor_finding(findings, FINDING_WARNING, "placement", address,
                                     "its %zu replicas are on its own host: when %s is lost, so are its data", replicas,
                                     host),
                      "a replica on another host: nodectl node add");
}

/* Nodes that elect by themselves need a majority of the masters. */
static void check_majority(const json_t *facts, json_t *findings)
{
    json_t *count = json_object();
    size_t i, masters = 0;
    const json_t *node;
    const char *host;
    json_t *n;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        bool votes = doctor_is_master(node) && *field_text(json_object_get(node, "cluster"), "cluster_state") != '\0' &&
                     serves(node);
        if (!votes)
            continue;
        masters++;
        host = field_text(node, "host");
        json_object_set_new(count, host, json_integer(json_int(count, host, 0) + 1));
    }
    json_object_foreach(count, host, n)
    {
        size_t there = (size_t)json_integer_value(n);
        if (masters - there < masters / 2 + 1)
            doctor_change(doctor_finding(findings, FINDING_WARNING, "placement", host,
                                         "%zu of %zu masters are there: when it is lost, no majority is left to elect "
                                         "others",
                                         there, masters),
                          "masters on three hosts at least, or supervisors: nodectl cluster adopt");
    }
    json_decref(count);
}

void check_placement(const json_t *facts, json_t *findings)
{
    size_t i;
    const json_t *node;
    if (json_is_object(json_object_get(facts, "placement")) || !on_two_hosts(facts))
        return;
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        if (*field_text(node, "error") == '\0' && doctor_is_master(node))
            check_shard(facts, node, findings);
    }
    check_majority(facts, findings);
}

/* ---- clusters ---- */

/* Most nodes say the same, so each sentence is said once, with the first that says it. */
static void say_once(json_t *findings, json_t *said, const char *severity, const char *where, const char *what,
                     const char *change)
{
    if (json_object_get(said, what) != NULL)
        return;
    json_object_set_new(said, what, json_true());
    doctor_change(doctor_finding(findings, severity, "cluster", where, "%s", what), "%s", change);
}

void check_cluster(const json_t *facts, json_t *findings)
{
    json_t *said = json_object();
    size_t i;
    const json_t *node;
    char text[160];
    json_array_foreach(json_object_get(facts, "nodes"), i, node)
    {
        const json_t *c = json_object_get(node, "cluster"), *config = json_object_get(node, "config");
        const char *where = field_text(node, "address");
        int64_t assigned = field_number(c, "cluster_slots_assigned", SLOTS);
        int64_t timeout = field_number(config, "cluster-node-timeout", NODE_TIMEOUT_LEAST_MS);
        if (*field_text(c, "cluster_state") == '\0')
            continue;
        if (assigned < SLOTS) {
            snprintf(text, sizeof text, "%lld slots belong to nobody", (long long)(SLOTS - assigned));
            say_once(findings, said, FINDING_CRITICAL, where, text, "nodectl slots check, then nodectl slots fix");
        }
        if (strcmp(field_text(c, "cluster_state"), "ok") != 0)
            say_once(findings, said, FINDING_CRITICAL, where, "the cluster is down for it, so it refuses clients",
                     "nodectl slots check");
        if (field_number(c, "cluster_slots_fail", 0) > 0)
            say_once(findings, said, FINDING_CRITICAL, where, "it holds the master of some slots for failed",
                     "nodectl status, and nodectl slots check");
        if (field_number(c, "cluster_supervised", 0) == 0 && timeout < NODE_TIMEOUT_LEAST_MS)
            say_once(findings, said, FINDING_WARNING, where,
                     "cluster-node-timeout is below a second: a busy machine is taken for a dead one",
                     "CONFIG SET cluster-node-timeout to some seconds, on all nodes");
    }
    json_decref(said);
}
