/* nodectl supervisor availability: how available the masters were, by what the supervisors recorded. */
#include "nodectl/supervisor/verbs.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "nodectl/duration.h"
#include "nodectl/note_text.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_cluster.h"
#include "nodectl/status_collect.h"
#include "nodectl/supervisor/availability.h"
#include "nodectl/supervisor/roll.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE 10000
#define SINCE_DEFAULT_MS (INT64_C(30) * 86400000)
#define AGE_MAX_MS (INT64_C(36500) * 86400000)

/* ---- when ---- */

/* "30d" ago, or a day and a time of day here. */
static bool read_since(const char *text, int64_t now_ms, int64_t *since_ms)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"};
    int64_t age_ms = SINCE_DEFAULT_MS;
    if (text == NULL || duration_parse(text, 1, AGE_MAX_MS, &age_ms)) {
        *since_ms = now_ms - age_ms;
        return true;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm t = {.tm_isdst = -1};
        const char *end = strptime(text, forms[i], &t);
        if (end == NULL || *end != '\0')
            continue;
        *since_ms = (int64_t)mktime(&t) * 1000;
        return *since_ms < now_ms;
    }
    return false;
}

/* ---- what was recorded ---- */

static bool is_wanted(const struct command_call *call, const char *group)
{
    for (int i = 0; i < call->argc; i++)
        if (status_means(call->argv[i], group))
            return true;
    return call->argc == 0;
}

static json_t *new_record(const struct roll *r, size_t view, const char *group)
{
    const json_t *map = json_object_get(status_group(r->views, view, group), "master");
    return json_pack("{s:s, s:[], s:I, s:b, s:I}", "by", field_text(json_array_get(r->views, view), "address"),
                     "events", "down_after_ms", (json_int_t)field_number(map, "down-after-milliseconds", 0), "down_now",
                     field_has(map, "flags", "o_down"), "last", (json_int_t)0);
}

/* Asks every supervisor for the next page of every record that is not complete; members ask in the order of the
 * records. */
static void ask_pages(struct roll *r, json_t *const *records, const json_t *groups)
{
    size_t g, i;
    const json_t *name;
    json_t *record;
    char since[24], count[24];
    fleet_forget(&r->fleet);
    json_array_foreach(groups, g, name)
    {
        json_array_foreach(records[g], i, record)
        {
            struct fleet_member *m = fleet_at(&r->fleet, json_word(record, "by"));
            if (m == NULL || json_int(record, "last", -1) < 0)
                continue;
            snprintf(since, sizeof since, "%lld", (long long)json_int(record, "last", 0));
            snprintf(count, sizeof count, "%d", PAGE);
            const char *argv[] = {"SENTINEL", "EVENTS", "SINCE", since,
                                  "COUNT",    count,    "GROUP", json_string_value(name)};
            json_object_set_new(record, "reply", json_integer((json_int_t)m->wanted));
            fleet_ask(m, 8, argv);
        }
    }
    fleet_run(&r->fleet);
}

/* last -1: it is complete (a page may be shorter than what was asked for, an empty one is the end), or that supervisor
 * tells none. Returns whether it told this page. */
static bool read_page(const struct roll *r, json_t *record)
{
    const struct fleet_member *m = fleet_at(&r->fleet, json_word(record, "by"));
    size_t at = (size_t)json_int(record, "reply", 0);
    json_t *page = m != NULL && m->error == NULL && at < m->nreplies ? past_events(m->replies[at]) : NULL;
    size_t n = json_array_size(page);
    json_t *last = json_array_get(page, n > 0 ? n - 1 : 0);
    json_object_set_new(record, "last", json_integer(n > 0 ? json_int(last, "number", -1) : -1));
    if (page != NULL)
        json_array_extend(json_object_get(record, "events"), page);
    json_decref(page);
    return page != NULL;
}

/* records[g]: what each supervisor that watches the group recorded. false: nobody keeps events. */
static bool collect(struct roll *r, json_t **records, const json_t *groups)
{
    size_t g, i;
    const json_t *name;
    json_t *record;
    bool told = false, more = true;
    json_array_foreach(groups, g, name)
    {
        records[g] = json_array();
        for (i = 0; i < json_array_size(r->views); i++)
            if (status_group(r->views, i, json_string_value(name)) != NULL)
                json_array_append_new(records[g], new_record(r, i, json_string_value(name)));
    }
    while (more) {
        more = false;
        ask_pages(r, records, groups);
        json_array_foreach(groups, g, name)
        {
            json_array_foreach(records[g], i, record)
            {
                if (json_int(record, "last", -1) < 0)
                    continue;
                told = read_page(r, record) || told;
                more = more || json_int(record, "last", -1) >= 0;
            }
        }
    }
    return told;
}

/* ---- for people ---- */

static void time_cell(struct table *t, int64_t ms)
{
    if (ms < 0)
        table_cell(t, PAINT_NONE, "-");
    else if (ms < 60000)
        table_cell(t, PAINT_NONE, "%s", span_text(ms * 1000));
    else if (ms < INT64_C(3600000))
        table_cell(t, PAINT_NONE, "%.1f min", (double)ms / 60000);
    else if (ms < INT64_C(172800000))
        table_cell(t, PAINT_NONE, "%.1f h", (double)ms / 3600000);
    else
        table_cell(t, PAINT_NONE, "%.1f d", (double)ms / 86400000);
}

