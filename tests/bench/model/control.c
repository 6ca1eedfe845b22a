/* The control port: what the bench asks of the model, as commands in RESP or typed as lines.
 *
 *   FLEET            [[pair, port of the master (0: none lives), port of the other, 1 when the other lives], ...]
 *   KILL first n     ends the masters of n pairs; [before, after] in microseconds of CLOCK_MONOTONIC
 *   REVIVE           starts the dead ones again, as replicas where their partners were promoted; how many
 *   PROMOTED         [[pair, port, when in microseconds], ...] since the last KILL
 *   LEASES           [leases of live masters that ran out, the longest gap in ms, live masters without one now, texts
 *                    of CLUSTER NODES that were asked for]
 *   AGREE            when the last live node knew of the last promotion, in microseconds
 *   SERVED           [command, how often, ...] since the start */
#include "common/base/text.h"
#include "common/resp/reply.h"
#include "tests/bench/model/model.h"

static void fleet(struct model *m, struct reply *r)
{
    reply_array(r, m->npairs);
    for (size_t i = 0; i < m->npairs; i++) {
        const struct server *master = model_master(m, i);
        const struct server *other = master != NULL ? master->partner : &m->servers[i];
        reply_array(r, 4);
        reply_int(r, (int64_t)i);
        reply_int(r, master != NULL ? master->port : 0);
        reply_int(r, other->port);
        reply_int(r, other->alive);
    }
}

static void kill_masters(struct model *m, const struct slice *argv, size_t argc, struct reply *r)
{
    int64_t first, n;
    int64_t pairs = (int64_t)m->npairs;
    if (argc != 3 || !text_range(argv[1], 0, pairs - 1, &first) || !text_range(argv[2], 1, pairs - first, &n)) {
        reply_error(r, "ERR KILL wants the first pair and how many, of %zu pairs", m->npairs);
        return;
    }
    for (size_t i = 0; i < 2 * m->npairs; i++)
        m->servers[i].promoted_us = 0;
    int64_t before = model_now();
    for (int64_t i = first; i < first + n; i++) {
        struct server *master = model_master(m, (size_t)i);
        if (master != NULL)
            server_kill(master);
    }
    reply_array(r, 2);
    reply_int(r, before);
    reply_int(r, model_now());
}

/* A supervisor may have been stopped in the middle of its work: afterwards each pair has one master and one replica. */
static void revive(struct model *m, struct reply *r)
{
    int64_t n = 0;
    for (size_t i = 0; i < 2 * m->npairs; i++) {
        struct server *s = &m->servers[i];
        if (s->alive)
            continue;
        server_revive(s, s->partner->master == NULL ? s->partner : NULL);
        n++;
    }
    for (size_t i = 0; i < m->npairs; i++) {
        struct server *a = &m->servers[i], *b = a->partner;
        if (a->master != NULL && b->master != NULL)
            server_promote(a);
        server_follow(a->master == NULL ? b : a, a->master == NULL ? a : b);
    }
    reply_int(r, n);
}

static void promoted(struct model *m, struct reply *r)
{
    size_t mark = reply_begin(r), n = 0;
    for (size_t i = 0; i < 2 * m->npairs; i++) {
        const struct server *s = &m->servers[i];
        if (s->promoted_us == 0)
            continue;
        reply_array(r, 3);
        reply_int(r, (int64_t)s->pair);
        reply_int(r, s->port);
        reply_int(r, s->promoted_us);
        n++;
    }
    reply_end_array(r, mark, n);
}

static void served(struct reply *r)
{
    const char *name;
    uint64_t count;
    size_t mark = reply_begin(r), n = 0;
    for (; command_served(n, &name, &count); n++) {
        reply_bulks(r, name);
        reply_int(r, (int64_t)count);
    }
    reply_end_array(r, mark, 2 * n);
}

void control_run(struct conn *c, const struct slice *argv, size_t argc)
{
    struct reply r = {&c->out, 2};
    if (slice_ieq(argv[0], "FLEET"))
        fleet(c->model, &r);
    else if (slice_ieq(argv[0], "KILL"))
        kill_masters(c->model, argv, argc, &r);
    else if (slice_ieq(argv[0], "REVIVE"))
        revive(c->model, &r);
    else if (slice_ieq(argv[0], "PROMOTED"))
        promoted(c->model, &r);
    else if (slice_ieq(argv[0], "SERVED"))
        served(&r);
    else if (slice_ieq(argv[0], "LEASES") && c->model->cluster != NULL)
        cluster_leases(c->model, &r);
    else if (slice_ieq(argv[0], "AGREE") && c->model->cluster != NULL)
        cluster_agree(c->model, &r);
    else
        reply_error(&r, "ERR the control port knows FLEET, KILL, REVIVE, PROMOTED and SERVED, of a cluster LEASES and "
                        "AGREE");
    conn_reply(c);
}
