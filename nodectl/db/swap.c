/* nodectl db swap: two databases of a whole cluster, through its supervisors. */
#include "nodectl/db/verbs.h"

#include "common/base/text.h"
#include "nodectl/asking.h"
#include "nodectl/output.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 12000 /* the supervisor answers within ten seconds, whatever it comes to */

struct swap {
    const struct command_call *call;
    struct asking asking;
    struct fleet fleet;
    struct fleet_member *by; /* who shows the cluster, and is asked */
    char by_text[ADDR_TEXT_MAX];
    char *cluster;          /* owned */
    const redisReply *view; /* SENTINEL CLUSTER; the member's */
    int64_t first, second;  /* the databases */
    int64_t epoch;          /* of the mapping, before */
    int64_t took_ms;
    char hindered[256]; /* why none can begin now, as `by` sees it; "" nothing hinders one */
    struct buf failure;
};

/* ---- what there is ---- */

static void ask_all(struct swap *s, int argc, const char *const *argv)
{
    fleet_forget(&s->fleet);
    for (size_t i = 0; i < s->fleet.n; i++)
        fleet_ask(s->fleet.members[i], argc, argv);
    fleet_run(&s->fleet);
}

/* The first that watches clusters, or this one. */
static bool find_cluster(struct swap *s)
{
    const char *argv[] = {"SENTINEL", "CLUSTERS"};
    const char *given = command_value(s->call, "--cluster"), *wanted = given != NULL ? given : s->asking.targets.fleet;
    bool any = false;
    ask_all(s, 2, argv);
    for (size_t i = 0; i < s->fleet.n && s->by == NULL; i++) {
        const redisReply *r = fleet_answer(s->fleet.members[i]);
        if (r == NULL || r->type != REDIS_REPLY_ARRAY)
            continue;
        json_t *clusters = reply_objects(r);
        const json_t *c = wanted != NULL ? json_named(clusters, wanted) : json_array_get(clusters, 0);
        any = any || json_array_size(clusters) > 0;
        if (wanted == NULL && json_array_size(clusters) > 1) {
            buf_puts(&s->failure, "several clusters are supervised: give --cluster NAME");
        } else if (c != NULL) {
            s->by = s->fleet.members[i];
            s->cluster = strdup(field_text(c, "name"));
        }
        json_decref(clusters);
        if (s->failure.n > 0)
            return false;
    }
    if (s->by == NULL)
        buf_printf(&s->failure,
                   any ? "no supervisor that answers watches a cluster '%s'"
                       : "no supervisor that answers watches a cluster%.0s",
                   wanted != NULL ? wanted : "");
    return s->by != NULL;
}

static const redisReply *nested(const redisReply *map, const char *name)
{
    for (size_t i = 0; i + 1 < map->elements; i += 2)
        if (map->element[i]->type == REDIS_REPLY_STRING && strcmp(map->element[i]->str, name) == 0)
            return map->element[i + 1];
    return NULL;
}

static bool look(struct swap *s)
{
    const char *argv[] = {"SENTINEL", "CLUSTER", s->cluster};
    fleet_forget(&s->fleet);
    fleet_ask(s->by, 3, argv);
    fleet_run(&s->fleet);
    s->view = fleet_answer(s->by);
    if (s->view == NULL || s->view->type != REDIS_REPLY_ARRAY) {
        buf_printf(&s->failure, "%s does not show cluster %s: %s", s->by_text, s->cluster,
                   s->by->error != NULL ? s->by->error
                   : s->view != NULL    ? s->view->str
                                        : "");
        return false;
    }
    json_t *head = reply_object(s->view);
    s->epoch = field_number(head, "mapping-epoch", -1);
    if (s->epoch < 0)
        buf_printf(&s->failure, "%s is of a version that swaps no databases", s->by_text);
    else if (field_number(head, "lease-milliseconds", 0) == 0)
        buf_printf(&s->failure,
                   "databases are swapped under leases only, and cluster %s has none (lease_ms, supervisors)",
                   s->cluster);
    snprintf(s->hindered, sizeof s->hindered, "%s", field_text(head, "swapdb-hindered-by"));
    json_decref(head);
    return s->failure.n == 0;
}

/* ---- the plan ---- */

/* -1: no shard told it. */
static int64_t keys_of(const struct swap *s, int64_t db)
{
    const redisReply *r = nested(s->view, "databases");
    json_t *databases = r != NULL ? reply_objects(r) : json_array();
    int64_t keys = 0;
    size_t i;
    json_t *d;
    json_array_foreach(databases, i, d) if (field_number(d, "db", -1) == db) keys = field_number(d, "keys", 0);
    json_decref(databases);
    return keys;
}

static json_t *masters_of(const struct swap *s)
{
    const redisReply *r = nested(s->view, "shards");
    return r != NULL ? reply_objects(r) : json_array();
}

