/* What a server is and becomes: killed, revived, promoted, a replica of another. */
#include "tests/bench/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LINK_DELAY_US 100000 /* a replica that is told to follow another has synchronised after this */
#define BACKLOG 511          /* as redis.conf's tcp-backlog */

bool server_linked(const struct server *s)
{
    return s->master != NULL && s->master->alive && model_now() >= s->link_up_us;
}

int64_t server_offset(const struct server *s)
{
    return server_linked(s) ? s->master->offset : s->offset;
}

void server_replicate(struct server *master, size_t bytes)
{
    master->offset += (int64_t)bytes;
}

static void note_offset(struct server *s)
{
    s->offset = server_offset(s);
}

void server_promote(struct server *s)
{
    if (s->master == NULL)
        return;
    note_offset(s);
    memcpy(s->replid2, s->replid, sizeof s->replid2);
    s->second_offset = s->offset + 1;
    runid_draw(&s->model->rng, s->replid);
    s->master = NULL;
    s->promoted_us = model_now();
}

void server_follow(struct server *s, struct server *master)
{
    if (s->master == master)
        return;
    note_offset(s);
    s->master = master;
    s->link_lost_us = model_now();
    s->link_up_us = model_now() + LINK_DELAY_US;
    memcpy(s->replid, master->replid, sizeof s->replid);
}

/* What is lost with its process: connections, and with them everything under way. Replicas keep what they have. */
void server_kill(struct server *s)
{
    struct server *replica = s->partner;
    if (!s->alive)
        return;
    if (replica->master == s) {
        note_offset(replica);
        replica->link_lost_us = model_now();
    }
    s->alive = false;
    cluster_forget_texts(s->model);
    ev_io_stop(s->model->loop, &s->accepting);
    shutdown(s->fd, SHUT_RDWR); /* stays bound: the port is refused, and nobody else gets it */
    while (s->conns != NULL)
        conn_free(s->conns);
}

void server_revive(struct server *s, struct server *master)
{
    if (s->alive)
        return;
    if (listen(s->fd, BACKLOG) != 0) {
        fprintf(stderr, "bench-model: port %d cannot be listened on again\n", s->port);
        exit(1);
    }
    s->alive = true;
    s->started_us = model_now();
    s->promoted_us = 0;
    s->conns_seen = s->commands_seen = s->bytes_in = s->bytes_out = 0;
    runid_draw(&s->model->rng, s->run_id);
    runid_draw(&s->model->rng, s->replid);
    s->replid2[0] = '\0';
    s->second_offset = -1;
    s->offset = 0;
    s->master = NULL;
    if (master != NULL)
        server_follow(s, master);
    if (s->partner->master == s)
        s->partner->link_up_us = model_now() + LINK_DELAY_US;
    ev_io_start(s->model->loop, &s->accepting);
}

struct server *model_find(struct model *m, struct slice host, int64_t port)
{
    if (!slice_is(host, MODEL_HOST))
        return NULL;
    for (size_t i = 0; i < 2 * m->npairs; i++)
        if (m->servers[i].port == port)
            return &m->servers[i];
    return NULL;
}

struct server *model_master(struct model *m, size_t pair)
{
    struct server *a = &m->servers[pair], *b = a->partner;
    if (a->alive && a->master == NULL)
        return a;
    return b->alive && b->master == NULL ? b : NULL;
}
