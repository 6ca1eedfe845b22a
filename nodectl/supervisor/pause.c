/* nodectl supervisor pause and resume: automatic failovers off and on, at all supervisors. */
#include "nodectl/supervisor/verbs.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "nodectl/change.h"
#include "nodectl/duration.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/supervisor/roll.h"
#include "sentineld/core/pause.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pausing {
    const struct command_call *call;
    struct asking asking;
    struct roll roll;
    struct change change;
    bool resumes;
    int64_t for_ms;
    const char *reason;
    char owner[SN_PAUSE_OWNER_MAX + 1];
    const char *all[1]; /* instead of argv when nothing is named */
    const char *const *targets;
    size_t ntargets;
    size_t told;    /* supervisors that have all of it on disk */
    json_t *untold; /* [{ address, why }] */
};

/* ---- the command line ---- */

static int read_owner(struct pausing *p)
{
    const char *given = command_value(p->call, "--owner"), *user = getenv("SUDO_USER");
    char host[256] = "";
    struct buf text = {0};
    struct passwd *pw = getpwuid(getuid());
    gethostname(host, sizeof host - 1);
    if (given != NULL)
        buf_puts(&text, given);
    else
        buf_printf(&text, "%s@%s", user != NULL && *user != '\0' ? user : pw != NULL ? pw->pw_name : "unknown", host);
    bool ok = sn_pause_word_ok(buf_slice(&text), SN_PAUSE_OWNER_MAX, false);
    if (ok)
        memcpy(p->owner, buf_str(&text), text.n + 1);
    buf_free(&text);
    return ok ? EXIT_OK
              : command_fail(p->call, EXIT_USAGE, "give --owner a word without blanks, of at most %d bytes",
                             SN_PAUSE_OWNER_MAX);
}

static int read_pause(struct pausing *p)
{
    const char *time = command_value(p->call, "--for");
    p->reason = command_value(p->call, "--reason");
    if (time == NULL || p->reason == NULL)
        return command_fail(p->call, EXIT_USAGE,
                            "a pause needs an end and a reason that others can read: --for 2h --reason TEXT");
    if (!duration_parse(time, 1, SN_PAUSE_MS_MAX, &p->for_ms))
        return command_fail(p->call, EXIT_USAGE,
                            "--for is '%s', but must be a time such as 90s, 30m or 2h, 366d at most", time);
    if (!sn_pause_word_ok(slice_of(p->reason), SN_PAUSE_REASON_MAX, true))
        return command_fail(p->call, EXIT_USAGE, "--reason must be one line of 1 to %d bytes", SN_PAUSE_REASON_MAX);
    return read_owner(p);
}

/* Without names: the fleet that was named, else everything. */
static void read_targets(struct pausing *p)
{
    p->all[0] = command_value(p->call, "--fleet") != NULL && p->asking.targets.fleet != NULL ? p->asking.targets.fleet
                                                                                             : SN_PAUSE_ALL;
    p->targets = p->call->argc > 0 ? (const char *const *)p->call->argv : p->all;
    p->ntargets = p->call->argc > 0 ? (size_t)p->call->argc : 1;
}

/* ---- the plan ---- */

static const char *shown(const char *target)
{
    return strcmp(target, SN_PAUSE_ALL) == 0 ? "everything that they supervise" : target;
}

static bool is_known(const json_t *s, const char *target)
{
    size_t i;
    const json_t *name, *lists[] = {json_object_get(s, "groups"), json_object_get(s, "clusters")};
    for (size_t k = 0; k < 2; k++) {
        json_array_foreach(lists[k], i, name)
        {
            if (strcmp(json_string_value(name), target) == 0)
                return true;
        }
    }
    return strcmp(target, SN_PAUSE_ALL) == 0;
}

static void check_targets(struct pausing *p)
{
    for (size_t k = 0; k < p->ntargets; k++) {
        bool known = false;
        size_t i;
        const json_t *s;
        json_array_foreach(p->roll.list, i, s)
        {
            known = known || is_known(s, p->targets[k]);
        }
        if (!known)
            change_failed(&p->change,
                          "nothing was done: no supervisor that answers watches a group or cluster named '%s'",
                          p->targets[k]);
    }
}

