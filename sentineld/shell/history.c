#include "sentineld/shell/history.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "sentineld/shell/history_json.h"
#include "sentineld/shell/history_queue.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_MAX 50000
#define QUEUE_BYTES ((size_t)32 << 20)
#define QUESTIONS_MAX 1000
#define BATCH 2000   /* entries in one transaction */
#define LINGER_MS 50 /* entries gather for so long, so that a burst is one transaction and nobody competes with it */
#define RETRY_MS 1000
#define TRIM_EVERY 500      /* entries */
#define TRIM_ROUNDS 32      /* at one time: entries wait meanwhile, and questions */
#define TRIM_IDLE_MS 600000 /* what becomes too old while nothing happens is forgotten too */
#define NICE 5              /* where processors are scarce the loop goes first */
#define HANGS_MS 5000       /* a disk that does not answer for so long is one that fails */
#define CLOSE_MS 3000       /* the end of the process waits so long for it */
#define LOSS_TEXT "%llu entries of %lld ms to %lld ms were not kept: the disk did not take them in time"

struct history {
    struct history_options o;
    struct history_db db; /* the thread's, as the next three */
    size_t since_trim;
    bool aside;
    bool more_to_trim;
    ev_async wake;  /* the loop's, as the next one */
    ev_timer hangs; /* looks whether the thread comes forward, while there is something to write */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t work, over;
    struct history_queue queue;
    struct history_items answered;
    int64_t max_age_days, max_bytes; /* as they should be */
    int64_t disk_since_us;           /* the thread waits for the disk since then; 0: it does not */
    bool stop, ended;
    bool orphan; /* nobody waits for the thread any more */
    bool failed, hanging, told_failed;
    struct history_loss lost; /* of this failure, as far as it is stored */
    char *why;                /* of the failure */
    bool restarted;           /* a damaged database was put aside, and nobody has been told */
};

/* ---- entries and questions ---- */

static void enqueue(struct history *h, struct history_item *i)
{
    pthread_mutex_lock(&h->mutex);
    bool was_empty = h->queue.list.first == NULL;
    bool question = i->kind == HISTORY_ITEM_QUESTION;
    history_queue_put(&h->queue, i);
    /* The thread wakes for the first entry and gathers the rest by itself; a question does not wait. */
    if (was_empty || question)
        pthread_cond_signal(&h->work);
    pthread_mutex_unlock(&h->mutex);
    if (!ev_is_active(&h->hangs))
        ev_timer_again(io_loop_ev(h->o.loop), &h->hangs);
}

static void put_texts(struct history *h, enum history_item_kind kind, int64_t wall_ms, const char *name,
                      const char *text, const char *group)
{
    struct history_item *i = history_item_new(kind, name, text, group);
    i->wall_ms = wall_ms;
    enqueue(h, i);
}

void history_event(struct history *h, int64_t wall_ms, const char *name, const char *text, const char *group)
{
    put_texts(h, HISTORY_ITEM_EVENT, wall_ms, name, text, group);
}

void history_drill(struct history *h, int64_t wall_ms, const char *id, const char *json, const char *group)
{
    put_texts(h, HISTORY_ITEM_DRILL, wall_ms, id, json, group);
}

void history_note(struct history *h, int64_t wall_ms, const char *group, struct sn_note *note)
{
    struct history_item *i = history_item_new(HISTORY_ITEM_NOTE, NULL, NULL, group);
    i->wall_ms = wall_ms;
    i->note = note;
    i->bytes += note->cap * (sizeof *note->v + 32);
    enqueue(h, i);
}

bool history_has_room(struct history *h)
{
    pthread_mutex_lock(&h->mutex);
    bool room = h->queue.questions < QUESTIONS_MAX;
    pthread_mutex_unlock(&h->mutex);
    return room;
}

/* A disk that hangs answers nobody: then it is said at once, and the connection goes on. */
static void refuse(struct history *h, struct history_item *i)
{
    i->rows.error = mem_strdup("history.db: the disk does not answer");
    if (h->o.render != NULL)
        h->o.render(&i->query, &i->rows, &i->reply);
    history_items_put(&h->answered, i);
    ev_async_send(io_loop_ev(h->o.loop), &h->wake);
}

void history_ask(struct history *h, uint64_t token, struct history_query *q)
{
    struct history_item *i = history_item_new(HISTORY_ITEM_QUESTION, NULL, NULL, NULL);
    i->token = token;
    i->query = *q;
    *q = (struct history_query){.what = q->what};
    pthread_mutex_lock(&h->mutex);
    bool hanging = h->hanging;
    if (hanging)
        refuse(h, i);
    pthread_mutex_unlock(&h->mutex);
    if (!hanging)
        enqueue(h, i);
}

