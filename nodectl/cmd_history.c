/* nodectl history: what one supervisor decided, and why, newest last. */
#include "nodectl/tree.h"

#include "common/base/text.h"
#include "nodectl/asking.h"
#include "nodectl/note_text.h"
#include "nodectl/past.h"
#include "nodectl/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_table(const json_t *notes, const struct addr *from)
{
    char when[WALL_TEXT_MAX], name[ADDR_TEXT_MAX];
    static const char *const titles[] = {"NUMBER", "TIME", "GROUP", "DECISION", NULL};
    struct table *t = table_new(titles);
    size_t i;
    json_t *e;
    json_array_foreach(notes, i, e)
    {
        struct buf text = {0};
        note_text(&text, e);
        table_cell(t, PAINT_NONE, "%" PRId64, json_int(e, "number", 0));
        table_cell(t, PAINT_NONE, "%s", wall_text(json_int(e, "wall_ms", 0), when));
        table_cell(t, PAINT_NONE, "%s", json_word(e, "group"));
        table_cell(t, PAINT_NONE, "%s", buf_str(&text));
        buf_free(&text);
    }
    if (json_array_size(notes) == 0)
        printf("Nothing is recorded at %s.\n", addr_text(from, name));
    else
        table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
}

/* Newest last, as a log is read. */
static json_t *turned(const json_t *list)
{
    json_t *out = json_array();
    for (size_t i = json_array_size(list); i-- > 0;)
        json_array_append(out, json_array_get(list, i));
    return out;
}

static int show(const struct command_call *call, const struct asking *a, const struct fleet *f)
{
    const redisReply *refusal = NULL;
    for (size_t i = 0; i < f->n; i++) {
        const struct fleet_member *m = f->members[i];
        const redisReply *r = fleet_answer(m);
        json_t *list = r != NULL ? past_notes(r) : NULL;
        if (list != NULL) {
            json_t *notes = turned(list);
            if (a->document) {
                output_document(a->format, notes);
            } else {
                print_table(notes, &m->addr);
            }
            json_decref(notes);
            json_decref(list);
            return EXIT_OK;
        }
        if (r != NULL && r->type == REDIS_REPLY_ERROR)
            refusal = r;
    }
    if (refusal != NULL)
        return command_fail(call, EXIT_FAILED, "no supervisor tells its history: %s", refusal->str);
    asking_nobody(call, a, f);
    return EXIT_NOBODY;
}

static int ask(const struct command_call *call, const struct asking *a)
{
    const char *count = command_value(call, "--count"), *kind = command_value(call, "--kind");
    int64_t n;
    if (count != NULL && !text_range(slice_of(count), 1, 10000, &n))
        return command_fail(call, EXIT_USAGE, "--count is '%s', but must be a number from 1 to 10000", count);
    const char *argv[8] = {"SENTINEL", "HISTORY", "COUNT", count != NULL ? count : "100"};
    int argc = 4;
    if (call->argc > 0) {
        argv[argc++] = "GROUP";
        argv[argc++] = call->argv[0];
    }
    if (kind != NULL) {
        argv[argc++] = "KIND";
        argv[argc++] = kind;
    }
    struct fleet f;
    asking_begin(a, &f);
    for (size_t i = 0; i < f.n; i++) {
        asking_login(a, f.members[i]);
        fleet_ask(f.members[i], argc, argv);
    }
    fleet_run(&f);
    int code = show(call, a, &f);
    fleet_free(&f);
    return code;
}

static int run(const struct command_call *call)
{
    struct asking a;
    int code = asking_read(call, &a);
    if (code == EXIT_OK)
        code = ask(call, &a);
    asking_free(&a);
    return code;
}

static const struct command_option options[] = {
    ASKING_OPTIONS,
    {"--count", "-n", "N", "how many of the newest are shown (default 100)"},
    {"--kind", NULL, "KIND",
     "only one kind: sdown, odown, waiting, stand, vote, won, lost, promoted, switched, converged, aborted, config"},
    {NULL, NULL, NULL, NULL},
};

const struct command command_history = {
    .name = "history",
    .arguments = "[GROUP]",
    .summary = "Show what a supervisor decided, or decided not to do, newest last.",
    .text =
        "The first of the named supervisors that answers is asked. `nodectl explain` tells the whole of one failover\n"
        "from all supervisors. -o json has everything that a decision was made from.\n"
        "\n"
        "Example:\n"
        "  nodectl history orders/1a2b3c4d\n"
        "\n"
        "Exit status: 0 shown; 1 the supervisor keeps no history or refuses; 2 the command line or the configuration\n"
        "file is wrong; 3 no supervisor can be reached.",
    .options = options,
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
