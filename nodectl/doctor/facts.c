#include "nodectl/doctor/facts.h"

#include "common/base/text.h"
#include "common/io/clock.h"
#include "nodectl/interrupt.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/supervisor/placement_of.h"
#include "nodectl/supervisor/roll.h"
#include "sentineld/core/cluster_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE_MS 500 /* between the two looks that a rate of writes is made of */

struct collecting {
    const struct asking *asking;
    struct fleet nodes;
    json_t *facts;
};

/* "field:value" lines of INFO or CLUSTER INFO. */
static json_t *fields_of(const redisReply *r)
{
    json_t *o = json_object();
    struct slice rest = {r->str, r->type == REDIS_REPLY_STRING ? (size_t)r->len : 0};
    while (rest.n > 0) {
        struct slice line = slice_trim(slice_cut_line(&rest)), name = slice_cut(&line, ':');
        if (name.n == 0 || name.p[0] == '#' || line.p == NULL)
            continue;
        char *key = slice_dup(name);
        json_object_set_new(o, key, json_text(line.p, line.n)); /* a name that is not UTF-8 is left out */
        free(key);
    }
    return o;
}

/* ---- who there is ---- */

static void add_node(struct collecting *c, const struct addr *a)
{
    bool added;
    if (addr_is_set(a))
        fleet_add(&c->nodes, a, false, &added);
}

static void add_map(struct collecting *c, const json_t *map, const char *host, const char *port)
{
    struct addr a;
    if (field_addr(map, host, port, &a))
        add_node(c, &a);
}

static void add_groups(struct collecting *c, const json_t *views)
{
    size_t i, k;
    const char *name;
    const json_t *view, *replica;
    json_t *group;
    json_array_foreach(views, i, view)
    {
        json_object_foreach(json_object_get(view, "groups"), name, group)
        {
            add_map(c, json_object_get(group, "master"), "ip", "port");
            json_array_foreach(json_object_get(group, "replicas"), k, replica)
            {
                add_map(c, replica, "ip", "port");
            }
        }
    }
}

static void add_cluster(struct collecting *c, const redisReply *r)
{
    struct sn_nodes nodes;
    if (r->type != REDIS_REPLY_STRING || !sn_nodes_parse(&nodes, (struct slice){r->str, (size_t)r->len}))
        return;
    for (size_t i = 0; i < nodes.nlines; i++)
        if (nodes.lines[i].addr.host[0] != '\0' && !(nodes.lines[i].flags & SN_NODES_HANDSHAKE))
            add_node(c, &nodes.lines[i].addr);
    sn_nodes_free(&nodes);
}

/* "slave0:ip=127.0.0.1,port=7001,state=online,..." */
static void add_replicas(struct collecting *c, const json_t *info)
{
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "slave%d", i);
        struct slice rest = slice_of(field_text(info, name)), host = {"", 0};
        int64_t port = 0;
        struct addr a;
        if (rest.n == 0)
            return;
        while (rest.n > 0) {
            struct slice value = slice_cut(&rest, ','), field = slice_cut(&value, '=');
            if (slice_is(field, "ip"))
                host = value;
            else if (slice_is(field, "port"))
                text_range(value, 1, 65535, &port);
        }
        if (addr_set(&a, host, port))
            add_node(c, &a);
    }
}

/* The nodes that the seeds know: of a cluster all, of a master its replicas, of a replica its master and those. */
static void ask_seeds(struct collecting *c)
{
    static const char *const nodes[] = {"CLUSTER", "NODES"}, *const info[] = {"INFO", "replication"};
    const struct conf_addresses *seeds = &c->asking->targets.seeds;
    for (size_t i = 0; i < seeds->n; i++)
        add_node(c, &seeds->v[i]);
    for (size_t from = 0, round = 0; from < c->nodes.n && round < 3; round++) {
        size_t until = c->nodes.n;
        for (size_t i = from; i < until; i++) {
            asking_login_node(c->asking, c->nodes.members[i]);
            fleet_ask(c->nodes.members[i], 2, nodes);
            fleet_ask(c->nodes.members[i], 2, info);
        }
        fleet_run(&c->nodes);
        for (size_t i = from; i < until; i++) {
            const struct fleet_member *m = c->nodes.members[i];
            if (m->error != NULL || m->nreplies < 2)
                continue;
            json_t *fields = fields_of(m->replies[m->nreplies - 1]);
            add_cluster(c, m->replies[m->nreplies - 2]);
            add_map(c, fields, "master_host", "master_port");
            add_replicas(c, fields);
            json_decref(fields);
        }
        fleet_forget(&c->nodes);
        from = until;
    }
}

