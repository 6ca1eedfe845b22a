/* What the source is: one server, or the masters of a cluster; and how each is asked. */
#include "nodectl/import/source.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/db/about.h"
#include "nodectl/info.h"
#include "sentineld/core/cluster_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 4 /* replicas of replicas, up to their master */

static bool fail(struct import *im, const struct addr *who, const char *why)
{
    char text[ADDR_TEXT_MAX];
    if (im->error.n == 0)
        buf_printf(&im->error, "%s: %s", addr_text(who, text), why);
    return false;
}

static struct source *add(struct import *im, const struct addr *at)
{
    im->v = mem_array(im->v, im->n + 1, sizeof *im->v);
    im->v[im->n] = (struct source){.import = im, .addr = *at, .min_replicas = -1, .fetch = {.fd = -1}};
    return &im->v[im->n++];
}

static redisReply *ask(struct import *im, struct node_link *l, const char *word, const char *second)
{
    struct buf why = {0};
    redisReply *r = node_link_ask(l, &why, word, second, (char *)NULL);
    if (r == NULL)
        fail(im, &l->addr, buf_str(&why));
    buf_free(&why);
    return r;
}

/* Goes from a replica to its master. */
static bool find_master(struct import *im, struct node_link *l, const struct addr *at)
{
    struct addr next = *at;
    for (int i = 0; i < CHAIN_MAX; i++) {
        if (!node_link_open(l, &im->source_asking, &next))
            return fail(im, &next, buf_str(&l->error));
        redisReply *r = ask(im, l, "INFO", "replication");
        if (r == NULL)
            return false;
        struct slice info = {r->str, (size_t)r->len}, host = info_field(info, "master_host");
        int64_t port;
        bool replica = host.n > 0 && text_range(info_field(info, "master_port"), 1, 65535, &port);
        if (replica)
            addr_set(&next, host, port);
        freeReplyObject(r);
        if (!replica)
            return true;
    }
    return fail(im, at, "it follows a chain of replicas that has no end");
}

#define ITSELF "it belongs to the target itself: importing would delete what it is to copy"

/* The masters with slots, of a cluster. */
static bool add_masters(struct import *im, struct node_link *l)
{
    struct sn_nodes nodes;
    redisReply *r = ask(im, l, "CLUSTER", "NODES");
    if (r == NULL)
        return false;
    bool read = r->type == REDIS_REPLY_STRING && sn_nodes_parse(&nodes, (struct slice){r->str, (size_t)r->len});
    freeReplyObject(r);
    if (!read)
        return fail(im, &l->addr, "its CLUSTER NODES cannot be read");
    unsigned slots = 0;
    for (size_t i = 0; i < nodes.nlines; i++) {
        struct addr at = nodes.lines[i].addr;
        if (at.host[0] == '\0')
            memcpy(at.host, l->addr.host, sizeof at.host);
        if (nodes.lines[i].nslots == 0)
            continue;
        if (picture_by_id(&im->target, nodes.lines[i].id) != NULL)
            fail(im, &at, ITSELF);
        add(im, &at);
        slots += nodes.lines[i].nslots;
    }
    sn_nodes_free(&nodes);
    if (im->error.n > 0)
        return false;
    return slots == SN_SLOTS || fail(im, &l->addr, "its cluster does not cover all slots: mend it first");
}

/* Run ids of the target's nodes: an address may have many names, a process has one run id. */
static void look_at_target(struct import *im)
{
    if (im->target_runs != NULL)
        return;
    im->target_runs = mem_zalloc((im->target.n + 1) * sizeof *im->target_runs);
    for (size_t i = 0; i < im->target.n; i++) {
        struct buf why = {0};
        struct picture_node *n = &im->target.v[i];
        const redisReply *r = n->answers ? picture_askf(&im->target, n, &why, "INFO server") : NULL;
        if (r != NULL && r->type == REDIS_REPLY_STRING)
            (void)runid_parse(info_field((struct slice){r->str, (size_t)r->len}, "run_id"), im->target_runs[i]);
        buf_free(&why);
    }
}

