#include "sentineld/shell/links.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "sentineld/shell/links_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Shorter than the third repeat of a SYN: a host that comes back is reached by a fresh attempt, soon. */
#define CONNECT_TIMEOUT_US 2000000
#define REPLY_MAX ((size_t)4 * 1024 * 1024)
#define INFO_KEPT_MAX ((size_t)256 * 1024) /* of one node, for SENTINEL INFO-CACHE */
#define INFO_ROOM 32                       /* more than the last text, as its numbers get longer */
#define INFOS_SWEEP_MIN 64

struct info_text {
    struct buf text;
    int64_t when_us;
};

static struct slice key_of(const sn_link *id)
{
    return (struct slice){(const char *)id, sizeof *id};
}

struct links *links_new(struct daemon *d)
{
    struct links *ls = mem_zalloc(sizeof *ls);
    uint64_t seed[2] = {0, 0};
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        io_log(IO_WARNING, "The system gives no random bytes: the tables of links are not protected against flooding");
    ls->d = d;
    ls->infos_sweep = INFOS_SWEEP_MIN;
    map_init(&ls->by_id, seed[0], seed[1]);
    map_init(&ls->infos, seed[1], seed[0]);
    return ls;
}

static void free_link(struct link *l)
{
    io_link_free(l->io);
    free(l->user);
    free(l->pass);
    free(l);
}

static void free_info(struct info_text *t)
{
    buf_free(&t->text);
    free(t);
}

void links_free(struct links *ls)
{
    if (ls == NULL)
        return;
    struct link *l;
    struct info_text *t;
    for (size_t it = 0; (l = map_next(&ls->by_id, &it, NULL)) != NULL;)
        free_link(l);
    for (size_t it = 0; (t = map_next(&ls->infos, &it, NULL)) != NULL;)
        free_info(t);
    map_free(&ls->by_id);
    map_free(&ls->infos);
    wire_request_free(&ls->request);
    free(ls);
}

const struct sn_settings *link_settings(const struct link *l)
{
    const struct sn_conn *conn = sn_conn_of(l->all->d->core, l->id);
    if (conn == NULL || conn->of == SN_CONN_PEER)
        return NULL;
    const struct sn_node *node = conn->owner;
    return node->insts == NULL ? NULL : &node->insts->group->set;
}

/* ---- what a connection tells ---- */

static void on_up(void *owner, struct io_link *io, const char *ip)
{
    struct link *l = owner;
    char local[IO_IP_MAX] = "";
    io_link_local_ip(io, local);
    if (l->pass != NULL)
        link_login(l);
    if (l->subscribe)
        io_link_subscribe(io, SN_HELLO_CHANNEL);
    struct sn_event e = {.kind = SN_EV_LINK_UP, .link = l->id, .ip = ip, .local_ip = local};
    daemon_step(l->all->d, &e);
}

static enum sn_down_why why_of(enum io_link_down why)
{
    switch (why) {
    case IO_LINK_RESOLVE: return SN_WHY_RESOLVE;
    case IO_LINK_REFUSED: return SN_WHY_REFUSED;
    case IO_LINK_UNREACHED: return SN_WHY_OTHER;
    case IO_LINK_TIMEOUT: return SN_WHY_TIMEOUT;
    case IO_LINK_CLOSED: return SN_WHY_CLOSED;
    case IO_LINK_PROTOCOL: return SN_WHY_PROTOCOL;
    }
    return SN_WHY_OTHER;
}

static void on_down(void *owner, struct io_link *io, enum io_link_down why, const char *text)
{
    (void)io;
    struct link *l = owner;
    struct daemon *d = l->all->d;
    struct sn_event e = {.kind = SN_EV_LINK_DOWN, .link = l->id, .why = why_of(why)};
    io_log(IO_DEBUG, "Link down (%s): %s", io_link_down_name(why), text);
    map_del(&l->all->by_id, key_of(&l->id));
    free_link(l);
    daemon_step(d, &e);
}

static void on_auth_refused(void *owner, struct io_link *io, const char *text)
{
    struct link *l = owner;
    char where[ADDR_TEXT_MAX];
    struct addr address = io_link_addr(io);
    const struct sn_conn *conn = sn_conn_of(l->all->d->core, l->id);
    io_log(IO_WARNING, "%s refuses our user and password (%s). Check %s", addr_text(&address, where), text,
           conn != NULL && conn->of == SN_CONN_PEER ? "peer_auth" : "user and password of its group");
    struct sn_event e = {.kind = SN_EV_AUTH_FAILED, .link = l->id};
    daemon_step(l->all->d, &e);
}

