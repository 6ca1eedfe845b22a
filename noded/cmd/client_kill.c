#include "noded/cmd/client_kill.h"

#include "common/base/text.h"
#include "noded/cmd/call.h"
#include "noded/cmd/client_line.h"
#include "noded/cmd/engine.h"

struct kill_filter {
    struct slice addr, laddr; /* p NULL: any */
    int64_t id;               /* 0: any */
    enum nd_client_type type; /* unknown: any */
    bool skip_me;
};

/* One option and its value at argument i. */
static bool kill_option(struct nd_call *c, size_t i, struct kill_filter *f)
{
    struct slice value = c->argv[i + 1];
    if (nd_arg_is(c, i, "id")) {
        if (text_i64(value, &f->id) && f->id > 0)
            return true;
        nd_error(c, "ERR client-id should be greater than 0");
        return false;
    }
    if (nd_arg_is(c, i, "type")) {
        f->type = nd_client_type_named(value);
        if (f->type != ND_TYPE_UNKNOWN)
            return true;
        nd_error(c, "ERR Unknown client type '%.*s'", (int)value.n, value.p);
        return false;
    }
    if (nd_arg_is(c, i, "user")) {
        if (slice_is(value, "default"))
            return true;
        nd_error(c, "ERR No such user '%.*s'", (int)value.n, value.p);
        return false;
    }
    if (nd_arg_is(c, i, "addr")) {
        f->addr = value;
        return true;
    }
    if (nd_arg_is(c, i, "laddr")) {
        f->laddr = value;
        return true;
    }
    if (nd_arg_is(c, i, "skipme") && (slice_ieq(value, "yes") || slice_ieq(value, "no"))) {
        f->skip_me = slice_ieq(value, "yes");
        return true;
    }
    nd_syntax_error(c);
    return false;
}

static bool fits(const struct kill_filter *f, const struct nd_session *s)
{
    return s->kind != ND_INNER && (f->addr.p == NULL || slice_is(f->addr, s->addr)) &&
           (f->laddr.p == NULL || slice_is(f->laddr, s->laddr)) && (f->id == 0 || s->id == (uint64_t)f->id) &&
           (f->type == ND_TYPE_UNKNOWN || nd_client_type(s) == f->type);
}

void nd_client_kill(struct nd_call *c)
{
    struct kill_filter f = {.type = ND_TYPE_UNKNOWN, .skip_me = true};
    bool by_address = c->argc == 3;
    if (by_address) {
        f.addr = c->argv[2];
        f.skip_me = false;
    }
    for (size_t i = 2; !by_address && i < c->argc; i += 2) {
        if (i + 1 == c->argc) {
            nd_syntax_error(c);
            return;
        }
        if (!kill_option(c, i, &f))
            return;
    }
    int64_t killed = 0;
    for (struct nd_session *s = c->e->sessions, *next; s != NULL; s = next) {
        next = s->next;
        if (!fits(&f, s) || (s == c->s && f.skip_me))
            continue;
        if (s == c->s)
            s->flags |= ND_S_CLOSING; /* it is still answered */
        else
            c->e->host.kill(c->e->host.owner, s, NULL);
        killed++;
        if (by_address)
            break;
    }
    if (!by_address)
        reply_int(c->r, killed);
    else if (killed > 0)
        nd_ok(c);
    else
        nd_error(c, "ERR No such client");
}
