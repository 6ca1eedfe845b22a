/* The first part of a drill: is the fleet well, what is it about, how is it done. Nothing is changed. */
#include "nodectl/drill/run.h"

#include "common/base/rng.h"
#include "common/io/clock.h"
#include "nodectl/drill/survey.h"
#include "nodectl/past.h"
#include "nodectl/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TTL_MARGIN_MS 300000

/* Lines about the fleet, on standard error. Returns the exit status. */
static int refuse(const struct drill_run *r, const char *head, struct buf *lines)
{
    command_fail(r->call, EXIT_USAGE, "nothing was done: %s", head);
    print_lines(stderr, "  ", buf_slice(lines));
    return EXIT_USAGE;
}

static void name_it(struct drill_run *r)
{
    uint64_t drawn = 0;
    if (getrandom(&drawn, sizeof drawn, 0) < 0)
        drawn = (uint64_t)io_now_us();
    r->seed = r->order.seed >= 0 ? (uint64_t)r->order.seed : drawn % 1000000;
    snprintf(r->id, sizeof r->id, "%" PRId64 "-%06x", io_wall_ms() / 1000, (unsigned)(drawn >> 40));
}

static bool choose_harm(struct drill_run *r, struct buf *why)
{
    enum drill_kind kinds[DRILL_RANDOM] = {(enum drill_kind)r->order.kind};
    size_t n = 1;
    if (r->order.kind == DRILL_RANDOM) {
        target_draw_kinds(r->seed, kinds);
        n = DRILL_RANDOM;
    }
    for (size_t i = 0; i < n; i++) {
        buf_clear(why);
        if (harm_prepare(&r->harm, kinds[i], &r->asking, &r->order, &r->target, why)) {
            if (r->order.max_outage_ms < 0 && r->harm.part != PART_MASTER)
                r->order.max_outage_ms = ORDER_UNNOTICED_MS; /* its clients should notice nothing */
            return true;
        }
        harm_free(&r->harm);
    }
    return false;
}

static bool set_up_canaries(struct drill_run *r, struct buf *why)
{
    const struct drill_target *t = &r->target;
    const struct drill_order *o = &r->order;
    struct survey_node node;
    if (!survey_node(&r->asking, o, &t->shard.nodes[0], false, &node, why))
        return false;
    int64_t databases = o->databases > 0 && o->databases < node.databases ? o->databases : node.databases;
    r->setup = (struct canary_setup){
        .id = r->id,
        .nodes = t->shard.nodes,
        .nnodes = t->shard.n,
        .others = t->bystander.nodes,
        .nothers = t->bystander.n,
        .tag = t->cluster ? t->shard.tag : "0",
        .other_tag = t->bystander.tag,
        .databases = (int)(databases < ORDER_DATABASES_MAX ? databases : ORDER_DATABASES_MAX),
        .group = t->shard.name,
        .supervisors = t->supervisors,
        .nsupervisors = t->nsupervisors,
        .supervisor_user = r->asking.user,
        .supervisor_password = r->asking.password,
        .rules = {.user = o->node_user != NULL ? o->node_user : "",
                  .password = o->node_password != NULL ? o->node_password : "",
                  .cluster = t->cluster,
                  .every_us = o->every_ms * 1000,
                  .timeout_us = o->client_timeout_ms * 1000,
                  .stale_us = o->stale_ms * 1000,
                  .ttl_ms = o->max_time_s * 1000 + TTL_MARGIN_MS}};
    return true;
}

/* The document about what the drill is about; its name goes to *scope. NULL: code says which exit status. */
static json_t *look(struct drill_run *r, json_t **shards, char **scope, int *code)
{
    struct buf why = {0};
    json_t *document = survey_status(r->call, &r->asking, NULL, NULL);
    const char *name = document != NULL ? target_scope(document, &r->order, &why) : NULL;
    *code = document == NULL ? EXIT_NOBODY : EXIT_OK;
    if (name != NULL)
        *scope = slice_dup(slice_of(name));
    else if (document != NULL)
        *code = refuse(r, buf_str(&why), &(struct buf){0});
    json_decref(document);
    buf_free(&why);
    if (name == NULL)
        return NULL;
    document = survey_status(r->call, &r->asking, *scope, shards);
    if (document == NULL)
        *code = EXIT_NOBODY;
    return document;
}

