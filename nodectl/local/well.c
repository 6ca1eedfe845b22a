#include "nodectl/local/well.h"

#include "nodectl/interrupt.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 15 /* how often is looked */
#define SLOTS 16384

enum { CLUSTER, MASTERS, QUESTIONS };

struct look {
    const struct well_wish *wish;
    const char *who;  /* the supervisor whose answers are read */
    struct buf *seen; /* shards and masters as the first of them tells them */
    struct buf *why;
    size_t released; /* how many have given the cluster up */
};

static const char gave_up[] = "ERR No such cluster";

static void miss(const struct look *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void miss(const struct look *l, const char *fmt, ...)
{
    va_list ap;
    buf_printf(l->why, "%s: ", l->who);
    va_start(ap, fmt);
    buf_vprintf(l->why, fmt, ap);
    va_end(ap);
    buf_putc(l->why, '\n');
}

static const redisReply *nested(const redisReply *map, const char *name)
{
    for (size_t i = 0; map != NULL && i + 1 < map->elements; i += 2)
        if (map->element[i]->type == REDIS_REPLY_STRING && strcmp(map->element[i]->str, name) == 0)
            return map->element[i + 1];
    return NULL;
}

/* ---- what one supervisor says ---- */

static void judge_head(const struct look *l, const json_t *head)
{
    const char *state = field_text(head, "state");
    int64_t shards = field_number(head, "num-shards", 0), nodes = field_number(head, "num-nodes", 0);
    int64_t covered = field_number(head, "slots-covered", 0);
    if (covered < SLOTS)
        miss(l, "%lld of %d slots are covered", (long long)covered, SLOTS);
    else if (strcmp(state, "ok") != 0)
        miss(l, "the cluster is %s", state);
    if (l->wish->shards > 0 && (size_t)shards != l->wish->shards)
        miss(l, "it knows %lld of %zu shards", (long long)shards, l->wish->shards);
    if (l->wish->nodes > 0 && (size_t)nodes != l->wish->nodes)
        miss(l, "it knows %lld of %zu nodes", (long long)nodes, l->wish->nodes);
    if (field_number(head, "agreed", 0) == 0)
        miss(l, "the nodes do not agree yet");
}

static void judge_replicas(const struct look *l, const char *shard, const redisReply *replicas)
{
    json_t *list = replicas != NULL ? reply_objects(replicas) : json_array(), *r;
    size_t i;
    json_array_foreach(list, i, r)
    {
        const char *guarded = field_text(r, "master-sync-guarded");
        if (*guarded != '\0')
            miss(l,
                 "replica %s:%s of %s keeps its data from its empty master; REPLICAOF ACCEPT %s, said to it, ends that",
                 field_text(r, "ip"), field_text(r, "port"), shard, guarded);
        else if (strcmp(field_text(r, "state"), "ok") != 0 || strcmp(field_text(r, "master-link-status"), "ok") != 0)
            miss(l, "replica %s:%s of %s is %s, its link to the master %s", field_text(r, "ip"), field_text(r, "port"),
                 shard, field_text(r, "state"), field_text(r, "master-link-status"));
        else if (field_number(r, "state-unknown", 0) != 0)
            miss(l, "replica %s:%s of %s has not heard yet that its master counts on it", field_text(r, "ip"),
                 field_text(r, "port"), shard);
    }
    json_decref(list);
}

static void judge_shard(const struct look *l, const redisReply *shard, struct buf *seen)
{
    json_t *o = reply_object(shard);
    const char *name = field_text(o, "name");
    if (strcmp(field_text(o, "state"), "ok") != 0)
        miss(l, "shard %s is %s", name, field_text(o, "state"));
    else if (l->wish->leases && (field_number(o, "lease-held-ms", 0) == 0 ||
                                 field_number(o, "lease-grants", 0) < (int64_t)l->wish->supervisors))
        miss(l, "the master of shard %s has leases of %lld of %zu supervisors", name,
             (long long)field_number(o, "lease-grants", 0), l->wish->supervisors);
    judge_replicas(l, name, nested(shard, "replicas"));
    buf_printf(seen, "%s %s:%s\n", name, field_text(o, "ip"), field_text(o, "port"));
    json_decref(o);
}

/* The names of the shards are made of ids, and the order may be another one at each. */
static void judge_shards(const struct look *l, const redisReply *shards)
{
    struct buf own = {0};
    for (size_t i = 0; shards != NULL && i < shards->elements; i++)
        judge_shard(l, shards->element[i], &own);
    if (l->seen->n == 0) {
        buf_put(l->seen, own.p, own.n);
    } else {
        bool same = own.n == l->seen->n;
        for (struct slice rest = buf_slice(&own); rest.n > 0 && same;) {
            struct slice line = slice_cut_line(&rest);
            same = memmem(l->seen->p, l->seen->n, line.p, line.n) != NULL;
        }
        if (!same)
            miss(l, "it knows other masters than the others");
    }
    buf_free(&own);
}

/* Every group of it has all other supervisors. */
static void judge_masters(const struct look *l, const redisReply *masters)
{
    json_t *list = reply_objects(masters), *m;
    size_t i;
    json_array_foreach(list, i, m)
    {
        int64_t others = field_number(m, "num-other-sentinels", -1);
        if (others >= 0 && (size_t)others + 1 < l->wish->supervisors) {
            miss(l, "it knows %lld of %zu other supervisors", (long long)others, l->wish->supervisors - 1);
            break;
        }
    }
    json_decref(list);
}

static void judge(struct look *l, const struct fleet_member *m)
{
    if (m->error != NULL || m->nreplies < QUESTIONS) {
        miss(l, "%s", m->error != NULL ? m->error : "no answer");
        return;
    }
    redisReply *const *r = m->replies + (m->nreplies - QUESTIONS);
    if (r[CLUSTER]->type == REDIS_REPLY_ERROR && strncmp(r[CLUSTER]->str, gave_up, sizeof gave_up - 1) == 0) {
        l->released++;
        miss(l, "it has released cluster %s: nodectl cluster adopt", l->wish->cluster);
        return;
    }
    if (r[CLUSTER]->type != REDIS_REPLY_ARRAY || r[MASTERS]->type != REDIS_REPLY_ARRAY) {
        miss(l, "%s", r[CLUSTER]->type == REDIS_REPLY_ERROR ? r[CLUSTER]->str : "its answer is not understood");
        return;
    }
    json_t *head = reply_object(r[CLUSTER]);
    judge_head(l, head);
    judge_shards(l, nested(r[CLUSTER], "shards"));
    judge_masters(l, r[MASTERS]);
    json_decref(head);
}

/* ---- all of them, again and again ---- */

/* Whether all of them have given the cluster up: then it is no use to wait. */
static bool look(const struct asking *a, const struct well_wish *wish, struct fleet *f, struct buf *why)
{
    const char *cluster[] = {"SENTINEL", "CLUSTER", wish->cluster};
    static const char *const masters[] = {"SENTINEL", "MASTERS"};
    struct buf seen = {0};
    size_t released = 0;
    fleet_forget(f);
    for (size_t i = 0; i < f->n; i++) {
        struct fleet_member *m = f->members[i];
        asking_again(a, m);
        fleet_ask(m, 3, cluster);
        fleet_ask(m, 2, masters);
    }
    fleet_run(f);
    for (size_t i = 0; i < f->n; i++) {
        char text[ADDR_TEXT_MAX];
        struct look l = {.wish = wish, .who = addr_text(&f->members[i]->addr, text), .seen = &seen, .why = why};
        judge(&l, f->members[i]);
        released += l.released;
    }
    buf_free(&seen);
    return f->n > 0 && released == f->n;
}

bool well_wait(const struct asking *a, const struct well_wish *wish, int limit_ms, struct buf *why)
{
    struct fleet f;
    int64_t deadline = fleet_now_ms() + limit_ms;
    bool well, more = true;
    asking_begin(a, &f);
    do {
        struct buf missing = {0};
        bool released = look(a, wish, &f, &missing);
        well = missing.n == 0;
        more = !well && !released && fleet_now_ms() < deadline && interrupt_sleep(LOOK_MS);
        if (!more && !well && interrupted())
            buf_puts(why, "interrupted");
        else if (released)
            buf_printf(
                why,
                "cluster %s is released: its nodes run, and no supervisor watches them. nodectl cluster adopt %s "
                "puts it under supervision again",
                wish->cluster, wish->cluster);
        else if (!more && !well)
            buf_printf(why, "all is not well after %.1f s:\n%s", limit_ms / 1000.0, buf_str(&missing));
        buf_free(&missing);
    } while (more);
    fleet_free(&f);
    return well;
}
