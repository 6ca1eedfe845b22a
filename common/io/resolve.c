#include "common/io/resolve.h"

#include "common/base/mem.h"
#include "common/base/addr.h"

#include <ev.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum request_state { WAITING, RUNNING, ANSWERED, CANCELLED };

struct io_resolve {
    struct io_resolve *next, *prev;
    struct pool *pool;
    enum request_state state;
    char *host;
    io_resolved_fn *done;
    void *owner;
    size_t n;
    char ips[IO_RESOLVED_MAX][IO_IP_MAX];
    char error[160]; /* "" means none */
};

struct list {
    struct io_resolve *first, *last;
};

/* What loop and threads share. It lives until the resolver and the last thread are gone, since a thread inside
 * getaddrinfo() cannot be stopped. */
struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list waiting, answered;
    int waiting_count, idle, threads, users; /* users: threads plus the resolver */
    bool closed;
    struct ev_loop *ev;
    ev_async wake;
};

struct io_resolver {
    struct pool *pool;
    int threads_max, waiting_max;
    int outstanding; /* requests of the owner's; while there are any the loop has a reason to go on */
};

static void put(struct list *l, struct io_resolve *q)
{
    q->next = NULL;
    q->prev = l->last;
    if (l->last != NULL)
        l->last->next = q;
    else
        l->first = q;
    l->last = q;
}

static void take(struct list *l, struct io_resolve *q)
{
    if (q->prev != NULL)
        q->prev->next = q->next;
    else
        l->first = q->next;
    if (q->next != NULL)
        q->next->prev = q->prev;
    else
        l->last = q->prev;
}

static void request_free(struct io_resolve *q)
{
    free(q->host);
    free(q);
}

/* With the lock held; gives it back. */
static void leave_pool(struct pool *p)
{
    bool last = --p->users == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void look_up(struct io_resolve *q)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *ai = NULL;
    int why = getaddrinfo(q->host, NULL, &hints, &ai);
    if (why == EAI_ADDRFAMILY || why == EAI_NONAME || why == EAI_NODATA) {
        /* A host without a configured interface (only loopback) still has to find "localhost". */
        hints.ai_flags = 0;
        why = getaddrinfo(q->host, NULL, &hints, &ai);
    }
    if (why != 0) {
        snprintf(q->error, sizeof q->error, "%s", gai_strerror(why));
        return;
    }
    for (const struct addrinfo *a = ai; a != NULL && q->n < IO_RESOLVED_MAX; a = a->ai_next) {
        if (getnameinfo(a->ai_addr, a->ai_addrlen, q->ips[q->n], IO_IP_MAX, NULL, 0, NI_NUMERICHOST) == 0)
            q->n++;
    }
    freeaddrinfo(ai);
    if (q->n == 0)
        snprintf(q->error, sizeof q->error, "the name has no address");
}

static void *serve(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->closed) {
        struct io_resolve *q = p->waiting.first;
        if (q == NULL) {
            p->idle++;
            pthread_cond_wait(&p->work, &p->lock);
            p->idle--;
            continue;
        }
        take(&p->waiting, q);
        p->waiting_count--;
        q->state = RUNNING;
        pthread_mutex_unlock(&p->lock);
        look_up(q);
        pthread_mutex_lock(&p->lock);
        if (q->state == CANCELLED || p->closed) {
            request_free(q);
        } else {
            q->state = ANSWERED;
            put(&p->answered, q);
            ev_async_send(p->ev, &p->wake); /* under the lock: the loop lives as long as closed is not set */
        }
    }
    leave_pool(p);
    return NULL;
}

