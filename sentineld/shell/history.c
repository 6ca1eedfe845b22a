#include "sentineld/shell/history.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "sentineld/shell/history_json.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_MAX 50000
#define QUEUE_BYTES ((size_t)32 << 20)
#define QUESTIONS_MAX 1000
#define LINGER_MS 50 /* entries gather for so long, so that a burst is one transaction and nobody competes with it */
#define RETRY_MS 1000
#define TRIM_EVERY 500      /* entries */
#define TRIM_ROUNDS 32      /* at one time: entries wait meanwhile, and questions */
#define TRIM_IDLE_MS 600000 /* what becomes too old while nothing happens is forgotten too */

enum item_kind { ITEM_EVENT, ITEM_NOTE, ITEM_QUESTION };

struct item {
    struct item *next;
    enum item_kind kind;
    int64_t wall_ms;
    const char *name, *text, *group; /* in the same block */
    struct sn_note *note;
    size_t bytes;
    uint64_t token;
    struct history_query query;
    struct history_rows rows;
    struct buf reply;
};

struct items {
    struct item *first, **last;
};

struct loss {
    uint64_t count;
    int64_t first_ms, last_ms;
};

struct history {
    struct history_options o;
    struct history_db db; /* the thread's, as the next three */
    size_t since_trim;
    bool aside;
    bool more_to_trim;
    ev_async wake;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t work;
    struct items queue, answered;
    size_t entries, bytes, questions; /* in the queue and in the thread's hands */
    bool stop, failed, told_failed;
    struct loss loss;
    char *why;      /* of the failure */
    bool restarted; /* a damaged database was put aside, and nobody has been told */
};

/* ---- items ---- */

