/* The state directory of a modelled supervisor: whole states, one after the other; the newest one that was asked
 * for when a commit begins. */
#include "tests/fleet/world.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/base/mem.h"

static void begin(struct world *w, struct super *s);

static void release_waits(struct world *w, struct super *s)
{
    struct super_wait **at = &s->waits;
    unsigned life = s->p.life;
    while (*at != NULL && s->p.life == life) {
        struct super_wait *x = *at;
        if (x->seq > s->persisted) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        super_waited(w, s, x);
        free(x);
        at = &s->waits; /* more may wait by now */
    }
}

/* Called when the commit ends, or when a stopped process that waited for it goes on. */
static void committed(struct world *w, struct happening *h)
{
    struct super *s = &w->supers[h->who];
    if (s->p.stopped) {
        inbox_put(&s->p.inbox, h);
        return;
    }
    if (s->committing == 0)
        return;
    uint64_t seq = s->committing;
    s->committing = 0;
    if (!s->full) {
        s->disk = s->writing;
        s->persisted = seq;
        release_waits(w, s);
    }
    if (s->p.runs && s->committing == 0 && s->issued > s->persisted)
        begin(w, s);
}

static void crash(struct world *w, struct happening *h)
{
    super_crash(w, &w->supers[h->who], false);
}

static void begin(struct world *w, struct super *s)
{
    int64_t takes = rng_skewed(&w->rng, 100, 3000);
    if (s->slow_us > 0)
        takes += (int64_t)rng_below(&w->rng, (uint64_t)s->slow_us);
    if (s->full) /* it tries again */
        takes += MS(20);
    s->writing = s->live;
    s->committing = s->issued;
    happen(&w->time, &s->committed, w->time.now_us + takes, committed);
    if (!s->crash_next)
        return;
    s->crash_next = false;
    happen(&w->time, &s->crash, w->time.now_us + (int64_t)rng_below(&w->rng, (uint64_t)takes), crash);
}

uint64_t super_persist(struct world *w, struct super *s)
{
    uint64_t seq = ++s->issued;
    if (s->committing == 0)
        begin(w, s);
    return seq;
}

void super_wait(struct world *w, struct super *s, const struct super_wait *x)
{
    struct super_wait *own = mem_zalloc(sizeof *own), **at = &s->waits;
    (void)w;
    *own = *x;
    own->next = NULL;
    while (*at != NULL)
        at = &(*at)->next;
    *at = own;
}

void super_disk_crash(struct world *w, struct super *s)
{
    happen_not(&w->time, &s->committed);
    happen_not(&w->time, &s->crash);
    s->crash_next = false;
    if (s->committing != 0 && !s->full) {
        bool kept = rng_below(&w->rng, 2) == 0;
        w->counts[kept ? COUNT_PERSIST_KEPT : COUNT_PERSIST_LOST]++;
        if (kept)
            s->disk = s->writing;
    }
    s->committing = s->issued = s->persisted = 0;
    for (struct super_wait *x = s->waits, *next; x != NULL; x = next) {
        next = x->next;
        free(x);
    }
    s->waits = NULL;
}
