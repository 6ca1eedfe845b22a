#include "nodectl/drill/canary.h"

#include "common/base/mem.h"
#include "common/io/clock.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_US 50000  /* the thread looks at least so often whether it is to end */
#define GUIDE_US 25000 /* supervisors are asked where the master is so often while a writer has none */
#define GUIDE_WAIT_US 500000

enum { FOR_LOGIN, FOR_MASTER };

struct canaries {
    const struct canary_setup *setup;
    struct places places, others;
    struct client_errors errors;
    struct lane *lanes;
    struct client *writers, *readers; /* one of each for each lane */
    size_t nlanes;
    struct wire guide; /* to a supervisor */
    size_t guide_at;
    int64_t guide_due_us;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex; /* guards all of the above while the thread runs, and the rest */
    enum drill_phase phase;
    int64_t mark_us, *mark_reads;
    bool stop;
};

/* ---- the thread ---- */

static void ask_guide(struct canaries *c, int64_t now_us)
{
    const struct canary_setup *s = c->setup;
    if (c->guide.fd < 0) {
        c->guide_at = (c->guide_at + 1) % s->nsupervisors;
        wire_open(&c->guide, &s->supervisors[c->guide_at], now_us);
        if (s->supervisor_user[0] != '\0')
            wire_ask(&c->guide, FOR_LOGIN, 3, (const char *[]){"AUTH", s->supervisor_user, s->supervisor_password},
                     now_us);
        else if (s->supervisor_password[0] != '\0')
            wire_ask(&c->guide, FOR_LOGIN, 2, (const char *[]){"AUTH", s->supervisor_password}, now_us);
    }
    if (c->guide.npending > 0 && now_us - c->guide.since_us > GUIDE_WAIT_US)
        wire_close(&c->guide);
    else if (c->guide.npending < 2)
        wire_ask(&c->guide, FOR_MASTER, 3, (const char *[]){"SENTINEL", "GET-MASTER-ADDR-BY-NAME", s->group}, now_us);
}

static void told(struct canaries *c, const redisReply *r, int64_t now_us)
{
    struct addr a;
    char text[ADDR_TEXT_MAX];
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || r->element[0]->type != REDIS_REPLY_STRING ||
        r->element[1]->type != REDIS_REPLY_STRING)
        return;
    snprintf(text, sizeof text, "%s:%s", r->element[0]->str, r->element[1]->str);
    if (!addr_parse(slice_of(text), &a))
        return;
    size_t place = places_add(&c->places, &a);
    for (size_t i = 0; i < c->nlanes; i++)
        if (c->writers[i].lost)
            client_told(&c->writers[i], place, now_us);
}

/* Asks while a writer of a group does not know where to go. Returns when it wants to be called again. */
static int64_t guide(struct canaries *c, int64_t now_us)
{
    bool lost = false;
    for (size_t i = 0; i < c->nlanes; i++)
        lost |= c->writers[i].lost;
    if (c->setup->rules.cluster || c->setup->nsupervisors == 0 || !lost)
        return INT64_MAX;
    if (now_us >= c->guide_due_us) {
        ask_guide(c, now_us);
        c->guide_due_us = now_us + GUIDE_US;
    }
    return c->guide_due_us;
}

static int64_t step(struct canaries *c, struct pollfd *p, int64_t now_us)
{
    int64_t next = now_us + TURN_US, at;
    for (size_t i = 0; i < 2 * c->nlanes; i++) {
        struct client *one = i < c->nlanes ? &c->writers[i] : &c->readers[i - c->nlanes];
        if ((at = client_step(one, now_us)) < next)
            next = at;
        p[i] = (struct pollfd){.fd = one->wire.fd, .events = one->wire.fd >= 0 ? wire_events(&one->wire) : 0};
    }
    if ((at = guide(c, now_us)) < next)
        next = at;
    p[2 * c->nlanes] = (struct pollfd){.fd = c->guide.fd, .events = c->guide.fd >= 0 ? wire_events(&c->guide) : 0};
    return next;
}

static void serve(struct canaries *c, const struct pollfd *p, int64_t now_us)
{
    for (size_t i = 0; i < 2 * c->nlanes; i++) {
        struct client *one = i < c->nlanes ? &c->writers[i] : &c->readers[i - c->nlanes];
        if (p[i].revents != 0 && one->wire.fd == p[i].fd)
            client_serve(one, p[i].revents, c->phase, now_us);
    }
    const struct pollfd *g = &p[2 * c->nlanes];
    redisReply *r;
    int what;
    if (g->revents == 0 || c->guide.fd != g->fd || !wire_serve(&c->guide, g->revents, now_us))
        return;
    while ((r = wire_answer(&c->guide, &what, now_us)) != NULL) {
        if (what == FOR_MASTER)
            told(c, r, now_us);
        freeReplyObject(r);
    }
}

