#include "nodectl/status_merge.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_cluster.h"
#include "nodectl/status_collect.h"
#include "nodectl/status_node.h"
#include "nodectl/status_pause.h"
#include "nodectl/status_shard.h"

#include <stdlib.h>
#include <string.h>

/* The views that watch the group. */
static struct sights sights_of(const json_t *views, const char *name)
{
    struct sights s = {.name = name};
    size_t reporter = status_reporter(views, name);
    s.v = mem_zalloc(json_array_size(views) * sizeof *s.v);
    for (size_t i = 0; i < json_array_size(views); i++) {
        json_t *group = status_group(views, i, name);
        if (group == NULL)
            continue;
        if (i == reporter)
            s.reporter = s.n;
        s.v[s.n++] = (struct sight){.by = field_text(json_array_get(views, i), "address"), .group = group};
    }
    return s;
}

static const char *state_of(const struct sights *s)
{
    const char *state = "ok";
    for (size_t i = 0; i < s->n; i++) {
        const json_t *master = json_object_get(s->v[i].group, "master");
        const char *failover = field_text(master, "failover-state");
        if (failover[0] != '\0' && strcmp(failover, "none") != 0)
            return failover;
        if (field_has(master, "flags", "o_down"))
            state = "o_down";
        else if (field_has(master, "flags", "s_down") && strcmp(state, "ok") == 0)
            state = "s_down";
    }
    return state;
}

/* Whether all supervisors tell the same master and epoch; says who tells what if not. */
static bool agree(const struct sights *s, json_t *problems)
{
    struct buf told = {0};
    bool same = true;
    for (size_t i = 0; i < s->n; i++) {
        const json_t *group = s->v[i].group, *first = s->v[0].group;
        const char *epoch = field_text(json_object_get(group, "master"), "config-epoch");
        same = same && strcmp(field_text(group, "address"), field_text(first, "address")) == 0 &&
               strcmp(epoch, field_text(json_object_get(first, "master"), "config-epoch")) == 0;
        buf_printf(&told, "%s%s says %s at epoch %s", i > 0 ? "; " : "", s->v[i].by, field_text(group, "address"),
                   epoch);
    }
    if (!same)
        add_line(problems, "%s: the supervisors disagree about the master: %s", s->name, buf_str(&told));
    buf_free(&told);
    return same;
}

/* A supervisor of the group: how it was reached, and how the others see it. */
struct seat {
    const json_t *view;       /* its own, NULL when it was not asked */
    const struct sight *says; /* NULL when it does not answer, or does not watch the group */
    const char *address, *id;
    const json_t *bad_map; /* of the first who holds it for down */
    json_t *down_by;
};

/* The peer lists of the others name it by id, or by address when they have not heard its id. */
static bool is_seat(const json_t *map, const struct seat *seat)
{
    char text[ADDR_TEXT_MAX];
    struct addr a;
    const char *id = field_text(map, "runid");
    if (id[0] != '\0' && seat->id[0] != '\0')
        return strcmp(id, seat->id) == 0;
    return field_addr(map, "ip", "port", &a) && strcmp(addr_text(&a, text), seat->address) == 0;
}

static const json_t *find_peer(const struct sight *s, const struct seat *seat)
{
    size_t i;
    const json_t *map;
    json_array_foreach(json_object_get(s->group, "supervisors"), i, map)
    {
        if (is_seat(map, seat))
            return map;
    }
    return NULL;
}

static json_t *seat_says(const struct seat *seat)
{
    if (seat->says == NULL)
        return json_null();
    const json_t *master = json_object_get(seat->says->group, "master");
    const char *state = field_has(master, "flags", "o_down")   ? "o_down"
                        : field_has(master, "flags", "s_down") ? "s_down"
                                                               : "ok";
    return json_pack("{s:s, s:I, s:s, s:o}", "master", field_text(seat->says->group, "address"), "config_epoch",
                     (json_int_t)field_number(master, "config-epoch", 0), "state", state, "grant_ms",
                     number_or_null(field_number(master, "lease-granted-ms", -1)));
}

/* What the others say of it: who holds it for down, and who has never heard of it. */
static void hear_others(const struct sights *s, struct seat *seat, json_t *problems)
{
    seat->down_by = json_array();
    for (size_t i = 0; i < s->n; i++) {
        if (&s->v[i] == seat->says)
            continue;
        const json_t *map = find_peer(&s->v[i], seat);
        if (map == NULL) {
            add_line(problems, "%s: supervisor %s does not know supervisor %s", s->name, s->v[i].by, seat->address);
        } else if (field_has(map, "flags", "s_down")) {
            json_array_append_new(seat->down_by, json_string(s->v[i].by));
            if (seat->bad_map == NULL)
                seat->bad_map = map;
        }
    }
}

