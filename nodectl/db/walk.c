#include "nodectl/db/walk.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/db/node_link.h"
#include "nodectl/interrupt.h"
#include "noded/store/keyspace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 20000 /* without a slot that could be read */
#define PAUSE_MS 200

struct scanned {
    runid id;
    struct node_link link;
    char cursor[24];
    bool takes_part, finished;
};

struct pass {
    struct walk *w;
    struct scanned *v; /* the masters when the round began */
    size_t n;
    int16_t owner[SN_SLOTS]; /* index in v; -1: nobody */
    uint8_t done[SN_SLOTS / 8], open[SN_SLOTS / 8];
    bool only_missing; /* keys of slots that are done are not shown again */
    bool enough;
    struct buf last, unseen; /* why somebody could not be read; what could not be looked at */
};

static bool has(const uint8_t *set, size_t slot)
{
    return (set[slot / 8] >> slot % 8 & 1) != 0;
}

static void put(uint8_t *set, size_t slot)
{
    set[slot / 8] |= (uint8_t)(1U << slot % 8);
}

/* ---- one node ---- */

static void lost(struct pass *p, struct scanned *s)
{
    char text[ADDR_TEXT_MAX];
    buf_clear(&p->last);
    buf_printf(&p->last, "%s: %s", addr_text(&s->link.addr, text), buf_str(&s->link.error));
    node_link_close(&s->link);
    s->takes_part = false;
}

static void refused(struct pass *p, struct scanned *s, const char *why)
{
    buf_clear(&s->link.error);
    buf_puts(&s->link.error, why);
    lost(p, s);
}

static bool begin(struct pass *p, struct scanned *s)
{
    struct addr addr = s->link.addr;
    struct buf why = {0};
    s->takes_part = true;
    s->finished = false;
    snprintf(s->cursor, sizeof s->cursor, "0");
    if (!node_link_open(&s->link, p->w->picture->asking, &addr)) {
        lost(p, s);
    } else if (!node_link_select(&s->link, p->w->db, &why)) {
        buf_clear(&p->last);
        buf_puts(&p->last, buf_str(&why));
        s->takes_part = false;
    }
    buf_free(&why);
    return s->takes_part;
}

static void ask(struct pass *p, struct scanned *s)
{
    const struct walk *w = p->w;
    char count[24];
    size_t n = 0;
    struct slice words[8];
    snprintf(count, sizeof count, "%" PRId64, w->count);
    words[n++] = slice_of("SCAN");
    words[n++] = slice_of(s->cursor);
    words[n++] = slice_of("COUNT");
    words[n++] = slice_of(count);
    if (w->match != NULL) {
        words[n++] = slice_of("MATCH");
        words[n++] = slice_of(w->match);
    }
    if (w->type != NULL) {
        words[n++] = slice_of("TYPE");
        words[n++] = slice_of(w->type);
    }
    node_link_put(&s->link, n, words);
    if (!node_link_send(&s->link))
        lost(p, s);
}

static void show(struct pass *p, const redisReply *r)
{
    struct walk *w = p->w;
    struct slice key = {r->str, (size_t)r->len};
    if (r->type != REDIS_REPLY_STRING || p->enough)
        return;
    if (p->only_missing && has(p->done, (size_t)nd_key_slot(key)))
        return;
    w->keys++;
    p->enough = !w->key(w->owner, key, &w->error);
}

static void take(struct pass *p, struct scanned *s)
{
    redisReply *r = node_link_get(&s->link);
    if (r == NULL) {
        lost(p, s);
        return;
    }
    if (r->type == REDIS_REPLY_ERROR) {
        refused(p, s, r->str);
    } else if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || r->element[0]->type != REDIS_REPLY_STRING ||
               r->element[1]->type != REDIS_REPLY_ARRAY || (size_t)r->element[0]->len >= sizeof s->cursor) {
        refused(p, s, "its answer to SCAN is none");
    } else {
        memcpy(s->cursor, r->element[0]->str, (size_t)r->element[0]->len + 1);
        for (size_t i = 0; i < r->element[1]->elements; i++)
            show(p, r->element[1]->element[i]);
        s->finished = strcmp(s->cursor, "0") == 0;
    }
    freeReplyObject(r);
}

/* All that take part, side by side, to the end. false: it is over for good. */
static bool scan(struct pass *p)
{
    bool more = true;
    while (more) {
        more = false;
        for (size_t i = 0; i < p->n; i++)
            if (p->v[i].takes_part && !p->v[i].finished)
                ask(p, &p->v[i]);
        for (size_t i = 0; i < p->n; i++) {
            if (!p->v[i].takes_part || p->v[i].finished)
                continue;
            take(p, &p->v[i]);
            more = more || (p->v[i].takes_part && !p->v[i].finished);
        }
        if (p->enough || interrupted())
            return false;
    }
    return true;
}

/* ---- rounds ---- */

static void forget_nodes(struct pass *p)
{
    for (size_t i = 0; i < p->n; i++)
        node_link_free(&p->v[i].link);
    free(p->v);
    p->v = NULL;
    p->n = 0;
}

