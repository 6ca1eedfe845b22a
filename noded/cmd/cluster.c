#include "noded/cmd/cluster.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/block.h"
#include "noded/cmd/database.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/lookup.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/pubsub.h"
#include "noded/cmd/slot_stats.h"
#include "noded/cmd/watch.h"

#include <stdlib.h>
#include <string.h>

#define DELETED_AT_ONCE 64 /* keys in one effect */

/* ---- life ---- */

struct nd_cluster *nd_cluster_new(struct nd_engine *e, struct cl_core *core, const struct nd_cluster_host *host)
{
    struct nd_cluster *cl = mem_zalloc(sizeof *cl);
    cl->e = e;
    cl->core = core;
    cl->host = *host;
    cl->held_dbs[0] = cl->held_dbs[1] = -1;
    cl->slot_stats = mem_zalloc(sizeof *cl->slot_stats);
    e->cluster = cl;
    nd_lease_look(cl);
    nd_cluster_look(cl);
    return cl;
}

void nd_cluster_free(struct nd_cluster *cl)
{
    if (cl == NULL)
        return;
    nd_cluster_asks_free(cl);
    for (size_t i = 0; i < 2; i++) {
        buf_free(&cl->slots[i].bytes);
        buf_free(&cl->shards[i].bytes);
    }
    cl->e->cluster = NULL;
    cl->e->lease_until_us = INT64_MAX;
    free(cl->slot_stats);
    free(cl);
}

/* ---- what follows when the cluster has changed ---- */

/* Whoever waits for a key that is served elsewhere by now has to go there. */
static void redirect_waiting(struct nd_engine *e)
{
    struct buf error = {0};
    struct nd_session *next;
    for (struct nd_session *s = e->sessions; s != NULL && e->waits->blocked > 0; s = next) {
        const struct nd_command *cmd;
        const struct slice *argv;
        size_t argc;
        next = s->next;
        if (!nd_waits_for_keys(s, &cmd, &argv, &argc))
            continue;
        buf_clear(&error);
        if (nd_cluster_moved_away(s, cmd, argv, argc, &error))
            nd_unblock(s, buf_str(&error));
    }
    buf_free(&error);
}

/* One shard channel that is another shard's by now. NULL: there is none. */
static char *moved_channel(struct nd_cluster *cl, size_t *n)
{
    struct slice name;
    for (size_t it = 0; map_next(&cl->e->pubsub->by_name[ND_SHARD_CHANNEL], &it, &name) != NULL;) {
        if (!nd_cluster_shard_has(cl, nd_key_slot(name))) {
            *n = name.n;
            return slice_dup(name);
        }
    }
    return NULL;
}

static void unsubscribe_moved(struct nd_cluster *cl)
{
    char *name;
    size_t n;
    while (cl->e->pubsub->by_name[ND_SHARD_CHANNEL].used > 0 && (name = moved_channel(cl, &n)) != NULL) {
        nd_channel_closed(cl->e, ND_SHARD_CHANNEL, (struct slice){name, n});
        free(name);
    }
}

void nd_cluster_changed(struct nd_cluster *cl)
{
    bool held = cl->holds, begun = nd_lease_look(cl), changed = nd_cluster_look(cl);
    if ((changed && held) || (cl->e->lease_grace_us != 0 && (changed || begun)))
        nd_resume_postponed(cl->e);
    if (changed)
        redirect_waiting(cl->e);
    if ((changed && held) || begun)
        nd_serve_held(cl->e); /* those who are still here */
    if (changed)
        unsubscribe_moved(cl);
}

/* ---- keys of slots ---- */

bool nd_cluster_has_keys(const struct nd_engine *e)
{
    for (int i = 0; i < e->keys.db_count; i++) {
        const struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db != NULL && nd_db_count(db) > 0)
            return true;
    }
    return false;
}

size_t nd_cluster_slot_keys(const struct nd_engine *e, int slot)
{
    size_t n = 0;
    for (int i = 0; i < e->keys.db_count; i++) {
        const struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        n += db != NULL ? nd_db_slot_count(db, slot) : 0;
    }
    return n;
}

void nd_cluster_key_slots(const struct nd_engine *e, uint8_t out[CL_SLOT_BYTES])
{
    memset(out, 0, CL_SLOT_BYTES);
    for (int i = 0; i < e->keys.db_count; i++) {
        const struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        for (int slot = 0; db != NULL && nd_db_count(db) > 0 && slot < CL_SLOTS; slot++)
            if (nd_db_slot_count(db, slot) > 0)
                cl_bit_set(out, slot);
    }
}

/* Deletes some keys of the slot. They live on elsewhere, so nobody but watchers and copies of this node is told.
 * Returns how many they were. */
static size_t drop_some(struct nd_engine *e, struct nd_db *db, int slot)
{
    struct slice words[DELETED_AT_ONCE + 1];
    bool lazy = e->config.lazyfree_lazy_server_del;
    words[0] = slice_of(lazy ? "UNLINK" : "DEL");
    size_t n = nd_db_slot_keys(db, slot, words + 1, DELETED_AT_ONCE);
    for (size_t i = 1; i <= n; i++)
        words[i].p = slice_dup(words[i]); /* it is part of the entry */
    for (size_t i = 1; i <= n; i++) {
        nd_delete_entry(e, db, nd_db_find(db, words[i]), lazy);
        nd_watch_touched(e, db, words[i]);
    }
    if (n > 0) {
        e->changes += (int64_t)n;
        nd_effects_copy(e->effects, nd_db_number(db), n + 1, words);
        nd_effects_flush(e);
    }
    for (size_t i = 1; i <= n; i++)
        free((char *)words[i].p);
    return n;
}

size_t nd_cluster_drop_slots(struct nd_engine *e, const uint8_t *slots)
{
    size_t keys = 0, n;
    for (int i = 0; i < e->keys.db_count; i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db == NULL || nd_db_count(db) == 0)
            continue;
        for (int slot = cl_bit_next(slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(slots, slot + 1, true))
            while ((n = drop_some(e, db, slot)) > 0)
                keys += n;
    }
    return keys;
}

void nd_cluster_empty(struct nd_engine *e)
{
    for (int i = 0; i < e->keys.db_count; i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db == NULL || nd_db_count(db) == 0)
            continue;
        nd_watch_db_changed(e, db, NULL);
        e->changes += (int64_t)nd_db_count(db);
        struct nd_content *content = nd_db_detach(db);
        if (content != NULL)
            e->host.release_content(e->host.owner, content);
    }
    struct slice words[] = {slice_of("FLUSHALL")};
    nd_effects_copy(e->effects, 0, 1, words);
    nd_swapdb_forget(e);
    nd_effects_flush(e);
}

/* ---- arguments ---- */

bool nd_cluster_on(struct nd_call *c)
{
    if (c->e->cluster == NULL)
        nd_error(c, "ERR This instance has cluster support disabled");
    return c->e->cluster != NULL;
}

bool nd_cluster_slot_arg(struct nd_call *c, size_t i, int *slot)
{
    int64_t n;
    if (!text_range(c->argv[i], 0, CL_SLOTS - 1, &n)) {
        nd_error(c, "ERR Invalid or out of range slot");
        return false;
    }
    *slot = (int)n;
    return true;
}
