#include "nodectl/failover_watch.h"

#include "common/base/text.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *text;
} phases[FAILOVER_PHASES] = {
    [FAILOVER_SELECTED] = {"selected", "replica selected"},
    [FAILOVER_PROMOTED] = {"promoted", "replica promoted"},
    [FAILOVER_SWITCHED] = {"switched", "clients are told the new master"},
    [FAILOVER_AGREED] = {"agreed", "all supervisors that answer agree"},
    [FAILOVER_FINISHED] = {"finished", "the other replicas follow"},
};

static const struct {
    const char *event, *text;
} failures[] = {
    {"-failover-abort-not-elected", "the supervisor was not elected: too few of the others answered in time"},
    {"-failover-abort-no-good-slave", "no replica is fit to be promoted"},
    {"-failover-abort-slave-timeout", "the replica did not become a master in time"},
    {"-failover-abort-master-not-reachable", "the master was not reachable, and a coordinated failover needs it"},
    {"-failover-abort-refused", "the server refused the promotion; the log of the supervisor has its answer"},
};

const char *failover_phase_name(enum failover_phase p)
{
    return phases[p].name;
}

const char *failover_phase_text(enum failover_phase p)
{
    return phases[p].text;
}

void failover_watch_init(struct failover_watch *w, const char *group, const char *by)
{
    *w = (struct failover_watch){.group = group, .by = by, .waiting = json_object(), .events = json_array()};
    for (size_t i = 0; i < FAILOVER_PHASES; i++)
        w->at_ms[i] = -1;
}

void failover_watch_expect(struct failover_watch *w, const char *supervisor)
{
    json_object_set_new(w->waiting, supervisor, json_true());
}

void failover_watch_free(struct failover_watch *w)
{
    json_decref(w->waiting);
    json_decref(w->events);
    buf_free(&w->failure);
}

static void reach(struct failover_watch *w, enum failover_phase p, int64_t ms)
{
    if (w->at_ms[p] < 0)
        w->at_ms[p] = ms;
}

static void switched(struct failover_watch *w, const char *supervisor, int64_t ms)
{
    json_object_del(w->waiting, supervisor);
    if (json_object_size(w->waiting) == 0 && w->at_ms[FAILOVER_SWITCHED] >= 0)
        reach(w, FAILOVER_AGREED, ms);
}

void failover_watch_lost(struct failover_watch *w, const char *supervisor, int64_t ms)
{
    if (strcmp(supervisor, w->by) == 0)
        buf_printf(&w->failure, "the connection to %s was lost. It may still go on: see nodectl status", supervisor);
    else
        switched(w, supervisor, ms);
}

/* "+switch-master": "name oldip oldport newip newport". Others: "type name ip port [@ group ip port]". */
static bool is_about(const struct failover_watch *w, const char *event, const char *text)
{
    struct slice rest = slice_of(text), word[6] = {{NULL, 0}};
    for (size_t i = 0; i < 6; i++)
        word[i] = slice_cut(&rest, ' ');
    if (strcmp(event, "+switch-master") == 0)
        return slice_is(word[0], w->group);
    return slice_is(word[0], "master") ? slice_is(word[1], w->group)
                                       : slice_is(word[4], "@") && slice_is(word[5], w->group);
}

static bool read_new_master(struct failover_watch *w, const char *text)
{
    struct slice rest = slice_of(text), host, port_text;
    struct addr a;
    int64_t port;
    for (size_t i = 0; i < 3; i++)
        slice_cut(&rest, ' ');
    host = slice_cut(&rest, ' ');
    port_text = slice_cut(&rest, ' ');
    if (!text_i64(port_text, &port) || !addr_set(&a, host, port))
        return false;
    addr_text(&a, w->to);
    return true;
}

static void fail(struct failover_watch *w, const char *event)
{
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (strcmp(failures[i].event, event) == 0)
            buf_printf(&w->failure, "%s (%s)", failures[i].text, event);
    if (w->failure.n == 0)
        buf_printf(&w->failure, "the supervisor gave it up (%s)", event);
}

/* What the supervisor that does it says of its progress. */
static void take_own(struct failover_watch *w, const char *event, int64_t ms)
{
    if (strncmp(event, "-failover-abort", strlen("-failover-abort")) == 0)
        fail(w, event);
    else if (strcmp(event, "+selected-slave") == 0)
        reach(w, FAILOVER_SELECTED, ms);
    else if (strcmp(event, "+promoted-slave") == 0)
        reach(w, FAILOVER_PROMOTED, ms);
    else if (strcmp(event, "+failover-end") == 0 || strcmp(event, "+failover-end-for-timeout") == 0)
        reach(w, FAILOVER_FINISHED, ms);
}

bool failover_watch_take(struct failover_watch *w, const char *supervisor, const char *event, const char *text,
                         int64_t ms)
{
    bool own = strcmp(supervisor, w->by) == 0, is_switch = strcmp(event, "+switch-master") == 0;
    bool told = own || is_switch || strcmp(event, "+config-update-from") == 0;
    if (!told || !is_about(w, event, text))
        return false;
    json_array_append_new(w->events,
                          json_pack("{s:I, s:s, s:o, s:o}", "ms", (json_int_t)ms, "supervisor", supervisor, "event",
                                    json_text(event, strlen(event)), "text", json_text(text, strlen(text))));
    if (own)
        take_own(w, event, ms);
    if (is_switch && own && read_new_master(w, text))
        reach(w, FAILOVER_SWITCHED, ms);
    if (is_switch)
        switched(w, supervisor, ms);
    return true;
}

bool failover_watch_over(const struct failover_watch *w)
{
    return w->failure.n > 0 ||
           (w->at_ms[FAILOVER_SWITCHED] >= 0 && w->at_ms[FAILOVER_AGREED] >= 0 && w->at_ms[FAILOVER_FINISHED] >= 0);
}
