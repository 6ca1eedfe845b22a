/* Putting the daemon together and taking it apart. */
#include "sentineld/shell/daemon.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "sentineld/shell/clients.h"
#include "sentineld/shell/cmd_sentinel.h"
#include "sentineld/shell/config.h"
#include "sentineld/shell/history.h"
#include "sentineld/shell/hooks.h"
#include "sentineld/shell/links.h"
#include "sentineld/shell/merge.h"
#include "sentineld/shell/notify.h"
#include "sentineld/shell/overrides.h"
#include "sentineld/shell/reload.h"
#include "sentineld/shell/scripts.h"
#include "sentineld/shell/state.h"
#include "sentineld/shell/users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define RESOLVER_THREADS 4
#define RESOLVER_WAITING_MAX 4096

static void on_persisted(void *owner, uint64_t seq, const char *why)
{
    overrides_settle(((struct daemon *)owner)->overrides, seq, why == NULL);
    struct sn_event e = {
        .kind = why == NULL ? SN_EV_PERSISTED : SN_EV_PERSIST_FAILED, .seq = seq, .text = slice_of(why)};
    daemon_step(owner, &e);
}

static void on_history_told(void *owner, const char *event, const char *text)
{
    daemon_publish(owner, SN_LOG_WARNING, event, text);
}

static bool draw(void *out, size_t n, struct buf *error)
{
    if (getrandom(out, n, 0) == (ssize_t)n)
        return true;
    buf_printf(error, "The system gives no random bytes: %s", strerror(errno));
    return false;
}

static bool draw_id(runid out, struct buf *error)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[RUNID_LEN / 2];
    if (!draw(bytes, sizeof bytes, error))
        return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[RUNID_LEN] = '\0';
    return true;
}

static void log_lines(enum io_log_level level, const struct buf *lines)
{
    struct slice rest = buf_slice(lines);
    while (rest.n > 0) {
        struct slice line = slice_cut(&rest, '\n');
        if (line.n > 0)
            io_log(level, "%.*s", (int)line.n, line.p);
    }
}

/* All of `supervisors` but ourselves; the caller frees. */
static struct addr *other_supervisors(const struct sentineld_config *c, size_t *n)
{
    struct addr *v = mem_array(NULL, c->supervisors.n, sizeof *v);
    *n = 0;
    for (size_t i = 0; i < c->supervisors.n; i++)
        if (i != c->self)
            v[(*n)++] = c->supervisors.v[i];
    return v;
}

static bool make_core(struct daemon *d, const struct merged *m, struct buf *error)
{
    struct sn_core_options o = {
        .port = d->port,
        .current_epoch = m->image.epoch,
        .joined = m->image.joined,
        .id_drawn = d->config->id[0] == '\0' && d->config->supervisors.n == 0,
        .globals = m->globals,
        .params = m->params,
        .list = {.text = m->image.list,
                 .position = (int)d->config->self,
                 .version = m->image.list_version,
                 .counted = m->image.list_counted},
        .pauses = state_options_get(&m->image.options, "", SN_PAUSE_OPTION),
        .wall_ms = io_wall_ms(),
    };
    memcpy(o.id, m->image.id, sizeof o.id);
    for (size_t i = 0; i < d->config->hook_count; i++)
        o.asks_veto = o.asks_veto || d->config->hooks[i].veto;
    if (!draw(&o.seed, sizeof o.seed, error))
        return false;
    struct addr *declared = other_supervisors(d->config, &o.ndeclared);
    o.declared = declared;
    d->core = sn_core_new(&o, io_now_us());
    free(declared);
    return true;
}

static void add_groups(struct daemon *d, const struct merged *m, struct sn_effects *first)
{
    for (size_t i = 0; i < m->ngroups; i++) {
        struct sn_core_group g = merged_core_group(m, i);
        if (m->groups[i].fleet != SIZE_MAX)
            continue;
        char master[ADDR_TEXT_MAX];
        if (!sn_core_add_group(d->core, &g, io_now_us(), first))
            io_log(IO_WARNING, "%s: not supervised: its name or its master %s belongs to another group already", g.name,
                   addr_text(&g.master, master));
    }
}

