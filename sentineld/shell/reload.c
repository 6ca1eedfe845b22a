#include "sentineld/shell/reload.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/io/log.h"
#include "common/resp/reply.h"
#include "sentineld/shell/client_inner.h"
#include "sentineld/shell/clients.h"
#include "sentineld/shell/history.h"
#include "sentineld/shell/hooks.h"
#include "sentineld/shell/notify.h"
#include "sentineld/shell/overrides.h"
#include "sentineld/shell/reload_plan.h"
#include "sentineld/shell/users.h"

/* Somebody who wants a cluster back. */
struct adoption {
    char *cluster;
    bool alone;
    sn_token token;
};

struct reload {
    struct daemon *d;
    struct io_turn_end turn_end;
    bool wanted, running;
    sn_token *askers; /* of the next one */
    size_t naskers;
    sn_token *waiting; /* of the one that runs */
    size_t nwaiting;
    struct adoption *adoptions; /* of the next one, and of the one that runs: the first so many */
    size_t nadoptions, adopting;
    struct sentineld_config *next;
    struct reload_plan plan;
};

static void begin(struct reload *r);

static void on_turn_end(struct io_turn_end *t)
{
    struct reload *r = (struct reload *)((char *)t - offsetof(struct reload, turn_end));
    if (r->wanted && !r->running)
        begin(r);
}

struct reload *reload_new(struct daemon *d)
{
    struct reload *r = mem_zalloc(sizeof *r);
    r->d = d;
    r->turn_end.run = on_turn_end;
    return r;
}

void reload_free(struct reload *r)
{
    if (r == NULL)
        return;
    io_turn_end_cancel(r->d->loop, &r->turn_end);
    reload_plan_free(&r->plan);
    config_free(r->next);
    free(r->askers);
    free(r->waiting);
    for (size_t i = 0; i < r->nadoptions; i++)
        free(r->adoptions[i].cluster);
    free(r->adoptions);
    free(r);
}

void reload_ask(struct reload *r, sn_token token)
{
    if (token != 0) {
        r->askers = mem_array(r->askers, r->naskers + 1, sizeof *r->askers);
        r->askers[r->naskers++] = token;
    }
    r->wanted = true;
    io_at_turn_end(r->d->loop, &r->turn_end);
}

void reload_adopt(struct reload *r, struct slice cluster, bool alone, sn_token token)
{
    r->adoptions = mem_array(r->adoptions, r->nadoptions + 1, sizeof *r->adoptions);
    r->adoptions[r->nadoptions++] = (struct adoption){slice_dup(cluster), alone, token};
    reload_ask(r, 0);
}

/* What the file said of it last is forgotten, so its entry is a new one. */
static void forget_released(const struct reload *r, const struct state_options *file, struct state_options *out)
{
    for (size_t i = 0; i < file->n; i++) {
        const struct state_option *o = &file->v[i];
        const char *fleet = state_fleet_of_key(o->group);
        bool wanted = false;
        for (size_t k = 0; k < r->adopting && fleet != NULL; k++)
            wanted = wanted || strcmp(r->adoptions[k].cluster, fleet) == 0;
        if (!wanted)
            state_options_add(out, o->group, o->option, o->value);
    }
}

/* ---- the result ---- */

/* The core has it now, or says that it has not. */
static void end_adoptions(struct reload *r, const char *error)
{
    struct adoption *ended = r->adoptions;
    size_t n = r->adopting;
    if (n == 0)
        return;
    r->nadoptions -= n;
    r->adoptions = mem_array(NULL, r->nadoptions + 1, sizeof *r->adoptions);
    memcpy(r->adoptions, ended + n, r->nadoptions * sizeof *ended);
    r->adopting = 0;
    for (size_t i = 0; i < n; i++) {
        struct buf text = {.n = 0};
        buf_printf(&text, "ERR %s", error != NULL ? error : "");
        struct sn_effect refusal = {.kind = SN_FX_ANSWER, .token = ended[i].token, .answer = SN_ANSWER_ERROR};
        struct sn_event e = {.kind = SN_EV_ADOPTED,
                             .token = ended[i].token,
                             .group = slice_of(ended[i].cluster),
                             .alone = ended[i].alone};
        refusal.text = text.p;
        if (error == NULL)
            daemon_step(r->d, &e);
        else if (r->d->clients != NULL)
            clients_answer(r->d->clients, &refusal);
        buf_free(&text);
        free(ended[i].cluster);
    }
    free(ended);
}

