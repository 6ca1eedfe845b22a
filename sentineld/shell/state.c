#include "sentineld/shell/state.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "sentineld/shell/state_db.h"
#include "sentineld/shell/state_lock.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IDLE_MS 300     /* the log is started over when nothing came for so long */
#define IDLE_PAGES 64   /* and it has so many pages */
#define BUSY_PAGES 1024 /* 4 MiB: started over even while there is work */
#define END_MS 2000     /* a disk that does not answer holds the end of the process for so long, twice at most */

struct item {
    struct item *next;
    uint64_t seq;
    struct sn_record *records;
    size_t n;
};

struct state {
    struct state_db db; /* the writer's while it runs */
    runid id;
    int lock_fd;
    struct state_image *unsaved; /* the image of the start, when it could not be written then; the writer's */

    struct io_loop *loop;
    struct ev_async wake;
    state_done_fn *done;
    void *owner;
    pthread_t thread;
    bool running;
    uint64_t issued; /* the last seq that was queued */
    uint64_t told;   /* the last seq that was reported as written */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t work, idle;
    struct item *first, **last;
    bool busy, stop, ended;
    bool orphan; /* nobody waits for the writer any more */
    bool failed; /* the writer stands still until the core has been told */
    struct buf why;
    uint64_t written; /* the last seq on disk */
    atomic_int_fast64_t commit_us;
};

static void free_items(struct item *i)
{
    while (i != NULL) {
        struct item *next = i->next;
        for (size_t k = 0; k < i->n; k++)
            sn_record_free(&i->records[k]);
        free(i->records);
        free(i);
        i = next;
    }
}

struct state *state_open(const char *dir, struct state_image *image, struct buf *error)
{
    *image = (struct state_image){.ngroups = 0};
    int fd = state_lock(dir, error);
    if (fd < 0)
        return NULL;
    struct state *s = mem_zalloc(sizeof *s);
    s->lock_fd = fd;
    s->last = &s->first;
    if (!state_db_open(&s->db, dir, image, error)) {
        close(fd);
        free(s);
        return NULL;
    }
    memcpy(s->id, image->id, sizeof s->id);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->work, &attr);
    pthread_cond_init(&s->idle, &attr);
    pthread_condattr_destroy(&attr);
    return s;
}

/* ---- the writer ---- */

static bool write_unsaved(struct state *s, struct buf *why)
{
    return s->unsaved == NULL || state_db_replace(&s->db, s->unsaved, why);
}

static bool write_once(struct state *s, const struct item *items, struct buf *why)
{
    if (!state_db_usable(&s->db) && !state_db_reopen(&s->db, s->id, why))
        return false;
    if (!state_db_begin(&s->db, why) || !write_unsaved(s, why))
        return false;
    for (const struct item *i = items; i != NULL; i = i->next)
        for (size_t k = 0; k < i->n; k++)
            if (!state_db_apply(&s->db, &i->records[k], why))
                return false;
    if (!state_db_commit(&s->db, why))
        return false;
    if (s->unsaved != NULL) {
        state_image_free(s->unsaved);
        free(s->unsaved);
        s->unsaved = NULL;
    }
    return true;
}

/* On a full disk there is still room in the log once it has been moved into the database. */
static bool write_items(struct state *s, const struct item *items, struct buf *why)
{
    if (write_once(s, items, why))
        return true;
    if (!state_db_usable(&s->db) || !state_db_checkpoint(&s->db))
        return false;
    buf_clear(why);
    return write_once(s, items, why);
}

/* Waits for work; keeps the log short when there is none. Called and left with the mutex held. */
static void wait_for_work(struct state *s)
{
    while (!s->stop && (s->first == NULL || s->failed)) {
        if (s->failed || s->db.wal_pages < IDLE_PAGES) {
            pthread_cond_wait(&s->work, &s->mutex);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += IDLE_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&s->work, &s->mutex, &until) != ETIMEDOUT || s->first != NULL)
            continue;
        pthread_mutex_unlock(&s->mutex);
        state_db_checkpoint(&s->db);
        pthread_mutex_lock(&s->mutex);
    }
}