/* With the lock held. */
static void start_thread(struct pool *p)
{
    sigset_t all, old;
    pthread_attr_t attr;
    pthread_t id;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* inherited: signals are for the thread of the loop */
    if (pthread_create(&id, &attr, serve, p) == 0) {
        p->threads++;
        p->users++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

static void count_outstanding(struct io_resolver *r, int change)
{
    int before = r->outstanding;
    r->outstanding += change;
    if (before == 0 && r->outstanding > 0)
        ev_ref(r->pool->ev);
    else if (before > 0 && r->outstanding == 0)
        ev_unref(r->pool->ev);
}

static void deliver(struct ev_loop *ev, ev_async *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_resolver *r = w->data;
    struct pool *p = r->pool;
    for (;;) {
        pthread_mutex_lock(&p->lock);
        struct io_resolve *q = p->answered.first;
        if (q != NULL)
            take(&p->answered, q);
        pthread_mutex_unlock(&p->lock);
        if (q == NULL)
            return;
        struct io_resolved answer = {
            .host = q->host,
            .error = q->error[0] != '\0' ? q->error : NULL,
            .n = q->n,
            .ips = (const char(*)[IO_IP_MAX])(uintptr_t)q->ips,
        };
        count_outstanding(r, -1);
        q->done(q->owner, &answer);
        request_free(q);
    }
}

struct io_resolver *io_resolver_new(struct io_loop *loop, int threads, int waiting_max)
{
    struct io_resolver *r = mem_zalloc(sizeof *r);
    struct pool *p = mem_zalloc(sizeof *p);
    r->pool = p;
    r->threads_max = threads < 1 ? 1 : threads > 16 ? 16 : threads;
    r->waiting_max = waiting_max;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->users = 1;
    p->ev = io_loop_ev(loop);
    ev_async_init(&p->wake, deliver);
    ev_set_priority(&p->wake, IO_PRIORITY_LINK);
    p->wake.data = r;
    ev_async_start(p->ev, &p->wake);
    ev_unref(p->ev);
    return r;
}

static void free_all(struct list *l)
{
    while (l->first != NULL) {
        struct io_resolve *q = l->first;
        take(l, q);
        request_free(q);
    }
}

void io_resolver_free(struct io_resolver *r)
{
    if (r == NULL)
        return;
    struct pool *p = r->pool;
    count_outstanding(r, -r->outstanding);
    pthread_mutex_lock(&p->lock);
    ev_ref(p->ev);
    ev_async_stop(p->ev, &p->wake);
    p->closed = true;
    free_all(&p->waiting);
    free_all(&p->answered);
    pthread_cond_broadcast(&p->work);
    leave_pool(p);
    free(r);
}

/* With the lock held. */
static void answer_now(struct pool *p, struct io_resolve *q, const char *error)
{
    q->state = ANSWERED;
    snprintf(q->error, sizeof q->error, "%s", error);
    put(&p->answered, q);
    ev_async_send(p->ev, &p->wake);
}

struct io_resolve *io_resolve(struct io_resolver *r, const char *host, io_resolved_fn *done, void *owner)
{
    struct pool *p = r->pool;
    struct io_resolve *q = mem_zalloc(sizeof *q);
    q->pool = p;
    q->host = mem_strdup(host);
    q->done = done;
    q->owner = owner;
    count_outstanding(r, 1);
    pthread_mutex_lock(&p->lock);
    if (addr_is_ip(host) && strlen(host) < IO_IP_MAX) {
        memcpy(q->ips[q->n++], host, strlen(host) + 1);
        answer_now(p, q, "");
    } else if (p->waiting_count >= r->waiting_max) {
        answer_now(p, q, "too many names wait to be resolved already; the name server is slow or does not answer");
    } else {
        if (p->idle <= p->waiting_count && p->threads < r->threads_max)
            start_thread(p);
        if (p->threads == 0) {
            answer_now(p, q, "the system gives no thread to resolve it with");
        } else {
            q->state = WAITING;
            p->waiting_count++;
            put(&p->waiting, q);
            pthread_cond_signal(&p->work);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return q;
}

void io_resolve_cancel(struct io_resolver *r, struct io_resolve *q)
{
    struct pool *p = q->pool;
    count_outstanding(r, -1);
    pthread_mutex_lock(&p->lock);
    if (q->state == RUNNING) {
        q->state = CANCELLED; /* the thread frees it */
    } else {
        if (q->state == WAITING)
            p->waiting_count--;
        take(q->state == WAITING ? &p->waiting : &p->answered, q);
        request_free(q);
    }
    pthread_mutex_unlock(&p->lock);
}
