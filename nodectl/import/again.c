/* Keys that were written since they were copied: each is asked for as it is now, and put into the target. */
#include "nodectl/import/import.h"

#include "common/io/clock.h"

#include <stdio.h>
#include <string.h>

#define BATCH 128

struct batch {
    struct source *s;
    int64_t db;
    struct slice keys[BATCH];
    size_t n;
};

static bool fail(struct import *im, const char *who, const char *why)
{
    if (im->error.n == 0)
        buf_printf(&im->error, "%s: %s", who, why);
    return false;
}

static bool put_again(struct batch *b, struct slice key, const redisReply *expiry, const redisReply *dump)
{
    struct route *r = &b->s->import->route;
    char at[24];
    bool ok;
    if (dump->type == REDIS_REPLY_NIL) {
        struct slice gone[] = {slice_of("DEL"), key};
        ok = route_send(r, b->db, 1, 2, gone);
    } else {
        int64_t ms = expiry->integer > 0 ? expiry->integer : 0;
        if (ms > 0 && !b->s->tells_expiry)
            ms += io_wall_ms();
        snprintf(at, sizeof at, "%lld", (long long)ms);
        struct slice words[] = {slice_of("RESTORE"), key,
                                slice_of(at),        {dump->str, (size_t)dump->len},
                                slice_of("REPLACE"), slice_of("ABSTTL")};
        ok = route_send(r, b->db, 1, 6, words);
    }
    b->s->import->recopied++;
    return ok || fail(b->s->import, "target", buf_str(&r->error));
}

/* One batch: its questions are under way together. false: the connection is lost, or error. */
static bool copy_batch(struct batch *b)
{
    struct source *s = b->s;
    char db[24], text[ADDR_TEXT_MAX];
    bool ok = true;
    snprintf(db, sizeof db, "%lld", (long long)b->db);
    struct slice select[] = {slice_of("SELECT"), slice_of(db)};
    node_link_put(&s->link, 2, select);
    for (size_t i = 0; i < b->n; i++) {
        struct slice expiry[] = {slice_of(s->tells_expiry ? "PEXPIRETIME" : "PTTL"), b->keys[i]};
        struct slice dump[] = {slice_of("DUMP"), b->keys[i]};
        node_link_put(&s->link, 2, expiry);
        node_link_put(&s->link, 2, dump);
    }
    redisReply *selected = node_link_get(&s->link);
    if (selected == NULL)
        return false;
    if (selected->type == REDIS_REPLY_ERROR)
        ok = fail(s->import, addr_text(&s->addr, text), selected->str);
    freeReplyObject(selected);
    for (size_t i = 0; i < b->n; i++) {
        redisReply *expiry = node_link_get(&s->link), *dump = expiry != NULL ? node_link_get(&s->link) : NULL;
        if (dump == NULL)
            ok = false;
        else if (expiry->type != REDIS_REPLY_INTEGER ||
                 (dump->type != REDIS_REPLY_STRING && dump->type != REDIS_REPLY_NIL))
            ok = fail(s->import, addr_text(&s->addr, text),
                      dump->type == REDIS_REPLY_ERROR ? dump->str : "it does not answer DUMP");
        else
            ok = ok && put_again(b, b->keys[i], expiry, dump);
        freeReplyObject(expiry);
        freeReplyObject(dump);
        if (s->link.c == NULL)
            return false;
    }
    b->n = 0;
    return ok;
}

static void put_back(struct source *s, const struct dirty *now)
{
    struct slice key;
    for (size_t db = 0; db < now->n; db++)
        for (size_t it = 0; map_next(&now->v[db], &it, &key) != NULL;)
            dirty_add(&s->dirty, (int64_t)db, key);
}

bool import_again(struct source *s)
{
    struct dirty now = {.v = NULL};
    struct batch b = {.s = s};
    if (s->link.c == NULL && !node_link_open(&s->link, &s->import->source_asking, &s->addr))
        return true;
    bool ok = true;
    dirty_take(&s->dirty, &now);
    for (size_t db = 0; db < now.n && ok; db++) {
        b.db = (int64_t)db;
        struct slice key;
        for (size_t it = 0; ok && map_next(&now.v[db], &it, &key) != NULL;) {
            b.keys[b.n++] = key;
            if (b.n == BATCH)
                ok = copy_batch(&b) && !interrupted() && import_hold_writers(s->import);
        }
        ok = ok && (b.n == 0 || copy_batch(&b));
    }
    struct route *r = &s->import->route;
    if (s->link.c == NULL) { /* what was not answered, and what was, comes again */
        put_back(s, &now);
        ok = s->import->error.n == 0;
    }
    dirty_free(&now);
    return ok && (route_flush(r) || fail(s->import, "target", buf_str(&r->error)));
}