void history_limit(struct history *h, int64_t max_age_days, int64_t max_mb)
{
    pthread_mutex_lock(&h->mutex);
    h->max_age_days = max_age_days;
    h->max_bytes = max_mb << 20;
    pthread_cond_signal(&h->work);
    pthread_mutex_unlock(&h->mutex);
}

/* ---- the thread ---- */

static void history_free(struct history *h)
{
    history_queue_free(&h->queue);
    history_items_free(&h->answered);
    history_db_close(&h->db);
    pthread_cond_destroy(&h->work);
    pthread_cond_destroy(&h->over);
    pthread_mutex_destroy(&h->mutex);
    free(h->db.path);
    free(h->why);
    free(h);
}

static struct timespec in_ms(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void wait_ms(struct history *h, int64_t ms)
{
    struct timespec until = in_ms(ms);
    pthread_cond_timedwait(&h->work, &h->mutex, &until);
}

static bool usable(struct history *h, struct buf *why)
{
    if (h->db.db != NULL && !history_db_is_there(&h->db))
        history_db_close(&h->db); /* somebody took the file away: a new one is begun */
    if (h->db.db != NULL)
        return true;
    bool aside;
    bool ok = history_db_open(&h->db, &aside, why);
    h->aside |= aside;
    return ok;
}

/* A loss is an entry too, at the place where the lost ones would stand. */
static bool write_loss(struct history *h, const struct history_loss *l, struct buf *why)
{
    if (l->count == 0)
        return true;
    struct buf text = {0};
    buf_printf(&text, LOSS_TEXT, (unsigned long long)l->count, (long long)l->first_ms, (long long)l->last_ms);
    bool ok = history_db_add_event(&h->db, l->last_ms, "-history-lost", buf_str(&text), NULL, why);
    buf_free(&text);
    return ok;
}

static bool write_one(struct history *h, const struct history_item *i, struct buf *why)
{
    if (i->kind == HISTORY_ITEM_EVENT)
        return history_db_add_event(&h->db, i->wall_ms, i->name, i->text, i->group, why);
    if (i->kind == HISTORY_ITEM_DRILL)
        return history_db_add_drill(&h->db, i->wall_ms, i->name, i->text, i->group, why);
    char *json = history_json(i->note);
    bool ok = history_db_add_note(&h->db, i->wall_ms, sn_note_kind_name(i->note->kind), json, i->group, i->note->epoch,
                                  why);
    free(json);
    return ok;
}

/* All entries of the list, in one transaction. */
static bool write_all(struct history *h, const struct history_item *first, const struct history_loss *l,
                      struct buf *why)
{
    if (!usable(h, why))
        return false;
    if (first == NULL && l->count == 0)
        return true;
    bool ok = history_db_begin(&h->db, why) && write_loss(h, l, why);
    for (const struct history_item *i = first; ok && i != NULL; i = i->next) {
        ok = write_one(h, i, why);
        h->since_trim++;
    }
    if (ok && history_db_commit(&h->db, why))
        return true;
    history_db_rollback(&h->db);
    return false;
}

/* Between these two the thread does not hold the mutex, and the disk may take its time. */
static void to_disk(struct history *h)
{
    h->disk_since_us = io_now_us();
    pthread_mutex_unlock(&h->mutex);
}

static void from_disk(struct history *h)
{
    pthread_mutex_lock(&h->mutex);
    h->disk_since_us = 0;
}

/* Called with the mutex held, as all that follows. */
static void wake_loop(struct history *h)
{
    if (!h->orphan)
        ev_async_send(io_loop_ev(h->o.loop), &h->wake);
}

static void take_limits(struct history *h)
{
    if (h->db.max_age_days == h->max_age_days && h->db.max_bytes == h->max_bytes)
        return;
    h->db.max_age_days = h->max_age_days;
    h->db.max_bytes = h->max_bytes;
    h->more_to_trim = true;
}

static void trim(struct history *h)
{
    struct buf why = {0};
    h->since_trim = 0;
    h->more_to_trim = h->db.db != NULL;
    for (int i = 0; h->more_to_trim && i < TRIM_ROUNDS && !h->stop; i++) {
        to_disk(h);
        if (!history_db_trim(&h->db, io_wall_ms(), &h->more_to_trim, &why)) {
            history_db_rollback(&h->db);
            h->more_to_trim = false; /* the next write says what is wrong, if it still is */
        }
        from_disk(h);
    }
    buf_free(&why);
}

static void answer(struct history *h, struct history_item *i)
{
    struct buf why = {0};
    to_disk(h);
    if (usable(h, &why))
        history_db_ask(&h->db, &i->query, &i->rows);
    else
        i->rows.error = mem_strdup(buf_str(&why));
    buf_free(&why);
    if (h->o.render != NULL) {
        h->o.render(&i->query, &i->rows, &i->reply);
        history_rows_free(&i->rows);
    }
    from_disk(h);
    i->next = NULL;
    history_queue_done(&h->queue, i);
    history_items_put(&h->answered, i);
    wake_loop(h);
}

static void tell(struct history *h, bool ok, struct buf *why)
{
    bool news = h->failed == ok || h->aside || h->hanging;
    if (!ok && !h->failed) {
        free(h->why);
        h->why = mem_strdup(buf_str(why));
    }
    h->failed = !ok;
    h->hanging = false;
    h->restarted |= h->aside;
    h->aside = false;
    if (news)
        wake_loop(h);
}

/* Entries up to the next question, in one transaction, small enough for a disk that has little room; what could not be
 * written goes back to the front. */
static bool write_some(struct history *h, uint64_t up_to, struct buf *why)
{
    struct history_items batch;
    struct history_loss loss = h->queue.loss;
    history_queue_take(&h->queue, up_to, BATCH, &batch);
    h->queue.loss = (struct history_loss){0};
    to_disk(h);
    bool ok = write_all(h, batch.first, &loss, why);
    from_disk(h);
    if (!ok) {
        history_loss_add(&h->queue.loss, &loss);
        history_queue_give_back(&h->queue, &batch);
        return false;
    }
    history_loss_add(&h->lost, &loss);
    history_queue_done(&h->queue, batch.first);
    pthread_mutex_unlock(&h->mutex);
    history_items_free(&batch);
    pthread_mutex_lock(&h->mutex);
    return true;
}

/* Writes entries up to the next question, answers it, and so on, as far as the queue reaches now; when some were lost
 * meanwhile, until that is stored too, so that it is told with the recovery. Questions are answered from what is stored
 * also while nothing can be written. */
static void work(struct history *h)
{
    uint64_t up_to = h->queue.put;
    struct buf why = {0};
    struct history_item *question;
    bool ok;
    take_limits(h);
    do {
        if (h->queue.loss.count > 0)
            up_to = h->queue.put;
        ok = write_some(h, up_to, &why);
        if (ok && (question = history_queue_question(&h->queue, up_to, false)) != NULL)
            answer(h, question);
    } while (ok && (history_queue_reaches(&h->queue, up_to) || h->queue.loss.count > 0));
    while ((question = history_queue_question(&h->queue, up_to, true)) != NULL)
        answer(h, question);
    tell(h, ok, &why);
    buf_free(&why);
    if (ok && (h->since_trim >= TRIM_EVERY || h->more_to_trim))
        trim(h);
}

static void *run(void *arg)
{
    struct history *h = arg;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* Linux keeps it by thread; without it all works too */
    pthread_mutex_lock(&h->mutex);
    work(h);
    trim(h);
    while (!h->stop) {
        if (h->queue.list.first == NULL && h->queue.loss.count == 0 && !h->more_to_trim) {
            wait_ms(h, TRIM_IDLE_MS);
            if (h->queue.list.first == NULL && !h->stop)
                h->more_to_trim = true; /* looks once whether something has become too old */
        }
        if (!h->stop && !history_queue_asked(&h->queue))
            wait_ms(h, h->failed ? RETRY_MS : LINGER_MS);
        work(h);
    }
    if (h->queue.list.first != NULL || h->queue.loss.count > 0)
        work(h);
    pthread_mutex_unlock(&h->mutex);
    history_db_close(&h->db); /* not in the loop's thread: see the end of the state's (state.c) */
    pthread_mutex_lock(&h->mutex);
    bool orphan = h->orphan;
    h->ended = true;
    pthread_cond_signal(&h->over);
    pthread_mutex_unlock(&h->mutex);
    if (orphan)
        history_free(h);
    return NULL;
}

/* ---- the loop's side ---- */

static void tell_failure(struct history *h, const char *why)
{
    struct buf text = {0};
    buf_printf(&text,
               "%s: supervision goes on, the history is kept in memory until the disk takes it, %zu entries and %zu "
               "MiB at most",
               why, h->queue.entries_max, h->queue.bytes_max >> 20);
    h->o.told(h->o.owner, "-history-not-saved", buf_str(&text));
    buf_free(&text);
}

static void tell_recovery(struct history *h, const struct history_loss *lost)
{
    struct buf text = {0};
    buf_puts(&text, "the history is written again: ");
    if (lost->count > 0)
        buf_printf(&text, LOSS_TEXT, (unsigned long long)lost->count, (long long)lost->first_ms,
                   (long long)lost->last_ms);
    else
        buf_puts(&text, "nothing of it was lost");
    h->o.told(h->o.owner, "+history-saved", buf_str(&text));
    buf_free(&text);
}

static void tell_owner(struct history *h)
{
    pthread_mutex_lock(&h->mutex);
    bool failed = h->failed || h->hanging, restarted = h->restarted, before = h->told_failed;
    char *why = h->failed && h->why != NULL ? mem_strdup(h->why) : NULL;
    struct history_loss lost = h->lost;
    h->told_failed = failed;
    h->restarted = false;
    if (!failed)
        h->lost = (struct history_loss){0};
    pthread_mutex_unlock(&h->mutex);
    if (restarted)
        h->o.told(h->o.owner, "-history-damaged",
                  "history.db was damaged: it was put aside as history.db.damaged, and a new one was begun");
    if (failed && !before)
        tell_failure(h, why != NULL ? why : "history.db: the disk does not answer");
    if (!failed && before)
        tell_recovery(h, &lost);
    free(why);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events)
{
    (void)loop;
    (void)events;
    struct history *h = w->data;
    tell_owner(h);
    for (;;) {
        pthread_mutex_lock(&h->mutex);
        struct history_item *i = history_items_take(&h->answered);
        pthread_mutex_unlock(&h->mutex);
        if (i == NULL)
            return;
        h->o.done(h->o.owner, i->token, &i->rows, &i->reply);
        history_item_free(i);
    }
}

/* The thread itself cannot say that the disk keeps it waiting. */
static void on_hangs(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)events;
    struct history *h = w->data;
    pthread_mutex_lock(&h->mutex);
    bool idle = h->queue.entries == 0 && h->queue.questions == 0 && h->disk_since_us == 0;
    if (!h->hanging && h->disk_since_us != 0 && io_now_us() - h->disk_since_us > h->o.hangs_ms * 1000) {
        struct history_item *i;
        h->hanging = true;
        ev_async_send(loop, &h->wake);
        while ((i = history_queue_question(&h->queue, UINT64_MAX, true)) != NULL) {
            i->next = NULL;
            history_queue_done(&h->queue, i);
            refuse(h, i);
        }
    }
    pthread_mutex_unlock(&h->mutex);
    if (idle)
        ev_timer_stop(loop, &h->hangs);
}

