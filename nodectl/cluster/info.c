/* nodectl cluster info. */
#include "nodectl/cluster/commands.h"

#include "nodectl/slots/keys.h"
#include "nodectl/slots/session.h"
#include "nodectl/table.h"

#include <stdlib.h>
#include <string.h>

struct sizes {
    struct session s;
    struct key_counts *counts; /* of the masters that answer */
    size_t n;
};

static const struct key_counts *counts_of(const struct sizes *z, const struct picture_node *n)
{
    for (size_t i = 0; i < z->n; i++)
        if (strcmp(z->counts[i].id, n->id) == 0)
            return &z->counts[i];
    return NULL;
}

static int64_t sum_of(const struct sizes *z)
{
    int64_t sum = 0;
    for (size_t i = 0; i < z->n; i++)
        sum += z->counts[i].all;
    return sum;
}

static json_t *databases_of(const struct key_counts *c)
{
    json_t *list = json_array();
    for (int db = 0; c != NULL && db < c->databases; db++)
        if (c->keys_of_database[db] > 0)
            json_array_append_new(list,
                                  json_pack("{s:i, s:I}", "database", db, "keys", (json_int_t)c->keys_of_database[db]));
    return list;
}

static void print_document(const struct sizes *z)
{
    const struct picture *p = &z->s.picture;
    json_t *list = json_array(), *o = json_object();
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        const struct key_counts *c = counts_of(z, n);
        char text[ADDR_TEXT_MAX];
        if (!n->master)
            continue;
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:b, s:o, s:i, s:i, s:o, s:o}", "address",
                                              addr_text(&n->addr, text), "id", n->id, "answers", n->answers, "version",
                                              n->version, "noded", n->noded, "keys",
                                              c != NULL ? json_integer((json_int_t)c->all) : json_null(), "slots",
                                              (int)n->nslots, "replicas", (int)picture_replicas(p, n), "dataset_bytes",
                                              c != NULL ? json_integer((json_int_t)c->bytes) : json_null(), "databases",
                                              databases_of(c)));
    }
    json_object_set_new(o, "masters", list);
    json_object_set_new(o, "keys", json_integer((json_int_t)sum_of(z)));
    json_object_set_new(o, "slots_covered", json_integer((json_int_t)p->covered));
    output_document(z->s.asking.format, o);
    json_decref(o);
}

static void print(const struct sizes *z)
{
    static const char *const titles[] = {"MASTER", "NODE", "KEYS", "SLOTS", "REPLICAS", "MEMORY", "VERSION", NULL};
    const struct picture *p = &z->s.picture;
    struct table *t = table_new(titles);
    size_t masters = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        const struct key_counts *c = counts_of(z, n);
        char text[ADDR_TEXT_MAX];
        if (!n->master)
            continue;
        masters++;
        table_cell(t, n->answers ? PAINT_NONE : PAINT_BAD, "%s", addr_text(&n->addr, text));
        table_cell(t, PAINT_NONE, "%.8s", n->id);
        if (c != NULL)
            table_cell(t, PAINT_NONE, "%lld", (long long)c->all);
        else
            table_cell(t, PAINT_NONE, "?");
        table_cell(t, PAINT_NONE, "%u", n->nslots);
        table_cell(t, PAINT_NONE, "%zu", picture_replicas(p, n));
        if (c != NULL)
            table_cell(t, PAINT_NONE, "%.1f MB", (double)c->bytes / 1e6);
        else
            table_cell(t, PAINT_NONE, "?");
        table_cell(t, PAINT_NONE, "%s%s", n->noded ? "noded, as " : n->valkey ? "Valkey " : "", n->version);
    }
    table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
    printf("%lld keys in %zu masters, %.2f keys per slot; %zu of %d slots are covered.\n", (long long)sum_of(z),
           masters, (double)sum_of(z) / SN_SLOTS, p->covered, SN_SLOTS);
}

static int run_info(const struct command_call *call)
{
    struct sizes z = {.counts = NULL};
    struct buf why = {0};
    int code = session_read(&z.s, call);
    if (code == EXIT_OK)
        code = session_look(&z.s);
    if (code == EXIT_OK) {
        const struct picture *p = &z.s.picture;
        z.counts = keys_new(p->n);
        for (size_t i = 0; i < p->n; i++)
            if (p->v[i].master && p->v[i].answers)
                memcpy(z.counts[z.n++].id, p->v[i].id, sizeof(runid));
        if (!keys_count(&z.s.picture, z.counts, z.n, &why))
            code = command_fail(call, EXIT_FAILED, "%s", buf_str(&why));
        else if (z.s.asking.document)
            print_document(&z);
        else
            print(&z);
        for (size_t i = 0; code == EXIT_OK && i < p->n; i++)
            if (p->v[i].master && !p->v[i].answers && p->v[i].nslots > 0)
                code = command_fail(call, EXIT_FAILED,
                                    "a master with %u slots does not answer: see `nodectl slots check`",
                                    p->v[i].nslots);
    }
    free(z.counts);
    buf_free(&why);
    session_end(&z.s);
    return code;
}

static const struct command_option options[] = {ASKING_OPTIONS, ASKING_NODES_OPTIONS, {NULL, NULL, NULL, NULL}};

const struct command command_cluster_info = {
    .name = "info",
    .arguments = "",
    .summary = "How much each master has: keys of all databases, slots, replicas, memory.",
    .text =
        "Works with noded, redis-server and valkey-server.\n"
        "\n"
        "Example:\n"
        "  nodectl cluster info\n"
        "  nodectl cluster info --seeds 127.0.0.1:7000 -o json\n"
        "\n"
        "Exit status: 0 all masters with slots answer; 1 one does not; 2 the command line or the configuration file\n"
        "is wrong; 3 no node can be asked.",
    .options = options,
    .run = run_info,
};