/* ---- what they say ---- */

static void set_clock(json_t *o, int64_t before_ms, int64_t after_ms)
{
    int64_t clock_us = field_number(json_object_get(o, "info"), "server_time_usec", 0);
    if (clock_us <= 0)
        return;
    json_object_set_new(o, "clock_ms", json_integer(clock_us / 1000 - (before_ms + after_ms) / 2));
    json_object_set_new(o, "clock_error_ms", json_integer((after_ms - before_ms) / 2 + 1));
}

static json_t *read_node(const struct collecting *c, const struct fleet_member *m, size_t logins, int64_t before_ms,
                         int64_t after_ms)
{
    json_t *o = json_pack("{s:o, s:s, s:n, s:b, s:{}, s:{}, s:{}, s:{}, s:n}", "address", json_addr(&m->addr), "host",
                          m->addr.host, "error", "local", facts_is_local(m->addr.host), "info", "config", "cluster",
                          "mapping", "config_error");
    const redisReply *const *r = (const redisReply *const *)m->replies + logins;
    const char *error = m->error;
    if (error == NULL && (m->nreplies < logins + 4 || r[0]->type != REDIS_REPLY_STRING))
        error = m->nreplies > logins && r[0]->type == REDIS_REPLY_ERROR ? r[0]->str : "it does not answer INFO";
    if (error != NULL) {
        json_object_set_new(o, "error", json_text(error, strlen(error)));
        return o;
    }
    json_object_set_new(o, "info", fields_of(r[0]));
    json_object_set_new(o, "config", reply_object(r[1]));
    json_object_set_new(o, "cluster", fields_of(r[2]));
    json_object_set_new(o, "mapping", reply_object(r[3]));
    if (r[1]->type == REDIS_REPLY_ERROR)
        json_object_set_new(o, "config_error", json_text(r[1]->str, (size_t)r[1]->len));
    json_object_set_new(o, "open",
                        json_boolean(c->asking->node_password[0] == '\0' && strncmp(m->addr.host, "127.", 4) != 0 &&
                                     strcmp(m->addr.host, "::1") != 0 && strcmp(m->addr.host, "localhost") != 0));
    set_clock(o, before_ms, after_ms);
    if (json_yes(o, "local"))
        facts_process(o, field_text(json_object_get(o, "info"), "process_id"),
                      field_text(json_object_get(o, "config"), "dir"));
    return o;
}

/* How fast the replication streams of the masters grow. */
static void measure(struct collecting *c, json_t *nodes, int64_t begin_ms)
{
    static const char *const argv[] = {"INFO", "replication"};
    fleet_forget(&c->nodes);
    for (size_t i = 0; i < c->nodes.n; i++)
        fleet_ask(c->nodes.members[i], 2, argv);
    interrupt_sleep(RATE_MS);
    fleet_run(&c->nodes);
    int64_t took_ms = fleet_now_ms() - begin_ms;
    for (size_t i = 0; i < c->nodes.n; i++) {
        const redisReply *r = fleet_answer(c->nodes.members[i]);
        json_t *node = json_array_get(nodes, i), *info = json_object_get(node, "info");
        if (r == NULL || r->type != REDIS_REPLY_STRING || strcmp(field_text(info, "role"), "master") != 0)
            continue;
        json_t *later = fields_of(r);
        int64_t grown = field_number(later, "master_repl_offset", 0) - field_number(info, "master_repl_offset", 0);
        json_object_set_new(node, "write_rate", json_integer(grown > 0 ? grown * 1000 / took_ms : 0));
        json_decref(later);
    }
}

