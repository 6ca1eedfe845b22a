/* Connections: opening, losing, trying again. The first retry comes 100 ms after a loss, then the wait doubles up to 1
 * s: a node that is back is seen soon, one that is gone costs little. */
#include "sentineld/core/fleet_inner.h"

#define BACKOFF_MIN MS(100)
#define BACKOFF_MAX MS(1000)

struct sn_conn *sn_conn_of(const struct sn_core *c, sn_link link)
{
    return idmap_get(&c->links, link);
}

void sn_conn_init(struct sn_conn *conn, void *owner, int of)
{
    memset(conn, 0, sizeof *conn);
    conn->owner = owner;
    conn->of = of;
    conn->backoff_us = BACKOFF_MIN;
    conn->why = SN_WHY_OTHER;
}

static void credentials(const struct sn_conn *conn, const struct sn_core *c, const char **user, const char **pass)
{
    *user = c->globals.user;
    *pass = c->globals.pass;
    if (conn->of == SN_CONN_PEER)
        return;
    const struct sn_node *n = conn->owner;
    const struct sn_settings *set = n->fleet ? &n->fleet->set : &n->insts->group->set;
    *user = set->auth_user;
    *pass = set->auth_pass;
}

void sn_conn_open(struct sn_core *c, struct sn_conn *conn)
{
    const char *user, *pass;
    credentials(conn, c, &user, &pass);
    conn->link = ++c->last_link;
    conn->state = SN_CONN_CONNECTING;
    conn->since_us = c->now_us;
    conn->auth_failed = false;
    idmap_put(&c->links, conn->link, conn);
    struct sn_effect *e = sn_emit(c, SN_FX_CONNECT);
    e->link = conn->link;
    e->addr = conn->of == SN_CONN_PEER ? ((struct sn_peer *)conn->owner)->addr : ((struct sn_node *)conn->owner)->addr;
    e->subscribe = conn->of == SN_CONN_NODE_SUB;
    e->user = mem_strdup(user);
    e->pass = mem_strdup(pass);
}

static void idle(struct sn_core *c, struct sn_conn *conn)
{
    if (conn->link)
        idmap_del(&c->links, conn->link);
    conn->link = 0;
    conn->state = SN_CONN_IDLE;
    conn->since_us = c->now_us;
    conn->retry_us = c->now_us + conn->backoff_us;
    conn->backoff_us *= 2;
    if (conn->backoff_us < BACKOFF_MIN)
        conn->backoff_us = BACKOFF_MIN;
    if (conn->backoff_us > BACKOFF_MAX)
        conn->backoff_us = BACKOFF_MAX;
}

void sn_conn_close(struct sn_core *c, struct sn_conn *conn)
{
    if (conn->state == SN_CONN_IDLE)
        return;
    sn_emit(c, SN_FX_DISCONNECT)->link = conn->link;
    conn->why = SN_WHY_OTHER;
    idle(c, conn);
}

void sn_conn_lost(struct sn_core *c, struct sn_conn *conn, enum sn_down_why why)
{
    conn->why = why;
    idle(c, conn);
}

void sn_conn_came(struct sn_core *c, struct sn_conn *conn)
{
    conn->state = SN_CONN_UP;
    conn->since_us = c->now_us;
    conn->backoff_us = BACKOFF_MIN;
}

bool sn_conn_gone(const struct sn_conn *conn)
{
    return conn->state != SN_CONN_UP && conn->backoff_us > BACKOFF_MIN;
}

struct sn_effect *sn_send(struct sn_core *c, struct sn_conn *conn, enum sn_command command)
{
    struct sn_effect *e = sn_emit(c, SN_FX_SEND);
    e->link = conn->link;
    e->command = command;
    return e;
}

const char *sn_down_why_name(enum sn_down_why w)
{
    static const char *const names[] = {
        [SN_WHY_REFUSED] = "connection refused",   [SN_WHY_CLOSED] = "connection closed",
        [SN_WHY_TIMEOUT] = "connection timed out", [SN_WHY_RESOLVE] = "name not resolved",
        [SN_WHY_PROTOCOL] = "protocol error",      [SN_WHY_OTHER] = "not connected",
    };
    return names[w];
}
