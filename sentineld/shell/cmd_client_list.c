#include "sentineld/shell/command.h"

#include <string.h>

#include "common/base/text.h"
#include "common/io/clock.h"
#include "sentineld/shell/client.h"

/* ---- one client as a line ---- */

static void put_flags(struct buf *out, const struct client *c)
{
    size_t from = out->n;
    if (client_is_subscriber(c))
        buf_putc(out, 'P');
    if (c->tracking.on)
        buf_putc(out, 't');
    if (c->tracking.bcast)
        buf_putc(out, 'B');
    if (c->closing)
        buf_putc(out, 'c');
    if (c->no_evict)
        buf_putc(out, 'e');
    if (out->n == from)
        buf_putc(out, 'N');
}

void client_describe(struct buf *out, const struct client *c, int64_t now_us)
{
    size_t in = c->stream != NULL ? io_stream_in(c->stream).n : 0, unsent = client_unsent(c);
    buf_printf(out, "id=%lld addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=", (long long)c->id, c->addr,
               c->laddr, c->fd, c->name != NULL ? c->name : "", (long long)((now_us - c->created_us) / 1000000),
               (long long)((now_us - c->active_us) / 1000000));
    put_flags(out, c);
    buf_printf(
        out,
        " db=0 sub=%zu psub=%zu ssub=0 multi=-1 qbuf=%zu qbuf-free=0 argv-mem=%zu multi-mem=0 rbs=0 rbp=0 obl=%zu"
        " oll=%zu omem=%zu tot-mem=%zu events=%s cmd=%s",
        c->channels.used, c->patterns.used, in, c->last_bytes, unsent - c->queued, c->waiting, c->queued,
        sizeof *c + in + unsent + c->subscribed_bytes, unsent > c->queued ? "rw" : "r",
        c->last != NULL ? c->last->full : "NULL");
    buf_printf(out, " user=%s redir=%lld resp=%d lib-name=%s lib-ver=%s", c->user != NULL ? c->user->name : "(none)",
               (long long)(c->tracking.on ? c->tracking.redirect : -1), c->proto,
               c->lib_name != NULL ? c->lib_name : "", c->lib_ver != NULL ? c->lib_ver : "");
}

void cmd_client_info(struct call *call)
{
    struct buf text = {0};
    client_describe(&text, call->c, io_now_us());
    buf_putc(&text, '\n');
    reply_verbatim(call->r, text.p, text.n);
    buf_free(&text);
}

/* ---- which clients ---- */

enum client_type { TYPE_ANY, TYPE_NORMAL, TYPE_PUBSUB, TYPE_NONE };

/* false: the error is in the reply. Masters and replicas of data never connect to a supervisor: their types hold
 * nobody. */
static bool read_type(struct call *call, struct slice s, enum client_type *out)
{
    if (slice_ieq(s, "normal"))
        *out = TYPE_NORMAL;
    else if (slice_ieq(s, "pubsub"))
        *out = TYPE_PUBSUB;
    else if (slice_ieq(s, "master") || slice_ieq(s, "slave") || slice_ieq(s, "replica"))
        *out = TYPE_NONE;
    else {
        reply_error(call->r, "ERR Unknown client type '%.*s'", (int)(s.n < 128 ? s.n : 128), s.p);
        return false;
    }
    return true;
}

static bool is_of_type(const struct client *c, enum client_type type)
{
    return type == TYPE_ANY || type == (client_is_subscriber(c) ? TYPE_PUBSUB : TYPE_NORMAL);
}

static bool is_listed(const struct client *c, enum client_type type, const struct slice *ids, size_t nids)
{
    bool found = nids == 0;
    for (size_t i = 0; i < nids && !found; i++) {
        int64_t id;
        found = text_i64(ids[i], &id) && id == c->id;
    }
    return found && !c->doomed && is_of_type(c, type);
}