/* That it holds keys, and that it is no node of the target. */
static bool is_source(struct import *im, struct node_link *l)
{
    runid run;
    redisReply *r = ask(im, l, "INFO", "server");
    if (r == NULL)
        return false;
    struct slice info = {r->str, (size_t)r->len};
    bool sentinel = slice_is(info_field(info, "redis_mode"), "sentinel");
    bool known = runid_parse(info_field(info, "run_id"), run);
    freeReplyObject(r);
    if (sentinel)
        return fail(im, &l->addr, "it is a sentinel and holds no keys: name one of the servers that it watches");
    look_at_target(im);
    for (size_t i = 0; i < im->target.n && known; i++)
        if (memcmp(run, im->target_runs[i], sizeof run) == 0)
            return fail(im, &l->addr, ITSELF);
    return true;
}

static bool is_cluster(struct import *im, struct node_link *l, bool *cluster)
{
    redisReply *r = ask(im, l, "INFO", "cluster");
    if (r == NULL)
        return false;
    *cluster = slice_is(info_field((struct slice){r->str, (size_t)r->len}, "cluster_enabled"), "1");
    freeReplyObject(r);
    return true;
}

/* What its commands are, and how many keys it has. */
static bool prepare(struct import *im, struct source *s)
{
    if (!node_link_open(&s->link, &im->source_asking, &s->addr))
        return fail(im, &s->addr, buf_str(&s->link.error));
    if (!is_source(im, &s->link))
        return false;
    redisReply *r = ask(im, &s->link, "COMMAND", NULL);
    bool ok = r != NULL && (written_init(&s->written, r) || fail(im, &s->addr, "its COMMAND tells no commands"));
    freeReplyObject(r);
    r = ok ? ask(im, &s->link, "INFO", "keyspace") : NULL;
    if (r == NULL)
        return false;
    struct about_database_figures *v = NULL;
    size_t n = about_read_keyspace((struct slice){r->str, (size_t)r->len}, &v);
    freeReplyObject(r);
    for (size_t i = 0; i < n; i++)
        im->snapshot_keys += v[i].keys;
    free(v);
    if ((int64_t)n > im->databases) {
        char why[128];
        snprintf(why, sizeof why, "it has keys in database %zu, and the target has databases 0 to %lld only", n - 1,
                 (long long)im->databases - 1);
        return fail(im, &s->addr, why);
    }
    s->tells_expiry = map_gets(&s->written.commands, "pexpiretime") != NULL;
    return true;
}

bool import_open(struct import *im, const struct addr *at)
{
    struct node_link l = {.c = NULL};
    bool cluster = false, ok = find_master(im, &l, at) && is_source(im, &l) && is_cluster(im, &l, &cluster);
    if (ok && cluster)
        ok = add_masters(im, &l);
    else if (ok)
        add(im, &l.addr);
    node_link_free(&l);
    for (size_t i = 0; i < im->n && ok; i++)
        ok = prepare(im, &im->v[i]);
    return ok;
}

void import_free(struct import *im)
{
    for (size_t i = 0; i < im->n; i++) {
        struct source *s = &im->v[i];
        node_link_free(&s->link);
        written_free(&s->written);
        fetch_free(&s->fetch);
        dirty_free(&s->dirty);
        if (s->parser != NULL)
            resp_parser_free(s->parser);
    }
    free(im->v);
    free(im->delays);
    free(im->target_runs);
    buf_free(&im->error);
    im->v = NULL;
    im->n = 0;
}

int64_t source_offset(struct source *s)
{
    int64_t offset = -1;
    if (s->link.c == NULL && !node_link_open(&s->link, &s->import->source_asking, &s->addr))
        return -1;
    struct buf why = {0};
    redisReply *r = node_link_ask(&s->link, &why, "INFO", "replication", (char *)NULL);
    if (r != NULL && r->type == REDIS_REPLY_STRING)
        (void)text_range(info_field((struct slice){r->str, (size_t)r->len}, "master_repl_offset"), 0, INT64_MAX,
                         &offset);
    freeReplyObject(r);
    buf_free(&why);
    return offset;
}
