#include "common/io/link_guard.h"

#include <stdlib.h>
#include <string.h>

/* No line (a status, an error, a number, a length) is longer than this in any sane answer. Without the bound the reader
 * would look through all of a line without end again at each read. */
#define LINE_BYTES_MAX ((size_t)64 * 1024)

static bool refuse(struct link_guard *g, const char *why)
{
    if (g->why == NULL)
        g->why = why;
    return false;
}

static bool pay(struct link_guard *g, size_t bytes)
{
    size_t cost = sizeof(redisReply) + bytes;
    if (cost > g->max || g->used > g->max - cost)
        return refuse(g, "sent a reply larger than this link accepts");
    g->used += cost;
    return true;
}

/* The first object of a reply decides what the reply is. */
static bool admit_root(struct link_guard *g, const redisReadTask *t)
{
    g->used = 0;
    g->push = false;
    g->confirms = false;
    if (g->ac->replies.head != NULL)
        return true;
    if (t->type ==
        REDIS_REPLY_ERROR) /* how a server turns a connection away: hiredis ends the connection with its text */
        return true;
    if ((g->ac->c.flags & REDIS_SUBSCRIBED) == 0)
        return refuse(g, "sent a reply that nothing asked for");
    if (t->type != REDIS_REPLY_ARRAY || t->elements != 3)
        return refuse(g, "sent something else than a message on a subscribed connection");
    g->push = true;
    return true;
}

bool link_guard_has_channel(const struct link_guard *g, struct slice name)
{
    for (size_t i = 0; i < g->channel_count; i++) {
        if (slice_eq(buf_slice(&g->channels[i]), name))
            return true;
    }
    return false;
}

/* Part t->idx of a push: kind, channel, then the payload or the number of subscriptions. */
static bool admit_part(struct link_guard *g, const redisReadTask *t, struct slice text)
{
    bool right;
    if (t->idx == 0) {
        g->confirms = slice_ieq(text, "subscribe");
        right = t->type == REDIS_REPLY_STRING && (g->confirms || slice_ieq(text, "message"));
    } else if (t->idx == 1) {
        right = t->type == REDIS_REPLY_STRING && link_guard_has_channel(g, text);
    } else {
        right = t->type == (g->confirms ? REDIS_REPLY_INTEGER : REDIS_REPLY_STRING);
    }
    return right || refuse(g, "sent a malformed message on a subscribed connection");
}

static bool admit(const redisReadTask *t, struct slice text, size_t bytes)
{
    struct link_guard *g = t->privdata;
    if (t->parent == NULL && !admit_root(g, t))
        return false;
    if (t->parent != NULL && g->push && !admit_part(g, t, text))
        return false;
    return pay(g, bytes);
}

/* ---- reply objects: one block of memory for each; hiredis' own take two, three for an array ---- */

static redisReply *make(const redisReadTask *t, int type, size_t more)
{
    redisReply *r = malloc(sizeof *r + more);
    if (r == NULL)
        return NULL; /* hiredis ends the connection with an error */
    *r = (redisReply){.type = type};
    if (t->parent != NULL)
        ((redisReply *)t->parent->obj)->element[t->idx] = r;
    return r;
}

static void *make_string(const redisReadTask *t, char *s, size_t n)
{
    redisReply *r = admit(t, (struct slice){s, n}, n + 1) ? make(t, t->type, n + 1) : NULL;
    if (r == NULL)
        return NULL;
    r->str = (char *)(r + 1);
    r->len = n;
    memcpy(r->str, s, n);
    r->str[n] = '\0';
    return r;
}

static void *make_array(const redisReadTask *t, int n)
{
    /* t->elements is set only after this call */
    redisReadTask told = *t;
    told.elements = n;
    size_t more = (size_t)n * sizeof(redisReply *);
    redisReply *r = admit(&told, (struct slice){0}, more) ? make(t, REDIS_REPLY_ARRAY, more) : NULL;
    if (r == NULL)
        return NULL;
    r->elements = (size_t)n;
    r->element = (redisReply **)(r + 1);
    memset(r->element, 0, more);
    return r;
}

static void *make_integer(const redisReadTask *t, long long v)
{
    redisReply *r = admit(t, (struct slice){0}, 0) ? make(t, REDIS_REPLY_INTEGER, 0) : NULL;
    if (r != NULL)
        r->integer = v;
    return r;
}

static void *make_nil(const redisReadTask *t)
{
    /* t->type is what the nil stands in for: a string or an array */
    redisReadTask told = *t;
    told.type = REDIS_REPLY_NIL;
    return admit(&told, (struct slice){0}, 0) ? make(t, REDIS_REPLY_NIL, 0) : NULL;
}

static void free_object(void *reply)
{
    redisReply *r = reply;
    for (size_t i = 0; r != NULL && i < r->elements; i++)
        free_object(r->element[i]);
    free(r);
}

static redisReplyObjectFunctions ours = {make_string, make_array, make_integer, make_nil, free_object};

void link_guard_attach(struct link_guard *g, redisAsyncContext *ac, size_t max)
{
    ac->c.reader->fn = &ours;
    ac->c.reader->privdata = g;
    g->ac = ac;
    g->max = max;
    g->used = 0;
    g->why = NULL;
}

bool link_guard_check(struct link_guard *g)
{
    const redisReader *r = g->ac->c.reader;
    size_t waiting = r->len - r->pos;
    if (waiting > g->max)
        return refuse(g, "sent a reply larger than this link accepts");
    /* The reader stops at the start of the line that it cannot finish. */
    if (waiting > LINE_BYTES_MAX && memchr(r->buf + r->pos, '\r', LINE_BYTES_MAX) == NULL)
        return refuse(g, "sent a line without end");
    return true;
}
