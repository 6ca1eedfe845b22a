/* nodectl explain: why a failover went as it did. */
#include "nodectl/tree.h"

#include "common/base/text.h"
#include "common/io/clock.h"
#include "nodectl/explain.h"
#include "nodectl/past.h"
#include "nodectl/table.h"
#include "sentineld/core/note.h"

#include <stdio.h>
#include <string.h>

/* ---- what keeps the supervisors from a failover now ---- */

/* The newest note that tells what a supervisor does, or does not do, about the master. */
static const json_t *newest(const json_t *collected)
{
    static const char *const tell_nothing[] = {"vote", "sdown", "odown"};
    const json_t *s, *e, *last = NULL;
    size_t i, k;
    json_array_foreach(collected, i, s)
    {
        json_array_foreach(json_object_get(s, "notes"), k, e)
        {
            bool tells = true;
            for (size_t n = 0; n < sizeof tell_nothing / sizeof tell_nothing[0]; n++)
                tells = tells && strcmp(json_word(e, "kind"), tell_nothing[n]) != 0;
            if (tells && json_int(e, "wall_ms", 0) > json_int(last, "wall_ms", -1))
                last = e;
        }
    }
    return last;
}

/* A new object { by, reason, until_ms }; NULL: no pause does. */
static json_t *held_back(const json_t *collected)
{
    const json_t *e = newest(collected), *note = json_object_get(e, "note");
    if (json_object_get(note, "paused_by") == NULL || json_int(note, "paused_until_ms", 0) <= io_wall_ms())
        return NULL;
    return json_pack("{s:s, s:s, s:I}", "by", json_word(note, "paused_by"), "reason", json_word(note, "paused_for"),
                     "until_ms", (json_int_t)json_int(note, "paused_until_ms", 0));
}

static void print_held_back(const char *group, const json_t *held)
{
    char until[WALL_TEXT_MAX];
    print_line(stdout, colour_wanted(stdout), PAINT_WARN,
               "No failover of %s now: automatic failovers are paused by %s until %s: %s", group, json_word(held, "by"),
               wall_text(json_int(held, "until_ms", 0), until), json_word(held, "reason"));
}

static int show(const struct command_call *call, const struct asking *a, json_t *document)
{
    bool replays = command_value(call, "--replay") != NULL;
    if (replays)
        json_object_set_new(document, "replay", explain_replay(document));
    if (a->document) {
        output_document(a->format, document);
    } else {
        const json_t *held = json_object_get(document, "held_back");
        if (held != NULL)
            print_held_back(call->argv[0], held);
        if (json_object_get(document, "outcome") != NULL)
            explain_print(document, stdout, colour_wanted(stdout));
    }
    return !replays || json_yes(json_object_get(document, "replay"), "same") ? EXIT_OK : EXIT_FAILED;
}

static int explain(const struct command_call *call, const struct asking *a, int64_t epoch, const char *kind)
{
    struct fleet f;
    asking_begin(a, &f);
    json_t *collected = explain_collect(a, &f, call->argv[0]), *document = NULL;
    json_t *held = epoch == 0 && kind == NULL ? held_back(collected) : NULL;
    int code;
    document = explain_document(collected, call->argv[0], epoch, kind);
    if (document == NULL && held != NULL)
        document = json_pack("{s:s}", "group", call->argv[0]);
    if (held != NULL)
        json_object_set(document, "held_back", held);
    if (asking_nobody(call, a, &f)) {
        code = EXIT_NOBODY;
    } else if (document != NULL) {
        code = show(call, a, document);
    } else {
        code = command_fail(call, EXIT_FAILED, "no supervisor has a record of %s of %s; see `nodectl history %s`",
                            epoch != 0 || kind != NULL ? call->argv[1] : "a failover", call->argv[0], call->argv[0]);
    }
    json_decref(held);
    json_decref(document);
    json_decref(collected);
    fleet_free(&f);
    return code;
}

static int run(const struct command_call *call)
{
    struct asking a;
    const char *which = call->argc > 1 ? call->argv[1] : NULL;
    enum sn_note_kind kind;
    int64_t epoch = 0;
    int code = asking_read(call, &a);
    bool by_epoch = which != NULL && text_range(slice_of(which), 1, INT64_MAX, &epoch);
    if (code == EXIT_OK && which != NULL && !by_epoch && !sn_note_kind_parse(slice_of(which), &kind))
        code = command_fail(call, EXIT_USAGE,
                            "'%s' is neither an epoch nor an event: stand, vote, won, lost, promoted, "
                            "switched, converged, aborted or config",
                            which);
    if (code == EXIT_OK)
        code = explain(call, &a, epoch, which != NULL && !by_epoch ? which : NULL);
    asking_free(&a);
    return code;
}

static const struct command_option options[] = {
    ASKING_OPTIONS,
    {"--replay", NULL, NULL, "decide it again from the record, and compare"},
    {NULL, NULL, NULL, NULL},
};

const struct command command_explain = {
    .name = "explain",
    .arguments = "GROUP [EPOCH|EVENT]",
    .summary =
        "Tell why a failover went as it did: evidence, votes, ranking of the replicas, milliseconds of each phase.",
    .text =
        "Without EPOCH the last failover is told, or the last attempt at one, and the pause (nodectl supervisor "
        "pause)\n"
        "that keeps the supervisors from one now. EVENT is a kind of note (lost, aborted,\n"
        "switched, ...): then the last one with such a note. EPOCH is the ballot's, as `nodectl history` shows it, or\n"
        "where no ballot has it, the configuration's, as `nodectl status` does: with nodes of Redis or Valkey these\n"
        "differ. All supervisors that can be found are asked; the fullest\n"
        "record is that of the supervisor that led.\n"
        "\n"
        "--replay puts what was recorded into the supervisor's decision core and compares S_DOWN, O_DOWN, the replica "
        "that\n"
        "is named, the election and the new master.\n"
        "\n"
        "Example:\n"
        "  nodectl explain orders/1a2b3c4d\n"
        "  nodectl explain orders/1a2b3c4d 12 --replay\n"
        "\n"
        "Exit status: 0 told, and a replay agrees; 1 nothing is recorded, or a replay differs or is not possible;\n"
        "2 the command line or the configuration file is wrong; 3 no supervisor can be reached.",
    .options = options,
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
