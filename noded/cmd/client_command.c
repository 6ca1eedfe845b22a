/* CLIENT: what a connection is called, how it is answered, and all others. CLIENT KILL is in client_kill.c. */
#include "noded/cmd/client_kill.h"
#include "noded/cmd/client_line.h"
#include "noded/cmd/connection.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/block.h"
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/families.h"
#include "noded/cmd/pause.h"

#include <stdlib.h>

static void client_id(struct nd_call *c)
{
    reply_int(c->r, (int64_t)c->s->id);
}

static void client_getname(struct nd_call *c)
{
    if (c->s->name != NULL)
        reply_bulks(c->r, c->s->name);
    else
        reply_null(c->r);
}

static void client_setname(struct nd_call *c)
{
    if (!nd_client_name_fits(c, c->argv[2]))
        return;
    nd_client_set_name(c->s, c->argv[2]);
    nd_ok(c);
}

static void client_setinfo(struct nd_call *c)
{
    bool name = nd_arg_is(c, 2, "lib-name");
    if (!name && !nd_arg_is(c, 2, "lib-ver")) {
        nd_error(c, "ERR Unrecognized option '%.*s'", (int)(c->argv[2].n < 128 ? c->argv[2].n : 128), c->argv[2].p);
        return;
    }
    for (size_t i = 0; i < c->argv[3].n; i++) {
        if (c->argv[3].p[i] < '!' || c->argv[3].p[i] > '~') {
            nd_error(c, "ERR %s cannot contain spaces, newlines or special characters.", name ? "lib-name" : "lib-ver");
            return;
        }
    }
    char **place = name ? &c->s->lib_name : &c->s->lib_ver;
    free(*place);
    *place = c->argv[3].n > 0 ? slice_dup(c->argv[3]) : NULL;
    nd_ok(c);
}

