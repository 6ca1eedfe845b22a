#include "noded/shell/reclaim.h"

#include "common/base/mem.h"
#include "common/io/log.h"
#include "noded/shell/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define STACK_BYTES ((size_t)128 * 1024)

struct item {
    struct nd_content *content; /* NULL: the value */
    struct nd_value value;
    size_t values;
};

struct reclaim {
    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t thread;
    bool running, ending;
    struct item *queue;
    size_t n, cap;
    size_t pending, done;
};

static void release(struct item *i)
{
    if (i->content != NULL)
        nd_content_free(i->content);
    else
        nd_value_free(&i->value);
}

/* Takes the whole queue at a time, so that the main thread seldom meets the lock. */
static void *work(void *arg)
{
    struct reclaim *r = arg;
    memory_count_thread();
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (r->n == 0 && !r->ending)
            pthread_cond_wait(&r->more, &r->lock);
        if (r->n == 0)
            break;
        struct item *taken = r->queue;
        size_t n = r->n;
        r->queue = NULL;
        r->n = r->cap = 0;
        pthread_mutex_unlock(&r->lock);
        for (size_t i = 0; i < n; i++) {
            release(&taken[i]);
            pthread_mutex_lock(&r->lock);
            r->pending -= taken[i].values;
            r->done += taken[i].values;
            pthread_mutex_unlock(&r->lock);
        }
        free(taken);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* Signals are the main thread's. */
static bool start(struct reclaim *r)
{
    sigset_t all, before;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int why = pthread_create(&r->thread, &attr, work, r);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (why != 0)
        io_log(IO_WARNING, "No thread can be started to free memory in the background: %s", strerror(why));
    r->running = why == 0;
    return r->running;
}

static void put(struct reclaim *r, struct item item)
{
    if (!r->running && !start(r)) {
        release(&item);
        r->done += item.values;
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->queue = mem_grow(r->queue, r->n, &r->cap, sizeof *r->queue);
    r->queue[r->n++] = item;
    r->pending += item.values;
    if (r->n == 1)
        pthread_cond_signal(&r->more);
    pthread_mutex_unlock(&r->lock);
}

struct reclaim *reclaim_new(void)
{
    struct reclaim *r = mem_zalloc(sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->more, NULL);
    return r;
}

void reclaim_free(struct reclaim *r)
{
    if (r == NULL)
        return;
    if (r->running) {
        pthread_mutex_lock(&r->lock);
        r->ending = true;
        pthread_cond_signal(&r->more);
        pthread_mutex_unlock(&r->lock);
        pthread_join(r->thread, NULL);
    }
    pthread_cond_destroy(&r->more);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void reclaim_value(struct reclaim *r, struct nd_value v)
{
    put(r, (struct item){.value = v, .values = 1});
}

void reclaim_content(struct reclaim *r, struct nd_content *content)
{
    put(r, (struct item){.content = content, .values = nd_content_count(content)});
}

size_t reclaim_pending(struct reclaim *r)
{
    pthread_mutex_lock(&r->lock);
    size_t n = r->pending;
    pthread_mutex_unlock(&r->lock);
    return n;
}

size_t reclaim_done(struct reclaim *r)
{
    pthread_mutex_lock(&r->lock);
    size_t n = r->done;
    pthread_mutex_unlock(&r->lock);
    return n;
}
