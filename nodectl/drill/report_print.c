#include "nodectl/drill/report.h"

#include "nodectl/past.h"
#include "nodectl/table.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *name, *text;
} phases[] = {
    {"detect", "silent until held for down (down-after is part of it)"},
    {"agree", "until the quorum agreed"},
    {"elect", "until a supervisor was elected"},
    {"fence", "until the promotion was sent; in a planned switch: writes paused, or the lease given back"},
    {"promote", "until the replica was the master"},
    {"tell", "until that was on disk and told"},
    {"total", "in all"},
    {"converge", "until every live node knew"},
};

static void head(FILE *out, bool colour, const char *text)
{
    fputc('\n', out);
    print_line(out, colour, PAINT_HEAD, "%s", text);
}

static bool passed(const json_t *d)
{
    return strcmp(json_word(d, "verdict"), "PASS") == 0;
}

static void print_phases(const json_t *d, FILE *out, bool colour)
{
    const json_t *p = json_object_get(d, "phases_ms");
    bool any = false;
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        any |= json_int(p, phases[i].name, -1) >= 0;
    if (!any)
        return;
    head(out, colour, "Milliseconds, as the supervisors recorded them");
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        int64_t ms = json_int(p, phases[i].name, -1);
        if (ms >= 0)
            print_line(out, colour, PAINT_NONE, "%8" PRId64 "  %-9s %s", ms, phases[i].name, phases[i].text);
    }
}

static void print_clients(const json_t *d, FILE *out, bool colour)
{
    const json_t *w = json_object_get(d, "writes"), *r = json_object_get(d, "reads"), *e;
    size_t i, databases = 0;
    json_array_foreach(json_object_get(d, "databases"), i, e)
    {
        databases += !json_yes(e, "bystander");
    }
    head(out, colour, "Clients");
    print_line(out, colour, PAINT_NONE,
               "%8" PRId64 " ms without an acknowledged write at the longest, beginning %" PRId64
               " ms after the harm (before it: %" PRId64 " ms; while roles were switched back: %" PRId64
               " ms; in the other shard: %" PRId64 " ms)",
               json_int(d, "outage_ms", 0), json_int(d, "outage_from_ms", 0), json_int(d, "quiet_outage_ms", 0),
               json_int(d, "restore_outage_ms", 0), json_int(d, "bystander_outage_ms", 0));
    print_line(out, colour, PAINT_NONE, "%8" PRId64 " writes acknowledged, in %zu database%s and beside",
               json_int(w, "acked", 0), databases, databases == 1 ? "" : "s");
    print_line(out, colour, json_int(w, "lost", 0) > 0 ? PAINT_BAD : PAINT_NONE, "%8" PRId64 " of them lost",
               json_int(w, "lost", 0));
    print_line(out, colour, PAINT_NONE,
               "%8" PRId64 " refused, %" PRId64 " without an answer, %" PRId64 " sent elsewhere",
               json_int(w, "refused", 0), json_int(w, "unanswered", 0), json_int(w, "redirected", 0));
    print_line(out, colour, PAINT_NONE,
               "%8" PRId64 " reads, %" PRId64 " of them stale, the worst one by %" PRId64 " ms",
               json_int(r, "answered", 0), json_int(r, "stale", 0), json_int(r, "longest_stale_ms", 0));
    json_array_foreach(json_object_get(d, "errors"), i, e)
    {
        print_line(out, colour, PAINT_WARN, "%8" PRId64 " x %s: %s", json_int(e, "count", 0), json_word(e, "by"),
                   json_word(e, "text"));
    }
}

static void print_losses(const json_t *d, FILE *out, bool colour)
{
    size_t i;
    const json_t *l;
    json_array_foreach(json_object_get(d, "databases"), i, l)
    {
        if (json_int(l, "lost", 0) > 0)
            print_line(out, colour, PAINT_BAD,
                       "         database %" PRId64 "%s: %" PRId64 " lost of %" PRId64 ", from number %" PRId64,
                       json_int(l, "database", 0), json_yes(l, "bystander") ? " of the other shard" : "",
                       json_int(l, "lost", 0), json_int(l, "acked", 0), json_int(l, "first_lost", 0));
    }
}

void report_print(const json_t *d, FILE *out, bool colour)
{
    char when[WALL_TEXT_MAX];
    size_t i;
    const json_t *reason;
    print_line(out, colour, PAINT_HEAD, "Drill %s of %s (%s), id %s, %s", json_word(d, "drill"), json_word(d, "group"),
               json_word(d, "kind"), json_word(d, "id"), wall_text(json_int(d, "at_ms", 0), when));
    print_line(out, colour, PAINT_NONE, "  %s: %s", json_word(d, "victim"), json_word(d, "harm"));
    if (json_word(d, "to")[0] != '\0')
        print_line(out, colour, PAINT_NONE, "  the master was %s, then %s (epoch %" PRId64 ")", json_word(d, "from"),
                   json_word(d, "to"), json_int(json_object_get(d, "phases_ms"), "epoch", 0));
    print_phases(d, out, colour);
    print_clients(d, out, colour);
    print_losses(d, out, colour);
    fputc('\n', out);
    print_line(out, colour, passed(d) ? PAINT_GOOD : PAINT_BAD, "%s%s", json_word(d, "verdict"),
               json_yes(d, "back") ? "; the fleet is well again" : "; the fleet needs you: see nodectl status");
    json_array_foreach(json_object_get(d, "reasons"), i, reason)
    {
        print_line(out, colour, PAINT_BAD, "  %s", json_string_value(reason));
    }
}

void report_print_list(const json_t *documents, FILE *out, bool colour)
{
    static const char *const titles[] = {"TIME", "~ID", "DRILL", "GROUP", "VERDICT", "OUTAGE", "LOST", NULL};
    struct table *t = table_new(titles);
    char when[WALL_TEXT_MAX];
    size_t i;
    const json_t *d;
    json_array_foreach(documents, i, d)
    {
        table_cell(t, PAINT_NONE, "%s", wall_text(json_int(d, "at_ms", 0), when));
        table_cell(t, PAINT_NONE, "%s", json_word(d, "id"));
        table_cell(t, PAINT_NONE, "%s", json_word(d, "drill"));
        table_cell(t, PAINT_NONE, "%s", json_word(d, "group"));
        table_cell(t, passed(d) ? PAINT_GOOD : PAINT_BAD, "%s", json_word(d, "verdict"));
        table_cell(t, PAINT_NONE, "%" PRId64 " ms", json_int(d, "outage_ms", 0));
        table_cell(t, PAINT_NONE, "%" PRId64, json_int(json_object_get(d, "writes"), "lost", 0));
    }
    table_print(t, out, "", colour);
    table_free(t);
}
