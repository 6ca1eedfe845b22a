#include "noded/cmd/watch.h"

#include "common/base/mem.h"
#include "noded/cmd/lookup.h"

#include <stdlib.h>

/* One session watches one key of one database. */
struct nd_watch {
    struct nd_session *s;
    struct nd_db *db;
    struct nd_watched *key;
    bool expired;                 /* the key was there but its time was over: that it goes is no change */
    struct nd_watch *next, *prev; /* of the key */
    struct nd_watch *next_own;    /* of the session */
};

struct nd_watched {
    struct slice key; /* our copy */
    struct nd_watch *first;
};

struct nd_watches *nd_watches_new(const uint64_t seed[2])
{
    struct nd_watches *w = mem_zalloc(sizeof *w);
    map_init(&w->keys, seed[0], seed[1]);
    return w;
}

void nd_watches_free(struct nd_watches *w)
{
    map_free(&w->keys);
    free(w);
}

static bool time_is_over(const struct nd_engine *e, const struct nd_entry *entry)
{
    return entry != NULL && nd_time_is_over(e->now_ms, entry);
}

void nd_watch(struct nd_session *s, struct slice key)
{
    struct nd_engine *e = s->e;
    struct nd_watched *watched = map_get(&e->watches->keys, key);
    if (watched == NULL) {
        watched = mem_zalloc(sizeof *watched);
        watched->key = (struct slice){slice_dup(key), key.n};
        map_put(&e->watches->keys, key, watched);
    }
    for (struct nd_watch *w = watched->first; w != NULL; w = w->next)
        if (w->s == s && w->db == s->db)
            return;
    struct nd_watch *w = mem_alloc(sizeof *w);
    *w = (struct nd_watch){
        .s = s,
        .db = s->db,
        .key = watched,
        .expired = time_is_over(e, nd_db_find(s->db, key)),
        .next = watched->first,
        .next_own = s->watches,
    };
    if (watched->first != NULL)
        watched->first->prev = w;
    watched->first = w;
    s->watches = w;
    s->watched++;
}

static void drop(struct nd_engine *e, struct nd_watch *w)
{
    struct nd_watched *watched = w->key;
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        watched->first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    free(w);
    if (watched->first == NULL) {
        map_del(&e->watches->keys, watched->key);
        free((char *)watched->key.p);
        free(watched);
    }
}

void nd_unwatch_all(struct nd_session *s)
{
    while (s->watches != NULL) {
        struct nd_watch *w = s->watches;
        s->watches = w->next_own;
        drop(s->e, w);
    }
    s->watched = 0;
}

bool nd_watch_expired(const struct nd_session *s)
{
    for (const struct nd_watch *w = s->watches; w != NULL; w = w->next_own)
        if (!w->expired && time_is_over(s->e, nd_db_find(w->db, w->key->key)))
            return true;
    return false;
}

void nd_watch_key_changed(struct nd_engine *e, struct nd_db *db, struct slice key)
{
    struct nd_watched *watched = map_get(&e->watches->keys, key);
    if (watched == NULL)
        return;
    for (struct nd_watch *w = watched->first; w != NULL; w = w->next) {
        if (w->db != db)
            continue;
        if (w->expired && nd_db_find(db, key) == NULL)
            w->expired = false; /* it was as good as gone when it was watched */
        else
            w->s->flags |= ND_S_DIRTY_CAS;
    }
}

/* What the content `with` (NULL: none) in place of db's own means for one who watches this key there. */
static void content_changed(struct nd_engine *e, struct nd_watch *w, struct nd_db *db, struct nd_db *with)
{
    bool was = nd_db_find(db, w->key->key) != NULL;
    struct nd_entry *now = with != NULL ? nd_db_find(with, w->key->key) : NULL;
    if (!was && now == NULL)
        return;
    if (w->expired && now == NULL)
        w->expired = false;
    else if (w->expired && time_is_over(e, now))
        return;
    else if (!was && time_is_over(e, now))
        w->expired = true;
    else
        w->s->flags |= ND_S_DIRTY_CAS;
}

void nd_watch_db_changed(struct nd_engine *e, struct nd_db *db, struct nd_db *with)
{
    struct nd_watched *watched;
    for (size_t it = 0; (watched = map_next(&e->watches->keys, &it, NULL)) != NULL;)
        for (struct nd_watch *w = watched->first; w != NULL; w = w->next)
            if (w->db == db)
                content_changed(e, w, db, with);
}

void nd_watch_slots_changed(struct nd_engine *e, struct nd_db *db, struct nd_db *with, const uint8_t *slots)
{
    struct nd_watched *watched;
    for (size_t it = 0; (watched = map_next(&e->watches->keys, &it, NULL)) != NULL;) {
        int slot = nd_key_slot(watched->key);
        if ((slots[slot / 8] >> (slot & 7) & 1) == 0 || (with != NULL && nd_db_slot_count(with, slot) == 0))
            continue;
        for (struct nd_watch *w = watched->first; w != NULL; w = w->next)
            if (w->db == db)
                content_changed(e, w, db, with);
    }
}