/* One that has gone from the file is supervised only until its nodes have been told that they are their own masters
 * again. */
static void add_fleets(struct daemon *d, const struct merged *m, struct sn_effects *first)
{
    for (size_t i = 0; i < m->nfleets; i++) {
        struct sn_core_fleet f = merged_core_fleet(m, i);
        if (!sn_core_add_fleet(d->core, &f, io_now_us(), first))
            io_log(IO_WARNING,
                   "%s: not supervised: its name belongs to another cluster already, or nothing is known of it",
                   f.name);
        free((void *)(uintptr_t)f.shards);
    }
}

static void release_fleets(struct daemon *d, const struct merged *m)
{
    for (size_t i = 0; i < m->nfleets; i++) {
        struct sn_event e = {
            .kind = SN_EV_RELEASE, .token = RELEASE_TOKEN, .group = slice_of(m->image.fleets[m->fleets[i].row].name)};
        if (m->fleets[i].release)
            daemon_step(d, &e);
    }
}

/* Listens before anything is stored: a daemon that can't be reached must not change its state. */
static bool begin(struct daemon *d, const struct merged *m, struct buf *error)
{
    char text[512] = "";
    if (!make_core(d, m, error))
        return false;
    d->links = links_new(d);
    d->scripts = scripts_new(d);
    d->overrides = overrides_new(&m->image);
    d->reload = reload_new(d);
    d->hooks = hooks_new(d);
    d->users = users_new(d->config, &m->image.options);
    d->clients = clients_open(d, text, sizeof text);
    if (d->clients == NULL) {
        buf_puts(error, text);
        return false;
    }
    if (!state_start(d->state, d->loop, &m->image, on_persisted, d, error))
        return false;
    if (error->n > 0) {
        io_log(IO_WARNING, "%s. Nothing can be stored, so no vote is given until that is mended", buf_str(error));
        buf_clear(error);
    }
    d->history = history_open(".", &(struct history_options){.loop = d->loop,
                                                             .max_age_days = d->config->history.max_age_days,
                                                             .max_mb = d->config->history.max_mb,
                                                             .told = on_history_told,
                                                             .render = cmd_history_render,
                                                             .done = cmd_history_answered,
                                                             .owner = d});
    log_lines(IO_NOTICE, &m->notes);
    struct sn_effects first = {.n = 0};
    add_groups(d, m, &first);
    add_fleets(d, m, &first);
    daemon_begin(d, &first);
    release_fleets(d, m);
    return true;
}

bool daemon_open(struct daemon *d, struct sentineld_config *config, struct buf *error)
{
    d->config = config;
    d->port = config->listen.v[0].port;
    d->started_us = io_now_us();
    d->started_wall_ms = io_wall_ms();
    d->loop = io_loop_new();
    if (d->loop == NULL) {
        buf_puts(error, "The system gives no event mechanism (epoll) to this process");
        return false;
    }
    d->resolver = io_resolver_new(d->loop, RESOLVER_THREADS, RESOLVER_WAITING_MAX);
    struct state_image stored;
    d->state = state_open(".", &stored, error);
    if (d->state == NULL)
        return false;
    runid id;
    bool ok = draw_id(id, error);
    if (ok) {
        struct merged m;
        merge(config, &stored, id, &m);
        ok = begin(d, &m, error);
        merged_free(&m);
    }
    state_image_free(&stored);
    return ok;
}

bool daemon_close(struct daemon *d)
{
    if (d->pump != NULL)
        state_flush(d->state); /* whoever waits for the disk gets an answer */
    if (d->clients != NULL)
        clients_close(d->clients);
    d->clients = NULL;
    users_free(d->users);
    notify_close(d->notify);
    daemon_end(d);
    hooks_free(d->hooks);
    d->hooks = NULL;
    reload_free(d->reload);
    scripts_free(d->scripts);
    links_free(d->links);
    bool ended = state_close(d->state);
    overrides_free(d->overrides);
    drill_claims_free(&d->drills);
    ended = history_close(d->history) && ended;
    if (d->core != NULL)
        sn_core_free(d->core);
    io_resolver_free(d->resolver);
    io_loop_free(d->loop);
    config_free(d->config);
    return ended;
}
