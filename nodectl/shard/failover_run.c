#include "nodectl/shard/failover_run.h"

#include "common/base/mem.h"
#include "nodectl/failover_ranking.h"
#include "nodectl/interrupt.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/shard/candidates.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_node.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MARGIN_MS 10000

/* ---- before ---- */

static bool says_sentineld(const struct fleet_member *m)
{
    const redisReply *r = m != NULL && m->error == NULL && m->nreplies == 1 ? m->replies[0] : NULL;
    return r != NULL && r->type == REDIS_REPLY_STRING && strstr(r->str, "\nsentineld_version:") != NULL;
}

/* For each view whether it is a sentineld. */
static bool *ask_kinds(struct failover_run *r)
{
    const char *argv[] = {"INFO", "server"};
    bool *ours = mem_zalloc(json_array_size(r->look.views) * sizeof *ours);
    for (size_t i = 0; i < r->look.fleet.n; i++)
        fleet_ask(r->look.fleet.members[i], 2, argv);
    fleet_run(&r->look.fleet);
    for (size_t i = 0; i < json_array_size(r->look.views); i++)
        ours[i] = says_sentineld(fleet_at(&r->look.fleet, field_text(json_array_get(r->look.views, i), "address")));
    fleet_forget(&r->look.fleet);
    return ours;
}

/* Of the supervisor that will choose; NULL: it tells none. */
static json_t *ask_ranking(struct failover_run *r, const bool *ours)
{
    size_t by = failover_supervisor(r->look.views, ours, &r->wish);
    if (by == SIZE_MAX || !ours[by])
        return NULL;
    struct fleet_member *m = fleet_at(&r->look.fleet, field_text(json_array_get(r->look.views, by), "address"));
    return m != NULL ? failover_ranking(&r->look.fleet, m, r->wish.group) : NULL;
}

/* The group by its whole name; a shard may be given without its cluster, which takes a look at all of them. */
static bool find_group(struct failover_run *r)
{
    struct buf why = {0};
    overview_take(&r->look, r->asking, &r->wish.group, 1);
    const json_t *group = json_named(json_object_get(r->look.document, "groups"), r->wish.group);
    if (group == NULL && !overview_nobody(&r->look)) {
        overview_free(&r->look);
        overview_take(&r->look, r->asking, NULL, 0);
        group = overview_group(&r->look, r->wish.group, &why);
    }
    if (group != NULL) {
        r->group = mem_strdup(field_text(group, "name"));
        r->wish.group = r->group;
        failover_watch_init(&r->watch, r->group, "");
    } else {
        failover_watch_init(&r->watch, r->wish.group, "");
        buf_puts(&r->watch.failure, buf_str(&why));
    }
    buf_free(&why);
    return group != NULL;
}

json_t *failover_run_candidates(struct failover_run *r, int *code)
{
    bool found = find_group(r);
    *code = asking_nobody(r->call, r->asking, &r->look.fleet) ? EXIT_NOBODY : found ? EXIT_OK : EXIT_FAILED;
    if (*code != EXIT_OK)
        return NULL;
    bool *ours = ask_kinds(r);
    size_t by = failover_supervisor(r->look.views, ours, &r->wish);
    json_t *ranking = ask_ranking(r, ours);
    json_t *document = candidates_document(json_named(json_object_get(r->look.document, "groups"), r->wish.group),
                                           ranking, field_text(json_array_get(r->look.views, by), "address"));
    json_decref(ranking);
    free(ours);
    return document;
}

static int prepare(struct failover_run *r)
{
    struct buf why = {0};
    bool found = find_group(r);
    if (asking_nobody(r->call, r->asking, &r->look.fleet))
        return EXIT_NOBODY;
    if (!found)
        return EXIT_FAILED;
    bool *ours = ask_kinds(r);
    json_t *ranking = ask_ranking(r, ours);
    bool possible = failover_plan(r->look.views, ours, r->look.document, &r->wish, ranking, &r->plan, &why);
    json_decref(ranking);
    free(ours);
    if (!possible)
        buf_puts(&r->watch.failure, buf_str(&why));
    buf_free(&why);
    return possible ? EXIT_OK : EXIT_FAILED;
}

int failover_run_prepare(struct failover_run *r, struct change *c)
{
    int code = prepare(r);
    if (code == EXIT_NOBODY)
        change_failed(c, "nothing was done: no supervisor can be asked");
    else if (code != EXIT_OK)
        change_failed(c, "%s: %s", r->wish.group, buf_str(&r->watch.failure));
    return code;
}