static void show_plan(const struct swap *s)
{
    static const char *const titles[] = {"SHARD", "MASTER", "STATE", NULL};
    FILE *out = asking_people(&s->asking);
    struct table *t = table_new(titles);
    json_t *shards = masters_of(s), *shard;
    size_t i;
    json_array_foreach(shards, i, shard)
    {
        const char *state = field_text(shard, "state");
        table_cell(t, PAINT_NONE, "%s", field_text(shard, "name"));
        table_cell(t, PAINT_NONE, "%s:%s", field_text(shard, "ip"), field_text(shard, "port"));
        table_cell(t, strcmp(state, "ok") == 0 ? PAINT_GOOD : PAINT_BAD, "%s", state);
    }
    fprintf(out, "Databases %lld and %lld of cluster ", (long long)s->first, (long long)s->second);
    print_painted(out, false, PAINT_NONE, s->cluster);
    fprintf(out, " are exchanged on all %zu masters, or on none:\n", json_array_size(shards));
    table_print(t, out, "  ", colour_wanted(out));
    fprintf(out, "  database %lld has %lld keys, database %lld has %lld\n", (long long)s->first,
            (long long)keys_of(s, s->first), (long long)s->second, (long long)keys_of(s, s->second));
    fprintf(out, "  requests to both wait meanwhile, for some milliseconds where nothing fails\n");
    fprintf(out, "  by supervisor %s; mapping epoch %lld, then %lld\n", s->by_text, (long long)s->epoch,
            (long long)s->epoch + 1);
    fflush(out);
    table_free(t);
    json_decref(shards);
}

/* ---- acting ---- */

static void act(struct swap *s)
{
    char first[24], second[24];
    const char *argv[] = {"SENTINEL", "SWAPDB", s->cluster, first, second};
    snprintf(first, sizeof first, "%lld", (long long)s->first);
    snprintf(second, sizeof second, "%lld", (long long)s->second);
    fleet_forget(&s->fleet);
    if (s->fleet.timeout_ms < ANSWER_MS)
        s->fleet.timeout_ms = ANSWER_MS;
    int64_t begin_ms = fleet_now_ms();
    fleet_ask(s->by, 5, argv);
    fleet_run(&s->fleet);
    s->took_ms = fleet_now_ms() - begin_ms;
    const redisReply *r = fleet_answer(s->by);
    if (r == NULL)
        buf_printf(&s->failure, "it is not known what came of it: %s: %s. See SENTINEL CLUSTER %s at any supervisor",
                   s->by_text, s->by->error != NULL ? s->by->error : "no answer", s->cluster);
    else if (r->type == REDIS_REPLY_ERROR)
        buf_printf(&s->failure, "%s says: %s", s->by_text, r->str);
}

static int finish(struct swap *s, bool dry)
{
    bool done = s->failure.n == 0 && !dry;
    int64_t epoch = s->epoch + (done ? 1 : 0);
    if (s->asking.document) {
        json_t *o = json_pack("{s:b, s:b, s:o, s:s?, s:I, s:I, s:s, s:I, s:I}", "done", done, "dry_run", dry, "reason",
                              s->failure.n > 0 ? json_text(s->failure.p, s->failure.n) : json_null(), "cluster",
                              s->cluster, "first", (json_int_t)s->first, "second", (json_int_t)s->second, "by",
                              s->by_text, "mapping_epoch", (json_int_t)epoch, "took_ms", (json_int_t)s->took_ms);
        output_document(s->asking.format, o);
        json_decref(o);
    } else if (done) {
        printf("Done: every master has exchanged them (%lld ms).\n", (long long)s->took_ms);
    } else if (dry && s->failure.n == 0) {
        puts("Nothing was done: --dry-run.");
    }
    if (s->failure.n > 0) {
        fflush(stdout);
        print_line(stderr, false, PAINT_NONE, "nodectl db swap: %s", buf_str(&s->failure));
    }
    return s->failure.n == 0 ? EXIT_OK : EXIT_FAILED;
}

static int perform(struct swap *s)
{
    bool dry = command_value(s->call, "--dry-run") != NULL, yes = dry || command_value(s->call, "--yes") != NULL;
    if (asking_can_confirm(s->call, yes) != EXIT_OK)
        return EXIT_USAGE;
    asking_begin(&s->asking, &s->fleet);
    for (size_t i = 0; i < s->fleet.n; i++)
        asking_login(&s->asking, s->fleet.members[i]);
    bool found = find_cluster(s);
    if (asking_nobody(s->call, &s->asking, &s->fleet))
        return EXIT_NOBODY;
    if (found)
        addr_text(&s->by->addr, s->by_text);
    if (found && look(s)) {
        if (!s->asking.document || !yes)
            show_plan(s);
        if (!yes && !asking_confirmed(&s->asking, "Swap them now?"))
            buf_puts(&s->failure, "nothing was done: it was not confirmed");
        else if (!dry)
            act(s); /* what hinders it may be over soon: the supervisor waits for that */
        else if (s->hindered[0] != '\0')
            buf_printf(&s->failure, "no databases can be swapped now: %s", s->hindered);
    }
    return finish(s, dry);
}

static int read_databases(struct swap *s)
{
    const struct command_call *call = s->call;
    int64_t *to[] = {&s->first, &s->second};
    for (size_t i = 0; i < 2; i++)
        if (!text_range(slice_of(call->argv[i]), 0, INT32_MAX, to[i]))
            return command_fail(call, EXIT_USAGE, "'%s' is no number of a database", call->argv[i]);
    if (s->first == s->second)
        return command_fail(call, EXIT_USAGE, "a database can't be exchanged with itself");
    return EXIT_OK;
}

int db_swap(const struct command_call *call)
{
    struct swap s = {.call = call, .by_text = ""};
    int code = asking_read(call, &s.asking);
    if (code == EXIT_OK)
        code = read_databases(&s);
    if (code == EXIT_OK) {
        code = perform(&s);
        fleet_free(&s.fleet);
    }
    free(s.cluster);
    buf_free(&s.failure);
    asking_free(&s.asking);
    return code;
}
