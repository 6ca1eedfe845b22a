/* The end of a live import: writers wait, what is left is copied, both sides are compared, and the source refuses
 * writes. */
#include "nodectl/import/source.h"

#include "common/base/mem.h"
#include "common/base/sha1.h"
#include "common/base/text.h"
#include "common/io/clock.h"
#include "nodectl/db/about.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writers wait no longer than this if nodectl dies. */
#define PAUSE_MS 5000
#define RENEW_MS 1000
#define CATCH_UP_MS 50000
#define TICK_MS 100
/* Keys that expire sooner than this after the beginning of a comparison are left out of it, on both sides. */
#define EXPIRES_SOON_MS 120000

static bool fail(struct import *im, const struct addr *who, const char *why)
{
    char text[ADDR_TEXT_MAX];
    if (im->error.n == 0)
        buf_printf(&im->error, "%s: %s", addr_text(who, text), why);
    return false;
}

/* ---- writers ---- */

/* Whether what was done until now was done while writers waited. */
static bool held(struct source *s)
{
    if (!s->paused || fleet_now_ms() - s->paused_ms < PAUSE_MS)
        return true;
    return fail(s->import, &s->addr, "it did not answer in time, so that its writers went on: try the cut-over again");
}

static bool pause_writers(struct source *s)
{
    struct buf why = {0};
    char ms[24];
    int64_t now_ms = fleet_now_ms();
    snprintf(ms, sizeof ms, "%d", PAUSE_MS);
    if (s->link.c == NULL && !node_link_open(&s->link, &s->import->source_asking, &s->addr))
        return fail(s->import, &s->addr, buf_str(&s->link.error));
    redisReply *r = node_link_ask(&s->link, &why, "CLIENT", "PAUSE", ms, "WRITE", (char *)NULL);
    bool ok = r != NULL || fail(s->import, &s->addr, buf_str(&why));
    ok = ok && held(s); /* as it was told before: this one came in time */
    s->paused |= r != NULL;
    s->paused_ms = now_ms;
    freeReplyObject(r);
    buf_free(&why);
    return ok;
}

bool import_hold_writers(struct import *im)
{
    bool ok = true;
    for (size_t i = 0; i < im->n && ok; i++)
        if (im->v[i].paused && fleet_now_ms() - im->v[i].paused_ms >= RENEW_MS)
            ok = pause_writers(&im->v[i]);
    return ok;
}

void import_let_writers(struct import *im)
{
    for (size_t i = 0; i < im->n; i++) {
        struct source *s = &im->v[i];
        struct buf why = {0};
        if (s->paused && (s->link.c != NULL || node_link_open(&s->link, &im->source_asking, &s->addr)))
            freeReplyObject(node_link_ask(&s->link, &why, "CLIENT", "UNPAUSE", (char *)NULL));
        s->paused = false;
        buf_free(&why);
    }
}

bool import_stop_writers(struct import *im)
{
    int64_t end_ms = fleet_now_ms() + CATCH_UP_MS;
    for (size_t i = 0; i < im->n; i++)
        if (!pause_writers(&im->v[i]))
            return false;
    for (int64_t behind = -1; behind != 0;) {
        if (!import_follow(im, 0))
            return false;
        behind = import_behind_bytes(im);
        behind += behind >= 0 ? (int64_t)import_behind_keys(im) : 0;
        if (behind != 0 && fleet_now_ms() > end_ms)
            return fail(im, &im->v[0].addr, "its last writes did not arrive within 50 seconds");
    }
    return true;
}

static bool set_min_replicas(struct source *s, int64_t to)
{
    struct buf why = {0};
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)to);
    redisReply *r = node_link_ask(&s->link, &why, "CONFIG", "SET", "min-replicas-to-write", number, (char *)NULL);
    bool ok = r != NULL || fail(s->import, &s->addr, buf_str(&why));
    freeReplyObject(r);
    buf_free(&why);
    return ok;
}

/* One that refuses writes already does so by an import before: what it was then is not known here. */
static bool refuse_writes(struct source *s)
{
    struct buf why = {0};
    int64_t before = 0;
    redisReply *was = node_link_ask(&s->link, &why, "CONFIG", "GET", "min-replicas-to-write", (char *)NULL);
    bool ok = was != NULL || fail(s->import, &s->addr, buf_str(&why));
    if (ok && was->type == REDIS_REPLY_ARRAY && was->elements == 2)
        (void)text_range(slice_of(was->element[1]->str), 0, INT32_MAX, &before);
    s->min_replicas = before == IMPORT_REFUSES ? -1 : before;
    s->refuses = ok && set_min_replicas(s, IMPORT_REFUSES);
    ok = s->refuses && held(s);
    freeReplyObject(was);
    buf_free(&why);
    return ok;
}

bool import_refuse_writes(struct import *im)
{
    bool ok = import_hold_writers(im);
    for (size_t i = 0; i < im->n && ok; i++)
        ok = refuse_writes(&im->v[i]);
    for (size_t i = 0; i < im->n && !ok; i++)
        if (im->v[i].refuses && im->v[i].min_replicas >= 0)
            im->v[i].refuses = !set_min_replicas(&im->v[i], im->v[i].min_replicas);
    return ok;
}

