#include "sentineld/shell/daemon.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "sentineld/shell/clients.h"
#include "sentineld/shell/daemon_queue.h"
#include "sentineld/shell/history.h"
#include "sentineld/shell/hooks.h"
#include "sentineld/shell/links.h"
#include "sentineld/shell/notify.h"
#include "sentineld/shell/overrides.h"
#include "sentineld/shell/reload.h"
#include "sentineld/shell/scripts.h"
#include "sentineld/shell/state.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The timer runs behind everything else of its turn: an answer that has arrived is taken before its absence is judged.
 */
#define PRIORITY_TIMER (-2)
/* A timer this late means that the process did not run. What arrived meanwhile may not have been among the events of
 * this turn, so the sockets are asked once more before the core is. */
#define LATE_US 5000
#define EFFECTS_KEPT 256 /* a step may have thousands of effects; the memory of so many is kept for the next one */

struct pump {
    struct sn_effects effects;
    struct event_queue queue;
    bool stepping;
    ev_timer timer;
    int64_t armed_us;  /* what the timer stands for */
    bool polled_again; /* the sockets were asked since the timer was found to be late */
    char *loglevel;    /* as obeyed */
};

/* ---- the timer ---- */

static void start_timer(struct daemon *d, int64_t wait_us)
{
    struct ev_loop *loop = io_loop_ev(d->loop);
    ev_timer_stop(loop, &d->pump->timer);
    ev_now_update(loop); /* the wait counts from now, not from the start of this turn */
    ev_timer_set(&d->pump->timer, wait_us > 0 ? (double)wait_us / 1e6 : 0, 0);
    ev_timer_start(loop, &d->pump->timer);
}

static void arm(struct daemon *d)
{
    struct pump *p = d->pump;
    int64_t at_us = sn_deadline(d->core);
    if (at_us == p->armed_us && ev_is_active(&p->timer))
        return;
    p->armed_us = at_us;
    p->polled_again = false;
    if (at_us == HEAP_NEVER)
        ev_timer_stop(io_loop_ev(d->loop), &p->timer);
    else
        start_timer(d, at_us - io_now_us());
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    struct daemon *d = w->data;
    struct pump *p = d->pump;
    int64_t late_us = io_now_us() - p->armed_us;
    if (late_us < 0) { /* the two clocks differ a little */
        start_timer(d, -late_us);
        return;
    }
    if (late_us > LATE_US && !p->polled_again) {
        p->polled_again = true;
        start_timer(d, 0);
        return;
    }
    struct sn_event tick = {.kind = SN_EV_TICK};
    daemon_step(d, &tick);
}

/* ---- effects ---- */

static void publish(struct daemon *d, enum sn_level level, const char *name, const char *text, const char *group)
{
    static const enum io_log_level levels[] = {
        [SN_LOG_DEBUG] = IO_DEBUG,
        [SN_LOG_VERBOSE] = IO_VERBOSE,
        [SN_LOG_NOTICE] = IO_NOTICE,
        [SN_LOG_WARNING] = IO_WARNING,
    };
    if (text == NULL)
        text = "";
    io_log(levels[level], "%s%s%s", name, text[0] == '\0' ? "" : " ", text);
    if (level == SN_LOG_DEBUG)
        return;
    if (level == SN_LOG_WARNING)
        notify_changed(d->notify);
    hooks_event(d->hooks, level, name, text, group);
    if (d->history != NULL)
        history_event(d->history, io_wall_ms(), name, text, group);
    if (d->clients != NULL)
        clients_publish(d->clients, name, slice_of(text));
}

void daemon_publish(struct daemon *d, enum sn_level level, const char *name, const char *text)
{
    publish(d, level, name, text, NULL);
}

