/* What hooks.c (queues) and hooks_ask.c (runs that somebody waits for) share. */
#ifndef SHELL_HOOKS_INNER_H
#define SHELL_HOOKS_INNER_H

#include <ev.h>

#include "sentineld/shell/daemon.h"
#include "sentineld/shell/hooks.h"
#include "sentineld/shell/hooks_run.h"

struct hook_job {
    struct hook_job *prev, *next;
    struct hook_rule *rule;
    struct hook_event *event;
    struct io_process *process; /* NULL: it waits */
    int64_t due_us;             /* waiting: not before */
    unsigned tries;             /* begun */
};

struct hook_rule {
    struct hook_rule *next;
    struct hooks *all;
    struct config_hook hook;
    bool retired;
    struct hook_job *first, *last; /* in the order in which they came */
    size_t running, waiting;
    uint64_t runs, failures, dropped;
    uint64_t untold; /* dropped since it was told */
    int64_t told_us; /* when that was */
};

struct hook_asking;

struct hooks {
    struct daemon *d;
    struct hook_rule *rules; /* in the order of the file */
    size_t running;
    uint64_t number;
    ev_timer timer;
    struct hook_asking *asking; /* hooks_ask.c: vetoes and tests under way */
};

/* Fills in what an event says about the supervisor and the group. Appended to the event's life: number, time, epochs.
 */
void hooks_stamp(struct hooks *all, struct hook_event *e);
void hooks_publish(struct hooks *all, enum sn_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void hooks_asking_free(struct hooks *all);

#endif
