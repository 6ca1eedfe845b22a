#include "nodectl/view/feed.h"

#include "common/base/mem.h"
#include "nodectl/past.h"
#include "nodectl/view/overview.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define STOP_WITHIN_MS 300
#define EVENTS_SHOWN 200
#define STEP_MS 20

struct feed {
    const struct asking *asking;
    const char *const *groups;
    size_t ngroups;
    int every_ms;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    json_t *latest;
    bool stopping;
};

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L}, NULL);
}

static bool is_stopping(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    bool stopping = f->stopping;
    pthread_mutex_unlock(&f->lock);
    return stopping;
}

/* Of the first supervisor that tells some: each numbers its own, so they are not mixed. */
static json_t *events_of(struct fleet *fleet)
{
    char since[24];
    struct fleet_member *by = NULL;
    static const char *const last[] = {"SENTINEL", "EVENTS", "LAST"};
    int64_t number = 0;
    fleet_forget(fleet);
    for (size_t i = 0; i < fleet->n; i++)
        fleet_ask(fleet->members[i], 3, last);
    fleet_run(fleet);
    for (size_t i = 0; i < fleet->n && by == NULL; i++) {
        const redisReply *r = fleet_answer(fleet->members[i]);
        if (r != NULL && r->type == REDIS_REPLY_INTEGER) {
            by = fleet->members[i];
            number = r->integer > EVENTS_SHOWN ? r->integer - EVENTS_SHOWN : 0;
        }
    }
    fleet_forget(fleet);
    if (by == NULL)
        return json_null();
    snprintf(since, sizeof since, "%lld", (long long)number);
    const char *argv[] = {"SENTINEL", "EVENTS", "SINCE", since, "COUNT", "1000"};
    fleet_ask(by, 6, argv);
    fleet_run(fleet);
    const redisReply *r = fleet_answer(by);
    json_t *events = r != NULL ? past_events(r) : NULL;
    return events != NULL ? events : json_null();
}

static json_t *look(const struct feed *f)
{
    struct overview o;
    struct timespec now;
    overview_take(&o, f->asking, f->groups, f->ngroups);
    json_t *found = NULL;
    if (!overview_nobody(&o)) {
        json_t *events = events_of(&o.fleet);
        clock_gettime(CLOCK_REALTIME, &now);
        found = json_pack("{s:O, s:o, s:I}", "status", o.document, "events", events, "wall_ms",
                          (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    }
    overview_free(&o);
    return found;
}

static void *run(void *of)
{
    struct feed *f = of;
    while (!is_stopping(f)) {
        int64_t next_ms = fleet_now_ms() + f->every_ms;
        json_t *found = look(f);
        if (found != NULL) {
            pthread_mutex_lock(&f->lock);
            json_decref(f->latest);
            f->latest = found;
            pthread_mutex_unlock(&f->lock);
        }
        while (fleet_now_ms() < next_ms && !is_stopping(f))
            pause_ms(STEP_MS);
    }
    return NULL;
}

struct feed *feed_start(const struct asking *asking, const char *const *groups, size_t ngroups, int every_ms)
{
    struct feed *f = mem_zalloc(sizeof *f);
    *f = (struct feed){.asking = asking, .groups = groups, .ngroups = ngroups, .every_ms = every_ms};
    pthread_mutex_init(&f->lock, NULL);
    if (pthread_create(&f->thread, NULL, run, f) == 0)
        return f;
    pthread_mutex_destroy(&f->lock);
    free(f);
    return NULL;
}

json_t *feed_take(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    json_t *found = f->latest;
    f->latest = NULL;
    pthread_mutex_unlock(&f->lock);
    return found;
}

bool feed_stop(struct feed *f)
{
    struct timespec until;
    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    pthread_mutex_unlock(&f->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += STOP_WITHIN_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    if (pthread_timedjoin_np(f->thread, NULL, &until) != 0)
        return false;
    json_decref(f->latest);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return true;
}
