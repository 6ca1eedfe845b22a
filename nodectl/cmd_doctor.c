/* nodectl doctor: looks at everything that tends to go wrong later, and says what to change. */
#include "nodectl/doctor/checks.h"
#include "nodectl/doctor/facts.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"
#include "nodectl/tree.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 10 /* of the severities' column */
#define PLACES_MAX 6

static enum paint paint_of(const char *severity)
{
    return strcmp(severity, FINDING_CRITICAL) == 0  ? PAINT_BAD
           : strcmp(severity, FINDING_WARNING) == 0 ? PAINT_WARN
                                                    : PAINT_NONE;
}

static bool is_same(const json_t *a, const json_t *b)
{
    static const char *const fields[] = {"severity", "check", "what", "change"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(field_text(a, fields[i]), field_text(b, fields[i])) != 0)
            return false;
    return true;
}

/* Where this finding is, and every later one that says the same; "": it was told with an earlier one. */
static void places_of(const json_t *findings, size_t at, struct buf *out)
{
    const json_t *f = json_array_get(findings, at), *other;
    size_t n = 0;
    for (size_t k = 0; k < json_array_size(findings); k++) {
        other = json_array_get(findings, k);
        if (!is_same(f, other))
            continue;
        if (k < at) {
            buf_clear(out);
            return;
        }
        if (n++ < PLACES_MAX)
            buf_printf(out, "%s%s", n > 1 ? ", " : "", field_text(other, "where"));
    }
    if (n > PLACES_MAX)
        buf_printf(out, " and %zu more", n - PLACES_MAX);
}

static void print_finding(const json_t *f, const char *places, bool colour)
{
    const char *severity = field_text(f, "severity"), *change = field_text(f, "change");
    print_painted(stdout, colour, paint_of(severity), severity);
    print_line(stdout, false, PAINT_NONE, "%*s%s (%s): %s", WIDTH - (int)strlen(severity), "", places,
               field_text(f, "check"), field_text(f, "what"));
    if (*change != '\0')
        print_line(stdout, false, PAINT_NONE, "%*s-> %s", WIDTH, "", change);
}

static void print_findings(const json_t *findings, const json_t *facts)
{
    size_t i;
    const json_t *f;
    json_array_foreach(findings, i, f)
    {
        struct buf places = {0};
        places_of(findings, i, &places);
        if (places.n > 0)
            print_finding(f, buf_str(&places), colour_wanted(stdout));
        buf_free(&places);
    }
    if (i > 0)
        putchar('\n');
    printf("%zu finding%s at %zu supervisors and %zu nodes.\n", i, i == 1 ? "" : "s",
           json_array_size(json_object_get(facts, "supervisors")), json_array_size(json_object_get(facts, "nodes")));
}

static int run(const struct command_call *call)
{
    struct asking a;
    json_t *facts = NULL;
    int code = asking_read_nodes(call, &a);
    if (code == EXIT_OK)
        code = facts_collect(call, &a, &facts);
    if (code == EXIT_OK) {
        json_t *findings = doctor_findings(facts);
        bool ill = doctor_is_ill(findings);
        if (a.document) {
            json_t *document = json_pack("{s:b, s:O, s:O}", "ok", !ill, "findings", findings, "facts", facts);
            output_document(a.format, document);
            json_decref(document);
        } else {
            print_findings(findings, facts);
        }
        json_decref(findings);
        code = ill ? EXIT_FAILED : EXIT_OK;
    }
    json_decref(facts);
    asking_free(&a);
    return code;
}

static const struct command_option options[] = {
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary =
        "Check clocks, kernel, persistence, replication, quorum, times, versions, memory and logins, and say what to "
        "change.",
    .text = ASKING_TEXT
    "\n"
    "With --seeds nodes are asked that nobody supervises, clusters or a master with its replicas, of any kind.\n"
    "\n"
    "A finding is critical (something is wrong now), a warning (something goes wrong when something else happens) or "
    "a\n"
    "note. What only the machine itself can tell, the kernel's settings, open files and disks, is checked for the "
    "nodes on\n"
    "this one. -o json has the facts as well.\n"
    "\n"
    "Example:\n"
    "  nodectl doctor --seeds 10.0.0.1:6379\n"
    "\n"
    "Exit status: 0 nothing, or only notes; 1 warnings or worse; 2 the command line or the configuration file is "
    "wrong;\n"
    "3 nobody can be asked.",
    .options = options,
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