static bool is_stock(const json_t *s)
{
    return strcmp(field_text(s, "kind"), "redis-sentinel") == 0;
}

/* A step for each supervisor. */
static void plan(struct pausing *p)
{
    size_t i;
    const json_t *s;
    char until[WALL_TEXT_MAX];
    check_targets(p);
    json_array_foreach(p->roll.list, i, s)
    {
        const char *address = field_text(s, "address"), *error = field_text(s, "error");
        change_step(&p->change, "tell supervisor %s", address);
        if (*error != '\0')
            change_warn(&p->change, "%s cannot be asked (%s): it goes on as before", address, error);
        else if (is_stock(s))
            change_warn(&p->change, "%s is a redis-sentinel, which knows no pauses: it fails over and votes as before",
                        address);
    }
    if (!p->resumes)
        change_warn(&p->change, "until %s nothing is failed over by itself; nodectl failover still works",
                    wall_text(io_wall_ms() + p->for_ms, until));
}

static void title(const struct pausing *p, struct buf *out)
{
    buf_printf(out, p->resumes ? "Automatic failovers on again: " : "Automatic failovers off: ");
    for (size_t k = 0; k < p->ntargets; k++)
        buf_printf(out, "%s%s", k > 0 ? ", " : "", shown(p->targets[k]));
    if (!p->resumes)
        buf_printf(out, ", for %s, by %s: %s", command_value(p->call, "--for"), p->owner, p->reason);
}

/* ---- the deed ---- */

static void fail(struct pausing *p, const char *address, const char *why)
{
    json_array_append_new(p->untold, json_pack("{s:s, s:o}", "address", address, "why", json_text(why, strlen(why))));
}

/* Asks one supervisor for all targets. NULL: it has all of it on its disk; else why not. */
static const char *tell(struct pausing *p, struct fleet_member *m, int64_t ms)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)ms);
    fleet_forget(&p->roll.fleet);
    for (size_t k = 0; k < p->ntargets; k++) {
        const char *off[] = {"SENTINEL", "PAUSE", p->targets[k], number, p->owner, p->reason};
        const char *on[] = {"SENTINEL", "RESUME", p->targets[k]};
        fleet_ask(m, p->resumes ? 3 : 6, p->resumes ? on : off);
    }
    fleet_run(&p->roll.fleet);
    for (size_t k = 0; k < m->nreplies && m->error == NULL; k++)
        if (m->replies[k]->type == REDIS_REPLY_ERROR)
            return m->replies[k]->str;
    return m->error;
}

static void act(struct pausing *p)
{
    int64_t end_ms = fleet_now_ms() + p->for_ms; /* one end for all, however long it takes to tell them */
    size_t i;
    const json_t *s;
    json_array_foreach(p->roll.list, i, s)
    {
        const char *address = field_text(s, "address");
        struct fleet_member *m = roll_member(&p->roll, s);
        int64_t left = end_ms - fleet_now_ms();
        if (!change_now(&p->change, i))
            return;
        const char *why = m == NULL     ? field_text(s, "error")
                          : is_stock(s) ? "a redis-sentinel knows no pauses"
                                        : tell(p, m, left > 0 ? left : 1);
        if (why != NULL) {
            fail(p, address, *why != '\0' ? why : "it is gone");
            continue;
        }
        p->told++;
        change_did(&p->change, i);
    }
}

static void judge(struct pausing *p)
{
    size_t known = json_array_size(p->roll.list), i;
    const json_t *u;
    struct buf names = {0};
    json_array_foreach(p->untold, i, u)
    {
        buf_printf(&names, "%s%s (%s)", i > 0 ? ", " : "", field_text(u, "address"), field_text(u, "why"));
    }
    if (i > 0 && p->resumes)
        change_failed(&p->change, "%zu of %zu supervisors could not be told, and their pause goes on until its end: %s",
                      i, known, buf_str(&names));
    else if (i > 0)
        change_failed(&p->change,
                      "%s%zu of %zu supervisors could not be told: %s. Give the command again when they answer",
                      p->told > known / 2 ? "the pause holds, as a majority has it, but "
                                          : "THE PAUSE DOES NOT HOLD: a majority can still fail over, as ",
                      i, known, buf_str(&names));
    buf_free(&names);
}

