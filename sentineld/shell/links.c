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
#define INFOS_SWEEP_MIN 64

struct links *links_new(struct daemon *d)
{
    struct links *ls = mem_zalloc(sizeof *ls);
    uint64_t seed[2] = {0, 0};
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        io_log(IO_WARNING, "The system gives no random bytes: the tables of links are not protected against flooding");
    ls->d = d;
    ls->infos_sweep = INFOS_SWEEP_MIN;
    ls->infos = info_cache_new(seed);
    return ls;
}

static void free_link(struct link *l)
{
    io_link_free(l->io);
    free(l->user);
    free(l->pass);
    free(l);
}

void links_free(struct links *ls)
{
    if (ls == NULL)
        return;
    struct link *l;
    for (size_t it = 0; (l = idmap_next(&ls->by_id, &it)) != NULL;)
        free_link(l);
    idmap_free(&ls->by_id);
    info_cache_free(ls->infos);
    wire_request_free(&ls->request);
    free(ls);
}

const struct sn_settings *link_settings(const struct link *l)
{
    const struct sn_conn *conn = sn_conn_of(l->all->d->core, l->id);
    if (conn == NULL || conn->of == SN_CONN_PEER)
        return NULL;
    const struct sn_node *node = conn->owner;
    return node->insts == NULL || node->fleet != NULL ? NULL : &node->insts->group->set;
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
    idmap_del(&l->all->by_id, l->id);
    free_link(l);
    daemon_step(d, &e);
}

static const char *login_of(const struct sn_conn *conn)
{
    if (conn != NULL && conn->of == SN_CONN_PEER)
        return "peer_auth";
    const struct sn_node *node = conn != NULL ? conn->owner : NULL;
    return node != NULL && node->fleet != NULL ? "user and password of its cluster" : "user and password of its group";
}

static void on_auth_refused(void *owner, struct io_link *io, const char *text)
{
    struct link *l = owner;
    char where[ADDR_TEXT_MAX];
    struct addr address = io_link_addr(io);
    const struct sn_conn *conn = sn_conn_of(l->all->d->core, l->id);
    io_log(IO_WARNING, "%s refuses our user and password (%s). Check %s", addr_text(&address, where), text,
           login_of(conn));
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
    idmap_put(&ls->by_id, l->id, l);
    l->io = io_link_open(ls->d->loop, ls->d->resolver, &e->addr, &options, &events, l);
}

void links_disconnect(struct links *ls, const struct sn_effect *e)
{
    struct link *l = idmap_del(&ls->by_id, e->link);
    if (l != NULL)
        free_link(l);
}

void links_send(struct links *ls, const struct sn_effect *e)
{
    struct link *l = idmap_get(&ls->by_id, e->link);
    if (l != NULL)
        link_say(l, e);
}

/* ---- INFO-CACHE ---- */

static bool is_watched(void *arg, struct slice node)
{
    const struct links *ls = arg;
    struct addr a;
    return addr_parse(node, &a) && sn_node_find(ls->d->core, a.host, a.port) != NULL;
}

/* Nodes that are not watched any more leave their text behind; all are looked through each time their number has
 * doubled. */
static void sweep_infos(struct links *ls)
{
    info_cache_sweep(ls->infos, is_watched, ls);
    size_t twice = 2 * info_cache_count(ls->infos);
    ls->infos_sweep = twice < INFOS_SWEEP_MIN ? INFOS_SWEEP_MIN : twice;
}

void link_keep_info(struct link *l, struct slice text)
{
    struct links *ls = l->all;
    const struct sn_conn *conn = sn_conn_of(ls->d->core, l->id);
    if (conn == NULL || conn->of == SN_CONN_PEER)
        return;
    if (info_cache_count(ls->infos) >= ls->infos_sweep)
        sweep_infos(ls);
    char key[ADDR_TEXT_MAX];
    info_cache_put(ls->infos, addr_text(&((const struct sn_node *)conn->owner)->addr, key), text, io_now_us());
}

struct slice links_info(const struct links *ls, const struct sn_node *node, int64_t *when_us)
{
    char key[ADDR_TEXT_MAX];
    return info_cache_get(ls->infos, addr_text(&node->addr, key), when_us);
}
