#include "common/io/loop.h"

#include "common/base/mem.h"

#include <ev.h>
#include <signal.h>
#include <stdlib.h>

struct io_loop {
    struct ev_loop *ev;
    ev_prepare end_of_turn;
    struct io_turn_end *first, **last;
};

static void run_turn_end(struct ev_loop *ev, ev_prepare *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_loop *loop = w->data;
    while (loop->first != NULL) {
        struct io_turn_end *t = loop->first;
        io_turn_end_cancel(loop, t);
        t->run(t);
    }
}

struct io_loop *io_loop_new(void)
{
    struct ev_loop *ev = ev_default_loop(EVFLAG_AUTO | EVFLAG_NOENV);
    if (ev == NULL)
        return NULL;
    signal(SIGPIPE, SIG_IGN);
    struct io_loop *loop = mem_zalloc(sizeof *loop);
    loop->ev = ev;
    loop->last = &loop->first;
    ev_prepare_init(&loop->end_of_turn, run_turn_end);
    ev_set_priority(&loop->end_of_turn, EV_MINPRI);
    loop->end_of_turn.data = loop;
    ev_prepare_start(ev, &loop->end_of_turn);
    ev_unref(ev); /* the end of a turn alone is no reason to go on */
    return loop;
}

void io_loop_free(struct io_loop *loop)
{
    if (loop == NULL)
        return;
    ev_ref(loop->ev);
    ev_prepare_stop(loop->ev, &loop->end_of_turn);
    ev_loop_destroy(loop->ev);
    free(loop);
}

struct ev_loop *io_loop_ev(const struct io_loop *loop)
{
    return loop->ev;
}

void io_loop_run(struct io_loop *loop)
{
    ev_run(loop->ev, 0);
}

void io_loop_once(struct io_loop *loop)
{
    ev_run(loop->ev, EVRUN_ONCE);
}

void io_loop_stop(struct io_loop *loop)
{
    ev_break(loop->ev, EVBREAK_ALL);
}

void io_at_turn_end(struct io_loop *loop, struct io_turn_end *t)
{
    if (t->link != NULL)
        return;
    t->next = NULL;
    t->link = loop->last;
    *loop->last = t;
    loop->last = &t->next;
}

void io_turn_end_cancel(struct io_loop *loop, struct io_turn_end *t)
{
    if (t->link == NULL)
        return;
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    else
        loop->last = t->link;
    t->next = NULL;
    t->link = NULL;
}
