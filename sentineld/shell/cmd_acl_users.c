/* ACL commands that show and change users. */
#include "sentineld/shell/command.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "sentineld/shell/client.h"
#include "sentineld/shell/client_inner.h"
#include "sentineld/shell/clients.h"

void cmd_acl_users(struct call *call)
{
    const struct users *all = call->d->users;
    reply_array(call->r, users_count(all));
    for (size_t i = 0; i < users_count(all); i++)
        reply_bulks(call->r, users_at(all, i)->name);
}

void cmd_acl_list(struct call *call)
{
    const struct users *all = call->d->users;
    struct buf rules = {0};
    reply_array(call->r, users_count(all));
    for (size_t i = 0; i < users_count(all); i++) {
        buf_clear(&rules);
        buf_printf(&rules, "user %s ", users_at(all, i)->name);
        user_put(&rules, users_at(all, i));
        reply_bulk(call->r, rules.p, rules.n);
    }
    buf_free(&rules);
}

static void put_flags(struct reply *r, const struct user *u)
{
    reply_set(r, 1 + (size_t)u->nopass + (size_t)(u->payload != USER_PAYLOAD_UNSAID));
    reply_bulks(r, u->on ? "on" : "off");
    if (u->nopass)
        reply_bulks(r, "nopass");
    if (u->payload != USER_PAYLOAD_UNSAID)
        reply_bulks(r, u->payload == USER_PAYLOAD_SANITIZE ? "sanitize-payload" : "skip-sanitize-payload");
}

static void put_text(struct reply *r, const char *key, void (*put)(struct buf *, const struct user *),
                     const struct user *u)
{
    struct buf text = {0};
    put(&text, u);
    reply_bulks(r, key);
    reply_bulks(r, buf_str(&text));
    buf_free(&text);
}

void cmd_acl_getuser(struct call *call)
{
    struct reply *r = call->r;
    const struct user *u = users_find(call->d->users, call->argv[2]);
    if (u == NULL) {
        reply_null(r);
        return;
    }
    reply_map(r, 6);
    reply_bulks(r, "flags");
    put_flags(r, u);
    reply_bulks(r, "passwords");
    reply_array(r, u->hashes.n);
    for (size_t i = 0; i < u->hashes.n; i++)
        reply_bulks(r, u->hashes.v[i]);
    put_text(r, "commands", user_put_commands, u);
    put_text(r, "keys", user_put_keys, u);
    put_text(r, "channels", user_put_channels, u);
    reply_bulks(r, "selectors");
    reply_array(r, 0);
}

/* ---- changes ---- */

struct words {
    struct slice *v; /* option, value, ... */
    struct buf *owned;
    size_t n;
};

/* The core writes it, and answers when it is on disk. */
static void store(struct call *call, sn_token token, const struct words *w)
{
    struct sn_event e = {.kind = SN_EV_CONFIG_SET, .token = token, .argv = w->v, .count = w->n};
    call->c->fenced = true;
    daemon_step(call->d, &e);
}

static void words_init(struct words *w, size_t n)
{
    w->v = mem_array(NULL, n, sizeof *w->v);
    w->owned = mem_zalloc(n * sizeof *w->owned);
    w->n = 0;
}

/* The buffer of the next word, to be filled before word_done() takes it. */
static struct buf *next_word(struct words *w)
{
    return &w->owned[w->n];
}

static void word_done(struct words *w)
{
    w->v[w->n] = slice_of(buf_str(&w->owned[w->n]));
    w->n++;
}

static void words_free(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        buf_free(&w->owned[i]);
    free(w->owned);
    free(w->v);
}

static bool name_ok(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '\0' || name.p[i] == ' ' || (name.p[i] >= '\t' && name.p[i] <= '\r'))
            return false;
    return true;
}

/* false: the error is in the reply. */
static bool apply_rules(struct call *call, struct user *u)
{
    for (size_t i = 3; i < call->argc; i++) {
        struct slice rule = call->argv[i];
        const char *why = user_apply(u, rule);
        if (why != NULL) {
            reply_error(call->r, "ERR Error in ACL SETUSER modifier '%.*s': %s", (int)(rule.n < 128 ? rule.n : 128),
                        rule.p, why);
            return false;
        }
    }
    user_settle(u);
    return true;
}

void cmd_acl_setuser(struct call *call)
{
    if (!name_ok(call->argv[2])) {
        reply_error(call->r, "ERR Usernames can't contain spaces or null characters");
        return;
    }
    struct user u;
    users_draft(call->d->users, call->argv[2], &u);
    if (!apply_rules(call, &u)) {
        user_free(&u);
        return;
    }
    struct words w;
    words_init(&w, 2);
    users_option_name(next_word(&w), u.name);
    word_done(&w);
    user_put(next_word(&w), &u);
    word_done(&w);
    sn_token token = client_defer(call, CLIENT_ANSWER_PLAIN);
    users_change(call->d->users, token, &u, false);
    store(call, token, &w);
    words_free(&w);
}

static void remove_users(struct call *call, size_t n)
{
    struct words w;
    words_init(&w, 2 * n);
    sn_token token = client_defer(call, CLIENT_ANSWER_USERS);
    for (size_t i = 2; i < call->argc; i++) {
        if (!users_will_be(call->d->users, call->argv[i]))
            continue;
        struct user u;
        users_draft(call->d->users, call->argv[i], &u);
        users_option_name(next_word(&w), u.name);
        word_done(&w);
        buf_puts(next_word(&w), USERS_REMOVED);
        word_done(&w);
        users_change(call->d->users, token, &u, true);
    }
    store(call, token, &w);
    words_free(&w);
}

void cmd_acl_deluser(struct call *call)
{
    size_t n = 0;
    for (size_t i = 2; i < call->argc; i++) {
        if (slice_is(call->argv[i], "default")) {
            reply_error(call->r, "ERR The 'default' user cannot be removed");
            return;
        }
        n += users_will_be(call->d->users, call->argv[i]);
    }
    if (n > 0)
        remove_users(call, n);
    else
        reply_int(call->r, 0);
}

/* ---- what a change means for connections ---- */

static bool may_go_on_hearing(const struct client *c)
{
    struct slice name;
    for (size_t it = 0; map_next(&c->channels, &it, &name) != NULL;)
        if (!user_may_hear(c->user, name, false))
            return false;
    for (size_t it = 0; map_next(&c->patterns, &it, &name) != NULL;)
        if (!user_may_hear(c->user, name, true))
            return false;
    return true;
}

void clients_user_changed(void *owner, const struct user *u, bool gone)
{
    struct clients *all = owner;
    for (struct client *c = all->first; c != NULL; c = c->next) {
        if (c->user != u || c->doomed)
            continue;
        if (gone) {
            /* Whoever removes himself still gets his answer. */
            if (c->authenticated)
                client_close(c, c->fenced);
            c->user = NULL;
            c->authenticated = false;
        } else if (client_is_subscriber(c) && !may_go_on_hearing(c)) {
            client_close(c, false);
        }
    }
}

void clients_reload_users(struct clients *all, const struct state_options *runtime)
{
    users_reload(all->d->users, all->d->config, runtime, clients_user_changed, all);
}
