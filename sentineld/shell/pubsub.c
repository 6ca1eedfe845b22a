#include "sentineld/shell/pubsub.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "sentineld/core/hello.h"
#include "sentineld/shell/client.h"
#include "sentineld/shell/command.h"

#define NAMES_MAX ((size_t)10000)                /* of one client */
#define NAME_BYTES_MAX ((size_t)4 * 1024 * 1024) /* of all of them */

struct topic {
    char *name;
    size_t name_n;
    struct client **clients;
    size_t n, cap;
};

struct pubsub {
    struct map channels, patterns; /* name -> topic */
};

struct pubsub *pubsub_new(const uint64_t seed[2])
{
    struct pubsub *ps = mem_zalloc(sizeof *ps);
    map_init(&ps->channels, seed[0], seed[1]);
    map_init(&ps->patterns, seed[0], seed[1]);
    return ps;
}

void pubsub_free(struct pubsub *ps)
{
    map_free(&ps->channels);
    map_free(&ps->patterns);
    free(ps);
}

size_t pubsub_channels(const struct pubsub *ps)
{
    return ps->channels.used;
}

size_t pubsub_patterns(const struct pubsub *ps)
{
    return ps->patterns.used;
}

static struct slice name_of(const struct topic *t)
{
    return (struct slice){t->name, t->name_n};
}

static void join(struct map *topics, struct map *own, struct client *c, struct slice name)
{
    if (map_get(own, name) != NULL)
        return;
    struct topic *t = map_get(topics, name);
    if (t == NULL) {
        t = mem_zalloc(sizeof *t);
        t->name = mem_strndup(name.p, name.n);
        t->name_n = name.n;
        map_put(topics, name, t);
    }
    t->clients = mem_grow(t->clients, t->n, &t->cap, sizeof *t->clients);
    t->clients[t->n++] = c;
    map_put(own, name, t);
    c->subscribed_bytes += name.n;
}

static void leave_topic(struct map *topics, struct client *c, struct topic *t)
{
    size_t i = 0;
    while (t->clients[i] != c)
        i++;
    memmove(&t->clients[i], &t->clients[i + 1], (t->n - i - 1) * sizeof *t->clients);
    c->subscribed_bytes -= t->name_n;
    if (--t->n > 0)
        return;
    map_del(topics, name_of(t));
    free(t->name);
    free(t->clients);
    free(t);
}

static void leave_all(struct map *topics, struct map *own, struct client *c)
{
    struct topic *t;
    for (size_t it = 0; (t = map_next(own, &it, NULL)) != NULL;)
        leave_topic(topics, c, t);
    uint64_t seed[2] = {own->seed[0], own->seed[1]};
    map_free(own);
    map_init(own, seed[0], seed[1]);
}

void pubsub_forget(struct pubsub *ps, struct client *c)
{
    leave_all(&ps->channels, &c->channels, c);
    leave_all(&ps->patterns, &c->patterns, c);
}

/* ---- messages ---- */

/* The same message for many clients: written once for each protocol that is met. */
struct message {
    struct slice pattern; /* p NULL: to a channel's subscribers */
    struct slice channel, payload;
    struct buf text[2];
};

static struct slice message_text(struct message *m, int proto)
{
    struct buf *b = &m->text[proto < 3 ? 0 : 1];
    if (b->n == 0) {
        struct reply r = {b, proto};
        reply_push(&r, m->pattern.p != NULL ? 4 : 3);
        reply_bulks(&r, m->pattern.p != NULL ? "pmessage" : "message");
        if (m->pattern.p != NULL)
            reply_bulk(&r, m->pattern.p, m->pattern.n);
        reply_bulk(&r, m->channel.p, m->channel.n);
        reply_bulk(&r, m->payload.p, m->payload.n);
    }
    return buf_slice(b);
}

