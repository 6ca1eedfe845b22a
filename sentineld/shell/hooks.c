#include "sentineld/shell/hooks.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "sentineld/shell/hooks_inner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GIVE_UP_CODE 2
#define TELL_DROPPED_US 1000000 /* at most so often */

static void run_due(struct hooks *all);

/* ---- events ---- */

static const char *level_name(enum sn_level level)
{
    static const char *const names[] = {
        [SN_LOG_DEBUG] = "debug",
        [SN_LOG_VERBOSE] = "verbose",
        [SN_LOG_NOTICE] = "notice",
        [SN_LOG_WARNING] = "warning",
    };
    return names[level];
}

void hooks_stamp(struct hooks *all, struct hook_event *e)
{
    const struct daemon *d = all->d;
    const struct sn_group *g = e->group != NULL ? sn_group_find(d->core, slice_of(e->group)) : NULL;
    e->number = ++all->number;
    e->wall_ms = io_wall_ms();
    e->started_ms = d->started_wall_ms;
    e->current_epoch = d->core->current_epoch;
    if (g != NULL && e->config_epoch == 0)
        e->config_epoch = g->config_epoch;
    memcpy(e->supervisor, d->core->id, sizeof e->supervisor);
    e->port = d->port;
}

void hooks_publish(struct hooks *all, enum sn_level level, const char *event, const char *fmt, ...)
{
    struct buf text = {.n = 0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    daemon_publish(all->d, level, event, buf_str(&text));
    buf_free(&text);
}

/* What is published about hooks would otherwise feed itself. */
static bool is_about_hooks(const char *name)
{
    return strncmp(name + 1, "hook-", strlen("hook-")) == 0;
}

/* ---- queues ---- */

static void unlink_job(struct hook_job *j)
{
    struct hook_rule *r = j->rule;
    *(j->prev != NULL ? &j->prev->next : &r->first) = j->next;
    *(j->next != NULL ? &j->next->prev : &r->last) = j->prev;
}

static void free_job(struct hook_job *j)
{
    hook_event_drop(j->event);
    free(j);
}

static void tell_dropped(struct hook_rule *r, bool at_once)
{
    int64_t now_us = io_now_us();
    if (r->untold == 0 || (!at_once && r->told_us != 0 && now_us < r->told_us + TELL_DROPPED_US))
        return;
    uint64_t n = r->untold;
    r->told_us = now_us;
    r->untold = 0;
    hooks_publish(r->all, SN_LOG_WARNING, "-hook-dropped", "%s %" PRIu64 " %" PRIu64, r->hook.run.v[0], n, r->dropped);
}

/* The job is over, done or not. */
static void remove_job(struct hook_job *j)
{
    struct hook_rule *r = j->rule;
    unlink_job(j);
    r->waiting--;
    free_job(j);
    if (r->waiting == 0)
        tell_dropped(r, true);
}

static void drop_oldest(struct hook_rule *r)
{
    struct hook_job *j = r->first;
    while (j != NULL && j->process != NULL)
        j = j->next;
    if (j == NULL)
        return;
    unlink_job(j);
    r->waiting--;
    free_job(j);
    r->dropped++;
    r->untold++;
    tell_dropped(r, false);
}

static void arm(struct hooks *all, int64_t at_us)
{
    struct ev_loop *loop = io_loop_ev(all->d->loop);
    ev_timer_stop(loop, &all->timer);
    if (at_us == INT64_MAX || all->running >= HOOKS_RUNNING_MAX)
        return; /* the end of a running one looks again */
    int64_t wait_us = at_us - io_now_us();
    ev_now_update(loop);
    ev_timer_set(&all->timer, wait_us > 0 ? (double)wait_us / 1e6 : 0, 0);
    ev_timer_start(loop, &all->timer);
}

static void queue(struct hook_rule *r, struct hook_event *e)
{
    struct hook_job *j = mem_zalloc(sizeof *j);
    j->rule = r;
    j->event = hook_event_share(e);
    j->due_us = io_now_us();
    j->prev = r->last;
    *(r->last != NULL ? &r->last->next : &r->first) = j;
    r->last = j;
    r->waiting++;
    if (r->waiting - r->running > HOOK_QUEUE_MAX)
        drop_oldest(r);
}

void hooks_event(struct hooks *all, enum sn_level level, const char *name, const char *payload, const char *group)
{
    if (all == NULL || is_about_hooks(name))
        return;
    struct hook_event *e = NULL;
    for (struct hook_rule *r = all->rules; r != NULL; r = r->next) {
        if (r->retired || !config_hook_wants(&r->hook, name, group))
            continue;
        if (e == NULL) {
            e = hook_event_new(name, level_name(level), payload, group);
            hooks_stamp(all, e);
        }
        queue(r, e);
    }
    if (e != NULL) /* started from the loop: whoever publishes may be in the middle of a step of the core */
        arm(all, io_now_us());
    hook_event_drop(e);
}

/* ---- runs ---- */

/* false: it was the last try. */
static bool schedule_again(struct hook_job *j)
{
    const struct config_hook *h = &j->rule->hook;
    if (j->tries > h->retries)
        return false;
    int64_t delay_ms = h->retry_delay_ms;
    for (unsigned i = 1; i < j->tries && delay_ms < INT64_C(1) << 40; i++)
        delay_ms *= 2;
    j->due_us = io_now_us() + delay_ms * 1000;
    return true;
}

static void on_end(void *owner, struct io_process *p, const struct io_process_exit *end)
{
    struct hook_job *j = owner;
    struct hook_rule *r = j->rule;
    struct hooks *all = r->all;
    long pid = (long)io_process_pid(p);
    struct buf line = {.n = 0};
    hook_first_line(&line, end->output);
    j->process = NULL;
    r->running--;
    all->running--;
    if (end->timed_out)
        hooks_publish(all, SN_LOG_WARNING, "-hook-timeout", "%s %ld", r->hook.run.v[0], pid);
    hooks_publish(all, SN_LOG_DEBUG, "-hook-child", "%ld %d %d", pid, end->signal == 0 ? end->code : 0, end->signal);
    bool good = end->signal == 0 && end->code == 0;
    bool again = end->signal != 0 || end->code == 1;
    if (!good)
        r->failures++;
    if (!again || !schedule_again(j)) {
        if (!good)
            hooks_publish(all, SN_LOG_WARNING, "-hook-error", "%s %d %d%s%s", r->hook.run.v[0], end->signal,
                          end->signal == 0 ? end->code : 0, line.n > 0 ? " " : "", buf_str(&line));
        remove_job(j);
    }
    buf_free(&line);
    run_due(all);
}

static void start(struct hook_job *j)
{
    struct hook_rule *r = j->rule;
    struct hooks *all = r->all;
    struct buf error = {.n = 0};
    j->tries++;
    r->runs++;
    j->process = hook_run(all->d->loop, &r->hook, j->event, j->tries, r->hook.timeout_ms, on_end, j, &error);
    if (j->process != NULL) {
        r->running++;
        all->running++;
        hooks_publish(all, SN_LOG_DEBUG, "+hook-child", "%ld", (long)io_process_pid(j->process));
    } else {
        r->failures++;
        io_log(IO_WARNING, "Hook not run: %s", buf_str(&error));
        /* A file that cannot be run stays so; a system without room for a process may have some later. */
        if (access(r->hook.run.v[0], X_OK) != 0 || !schedule_again(j)) {
            hooks_publish(all, SN_LOG_WARNING, "-hook-error", "%s 0 %d", r->hook.run.v[0], GIVE_UP_CODE);
            remove_job(j);
        }
    }
    buf_free(&error);
}

static void free_rule(struct hook_rule *r)
{
    while (r->first != NULL) {
        struct hook_job *j = r->first;
        if (j->process != NULL) {
            io_process_kill(j->process);
            io_process_forget(j->process);
        }
        unlink_job(j);
        free_job(j);
    }
    config_hook_free(&r->hook);
    free(r);
}

static void free_retired(struct hooks *all)
{
    for (struct hook_rule **at = &all->rules; *at != NULL;) {
        struct hook_rule *r = *at;
        if (r->retired && r->first == NULL) {
            *at = r->next;
            free_rule(r);
        } else {
            at = &r->next;
        }
    }
}

/* The next of the rule that is due; *next_us becomes when another one will be. */
static struct hook_job *due(const struct hook_rule *r, int64_t now_us, int64_t *next_us)
{
    if (r->running >= HOOK_RUNNING_MAX)
        return NULL; /* the end of a running one looks again */
    for (struct hook_job *j = r->first; j != NULL; j = j->next) {
        if (j->process != NULL)
            continue;
        if (j->due_us <= now_us)
            return j;
        if (j->due_us < *next_us)
            *next_us = j->due_us;
    }
    return NULL;
}

/* One of each hook in turn, until nobody has another one or all places are taken. */
static void run_due(struct hooks *all)
{
    int64_t now_us = io_now_us(), next_us = INT64_MAX;
    bool any = true;
    while (any && all->running < HOOKS_RUNNING_MAX) {
        any = false;
        next_us = INT64_MAX;
        for (struct hook_rule *r = all->rules; r != NULL && all->running < HOOKS_RUNNING_MAX; r = r->next) {
            struct hook_job *j = due(r, now_us, &next_us);
            if (j != NULL) {
                start(j);
                any = true;
            }
        }
    }
    free_retired(all);
    arm(all, next_us);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    run_due(w->data);
}

/* ---- the whole ---- */

static struct hook_rule *new_rule(struct hooks *all, const struct config_hook *h)
{
    struct hook_rule *r = mem_zalloc(sizeof *r);
    r->all = all;
    config_hook_copy(&r->hook, h);
    return r;
}

static struct hook_rule *take_same(struct hook_rule **list, const struct config_hook *h)
{
    for (struct hook_rule **at = list; *at != NULL; at = &(*at)->next) {
        struct hook_rule *r = *at;
        if (!r->retired && config_hook_same(&r->hook, h)) {
            *at = r->next;
            return r;
        }
    }
    return NULL;
}

void hooks_reload(struct hooks *all)
{
    struct hook_rule *before = all->rules, **end = &all->rules;
    const struct sentineld_config *c = all->d->config;
    for (size_t i = 0; i < c->hook_count; i++) {
        struct hook_rule *r = take_same(&before, &c->hooks[i]);
        if (r == NULL)
            r = new_rule(all, &c->hooks[i]);
        *end = r;
        end = &r->next;
    }
    *end = before;
    for (struct hook_rule *r = before; r != NULL; r = r->next)
        r->retired = true;
    free_retired(all);
}

struct hooks *hooks_new(struct daemon *d)
{
    struct hooks *all = mem_zalloc(sizeof *all);
    all->d = d;
    ev_timer_init(&all->timer, on_timer, 0, 0);
    ev_set_priority(&all->timer, IO_PRIORITY_PROCESS);
    all->timer.data = all;
    hooks_reload(all);
    return all;
}

void hooks_free(struct hooks *all)
{
    if (all == NULL)
        return;
    ev_timer_stop(io_loop_ev(all->d->loop), &all->timer);
    hooks_asking_free(all);
    while (all->rules != NULL) {
        struct hook_rule *r = all->rules;
        all->rules = r->next;
        free_rule(r);
    }
    free(all);
}

bool hooks_view(const struct hooks *all, size_t i, struct hook_view *out)
{
    const struct hook_rule *r = all->rules;
    while (r != NULL && i-- > 0)
        r = r->next;
    if (r == NULL)
        return false;
    *out = (struct hook_view){.hook = &r->hook,
                              .retired = r->retired,
                              .running = r->running,
                              .waiting = r->waiting - r->running,
                              .runs = r->runs,
                              .failures = r->failures,
                              .dropped = r->dropped};
    return true;
}