struct history *history_open(const char *dir, const struct history_options *o)
{
    struct history *h = mem_zalloc(sizeof *h);
    struct buf path = {0};
    h->o = *o;
    if (h->o.hangs_ms == 0)
        h->o.hangs_ms = HANGS_MS;
    history_queue_init(&h->queue, o->queue_max != 0 ? o->queue_max : QUEUE_MAX, QUEUE_BYTES);
    buf_printf(&path, "%s/history.db", dir);
    h->db.path = mem_strdup(buf_str(&path));
    h->db.max_age_days = h->max_age_days = o->max_age_days;
    h->db.max_bytes = h->max_bytes = o->max_mb << 20;
    buf_free(&path);
    history_items_init(&h->answered);
    pthread_mutex_init(&h->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->work, &attr);
    pthread_cond_init(&h->over, &attr);
    pthread_condattr_destroy(&attr);
    ev_async_init(&h->wake, on_wake);
    h->wake.data = h;
    ev_async_start(io_loop_ev(o->loop), &h->wake);
    ev_timer_init(&h->hangs, on_hangs, 0, (double)h->o.hangs_ms / 2e3);
    h->hangs.data = h;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int rc = pthread_create(&h->thread, NULL, run, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        io_log(IO_WARNING, "The thread that writes the history cannot be started: %s", strerror(rc));
        abort();
    }
    pthread_setname_np(h->thread, "history"); /* for those who look at threads */
    return h;
}

