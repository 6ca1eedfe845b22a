/* AUTH, ECHO, HELLO, PING, QUIT, RESET: the connection itself. */
#include "noded/cmd/connection.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/families.h"
#include "noded/cmd/monitor.h"
#include "noded/cmd/multi.h"
#include "noded/cmd/pubsub.h"
#include "noded/cmd/watch.h"

#include <stdlib.h>
#include <string.h>

#define USER "default" /* the only user there is */

/* ---- who it is ---- */

/* Takes the same time wherever the texts differ first. */
static bool same_secret(struct slice given, const char *secret)
{
    size_t n = strlen(secret);
    unsigned char differ = given.n != n;
    for (size_t i = 0; i < given.n; i++)
        differ |= (unsigned char)(given.p[i] ^ (n > 0 ? secret[i % n] : 0));
    return differ == 0;
}

static bool login(struct nd_call *c, struct slice user, struct slice password)
{
    const char *secret = c->e->config.requirepass;
    if (!slice_is(user, USER) || (secret[0] != '\0' && !same_secret(password, secret))) {
        nd_error(c, "WRONGPASS invalid username-password pair or user is disabled.");
        return false;
    }
    c->s->flags |= ND_S_AUTHENTICATED;
    return true;
}

static void auth(struct nd_call *c)
{
    nd_redact(&c->redacted, 1);
    nd_redact(&c->redacted, 2);
    if (c->argc > 3) {
        nd_syntax_error(c);
        return;
    }
    if (c->argc == 2 && c->e->config.requirepass[0] == '\0') {
        nd_error(c,
                 "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
                 "configuration is correct?");
        return;
    }
    if (login(c, c->argc == 3 ? c->argv[1] : slice_of(USER), c->argv[c->argc - 1]))
        nd_ok(c);
}

/* ---- HELLO ---- */

bool nd_client_name_fits(struct nd_call *c, struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < '!' || name.p[i] > '~') {
            nd_error(c, "ERR Client names cannot contain spaces, newlines or special characters.");
            return false;
        }
    }
    return true;
}

void nd_client_set_name(struct nd_session *s, struct slice name)
{
    free(s->name);
    s->name = name.n > 0 ? slice_dup(name) : NULL;
}

static void hello_answer(struct nd_call *c)
{
    reply_map(c->r, 7);
    reply_bulks(c->r, "server");
    reply_bulks(c->r, "redis");
    reply_bulks(c->r, "version");
    reply_bulks(c->r, ND_REDIS_VERSION);
    reply_bulks(c->r, "proto");
    reply_int(c->r, c->s->r.proto);
    reply_bulks(c->r, "id");
    reply_int(c->r, (int64_t)c->s->id);
    reply_bulks(c->r, "mode");
    reply_bulks(c->r, c->e->config.cluster_enabled ? "cluster" : "standalone");
    reply_bulks(c->r, "role");
    reply_bulks(c->r, c->e->is_replica ? "replica" : "master");
    reply_bulks(c->r, "modules");
    reply_array(c->r, 0);
}

static void hello(struct nd_call *c)
{
    int64_t version = 0;
    struct slice name = {NULL, 0};
    bool named = false;
    if (c->argc > 1) {
        if (!nd_arg_range(c, 1, INT64_MIN, INT64_MAX, &version,
                          "ERR Protocol version is not an integer or out of range"))
            return;
        if (version != 2 && version != 3) {
            nd_error(c, "NOPROTO unsupported protocol version");
            return;
        }
    }
    for (size_t i = 2; i < c->argc; i++) {
        if (nd_arg_is(c, i, "auth") && i + 2 < c->argc) {
            nd_redact(&c->redacted, i + 1);
            nd_redact(&c->redacted, i + 2);
            if (!login(c, c->argv[i + 1], c->argv[i + 2]))
                return;
            i += 2;
        } else if (nd_arg_is(c, i, "setname") && i + 1 < c->argc) {
            name = c->argv[++i];
            named = true;
            if (!nd_client_name_fits(c, name))
                return;
        } else {
            nd_error(c, "ERR Syntax error in HELLO option '%.*s'", (int)(c->argv[i].n < 128 ? c->argv[i].n : 128),
                     c->argv[i].p);
            return;
        }
    }
    if ((c->s->flags & ND_S_AUTHENTICATED) == 0) {
        nd_error(c,
                 "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> "
                 "<pass> option can be used to authenticate the client and select the RESP protocol version at the "
                 "same time");
        return;
    }
    if (named)
        nd_client_set_name(c->s, name);
    if (version > 0) {
        c->s->r.proto = (int)version;
        c->r->proto = (int)version;
    }
    hello_answer(c);
}

