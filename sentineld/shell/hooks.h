/* Hooks: programs of the operator that are run on events (sentineld.conf(5), `hooks`).
 *
 * Each hook has a queue of its own, so that one that hangs holds up nobody else: HOOK_QUEUE_MAX events wait, then the
 * oldest is dropped, counted, and told of by -hook-dropped; HOOK_RUNNING_MAX of one hook run at a time, and
 * HOOKS_RUNNING_MAX of all. Exit 0 is done, 1 or a signal (the deadline's SIGKILL too) is tried again, 2 and above is
 * given up, as with stock scripts. Events: +hook-child, -hook-timeout, -hook-error, -hook-dropped; hooks are not run on
 * them.
 *
 * A hook with `veto` on the pseudo event pre-failover is asked before a failover that has been voted for: see
 * hooks_veto(). */
#ifndef SHELL_HOOKS_H
#define SHELL_HOOKS_H

#include "sentineld/core/effect.h"
#include "sentineld/shell/config.h"

#define HOOK_QUEUE_MAX 256
#define HOOK_RUNNING_MAX 8
#define HOOKS_RUNNING_MAX 32

struct daemon;
struct hook_event;
struct hooks;
struct io_process_exit;

struct hooks *hooks_new(struct daemon *d); /* those of d->config */
void hooks_free(struct hooks *all);        /* ends those that run; NULL is allowed */
/* The configuration was read again. A hook that is the same goes on; of one that is gone or another now, what waits is
 * still run. */
void hooks_reload(struct hooks *all);

/* Something was published. group may be NULL. Nothing is started here: the loop does. */
void hooks_event(struct hooks *all, enum sn_level level, const char *name, const char *payload, const char *group);

/* Whether any hook may veto, which the core must know (SN_EV_HOOKS). */
bool hooks_may_veto(const struct hooks *all);
/* SN_FX_VETO: asks all that match the group, side by side, and answers with SN_EV_VERDICT: against it when one of them
 * exits with anything but 0 (the first line of its output is the reason), or fails otherwise and has on_error =
 * "abort". A hook that crashes or takes too long does not stop a failover by default: a broken policy must not make the
 * fleet unavailable. */
void hooks_veto(struct hooks *all, const struct sn_effect *e);

/* Runs every hook that wants the event once, outside of its queue, and calls `ended` for each, then with hook NULL.
 * Takes the event. */
typedef void hooks_tested_fn(void *arg, const struct config_hook *hook, const struct io_process_exit *end,
                             const char *error, int64_t took_us);
void hooks_test(struct hooks *all, struct hook_event *event, hooks_tested_fn *ended, void *arg);

/* For SENTINEL HOOK LIST. */
struct hook_view {
    const struct config_hook *hook;
    bool retired; /* no longer in the configuration; what waited is still run */
    size_t running, waiting;
    uint64_t runs, failures, dropped;
};
bool hooks_view(const struct hooks *all, size_t i, struct hook_view *out); /* false past the last */

#endif
