/* nodectl fleet topology: who is where, as a tree. */
#include "nodectl/view/view_commands.h"

#include "nodectl/local/layout.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"
#include "nodectl/view/overview.h"
#include "nodectl/view/topology.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static bool is_utf8(void)
{
    setlocale(LC_CTYPE, "");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Of a fleet that `fleet create` made; { host: zone }. */
static json_t *zones_of(const struct asking *a)
{
    struct layout l;
    struct buf why = {0};
    json_t *zones = json_object();
    if (a->targets.dir != NULL) {
        bool read = layout_load(&l, a->targets.dir, &why);
        for (size_t i = 0; read && i < l.n; i++)
            if (l.v[i].zone[0] != '\0')
                json_object_set_new(zones, l.v[i].addr.host, json_text(l.v[i].zone, strlen(l.v[i].zone)));
        layout_free(&l);
    }
    buf_free(&why);
    return zones;
}

static int show(const struct asking *a, const json_t *status)
{
    json_t *zones = zones_of(a), *topology = topology_document(status, zones);
    if (a->document) {
        output_document(a->format, topology);
    } else {
        struct topology_style style = {
            .colour = colour_wanted(stdout), .utf8 = is_utf8(), .hosts = a->format == OUTPUT_WIDE};
        topology_print(topology, &style, stdout);
    }
    json_decref(topology);
    json_decref(zones);
    return json_is_true(json_object_get(status, "ok")) ? EXIT_OK : EXIT_FAILED;
}

static int run(const struct command_call *call)
{
    struct asking a;
    int code = asking_read(call, &a);
    if (code == EXIT_OK) {
        struct overview l;
        overview_take(&l, &a, (const char *const *)call->argv, (size_t)call->argc);
        code = asking_nobody(call, &a, &l.fleet) ? EXIT_NOBODY : show(&a, l.document);
        overview_free(&l);
    }
    asking_free(&a);
    return code;
}

static const struct command_option options[] = {ASKING_OPTIONS, {NULL, NULL, NULL, NULL}};

const struct command command_fleet_topology = {
    .name = "topology",
    .arguments = "[GROUP...]",
    .summary =
        "Show who is where, as a tree: clusters, shards, masters, replicas with their lag, supervisors and leases.",
    .text = ASKING_TEXT
    "\n"
    "With -o wide also what each host carries. Notes name the shards that would lose all of their copies with one\n"
    "host or, in a fleet that was made with zones, with one zone.\n"
    "\n"
    "Example:\n"
    "  nodectl fleet topology\n"
    "  nodectl fleet topology orders -o wide\n"
    "\n"
    "Exit status: 0 all is well; 1 something is wrong, as below the tree; 2 the command line or the configuration\n"
    "file is wrong; 3 no supervisor can be reached.",
    .options = options,
    .min_args = 0,
    .max_args = -1,
    .run = run,
};
