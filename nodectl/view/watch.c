#include "nodectl/view/watch.h"

#include "common/base/mem.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STALE_MS 5000
#define CELL_MAX 96

enum column { SHARD, STATE, MASTER, SLOTS, LEASE, REPLICAS, LAG, OPS, MEMORY, COLUMNS };

static const char *const titles[COLUMNS] = {"SHARD",    "STATE", "MASTER", "SLOTS", "LEASE",
                                            "REPLICAS", "LAG",   "OPS/S",  "MEMORY"};
/* The first is given up first when the screen is too narrow; what is not here is never given up. */
static const enum column dispensable[] = {MEMORY, LEASE, SLOTS, REPLICAS, MASTER};

struct row {
    const json_t *group;
    char cells[COLUMNS][CELL_MAX];
    enum paint paints[COLUMNS];
    int64_t lag, ops;
    int trouble; /* the more the worse */
};

struct rows {
    struct row *v;
    size_t n;
    int widths[COLUMNS]; /* 0: the column is left out */
};

const char *watch_order_name(enum watch_order o)
{
    static const char *const names[] = {"name", "trouble", "lag", "ops/s"};
    return names[o];
}

const char *watch_size(int64_t bytes, char text[WATCH_SIZE_MAX])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double n = (double)bytes;
    size_t unit = 0;
    while (n >= 1000 && unit < 4) {
        n /= 1000;
        unit++;
    }
    snprintf(text, WATCH_SIZE_MAX, unit == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[unit]);
    return text;
}

static void put_number(char cell[CELL_MAX], int64_t n)
{
    if (n >= 0)
        snprintf(cell, CELL_MAX, "%lld", (long long)n);
    else
        snprintf(cell, CELL_MAX, "-");
}

static void put_size(char cell[CELL_MAX], int64_t bytes)
{
    char text[WATCH_SIZE_MAX];
    snprintf(cell, CELL_MAX, "%s", bytes >= 0 ? watch_size(bytes, text) : "-");
}

/* ---- rows ---- */

static enum paint paint_of(const char *state)
{
    if (strcmp(state, "ok") == 0)
        return PAINT_GOOD;
    return strcmp(state, "s_down") == 0 || strcmp(state, "o_down") == 0 ? PAINT_BAD : PAINT_WARN;
}

static void fill_replicas(struct row *r)
{
    const json_t *replicas = json_object_get(r->group, "replicas"), *o;
    size_t i, up = 0, n = json_array_size(replicas);
    r->lag = -1;
    json_array_foreach(replicas, i, o)
    {
        int64_t lag = json_int(o, "lag_bytes", -1);
        up += strcmp(field_text(o, "state"), "ok") == 0;
        r->lag = lag > r->lag ? lag : r->lag;
    }
    snprintf(r->cells[REPLICAS], CELL_MAX, "%zu/%zu", up, n);
    r->paints[REPLICAS] = up < n || n == 0 ? PAINT_WARN : PAINT_NONE;
    r->trouble += up < n;
    put_size(r->cells[LAG], r->lag);
}

static void fill(struct row *r, const json_t *group)
{
    const json_t *master = json_object_get(group, "master");
    const char *state = field_text(group, "state");
    int64_t lease_ms = json_int(master, "lease_ms", -1);
    bool agreed = json_yes(group, "agreed");
    *r = (struct row){.group = group, .ops = json_int(master, "ops_per_s", -1)};
    snprintf(r->cells[SHARD], CELL_MAX, "%s", field_text(group, "name"));
    snprintf(r->cells[STATE], CELL_MAX, "%s%s", state, agreed ? "" : " ?");
    r->paints[STATE] = agreed ? paint_of(state) : PAINT_BAD;
    r->trouble = (strcmp(state, "ok") != 0) * 4 + !agreed * 2 + !json_yes(group, "quorum_ok") * 2;
    snprintf(r->cells[MASTER], CELL_MAX, "%s", field_text(master, "address"));
    put_number(r->cells[SLOTS], json_int(group, "slots", -1));
    if (lease_ms >= 0)
        snprintf(r->cells[LEASE], CELL_MAX, "%lld ms", (long long)lease_ms);
    else
        snprintf(r->cells[LEASE], CELL_MAX, "-");
    r->paints[LEASE] = lease_ms == 0 ? PAINT_BAD : PAINT_NONE;
    r->trouble += (lease_ms == 0) * 2;
    fill_replicas(r);
    put_number(r->cells[OPS], r->ops);
    put_size(r->cells[MEMORY], json_int(master, "used_memory", -1));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->cells[SHARD], ((const struct row *)b)->cells[SHARD]);
}