static void note_open(struct pass *p)
{
    const struct picture *picture = p->w->picture;
    for (size_t i = 0; i < picture->n; i++)
        for (size_t k = 0; k < picture->v[i].nopen; k++)
            put(p->open, picture->v[i].open[k].slot);
}

/* The masters as they are now; those take part that own a slot which is still to be read, and in the first round all.
 */
static void take_nodes(struct pass *p)
{
    const struct picture *picture = p->w->picture;
    forget_nodes(p);
    p->v = mem_zalloc((picture->n + 1) * sizeof *p->v);
    int16_t *at = mem_alloc((picture->n + 1) * sizeof *at);
    for (size_t i = 0; i < picture->n; i++) {
        const struct picture_node *node = &picture->v[i];
        at[i] = -1;
        if (!node->master)
            continue;
        struct scanned *s = &p->v[p->n];
        memcpy(s->id, node->id, sizeof s->id);
        s->link.addr = node->addr;
        at[i] = (int16_t)p->n++;
    }
    for (size_t slot = 0; slot < SN_SLOTS; slot++) {
        p->owner[slot] = picture->owner[slot] >= 0 ? at[picture->owner[slot]] : -1;
        if (p->owner[slot] >= 0 && !has(p->done, slot))
            p->v[p->owner[slot]].takes_part = true;
    }
    free(at);
    note_open(p);
}

/* A slot is read when who had it all the time was read to the end. Returns how many are still to be read. */
static size_t settle(struct pass *p, size_t *unowned)
{
    const struct picture *picture = p->w->picture;
    size_t missing = 0;
    *unowned = 0;
    for (size_t slot = 0; slot < SN_SLOTS; slot++) {
        const struct scanned *s = p->owner[slot] >= 0 ? &p->v[p->owner[slot]] : NULL;
        const struct picture_node *now = picture->owner[slot] >= 0 ? &picture->v[picture->owner[slot]] : NULL;
        *unowned += now == NULL;
        if (!has(p->done, slot) && (s == NULL ? now == NULL : s->finished && now != NULL && !strcmp(s->id, now->id)))
            put(p->done, slot);
        missing += !has(p->done, slot);
    }
    return missing;
}

static bool stuck(struct pass *p, size_t missing)
{
    buf_printf(&p->w->error, "%zu slots cannot be read%s%s", missing, p->last.n > 0 ? ": " : "", buf_str(&p->last));
    return false;
}

static bool rounds(struct pass *p)
{
    struct walk *w = p->w;
    int64_t since_ms = fleet_now_ms();
    for (size_t missing = SN_SLOTS; missing > 0;) {
        take_nodes(p);
        for (size_t i = 0; i < p->n; i++)
            if (p->v[i].takes_part)
                begin(p, &p->v[i]);
        w->rounds++;
        if (!scan(p))
            return false;
        buf_clear(&p->unseen);
        (void)picture_again(w->picture, &p->unseen); /* who is lost is no owner that was read */
        note_open(p);
        size_t before = missing;
        missing = settle(p, &w->unowned);
        p->only_missing = true;
        if (missing < before)
            since_ms = fleet_now_ms();
        else if (fleet_now_ms() - since_ms > PATIENCE_MS)
            return stuck(p, missing);
        if (missing > 0 && !interrupt_sleep(PAUSE_MS))
            return false;
    }
    return true;
}

/* A slot that moves key by key is at two nodes: keys leave the one and come to the other, so they are read in that
 * order. */
static bool read_open(struct pass *p)
{
    const struct picture *picture = p->w->picture;
    memset(p->done, 0xff, sizeof p->done);
    bool any = false;
    for (size_t slot = 0; slot < SN_SLOTS; slot++) {
        any = any || has(p->open, slot);
        if (has(p->open, slot))
            p->done[slot / 8] &= (uint8_t) ~(1U << slot % 8);
    }
    if (!any)
        return true;
    take_nodes(p);
    for (int target = 0; target < 2; target++) {
        for (size_t i = 0; i < p->n; i++)
            p->v[i].takes_part = false;
        for (size_t slot = 0; target == 0 && slot < SN_SLOTS; slot++)
            if (has(p->open, slot) && p->owner[slot] >= 0)
                p->v[p->owner[slot]].takes_part = true;
        for (size_t i = 0; target == 1 && i < p->n; i++) {
            const struct picture_node *node = picture_by_id(picture, p->v[i].id);
            for (size_t k = 0; node != NULL && k < node->nopen; k++)
                p->v[i].takes_part = p->v[i].takes_part || node->open[k].importing;
        }
        for (size_t i = 0; i < p->n; i++)
            if (p->v[i].takes_part && !begin(p, &p->v[i]))
                return stuck(p, 1);
        if (!scan(p))
            return false;
    }
    return true;
}

bool walk_run(struct walk *w)
{
    struct pass p = {.w = w};
    bool ok = rounds(&p) && read_open(&p);
    forget_nodes(&p);
    buf_free(&p.last);
    buf_free(&p.unseen);
    return ok;
}
