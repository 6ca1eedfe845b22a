#include "nodectl/supervisor/availability.h"

#include "common/base/mem.h"
#include "nodectl/past.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outage {
    int64_t begin_ms, end_ms;
    bool open; /* its end is not recorded */
    const char *by;
};

struct outages {
    struct outage *v;
    size_t n, cap;
};

static void add(struct outages *all, struct outage one)
{
    all->v = mem_grow(all->v, all->n, &all->cap, sizeof *all->v);
    all->v[all->n++] = one;
}

static bool is_of_master(const json_t *event)
{
    return strncmp(json_word(event, "text"), "master ", 7) == 0;
}

/* Adds what one supervisor saw. Returns how often the master changed without being down. */
static size_t read_record(struct outages *all, const json_t *record, int64_t now_ms)
{
    size_t i, planned = 0;
    const json_t *e;
    int64_t sdown_ms = 0, last_ms = 0;
    bool odown = false;
    struct outage at = {.by = json_word(record, "by")};
    json_array_foreach(json_object_get(record, "events"), i, e)
    {
        const char *name = json_word(e, "event");
        int64_t wall_ms = json_int(e, "wall_ms", 0);
        bool switches = strcmp(name, "+switch-master") == 0;
        bool ends = switches || (is_of_master(e) && (strcmp(name, "-odown") == 0 || strcmp(name, "-sdown") == 0));
        if (strcmp(name, "+sdown") == 0 && is_of_master(e)) {
            sdown_ms = wall_ms - json_int(record, "down_after_ms", 0);
        } else if (strcmp(name, "+odown") == 0 && is_of_master(e)) {
            odown = true;
            at.begin_ms = sdown_ms > 0 ? sdown_ms : wall_ms;
        } else if (ends) {
            at.end_ms = wall_ms;
            if (odown)
                add(all, at);
            else
                planned += switches;
            odown = false;
            sdown_ms = 0;
        }
        last_ms = wall_ms;
    }
    if (odown) {
        at.open = true;
        at.end_ms = json_yes(record, "down_now") ? now_ms : last_ms;
        add(all, at);
    }
    return planned;
}

static int by_begin(const void *a, const void *b)
{
    const struct outage *x = a, *y = b;
    return (x->begin_ms > y->begin_ms) - (x->begin_ms < y->begin_ms);
}

/* Those of several supervisors that overlap become one. A recorded end counts before one that nobody saw, and the
 * earliest of several before the later ones. */
static void unite(struct outages *all)
{
    size_t kept = 0;
    if (all->n > 0)
        qsort(all->v, all->n, sizeof *all->v, by_begin);
    for (size_t i = 0; i < all->n; i++) {
        struct outage *last = kept > 0 ? &all->v[kept - 1] : NULL, *one = &all->v[i];
        if (last == NULL || one->begin_ms >= last->end_ms) {
            all->v[kept++] = *one;
            continue;
        }
        bool better = last->open ? !one->open || one->end_ms > last->end_ms : !one->open && one->end_ms < last->end_ms;
        if (better) {
            last->end_ms = one->end_ms;
            last->open = one->open;
        }
    }
    all->n = kept;
}

static int64_t oldest(const json_t *records, int64_t now_ms)
{
    int64_t first = now_ms;
    size_t i;
    const json_t *r;
    json_array_foreach(records, i, r)
    {
        const json_t *e = json_array_get(json_object_get(r, "events"), 0);
        if (e != NULL && json_int(e, "wall_ms", now_ms) < first)
            first = json_int(e, "wall_ms", now_ms);
    }
    return first;
}

/* Whole nines: 3 for 99.9 % up to just below 99.99 %. */
static int64_t nines_of(int64_t down_ms, int64_t window_ms)
{
    int64_t nines = 0;
    for (double down = (double)down_ms; nines < 12 && down * 10 <= (double)window_ms; nines++)
        down *= 10;
    return nines;
}

json_t *availability_of(const json_t *records, int64_t since_ms, int64_t now_ms)
{
    struct outages all = {.n = 0};
    size_t i, planned = 0;
    const json_t *r;
    int64_t first = oldest(records, now_ms), from = first > since_ms ? first : since_ms, down = 0, longest = 0;
    json_array_foreach(records, i, r)
    {
        size_t seen = read_record(&all, r, now_ms); /* all of them see the same switches */
        planned = seen > planned ? seen : planned;
    }
    unite(&all);
    json_t *list = json_array();
    for (i = 0; i < all.n; i++) {
        const struct outage *o = &all.v[i];
        int64_t begin = o->begin_ms > from ? o->begin_ms : from, end = o->end_ms < now_ms ? o->end_ms : now_ms;
        if (end <= begin && o->end_ms <= from)
            continue;
        int64_t took = end > begin ? end - begin : 0;
        down += took;
        longest = took > longest ? took : longest;
        json_array_append_new(list, json_pack("{s:I, s:I, s:b, s:s}", "begin_ms", (json_int_t)begin, "end_ms",
                                              (json_int_t)end, "open", o->open, "by", o->by));
    }
    free(all.v);
    int64_t window = now_ms > from ? now_ms - from : 1, failures = (int64_t)json_array_size(list);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:o}", "since_ms", (json_int_t)since_ms,
                     "until_ms", (json_int_t)now_ms, "recorded_since_ms", (json_int_t)first, "failures",
                     (json_int_t)failures, "switches", (json_int_t)planned, "down_ms", (json_int_t)down, "longest_ms",
                     (json_int_t)longest, "between_ms", (json_int_t)(failures > 0 ? (window - down) / failures : -1),
                     "available", 1 - (double)down / (double)window, "nines",
                     (json_int_t)(down > 0 ? nines_of(down, window) : -1), "outages", list);
}

const char *availability_percent(double available)
{
    static char text[32];
    double lost = (1 - available) * 100;
    int digits = lost >= 1 ? 2 : lost >= 0.01 ? 4 : 6;
    if (lost <= 0)
        snprintf(text, sizeof text, "100 %%");
    else
        snprintf(text, sizeof text, "%.*f %%", digits, 100 - lost);
    return text;
}