void failover_run_warn(const struct failover_run *r, struct change *c)
{
    const json_t *group = json_named(json_object_get(r->look.document, "groups"), r->wish.group);
    if (!json_yes(group, "agreed"))
        change_warn(c, "the supervisors do not agree on the present state; see nodectl status");
    if (!json_yes(group, "quorum_ok"))
        change_warn(c, "there is no quorum now; the others learn of the new master when they are back");
    if (r->plan.by_force)
        change_warn(
            c,
            "%s may not know what its master has promised last (keys that were deleted while it was away, slots "
            "that moved, databases that were swapped): it is promoted by force, and what it does not know is lost",
            r->plan.to);
    if (r->plan.impaired)
        change_warn(c, "%s is loading, synchronising, empty, cut off from its master, or refused lately", r->plan.to);
    if (strcmp(field_text(json_object_get(group, "master"), "state"), "ok") != 0)
        change_warn(c, "the master is not well; the supervisors may be about to fail over by themselves");
}

/* ---- acting ---- */

/* Listens to all supervisors that answer and watch the group. */
static void listen_to_all(struct failover_run *r)
{
    const char *argv[] = {"PSUBSCRIBE", "*"};
    fleet_init(&r->ears, r->asking->timeout_ms);
    r->listening = true;
    for (size_t i = 0; i < json_array_size(r->look.views); i++) {
        const char *address = field_text(json_array_get(r->look.views, i), "address");
        const struct fleet_member *m = fleet_at(&r->look.fleet, address);
        bool added;
        if (m == NULL || m->error != NULL || status_group(r->look.views, i, r->wish.group) == NULL)
            continue;
        struct fleet_member *ear = fleet_add(&r->ears, &m->addr, m->given, &added);
        asking_login(r->asking, ear);
        fleet_ask(ear, 2, argv);
    }
    fleet_run(&r->ears);
    for (size_t i = 0; i < r->ears.n; i++) {
        struct fleet_member *ear = r->ears.members[i];
        char text[ADDR_TEXT_MAX];
        const redisReply *last = fleet_answer(ear);
        if (last != NULL && last->type == REDIS_REPLY_ERROR)
            fleet_fail(ear, "it refuses the subscription to its events (%s)", last->str);
        if (ear->error == NULL)
            failover_watch_expect(&r->watch, addr_text(&ear->addr, text));
    }
    fleet_forget(&r->ears);
}

static bool begin(struct failover_run *r)
{
    struct addr to;
    char port[8];
    const char *argv[7] = {"SENTINEL", "FAILOVER", r->wish.group};
    int argc = 3;
    struct fleet_member *by = fleet_at(&r->look.fleet, r->plan.by), *ear = fleet_at(&r->ears, r->plan.by);
    if (ear == NULL || ear->error != NULL) {
        buf_printf(&r->watch.failure, "nothing was done: %s cannot be listened to: %s", r->plan.by,
                   ear == NULL ? "it does not answer" : ear->error);
        return false;
    }
    if (r->wish.coordinated)
        argv[argc++] = "COORDINATED";
    if (r->wish.to != NULL && addr_parse(slice_of(r->plan.to), &to)) {
        snprintf(port, sizeof port, "%d", to.port);
        argv[argc++] = "TO";
        argv[argc++] = to.host;
        argv[argc++] = port;
    }
    r->start_ms = fleet_now_ms();
    fleet_ask(by, argc, argv);
    fleet_run(&r->look.fleet);
    if (by->error != NULL)
        buf_printf(&r->watch.failure, "it is not known whether it was begun: %s: %s. See nodectl status", r->plan.by,
                   by->error);
    else if (by->replies[0]->type == REDIS_REPLY_ERROR)
        buf_printf(&r->watch.failure, "%s refuses: %s", r->plan.by, by->replies[0]->str);
    return r->watch.failure.n == 0;
}

static void show_event(FILE *out, const char *supervisor, const char *event, const char *text, int64_t ms)
{
    print_line(out, false, PAINT_NONE, "%8lld ms  %-21s  %s %s", (long long)ms, supervisor, event, text);
    fflush(out);
}