struct result {
    const char *error; /* NULL: it went well */
    struct slice notes;
};

static void write_result(struct reply *reply, void *arg)
{
    const struct result *result = arg;
    if (result->error != NULL) {
        reply_error(reply, "ERR %s", result->error);
        return;
    }
    struct slice rest = result->notes;
    size_t mark = reply_begin(reply), n = 0;
    while (rest.n > 0) {
        struct slice line = slice_cut(&rest, '\n');
        if (line.n == 0)
            continue;
        reply_bulk(reply, line.p, line.n);
        n++;
    }
    reply_end_array(reply, mark, n);
}

static void finish(struct reload *r, const char *error, struct slice notes)
{
    struct daemon *d = r->d;
    struct result result = {error, notes};
    sn_token *waiting = r->waiting;
    size_t n = r->nwaiting;
    r->waiting = NULL;
    r->nwaiting = 0;
    r->running = false;
    reload_plan_free(&r->plan);
    r->plan = (struct reload_plan){.change = NULL};
    config_free(r->next);
    r->next = NULL;
    if (error != NULL)
        daemon_publish(d, SN_LOG_WARNING, "-config-reload-failed", error);
    notify_ready(d->notify);
    end_adoptions(r, error);
    for (size_t i = 0; i < n && d->clients != NULL; i++)
        clients_answer_by(d->clients, waiting[i], write_result, &result);
    free(waiting);
    if (r->wanted)
        io_at_turn_end(d->loop, &r->turn_end);
}

