/* The commands that supervisors send, and a few by which a person looks at a server. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/resp/reply.h"
#include "tests/bench/model/model.h"

#include <stdlib.h>
#include <string.h>

#define HELLO_FRAMING 60 /* bytes of PUBLISH and of SELECT around a message in the replication stream, about */

typedef void command_fn(struct conn *c, const struct slice *argv, size_t argc, struct reply *r);

struct command {
    const char *name;
    int arity;       /* as in Redis: the name counts; negative: at least so many */
    bool subscribed; /* allowed on a subscribed connection */
    bool at_once;    /* not queued between MULTI and EXEC */
    command_fn *run;
    uint64_t served;
};

static void ok(struct reply *r)
{
    reply_status(r, "OK");
}

static void cmd_ping(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    if (c->subscribed) {
        reply_array(r, 2);
        reply_bulks(r, "pong");
        reply_bulk(r, argc == 2 ? argv[1].p : "", argc == 2 ? argv[1].n : 0);
    } else if (argc == 2) {
        reply_bulk(r, argv[1].p, argv[1].n);
    } else {
        reply_status(r, "PONG");
    }
}

static void cmd_echo(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    (void)c;
    (void)argc;
    reply_bulk(r, argv[1].p, argv[1].n);
}

static void cmd_info(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    struct buf text = {.n = 0};
    (void)argv;
    (void)argc;
    info_write(c->server, &text);
    reply_bulk(r, text.p, text.n);
    buf_free(&text);
}

static void cmd_auth(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    (void)c;
    if (argc == 3 && slice_is(argv[1], "default"))
        ok(r);
    else if (argc == 3)
        reply_error(r, "WRONGPASS invalid username-password pair or user is disabled.");
    else
        reply_error(r, "ERR AUTH <password> called without any password configured for the default user. Are you sure "
                       "your configuration is correct?");
}

/* ---- Pub/Sub ---- */

static void cmd_subscribe(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    conn_subscribe(c); /* to the one channel that is published to */
    for (size_t i = 1; i < argc; i++) {
        reply_array(r, 3);
        reply_bulks(r, "subscribe");
        reply_bulk(r, argv[i].p, argv[i].n);
        reply_int(r, (int64_t)i);
    }
}

static int64_t deliver(const struct server *s, struct slice channel, struct slice text)
{
    int64_t n = 0;
    for (struct conn *c = s->subscribers; c != NULL; c = c->next_subscriber, n++) {
        struct reply r = {&c->out, 2};
        reply_array(&r, 3);
        reply_bulks(&r, "message");
        reply_bulk(&r, channel.p, channel.n);
        reply_bulk(&r, text.p, text.n);
        conn_reply(c);
    }
    return n;
}

static void cmd_publish(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    struct server *s = c->server;
    (void)argc;
    reply_int(r, deliver(s, argv[1], argv[2]));
    if (s->master != NULL)
        return;
    server_replicate(s, HELLO_FRAMING + argv[1].n + argv[2].n);
    if (s->partner->alive && s->partner->master == s && server_linked(s->partner))
        deliver(s->partner, argv[1], argv[2]);
}

/* ---- CLIENT ---- */

static int64_t kill_type(struct conn *self, bool subscribed)
{
    int64_t n = 0;
    for (struct conn *c = self->server->conns; c != NULL; c = c->next) {
        if (c == self || c->subscribed != subscribed || c->doomed)
            continue;
        conn_doom(c);
        n++;
    }
    return n;
}

static void cmd_client(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    if (argc == 4 && slice_ieq(argv[1], "KILL") && slice_ieq(argv[2], "TYPE") && slice_ieq(argv[3], "normal"))
        reply_int(r, kill_type(c, false));
    else if (argc == 4 && slice_ieq(argv[1], "KILL") && slice_ieq(argv[2], "TYPE") && slice_ieq(argv[3], "pubsub"))
        reply_int(r, kill_type(c, true));
    else if (argc >= 3 && (slice_ieq(argv[1], "SETNAME") || slice_ieq(argv[1], "PAUSE")))
        ok(r);
    else if (argc == 2 && slice_ieq(argv[1], "UNPAUSE"))
        ok(r);
    else if (argc == 2 && slice_ieq(argv[1], "ID"))
        reply_int(r, (int64_t)c->id);
    else
        reply_error(r, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                    (int)(argv[1].n < 128 ? argv[1].n : 128), argv[1].p);
}

