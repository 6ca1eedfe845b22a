/* nodectl fleet restart --rolling. */
#include "nodectl/rolling/rolling_commands.h"

#include "common/base/text.h"
#include "nodectl/duration.h"
#include "nodectl/local/layout.h"
#include "nodectl/local/notes.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/rolling/order.h"

#include <string.h>
#include <time.h>

#define MAX_LAG_DEFAULT (1 << 20)
#define UNFINISHED_S (24 * 3600) /* one that halted longer ago is not gone on with unasked */
#define LONGEST_MS ((int64_t)30 * 24 * 3600 * 1000)

/* "1795368371", seconds as the message of one that halted has them, or how long ago: "20m". */
static bool read_since(const char *text, int64_t *since_s)
{
    int64_t ms;
    if (text_range(slice_of(text), 1000000000, INT64_MAX / 2000, since_s))
        return true;
    if (!duration_parse(text, 1, LONGEST_MS, &ms))
        return false;
    *since_s = (int64_t)time(NULL) - ms / 1000;
    return true;
}

static int read_options(const struct command_call *call, struct rolling *r)
{
    const char *lag = command_value(call, "--max-lag"), *outage = command_value(call, "--max-outage-ms");
    const char *since = command_value(call, "--since");
    uint64_t bytes = MAX_LAG_DEFAULT;
    if (command_value(call, "--rolling") == NULL)
        return command_fail(call, EXIT_USAGE,
                            "say --rolling: one after the other. All at once is nodectl fleet stop, and then start");
    if (since != NULL && command_value(call, "--anew") != NULL)
        return command_fail(call, EXIT_USAGE, "--since and --anew exclude each other");
    if (lag != NULL && (!text_size(slice_of(lag), &bytes) || bytes > INT64_MAX / 2))
        return command_fail(call, EXIT_USAGE, "--max-lag is '%s', but must be bytes, as 0, 64kb or 1mb", lag);
    r->max_outage_ms = -1;
    if (outage != NULL && !text_range(slice_of(outage), 0, INT32_MAX, &r->max_outage_ms))
        return command_fail(call, EXIT_USAGE, "--max-outage-ms is '%s', but must be milliseconds", outage);
    if (since != NULL && !read_since(since, &r->since_s))
        return command_fail(call, EXIT_USAGE, "--since is '%s', but must be seconds of the clock, or a time as 20m",
                            since);
    r->max_lag = (int64_t)bytes;
    r->command = command_value(call, "--command");
    r->keep_masters = command_value(call, "--keep-masters") != NULL;
    r->began_s = r->since_s > 0 ? r->since_s : (int64_t)time(NULL);
    return EXIT_OK;
}

/* What an earlier one has left to do. */
static void go_on_with_earlier(const struct command_call *call, struct rolling *r)
{
    const char *dir = r->work->asking.targets.dir;
    char when[WALL_TEXT_MAX];
    r->dir = dir != NULL && layout_is_there(dir) ? dir : NULL;
    int64_t since_s = r->dir != NULL ? notes_get(r->dir, ROLLING_NOTE) : 0;
    if (since_s == 0 || r->since_s > 0 || command_value(call, "--anew") != NULL)
        return;
    wall_text(since_s * 1000, when);
    if ((int64_t)time(NULL) - since_s > UNFINISHED_S) {
        change_warn(&r->work->change, "the restart of %.19s was not finished; that is long ago, so all are restarted",
                    when);
        return;
    }
    r->since_s = r->began_s = since_s;
    change_about(
        &r->work->change,
        "It goes on with the one that began at %.19s and was not finished; --anew begins with the first again.", when);
}

static json_t *document(const struct rolling *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const struct order *o = &r->v[i];
        json_t *outage = o->outage_ms >= 0 ? json_integer((json_int_t)o->outage_ms) : json_null();
        json_array_append_new(list, json_pack("{s:o, s:b, s:o}", "address", json_addr(&o->way.addr), "supervisor",
                                              o->kind == ORDER_SUPERVISOR, "outage_ms", outage));
    }
    return json_pack("{s:I, s:o}", "since", (json_int_t)r->began_s, "restarts", list);
}

static int run(const struct command_call *call)
{
    struct node_work work, *w = &work;
    struct rolling r = {.work = w};
    int code = node_read(w, call);
    if (code == EXIT_OK)
        code = read_options(call, &r);
    if (code == EXIT_OK)
        code = node_begin(w, true);
    if (code == EXIT_OK) {
        struct buf why = {0};
        go_on_with_earlier(call, &r);
        bool planned = rolling_plan(&r, &why);
        if (!planned)
            change_failed(&w->change, "%s", buf_str(&why));
        else if (r.n == 0 && !w->change.dry)
            rolling_forget(&r); /* it was killed when all was done */
        buf_free(&why);
        if (change_agreed(&w->change, "A rolling restart", "Restart them now, one after the other?"))
            (void)rolling_run(&r);
    }
    code = node_end(w, code, document(&r));
    rolling_free(&r);
    return code;
}

static const struct command_option options[] = {
    {"--rolling", NULL, NULL, "one after the other; there is no other way yet but fleet stop and start"},
    {"--keep-masters", NULL, NULL, "each master is one again afterwards, by a second switch"},
    {"--max-lag", NULL, "BYTES", "a replica that is further behind is waited for (default 1mb)"},
    {"--max-outage-ms", NULL, "MS", "measure with a canary how long writes wait, and halt where it is longer"},
    {"--since", NULL, "TIME", "leave alone whoever was started since then: 20m ago, or seconds of the clock"},
    {"--anew", NULL, NULL, "begin with the first one, though an earlier restart was not finished"},
    {"--command", NULL, "COMMAND", "restarts a server: it gets NODECTL_HOST, NODECTL_PORT and NODECTL_ROLE"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_fleet_restart = {
    .name = "restart",
    .arguments = "",
    .summary = "Restart all servers of a fleet one after the other, without an outage and without losing a write.",
    .text =
        "Replicas first, then each master: a replica takes its place by a planned switch, it is started again, and\n"
        "follows. Then the supervisors. Before each step all has to be well: all nodes and supervisors agree, "
        "replicas\n"
        "are in step, every master has the grants of all supervisors. Else it waits, and halts after ten minutes.\n"
        "\n"
        "A server of this host is restarted as its systemd unit, or by SIGTERM and the same program with the same\n"
        "arguments, environment, folder and user; a server of another host by --command, for example\n"
        "'ssh $NODECTL_HOST systemctl restart noded@$NODECTL_PORT'. With --max-outage-ms a canary writes to the shard\n"
        "(keys nodectl-drill:..., which expire).\n"
        "\n"
        "Given again after a halt it goes on with those that were not restarted yet. Where fleet create made the "
        "fleet\n"
        "on this host the folder keeps when it began (for a day); else it names the --since that is to be given.\n"
        "\n"
        "Example:\n"
        "  nodectl --fleet orders fleet restart --rolling --max-outage-ms 500\n"
        "\n"
        "Exit status: 0 done, or nothing was to be done; 1 it halted, was refused or not confirmed, as standard\n"
        "error says; 2 the command line or the configuration file is wrong, or nobody can be asked and --yes is not\n"
        "given; 3 no node of a cluster answers; 130 interrupted.",
    .options = options,
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
