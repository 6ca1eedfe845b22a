/* nodectl db list: what the databases of a cluster hold, over all its masters. */
#include "nodectl/db/about.h"
#include "nodectl/db/node_link.h"
#include "nodectl/db/verbs.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 32 /* keys of each database of each master whose memory is asked */

struct database {
    struct about_database_figures f;
    int64_t memory; /* bytes, about; -1: not known */
};

struct shard {
    struct addr master;
    struct database *v;
    size_t n;
};

struct list {
    const struct command_call *call;
    struct asking asking;
    struct picture picture;
    struct shard *shards;
    size_t n, databases;
    struct buf problems; /* lines */
};

/* ---- asking ---- */

static void read_shard(struct list *l, const struct picture_node *node, struct shard *s)
{
    struct about_database_figures *figures;
    char text[ADDR_TEXT_MAX];
    const redisReply *r = node->member != NULL ? fleet_answer(node->member) : NULL;
    s->master = node->addr;
    if (r == NULL || r->type != REDIS_REPLY_STRING) {
        buf_printf(&l->problems, "%s, a master, does not tell what it holds: %s\n", addr_text(&node->addr, text),
                   r != NULL              ? r->str
                   : node->member != NULL ? node->member->error
                                          : "its address is not known");
        return;
    }
    s->n = about_read_keyspace((struct slice){r->str, (size_t)r->len}, &figures);
    s->v = mem_array(NULL, s->n, sizeof *s->v);
    for (size_t db = 0; db < s->n; db++)
        s->v[db] = (struct database){.f = figures[db], .memory = -1};
    l->databases = s->n > l->databases ? s->n : l->databases;
    free(figures);
}

static void read_shards(struct list *l)
{
    static const char *const keyspace[] = {"INFO", "keyspace"};
    struct picture *p = &l->picture;
    const struct picture_node *node;
    fleet_forget(&p->fleet);
    for (size_t i = 0; (node = about_next_master(p, &i)) != NULL;)
        if (node->answers)
            fleet_ask(node->member, 2, keyspace);
    fleet_run(&p->fleet);
    l->shards = mem_zalloc((p->n + 1) * sizeof *l->shards);
    for (size_t i = 0; (node = about_next_master(p, &i)) != NULL;)
        read_shard(l, node, &l->shards[l->n++]);
    fleet_forget(&p->fleet);
}

/* The mean of some keys, times all of them. Keys that go meanwhile do not count. */
static int64_t sample(struct node_link *link, int64_t keys)
{
    static const struct slice random_key = {"RANDOMKEY", 9};
    redisReply *names[SAMPLES];
    int64_t sum = 0, counted = 0;
    size_t asked = 0;
    for (size_t i = 0; i < SAMPLES; i++)
        node_link_put(link, 1, &random_key);
    for (size_t i = 0; i < SAMPLES; i++)
        names[i] = node_link_get(link);
    for (size_t i = 0; i < SAMPLES; i++) {
        if (names[i] == NULL || names[i]->type != REDIS_REPLY_STRING)
            continue;
        struct slice words[] = {slice_of("MEMORY"), slice_of("USAGE"), {names[i]->str, (size_t)names[i]->len}};
        node_link_put(link, 3, words);
        asked++;
    }
    for (size_t i = 0; i < asked; i++) {
        redisReply *r = node_link_get(link);
        if (r != NULL && r->type == REDIS_REPLY_INTEGER) {
            sum += r->integer;
            counted++;
        }
        if (r != NULL)
            freeReplyObject(r);
    }
    for (size_t i = 0; i < SAMPLES; i++)
        if (names[i] != NULL)
            freeReplyObject(names[i]);
    return counted > 0 ? (int64_t)((double)sum / (double)counted * (double)keys) : -1;
}

static void measure(const struct list *l, struct shard *s)
{
    struct node_link link = {0};
    struct buf why = {0};
    bool open = s->n > 0 && node_link_open(&link, &l->asking, &s->master);
    for (size_t db = 0; open && db < s->n; db++)
        if (s->v[db].f.keys > 0 && node_link_select(&link, (int64_t)db, &why))
            s->v[db].memory = sample(&link, s->v[db].f.keys);
    node_link_free(&link);
    buf_free(&why);
}

/* Over all shards; one whose memory is not known leaves the sum unknown. */
static struct database sum_of(const struct list *l, size_t db)
{
    struct database sum = {.memory = 0};
    double ttl = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (db >= l->shards[i].n || l->shards[i].v[db].f.keys == 0)
            continue;
        const struct database *d = &l->shards[i].v[db];
        sum.f.keys += d->f.keys;
        sum.f.expires += d->f.expires;
        ttl += (double)d->f.average_ttl_ms * (double)d->f.expires;
        sum.memory = d->memory < 0 || sum.memory < 0 ? -1 : sum.memory + d->memory;
    }
    sum.f.average_ttl_ms = sum.f.expires > 0 ? (int64_t)(ttl / (double)sum.f.expires) : 0;
    return sum;
}