/* ---- roles ---- */

static void cmd_replicaof(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    struct server *s = c->server;
    int64_t port;
    (void)argc;
    if (slice_ieq(argv[1], "no") && slice_ieq(argv[2], "one")) {
        server_promote(s);
        ok(r);
        return;
    }
    if (!text_range(argv[2], 1, 65535, &port)) {
        reply_error(r, "ERR Invalid master port");
        return;
    }
    struct server *master = model_find(c->model, argv[1], port);
    if (master == NULL || master == s)
        reply_error(r, "ERR the model follows only another of its own servers");
    else if (s->master == master)
        reply_status(r, "OK Already connected to specified master");
    else {
        server_follow(s, master);
        ok(r);
    }
}

static void cmd_role(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    const struct server *s = c->server, *p = s->partner;
    (void)argv;
    (void)argc;
    if (s->master != NULL) {
        reply_array(r, 5);
        reply_bulks(r, "slave");
        reply_bulks(r, MODEL_HOST);
        reply_int(r, s->master->port);
        reply_bulks(r, server_linked(s) ? "connected" : "connect");
        reply_int(r, server_offset(s));
        return;
    }
    bool linked = p->alive && p->master == s && server_linked(p);
    reply_array(r, 3);
    reply_bulks(r, "master");
    reply_int(r, s->offset);
    reply_array(r, linked ? 1 : 0);
    if (!linked)
        return;
    reply_array(r, 3);
    reply_bulks(r, MODEL_HOST);
    reply_bulk_int(r, p->port);
    reply_bulk_int(r, s->offset);
}

static void cmd_failover(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    (void)argv;
    if (argc == 2 && slice_ieq(argv[1], "ABORT"))
        reply_error(r, "ERR No failover in progress.");
    else if (c->server->master != NULL)
        reply_error(r, "ERR FAILOVER is not valid when server is a replica.");
    else
        reply_error(r, "ERR FAILOVER requires connected replicas.");
}

static void cmd_config(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    (void)c;
    if ((argc == 2 && slice_ieq(argv[1], "REWRITE")) || (argc >= 4 && slice_ieq(argv[1], "SET")))
        ok(r);
    else if (argc == 3 && slice_ieq(argv[1], "GET"))
        reply_array(r, 0);
    else
        reply_error(r, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CONFIG HELP.",
                    (int)(argv[1].n < 128 ? argv[1].n : 128), argv[1].p);
}

static void cmd_script(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    (void)c;
    (void)argv;
    (void)argc;
    reply_error(r, "NOTBUSY No scripts in execution right now.");
}

/* ---- transactions ---- */

static void cmd_multi(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    (void)argv;
    (void)argc;
    if (c->in_multi) {
        reply_error(r, "ERR MULTI calls can not be nested");
        return;
    }
    c->in_multi = true;
    ok(r);
}

static void cmd_discard(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    (void)argv;
    (void)argc;
    if (!c->in_multi) {
        reply_error(r, "ERR DISCARD without MULTI");
        return;
    }
    conn_queue_clear(c);
    ok(r);
}

static void enqueue(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    c->queue = mem_array(c->queue, c->nqueued + 1, sizeof *c->queue);
    struct queued *q = &c->queue[c->nqueued++];
    *q = (struct queued){.argc = argc};
    for (size_t i = 0; i < argc; i++)
        buf_put(&q->text, argv[i].p, argv[i].n);
    size_t at = 0;
    for (size_t i = 0; i < argc; i++) {
        q->argv[i] = (struct slice){q->text.p + at, argv[i].n};
        at += argv[i].n;
    }
    reply_status(r, "QUEUED");
}

static void run_now(struct conn *c, const struct slice *argv, size_t argc, struct reply *r);

