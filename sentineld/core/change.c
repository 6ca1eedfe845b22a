/* What operators change at run time. A change is written first and made when it is on disk, so there is nothing to undo
 * when the disk fails: the operator gets the error, and everything is as it was. */
#include "common/base/text.h"
#include "sentineld/core/fleet_inner.h"

#include <stdio.h>

struct sn_change {
    enum sn_event_kind kind; /* MONITOR, REMOVE, SET, CONFIG_SET, RELOAD, PAUSE, RESUME */
    sn_token token;
    char *group;
    struct addr addr;
    struct sn_settings set;    /* MONITOR, SET: what will be */
    struct sn_globals globals; /* CONFIG_SET: what will be */
    struct sn_word *words;     /* as they are stored */
    size_t nwords;
    struct sn_reload *reload; /* RELOAD */
    struct sn_pauses pauses;  /* PAUSE, RESUME: all of them as they will be */
    size_t ended;             /* RESUME */
};

static void globals_copy(struct sn_globals *to, const struct sn_globals *from)
{
    *to = *from;
    to->announce_ip = mem_strdup(from->announce_ip);
    to->user = mem_strdup(from->user);
    to->pass = mem_strdup(from->pass);
    to->loglevel = mem_strdup(from->loglevel);
}

static void globals_free(struct sn_globals *g)
{
    free(g->announce_ip);
    free(g->user);
    free(g->pass);
    free(g->loglevel);
}

void sn_change_free(struct sn_change *ch)
{
    free(ch->group);
    if (ch->kind == SN_EV_MONITOR || ch->kind == SN_EV_SET)
        sn_settings_free(&ch->set);
    if (ch->kind == SN_EV_CONFIG_SET)
        globals_free(&ch->globals);
    for (size_t k = 0; k < ch->nwords; k++) {
        free(ch->words[k].option);
        free(ch->words[k].value);
    }
    free(ch->words);
    sn_reload_free(ch->reload);
    sn_pauses_free(&ch->pauses);
    free(ch);
}

static struct sn_change *change_new(const struct sn_event *e)
{
    struct sn_change *ch = mem_zalloc(sizeof *ch);
    ch->kind = e->kind;
    ch->token = e->token;
    ch->group = slice_dup(e->group);
    ch->addr = e->addr;
    return ch;
}

bool sn_removal_pending(const struct sn_core *c, const struct sn_group *g)
{
    for (size_t k = 0; k < c->nwaiting; k++) {
        const struct sn_change *ch = c->waiting[k].change;
        if (ch && ch->kind == SN_EV_REMOVE && strcmp(ch->group, g->name) == 0)
            return true;
        if (ch && ch->kind == SN_EV_RELOAD && sn_reload_removes(ch->reload, g->name))
            return true;
    }
    return false;
}

const struct sn_reload_add *sn_move_pending(const struct sn_core *c, const struct sn_group *g)
{
    const struct sn_reload_add *to = NULL;
    for (size_t k = 0; k < c->nwaiting; k++) {
        const struct sn_change *ch = c->waiting[k].change;
        const struct sn_reload_add *a = ch && ch->kind == SN_EV_RELOAD ? sn_reload_moves(ch->reload, g->name) : NULL;
        to = a ? a : to;
    }
    return to;
}

static void add_word(struct sn_change *ch, const char *option, const char *value)
{
    ch->words = mem_array(ch->words, ch->nwords + 1, sizeof *ch->words);
    ch->words[ch->nwords++] = (struct sn_word){mem_strdup(option), mem_strdup(value)};
}

static void submit(struct sn_core *c, struct sn_change *ch)
{
    sn_wait(c, sn_persist_next(c))->change = ch;
}

static bool changes_pauses(const struct sn_change *ch)
{
    return ch && (ch->kind == SN_EV_PAUSE || ch->kind == SN_EV_RESUME);
}

/* The group as it will be when all that waits for the disk has happened. */
struct outlook {
    bool exists;
    const struct sn_settings *set;
};

static struct outlook outlook(const struct sn_core *c, struct slice name)
{
    const struct sn_group *g = sn_group_find(c, name);
    struct outlook o = {g != NULL, g ? &g->set : NULL};
    for (size_t k = 0; k < c->nwaiting; k++) {
        const struct sn_change *ch = c->waiting[k].change;
        if (!ch || ch->kind == SN_EV_CONFIG_SET || ch->kind == SN_EV_RELOAD || changes_pauses(ch) ||
            !slice_is(name, ch->group))
            continue;
        o.exists = ch->kind != SN_EV_REMOVE;
        o.set = o.exists ? &ch->set : NULL;
    }
    return o;
}