static void take_message(struct failover_run *r, const struct fleet_member *from, const redisReply *m)
{
    char supervisor[ADDR_TEXT_MAX];
    int64_t ms = fleet_now_ms() - r->start_ms;
    addr_text(&from->addr, supervisor);
    if (m->type != REDIS_REPLY_ARRAY || m->elements != 4 || m->element[2]->type != REDIS_REPLY_STRING ||
        m->element[3]->type != REDIS_REPLY_STRING)
        return;
    const char *event = m->element[2]->str, *text = m->element[3]->str;
    if (failover_watch_take(&r->watch, supervisor, event, text, ms))
        show_event(asking_people(r->asking), supervisor, event, text, ms);
}

static void drop_lost(struct failover_run *r)
{
    char supervisor[ADDR_TEXT_MAX];
    for (size_t i = 0; i < r->ears.n; i++)
        if (r->ears.members[i]->error != NULL && r->watch.failure.n == 0)
            failover_watch_lost(&r->watch, addr_text(&r->ears.members[i]->addr, supervisor),
                                fleet_now_ms() - r->start_ms);
}

static void follow(struct failover_run *r)
{
    int64_t wait_ms = r->wait_ms > 0 ? r->wait_ms : 2 * r->plan.timeout_ms + WAIT_MARGIN_MS;
    bool told = false;
    while (!failover_watch_over(&r->watch)) {
        if (interrupted() && !told)
            fprintf(stderr,
                    "\nThe supervisors go on with it; its end is waited for. Ctrl-C once more does not wait.\n");
        told = interrupted();
        int64_t left = r->start_ms + wait_ms - fleet_now_ms();
        redisReply *message = NULL;
        if (left <= 0) {
            buf_printf(&r->watch.failure, "it is not over after %lld ms%s. See nodectl status", (long long)wait_ms,
                       r->watch.to[0] != '\0' ? ", though there is a new master" : "");
            return;
        }
        const struct fleet_member *from = fleet_listen(&r->ears, (int)(left < 1000 ? left : 1000), &message);
        if (from != NULL)
            take_message(r, from, message);
        if (message != NULL)
            freeReplyObject(message);
        drop_lost(r);
    }
}

static void tell(const struct failover_run *r)
{
    FILE *out = asking_people(r->asking);
    fputc('\n', out);
    print_line(out, false, PAINT_NONE, "%s: the master is now %s; it was %s.", r->wish.group, r->watch.to,
               r->plan.from);
    if (strcmp(r->watch.to, r->plan.to) != 0)
        print_line(out, false, PAINT_NONE, "The plan said %s: things changed before the supervisor chose.", r->plan.to);
    for (enum failover_phase p = 0; p < FAILOVER_PHASES; p++)
        if (r->watch.at_ms[p] >= 0)
            fprintf(out, "%8lld ms  %s\n", (long long)r->watch.at_ms[p], failover_phase_text(p));
}

void failover_run_perform(struct failover_run *r, struct change *c, size_t step)
{
    if (!change_now(c, step))
        return;
    failover_watch_free(&r->watch);
    failover_watch_init(&r->watch, r->wish.group, r->plan.by);
    listen_to_all(r);
    if (begin(r))
        follow(r);
    if (r->watch.failure.n > 0) {
        change_failed(c, "%s: %s", r->wish.group, buf_str(&r->watch.failure));
        return;
    }
    change_did(c, step);
    tell(r);
}

static json_t *phases(const struct failover_run *r)
{
    json_t *o = json_object();
    for (enum failover_phase p = 0; p < FAILOVER_PHASES; p++)
        json_object_set_new(o, failover_phase_name(p), number_or_null(r->watch.at_ms[p]));
    return o;
}

json_t *failover_run_result(const struct failover_run *r)
{
    const char *to = r->watch.to[0] != '\0' ? r->watch.to : r->plan.to;
    return json_pack("{s:o, s:s?, s:s?, s:s?, s:b, s:s?, s:b, s:o, s:O?}", "group",
                     json_text(r->wish.group, strlen(r->wish.group)), "from", r->plan.from, "to", to, "planned_to",
                     r->plan.to, "coordinated", r->wish.coordinated, "by", r->plan.by, "sentineld", r->plan.by_ours,
                     "phases_ms", phases(r), "events", r->watch.events);
}

void failover_run_free(struct failover_run *r)
{
    failover_watch_free(&r->watch);
    if (r->listening)
        fleet_free(&r->ears);
    overview_free(&r->look);
    failover_plan_free(&r->plan);
    free(r->group);
    r->group = NULL;
    r->listening = false;
}