/* ---- printing ---- */

static json_t *database_json(const struct database *d)
{
    return json_pack("{s:I, s:I, s:I, s:o}", "keys", (json_int_t)d->f.keys, "expires", (json_int_t)d->f.expires,
                     "average_ttl_ms", (json_int_t)d->f.average_ttl_ms, "memory_bytes",
                     d->memory >= 0 ? json_integer((json_int_t)d->memory) : json_null());
}

static json_t *shards_json(const struct list *l, size_t db)
{
    json_t *shards = json_array();
    for (size_t i = 0; i < l->n; i++) {
        if (db >= l->shards[i].n || l->shards[i].v[db].f.keys == 0)
            continue;
        json_t *o = database_json(&l->shards[i].v[db]);
        json_object_set_new(o, "master", json_addr(&l->shards[i].master));
        json_array_append_new(shards, o);
    }
    return shards;
}

static void print_document(const struct list *l)
{
    json_t *databases = json_array();
    for (size_t db = 0; db < l->databases; db++) {
        struct database sum = sum_of(l, db);
        if (sum.f.keys == 0)
            continue;
        json_t *o = database_json(&sum);
        json_object_set_new(o, "db", json_integer((json_int_t)db));
        json_object_set_new(o, "shards", shards_json(l, db));
        json_array_append_new(databases, o);
    }
    json_t *o = json_pack("{s:o, s:I, s:o}", "databases", databases, "masters", (json_int_t)l->n, "problems",
                          output_lines(buf_slice(&l->problems)));
    output_document(l->asking.format, o);
    json_decref(o);
}

static void cells(struct table *t, const struct database *d)
{
    table_cell(t, PAINT_NONE, "%lld", (long long)d->f.keys);
    table_cell(t, PAINT_NONE, "%lld", (long long)d->f.expires);
    if (d->f.expires > 0 && d->f.average_ttl_ms > 0)
        table_cell(t, PAINT_NONE, "%.1f s", (double)d->f.average_ttl_ms / 1000);
    else
        table_cell(t, PAINT_NONE, "-");
    if (d->memory >= 0)
        table_cell(t, PAINT_NONE, "%.1f MB", (double)d->memory / 1e6);
    else
        table_cell(t, PAINT_NONE, "-");
}

static void print_table(const struct list *l)
{
    static const char *const titles[] = {"DATABASE", "KEYS", "EXPIRE", "MEAN TTL", "MEMORY", NULL};
    static const char *const wide_titles[] = {"DATABASE", "MASTER", "KEYS", "EXPIRE", "MEAN TTL", "MEMORY", NULL};
    bool wide = l->asking.format == OUTPUT_WIDE;
    struct table *t = table_new(wide ? wide_titles : titles);
    size_t rows = 0;
    for (size_t db = 0; db < l->databases; db++) {
        struct database sum = sum_of(l, db);
        for (size_t i = 0; wide && i < l->n; i++) {
            char text[ADDR_TEXT_MAX];
            if (db >= l->shards[i].n || l->shards[i].v[db].f.keys == 0)
                continue;
            table_cell(t, PAINT_NONE, "%zu", db);
            table_cell(t, PAINT_NONE, "%s", addr_text(&l->shards[i].master, text));
            cells(t, &l->shards[i].v[db]);
        }
        if (sum.f.keys == 0)
            continue;
        rows++;
        table_cell(t, wide ? PAINT_HEAD : PAINT_NONE, "%zu", db);
        if (wide)
            table_cell(t, PAINT_HEAD, "all");
        cells(t, &sum);
    }
    if (rows > 0)
        table_print(t, stdout, "", colour_wanted(stdout));
    else if (l->problems.n == 0)
        puts("No database holds a key.");
    table_free(t);
}

static int perform(struct list *l)
{
    int code = about_look(l->call, &l->asking, &l->picture);
    if (code != EXIT_OK)
        return code;
    read_shards(l);
    for (size_t i = 0; i < l->n; i++)
        measure(l, &l->shards[i]);
    if (l->asking.document)
        print_document(l);
    else
        print_table(l);
    fflush(stdout);
    command_fail_lines(l->call, buf_slice(&l->problems));
    return l->problems.n > 0 ? EXIT_FAILED : EXIT_OK;
}

int db_list(const struct command_call *call)
{
    struct list l = {.call = call};
    int code = asking_read_nodes(call, &l.asking);
    if (code == EXIT_OK) {
        code = perform(&l);
        picture_free(&l.picture);
    }
    for (size_t i = 0; i < l.n; i++)
        free(l.shards[i].v);
    free(l.shards);
    buf_free(&l.problems);
    asking_free(&l.asking);
    return code;
}