int drill_prepare(struct drill_run *r)
{
    struct buf why = {0};
    json_t *shards = NULL;
    char *scope = NULL;
    int code;
    name_it(r);
    r->harm.process.fd = r->harm.guard_fd = -1;
    json_t *document = look(r, &shards, &scope, &code);
    bool unfit = document != NULL && target_unfit(document, scope, &why) > 0;
    if (unfit)
        claim_tell(&r->asking, &why);
    if (unfit)
        code = refuse(r, "the fleet is not well, or not as it should be:", &why);
    else if (document != NULL && (!target_choose(document, shards, &r->order, scope, r->seed, &r->target, &why) ||
                                  !choose_harm(r, &why) || !set_up_canaries(r, &why)))
        code = refuse(r, "the drill cannot be done:", &why);
    free(scope);
    json_decref(shards);
    json_decref(document);
    buf_free(&why);
    return code;
}

json_t *drill_plan_document(const struct drill_run *r)
{
    const struct drill_target *t = &r->target;
    const struct drill_order *o = &r->order;
    struct buf what = {0}, back = {0};
    char at[ADDR_TEXT_MAX], master[ADDR_TEXT_MAX];
    harm_describe(&r->harm, &what, &back);
    json_t *d = json_pack(
        "{s:s, s:s, s:s?, s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:s?, s:I, s:{s:o, s:I, s:I, s:I}, s:I}", "drill", o->name,
        "kind", drill_kind_name(r->harm.kind), "cluster", t->cluster ? t->scope : NULL, "group", t->shard.name,
        "victim", addr_text(&r->harm.at, at), "master", addr_text(&t->shard.nodes[0], master), "harm", buf_str(&what),
        "way_back", buf_str(&back), "restore_roles", o->restore_roles, "databases", r->setup.databases, "bystander",
        t->bystander.n > 0 ? t->bystander.name : NULL, "seed", (json_int_t)r->seed, "objective", "max_outage_ms",
        o->max_outage_ms >= 0 ? json_integer(o->max_outage_ms) : json_null(), "max_bystander_ms",
        (json_int_t)o->max_bystander_ms, "max_lost", (json_int_t)o->max_lost, "max_time_s", (json_int_t)o->max_time_s,
        "supervisors", (json_int_t)t->nsupervisors);
    buf_free(&what);
    buf_free(&back);
    return d;
}

void drill_show_plan(const struct drill_run *r, FILE *out)
{
    const struct drill_target *t = &r->target;
    const struct drill_order *o = &r->order;
    struct buf what = {0}, back = {0}, text = {0};
    char at[ADDR_TEXT_MAX];
    harm_describe(&r->harm, &what, &back);
    buf_printf(&text, "Drill %s", o->name);
    if (strcmp(o->name, drill_kind_name(r->harm.kind)) != 0)
        buf_printf(&text, " (%s)", drill_kind_name(r->harm.kind));
    buf_printf(&text, " on %s, seed %" PRIu64 "\n", t->shard.name, r->seed);
    buf_printf(&text, "  victim       %s (%s)\n", addr_text(&r->harm.at, at),
               r->harm.part == PART_MASTER    ? "the master"
               : r->harm.part == PART_REPLICA ? "a replica"
                                              : "a supervisor");
    buf_printf(&text, "  harm         %s\n", buf_str(&what));
    buf_printf(&text, "  way back     %s%s\n", buf_str(&back),
               r->harm.part != PART_MASTER ? ""
               : o->restore_roles          ? "; then master again by a planned switch"
                                           : "; the new master stays");
    buf_printf(&text, "  canaries     a writer and a reader in %d database%s of %s%s%s\n", r->setup.databases,
               r->setup.databases > 1 ? "s" : "", t->shard.name, t->bystander.n > 0 ? ", and in one of " : "",
               t->bystander.n > 0 ? t->bystander.name : "");
    buf_puts(&text, "  objective    ");
    if (o->max_outage_ms >= 0)
        buf_printf(&text, "%" PRId64 " ms without an acknowledged write at most, ", o->max_outage_ms);
    if (t->bystander.n > 0)
        buf_printf(&text, "%" PRId64 " ms without one in %s, ", o->max_bystander_ms, t->bystander.name);
    buf_printf(&text, "%" PRId64 " acknowledged writes lost at most; over in %" PRId64 " s\n", o->max_lost,
               o->max_time_s);
    buf_printf(&text, "  supervisors  %zu, all agree\n", t->nsupervisors);
    print_lines(out, "", buf_slice(&text));
    fflush(out);
    buf_free(&what);
    buf_free(&back);
    buf_free(&text);
}