static int perform(struct pausing *p)
{
    int code = roll_take(&p->roll, p->call, &p->asking);
    if (code == EXIT_OK)
        code = change_begin(&p->change, p->call, &p->asking);
    if (code != EXIT_OK)
        return code;
    struct buf text = {0};
    p->untold = json_array();
    plan(p);
    title(p, &text);
    if (change_agreed(&p->change, buf_str(&text), p->resumes ? "Switch them on now?" : "Switch them off now?")) {
        act(p);
        judge(p);
    }
    buf_free(&text);
    json_t *extra = json_pack("{s:I, s:I, s:o}", "told", (json_int_t)p->told, "supervisors",
                              (json_int_t)json_array_size(p->roll.list), "untold", p->untold);
    return change_end(&p->change, extra);
}

static int run(const struct command_call *call, bool resumes)
{
    struct pausing p = {.call = call, .resumes = resumes};
    int code = asking_read(call, &p.asking);
    if (code == EXIT_OK && !resumes)
        code = read_pause(&p);
    if (code == EXIT_OK) {
        read_targets(&p);
        code = perform(&p);
        roll_free(&p.roll);
    }
    asking_free(&p.asking);
    return code;
}

static int run_pause(const struct command_call *call)
{
    return run(call, false);
}

static int run_resume(const struct command_call *call)
{
    return run(call, true);
}

static const struct command_option pause_options[] = {
    ASKING_OPTIONS,
    {"--for", NULL, "TIME", "how long: 90s, 30m, 2h, 7d; it ends by itself"},
    {"--reason", NULL, "TEXT", "what it is for, for those who wonder"},
    {"--owner", NULL, "NAME", "whom to ask (default: user@host)"},
    CHANGE_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

#define WORDS_TEXT                                                                                                  \
    "The words are names of groups, of shards (orders/1a2b3c4d) or of clusters; without any it is the fleet that\n" \
    "--fleet names, else everything.\n"

const struct command supervisor_pause = {
    .name = "pause",
    .arguments = "[FLEET|GROUP...]",
    .summary = "Switch automatic failovers off until a time, with an owner and a reason, at all supervisors.",
    .text = ASKING_TEXT
    "\n" WORDS_TEXT "\n"
    "A supervisor with a pause neither stands for an automatic failover nor votes for one. So it holds when a "
    "majority\n"
    "was told; each keeps it on its disk, over restarts, and it ends by itself. nodectl failover and planned switches\n"
    "still work, and leases are renewed. A redis-sentinel has nothing like it: it goes on failing over.\n"
    "\n"
    "Example:\n"
    "  nodectl supervisor pause orders --for 2h --reason 'new switches in rack 4'\n"
    "\n"
    "Exit status: 0 all supervisors have it; 1 one could not be told (standard error says whether it holds), or it "
    "was\n"
    "not confirmed; 2 the command line or the configuration file is wrong, or nobody can be asked and --yes is not\n"
    "given; 3 no supervisor can be reached; 130 interrupted.",
    .options = pause_options,
    .min_args = 0,
    .max_args = -1,
    .run = run_pause,
};

static const struct command_option resume_options[] = {
    ASKING_OPTIONS,
    CHANGE_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command supervisor_resume = {
    .name = "resume",
    .arguments = "[FLEET|GROUP...]",
    .summary = "Switch automatic failovers on again before the pause ends.",
    .text = ASKING_TEXT "\n" WORDS_TEXT
                        "A pause is ended under the name under which it was begun; without names all of them are.\n"
                        "\n"
                        "Example:\n"
                        "  nodectl supervisor resume orders\n"
                        "\n"
                        "Exit status: 0 no supervisor has it any more; 1 one could not be told, or it was not "
                        "confirmed; 2 the command line\n"
                        "or the configuration file is wrong, or nobody can be asked and --yes is not given; 3 no "
                        "supervisor can be reached;\n"
                        "130 interrupted.",
    .options = resume_options,
    .min_args = 0,
    .max_args = -1,
    .run = run_resume,
};