/* Greatest first; among equals by name. */
static int downwards(int64_t a, int64_t b, const void *x, const void *y)
{
    return a != b ? (a < b ? 1 : -1) : by_name(x, y);
}

static int by_trouble(const void *a, const void *b)
{
    return downwards(((const struct row *)a)->trouble, ((const struct row *)b)->trouble, a, b);
}

static int by_lag(const void *a, const void *b)
{
    return downwards(((const struct row *)a)->lag, ((const struct row *)b)->lag, a, b);
}

static int by_ops(const void *a, const void *b)
{
    return downwards(((const struct row *)a)->ops, ((const struct row *)b)->ops, a, b);
}

static int columns_of(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static int total_width(const struct rows *rows)
{
    int total = 0;
    for (int c = 0; c < COLUMNS; c++)
        total += rows->widths[c] > 0 ? rows->widths[c] + 2 : 0;
    return total > 0 ? total - 2 : 0;
}

static void fit(struct rows *rows, int width)
{
    for (int c = 0; c < COLUMNS; c++) {
        rows->widths[c] = columns_of(titles[c]);
        for (size_t i = 0; i < rows->n; i++) {
            int w = columns_of(rows->v[i].cells[c]);
            rows->widths[c] = w > rows->widths[c] ? w : rows->widths[c];
        }
    }
    for (size_t i = 0; i < sizeof dispensable / sizeof *dispensable && total_width(rows) > width; i++)
        rows->widths[dispensable[i]] = 0;
}

static struct rows rows_of(const struct watch *w, int width)
{
    static int (*const orders[])(const void *, const void *) = {by_name, by_trouble, by_lag, by_ops};
    const json_t *groups = json_object_get(w->status, "groups"), *group;
    struct rows rows = {.n = json_array_size(groups)};
    size_t i;
    rows.v = mem_zalloc((rows.n + 1) * sizeof *rows.v);
    json_array_foreach(groups, i, group)
    {
        fill(&rows.v[i], group);
    }
    qsort(rows.v, rows.n, sizeof *rows.v, orders[w->order]);
    fit(&rows, width);
    return rows;
}

/* ---- the parts of the screen ---- */

static bool is_right(enum column c)
{
    return c == SLOTS || c == LEASE || c == LAG || c == OPS || c == MEMORY;
}

static void put_cell(struct screen *s, int row, int at, int width, enum column c, enum paint paint, const char *text)
{
    int pad = is_right(c) ? width - columns_of(text) : 0;
    screen_put(s, row, at + (pad > 0 ? pad : 0), paint, "%s", text);
}

static void draw_table(struct watch *w, struct screen *s, const struct rows *rows, int top, int page)
{
    int last = (int)rows->n - page;
    w->page = page;
    w->first = w->first > last ? last : w->first;
    w->first = w->first < 0 ? 0 : w->first;
    int at = 0;
    for (enum column c = 0; c < COLUMNS; c++) {
        if (rows->widths[c] == 0)
            continue;
        put_cell(s, top, at, rows->widths[c], c, PAINT_HEAD, titles[c]);
        for (int k = 0; k < page && w->first + k < (int)rows->n; k++) {
            const struct row *r = &rows->v[w->first + k];
            put_cell(s, top + 1 + k, at, rows->widths[c], c, r->paints[c], r->cells[c]);
        }
        at += rows->widths[c] + 2;
    }
}

static void draw_head(const struct watch *w, struct screen *s)
{
    const json_t *clusters = json_object_get(w->status, "clusters"), *c = json_array_get(clusters, 0);
    size_t n = json_array_size(clusters), groups = json_array_size(json_object_get(w->status, "groups"));
    int at = 0;
    if (w->status == NULL) {
        screen_put(s, 0, 0, PAINT_WARN, "asking the supervisors ...");
        return;
    }
    if (n == 1) {
        const char *state = field_text(c, "state");
        at = screen_put(s, 0, 0, PAINT_HEAD, "%s", field_text(c, "name"));
        at = screen_put(s, 0, at + 2, paint_of(state), "%s", state);
        at = screen_put(s, 0, at + 2, PAINT_NONE, "%lld of 16384 slots", (long long)json_int(c, "slots_covered", 0));
        if (json_int(c, "keys", -1) >= 0)
            at = screen_put(s, 0, at + 2, PAINT_NONE, "%lld keys", (long long)json_int(c, "keys", 0));
    } else {
        at = screen_put(s, 0, 0, PAINT_HEAD, "%zu %s, %zu %s", n, n == 1 ? "cluster" : "clusters", groups,
                        groups == 1 ? "group" : "groups");
    }
    char clock[64], when[WALL_TEXT_MAX];
    if (w->age_ms > STALE_MS && !w->paused)
        snprintf(clock, sizeof clock, "  no answer for %lld s", (long long)(w->age_ms / 1000));
    else
        snprintf(clock, sizeof clock, "  %s%s", w->paused ? "paused at " : "", clock_text(w->wall_ms, when));
    if (at + (int)strlen(clock) <= s->width)
        screen_put_right(s, 0, w->age_ms > STALE_MS || w->paused ? PAINT_WARN : PAINT_NONE, clock);
}

static void draw_totals(const struct watch *w, struct screen *s, const struct rows *rows)
{
    int64_t ops = 0, memory = 0, lag = -1;
    char size[WATCH_SIZE_MAX], behind[WATCH_SIZE_MAX];
    size_t i, up = 0;
    const json_t *o, *supervisors = json_object_get(w->status, "supervisors");
    for (i = 0; i < rows->n; i++) {
        int64_t bytes = json_int(json_object_get(rows->v[i].group, "master"), "used_memory", 0);
        ops += rows->v[i].ops > 0 ? rows->v[i].ops : 0;
        memory += bytes > 0 ? bytes : 0;
        lag = rows->v[i].lag > lag ? rows->v[i].lag : lag;
    }
    json_array_foreach(supervisors, i, o)
    {
        up += json_yes(o, "reachable");
    }
    int at = screen_put(s, 1, 0, PAINT_NONE, "%lld ops/s", (long long)ops);
    at = screen_put(s, 1, at + 2, PAINT_NONE, "%s in use", watch_size(memory, size));
    if (lag >= 0)
        at = screen_put(s, 1, at + 2, PAINT_NONE, "worst lag %s", watch_size(lag, behind));
    screen_put(s, 1, at + 2, up < json_array_size(supervisors) ? PAINT_WARN : PAINT_NONE, "%zu of %zu supervisors", up,
               json_array_size(supervisors));
    const json_t *problems = json_object_get(w->status, "problems");
    size_t n = json_array_size(problems);
    if (n == 0)
        screen_put(s, 2, 0, PAINT_GOOD, "all is well");
    else
        screen_put(s, 2, 0, PAINT_BAD, "%zu %s: %s", n, n == 1 ? "problem" : "problems",
                   json_string_value(json_array_get(problems, 0)));
}

/* The newest at the bottom. */
static void draw_events(const struct watch *w, struct screen *s, int top, int count)
{
    size_t n = json_array_size(w->events);
    char when[WALL_TEXT_MAX];
    if (count <= 0)
        return;
    screen_put(s, top, 0, PAINT_HEAD, "EVENTS");
    for (int k = 0; k < count && k < (int)n; k++) {
        const json_t *e = json_array_get(w->events, n - (size_t)((int)n < count ? (int)n : count) + (size_t)k);
        const char *name = json_word(e, "event");
        bool bad = strstr(name, "down") != NULL && name[0] == '+';
        clock_text(json_int(e, "wall_ms", 0), when);
        int at = screen_put(s, top + 1 + k, 0, PAINT_NONE, "%-8s", when);
        at = screen_put(s, top + 1 + k, at + 1, bad ? PAINT_BAD : PAINT_WARN, "%s", name);
        screen_put(s, top + 1 + k, at + 1, PAINT_NONE, "%s", json_word(e, "text"));
    }
}

static void draw_keys(const struct watch *w, struct screen *s, size_t n)
{
    int at = screen_put(s, s->height - 1, 0, PAINT_HEAD, "q quit  s order: %s  Space %s", watch_order_name(w->order),
                        w->paused ? "go on" : "pause");
    if ((int)n > w->page && w->page > 0)
        screen_put(s, s->height - 1, at + 2, PAINT_HEAD, "Up Down PgUp PgDn  %d-%d of %zu", w->first + 1,
                   w->first + w->page < (int)n ? w->first + w->page : (int)n, n);
}

void watch_draw(struct watch *w, struct screen *s)
{
    enum { HEAD = 3, TITLE = 1, KEYS = 1 };
    struct rows rows = rows_of(w, s->width);
    int room = s->height - HEAD - TITLE - KEYS, events = 0;
    if (w->events != NULL && room >= 6)
        events = room / 3 > (int)rows.n && room - (int)rows.n - 2 > room / 3 ? room - (int)rows.n - 2 : room / 3;
    int page = events > 0 ? room - events - 1 : room;
    draw_head(w, s);
    if (w->status != NULL) {
        draw_totals(w, s, &rows);
        draw_table(w, s, &rows, HEAD, page > 0 ? page : 0);
        draw_events(w, s, s->height - KEYS - events - 1, events);
    }
    draw_keys(w, s, rows.n);
    free(rows.v);
}
