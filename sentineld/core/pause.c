#include "sentineld/core/pause.h"

#include "common/base/text.h"
#include "sentineld/core/fleet_inner.h"

/* ---- the list ---- */

bool sn_pause_word_ok(struct slice word, size_t max, bool blanks)
{
    if (!word.n || word.n > max)
        return false;
    for (size_t k = 0; k < word.n; k++) {
        unsigned char b = (unsigned char)word.p[k];
        if (b < ' ' || b == 0x7f || (b == ' ' && !blanks))
            return false;
    }
    return true;
}

static void free_one(struct sn_pause *one)
{
    free(one->target);
    free(one->owner);
    free(one->reason);
}

static void take_out(struct sn_pauses *p, size_t k)
{
    free_one(&p->v[k]);
    p->n--;
    memmove(&p->v[k], &p->v[k + 1], (p->n - k) * sizeof *p->v);
}

size_t sn_pauses_end(struct sn_pauses *p, struct slice target)
{
    size_t before = p->n;
    for (size_t k = p->n; k-- > 0;)
        if (slice_is(target, SN_PAUSE_ALL) || slice_is(target, p->v[k].target))
            take_out(p, k);
    return before - p->n;
}

void sn_pauses_set(struct sn_pauses *p, struct slice target, struct slice owner, struct slice reason, int64_t until_us,
                   int64_t until_ms)
{
    for (size_t k = p->n; k-- > 0;)
        if (slice_is(target, p->v[k].target))
            take_out(p, k);
    p->v = mem_array(p->v, p->n + 1, sizeof *p->v);
    p->v[p->n++] = (struct sn_pause){.target = slice_dup(target),
                                     .owner = slice_dup(owner),
                                     .reason = slice_dup(reason),
                                     .until_us = until_us,
                                     .until_ms = until_ms};
}

void sn_pauses_copy(struct sn_pauses *to, const struct sn_pauses *from)
{
    for (size_t k = 0; k < from->n; k++) {
        const struct sn_pause *one = &from->v[k];
        sn_pauses_set(to, slice_of(one->target), slice_of(one->owner), slice_of(one->reason), one->until_us,
                      one->until_ms);
    }
}

void sn_pauses_free(struct sn_pauses *p)
{
    for (size_t k = 0; k < p->n; k++)
        free_one(&p->v[k]);
    free(p->v);
    *p = (struct sn_pauses){.n = 0};
}

const struct sn_pause *sn_pauses_find(const struct sn_pauses *p, const char *group, const char *fleet, int64_t now_us)
{
    const struct sn_pause *last = NULL;
    for (size_t k = 0; k < p->n; k++) {
        const struct sn_pause *one = &p->v[k];
        bool holds = strcmp(one->target, SN_PAUSE_ALL) == 0 || (group && strcmp(one->target, group) == 0) ||
                     (fleet && strcmp(one->target, fleet) == 0);
        if (holds && one->until_us > now_us && (!last || one->until_us > last->until_us))
            last = one;
    }
    return last;
}

const struct sn_pause *sn_pauses_of(const struct sn_pauses *p, const char *target)
{
    for (size_t k = 0; k < p->n; k++)
        if (strcmp(p->v[k].target, target) == 0)
            return &p->v[k];
    return NULL;
}

/* ---- as text ---- */

void sn_pauses_write(const struct sn_pauses *p, struct buf *out)
{
    for (size_t k = 0; k < p->n; k++) {
        const struct sn_pause *one = &p->v[k];
        buf_printf(out, "%lld\t%s\t%s\t%s\n", (long long)one->until_ms, one->target, one->owner, one->reason);
    }
}

