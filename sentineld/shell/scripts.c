#include "sentineld/shell/scripts.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "common/io/process.h"
#include "sentineld/shell/daemon.h"

#include <ev.h>
#include <stdlib.h>
#include <unistd.h>

#define QUEUE_MAX 256
#define RUNNING_MAX 16
#define TRIES_MAX 10
#define GIVE_UP_CODE 2 /* what a shell's "cannot execute" and stock's failed exec come to: no further try */

struct job {
    struct scripts *all;
    struct job *next;
    char **argv;
    struct io_process *process; /* NULL: scheduled */
    int64_t start_us;           /* running: since; scheduled: not before */
    unsigned tries;             /* begun */
};

struct scripts {
    struct daemon *d;
    struct job *first; /* in the order in which they came */
    size_t waiting, running;
    bool told_full; /* said once per time that the queue is full */
    ev_timer timer;
};

static void run_due(struct scripts *s);

static void free_job(struct job *j)
{
    for (char **arg = j->argv; *arg != NULL; arg++)
        free(*arg);
    free(j->argv);
    free(j);
}

static void remove_job(struct scripts *s, struct job *j)
{
    struct job **at = &s->first;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    s->waiting--;
    if (s->waiting < QUEUE_MAX / 2)
        s->told_full = false;
    free_job(j);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    run_due(w->data);
}

struct scripts *scripts_new(struct daemon *d)
{
    struct scripts *s = mem_zalloc(sizeof *s);
    s->d = d;
    ev_timer_init(&s->timer, on_timer, 0, 0);
    ev_set_priority(&s->timer, IO_PRIORITY_PROCESS);
    s->timer.data = s;
    return s;
}

void scripts_free(struct scripts *s)
{
    if (s == NULL)
        return;
    ev_timer_stop(io_loop_ev(s->d->loop), &s->timer);
    while (s->first != NULL) {
        struct job *j = s->first;
        if (j->process != NULL) {
            io_process_kill(j->process);
            io_process_forget(j->process);
        }
        remove_job(s, j);
    }
    free(s);
}

