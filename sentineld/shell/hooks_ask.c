/* Runs of hooks that somebody waits for: a veto before a failover, and tests. Each hook runs once, beside the queues.
 */
#include "sentineld/shell/hooks_inner.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"

#include <stdlib.h>
#include <string.h>

struct one {
    struct hook_asking *of;
    struct config_hook hook;
    struct io_process *process;
    int64_t start_us, deadline_ms;
};

struct hook_asking {
    struct hook_asking *next;
    struct hooks *all;
    struct hook_event *event;
    struct one *v;
    size_t n, open;
    struct io_turn_end none; /* nobody is asked: the answer still comes from the loop */
    /* of a test */
    hooks_tested_fn *tested;
    void *arg;
    /* of a veto */
    uint64_t epoch;
    struct buf reason; /* of the first veto; empty: none so far */
};

static void unlink_asking(struct hook_asking *a)
{
    struct hook_asking **at = &a->all->asking;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
}

static void free_asking(struct hook_asking *a)
{
    io_turn_end_cancel(a->all->d->loop, &a->none);
    for (size_t i = 0; i < a->n; i++) {
        if (a->v[i].process != NULL) {
            io_process_kill(a->v[i].process);
            io_process_forget(a->v[i].process);
        }
        config_hook_free(&a->v[i].hook);
    }
    free(a->v);
    hook_event_drop(a->event);
    buf_free(&a->reason);
    free(a);
}

void hooks_asking_free(struct hooks *all)
{
    while (all->asking != NULL) {
        struct hook_asking *a = all->asking;
        all->asking = a->next;
        free_asking(a);
    }
}

static void finish(struct hook_asking *a)
{
    unlink_asking(a);
    if (a->tested != NULL) {
        a->tested(a->arg, NULL, NULL, NULL, 0);
    } else {
        struct sn_event e = {.kind = SN_EV_VERDICT,
                             .group = slice_of(a->event->group),
                             .epoch = a->epoch,
                             .ok = a->reason.n == 0,
                             .text = buf_slice(&a->reason)};
        daemon_step(a->all->d, &e);
    }
    free_asking(a);
}

/* end NULL: it could not be started. */
static void judge(struct one *o, const struct io_process_exit *end, const char *error)
{
    struct hook_asking *a = o->of;
    struct buf how = {.n = 0}, line = {.n = 0};
    bool answered = end != NULL && end->signal == 0 && !end->timed_out;
    if (end != NULL)
        hook_outcome(&how, end, o->deadline_ms);
    else
        buf_puts(&how, error);
    if (!answered)
        hooks_publish(a->all, SN_LOG_WARNING, "-hook-error", "%s %s: asked about %s, %s", o->hook.run.v[0],
                      buf_str(&how), a->event->group,
                      o->hook.on_error == CONFIG_ON_ERROR_ABORT ? "the failover is given up (on_error)"
                                                                : "the failover goes on without its answer");
    bool against = answered ? end->code != 0 : o->hook.on_error == CONFIG_ON_ERROR_ABORT;
    if (against && a->reason.n == 0) {
        if (answered)
            hook_first_line(&line, end->output);
        buf_printf(&a->reason, "%s: %s", o->hook.run.v[0], line.n > 0 ? buf_str(&line) : buf_str(&how));
    }
    buf_free(&how);
    buf_free(&line);
}

static void over(struct one *o, const struct io_process_exit *end, const char *error)
{
    struct hook_asking *a = o->of;
    o->process = NULL;
    if (a->tested != NULL)
        a->tested(a->arg, &o->hook, end, error, io_now_us() - o->start_us);
    else
        judge(o, end, error);
    if (--a->open == 0)
        finish(a);
}

static void on_end(void *owner, struct io_process *p, const struct io_process_exit *end)
{
    (void)p;
    over(owner, end, NULL);
}

static void nobody(struct io_turn_end *t)
{
    finish((struct hook_asking *)((char *)t - offsetof(struct hook_asking, none)));
}

/* limit_ms 0: each has its own time. */
static void begin(struct hook_asking *a, int64_t limit_ms)
{
    a->next = a->all->asking;
    a->all->asking = a;
    a->none.run = nobody;
    if (a->n == 0) {
        io_at_turn_end(a->all->d->loop, &a->none);
        return;
    }
    a->open = a->n + 1; /* not over before all have begun */
    for (size_t i = 0; i < a->n; i++) {
        struct one *o = &a->v[i];
        struct buf error = {.n = 0};
        o->of = a;
        o->start_us = io_now_us();
        o->deadline_ms = limit_ms > 0 && limit_ms < o->hook.timeout_ms ? limit_ms : o->hook.timeout_ms;
        o->process = hook_run(a->all->d->loop, &o->hook, a->event, 1, o->deadline_ms, on_end, o, &error);
        if (o->process == NULL)
            over(o, NULL, buf_str(&error));
        buf_free(&error);
    }
    if (--a->open == 0) {
        a->open = 0;
        io_at_turn_end(a->all->d->loop, &a->none);
    }
}

static struct hook_asking *asking_new(struct hooks *all, struct hook_event *event)
{
    struct hook_asking *a = mem_zalloc(sizeof *a);
    a->all = all;
    a->event = event;
    hooks_stamp(all, event);
    return a;
}

static void add(struct hook_asking *a, const struct config_hook *hook)
{
    a->v = mem_array(a->v, a->n + 1, sizeof *a->v);
    a->v[a->n] = (struct one){.process = NULL};
    config_hook_copy(&a->v[a->n++].hook, hook);
}

bool hooks_may_veto(const struct hooks *all)
{
    for (const struct hook_rule *r = all->rules; r != NULL; r = r->next)
        if (!r->retired && r->hook.veto)
            return true;
    return false;
}

void hooks_veto(struct hooks *all, const struct sn_effect *e)
{
    struct hook_event *event = hook_event_new(HOOK_PRE_FAILOVER, "notice", e->text, e->group);
    event->config_epoch = e->epoch;
    struct hook_asking *a = asking_new(all, event);
    a->epoch = e->epoch;
    for (const struct hook_rule *r = all->rules; r != NULL; r = r->next)
        if (!r->retired && r->hook.veto && config_hook_wants(&r->hook, HOOK_PRE_FAILOVER, e->group))
            add(a, &r->hook);
    begin(a, e->number);
}

void hooks_test(struct hooks *all, struct hook_event *event, hooks_tested_fn *ended, void *arg)
{
    struct hook_asking *a = asking_new(all, event);
    a->tested = ended;
    a->arg = arg;
    for (const struct hook_rule *r = all->rules; r != NULL; r = r->next)
        if (!r->retired && config_hook_wants(&r->hook, event->name, event->group))
            add(a, &r->hook);
    begin(a, 0);
}