#define BELONGS_TO_CLUSTER                                                                                    \
    "ERR This is the name of a shard: a cluster's shards are found by itself, and given up with the cluster " \
    "(SENTINEL "                                                                                              \
    "CLUSTER RELEASE)"

static void monitor(struct sn_core *c, const struct sn_event *e)
{
    if (sn_fleet_of_name(c, e->group)) {
        sn_refuse(c, e->token, BELONGS_TO_CLUSTER);
        return;
    }
    if (outlook(c, e->group).exists) {
        sn_refuse(c, e->token, "ERR Duplicate master name.");
        return;
    }
    struct sn_change *ch = change_new(e);
    sn_settings_init(&ch->set);
    ch->set.quorum = e->number;
    ch->set.down_after_ms = c->params.default_down_after_ms;
    ch->set.failover_timeout_ms = c->params.default_failover_timeout_ms;
    char quorum[24];
    snprintf(quorum, sizeof quorum, "%lld", (long long)e->number);
    add_word(ch, "quorum", quorum);
    submit(c, ch);
}

static void remove_group(struct sn_core *c, const struct sn_event *e)
{
    const struct sn_group *g = sn_group_find(c, e->group);
    if (g && g->fleet)
        sn_refuse(c, e->token, BELONGS_TO_CLUSTER);
    else if (outlook(c, e->group).exists)
        submit(c, change_new(e));
    else
        sn_refuse(c, e->token, SN_NO_SUCH_MASTER);
}

/* All options are good, or none is applied. */
/* A lease has to end before its master is replaced (SAFETY L7). lease_ms stands in the file, which is checked by the
 * same rule. */
static bool outlived_by_lease(struct sn_core *c, const struct sn_event *e, int64_t before_ms, int64_t ms)
{
    const struct sn_group *g = sn_group_find(c, e->group);
    int64_t ttl_us = g ? sn_lease_ttl(g) : 0;
    if (ms == before_ms || !ttl_us || MS(ms) > ttl_us)
        return false;
    char text[200];
    snprintf(
        text, sizeof text,
        "ERR down-after-milliseconds has to be above lease_ms of the cluster (%lld): a lease has to end before its "
        "master is replaced",
        (long long)(ttl_us / 1000));
    sn_refuse(c, e->token, text);
    return true;
}

static void set(struct sn_core *c, const struct sn_event *e)
{
    struct outlook o = outlook(c, e->group);
    if (!o.exists) {
        sn_refuse(c, e->token, SN_NO_SUCH_MASTER);
        return;
    }
    struct sn_change *ch = change_new(e);
    sn_settings_copy(&ch->set, o.set);
    for (size_t at = 0; at < e->count;) {
        char error[256], text[300];
        size_t took = sn_settings_set(&ch->set, e->argv + at, e->count - at, error, sizeof error);
        if (!took) {
            snprintf(text, sizeof text, "ERR %s", error);
            sn_refuse(c, e->token, text);
            sn_change_free(ch);
            return;
        }
        struct buf option = {0};
        buf_put(&option, e->argv[at].p, e->argv[at].n);
        if (took == 3) { /* rename-command old new */
            buf_putc(&option, ' ');
            buf_put(&option, e->argv[at + 1].p, e->argv[at + 1].n);
        }
        char *value = slice_dup(e->argv[at + took - 1]);
        add_word(ch, buf_str(&option), value);
        free(value);
        buf_free(&option);
        at += took;
    }
    if (outlived_by_lease(c, e, o.set->down_after_ms, ch->set.down_after_ms))
        sn_change_free(ch);
    else
        submit(c, ch);
}

static void replace(char **at, struct slice value)
{
    free(*at);
    *at = slice_dup(value);
}

/* The shell has checked names and values by its tables; here they are taken. */
static void globals_set(struct sn_globals *g, struct slice key, struct slice value)
{
    int64_t port;
    bool yes = slice_ieq(value, "yes");
    if (slice_ieq(key, "announce-ip"))
        replace(&g->announce_ip, value);
    if (slice_ieq(key, "announce-port") && text_range(value, 0, 65535, &port))
        g->announce_port = port;
    if (slice_ieq(key, "resolve-hostnames"))
        g->resolve_hostnames = yes;
    if (slice_ieq(key, "announce-hostnames"))
        g->announce_hostnames = yes;
    if (slice_ieq(key, "sentinel-user"))
        replace(&g->user, value);
    if (slice_ieq(key, "sentinel-pass"))
        replace(&g->pass, value);
    if (slice_ieq(key, "loglevel"))
        replace(&g->loglevel, value);
}