/* ---- comparing ---- */

struct side {
    struct import_check *check;
    struct import_tally **tallies;
    int64_t soon_ms;
};

void import_check_free(struct import_check *c)
{
    free(c->source);
    free(c->target);
    *c = (struct import_check){.n = 0};
}

static struct import_tally *tally_of(struct side *side, size_t db)
{
    struct import_check *c = side->check;
    if (db >= c->n) {
        c->source = mem_array(c->source, db + 1, sizeof *c->source);
        c->target = mem_array(c->target, db + 1, sizeof *c->target);
        memset(c->source + c->n, 0, (db + 1 - c->n) * sizeof *c->source);
        memset(c->target + c->n, 0, (db + 1 - c->n) * sizeof *c->target);
        c->n = db + 1;
    }
    return &(*side->tallies)[db];
}

/* The digest of a database is that of its keys in any order: each key, its value and when it expires. */
static bool on_entry(void *owner, struct nd_rdb_entry *entry, struct buf *why)
{
    struct side *side = owner;
    unsigned char value[ND_DIGEST_BYTES], whole[ND_DIGEST_BYTES];
    char type = entry->is_text ? 's' : 'v';
    (void)why;
    if (entry->expire_ms == ND_NO_EXPIRE || entry->expire_ms > side->soon_ms) {
        struct import_tally *t = tally_of(side, (size_t)entry->db);
        struct buf text = {0};
        if (entry->is_text)
            sha1(entry->text, value);
        else
            nd_digest_value(&entry->value, entry->expire_ms, value);
        buf_put(&text, &type, 1);
        buf_put(&text, value, sizeof value);
        buf_put(&text, &entry->expire_ms, sizeof entry->expire_ms);
        buf_put(&text, entry->key.p, entry->key.n);
        sha1(buf_slice(&text), whole);
        for (size_t i = 0; i < sizeof whole; i++)
            t->digest[i] ^= whole[i];
        t->keys++;
        buf_free(&text);
    }
    if (!entry->is_text)
        nd_value_free(&entry->value);
    return true;
}

/* Reads the snapshots side by side. The streams of the source are still acknowledged, or it would drop us. */
static bool read_all(struct import *im, struct fetch *v, size_t n)
{
    struct pollfd *p = mem_zalloc(n * sizeof *p);
    bool over = false, ok = true;
    while (!over && ok) {
        over = true;
        for (size_t i = 0; i < n; i++)
            p[i] = (struct pollfd){.fd = v[i].fd, .events = fetch_events(&v[i])};
        (void)poll(p, n, TICK_MS);
        for (size_t i = 0; i < n && ok; i++) {
            fetch_serve(&v[i], p[i].revents);
            over &= fetch_is_over(&v[i]);
            ok = v[i].state != FETCH_FAILED || fail(im, &v[i].from, buf_str(&v[i].error));
        }
        ok = ok && import_follow(im, 0);
    }
    free(p);
    return ok;
}

static void count_differences(struct import_check *c)
{
    for (size_t i = 0; i < c->n; i++) {
        c->keys += c->source[i].keys;
        c->different += c->source[i].keys != c->target[i].keys ||
                        memcmp(c->source[i].digest, c->target[i].digest, ND_DIGEST_BYTES) != 0;
    }
}

bool import_compare(struct import *im, struct import_check *c)
{
    size_t masters = 0, n = 0;
    struct picture_node *node;
    int64_t soon_ms = io_wall_ms() + EXPIRES_SOON_MS;
    struct side source = {.check = c, .tallies = &c->source, .soon_ms = soon_ms};
    struct side target = {.check = c, .tallies = &c->target, .soon_ms = soon_ms};
    *c = (struct import_check){.n = 0};
    for (size_t i = 0; about_next_master(&im->target, &i) != NULL;)
        masters++;
    struct fetch *v = mem_zalloc((im->n + masters) * sizeof *v);
    uint8_t *slots = mem_zalloc(masters * CONTENT_SLOT_BYTES);
    for (size_t i = 0; i < im->n; i++, n++) {
        fetch_begin(&v[n], &im->source_asking, &im->v[i].addr, -1, NULL);
        v[n].content.each = on_entry;
        v[n].content.owner = &source;
    }
    for (size_t i = 0; (node = about_next_master(&im->target, &i)) != NULL; n++) {
        uint8_t *own = slots + (n - im->n) * CONTENT_SLOT_BYTES;
        picture_slots(&im->target, node, own);
        fetch_begin(&v[n], im->asking, &node->addr, -1, own);
        v[n].content.each = on_entry;
        v[n].content.owner = &target;
    }
    bool ok = read_all(im, v, n);
    for (size_t i = 0; i < n; i++)
        fetch_free(&v[i]);
    free(v);
    free(slots);
    count_differences(c);
    return ok;
}