static void do_effect(struct daemon *d, struct sn_effect *e)
{
    switch (e->kind) {
    case SN_FX_CONNECT: links_connect(d->links, e); break;
    case SN_FX_DISCONNECT: links_disconnect(d->links, e); break;
    case SN_FX_SEND: links_send(d->links, e); break;
    case SN_FX_PERSIST:
        overrides_queue(d->overrides, e->seq, e->records, e->count);
        state_persist(d->state, e->seq, e->records, e->count);
        e->records = NULL; /* the state's now */
        e->count = 0;
        break;
    case SN_FX_PUBLISH: publish(d, e->level, e->name, e->text, e->group); break;
    case SN_FX_SCRIPT: scripts_queue(d->scripts, e->argv); break;
    case SN_FX_ANSWER:
        if (e->token == RELOAD_TOKEN) {
            reload_answered(d->reload, e);
            break;
        }
        if (e->token != RELEASE_TOKEN)
            clients_answer(d->clients, e);
        break;
    case SN_FX_ANSWER_SWAP:
    case SN_FX_ANSWER_BALLOTS: clients_answer(d->clients, e); break;
    case SN_FX_NOTE:
        history_note(d->history, io_wall_ms(), e->group, e->note);
        e->note = NULL; /* the history's now */
        break;
    case SN_FX_VETO: hooks_veto(d->hooks, e); break;
    case SN_FX_EXIT:
        /* SENTINEL SIMULATE-FAILURE wants to see a crash: nothing is flushed or closed but the log. */
        io_log(IO_WARNING, "SENTINEL SIMULATE-FAILURE: exiting now with status %lld", (long long)e->number);
        io_log_close();
        _exit((int)e->number);
    }
}

/* SENTINEL CONFIG SET loglevel is the core's to remember and ours to obey. */
static void obey_loglevel(struct daemon *d)
{
    const char *wanted = d->core->globals.loglevel;
    enum io_log_level level;
    if (strcmp(wanted, d->pump->loglevel) == 0)
        return;
    free(d->pump->loglevel);
    d->pump->loglevel = mem_strdup(wanted);
    if (io_log_level_parse(slice_of(wanted), &level))
        io_log_set_level(level);
}

static void do_effects(struct daemon *d)
{
    struct sn_effects *fx = &d->pump->effects;
    for (size_t i = 0; i < fx->n; i++)
        do_effect(d, &fx->v[i]);
    if (fx->cap > EFFECTS_KEPT)
        sn_effects_free(fx);
    else
        sn_effects_clear(fx);
}

static void step(struct daemon *d, struct sn_event *e)
{
    e->now_us = io_now_us();
    sn_step(d->core, e, &d->pump->effects);
    obey_loglevel(d);
    do_effects(d);
}

void daemon_step(struct daemon *d, struct sn_event *e)
{
    struct pump *p = d->pump;
    if (p == NULL)
        return; /* not begun, or over */
    if (p->stepping) {
        event_queue_put(&p->queue, e);
        return;
    }
    p->stepping = true;
    step(d, e);
    struct sn_event *queued;
    while ((queued = event_queue_take(&p->queue)) != NULL) {
        step(d, queued);
        event_free(queued);
    }
    p->stepping = false;
    arm(d);
}

void daemon_begin(struct daemon *d, struct sn_effects *first)
{
    struct pump *p = mem_zalloc(sizeof *p);
    p->effects = *first;
    *first = (struct sn_effects){.n = 0};
    p->loglevel = mem_strdup("");
    p->armed_us = HEAP_NEVER;
    ev_timer_init(&p->timer, on_timer, 0, 0);
    ev_set_priority(&p->timer, PRIORITY_TIMER);
    p->timer.data = d;
    d->pump = p;
    p->stepping = true;
    obey_loglevel(d);
    do_effects(d);
    p->stepping = false;
    struct sn_event tick = {.kind = SN_EV_TICK};
    daemon_step(d, &tick);
}

void daemon_end(struct daemon *d)
{
    struct pump *p = d->pump;
    if (p == NULL)
        return;
    d->pump = NULL;
    ev_timer_stop(io_loop_ev(d->loop), &p->timer);
    event_queue_free(&p->queue);
    sn_effects_free(&p->effects);
    free(p->loglevel);
    free(p);
}

void daemon_stop(struct daemon *d, int exit_status)
{
    if (d->stopping)
        return;
    d->stopping = true;
    notify_stopping(d->notify);
    d->exit_status = exit_status;
    io_loop_stop(d->loop);
}
