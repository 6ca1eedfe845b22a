#include "sentineld/shell/command.h"

#include "common/base/text.h"
#include "sentineld/shell/client.h"
#include "sentineld/shell/cmd_acl_log.h"

/* What clients are told that we are: they choose by it what they may ask for. Our own version is a field of INFO. */
#define COMPATIBLE_VERSION "7.0.15"

static const char wrongpass[] = "WRONGPASS invalid username-password pair or user is disabled.";
static const char bad_name[] = "ERR Client names cannot contain spaces, newlines or special characters.";

void cmd_ping(struct call *call)
{
    struct client *c = call->c;
    if (call->argc > 2) {
        command_wrong_arity(call);
    } else if (c->proto < 3 && client_is_subscriber(c)) {
        reply_array(call->r, 2);
        reply_bulks(call->r, "pong");
        reply_bulk(call->r, call->argc == 2 ? call->argv[1].p : "", call->argc == 2 ? call->argv[1].n : 0);
    } else if (call->argc == 2) {
        reply_bulk(call->r, call->argv[1].p, call->argv[1].n);
    } else {
        reply_status(call->r, "PONG");
    }
}

void cmd_auth(struct call *call)
{
    struct client *c = call->c;
    if (call->argc > 3) {
        command_syntax_error(call);
        return;
    }
    if (call->argc == 2 && users_default(c->all->d->users)->nopass) {
        reply_error(call->r,
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure "
                    "your configuration is correct?");
        return;
    }
    struct slice name = call->argc == 3 ? call->argv[1] : slice_of("default");
    const struct user *user = users_login(c->all->d->users, name, call->argv[call->argc - 1]);
    if (user == NULL) {
        acl_log_add(call, ACL_DENIED_LOGIN, slice_of("AUTH"), name);
        reply_error(call->r, "%s", wrongpass);
        return;
    }
    client_login(c, user);
    reply_status(call->r, "OK");
}

struct hello_options {
    struct slice user, password, name;
    bool auth, setname;
};

/* false: the error is in the reply. */
static bool read_hello(struct call *call, struct hello_options *o)
{
    for (size_t i = 2; i < call->argc;) {
        size_t left = call->argc - i - 1;
        if (slice_ieq(call->argv[i], "auth") && left >= 2) {
            o->auth = true;
            o->user = call->argv[i + 1];
            o->password = call->argv[i + 2];
            i += 3;
        } else if (slice_ieq(call->argv[i], "setname") && left >= 1) {
            o->setname = true;
            o->name = call->argv[i + 1];
            char *trial = NULL;
            bool ok = client_set_text(&trial, o->name);
            client_set_text(&trial, (struct slice){NULL, 0});
            if (!ok) {
                reply_error(call->r, "%s", bad_name);
                return false;
            }
            i += 2;
        } else {
            reply_error(call->r, "ERR Syntax error in HELLO option '%.*s'",
                        (int)(call->argv[i].n < 128 ? call->argv[i].n : 128), call->argv[i].p);
            return false;
        }
    }
    return true;
}

static void hello_reply(struct call *call)
{
    struct reply *r = call->r;
    r->proto = call->c->proto;
    reply_map(r, 6);
    reply_bulks(r, "server");
    reply_bulks(r, "redis");
    reply_bulks(r, "version");
    reply_bulks(r, COMPATIBLE_VERSION);
    reply_bulks(r, "proto");
    reply_int(r, call->c->proto);
    reply_bulks(r, "id");
    reply_int(r, call->c->id);
    reply_bulks(r, "mode");
    reply_bulks(r, "sentinel");
    reply_bulks(r, "modules");
    reply_array(r, 0);
}

void cmd_hello(struct call *call)
{
    struct client *c = call->c;
    int64_t proto = c->proto;
    struct hello_options o = {.auth = false};
    if (call->argc > 1) {
        if (!text_i64(call->argv[1], &proto)) {
            reply_error(call->r, "ERR Protocol version is not an integer or out of range");
            return;
        }
        if (proto < 2 || proto > 3) {
            reply_error(call->r, "NOPROTO unsupported protocol version");
            return;
        }
    }
    if (!read_hello(call, &o))
        return;
    if (o.auth) {
        const struct user *user = users_login(c->all->d->users, o.user, o.password);
        if (user == NULL) {
            acl_log_add(call, ACL_DENIED_LOGIN, slice_of("HELLO"), o.user);
            reply_error(call->r, "%s", wrongpass);
            return;
        }
        client_login(c, user);
    } else if (!c->authenticated) {
        reply_error(call->r,
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH "
                    "<user> <pass> option can be used to authenticate the client and select the RESP protocol "
                    "version at the same time");
        return;
    }
    if (o.setname)
        client_set_text(&c->name, o.name);
    c->proto = (int)proto;
    hello_reply(call);
}