static void *write_all(void *arg)
{
    struct state *s = arg;
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        wait_for_work(s);
        if (s->first == NULL || s->failed)
            break; /* told to stop, and nothing is left that could be written */
        struct item *items = s->first;
        s->first = NULL;
        s->last = &s->first;
        s->busy = true;
        pthread_mutex_unlock(&s->mutex);

        int64_t start_us = io_now_us();
        struct buf why = {.n = 0};
        bool ok = write_items(s, items, &why);
        atomic_store(&s->commit_us, io_now_us() - start_us);
        uint64_t seq = 0;
        for (const struct item *i = items; i != NULL; i = i->next)
            seq = i->seq;

        pthread_mutex_lock(&s->mutex);
        s->busy = false;
        if (ok) {
            s->written = seq;
            buf_free(&why);
        } else {
            s->failed = true;
            buf_free(&s->why);
            s->why = why;
        }
        pthread_cond_broadcast(&s->idle);
        if (!s->orphan)
            ev_async_send(io_loop_ev(s->loop), &s->wake);
        bool over = ok && s->db.wal_pages >= BUSY_PAGES;
        pthread_mutex_unlock(&s->mutex);
        free_items(items);
        if (over)
            state_db_checkpoint(&s->db);
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    /* Not in the loop's thread: SQLite has one lock around the opening and closing of all files, and the thread of the
     * history may hold it, on a disk that does not answer. */
    state_db_close(&s->db);
    pthread_mutex_lock(&s->mutex);
    s->ended = true;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* ---- the loop's side ---- */

/* After a failure everything that is queued fails too: the core counts on "all up to seq", and a later record may build
 * on one that is not there. What the core queues from then on it has decided with that knowledge. */
static void report_failure(struct state *s)
{
    pthread_mutex_lock(&s->mutex);
    struct item *dropped = s->first;
    struct buf why = s->why;
    s->why = (struct buf){.n = 0};
    s->first = NULL;
    s->last = &s->first;
    s->failed = false;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
    free_items(dropped);
    s->done(s->owner, s->issued, buf_str(&why));
    buf_free(&why);
}

static void report(struct state *s)
{
    pthread_mutex_lock(&s->mutex);
    uint64_t written = s->written;
    bool failed = s->failed;
    pthread_mutex_unlock(&s->mutex);
    if (written > s->told) {
        s->told = written;
        s->done(s->owner, written, NULL);
    }
    if (failed)
        report_failure(s);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events)
{
    (void)loop;
    (void)events;
    report(w->data);
}

static void start_thread(struct state *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int rc = pthread_create(&s->thread, NULL, write_all, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        io_log(IO_WARNING, "The thread that writes the state cannot be started: %s", strerror(rc));
        abort();
    }
    pthread_setname_np(s->thread, "state"); /* for those who look at threads */
    s->running = true;
}

bool state_start(struct state *s, struct io_loop *loop, const struct state_image *image, state_done_fn *done,
                 void *owner, struct buf *error)
{
    bool fresh = s->id[0] == '\0';
    memcpy(s->id, image->id, sizeof s->id);
    if (!state_db_begin(&s->db, error) || !state_db_replace(&s->db, image, error) || !state_db_commit(&s->db, error)) {
        if (fresh)
            return false;
        s->unsaved = mem_alloc(sizeof *s->unsaved);
        state_image_copy(s->unsaved, image);
    } else {
        state_db_checkpoint(&s->db); /* here nobody waits for a vote yet */
    }
    s->loop = loop;
    s->done = done;
    s->owner = owner;
    ev_async_init(&s->wake, on_wake);
    ev_set_priority(&s->wake, IO_PRIORITY_LINK);
    s->wake.data = s;
    ev_async_start(io_loop_ev(loop), &s->wake);
    start_thread(s);
    return true;
}

void state_persist(struct state *s, uint64_t seq, struct sn_record *records, size_t n)
{
    struct item *i = mem_alloc(sizeof *i);
    *i = (struct item){.seq = seq, .records = records, .n = n};
    s->issued = seq;
    pthread_mutex_lock(&s->mutex);
    *s->last = i;
    s->last = &i->next;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
}

static struct timespec end_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += END_MS / 1000;
    return t;
}

void state_flush(struct state *s)
{
    struct timespec until = end_time();
    /* Telling the core of one commit may give it something more to store; a disk that fails does not get better by
     * asking. */
    for (int round = 0; round < 8; round++) {
        pthread_mutex_lock(&s->mutex);
        while ((s->first != NULL || s->busy) && !s->failed)
            if (pthread_cond_timedwait(&s->idle, &s->mutex, &until) == ETIMEDOUT)
                break;
        bool news = s->failed || s->written > s->told;
        pthread_mutex_unlock(&s->mutex);
        if (!news)
            return;
        report(s);
    }
}

/* false: the disk holds the writer. What it has is not freed then, and the directory stays locked until the process is
 * over: the write may still arrive. */
static bool end_thread(struct state *s)
{
    struct timespec until = end_time();
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_signal(&s->work);
    while (!s->ended)
        if (pthread_cond_timedwait(&s->idle, &s->mutex, &until) == ETIMEDOUT)
            break;
    bool ended = s->ended;
    s->orphan = !ended;
    ev_async_stop(io_loop_ev(s->loop), &s->wake);
    pthread_mutex_unlock(&s->mutex);
    if (ended)
        pthread_join(s->thread, NULL);
    else
        pthread_detach(s->thread);
    return ended;
}

bool state_close(struct state *s)
{
    if (s == NULL)
        return true;
    if (s->running && !end_thread(s)) {
        io_log(IO_WARNING,
               "state.db: the disk does not answer: what was to be stored last may be lost. Nobody was told "
               "of it, so nobody relies on it");
        return false;
    }
    free_items(s->first);
    state_db_free(&s->db);
    if (s->unsaved != NULL) {
        state_image_free(s->unsaved);
        free(s->unsaved);
    }
    buf_free(&s->why);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->mutex);
    close(s->lock_fd);
    free(s);
    return true;
}

int64_t state_last_commit_us(const struct state *s)
{
    return atomic_load(&s->commit_us);
}