static void on_message(void *owner, struct io_link *io, struct slice channel, struct slice payload)
{
    (void)io;
    struct link *l = owner;
    if (!slice_is(channel, SN_HELLO_CHANNEL))
        return;
    struct sn_event e = {.kind = SN_EV_HELLO, .link = l->id, .text = payload};
    daemon_step(l->all->d, &e);
}

static const struct io_link_events events = {
    .up = on_up,
    .down = on_down,
    .auth_refused = on_auth_refused,
    .message = on_message,
};

/* ---- the effects ---- */

void links_connect(struct links *ls, const struct sn_effect *e)
{
    const struct sn_core *core = ls->d->core;
    struct link *l = mem_zalloc(sizeof *l);
    *l = (struct link){.all = ls, .id = e->link, .subscribe = e->subscribe};
    const struct sn_settings *set = link_settings(l);
    bool own_auth = set != NULL && e->pass != NULL && e->pass[0] != '\0' &&
                    strcmp(sn_settings_command(set, "AUTH"), "AUTH") != 0;
    if (own_auth) {
        l->user = mem_strdup(e->user == NULL ? "" : e->user);
        l->pass = mem_strdup(e->pass);
    }
    char name[64];
    snprintf(name, sizeof name, "sentinel-%.8s-%s", core->id, e->subscribe ? "pubsub" : "cmd");
    struct io_link_options options = {
        .user = own_auth ? NULL : e->user,
        .password = own_auth ? NULL : e->pass,
        .client_name = name,
        .resolve = core->globals.resolve_hostnames,
        .connect_timeout_us = CONNECT_TIMEOUT_US,
        .reply_max = REPLY_MAX,
    };
    map_put(&ls->by_id, key_of(&l->id), l);
    l->io = io_link_open(ls->d->loop, ls->d->resolver, &e->addr, &options, &events, l);
}

void links_disconnect(struct links *ls, const struct sn_effect *e)
{
    struct link *l = map_del(&ls->by_id, key_of(&e->link));
    if (l != NULL)
        free_link(l);
}

void links_send(struct links *ls, const struct sn_effect *e)
{
    struct link *l = map_get(&ls->by_id, key_of(&e->link));
    if (l != NULL)
        link_say(l, e);
}

/* ---- INFO-CACHE ---- */

/* Nodes that are not watched any more leave their text behind; the table is looked through each time it has doubled. */
static void sweep_infos(struct links *ls)
{
    struct map kept;
    map_init(&kept, ls->infos.seed[0], ls->infos.seed[1]);
    struct slice key;
    struct info_text *t;
    for (size_t it = 0; (t = map_next(&ls->infos, &it, &key)) != NULL;) {
        struct addr a;
        if (addr_parse(key, &a) && sn_node_find(ls->d->core, a.host, a.port) != NULL)
            map_put(&kept, key, t);
        else
            free_info(t);
    }
    map_free(&ls->infos);
    ls->infos = kept;
    ls->infos_sweep = kept.used * 2 < INFOS_SWEEP_MIN ? INFOS_SWEEP_MIN : kept.used * 2;
}

void link_keep_info(struct link *l, struct slice text)
{
    struct links *ls = l->all;
    const struct sn_conn *conn = sn_conn_of(ls->d->core, l->id);
    if (conn == NULL || conn->of == SN_CONN_PEER)
        return;
    char key[ADDR_TEXT_MAX];
    addr_text(&((const struct sn_node *)conn->owner)->addr, key);
    struct info_text *t = map_gets(&ls->infos, key);
    if (t == NULL) {
        if (ls->infos.used >= ls->infos_sweep)
            sweep_infos(ls);
        t = mem_zalloc(sizeof *t);
        map_puts(&ls->infos, key, t);
    }
    t->when_us = io_now_us();
    /* Thousands of them: each has the room that it needs and no more. */
    size_t n = text.n < INFO_KEPT_MAX ? text.n : INFO_KEPT_MAX;
    if (t->text.cap < n || t->text.cap > n + 2 * INFO_ROOM) {
        buf_free(&t->text);
        t->text = (struct buf){.p = mem_alloc(n + INFO_ROOM), .cap = n + INFO_ROOM};
    }
    memcpy(t->text.p, text.p, n);
    t->text.n = n;
}

struct slice links_info(const struct links *ls, const struct sn_node *node, int64_t *when_us)
{
    char key[ADDR_TEXT_MAX];
    const struct info_text *t = map_gets(&ls->infos, addr_text(&node->addr, key));
    if (t == NULL) {
        *when_us = 0;
        return (struct slice){NULL, 0};
    }
    *when_us = t->when_us;
    return buf_slice(&t->text);
}