static void config_set(struct sn_core *c, const struct sn_event *e)
{
    struct sn_change *ch = change_new(e);
    const struct sn_globals *base = &c->globals;
    for (size_t k = 0; k < c->nwaiting; k++)
        if (c->waiting[k].change && c->waiting[k].change->kind == SN_EV_CONFIG_SET)
            base = &c->waiting[k].change->globals;
    globals_copy(&ch->globals, base);
    for (size_t k = 0; k + 1 < e->count; k += 2) {
        globals_set(&ch->globals, e->argv[k], e->argv[k + 1]);
        char *option = slice_dup(e->argv[k]), *value = slice_dup(e->argv[k + 1]);
        for (char *p = option; *p; p++)
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p - 'A' + 'a');
        add_word(ch, option, value);
        free(option);
        free(value);
    }
    submit(c, ch);
}

static void reload(struct sn_core *c, const struct sn_event *e)
{
    char text[400];
    if (!sn_reload_prepare(c, e->reload, text, sizeof text)) {
        sn_reload_free(e->reload);
        sn_refuse(c, e->token, text);
        return;
    }
    struct sn_change *ch = change_new(e);
    ch->reload = e->reload;
    submit(c, ch);
}

/* The pauses as they will be when all that waits for the disk has happened. */
static struct sn_change *change_of_pauses(const struct sn_core *c, const struct sn_event *e)
{
    struct sn_change *ch = change_new(e);
    const struct sn_pauses *last = &c->pauses;
    for (size_t k = 0; k < c->nwaiting; k++)
        if (changes_pauses(c->waiting[k].change))
            last = &c->waiting[k].change->pauses;
    sn_pauses_copy(&ch->pauses, last);
    return ch;
}

/* The shell has checked the words. */
static void pause_failovers(struct sn_core *c, const struct sn_event *e)
{
    if (!slice_is(e->group, SN_PAUSE_ALL) && !outlook(c, e->group).exists && !sn_fleet_find(c, e->group)) {
        sn_refuse(c, e->token, "ERR No such master or cluster with that name");
        return;
    }
    struct sn_change *ch = change_of_pauses(c, e);
    sn_pauses_set(&ch->pauses, e->group, e->argv[0], e->argv[1], c->now_us + MS(e->number), e->wall_ms + e->number);
    submit(c, ch);
}

static void resume_failovers(struct sn_core *c, const struct sn_event *e)
{
    struct sn_change *ch = change_of_pauses(c, e);
    ch->ended = sn_pauses_end(&ch->pauses, e->group);
    if (ch->ended) {
        submit(c, ch);
        return;
    }
    sn_change_free(ch);
    sn_answer(c, e->token, SN_ANSWER_INT, 0, NULL);
}

void sn_change_order(struct sn_core *c, const struct sn_event *e)
{
    switch (e->kind) {
    case SN_EV_MONITOR: monitor(c, e); break;
    case SN_EV_REMOVE: remove_group(c, e); break;
    case SN_EV_SET: set(c, e); break;
    case SN_EV_CONFIG_SET: config_set(c, e); break;
    case SN_EV_RELOAD: reload(c, e); break;
    case SN_EV_PAUSE: pause_failovers(c, e); break;
    default: resume_failovers(c, e); break;
    }
}

void sn_change_records(const struct sn_change *ch, struct sn_record **v, size_t *n, size_t *cap)
{
    if (ch->kind == SN_EV_RELOAD)
        sn_reload_records(ch->reload, v, n, cap);
    if (changes_pauses(ch)) {
        *v = mem_grow(*v, *n, cap, sizeof **v);
        struct sn_record *r = &(*v)[(*n)++];
        *r = (struct sn_record){.kind = SN_REC_OPTION, .group = mem_strdup("")};
        sn_pauses_record(&ch->pauses, r);
    }
    if (ch->kind == SN_EV_MONITOR || ch->kind == SN_EV_REMOVE) {
        *v = mem_grow(*v, *n, cap, sizeof **v);
        struct sn_record *r = &(*v)[(*n)++];
        memset(r, 0, sizeof *r);
        r->kind = SN_REC_GROUP;
        r->group = mem_strdup(ch->group);
        r->monitored = ch->kind == SN_EV_MONITOR;
        r->master = ch->addr;
    }
    for (size_t k = 0; k < ch->nwords; k++) {
        *v = mem_grow(*v, *n, cap, sizeof **v);
        struct sn_record *r = &(*v)[(*n)++];
        memset(r, 0, sizeof *r);
        r->kind = SN_REC_OPTION;
        r->group = mem_strdup(ch->kind == SN_EV_CONFIG_SET ? "" : ch->group);
        r->option = mem_strdup(ch->words[k].option);
        r->value = mem_strdup(ch->words[k].value);
    }
}

