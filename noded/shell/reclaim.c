#include "noded/shell/reclaim.h"

#include "common/base/mem.h"
#include "noded/shell/memory.h"
#include "noded/shell/thread.h"

#include <stdlib.h>

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

static bool start(struct reclaim *r)
{
    r->running = thread_start(&r->thread, work, r, "free memory in the background");
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