static void items_init(struct items *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static void put(struct items *l, struct item *i)
{
    i->next = NULL;
    *l->last = i;
    l->last = &i->next;
}

static struct item *take(struct items *l)
{
    struct item *i = l->first;
    if (i == NULL)
        return NULL;
    l->first = i->next;
    if (l->first == NULL)
        l->last = &l->first;
    return i;
}

static void item_free(struct item *i)
{
    sn_note_free(i->note);
    history_query_free(&i->query);
    history_rows_free(&i->rows);
    buf_free(&i->reply);
    free(i);
}

static void count_out(struct history *h, const struct item *i)
{
    if (i->kind == ITEM_QUESTION) {
        h->questions--;
    } else {
        h->entries--;
        h->bytes -= i->bytes;
    }
}

/* The oldest entry goes; questions stay. Called with the mutex held. */
static void drop_oldest(struct history *h)
{
    struct item **p = &h->queue.first;
    while (*p != NULL && (*p)->kind == ITEM_QUESTION)
        p = &(*p)->next;
    struct item *i = *p;
    if (i == NULL)
        return;
    *p = i->next;
    if (i->next == NULL)
        h->queue.last = p;
    if (h->loss.count++ == 0)
        h->loss.first_ms = i->wall_ms;
    h->loss.last_ms = i->wall_ms;
    count_out(h, i);
    item_free(i);
}

static void enqueue(struct history *h, struct item *i)
{
    pthread_mutex_lock(&h->mutex);
    bool was_empty = h->queue.first == NULL;
    put(&h->queue, i);
    if (i->kind == ITEM_QUESTION) {
        h->questions++;
    } else {
        h->entries++;
        h->bytes += i->bytes;
        while (h->queue.first != i && (h->entries > h->o.queue_max || h->bytes > QUEUE_BYTES))
            drop_oldest(h);
    }
    /* The thread wakes for the first entry and gathers the rest by itself; a question does not wait. */
    if (was_empty || i->kind == ITEM_QUESTION)
        pthread_cond_signal(&h->work);
    pthread_mutex_unlock(&h->mutex);
}

/* Its texts lie behind it: an entry is one allocation, for there may be thousands at a start. */
static struct item *new_item(enum item_kind kind, const char *name, const char *text, const char *group)
{
    const char *const texts[] = {name != NULL ? name : "", text != NULL ? text : "", group != NULL ? group : ""};
    size_t bytes = sizeof(struct item);
    for (size_t k = 0; k < 3; k++)
        bytes += strlen(texts[k]) + 1;
    struct item *i = mem_alloc(bytes);
    *i = (struct item){.kind = kind, .bytes = bytes};
    const char **places[] = {&i->name, &i->text, &i->group};
    char *at = (char *)(i + 1);
    for (size_t k = 0; k < 3; k++) {
        size_t n = strlen(texts[k]) + 1;
        *places[k] = memcpy(at, texts[k], n);
        at += n;
    }
    return i;
}

void history_event(struct history *h, int64_t wall_ms, const char *name, const char *text, const char *group)
{
    struct item *i = new_item(ITEM_EVENT, name, text, group);
    i->wall_ms = wall_ms;
    enqueue(h, i);
}

void history_note(struct history *h, int64_t wall_ms, const char *group, struct sn_note *note)
{
    struct item *i = new_item(ITEM_NOTE, NULL, NULL, group);
    i->wall_ms = wall_ms;
    i->note = note;
    i->bytes += note->cap * (sizeof *note->v + 32);
    enqueue(h, i);
}

bool history_has_room(struct history *h)
{
    pthread_mutex_lock(&h->mutex);
    bool room = h->questions < QUESTIONS_MAX;
    pthread_mutex_unlock(&h->mutex);
    return room;
}

void history_ask(struct history *h, uint64_t token, struct history_query *q)
{
    struct item *i = new_item(ITEM_QUESTION, NULL, NULL, NULL);
    i->token = token;
    i->query = *q;
    *q = (struct history_query){.what = q->what};
    enqueue(h, i);
}

/* ---- the thread ---- */

static void wait_ms(struct history *h, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
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

static bool write_one(struct history *h, const struct item *i, struct buf *why)
{
    if (i->kind == ITEM_EVENT)
        return history_db_add_event(&h->db, i->wall_ms, i->name, i->text, i->group, why);
    char *json = history_json(i->note);
    bool ok = history_db_add_note(&h->db, i->wall_ms, sn_note_kind_name(i->note->kind), json, i->group, i->note->epoch,
                                  why);
    free(json);
    return ok;
}

/* A loss is an entry too, at the place where the lost ones would stand. */
static bool write_loss(struct history *h, const struct loss *l, struct buf *why)
{
    if (l->count == 0)
        return true;
    char text[160];
    snprintf(text, sizeof text, "%llu entries of %lld ms to %lld ms were not kept: the disk did not take them in time",
             (unsigned long long)l->count, (long long)l->first_ms, (long long)l->last_ms);
    return history_db_add_event(&h->db, l->last_ms, "-history-lost", text, NULL, why);
}

/* All entries of the list up to `end`, in one transaction. */
static bool write_all(struct history *h, const struct item *from, const struct item *end, const struct loss *l,
                      struct buf *why)
{
    if (from == end && l->count == 0)
        return usable(h, why);
    if (!usable(h, why) || !history_db_begin(&h->db, why))
        return false;
    bool ok = write_loss(h, l, why);
    for (const struct item *i = from; ok && i != end; i = i->next) {
        ok = write_one(h, i, why);
        h->since_trim++;
    }
    if (ok && history_db_commit(&h->db, why))
        return true;
    history_db_rollback(&h->db);
    return false;
}

static void trim(struct history *h)
{
    struct buf why = {0};
    h->since_trim = 0;
    h->more_to_trim = h->db.db != NULL;
    for (int i = 0; h->more_to_trim && i < TRIM_ROUNDS; i++) {
        if (!history_db_trim(&h->db, io_wall_ms(), &h->more_to_trim, &why)) {
            history_db_rollback(&h->db);
            h->more_to_trim = false; /* the next write says what is wrong, if it still is */
        }
    }
    buf_free(&why);
}

static void answer(struct history *h, struct item *i)
{
    struct buf why = {0};
    if (usable(h, &why))
        history_db_ask(&h->db, &i->query, &i->rows);
    else
        i->rows.error = mem_strdup(buf_str(&why));
    buf_free(&why);
    if (h->o.render != NULL) {
        h->o.render(&i->query, &i->rows, &i->reply);
        history_rows_free(&i->rows);
    }
    pthread_mutex_lock(&h->mutex);
    count_out(h, i);
    put(&h->answered, i);
    pthread_mutex_unlock(&h->mutex);
    ev_async_send(io_loop_ev(h->o.loop), &h->wake);
}

/* Called with the mutex held. What could not be written goes back to the front, and is bounded like the rest. */
static void give_back(struct history *h, struct items *rest, const struct loss *l)
{
    if (rest->first != NULL) {
        *rest->last = h->queue.first;
        if (h->queue.first == NULL)
            h->queue.last = rest->last;
        h->queue.first = rest->first;
    }
    if (l->count > 0) {
        h->loss.first_ms = l->first_ms;
        h->loss.last_ms = h->loss.count > 0 ? h->loss.last_ms : l->last_ms;
        h->loss.count += l->count;
    }
    while (h->entries > h->o.queue_max || h->bytes > QUEUE_BYTES)
        drop_oldest(h);
}

static void tell(struct history *h, bool ok, struct buf *why)
{
    bool news = h->failed == ok || h->aside;
    if (!ok && !h->failed) {
        free(h->why);
        h->why = mem_strdup(buf_str(why));
    }
    h->failed = !ok;
    h->restarted |= h->aside;
    h->aside = false;
    if (news)
        ev_async_send(io_loop_ev(h->o.loop), &h->wake);
}

/* Writes entries up to the next question, answers it, and so on. Questions are answered from what is stored also while
 * nothing can be written. Called and left with the mutex held. */
static void work(struct history *h)
{
    struct items batch, kept;
    struct loss loss = h->loss;
    bool failed = false;
    items_init(&batch);
    items_init(&kept);
    if (h->queue.first != NULL)
        batch = h->queue;
    items_init(&h->queue);
    h->loss = (struct loss){0};
    pthread_mutex_unlock(&h->mutex);
    struct buf why = {0};
    while (batch.first != NULL || (loss.count > 0 && !failed)) {
        const struct item *end = batch.first;
        while (end != NULL && end->kind != ITEM_QUESTION)
            end = end->next;
        failed = failed || !write_all(h, batch.first, end, &loss, &why);
        if (!failed)
            loss.count = 0;
        while (batch.first != end) {
            struct item *i = take(&batch);
            if (failed) {
                put(&kept, i);
                continue;
            }
            pthread_mutex_lock(&h->mutex);
            count_out(h, i);
            pthread_mutex_unlock(&h->mutex);
            item_free(i);
        }
        if (batch.first != NULL)
            answer(h, take(&batch));
    }
    if (!failed && (h->since_trim >= TRIM_EVERY || h->more_to_trim))
        trim(h);
    pthread_mutex_lock(&h->mutex);
    give_back(h, &kept, &loss);
    tell(h, !failed, &why);
    buf_free(&why);
}

static bool has_question(const struct history *h)
{
    for (const struct item *i = h->queue.first; h->questions > 0 && i != NULL; i = i->next)
        if (i->kind == ITEM_QUESTION)
            return true;
    return false;
}

static void *run(void *arg)
{
    struct history *h = arg;
    struct buf why = {0};
    bool ok = usable(h, &why);
    trim(h);
    pthread_mutex_lock(&h->mutex);
    tell(h, ok, &why);
    buf_free(&why);
    while (!h->stop) {
        if (h->queue.first == NULL && !h->more_to_trim) {
            wait_ms(h, TRIM_IDLE_MS);
            if (h->queue.first == NULL && !h->stop)
                h->more_to_trim = true; /* looks once whether something has become too old */
        }
        if (!h->stop && !has_question(h))
            wait_ms(h, h->failed ? RETRY_MS : LINGER_MS);
        work(h);
    }
    if (h->queue.first != NULL || h->loss.count > 0)
        work(h);
    pthread_mutex_unlock(&h->mutex);
    return NULL;
}

/* ---- the loop's side ---- */

static void tell_owner(struct history *h)
{
    pthread_mutex_lock(&h->mutex);
    bool failed = h->failed, restarted = h->restarted, before = h->told_failed;
    char *why = failed && h->why != NULL ? mem_strdup(h->why) : NULL;
    h->told_failed = failed;
    h->restarted = false;
    pthread_mutex_unlock(&h->mutex);
    if (restarted)
        h->o.told(h->o.owner, "-history-damaged",
                  "history.db was damaged: it was put aside as history.db.damaged, and a new one was begun");
    if (failed && !before) {
        struct buf text = {0};
        buf_printf(&text, "%s: supervision goes on, the history is kept in memory until the disk takes it",
                   why != NULL ? why : "history.db cannot be written");
        h->o.told(h->o.owner, "-history-not-saved", buf_str(&text));
        buf_free(&text);
    }
    if (!failed && before)
        h->o.told(h->o.owner, "+history-saved", "the history is written again");
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
        struct item *i = take(&h->answered);
        pthread_mutex_unlock(&h->mutex);
        if (i == NULL)
            return;
        h->o.done(h->o.owner, i->token, &i->rows, &i->reply);
        item_free(i);
    }
}

struct history *history_open(const char *dir, const struct history_options *o)
{
    struct history *h = mem_zalloc(sizeof *h);
    struct buf path = {0};
    h->o = *o;
    if (h->o.queue_max == 0)
        h->o.queue_max = QUEUE_MAX;
    buf_printf(&path, "%s/history.db", dir);
    h->db.path = mem_strdup(buf_str(&path));
    h->db.max_age_days = o->max_age_days;
    h->db.max_bytes = o->max_mb << 20;
    buf_free(&path);
    items_init(&h->queue);
    items_init(&h->answered);
    pthread_mutex_init(&h->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->work, &attr);
    pthread_condattr_destroy(&attr);
    ev_async_init(&h->wake, on_wake);
    h->wake.data = h;
    ev_async_start(io_loop_ev(o->loop), &h->wake);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int rc = pthread_create(&h->thread, NULL, run, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        io_log(IO_WARNING, "The thread that writes the history cannot be started: %s", strerror(rc));
        abort();
    }
    return h;
}

void history_close(struct history *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->mutex);
    h->stop = true;
    pthread_cond_signal(&h->work);
    pthread_mutex_unlock(&h->mutex);
    pthread_join(h->thread, NULL);
    ev_async_stop(io_loop_ev(h->o.loop), &h->wake);
    struct item *i;
    while ((i = take(&h->queue)) != NULL)
        item_free(i);
    while ((i = take(&h->answered)) != NULL)
        item_free(i);
    history_db_close(&h->db);
    pthread_cond_destroy(&h->work);
    pthread_mutex_destroy(&h->mutex);
    free(h->db.path);
    free(h->why);
    free(h);
}