/* Word by word, on what the settings are now: a change before this one may have failed. */
static void apply_word(struct sn_settings *set, const struct sn_word *w)
{
    struct slice rest = slice_of(w->option), argv[3] = {slice_cut(&rest, ' ')};
    size_t argc = 1;
    char error[256];
    if (rest.n)
        argv[argc++] = rest;
    argv[argc++] = slice_of(w->value);
    sn_settings_set(set, argv, argc, error, sizeof error); /* was accepted before */
}

void sn_set_group(struct sn_group *g, const struct sn_word *words, size_t nwords)
{
    char *user = mem_strdup(g->set.auth_user), *pass = mem_strdup(g->set.auth_pass);
    for (size_t k = 0; k < nwords; k++) {
        const char *option = words[k].option;
        apply_word(&g->set, &words[k]);
        bool secret = slice_ieq(slice_of(option), "auth-pass");
        sn_publish_inst(g->master, SN_LOG_WARNING, "+set", "%s %s", option, secret ? "******" : words[k].value);
    }
    bool auth = strcmp(g->set.auth_user, user) != 0 || strcmp(g->set.auth_pass, pass) != 0;
    free(user);
    free(pass);
    for (size_t k = 0; k < g->ninsts; k++) {
        struct sn_node *n = g->insts[k]->node;
        if (auth) { /* the new credentials are for a new connection */
            sn_conn_close(g->core, &n->cmd);
            sn_conn_close(g->core, &n->sub);
            sn_probe_lost(&n->probe, g->core->now_us);
            n->cmd.retry_us = n->sub.retry_us = g->core->now_us;
        }
        sn_touch_node(n);
    }
    for (size_t k = 0; k < g->nseats; k++)
        sn_touch_peer(g->seats[k]->peer);
    sn_touch_group(g);
}

void sn_set_globals(struct sn_core *c, const struct sn_word *words, size_t nwords)
{
    char *user = mem_strdup(c->globals.user), *pass = mem_strdup(c->globals.pass);
    for (size_t k = 0; k < nwords; k++)
        globals_set(&c->globals, slice_of(words[k].option), slice_of(words[k].value));
    bool auth = strcmp(c->globals.user, user) != 0 || strcmp(c->globals.pass, pass) != 0;
    free(user);
    free(pass);
    for (size_t k = 0; k < c->npeers && auth; k++) {
        struct sn_peer *p = c->peers[k];
        sn_conn_close(c, &p->cmd);
        sn_ask_forget(p);
        sn_probe_lost(&p->probe, c->now_us);
        p->cmd.retry_us = c->now_us;
        sn_touch_peer(p);
    }
}

void sn_change_apply(struct sn_core *c, struct sn_change *ch)
{
    struct sn_group *g = sn_group_find(c, slice_of(ch->group));
    if (ch->kind == SN_EV_MONITOR && !g) {
        g = sn_group_new(c, ch->group, &ch->addr, &ch->set);
        sn_heard_enough(c, g);
        sn_meet_others(g, true);
        sn_publish_inst(g->master, SN_LOG_WARNING, "+monitor", "quorum %lld", (long long)g->set.quorum);
    } else if (ch->kind == SN_EV_REMOVE && g) {
        sn_publish_inst(g->master, SN_LOG_WARNING, "-monitor", NULL);
        sn_group_free(g);
    } else if (ch->kind == SN_EV_SET && g) {
        sn_set_group(g, ch->words, ch->nwords);
    } else if (ch->kind == SN_EV_CONFIG_SET) {
        sn_set_globals(c, ch->words, ch->nwords);
    } else if (ch->kind == SN_EV_RELOAD) {
        sn_reload_apply(c, ch->reload);
    } else if (changes_pauses(ch)) {
        sn_pauses_take(c, &ch->pauses);
    }
    sn_answer(c, ch->token, ch->kind == SN_EV_RESUME ? SN_ANSWER_INT : SN_ANSWER_OK, (int64_t)ch->ended, NULL);
    sn_change_free(ch);
}

void sn_change_refuse(struct sn_core *c, struct sn_change *ch, const char *why)
{
    struct buf text = {0};
    buf_printf(&text, "ERR Failed to save config file: %s", why);
    sn_refuse(c, ch->token, buf_str(&text));
    buf_free(&text);
    sn_change_free(ch);
}
