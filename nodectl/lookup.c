#include "nodectl/lookup.h"

#include "common/base/addr.h"
#include "common/base/mem.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define WAITING_MAX 1024

/* One run: the loop ends when the last name is known or the time is over. */
struct run {
    struct io_loop *loop;
    size_t open;
};

struct question {
    struct run *run;
    struct lookup *lookup;
    struct io_resolve *request; /* NULL once answered */
};

static void answered(void *owner, const struct io_resolved *answer)
{
    struct question *q = owner;
    q->request = NULL;
    if (answer->error != NULL) {
        snprintf(q->lookup->error, sizeof q->lookup->error, "%s", answer->error);
    } else {
        for (size_t i = 0; i < answer->n; i++)
            snprintf(q->lookup->ips[q->lookup->n++], IO_IP_MAX, "%s", answer->ips[i]);
    }
    if (--q->run->open == 0)
        io_loop_stop(q->run->loop);
}

static void time_over(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct run *run = timer->data;
    (void)ev;
    (void)events;
    io_loop_stop(run->loop);
}

static void ask_names(struct run *run, struct question *questions, size_t count, int timeout_ms)
{
    ev_timer timer;
    struct io_resolver *resolver = io_resolver_new(run->loop, THREADS, WAITING_MAX);
    for (size_t i = 0; i < count; i++) {
        struct question *q = &questions[i];
        if (q->lookup != NULL)
            q->request = io_resolve(resolver, q->lookup->host, answered, q);
    }
    ev_timer_init(&timer, time_over, timeout_ms / 1000.0, 0);
    timer.data = run;
    ev_now_update(io_loop_ev(run->loop));
    ev_timer_start(io_loop_ev(run->loop), &timer);
    io_loop_run(run->loop);
    ev_timer_stop(io_loop_ev(run->loop), &timer);
    for (size_t i = 0; i < count; i++) {
        struct question *q = &questions[i];
        if (q->request == NULL)
            continue;
        io_resolve_cancel(resolver, q->request);
        snprintf(q->lookup->error, sizeof q->lookup->error, "the name service does not answer within %d ms",
                 timeout_ms);
    }
    io_resolver_free(resolver);
}

void lookup_run(struct lookup *list, size_t count, int timeout_ms)
{
    struct run run = {0};
    struct question *questions = mem_zalloc(count * sizeof *questions);
    for (size_t i = 0; i < count; i++) {
        list[i].n = 0;
        list[i].error[0] = '\0';
        if (list[i].host != NULL && addr_is_ip(list[i].host)) {
            snprintf(list[i].ips[list[i].n++], IO_IP_MAX, "%s", list[i].host);
        } else if (list[i].host != NULL) {
            questions[i] = (struct question){.run = &run, .lookup = &list[i]};
            run.open++;
        }
    }
    if (run.open > 0) {
        run.loop = io_loop_new();
        if (run.loop != NULL)
            ask_names(&run, questions, count, timeout_ms);
        for (size_t i = 0; run.loop == NULL && i < count; i++)
            if (questions[i].lookup != NULL)
                snprintf(list[i].error, sizeof list[i].error, "the system gives no event mechanism");
        io_loop_free(run.loop);
    }
    free(questions);
}
