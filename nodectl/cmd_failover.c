/* nodectl failover: shows the plan, asks, acts, shows progress. */
#include "nodectl/tree.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/asking.h"
#include "nodectl/failover_plan.h"
#include "nodectl/failover_ranking.h"
#include "nodectl/failover_watch.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_merge.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MARGIN_MS 10000
#define WAIT_MAX_MS 3600000

struct run {
    const struct command_call *call;
    struct asking asking;
    struct failover_wish wish;
    struct failover_plan plan;
    struct failover_watch watch;
    struct fleet fleet; /* asked and told */
    struct fleet ears;  /* subscribed */
    json_t *views, *document;
    int64_t wait_ms; /* 0: from the group's failover timeout */
    int64_t start_ms;
    bool listening;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Words of supervisors may be about to be shown: what a terminal would obey is taken out. */
static void show(FILE *out, const char *text)
{
    print_painted(out, false, PAINT_NONE, text);
}

/* ---- before ---- */

static struct fleet_member *member_at(const struct fleet *f, const char *address)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(addr_text(&f->members[i]->addr, text), address) == 0)
            return f->members[i];
    return NULL;
}

static bool says_sentineld(const struct fleet_member *m)
{
    const redisReply *r = m != NULL && m->error == NULL && m->nreplies == 1 ? m->replies[0] : NULL;
    return r != NULL && r->type == REDIS_REPLY_STRING && strstr(r->str, "\nsentineld_version:") != NULL;
}

/* For each view whether it is a sentineld. */
static bool *ask_kinds(struct run *r)
{
    const char *argv[] = {"INFO", "server"};
    bool *ours = mem_zalloc(json_array_size(r->views) * sizeof *ours);
    for (size_t i = 0; i < r->fleet.n; i++)
        fleet_ask(r->fleet.members[i], 2, argv);
    fleet_run(&r->fleet);
    for (size_t i = 0; i < json_array_size(r->views); i++)
        ours[i] = says_sentineld(member_at(&r->fleet, field_text(json_array_get(r->views, i), "address")));
    fleet_forget(&r->fleet);
    return ours;
}

/* Of the supervisor that will choose; NULL: it tells none. */
static json_t *ask_ranking(struct run *r, const bool *ours)
{
    size_t by = failover_supervisor(r->views, ours, &r->wish);
    if (by == SIZE_MAX || !ours[by])
        return NULL;
    struct fleet_member *m = member_at(&r->fleet, field_text(json_array_get(r->views, by), "address"));
    return m != NULL ? failover_ranking(&r->fleet, m, r->wish.group) : NULL;
}

static int make_plan(struct run *r)
{
    struct status_query query = {
        .user = r->asking.user, .password = r->asking.password, .groups = &r->wish.group, .ngroups = 1};
    struct buf why = {0};
    asking_begin(&r->asking, &r->fleet);
    r->views = status_collect(&r->fleet, &query);
    r->document = status_merge(r->views, query.groups, query.ngroups);
    if (asking_nobody(r->call, &r->asking, &r->fleet))
        return EXIT_NOBODY;
    bool *ours = ask_kinds(r);
    json_t *ranking = ask_ranking(r, ours);
    bool possible = failover_plan(r->views, ours, r->document, &r->wish, ranking, &r->plan, &why);
    json_decref(ranking);
    free(ours);
    if (!possible)
        buf_puts(&r->watch.failure, buf_str(&why));
    buf_free(&why);
    return possible ? EXIT_OK : EXIT_FAILED;
}

/* The plan goes to standard error where standard output is for a program. */
static void show_plan(const struct run *r)
{
    FILE *out = r->asking.json ? stderr : stdout;
    struct buf text = {0};
    failover_plan_put(&text, r->document, &r->wish, &r->plan);
    for (struct slice rest = buf_slice(&text); rest.n > 0;) {
        char *line = slice_dup(slice_cut(&rest, '\n'));
        show(out, line);
        fputc('\n', out);
        free(line);
    }
    fflush(out);
    buf_free(&text);
}

static bool confirmed(const struct run *r)
{
    char line[16] = "";
    FILE *out = r->asking.json ? stderr : stdout;
    fputs("Fail over now? [y/N] ", out);
    fflush(out);
    if (fgets(line, sizeof line, stdin) == NULL)
        fputc('\n', out);
    return line[0] == 'y' || line[0] == 'Y';
}

/* ---- acting ---- */