static size_t give(const struct topic *t, struct message *m)
{
    /* A push never changes the topic: a client that is closed for it stays in its places until the turn ends. */
    for (size_t i = 0; i < t->n; i++) {
        struct slice text = message_text(m, t->clients[i]->proto);
        client_push(t->clients[i], text.p, text.n);
    }
    buf_free(&m->text[0]);
    buf_free(&m->text[1]);
    return t->n;
}

size_t pubsub_publish(struct pubsub *ps, struct slice channel, struct slice payload)
{
    size_t given = 0;
    const struct topic *t = map_get(&ps->channels, channel);
    if (t != NULL)
        given += give(t, &(struct message){.channel = channel, .payload = payload});
    for (size_t it = 0; (t = map_next(&ps->patterns, &it, NULL)) != NULL;) {
        if (text_glob(name_of(t), channel, false))
            given += give(t, &(struct message){.pattern = name_of(t), .channel = channel, .payload = payload});
    }
    return given;
}

/* ---- commands ---- */

static void confirm(struct call *call, const char *kind, const struct slice *name)
{
    struct client *c = call->c;
    reply_push(call->r, 3);
    reply_bulks(call->r, kind);
    if (name != NULL)
        reply_bulk(call->r, name->p, name->n);
    else
        reply_null(call->r);
    reply_int(call->r, (int64_t)(c->channels.used + c->patterns.used));
}

static void subscribe(struct call *call, const char *kind, struct map *topics, struct map *own)
{
    struct client *c = call->c;
    size_t bytes = c->subscribed_bytes;
    for (size_t i = 1; i < call->argc; i++)
        bytes += call->argv[i].n;
    if (c->channels.used + c->patterns.used + call->argc - 1 > NAMES_MAX || bytes > NAME_BYTES_MAX) {
        reply_error(call->r,
                    "ERR too many subscriptions of one client: at most %zu channels and patterns of %zu bytes together",
                    NAMES_MAX, NAME_BYTES_MAX);
        return;
    }
    for (size_t i = 1; i < call->argc; i++) {
        join(topics, own, c, call->argv[i]);
        confirm(call, kind, &call->argv[i]);
    }
}

static void unsubscribe(struct call *call, const char *kind, struct map *topics, struct map *own)
{
    for (size_t i = 1; i < call->argc; i++) {
        struct topic *t = map_del(own, call->argv[i]);
        if (t != NULL)
            leave_topic(topics, call->c, t);
        confirm(call, kind, &call->argv[i]);
    }
    if (call->argc > 1)
        return;
    if (own->used == 0)
        confirm(call, kind, NULL);
    while (own->used > 0) {
        size_t it = 0;
        struct slice name;
        struct topic *t = map_next(own, &it, &name);
        char *copy = mem_strndup(name.p, name.n);
        struct slice kept = {copy, name.n};
        map_del(own, kept);
        leave_topic(topics, call->c, t);
        confirm(call, kind, &kept);
        free(copy);
    }
}

void cmd_subscribe(struct call *call)
{
    subscribe(call, "subscribe", &call->c->all->pubsub->channels, &call->c->channels);
}

void cmd_psubscribe(struct call *call)
{
    subscribe(call, "psubscribe", &call->c->all->pubsub->patterns, &call->c->patterns);
}

void cmd_unsubscribe(struct call *call)
{
    unsubscribe(call, "unsubscribe", &call->c->all->pubsub->channels, &call->c->channels);
}

void cmd_punsubscribe(struct call *call)
{
    unsubscribe(call, "punsubscribe", &call->c->all->pubsub->patterns, &call->c->patterns);
}

void cmd_publish(struct call *call)
{
    if (!slice_is(call->argv[1], SN_HELLO_CHANNEL)) {
        reply_error(call->r, "ERR Only HELLO messages are accepted by Sentinel instances.");
        return;
    }
    struct sn_event e = {.kind = SN_EV_HELLO, .text = call->argv[2]};
    daemon_step(call->d, &e);
    reply_int(call->r, 1);
}