static json_t *seat_document(const struct sights *s, struct seat *seat, json_t *problems)
{
    const char *error = field_text(seat->view, "error");
    bool reachable = seat->view != NULL && error[0] == '\0';
    hear_others(s, seat, problems);
    char *why = seat->bad_map != NULL ? down_reason(seat->bad_map, "") : mem_strdup(error);
    if (seat->bad_map != NULL)
        add_line(problems, "%s: supervisor %s is s_down for %zu of %zu supervisors: %s", s->name, seat->address,
                 json_array_size(seat->down_by), s->n - (seat->says != NULL), why);
    if (reachable && seat->says == NULL)
        add_line(problems, "%s: supervisor %s does not watch this group, but others count on it", s->name,
                 seat->address);
    json_t *o = json_pack("{s:s, s:s, s:b, s:s, s:o, s:o, s:o}", "address", seat->address, "id", seat->id, "reachable",
                          reachable, "state",
                          seat->bad_map != NULL ? "down"
                          : reachable           ? "up"
                                                : "unknown",
                          "says", seat_says(seat), "seen_down_by", seat->down_by, "why",
                          why[0] != '\0' ? json_text(why, strlen(why)) : json_null());
    free(why);
    return o;
}

static const json_t *view_at(const json_t *views, const char *address, const char *id)
{
    size_t i;
    const json_t *view;
    json_array_foreach(views, i, view)
    {
        const char *own = field_text(view, "id");
        if (id[0] != '\0' && own[0] != '\0' ? strcmp(own, id) == 0 : strcmp(field_text(view, "address"), address) == 0)
            return view;
    }
    return NULL;
}

static bool is_listed(const json_t *list, const struct seat *seat)
{
    size_t i;
    const json_t *o;
    json_array_foreach(list, i, o)
    {
        const char *id = field_text(o, "id");
        if (id[0] != '\0' && seat->id[0] != '\0' ? strcmp(id, seat->id) == 0
                                                 : strcmp(field_text(o, "address"), seat->address) == 0)
            return true;
    }
    return false;
}

static json_t *supervisors_of(const json_t *views, const struct sights *s, json_t *problems)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++) {
        const json_t *view = view_at(views, s->v[i].by, "");
        struct seat seat = {.view = view, .says = &s->v[i], .address = s->v[i].by, .id = field_text(view, "id")};
        json_array_append_new(list, seat_document(s, &seat, problems));
    }
    for (size_t i = 0; i < s->n; i++) {
        size_t k;
        const json_t *map;
        json_array_foreach(json_object_get(s->v[i].group, "supervisors"), k, map)
        {
            char address[ADDR_TEXT_MAX];
            struct addr a;
            if (!field_addr(map, "ip", "port", &a))
                continue;
            struct seat seat = {.address = addr_text(&a, address), .id = field_text(map, "runid")};
            seat.view = view_at(views, seat.address, seat.id);
            if (!is_listed(list, &seat))
                json_array_append_new(list, seat_document(s, &seat, problems));
        }
    }
    return list;
}

static void judge_group(const json_t *views, const struct sights *s, const char *state, json_t *problems, json_t *notes)
{
    const json_t *reporter = s->v[s->reporter].group;
    struct buf why = {0};
    if (strcmp(state, "ok") != 0 && strcmp(state, "s_down") != 0 && strcmp(state, "o_down") != 0)
        add_line(problems, "%s: a failover is in progress (%s)", s->name, state);
    if (field_number(json_object_get(reporter, "master"), "needs-operator", 0) != 0)
        add_line(problems,
                 "%s: nothing is promoted by itself: the replicas that are left may not know what their master has "
                 "promised last. 'nodectl failover %s' promotes the best of them by force",
                 s->name, s->name);
    if (strcmp(state, "ok") == 0 && status_lease(views, s->name) == LEASE_NONE)
        add_line(problems, "%s: master %s has no lease of a majority of the supervisors, so it takes no writes",
                 s->name, field_text(reporter, "address"));
    for (size_t i = 0; i < s->n; i++)
        if (!json_is_true(json_object_get(s->v[i].group, "quorum_ok")))
            add_line(problems, "%s: supervisor %s: %s", s->name, s->v[i].by, field_text(s->v[i].group, "quorum_reply"));
    if (json_array_size(json_object_get(reporter, "replicas")) == 0)
        add_line(notes, "%s has no replica: when its master dies, nothing can be promoted", s->name);
    if (status_nobody(reporter, &why))
        add_line(notes, "%s: nobody can be promoted in it when its master dies (%s)", s->name, buf_str(&why));
    buf_free(&why);
}

/* CKQUORUM answers "<n> usable Sentinels...", after "NOQUORUM" when they are too few. */
static int64_t usable_supervisors(const json_t *group)
{
    const char *text = field_text(group, "quorum_reply");
    if (strncmp(text, "NOQUORUM ", 9) == 0 || strncmp(text, "OK ", 3) == 0)
        text = strchr(text, ' ') + 1;
    return strtoll(text, NULL, 10);
}

