#include "noded/shell/aof_thread.h"

#include "common/base/mem.h"
#include "noded/shell/memory.h"
#include "noded/shell/thread.h"

#include <ev.h>
#include <stdlib.h>

struct queue {
    struct aof_job *first, **last;
};

struct aof_thread {
    struct ev_loop *ev;
    struct ev_async told; /* something is done */
    pthread_mutex_t lock;
    pthread_cond_t more, less;
    pthread_t thread;
    bool running, ending;
    struct queue todo, finished;
    size_t under_way; /* given and not told as done yet */
};

static void put(struct queue *q, struct aof_job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
}

static struct aof_job *take(struct queue *q)
{
    struct aof_job *job = q->first;
    if (job == NULL)
        return NULL;
    q->first = job->next;
    if (q->first == NULL)
        q->last = &q->first;
    return job;
}

static void *work(void *arg)
{
    struct aof_thread *t = arg;
    pthread_setname_np(pthread_self(), "noded-files");
    memory_count_thread();
    pthread_mutex_lock(&t->lock);
    for (;;) {
        struct aof_job *job;
        while ((job = take(&t->todo)) == NULL && !t->ending)
            pthread_cond_wait(&t->more, &t->lock);
        if (job == NULL)
            break;
        pthread_mutex_unlock(&t->lock);
        job->work(job);
        pthread_mutex_lock(&t->lock);
        put(&t->finished, job);
        pthread_cond_signal(&t->less);
        ev_async_send(t->ev, &t->told);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* Tells what is done so far. */
static void tell(struct aof_thread *t)
{
    for (;;) {
        pthread_mutex_lock(&t->lock);
        struct aof_job *job = take(&t->finished);
        pthread_mutex_unlock(&t->lock);
        if (job == NULL)
            return;
        t->under_way--;
        job->done(job);
    }
}

static void on_told(struct ev_loop *ev, ev_async *w, int events)
{
    (void)ev;
    (void)events;
    tell(w->data);
}

static bool start(struct aof_thread *t)
{
    t->running = thread_start(&t->thread, work, t, "flush files, everybody waits for the disk");
    return t->running;
}

struct aof_thread *aof_thread_new(struct ev_loop *ev)
{
    struct aof_thread *t = mem_zalloc(sizeof *t);
    t->ev = ev;
    t->todo.last = &t->todo.first;
    t->finished.last = &t->finished.first;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->more, NULL);
    pthread_cond_init(&t->less, NULL);
    ev_async_init(&t->told, on_told);
    t->told.data = t;
    ev_async_start(ev, &t->told);
    return t;
}

void aof_thread_free(struct aof_thread *t)
{
    if (t == NULL)
        return;
    if (t->running) {
        pthread_mutex_lock(&t->lock);
        t->ending = true;
        pthread_cond_signal(&t->more);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->thread, NULL);
    }
    ev_async_stop(t->ev, &t->told);
    pthread_cond_destroy(&t->more);
    pthread_cond_destroy(&t->less);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void aof_thread_give(struct aof_thread *t, struct aof_job *job)
{
    t->under_way++;
    if (!t->running && !start(t)) {
        job->work(job);
        put(&t->finished, job);
        ev_async_send(t->ev, &t->told);
        return;
    }
    pthread_mutex_lock(&t->lock);
    put(&t->todo, job);
    pthread_cond_signal(&t->more);
    pthread_mutex_unlock(&t->lock);
}

void aof_thread_wait(struct aof_thread *t)
{
    while (t->under_way > 0) {
        pthread_mutex_lock(&t->lock);
        while (t->running && t->finished.first == NULL)
            pthread_cond_wait(&t->less, &t->lock);
        pthread_mutex_unlock(&t->lock);
        tell(t);
    }
}