void cmd_client_list(struct call *call)
{
    enum client_type type = TYPE_ANY;
    const struct slice *ids = NULL;
    size_t nids = 0;
    if (call->argc == 4 && slice_ieq(call->argv[2], "type")) {
        if (!read_type(call, call->argv[3], &type))
            return;
    } else if (call->argc > 3 && slice_ieq(call->argv[2], "id")) {
        ids = call->argv + 3;
        nids = call->argc - 3;
    } else if (call->argc != 2) {
        command_syntax_error(call);
        return;
    }
    for (size_t i = 0; i < nids; i++) {
        int64_t id;
        if (!text_i64(ids[i], &id)) {
            reply_error(call->r, "ERR Invalid client ID");
            return;
        }
    }
    struct buf text = {0};
    int64_t now_us = io_now_us();
    for (struct client *c = call->c->all->first; c != NULL; c = c->next)
        if (is_listed(c, type, ids, nids)) {
            client_describe(&text, c, now_us);
            buf_putc(&text, '\n');
        }
    reply_verbatim(call->r, text.p != NULL ? text.p : "", text.n);
    buf_free(&text);
}

/* ---- CLIENT KILL ---- */

struct kill_filter {
    int64_t id; /* 0: any */
    struct slice addr, laddr;
    enum client_type type;
    const struct user *user;
    bool skip_me;
};

static bool read_filter(struct call *call, struct slice option, struct slice value, struct kill_filter *f)
{
    if (slice_ieq(option, "id")) {
        if (!text_range(value, 1, INT64_MAX, &f->id)) {
            reply_error(call->r, "ERR client-id should be greater than 0");
            return false;
        }
    } else if (slice_ieq(option, "type")) {
        return read_type(call, value, &f->type);
    } else if (slice_ieq(option, "addr")) {
        f->addr = value;
    } else if (slice_ieq(option, "laddr")) {
        f->laddr = value;
    } else if (slice_ieq(option, "user")) {
        f->user = users_find(call->d->users, value);
        if (f->user == NULL) {
            reply_error(call->r, "ERR No such user '%.*s'", (int)(value.n < 128 ? value.n : 128), value.p);
            return false;
        }
    } else if (slice_ieq(option, "skipme") && (slice_ieq(value, "yes") || slice_ieq(value, "no"))) {
        f->skip_me = slice_ieq(value, "yes");
    } else {
        command_syntax_error(call);
        return false;
    }
    return true;
}

static bool is_meant(const struct call *call, const struct kill_filter *f, const struct client *c)
{
    return !c->doomed && !(f->skip_me && c == call->c) && (f->id == 0 || f->id == c->id) && is_of_type(c, f->type) &&
           (f->addr.p == NULL || slice_is(f->addr, c->addr)) && (f->laddr.p == NULL || slice_is(f->laddr, c->laddr)) &&
           (f->user == NULL || (c->authenticated && f->user == c->user));
}

static int64_t kill_all(struct call *call, const struct kill_filter *f)
{
    int64_t killed = 0;
    for (struct client *c = call->c->all->first; c != NULL; c = c->next) {
        if (!is_meant(call, f, c))
            continue;
        client_close(c, c == call->c); /* oneself after the reply */
        killed++;
    }
    return killed;
}

void cmd_client_kill(struct call *call)
{
    struct kill_filter f = {.type = TYPE_ANY, .skip_me = true};
    if (call->argc == 3) { /* the old form: one address, oneself too, OK instead of a number */
        f.addr = call->argv[2];
        f.skip_me = false;
        if (kill_all(call, &f) > 0)
            reply_status(call->r, "OK");
        else
            reply_error(call->r, "ERR No such client");
        return;
    }
    if (call->argc % 2 != 0) {
        command_syntax_error(call);
        return;
    }
    for (size_t i = 2; i < call->argc; i += 2)
        if (!read_filter(call, call->argv[i], call->argv[i + 1], &f))
            return;
    reply_int(call->r, kill_all(call, &f));
}