static json_t *merge_group(const json_t *views, const char *name, json_t *problems, json_t *notes)
{
    struct sights s = sights_of(views, name);
    const json_t *reporter = s.v[s.reporter].group, *map = json_object_get(reporter, "master");
    const char *address = field_text(reporter, "address"), *state = state_of(&s);
    bool agreed = agree(&s, problems);
    judge_group(views, &s, state, problems, notes);
    json_t *master = status_master(&s, address, problems);
    json_t *replicas = status_replicas(&s, address, problems);
    json_t *supervisors = supervisors_of(views, &s, problems);
    const json_t *shard = status_shard(views, name);
    json_t *slots = shard != NULL ? json_integer((json_int_t)field_number(shard, "slots", 0)) : json_null();
    json_t *ranges = shard != NULL ? json_string(field_text(shard, "slot-ranges")) : json_null();
    json_t *o = json_pack(
        "{s:s, s:s, s:b, s:I, s:I, s:b, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "name", name, "state", state,
        "agreed", agreed, "config_epoch", (json_int_t)field_number(map, "config-epoch", 0), "quorum",
        (json_int_t)field_number(map, "quorum", 0), "quorum_ok", json_is_true(json_object_get(reporter, "quorum_ok")),
        "usable_supervisors", (json_int_t)usable_supervisors(reporter), "known_supervisors",
        (json_int_t)json_array_size(supervisors), "watched_by", (json_int_t)s.n, "slots", slots, "slot_ranges", ranges,
        "master", master, "replicas", replicas, "supervisors", supervisors);
    free(s.v);
    return o;
}

/* A supervisor that the operator named must answer. One that was only found may be out of reach from here and still
 * be well, if the others see it. */
static json_t *merge_supervisors(const json_t *views, json_t *problems, json_t *notes)
{
    json_t *list = json_array();
    size_t i;
    const json_t *view;
    json_array_foreach(views, i, view)
    {
        const char *error = field_text(view, "error"), *address = field_text(view, "address");
        bool given = json_is_true(json_object_get(view, "given"));
        if (error[0] != '\0')
            add_line(given ? problems : notes, "supervisor %s cannot be asked: %s", address, error);
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:b, s:O}", "address", address, "id",
                                              field_text(view, "id"), "given", given, "reachable", error[0] == '\0',
                                              "error", json_object_get(view, "error")));
    }
    return list;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All groups that anybody watches, by name. The order of the supervisors' answers says nothing. */
static json_t *merge_groups(const json_t *views, json_t *problems, json_t *notes)
{
    json_t *groups = json_array(), *names = json_object();
    size_t i, n = 0;
    const json_t *view;
    json_array_foreach(views, i, view)
    {
        json_object_update_missing(names, json_object_get(view, "groups"));
    }
    const char **sorted = mem_zalloc(json_object_size(names) * sizeof *sorted);
    for (void *at = json_object_iter(names); at != NULL; at = json_object_iter_next(names, at))
        sorted[n++] = json_object_iter_key(at);
    qsort(sorted, n, sizeof *sorted, by_name);
    for (i = 0; i < n; i++)
        json_array_append_new(groups, merge_group(views, sorted[i], problems, notes));
    free(sorted);
    json_decref(names);
    return groups;
}

/* Whether something that was found is what this word of the command line means. */
static bool is_shown(const json_t *groups, const json_t *clusters, const char *word)
{
    size_t i;
    const json_t *o;
    json_array_foreach(groups, i, o)
    {
        if (status_means(word, field_text(o, "name")))
            return true;
    }
    json_array_foreach(clusters, i, o)
    {
        if (strcmp(word, field_text(o, "name")) == 0)
            return true;
    }
    return false;
}

json_t *status_merge(const json_t *views, const char *const *wanted, size_t nwanted)
{
    json_t *problems = json_array(), *notes = json_array();
    json_t *supervisors = merge_supervisors(views, problems, notes);
    json_t *clusters = status_clusters(views, wanted, nwanted, problems);
    json_t *groups = merge_groups(views, problems, notes);
    status_leases(clusters, groups, problems);
    status_pauses(views, notes);
    size_t i;
    const json_t *view;
    bool reached = false;
    json_array_foreach(views, i, view)
    {
        reached |= field_text(view, "error")[0] == '\0';
    }
    for (i = 0; i < nwanted && reached; i++)
        if (!is_shown(groups, clusters, wanted[i]))
            add_line(problems, "%s: no supervisor that answers watches a group of this name", wanted[i]);
    if (nwanted == 0 && reached && json_array_size(groups) == 0)
        add_line(notes, "these supervisors watch no group");
    return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "ok", json_array_size(problems) == 0, "supervisors", supervisors,
                     "clusters", clusters, "groups", groups, "problems", problems, "notes", notes);
}