static void client_info(struct nd_call *c)
{
    struct buf text = {0};
    nd_client_line(c->s, &text);
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

/* The clients with these ids, in the order in which they were asked for. */
static bool list_by_id(struct nd_call *c, struct buf *text)
{
    for (size_t i = 3; i < c->argc; i++) {
        int64_t id;
        if (!text_i64(c->argv[i], &id) || id < 1) {
            nd_error(c, "ERR Invalid client ID");
            return false;
        }
        for (const struct nd_session *s = c->e->sessions; s != NULL; s = s->next)
            if (s->id == (uint64_t)id && s->kind != ND_INNER)
                nd_client_line(s, text);
    }
    return true;
}

static void client_list(struct nd_call *c)
{
    struct buf text = {0};
    enum nd_client_type type = ND_TYPE_UNKNOWN;
    if (c->argc >= 4 && nd_arg_is(c, 2, "id")) {
        if (!list_by_id(c, &text)) {
            buf_free(&text);
            return;
        }
    } else {
        if (c->argc == 4 && nd_arg_is(c, 2, "type")) {
            type = nd_client_type_named(c->argv[3]);
            if (type == ND_TYPE_UNKNOWN) {
                nd_error(c, "ERR Unknown client type '%.*s'", (int)c->argv[3].n, c->argv[3].p);
                return;
            }
        } else if (c->argc != 2) {
            nd_syntax_error(c);
            return;
        }
        for (const struct nd_session *s = c->e->sessions; s != NULL; s = s->next)
            if (s->kind != ND_INNER && (type == ND_TYPE_UNKNOWN || nd_client_type(s) == type))
                nd_client_line(s, &text);
    }
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

static void client_pause(struct nd_call *c)
{
    int64_t timeout_ms;
    bool all = true;
    if (c->argc > 4) {
        nd_subcommand_syntax(c);
        return;
    }
    if (c->argc == 4 && !nd_arg_is(c, 3, "all")) {
        if (!nd_arg_is(c, 3, "write")) {
            nd_error(c, "ERR CLIENT PAUSE mode must be WRITE or ALL");
            return;
        }
        all = false;
    }
    if (!nd_arg_range(c, 2, INT64_MIN, INT64_MAX, &timeout_ms, "ERR timeout is not an integer or out of range"))
        return;
    if (timeout_ms < 0) {
        nd_error(c, "ERR timeout is negative");
        return;
    }
    if (timeout_ms > INT64_MAX - c->now_ms) {
        nd_error(c, "ERR timeout is out of range");
        return;
    }
    nd_pause(c->e, c->now_ms + timeout_ms, all);
    nd_ok(c);
}

static void client_unpause(struct nd_call *c)
{
    nd_unpause(c->e);
    nd_ok(c);
}

static void client_reply(struct nd_call *c)
{
    struct nd_session *s = c->s;
    const uint32_t skipping = ND_S_REPLY_OFF | ND_S_REPLY_SKIP;
    if (nd_arg_is(c, 2, "on")) {
        s->flags &= ~skipping;
        c->r = &s->r;
        nd_ok(c);
    } else if (nd_arg_is(c, 2, "off")) {
        s->flags |= ND_S_REPLY_OFF;
    } else if (nd_arg_is(c, 2, "skip")) {
        if ((s->flags & ND_S_REPLY_OFF) == 0)
            s->flags |= ND_S_REPLY_SKIP_NEXT;
    } else {
        nd_syntax_error(c);
    }
}

static void client_no_evict(struct nd_call *c)
{
    if (nd_arg_is(c, 2, "on"))
        c->s->flags |= ND_S_NO_EVICT;
    else if (nd_arg_is(c, 2, "off"))
        c->s->flags &= ~(uint32_t)ND_S_NO_EVICT;
    else {
        nd_syntax_error(c);
        return;
    }
    nd_ok(c);
}

static void client_unblock(struct nd_call *c)
{
    int64_t id;
    const char *error = NULL;
    if (c->argc == 4 && nd_arg_is(c, 3, "error")) {
        error = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    } else if (c->argc == 4 && !nd_arg_is(c, 3, "timeout")) {
        nd_error(c, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    } else if (c->argc > 4) {
        nd_subcommand_syntax(c);
        return;
    }
    if (!nd_arg_i64(c, 2, &id))
        return;
    bool did = false;
    for (struct nd_session *s = c->e->sessions; s != NULL && !did; s = s->next)
        did = s->id == (uint64_t)id && s->kind == ND_CLIENT && nd_unblock(s, error);
    reply_int(c->r, did);
}

/* There is no tracking, so nobody is redirected to. */
static void client_getredir(struct nd_call *c)
{
    reply_int(c->r, -1);
}

#define CLIENT_SUB(word, count, more, does, words, text, first_version)                                         \
    {                                                                                                           \
        .name = word, .arity = count, .flags = ND_NOSCRIPT | ND_LOADING | ND_STALE | (more),                    \
        .categories = ND_CAT_CONNECTION, .run = does, .syntax = words, .summary = text, .since = first_version, \
        .group = "connection", .complexity = "O(1)"                                                             \
    }

static const struct nd_command client_subs[] = {
    CLIENT_SUB("getname", 2, 0, client_getname, "", "Shows the name of the connection.", "2.6.9"),
    CLIENT_SUB("getredir", 2, 0, client_getredir, "", "Shows the client that gets the connection's invalidations.",
               "6.0.0"),
    {.name = "help",
     .arity = 2,
     .flags = ND_LOADING | ND_STALE,
     .categories = ND_CAT_CONNECTION,
     .run = nd_help,
     .syntax = "",
     .summary = "Shows what CLIENT can do.",
     .since = "5.0.0",
     .group = "connection",
     .complexity = "O(1)"},
    CLIENT_SUB("id", 2, 0, client_id, "", "Shows the number of the connection, which no other gets.", "5.0.0"),
    {.name = "info",
     .arity = 2,
     .flags = ND_NOSCRIPT | ND_LOADING | ND_STALE,
     .categories = ND_CAT_CONNECTION,
     .run = client_info,
     .syntax = "",
     .summary = "Shows what is known of the connection.",
     .since = "6.2.0",
     .group = "connection",
     .complexity = "O(1)",
     .tips = "nondeterministic_output"},
    {.name = "kill",
     .arity = -3,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_LOADING | ND_STALE,
     .categories = ND_CAT_CONNECTION,
     .run = nd_client_kill,
     .syntax = "<ip:port{-2.8.12} | <[ID client-id]{@2.8.12} | [TYPE <NORMAL | MASTER{@3.2.0} | SLAVE | "
               "REPLICA{@5.0.0} | PUBSUB>{normal_master_slave_pubsub @2.8.12}] | [USER username] | [ADDR ip:port] | "
               "[LADDR ip:port]{@6.2.0} | [SKIPME yes/no] ...>{new-format}>{filter}",
     .summary = "Closes connections.",
     .since = "2.4.0",
     .group = "connection",
     .complexity = "O(N) for N connections."},
    {.name = "list",
     .arity = -2,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_LOADING | ND_STALE,
     .categories = ND_CAT_CONNECTION,
     .run = client_list,
     .syntax = "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>]{@5.0.0} [ID client-id [client-id ...]]{=block id @6.2.0}",
     .summary = "Shows the connections, a line each.",
     .since = "2.4.0",
     .group = "connection",
     .complexity = "O(N) for N connections.",
     .tips = "nondeterministic_output"},
    CLIENT_SUB("no-evict", 3, ND_ADMIN, client_no_evict, "<ON | OFF>{enabled}",
               "Whether the connection may be closed when clients take too much memory.", "7.0.0"),
    CLIENT_SUB("pause", -3, ND_ADMIN, client_pause, "timeout{:integer} [WRITE | ALL]{mode @6.2.0}",
               "Lets commands, or only those that write, wait for so many milliseconds.", "2.9.50"),
    CLIENT_SUB("reply", 3, 0, client_reply, "ON | OFF | SKIP", "Whether the connection is answered.", "3.2.0"),
    CLIENT_SUB("setinfo", 4, 0, client_setinfo, "LIB-NAME libname | LIB-VER libver",
               "Notes which client library this is.", "7.2.0"),
    CLIENT_SUB("setname", 3, 0, client_setname, "connection-name", "Gives the connection a name.", "2.6.9"),
    CLIENT_SUB("unblock", -3, ND_ADMIN, client_unblock, "client-id [TIMEOUT | ERROR]",
               "Ends the waiting of a client that blocks.", "5.0.0"),
    CLIENT_SUB("unpause", 2, ND_ADMIN, client_unpause, "", "Ends what CLIENT PAUSE began.", "6.2.0"),
    {0},
};

const struct nd_command nd_client_commands[] = {
    {.name = "client",
     .arity = -2,
     .subs = client_subs,
     .summary = "The connections of clients.",
     .since = "2.4.0",
     .group = "connection",
     .complexity = "Depends on the subcommand."},
    {0},
};
