#include "noded/cmd/pubsub.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Who is subscribed, in order of subscription. */
struct nd_channel {
    struct nd_session **subscribers;
    size_t n, cap;
};

struct nd_pubsub *nd_pubsub_new(const uint64_t seed[2])
{
    struct nd_pubsub *p = mem_zalloc(sizeof *p);
    for (int kind = 0; kind < ND_CHANNEL_KINDS; kind++)
        map_init(&p->by_name[kind], seed[0], seed[1]);
    return p;
}

void nd_pubsub_free(struct nd_pubsub *p)
{
    for (int kind = 0; kind < ND_CHANNEL_KINDS; kind++) {
        assert(p->by_name[kind].used == 0); /* sessions leave before */
        map_free(&p->by_name[kind]);
    }
    free(p);
}

struct map *nd_subscriptions(struct nd_session *s, enum nd_channel_kind kind)
{
    switch (kind) {
    case ND_PATTERN: return &s->patterns;
    case ND_SHARD_CHANNEL: return &s->shard_channels;
    case ND_CHANNEL:
    case ND_CHANNEL_KINDS: break;
    }
    return &s->channels;
}

size_t nd_channel_subscribers(const struct nd_channel *c)
{
    return c->n;
}

bool nd_subscribe(struct nd_session *s, enum nd_channel_kind kind, struct slice name)
{
    struct nd_engine *e = s->e;
    struct map *own = nd_subscriptions(s, kind), *all = &e->pubsub->by_name[kind];
    if (map_get(own, name) != NULL)
        return false;
    struct nd_channel *channel = map_get(all, name);
    if (channel == NULL) {
        channel = mem_zalloc(sizeof *channel);
        map_put(all, name, channel);
    }
    channel->subscribers = mem_grow(channel->subscribers, channel->n, &channel->cap, sizeof(struct nd_session *));
    channel->subscribers[channel->n++] = s;
    map_put(own, name, channel);
    if (!nd_session_subscribed(s)) {
        s->flags |= ND_S_SUBSCRIBED;
        e->stats.pubsub_clients++;
    }
    return true;
}

static void leave(struct nd_engine *e, enum nd_channel_kind kind, struct nd_channel *channel, struct nd_session *s,
                  struct slice name)
{
    size_t at = 0;
    while (channel->subscribers[at] != s)
        at++;
    channel->n--;
    memmove(channel->subscribers + at, channel->subscribers + at + 1, (channel->n - at) * sizeof(struct nd_session *));
    if (channel->n > 0)
        return;
    map_del(&e->pubsub->by_name[kind], name);
    free(channel->subscribers);
    free(channel);
}

static void note_subscribed(struct nd_session *s)
{
    if (s->channels.used + s->patterns.used + s->shard_channels.used > 0 || !nd_session_subscribed(s))
        return;
    s->flags &= ~(uint32_t)ND_S_SUBSCRIBED;
    s->e->stats.pubsub_clients--;
}

bool nd_unsubscribe(struct nd_session *s, enum nd_channel_kind kind, struct slice name)
{
    struct nd_channel *channel = map_get(nd_subscriptions(s, kind), name);
    if (channel == NULL)
        return false;
    leave(s->e, kind, channel, s, name);
    map_del(nd_subscriptions(s, kind), name);
    note_subscribed(s);
    return true;
}

void nd_unsubscribe_all(struct nd_session *s)
{
    for (int kind = 0; kind < ND_CHANNEL_KINDS; kind++) {
        struct map *own = nd_subscriptions(s, (enum nd_channel_kind)kind);
        struct nd_channel *channel;
        struct slice name;
        for (size_t it = 0; (channel = map_next(own, &it, &name)) != NULL;)
            leave(s->e, (enum nd_channel_kind)kind, channel, s, name);
        map_free(own);
    }
    note_subscribed(s);
}

/* A message in both protocols, written once for all that get it. */
struct message {
    struct buf text[2]; /* RESP2, RESP3; empty until somebody needs it */
    const char *what;
    struct slice pattern, channel, message;
};

static void send(struct nd_engine *e, struct message *m, struct nd_session *s)
{
    struct buf *text = &m->text[s->r.proto >= 3];
    if (text->n == 0) {
        struct reply r = {.out = text, .proto = s->r.proto};
        reply_push(&r, m->pattern.p != NULL ? 4 : 3);
        reply_bulks(&r, m->what);
        if (m->pattern.p != NULL)
            reply_bulk(&r, m->pattern.p, m->pattern.n);
        reply_bulk(&r, m->channel.p, m->channel.n);
        reply_bulk(&r, m->message.p, m->message.n);
    }
    buf_put(s->r.out, text->p, text->n);
    e->host.wake(e->host.owner, s);
}

static size_t send_all(struct nd_engine *e, struct message *m, const struct nd_channel *channel)
{
    for (size_t i = 0; i < channel->n; i++)
        send(e, m, channel->subscribers[i]);
    buf_free(&m->text[0]);
    buf_free(&m->text[1]);
    return channel->n;
}

size_t nd_publish(struct nd_engine *e, enum nd_channel_kind kind, struct slice channel, struct slice message)
{
    struct nd_pubsub *p = e->pubsub;
    size_t sent = 0;
    const struct nd_channel *to = map_get(&p->by_name[kind], channel);
    if (to != NULL) {
        struct message m = {
            .what = kind == ND_SHARD_CHANNEL ? "smessage" : "message", .channel = channel, .message = message};
        sent += send_all(e, &m, to);
    }
    if (kind != ND_CHANNEL)
        return sent;
    struct slice pattern;
    for (size_t it = 0; (to = map_next(&p->by_name[ND_PATTERN], &it, &pattern)) != NULL;) {
        /* As in Redis no pattern but the empty one fits the empty channel, not even "*". */
        if (channel.n == 0 ? pattern.n > 0 : !text_glob(pattern, channel, false))
            continue;
        struct message m = {.what = "pmessage", .pattern = pattern, .channel = channel, .message = message};
        sent += send_all(e, &m, to);
    }
    return sent;
}

void nd_channel_closed(struct nd_engine *e, enum nd_channel_kind kind, struct slice channel)
{
    const struct nd_channel *c;
    /* The channel itself goes with its last subscriber. */
    while ((c = map_get(&e->pubsub->by_name[kind], channel)) != NULL) {
        struct nd_session *s = c->subscribers[0];
        nd_unsubscribe(s, kind, channel);
        reply_push(&s->r, 3);
        reply_bulks(&s->r, kind == ND_SHARD_CHANNEL ? "sunsubscribe" : "unsubscribe");
        reply_bulk(&s->r, channel.p, channel.n);
        reply_int(&s->r, (int64_t)nd_subscriptions(s, kind)->used);
        e->host.wake(e->host.owner, s);
    }
}