/* Listens to all supervisors that answer and watch the group. */
static void listen_to_all(struct run *r)
{
    const char *argv[] = {"PSUBSCRIBE", "*"};
    fleet_init(&r->ears, r->asking.timeout_ms);
    r->listening = true;
    for (size_t i = 0; i < json_array_size(r->views); i++) {
        const char *address = field_text(json_array_get(r->views, i), "address");
        const struct fleet_member *m = member_at(&r->fleet, address);
        bool added;
        if (m == NULL || m->error != NULL || status_group(r->views, i, r->wish.group) == NULL)
            continue;
        struct fleet_member *ear = fleet_add(&r->ears, &m->addr, m->given, &added);
        asking_login(&r->asking, ear);
        fleet_ask(ear, 2, argv);
    }
    fleet_run(&r->ears);
    for (size_t i = 0; i < r->ears.n; i++) {
        struct fleet_member *ear = r->ears.members[i];
        char text[ADDR_TEXT_MAX];
        const redisReply *last = ear->error == NULL ? ear->replies[ear->nreplies - 1] : NULL;
        if (last != NULL && last->type == REDIS_REPLY_ERROR)
            fleet_fail(ear, "it refuses the subscription to its events (%s)", last->str);
        if (ear->error == NULL)
            failover_watch_expect(&r->watch, addr_text(&ear->addr, text));
    }
    fleet_forget(&r->ears);
}

static bool begin(struct run *r)
{
    struct addr to;
    char port[8];
    const char *argv[7] = {"SENTINEL", "FAILOVER", r->wish.group};
    int argc = 3;
    struct fleet_member *by = member_at(&r->fleet, r->plan.by), *ear = member_at(&r->ears, r->plan.by);
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
    r->start_ms = now_ms();
    fleet_ask(by, argc, argv);
    fleet_run(&r->fleet);
    if (by->error != NULL)
        buf_printf(&r->watch.failure, "it is not known whether it was begun: %s: %s. See nodectl status", r->plan.by,
                   by->error);
    else if (by->replies[0]->type == REDIS_REPLY_ERROR)
        buf_printf(&r->watch.failure, "%s refuses: %s", r->plan.by, by->replies[0]->str);
    return r->watch.failure.n == 0;
}

static void show_event(const char *supervisor, const char *event, const char *text, int64_t ms)
{
    struct buf line = {0};
    buf_printf(&line, "%8lld ms  %-21s  %s %s", (long long)ms, supervisor, event, text);
    show(stdout, buf_str(&line));
    fputc('\n', stdout);
    fflush(stdout);
    buf_free(&line);
}

static void take_message(struct run *r, const struct fleet_member *from, const redisReply *m)
{
    char supervisor[ADDR_TEXT_MAX];
    int64_t ms = now_ms() - r->start_ms;
    addr_text(&from->addr, supervisor);
    if (m->type != REDIS_REPLY_ARRAY || m->elements != 4 || m->element[2]->type != REDIS_REPLY_STRING ||
        m->element[3]->type != REDIS_REPLY_STRING)
        return;
    const char *event = m->element[2]->str, *text = m->element[3]->str;
    if (failover_watch_take(&r->watch, supervisor, event, text, ms) && !r->asking.json)
        show_event(supervisor, event, text, ms);
}

static void drop_lost(struct run *r)
{
    char supervisor[ADDR_TEXT_MAX];
    for (size_t i = 0; i < r->ears.n; i++)
        if (r->ears.members[i]->error != NULL && r->watch.failure.n == 0)
            failover_watch_lost(&r->watch, addr_text(&r->ears.members[i]->addr, supervisor), now_ms() - r->start_ms);
}

