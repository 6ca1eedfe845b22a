#include "sentineld/shell/notify.h"

#include "common/base/mem.h"
#include "common/io/log.h"
#include "sentineld/shell/daemon.h"

#include <ev.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define STATUS_DELAY_S 0.2 /* one line for all that happens in a moment */
#define NAMES_MAX 3        /* masters that are down, by name */

struct notify {
    struct daemon *d;
    ev_timer watchdog, status;
    struct buf told; /* the last STATUS line */
    bool failed;     /* said once */
};

/* A manager that does not listen is told of once; the daemon goes on. */
static void tell(struct notify *n, const char *state)
{
    int result = sd_notify(0, state);
    if (result < 0 && !n->failed)
        io_log(IO_WARNING, "The service manager cannot be told that we are well: %s. NOTIFY_SOCKET names its socket",
               strerror(-result));
    n->failed = result < 0;
}

void notify_status_text(const struct daemon *d, struct buf *out)
{
    const struct sn_core *c = d->core;
    size_t down = 0;
    buf_printf(out, "%zu group%s", c->ngroups, c->ngroups == 1 ? "" : "s");
    for (size_t i = 0; i < c->ngroups; i++)
        down += c->groups[i]->master->s_down;
    if (down == 0) {
        buf_puts(out, ", all masters up");
        return;
    }
    buf_printf(out, ", %zu master%s down (", down, down == 1 ? "" : "s");
    size_t named = 0;
    for (size_t i = 0; i < c->ngroups && named < NAMES_MAX; i++)
        if (c->groups[i]->master->s_down)
            buf_printf(out, "%s%s", named++ > 0 ? ", " : "", c->groups[i]->name);
    buf_puts(out, down > named ? ", ...)" : ")");
}

static void put_status(struct notify *n, struct buf *out)
{
    buf_clear(&n->told);
    notify_status_text(n->d, &n->told);
    buf_printf(out, "STATUS=%s", buf_str(&n->told));
}

static void on_watchdog(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    tell(w->data, "WATCHDOG=1");
}

static void on_status(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    struct notify *n = w->data;
    struct buf now = {.n = 0}, line = {.n = 0};
    notify_status_text(n->d, &now);
    if (!slice_eq(buf_slice(&now), buf_slice(&n->told))) {
        put_status(n, &line);
        tell(n, buf_str(&line));
    }
    buf_free(&now);
    buf_free(&line);
}

static void begin_watchdog(struct notify *n)
{
    uint64_t period_us;
    int asked = sd_watchdog_enabled(0, &period_us);
    if (asked < 0)
        io_log(IO_WARNING, "WATCHDOG_USEC is no number of microseconds: the service manager's watchdog is not served");
    if (asked <= 0 || period_us < 2)
        return;
    double half_s = (double)period_us / 2e6;
    ev_timer_set(&n->watchdog, half_s, half_s);
    ev_timer_start(io_loop_ev(n->d->loop), &n->watchdog);
    tell(n, "WATCHDOG=1");
}

struct notify *notify_open(struct daemon *d)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (path == NULL || path[0] == '\0')
        return NULL;
    struct notify *n = mem_zalloc(sizeof *n);
    n->d = d;
    ev_timer_init(&n->watchdog, on_watchdog, 0, 0);
    ev_timer_init(&n->status, on_status, STATUS_DELAY_S, 0);
    n->watchdog.data = n->status.data = n;
    notify_ready(n);
    begin_watchdog(n);
    return n;
}

void notify_close(struct notify *n)
{
    if (n == NULL)
        return;
    ev_timer_stop(io_loop_ev(n->d->loop), &n->watchdog);
    ev_timer_stop(io_loop_ev(n->d->loop), &n->status);
    buf_free(&n->told);
    free(n);
}

void notify_reloading(struct notify *n)
{
    if (n == NULL)
        return;
    struct timespec t;
    struct buf text = {.n = 0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    buf_printf(&text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000);
    tell(n, buf_str(&text));
    buf_free(&text);
}

void notify_ready(struct notify *n)
{
    if (n == NULL)
        return;
    struct buf text = {.n = 0};
    buf_puts(&text, "READY=1\n");
    put_status(n, &text);
    tell(n, buf_str(&text));
    buf_free(&text);
}

void notify_stopping(struct notify *n)
{
    if (n != NULL)
        tell(n, "STOPPING=1\nSTATUS=ending");
}

void notify_changed(struct notify *n)
{
    if (n != NULL && !ev_is_active(&n->status)) {
        ev_timer_set(&n->status, STATUS_DELAY_S, 0);
        ev_timer_start(io_loop_ev(n->d->loop), &n->status);
    }
}