static bool read_line(struct sn_pauses *p, struct slice line, int64_t now_us, int64_t wall_ms)
{
    int64_t until_ms;
    struct slice number = slice_cut(&line, '\t'), target = slice_cut(&line, '\t'), owner = slice_cut(&line, '\t');
    if (!text_range(number, 0, INT64_MAX / 1000, &until_ms) || !sn_pause_word_ok(target, SIZE_MAX, true) ||
        !sn_pause_word_ok(owner, SN_PAUSE_OWNER_MAX, false) || !sn_pause_word_ok(line, SN_PAUSE_REASON_MAX, true))
        return false;
    int64_t left_ms = until_ms - wall_ms;
    if (left_ms > SN_PAUSE_MS_MAX) /* the clock has gone back: no pause was ever longer */
        left_ms = SN_PAUSE_MS_MAX;
    if (left_ms > 0)
        sn_pauses_set(p, target, owner, line, now_us + MS(left_ms), until_ms);
    return true;
}

bool sn_pauses_read(struct sn_pauses *p, struct slice text, int64_t now_us, int64_t wall_ms)
{
    *p = (struct sn_pauses){.n = 0};
    while (text.n) {
        struct slice line = slice_cut(&text, '\n');
        if (!line.n || read_line(p, line, now_us, wall_ms))
            continue;
        sn_pauses_free(p);
        return false;
    }
    return true;
}

/* ---- in the core ---- */

void sn_pauses_record(const struct sn_pauses *p, struct sn_record *r)
{
    struct buf text = {0};
    sn_pauses_write(p, &text);
    r->option = mem_strdup(SN_PAUSE_OPTION);
    r->value = text.n ? mem_strdup(buf_str(&text)) : NULL;
    buf_free(&text);
}

const struct sn_pause *sn_pause_of(const struct sn_group *g)
{
    const struct sn_core *c = g->core;
    return c->pauses.n ? sn_pauses_find(&c->pauses, g->name, g->fleet ? g->fleet->name : NULL, c->now_us) : NULL;
}

static void publish(struct sn_core *c, const struct sn_pause *one, const char *event)
{
    struct sn_group *g = sn_group_find(c, slice_of(one->target));
    if (g)
        sn_publish_group(g, SN_LOG_WARNING, event, "%s %lld %s %s", one->target, (long long)one->until_ms, one->owner,
                         one->reason);
    else
        sn_publish_core(c, SN_LOG_WARNING, event, "%s %lld %s %s", one->target, (long long)one->until_ms, one->owner,
                        one->reason);
}

static void touch_all(struct sn_core *c)
{
    for (size_t k = 0; k < c->ngroups; k++)
        sn_touch_group(c->groups[k]);
}

static bool same(const struct sn_pause *a, const struct sn_pause *b)
{
    return b && a->until_us == b->until_us && strcmp(a->owner, b->owner) == 0 && strcmp(a->reason, b->reason) == 0;
}

void sn_pauses_take(struct sn_core *c, struct sn_pauses *now)
{
    struct sn_pauses before = c->pauses;
    c->pauses = *now;
    *now = (struct sn_pauses){.n = 0};
    for (size_t k = 0; k < before.n; k++)
        if (!sn_pauses_of(&c->pauses, before.v[k].target))
            publish(c, &before.v[k], "-failover-paused");
    for (size_t k = 0; k < c->pauses.n; k++)
        if (!same(&c->pauses.v[k], sn_pauses_of(&before, c->pauses.v[k].target)))
            publish(c, &c->pauses.v[k], "+failover-paused");
    sn_pauses_free(&before);
    touch_all(c);
}

int64_t sn_pauses_run(struct sn_core *c)
{
    int64_t next = HEAP_NEVER;
    for (size_t k = c->pauses.n; k-- > 0;) {
        if (c->now_us < c->pauses.v[k].until_us) {
            EARLIER(next, c->pauses.v[k].until_us);
            continue;
        }
        publish(c, &c->pauses.v[k], "-failover-paused");
        take_out(&c->pauses, k);
        touch_all(c);
    }
    return next;
}

void sn_pauses_rename(struct sn_core *c, const char *from, const char *to)
{
    for (size_t k = 0; k < c->pauses.n; k++) {
        if (strcmp(c->pauses.v[k].target, from) != 0)
            continue;
        free(c->pauses.v[k].target);
        c->pauses.v[k].target = mem_strdup(to);
        c->pauses_dirty = true;
    }
}