static void print_table(const json_t *document)
{
    static const char *const titles[] = {"SHARD",   "AVAILABLE",         "NINES",    "FAILURES", "DOWN",
                                         "LONGEST", "MEAN TIME BETWEEN", "SWITCHES", NULL};
    char since[WALL_TEXT_MAX], recorded[WALL_TEXT_MAX];
    int64_t from = json_int(document, "since_ms", 0), kept = json_int(document, "recorded_since_ms", 0);
    struct table *t = table_new(titles);
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(document, "shards"), i, s)
    {
        int64_t failures = json_int(s, "failures", 0), nines = json_int(s, "nines", -1);
        table_cell(t, PAINT_NONE, "%s", json_word(s, "name"));
        table_cell(t, failures > 0 ? PAINT_WARN : PAINT_GOOD, "%s",
                   availability_percent(json_real_value(json_object_get(s, "available"))));
        if (nines < 0)
            table_cell(t, PAINT_NONE, "-");
        else
            table_cell(t, PAINT_NONE, "%lld", (long long)nines);
        table_cell(t, PAINT_NONE, "%lld", (long long)failures);
        time_cell(t, json_int(s, "down_ms", 0));
        time_cell(t, failures > 0 ? json_int(s, "longest_ms", 0) : -1);
        time_cell(t, json_int(s, "between_ms", -1));
        table_cell(t, PAINT_NONE, "%lld", (long long)json_int(s, "switches", 0));
    }
    printf("Since %s", wall_text(from, since));
    if (kept > from)
        printf(", as far as it is recorded: from %s on", wall_text(kept, recorded));
    puts(". Planned switches are no failures.");
    table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
}

/* ---- the command ---- */

static json_t *document_of(json_t *const *records, const json_t *groups, int64_t since_ms, int64_t now_ms)
{
    json_t *shards = json_array();
    int64_t kept = now_ms;
    size_t g;
    const json_t *name;
    json_array_foreach(groups, g, name)
    {
        json_t *one = availability_of(records[g], since_ms, now_ms);
        int64_t first = json_int(one, "recorded_since_ms", now_ms);
        kept = first < kept ? first : kept;
        json_object_set(one, "name", json_array_get(groups, g));
        json_array_append_new(shards, one);
    }
    return json_pack("{s:I, s:I, s:I, s:o}", "since_ms", (json_int_t)since_ms, "until_ms", (json_int_t)now_ms,
                     "recorded_since_ms", (json_int_t)kept, "shards", shards);
}

static int tell(const struct command_call *call, const struct asking *a, struct roll *r, int64_t since_ms)
{
    json_t *all = roll_groups(r), *groups = json_array(), **records;
    size_t i;
    json_t *name;
    int code = EXIT_OK;
    json_array_foreach(all, i, name)
    {
        if (is_wanted(call, json_string_value(name)))
            json_array_append(groups, name);
    }
    records = mem_zalloc((json_array_size(groups) + 1) * sizeof(json_t *));
    if (json_array_size(groups) == 0) {
        code = command_fail(call, EXIT_FAILED, "no supervisor that answers watches such a group");
    } else if (!collect(r, records, groups)) {
        code = command_fail(call, EXIT_FAILED, "no supervisor that answers keeps its events (redis-sentinel does not)");
    } else {
        json_t *document = document_of(records, groups, since_ms, io_wall_ms());
        if (a->document)
            output_document(a->format, document);
        else
            print_table(document);
        json_decref(document);
    }
    for (i = 0; i < json_array_size(groups); i++)
        json_decref(records[i]);
    free(records);
    json_decref(groups);
    json_decref(all);
    return code;
}

static int run(const struct command_call *call)
{
    struct asking a;
    int64_t since_ms = 0;
    const char *since = command_value(call, "--since");
    int code = asking_read(call, &a);
    if (code == EXIT_OK && !read_since(since, io_wall_ms(), &since_ms))
        code = command_fail(call, EXIT_USAGE,
                            "--since is '%s', but must be a time ago (30d, 12h) or a day and time that have passed "
                            "('2026-01-31 08:00')",
                            since);
    if (code == EXIT_OK) {
        struct roll r;
        code = roll_take(&r, call, &a);
        if (code == EXIT_OK)
            code = tell(call, &a, &r, since_ms);
        roll_free(&r);
    }
    asking_free(&a);
    return code;
}

static const struct command_option options[] = {
    ASKING_OPTIONS,
    {"--since", NULL, "TIME", "30d, 12h (ago), or '2026-01-31 08:00' (default 30d)"},
    {NULL, NULL, NULL, NULL},
};

const struct command supervisor_availability = {
    .name = "availability",
    .arguments = "[CLUSTER|GROUP...]",
    .summary = "Tell per shard how available its master was: failures, time down, mean time between failures, nines.",
    .text = ASKING_TEXT
    "\n"
    "An outage is the time from the last answer of a master that a quorum then held for down until there was another\n"
    "one, or it answered again; what several supervisors recorded of it is counted once. sentineld keeps its events "
    "for\n"
    "`history.max_age_days`. -o json lists the outages.\n"
    "\n"
    "Example:\n"
    "  nodectl supervisor availability orders --since 90d\n"
    "\n"
    "Exit status: 0 told; 1 nothing is recorded, or there is no such group; 2 the command line or the configuration "
    "file\n"
    "is wrong; 3 no supervisor can be reached.",
    .options = options,
    .min_args = 0,
    .max_args = -1,
    .run = run,
};