static void publish(struct scripts *s, enum sn_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void publish(struct scripts *s, enum sn_level level, const char *event, const char *fmt, ...)
{
    struct buf text = {.n = 0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    daemon_publish(s->d, level, event, buf_str(&text));
    buf_free(&text);
}

/* The try has failed in a way that another one may mend. false: it was the last. */
static bool schedule_again(struct job *j)
{
    if (j->tries >= TRIES_MAX)
        return false;
    int64_t delay_ms = j->all->d->core->params.script_retry_delay_ms;
    for (unsigned i = 1; i < j->tries && delay_ms < INT64_C(1) << 40; i++)
        delay_ms *= 2;
    j->start_us = io_now_us() + delay_ms * 1000;
    return true;
}

static void on_end(void *owner, struct io_process *p, const struct io_process_exit *end)
{
    struct job *j = owner;
    struct scripts *s = j->all;
    long pid = (long)io_process_pid(p);
    j->process = NULL;
    s->running--;
    if (end->timed_out)
        publish(s, SN_LOG_WARNING, "-script-timeout", "%s %ld", j->argv[0], pid);
    publish(s, SN_LOG_DEBUG, "-script-child", "%ld %d %d", pid, end->signal == 0 ? end->code : 0, end->signal);
    bool again = end->signal != 0 || end->code == 1;
    if (!again || !schedule_again(j)) {
        if (end->signal != 0 || end->code != 0)
            publish(s, SN_LOG_WARNING, "-script-error", "%s %d %d", j->argv[0], end->signal,
                    end->signal == 0 ? end->code : 0);
        remove_job(s, j);
    }
    run_due(s);
}

static void start(struct scripts *s, struct job *j)
{
    struct io_process_spec spec = {
        .argv = (const char *const *)j->argv,
        .deadline_ms = s->d->core->params.script_max_runtime_ms,
    };
    struct buf error = {.n = 0};
    j->tries++;
    j->start_us = io_now_us();
    j->process = io_process_start(s->d->loop, &spec, on_end, j, &error);
    if (j->process != NULL) {
        s->running++;
        publish(s, SN_LOG_DEBUG, "+script-child", "%ld", (long)io_process_pid(j->process));
    } else {
        io_log(IO_WARNING, "Script not run: %s", buf_str(&error));
        /* A file that cannot be run stays so; a system without room for a process may have some later. */
        if (access(j->argv[0], X_OK) != 0 || !schedule_again(j)) {
            publish(s, SN_LOG_WARNING, "-script-error", "%s 0 %d", j->argv[0], GIVE_UP_CODE);
            remove_job(s, j);
        }
    }
    buf_free(&error);
}

static void arm(struct scripts *s, int64_t at_us)
{
    struct ev_loop *loop = io_loop_ev(s->d->loop);
    ev_timer_stop(loop, &s->timer);
    if (at_us == INT64_MAX || s->running >= RUNNING_MAX)
        return; /* the end of a running one looks again */
    int64_t wait_us = at_us - io_now_us();
    ev_now_update(loop);
    ev_timer_set(&s->timer, wait_us > 0 ? (double)wait_us / 1e6 : 0, 0);
    ev_timer_start(loop, &s->timer);
}

static void run_due(struct scripts *s)
{
    int64_t now_us = io_now_us(), next_us = INT64_MAX;
    for (struct job *j = s->first, *next; j != NULL && s->running < RUNNING_MAX; j = next) {
        next = j->next;
        if (j->process != NULL)
            continue;
        if (j->start_us <= now_us)
            start(s, j);
    }
    for (const struct job *j = s->first; j != NULL; j = j->next)
        if (j->process == NULL && j->start_us < next_us)
            next_us = j->start_us;
    arm(s, next_us);
}

static void drop_oldest_waiting(struct scripts *s)
{
    for (struct job *j = s->first; j != NULL; j = j->next) {
        if (j->process == NULL) {
            if (!s->told_full)
                io_log(IO_WARNING,
                       "%d scripts wait already: the oldest is dropped for each that is added, first %s. Look why "
                       "scripts take so long",
                       QUEUE_MAX, j->argv[0]);
            s->told_full = true;
            remove_job(s, j);
            return;
        }
    }
}

void scripts_queue(struct scripts *s, char *const argv[])
{
    size_t n = 0;
    while (argv[n] != NULL)
        n++;
    struct job *j = mem_zalloc(sizeof *j);
    j->all = s;
    j->argv = mem_array(NULL, n + 1, sizeof *j->argv);
    for (size_t i = 0; i < n; i++)
        j->argv[i] = mem_strdup(argv[i]);
    j->argv[n] = NULL;
    struct job **at = &s->first;
    while (*at != NULL)
        at = &(*at)->next;
    *at = j;
    s->waiting++;
    if (s->waiting > QUEUE_MAX)
        drop_oldest_waiting(s);
    /* Started from the loop, not here: whoever queues it is in the middle of a step of the core. */
    j->start_us = io_now_us();
    arm(s, j->start_us);
}

size_t scripts_running(const struct scripts *s)
{
    return s->running;
}

size_t scripts_waiting(const struct scripts *s)
{
    return s->waiting;
}

bool scripts_view(const struct scripts *s, size_t i, struct script_view *out)
{
    const struct job *j = s->first;
    while (j != NULL && i-- > 0)
        j = j->next;
    if (j == NULL)
        return false;
    int64_t now_us = io_now_us();
    *out = (struct script_view){.argv = j->argv, .running = j->process != NULL, .retries = j->tries};
    if (j->process != NULL) {
        out->pid = (int)io_process_pid(j->process);
        out->run_time_ms = (now_us - j->start_us) / 1000;
    } else if (j->start_us > now_us) {
        out->run_delay_ms = (j->start_us - now_us) / 1000;
    }
    return true;
}