static void cmd_exec(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    (void)argv;
    (void)argc;
    if (!c->in_multi) {
        reply_error(r, "ERR EXEC without MULTI");
        return;
    }
    if (c->multi_failed) {
        reply_error(r, "EXECABORT Transaction discarded because of previous errors.");
    } else {
        reply_array(r, c->nqueued);
        for (size_t i = 0; i < c->nqueued; i++)
            run_now(c, c->queue[i].argv, c->queue[i].argc, r);
    }
    conn_queue_clear(c);
}

static void cmd_quit(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    (void)argv;
    (void)argc;
    ok(r);
    c->leaving = true;
}

/* ---- the table ---- */

static struct command commands[] = {
    {"PING", -1, true, false, cmd_ping, 0},
    {"INFO", -1, false, false, cmd_info, 0},
    {"CLUSTER", -2, false, false, cluster_run, 0},
    {"PUBLISH", 3, false, false, cmd_publish, 0},
    {"SUBSCRIBE", -2, true, false, cmd_subscribe, 0},
    {"CLIENT", -2, false, false, cmd_client, 0},
    {"AUTH", -2, false, false, cmd_auth, 0},
    {"MULTI", 1, false, true, cmd_multi, 0},
    {"EXEC", 1, false, true, cmd_exec, 0},
    {"DISCARD", 1, false, true, cmd_discard, 0},
    {"SLAVEOF", 3, false, false, cmd_replicaof, 0},
    {"REPLICAOF", 3, false, false, cmd_replicaof, 0},
    {"ROLE", 1, false, false, cmd_role, 0},
    {"CONFIG", -2, false, false, cmd_config, 0},
    {"SCRIPT", -2, false, false, cmd_script, 0},
    {"FAILOVER", -1, false, false, cmd_failover, 0},
    {"ECHO", 2, false, false, cmd_echo, 0},
    {"QUIT", -1, true, true, cmd_quit, 0},
};

#define COUNT (sizeof commands / sizeof commands[0])

bool command_served(size_t k, const char **name, uint64_t *count)
{
    if (k >= COUNT)
        return false;
    *name = commands[k].name;
    *count = commands[k].served;
    return true;
}

static struct command *find(struct slice name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (slice_ieq(name, commands[i].name))
            return &commands[i];
    return NULL;
}

static void run_now(struct conn *c, const struct slice *argv, size_t argc, struct reply *r)
{
    struct command *row = find(argv[0]);
    row->served++;
    c->server->commands_seen++;
    row->run(c, argv, argc, r);
}

static void unknown(const struct slice *argv, size_t argc, struct reply *r)
{
    struct buf rest = {.n = 0};
    for (size_t i = 1; i < argc && rest.n < 128; i++)
        buf_printf(&rest, "'%.*s' ", (int)(argv[i].n < 128 - rest.n ? argv[i].n : 128 - rest.n), argv[i].p);
    reply_error(r, "ERR unknown command '%.*s', with args beginning with: %s", (int)(argv[0].n < 128 ? argv[0].n : 128),
                argv[0].p, buf_str(&rest));
    buf_free(&rest);
}

/* Writes the error and returns false when the command cannot run here. */
static bool admitted(struct conn *c, const struct command *row, const struct slice *argv, size_t argc, struct reply *r)
{
    if (row == NULL) {
        unknown(argv, argc, r);
    } else if ((row->arity > 0 && argc != (size_t)row->arity) || (row->arity < 0 && argc < (size_t)-row->arity) ||
               argc > MODEL_ARGS_MAX) {
        reply_error(r, "ERR wrong number of arguments for '%s' command", row->name);
    } else if (c->subscribed && !row->subscribed) {
        reply_error(r,
                    "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                    "allowed in this context",
                    row->name);
    } else {
        return true;
    }
    c->multi_failed = c->in_multi;
    return false;
}

void command_run(struct conn *c, const struct slice *argv, size_t argc)
{
    struct reply r = {&c->out, 2};
    const struct command *row = find(argv[0]);
    conn_reply(c);
    if (!admitted(c, row, argv, argc, &r))
        return;
    if (c->in_multi && !row->at_once)
        enqueue(c, argv, argc, &r);
    else
        run_now(c, argv, argc, &r);
}