static void fail(struct reload *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct reload *r, const char *fmt, ...)
{
    struct buf text = {.n = 0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    finish(r, buf_str(&text), (struct slice){NULL, 0});
    buf_free(&text);
}

/* ---- what cannot change ---- */

static bool same_addresses(const struct conf_addresses *a, const struct conf_addresses *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = addr_eq(&a->v[i], &b->v[i]);
    return same;
}

static void swap(void *a, void *b, size_t n)
{
    unsigned char *x = a, *y = b;
    for (size_t i = 0; i < n; i++) {
        unsigned char kept = x[i];
        x[i] = y[i];
        y[i] = kept;
    }
}

static void note_fixed(struct buf *notes, bool same, const char *key)
{
    if (!same)
        buf_printf(notes, "%s: was changed in the file, but cannot change while sentineld runs: restart it for that\n",
                   key);
}

/* The values in force stay in the configuration that is kept, so that every later reload names the difference again. */
static void keep_fixed(struct sentineld_config *is, struct sentineld_config *next, struct buf *notes)
{
    note_fixed(notes, same_addresses(&is->listen, &next->listen), "listen");
    note_fixed(notes, strcmp(is->state_dir, next->state_dir) == 0, "state_dir");
    note_fixed(notes, same_addresses(&is->supervisors, &next->supervisors), "supervisors");
    note_fixed(notes, runid_cmp(is->id, next->id) == 0, "id");
    swap(&is->listen, &next->listen, sizeof is->listen);
    swap(&is->state_dir, &next->state_dir, sizeof is->state_dir);
    swap(&is->supervisors, &next->supervisors, sizeof is->supervisors);
    swap(&is->self, &next->self, sizeof is->self);
    swap(&is->id, &next->id, sizeof is->id);
}

/* ---- the run ---- */

static void log_lines(enum io_log_level level, struct slice lines)
{
    while (lines.n > 0) {
        struct slice line = slice_cut(&lines, '\n');
        if (line.n > 0)
            io_log(level, "%.*s", (int)line.n, line.p);
    }
}

static void take_file(struct reload *r)
{
    struct conf_problems problems = {.count = 0};
    const struct daemon *d = r->d;
    r->next = d->start_dir != NULL ? config_load_from(d->config_path, d->start_dir, &problems)
                                   : config_load(d->config_path, &problems);
    if (r->next == NULL) {
        struct slice rest = buf_slice(&problems.text), first = slice_cut(&rest, '\n');
        log_lines(IO_WARNING, buf_slice(&problems.text));
        if (problems.count > 1)
            fail(r, "nothing was changed: %.*s (and %zu more, see the log)", (int)first.n, first.p, problems.count - 1);
        else
            fail(r, "nothing was changed: %.*s", (int)first.n, first.p);
    }
    buf_free(&problems.text);
}

static void begin(struct reload *r)
{
    struct daemon *d = r->d;
    r->wanted = false;
    r->running = true;
    r->waiting = r->askers;
    r->nwaiting = r->naskers;
    r->askers = NULL;
    r->naskers = 0;
    struct state_options file = {.n = 0};
    r->adopting = r->nadoptions;
    notify_reloading(d->notify);
    take_file(r);
    if (r->next == NULL)
        return;
    forget_released(r, overrides_file(d->overrides), &file);
    reload_plan(d->core, d->config, r->next, overrides_options(d->overrides), &file, &r->plan);
    state_options_free(&file);
    struct sn_event e = {.kind = SN_EV_RELOAD, .token = RELOAD_TOKEN, .reload = r->plan.change};
    r->plan.change = NULL;
    daemon_step(d, &e);
}

/* The level is the core's; the file is opened by its name again in any case, since it may have been moved away. */
static void take_log(const struct sentineld_config *was, const struct sentineld_config *now, struct buf *notes)
{
    if (strcmp(was->log.file, now->log.file) == 0)
        io_log_reopen();
    else if (!io_log_open(now->log.file, io_log_level(), notes))
        buf_putc(notes, '\n');
}

static void take_over(struct reload *r)
{
    struct daemon *d = r->d;
    struct sentineld_config *was = d->config;
    keep_fixed(was, r->next, &r->plan.notes);
    take_log(was, r->next, &r->plan.notes);
    d->config = r->next;
    r->next = NULL;
    config_free(was);
    users_reload(d->users, d->config, &r->plan.options, clients_user_changed, d->clients);
    hooks_reload(d->hooks);
    history_limit(d->history, d->config->history.max_age_days, d->config->history.max_mb);
    struct sn_event e = {.kind = SN_EV_HOOKS, .ok = hooks_may_veto(d->hooks)};
    daemon_step(d, &e);
}

void reload_answered(struct reload *r, const struct sn_effect *e)
{
    if (e->answer != SN_ANSWER_OK) {
        fail(r, "nothing was changed: %s", e->text != NULL ? e->text : "the change was refused");
        return;
    }
    struct buf summary = {.n = 0};
    buf_printf(&summary, "groups: %zu added, %zu removed, %zu changed", r->plan.added, r->plan.removed,
               r->plan.changed);
    if (r->d->config->cluster_count + r->next->cluster_count > 0)
        buf_printf(&summary, "; clusters: %zu added, %zu released, %zu changed", r->plan.fleets_added,
                   r->plan.fleets_released, r->plan.fleets_changed);
    take_over(r);
    struct buf notes = {.n = 0};
    buf_printf(&notes, "%s\n", buf_str(&summary));
    buf_put(&notes, r->plan.notes.p, r->plan.notes.n);
    daemon_publish(r->d, SN_LOG_WARNING, "+config-reloaded", buf_str(&summary));
    log_lines(IO_WARNING, buf_slice(&r->plan.notes));
    finish(r, NULL, buf_slice(&notes));
    buf_free(&notes);
    buf_free(&summary);
}