static void *run(void *arg)
{
    struct canaries *c = arg;
    struct pollfd *p = mem_zalloc((2 * c->nlanes + 1) * sizeof *p);
    pthread_mutex_lock(&c->mutex);
    while (!c->stop) {
        int64_t next = step(c, p, io_now_us());
        pthread_mutex_unlock(&c->mutex);
        int64_t left_us = next - io_now_us();
        int ready = poll(p, 2 * c->nlanes + 1, left_us > 0 ? (int)((left_us + 999) / 1000) : 0);
        pthread_mutex_lock(&c->mutex);
        if (ready > 0)
            serve(c, p, io_now_us());
    }
    int64_t now_us = io_now_us();
    for (size_t i = 0; i < c->nlanes; i++)
        lane_close(&c->lanes[i], c->phase, now_us);
    pthread_mutex_unlock(&c->mutex);
    free(p);
    return NULL;
}

/* ---- for the drill ---- */

static void add_lane(struct canaries *c, int database, bool bystander, int64_t now_us)
{
    const struct canary_setup *s = c->setup;
    struct places *p = bystander ? &c->others : &c->places;
    struct buf key = {0};
    size_t i = c->nlanes++;
    buf_printf(&key, CANARY_KEYS "%s:{%s}:%d", s->id, bystander ? s->other_tag : s->tag, database);
    lane_init(&c->lanes[i], buf_str(&key), database, bystander, now_us);
    buf_free(&key);
    client_init(&c->writers[i], &c->lanes[i], p, &c->errors, &s->rules, false, i, now_us);
    client_init(&c->readers[i], &c->lanes[i], p, &c->errors, &s->rules, true, i, now_us);
}

/* Signals are the drill's. */
static bool start_thread(struct canaries *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->started = pthread_create(&c->thread, NULL, run, c) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return c->started;
}

struct canaries *canaries_start(const struct canary_setup *s)
{
    struct canaries *c = mem_zalloc(sizeof *c);
    size_t most = (size_t)s->databases + 1;
    int64_t now_us = io_now_us();
    c->setup = s;
    pthread_mutex_init(&c->mutex, NULL);
    wire_init(&c->guide);
    for (size_t i = 0; i < s->nnodes; i++)
        places_add(&c->places, &s->nodes[i]);
    for (size_t i = 0; i < s->nothers; i++)
        places_add(&c->others, &s->others[i]);
    c->lanes = mem_zalloc(most * sizeof *c->lanes);
    c->writers = mem_zalloc(most * sizeof *c->writers);
    c->readers = mem_zalloc(most * sizeof *c->readers);
    c->mark_reads = mem_zalloc(most * sizeof *c->mark_reads);
    for (int database = 0; database < s->databases; database++)
        add_lane(c, database, false, now_us);
    if (s->nothers > 0)
        add_lane(c, 0, true, now_us);
    if (!start_thread(c)) {
        canaries_free(c);
        return NULL;
    }
    return c;
}

void canaries_stop(struct canaries *c)
{
    if (!c->started)
        return;
    pthread_mutex_lock(&c->mutex);
    c->stop = true;
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    c->started = false;
    wire_close(&c->guide);
    for (size_t i = 0; i < c->nlanes; i++) {
        client_free(&c->writers[i]);
        client_free(&c->readers[i]);
    }
}

void canaries_free(struct canaries *c)
{
    if (c == NULL)
        return;
    canaries_stop(c);
    for (size_t i = 0; i < c->nlanes; i++)
        lane_free(&c->lanes[i]);
    pthread_mutex_destroy(&c->mutex);
    free(c->lanes);
    free(c->writers);
    free(c->readers);
    free(c->mark_reads);
    free(c->places.v);
    free(c->others.v);
    free(c->errors.v);
    free(c);
}

void canaries_phase(struct canaries *c, enum drill_phase phase)
{
    pthread_mutex_lock(&c->mutex);
    int64_t now_us = io_now_us();
    for (size_t i = 0; i < c->nlanes; i++)
        lane_turn(&c->lanes[i], c->phase, now_us);
    c->phase = phase;
    pthread_mutex_unlock(&c->mutex);
}

void canaries_mark(struct canaries *c)
{
    pthread_mutex_lock(&c->mutex);
    c->mark_us = io_now_us();
    for (size_t i = 0; i < c->nlanes; i++)
        c->mark_reads[i] = c->lanes[i].reads;
    pthread_mutex_unlock(&c->mutex);
}

void canaries_look(struct canaries *c, struct canary_sight *out)
{
    *out = (struct canary_sight){.silent_database = -1};
    pthread_mutex_lock(&c->mutex);
    int64_t now_us = io_now_us();
    for (size_t i = 0; i < c->nlanes; i++) {
        const struct lane *l = &c->lanes[i];
        int64_t silence_us = lane_silence_us(l, c->phase, now_us);
        if (!l->bystander && silence_us > out->silence_us)
            out->silence_us = silence_us;
        if (l->nacked == 0 || l->heard_us <= c->mark_us) {
            out->silent++;
            if (out->silent_database < 0)
                out->silent_database = l->database;
        }
        out->unread += l->reads == c->mark_reads[i] || l->seen == 0;
    }
    for (size_t i = 0; i < c->errors.n; i++)
        if (!c->errors.v[i].reads)
            memcpy(out->last_error, c->errors.v[i].text, sizeof out->last_error);
    pthread_mutex_unlock(&c->mutex);
}

struct lane *canaries_lanes(struct canaries *c, size_t *count)
{
    *count = c->nlanes;
    return c->lanes;
}

const struct client_errors *canaries_errors(const struct canaries *c)
{
    return &c->errors;
}