static bool wait_for_end(struct history *h)
{
    struct timespec until = in_ms(CLOSE_MS);
    while (!h->ended)
        if (pthread_cond_timedwait(&h->over, &h->mutex, &until) == ETIMEDOUT)
            break;
    return h->ended;
}

bool history_close(struct history *h)
{
    if (h == NULL)
        return true;
    pthread_mutex_lock(&h->mutex);
    h->stop = true;
    pthread_cond_signal(&h->work);
    bool ended = wait_for_end(h);
    unsigned long long lost = h->queue.entries + h->queue.loss.count;
    const char *why = !ended ? "the disk does not answer" : h->why != NULL ? h->why : "the disk does not take them";
    if (lost > 0)
        io_log(IO_WARNING, "%llu entries of the history could not be written and are lost: %s", lost, why);
    h->orphan = !ended;
    ev_async_stop(io_loop_ev(h->o.loop), &h->wake);
    ev_timer_stop(io_loop_ev(h->o.loop), &h->hangs);
    pthread_t thread = h->thread;
    pthread_mutex_unlock(&h->mutex);
    if (!ended) {
        pthread_detach(thread); /* it frees what is its own, should the disk answer before the process is over */
        return false;
    }
    pthread_join(thread, NULL);
    history_free(h);
    return true;
}
