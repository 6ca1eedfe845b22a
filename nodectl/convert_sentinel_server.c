/* sentinel.conf: the directives that it shares with redis.conf. */
#include "nodectl/convert_sentinel.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

bool found_yes_no(struct convert *c, const struct directive *d, size_t word, int *out)
{
    if (directive_is(d, word, "yes") || directive_is(d, word, "no")) {
        *out = directive_is(d, word, "yes");
        return true;
    }
    convert_error(c, d, "expected yes or no");
    return false;
}

static void take_port(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    int64_t port;
    if (!text_range(d->argv[1], 0, 65535, &port))
        convert_error(c, d, "expected a port from 0 to 65535");
    else if (port == 0)
        convert_leave(c, d, "not carried over: sentineld always listens; the default port 26379 is used");
    else
        f->port = port;
}

/* "-addr" in Redis is an address that may be missing; "*" is all of IPv4. */
static void take_bind(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    free(f->binds); /* the last bind counts */
    f->binds = NULL;
    f->bind_count = 0;
    f->bind_given = true;
    for (size_t i = 1; i < d->argc; i++) {
        struct slice host = d->argv[i];
        struct addr a;
        if (host.n > 0 && host.p[0] == '-') {
            convert_leave(c, d,
                          "%s is not carried over: sentineld has no optional addresses; add it to listen by hand "
                          "if this host has it",
                          host.p);
            continue;
        }
        if (slice_is(host, "*"))
            host = slice_of("0.0.0.0");
        else if (slice_is(host, "::*"))
            host = slice_of("::");
        if (!addr_set(&a, host, 1) || !addr_is_ip(a.host)) {
            convert_leave(c, d, "%s is not carried over: listen takes IP addresses only", host.p);
            continue;
        }
        f->binds = mem_array(f->binds, f->bind_count + 1, sizeof *f->binds);
        f->binds[f->bind_count++] = a;
    }
    if (f->bind_count == 0)
        convert_leave(c, d, "no address of it is left: 127.0.0.1 is listened on");
}

static void take_loglevel(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    static const char *const known[] = {"debug", "verbose", "notice", "warning"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (directive_is(d, 1, known[i])) {
            f->loglevel = slice_of(known[i]);
            return;
        }
    }
    if (directive_is(d, 1, "nothing"))
        convert_leave(c, d, "not carried over: sentineld cannot be silent; the level is notice");
    else
        convert_error(c, d, "expected debug, verbose, notice or warning");
}

/* What the rules of a user say, as far as sentineld has it. */
struct rules {
    bool on, everything, open, other;
    size_t passwords, hashes;
    struct slice password;
};

static struct rules read_rules(const struct directive *d)
{
    static const char *const neutral[] = {
        "allkeys", "~*", "allchannels", "&*", "sanitize-payload", "skip-sanitize-payload", "clearselectors"};
    struct rules r = {.password = {"", 0}};
    for (size_t i = 2; i < d->argc; i++) {
        struct slice rule = d->argv[i];
        bool known = false;
        for (size_t k = 0; k < sizeof neutral / sizeof *neutral && !known; k++)
            known = slice_ieq(rule, neutral[k]);
        if (slice_ieq(rule, "on") || slice_ieq(rule, "off")) {
            r.on = slice_ieq(rule, "on");
        } else if (slice_ieq(rule, "+@all") || slice_ieq(rule, "allcommands")) {
            r.everything = true;
        } else if (slice_ieq(rule, "nopass")) {
            r.open = true;
        } else if (rule.n > 1 && rule.p[0] == '>') {
            r.password = (struct slice){rule.p + 1, rule.n - 1};
            r.passwords++;
        } else if (rule.n > 1 && rule.p[0] == '#') {
            r.password = r.passwords > 0 ? r.password : rule;
            r.hashes++;
        } else if (!known) {
            r.other = true;
        }
    }
    return r;
}

/* The default user cannot just be left out: who is not listed may not come in, and with nobody listed all may. What
 * becomes of him is decided when all is known. */
static enum found_default default_of(const struct rules *r)
{
    if (!r->on)
        return DEFAULT_OFF;
    if (r->everything && !r->other && !r->open && r->passwords == 0 && r->hashes == 1)
        return DEFAULT_HASHED;
    return DEFAULT_RESTRICTED;
}

static void take_user(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    struct rules r = read_rules(d);
    bool is_default = slice_is(d->argv[1], "default");
    bool simple = r.on && r.everything && !r.other && r.hashes == 0 && r.passwords + (r.open ? 1 : 0) == 1;
    for (size_t i = 0; i < f->user_count; i++) {
        if (slice_eq(f->users[i].name, d->argv[1])) {
            convert_error(c, d, "this user is listed twice");
            return;
        }
    }
    if (!convert_text_ok(c, d, d->argv[1]) || !convert_text_ok(c, d, r.password))
        return;
    if (is_default) {
        f->default_user = simple ? DEFAULT_IN_USERS : default_of(&r);
        f->default_at = d;
        f->default_password = r.open ? (struct slice){"", 0} : r.password;
    }
    if (simple) {
        f->users = mem_array(f->users, f->user_count + 1, sizeof *f->users);
        f->users[f->user_count++] = (struct found_user){d->argv[1], r.password, false};
    } else if (!is_default) {
        convert_leave(c, d,
                      "not carried over: a user of sentineld is on, has one password in plain text (or none), and "
                      "may do everything or only read; write it into users by hand");
    }
}

static const char *reason_left(const struct directive *d)
{
    static const struct {
        const char *name, *why;
    } known[] = {
        {"daemonize", "sentineld stays in the foreground; a service manager puts it into the background"},
        {"supervised", "sentineld tells systemd by itself"},
        {"pidfile", "sentineld writes none; the service manager knows the pid"},
        {"protected-mode", "listen and users say who is let in"},
        {"include", "convert that file too, and put the two together"},
        {"aclfile", "write its users into users"},
        {"maxclients", "sentineld raises its limit of open files by itself"},
        {"tls-port", "sentineld does not speak TLS yet"},
        {"unixsocket", "sentineld listens on TCP only"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (directive_is(d, 0, known[i].name))
            return known[i].why;
    }
    return "sentineld has nothing like it";
}

void found_server_line(struct convert *c, struct found_sentinel *f, const struct directive *d)
{
    static const char *const taken[] = {"port", "dir", "logfile", "loglevel", "requirepass"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (directive_is(d, 0, taken[i]) && d->argc != 2) {
            convert_error(c, d, "expected one value");
            return;
        }
        if (directive_is(d, 0, taken[i]) && !convert_text_ok(c, d, d->argv[1]))
            return;
    }
    if (directive_is(d, 0, "port")) {
        take_port(c, f, d);
    } else if (directive_is(d, 0, "bind")) {
        take_bind(c, f, d);
    } else if (directive_is(d, 0, "dir")) {
        f->dir = d->argv[1];
    } else if (directive_is(d, 0, "logfile")) {
        f->logfile = d->argv[1];
        f->logfile_at = d;
    } else if (directive_is(d, 0, "loglevel")) {
        take_loglevel(c, f, d);
    } else if (directive_is(d, 0, "requirepass")) {
        f->requirepass = d->argv[1];
    } else if (directive_is(d, 0, "user") && d->argc >= 2) {
        take_user(c, f, d);
    } else {
        convert_leave(c, d, "not carried over: %s", reason_left(d));
    }
}