static json_t *ask_nodes(struct collecting *c)
{
    static const char *const info[] = {"INFO"}, *const config[] = {"CONFIG", "GET", "*"},
                             *const cluster[] = {"CLUSTER", "INFO"}, *const mapping[] = {"CLUSTER", "DBMAP"};
    json_t *list = json_array();
    size_t logins = 0;
    for (size_t i = 0; i < c->nodes.n; i++) {
        struct fleet_member *m = c->nodes.members[i];
        logins = asking_login_node(c->asking, m);
        fleet_ask(m, 1, info);
        fleet_ask(m, 3, config);
        fleet_ask(m, 2, cluster);
        fleet_ask(m, 2, mapping);
    }
    int64_t before_ms = io_wall_ms(), begin_ms = fleet_now_ms();
    fleet_run(&c->nodes);
    int64_t after_ms = io_wall_ms();
    for (size_t i = 0; i < c->nodes.n; i++)
        json_array_append_new(list, read_node(c, c->nodes.members[i], logins, before_ms, after_ms));
    measure(c, list, begin_ms);
    return list;
}

/* ---- the supervisors ---- */

static json_t *masters_of(const json_t *view)
{
    json_t *list = json_array();
    const char *name;
    json_t *group;
    json_object_foreach(json_object_get(view, "groups"), name, group)
    {
        json_array_append(list, json_object_get(group, "master"));
    }
    return list;
}

/* "ping-period", "1000", ... of SENTINEL DEBUG; stock answers in the same way. */
static int64_t ping_period(const redisReply *r)
{
    json_t *o = r != NULL ? reply_object(r) : json_object();
    int64_t ms = field_number(o, "ping-period", -1);
    json_decref(o);
    return ms;
}

static json_t *supervisors_of(struct roll *r)
{
    static const char *const debug[] = {"SENTINEL", "DEBUG"};
    size_t i;
    json_t *s;
    fleet_forget(&r->fleet);
    for (i = 0; i < r->fleet.n; i++)
        fleet_ask(r->fleet.members[i], 2, debug);
    fleet_run(&r->fleet);
    json_array_foreach(r->list, i, s)
    {
        const json_t *view = json_array_get(r->views, i);
        const struct fleet_member *m = roll_member(r, s);
        const char *address = field_text(s, "address");
        bool loopback = strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0 ||
                        strncmp(address, "localhost:", 10) == 0;
        const json_t *told = json_object_get(view, "clusters");
        json_object_set_new(s, "masters", masters_of(view));
        json_object_set_new(s, "clusters_told", told != NULL ? json_deep_copy(told) : json_array());
        json_object_set_new(s, "open", json_boolean(m != NULL && !loopback && r->asking->password[0] == '\0'));
        json_object_set_new(s, "ping_period_ms", json_integer(m != NULL ? ping_period(fleet_answer(m)) : -1));
    }
    return json_incref(r->list);
}

/* Without supervisors somebody has to answer. */
static int nobody(const struct command_call *call, const struct collecting *c)
{
    return asking_nobody_of(call, c->asking, &c->nodes, "node") ? EXIT_NOBODY : EXIT_OK;
}

int facts_collect(const struct command_call *call, const struct asking *a, json_t **facts)
{
    struct collecting c = {.asking = a};
    int code = EXIT_OK;
    *facts = c.facts = json_pack("{s:[], s:n, s:[]}", "supervisors", "placement", "nodes");
    fleet_init(&c.nodes, a->timeout_ms);
    if (a->targets.supervisors.n > 0) {
        struct roll r;
        code = roll_take(&r, call, a);
        if (code == EXIT_OK) {
            json_t *zones = json_object();
            json_object_set_new(*facts, "supervisors", supervisors_of(&r));
            json_object_set_new(*facts, "placement", placement_of(&r, zones));
            add_groups(&c, r.views);
            json_decref(zones);
        }
        roll_free(&r);
    }
    if (code == EXIT_OK && a->targets.seeds.n > 0)
        ask_seeds(&c);
    if (code == EXIT_OK) {
        json_object_set_new(*facts, "nodes", ask_nodes(&c));
        json_object_set_new(*facts, "machine", facts_machine());
        code = a->targets.supervisors.n > 0 ? EXIT_OK : nobody(call, &c);
    }
    fleet_free(&c.nodes);
    return code;
}