static void follow(struct run *r)
{
    int64_t wait_ms = r->wait_ms > 0 ? r->wait_ms : 2 * r->plan.timeout_ms + WAIT_MARGIN_MS;
    while (!failover_watch_over(&r->watch)) {
        int64_t left = r->start_ms + wait_ms - now_ms();
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

/* ---- afterwards ---- */

static json_t *result(const struct run *r, bool done)
{
    json_t *phases = json_object();
    for (enum failover_phase p = 0; p < FAILOVER_PHASES; p++) {
        int64_t ms = r->watch.at_ms[p];
        json_object_set_new(phases, failover_phase_name(p), ms < 0 ? json_null() : json_integer((json_int_t)ms));
    }
    const struct buf *why = &r->watch.failure;
    const char *to = r->watch.to[0] != '\0' ? r->watch.to : r->plan.to;
    return json_pack("{s:b, s:o, s:s, s:s?, s:s?, s:s?, s:b, s:s?, s:b, s:o, s:O}", "done", done, "reason",
                     why->n > 0 ? json_text(why->p, why->n) : json_null(), "group", r->wish.group, "from", r->plan.from,
                     "to", to, "planned_to", r->plan.to, "coordinated", r->wish.coordinated, "by", r->plan.by,
                     "sentineld", r->plan.by_ours, "phases_ms", phases, "events", r->watch.events);
}

static int finish(struct run *r)
{
    bool done = r->watch.failure.n == 0;
    if (r->asking.json) {
        json_t *o = result(r, done);
        json_dumpf(o, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
        json_decref(o);
    } else if (done) {
        printf("\n%s: the master is now %s; it was %s.\n", r->wish.group, r->watch.to, r->plan.from);
        if (strcmp(r->watch.to, r->plan.to) != 0)
            printf("The plan said %s: things changed before the supervisor chose.\n", r->plan.to);
        for (enum failover_phase p = 0; p < FAILOVER_PHASES; p++)
            if (r->watch.at_ms[p] >= 0)
                printf("%8lld ms  %s\n", (long long)r->watch.at_ms[p], failover_phase_text(p));
    }
    if (!done) {
        struct buf line = {0};
        buf_printf(&line, "nodectl failover: %s: %s", r->wish.group, buf_str(&r->watch.failure));
        fflush(stdout);
        show(stderr, buf_str(&line));
        fputc('\n', stderr);
        buf_free(&line);
    }
    return done ? EXIT_OK : EXIT_FAILED;
}

static int perform(struct run *r)
{
    bool yes = command_value(r->call, "--yes") != NULL;
    if (!yes && !isatty(STDIN_FILENO))
        return command_fail(
            r->call, EXIT_USAGE,
            "standard input is no terminal, so nobody can be asked: give --yes to do it without asking");
    int code = make_plan(r);
    if (code == EXIT_NOBODY)
        return code;
    if (code == EXIT_OK) {
        if (!yes || !r->asking.json)
            show_plan(r);
        failover_watch_free(&r->watch);
        failover_watch_init(&r->watch, r->wish.group, r->plan.by);
        if (!yes && !confirmed(r)) {
            buf_puts(&r->watch.failure, "nothing was done: it was not confirmed");
        } else {
            listen_to_all(r);
            if (begin(r))
                follow(r);
        }
    }
    return finish(r);
}

static int run(const struct command_call *call)
{
    struct run r = {.call = call,
                    .wish = {.group = call->argv[0],
                             .to = command_value(call, "--to"),
                             .coordinated = command_value(call, "--coordinated") != NULL}};
    const char *wait = command_value(call, "--wait-ms");
    struct addr to;
    if (wait != NULL && !text_range(slice_of(wait), 1, WAIT_MAX_MS, &r.wait_ms))
        return command_fail(call, EXIT_USAGE, "--wait-ms is '%s', but must be a number from 1 to %d", wait,
                            WAIT_MAX_MS);
    if (r.wish.to != NULL && !addr_parse(slice_of(r.wish.to), &to))
        return command_fail(call, EXIT_USAGE, "--to is '%s', but must be host:port", r.wish.to);
    int code = asking_read(call, &r.asking);
    if (code == EXIT_OK) {
        failover_watch_init(&r.watch, r.wish.group, "");
        code = perform(&r);
        failover_watch_free(&r.watch);
        json_decref(r.document);
        json_decref(r.views);
        if (r.listening)
            fleet_free(&r.ears);
        fleet_free(&r.fleet);
        failover_plan_free(&r.plan);
    }
    asking_free(&r.asking);
    return code;
}

static const struct command_option options[] = {
    {"--to", NULL, "NODE", "host:port of the replica to promote (default: the supervisors choose)"},
    {"--coordinated", NULL, NULL, "pause writes and let the replica catch up first, so that none is lost"},
    {"--yes", "-y", NULL, "do not ask"},
    {"--wait-ms", NULL, "MS", "how long to wait for the end (default: twice the group's failover timeout, and 10 s)"},
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_failover = {
    .name = "failover",
    .arguments = "GROUP",
    .summary = "Make a replica the master: show the plan, ask, act, and show progress until it is done or has failed.",
    .text = ASKING_TEXT
    "\n"
    "One supervisor is asked (SENTINEL FAILOVER) and all are listened to. --to and --coordinated are known to\n"
    "sentineld only; the plain form is done by redis-sentinel too. The replica in the plan is the one that sentineld\n"
    "itself would choose now (SENTINEL RANKING); of redis-sentinel it is worked out from what it tells.\n"
    "\n"
    "Exit status: 0 done; 1 it failed, was refused or was not confirmed, for the reason on standard error; 2 the\n"
    "command line or the configuration file is wrong, or nobody can be asked and --yes is not given; 3 no supervisor\n"
    "can be reached.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