/* ---- the rest ---- */

static void ping(struct nd_call *c)
{
    if (c->argc > 2) {
        nd_arity_error(c);
    } else if (nd_session_subscribed(c->s) && c->r->proto == 2) {
        reply_array(c->r, 2);
        reply_bulks(c->r, "pong");
        reply_bulk(c->r, c->argc == 2 ? c->argv[1].p : NULL, c->argc == 2 ? c->argv[1].n : 0);
    } else if (c->argc == 2) {
        reply_bulk(c->r, c->argv[1].p, c->argv[1].n);
    } else {
        reply_status(c->r, "PONG");
    }
}

static void echo(struct nd_call *c)
{
    reply_bulk(c->r, c->argv[1].p, c->argv[1].n);
}

static void quit(struct nd_call *c)
{
    c->s->flags |= ND_S_CLOSING;
    nd_ok(c);
}

/* As if the connection had just been made. */
static void reset(struct nd_call *c)
{
    struct nd_session *s = c->s;
    nd_multi_discard(s);
    nd_unwatch_all(s);
    nd_unsubscribe_all(s);
    if ((s->flags & ND_S_MONITOR) != 0)
        nd_monitor_stop(s);
    s->flags &= ~(uint32_t)(ND_S_REPLY_OFF | ND_S_REPLY_SKIP_NEXT | ND_S_READONLY | ND_S_ASKING | ND_S_NO_EVICT |
                            ND_S_AUTHENTICATED);
    if (c->e->config.requirepass[0] == '\0')
        s->flags |= ND_S_AUTHENTICATED;
    nd_client_set_name(s, (struct slice){NULL, 0});
    s->db = nd_keyspace_db(&c->e->keys, 0);
    s->r.proto = 2;
    if ((s->flags & ND_S_REPLY_SKIP) == 0)
        c->r = &s->r;
    reply_status(c->r, "RESET");
}

#define CONNECTION_FLAGS (ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_FAST | ND_NO_AUTH | ND_ALLOW_BUSY)

const struct nd_command nd_connection_commands[] = {
    {.name = "auth",
     .arity = -2,
     .flags = CONNECTION_FLAGS,
     .categories = ND_CAT_CONNECTION,
     .run = auth,
     .syntax = "[username]{@6.0.0} password",
     .summary = "Says who the client is.",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "echo",
     .arity = 2,
     .flags = ND_LOADING | ND_STALE | ND_FAST,
     .categories = ND_CAT_CONNECTION,
     .run = echo,
     .syntax = "message",
     .summary = "Answers with what it is given.",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "hello",
     .arity = -1,
     .flags = CONNECTION_FLAGS,
     .categories = ND_CAT_CONNECTION,
     .run = hello,
     .syntax = "[protover [AUTH username password] [SETNAME clientname]]{arguments}",
     .summary = "Chooses the version of the protocol; may say who the client is and give it a name.",
     .since = "6.0.0",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "ping",
     .arity = -1,
     .flags = ND_FAST | ND_SUBSCRIBED,
     .categories = ND_CAT_CONNECTION,
     .run = ping,
     .syntax = "[message]",
     .summary = "Answers, so that the client knows that the server is there.",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(1)",
     .tips = "request_policy:all_shards response_policy:all_succeeded"},
    {.name = "quit",
     .arity = -1,
     .flags = CONNECTION_FLAGS | ND_SUBSCRIBED | ND_RUNS_IN_MULTI,
     .categories = ND_CAT_CONNECTION,
     .run = quit,
     .syntax = "",
     .summary = "Closes the connection.",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "reset",
     .arity = 1,
     .flags = CONNECTION_FLAGS | ND_SUBSCRIBED | ND_RUNS_IN_MULTI,
     .categories = ND_CAT_CONNECTION,
     .run = reset,
     .syntax = "",
     .summary = "Makes the connection as it was when it was new.",
     .since = "6.2.0",
     .group = "connection",
     .complexity = "O(1)"},
    {0},
};
