#include "nodectl/explain.h"

#include "nodectl/epochs.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_collect.h"

#include <stdlib.h>
#include <string.h>

#define NOTES_MAX "5000"
#define BEFORE_MS 100 /* clocks of supervisors differ, so the first sign is looked for a little earlier */

static json_t *read_member(const struct fleet_member *m)
{
    json_t *o = json_pack("{s:o, s:s, s:n, s:[]}", "address", json_addr(&m->addr), "id", "", "error", "notes");
    const char *error = m->error;
    if (error == NULL && m->nreplies >= 2) {
        const redisReply *id = m->replies[m->nreplies - 2], *notes = m->replies[m->nreplies - 1];
        json_t *list = past_notes(notes);
        if (id->type == REDIS_REPLY_STRING)
            json_object_set_new(o, "id", json_text(id->str, (size_t)id->len));
        if (list != NULL)
            json_object_set_new(o, "notes", list);
        else
            error = "it keeps no history (redis-sentinel, or an older sentineld)";
    }
    if (error != NULL)
        json_object_set_new(o, "error", json_text(error, strlen(error)));
    return o;
}

static bool is_double(const json_t *list, const json_t *o)
{
    size_t i;
    json_t *other;
    json_array_foreach(list, i, other)
    {
        if (*json_word(o, "id") != '\0' && strcmp(json_word(o, "id"), json_word(other, "id")) == 0)
            return true;
    }
    return false;
}

json_t *explain_collect(const struct asking *a, struct fleet *f, const char *group)
{
    struct status_query q = {.user = a->user, .password = a->password, .groups = &group, .ngroups = 1};
    json_decref(status_collect(f, &q)); /* finds the supervisors that were not named, and logs in */
    const char *id[] = {"SENTINEL", "MYID"};
    const char *notes[] = {"SENTINEL", "HISTORY", "GROUP", group, "COUNT", NOTES_MAX};
    for (size_t i = 0; i < f->n; i++) {
        fleet_ask(f->members[i], 2, id);
        fleet_ask(f->members[i], 6, notes);
    }
    fleet_run(f);
    json_t *list = json_array();
    for (size_t i = 0; i < f->n; i++) {
        json_t *o = read_member(f->members[i]);
        if (is_double(list, o))
            json_decref(o);
        else
            json_array_append_new(list, o);
    }
    return list;
}

/* ---- the document ---- */

static bool is_kind(const json_t *entry, const char *kind)
{
    return strcmp(json_word(entry, "kind"), kind) == 0;
}

/* Of an attempt, rather than of another's ballot or of what was learned. */
static bool is_own(const json_t *entry)
{
    return !is_kind(entry, "vote") && !is_kind(entry, "config") && !is_kind(entry, "sdown") &&
           !is_kind(entry, "odown") && !is_kind(entry, "waiting");
}

/* Clocks of supervisors differ, so epochs say which attempt is the last one: ballots, and configurations of which
 * nobody knows the ballot. One of these is newer than all ballots when it was noted later. */
struct newest {
    struct epochs of;
    int64_t wall_ms;
};

static void take_newest(struct newest *n, struct epochs of, int64_t wall_ms, bool by_wall)
{
    bool first = n->of.ballot == 0 && n->of.config == 0;
    int64_t mine = of.ballot > 0 ? of.ballot : of.config, theirs = n->of.ballot > 0 ? n->of.ballot : n->of.config;
    if (first || (by_wall ? wall_ms > n->wall_ms : mine > theirs))
        *n = (struct newest){of, wall_ms};
}

/* The epochs of the newest note that fits; both 0: there is none. */
static struct epochs last_epochs(const json_t *collected, const char *kind)
{
    size_t i, k;
    json_t *s, *e;
    struct newest ballot = {.wall_ms = -1}, config = ballot;
    json_array_foreach(collected, i, s)
    {
        json_array_foreach(json_object_get(s, "notes"), k, e)
        {
            bool fits = kind != NULL ? is_kind(e, kind) : is_own(e) || is_kind(e, "config");
            struct epochs of = epochs_of(e);
            if (fits && (of.ballot > 0 || of.config > 0))
                take_newest(kind != NULL || of.ballot > 0 ? &ballot : &config, of, json_int(e, "wall_ms", 0),
                            kind != NULL);
        }
    }
    struct epochs learned = epochs_complete(collected, config.of);
    bool later = learned.ballot > 0 ? learned.ballot > ballot.of.ballot
                                    : learned.config > 0 && config.wall_ms > ballot.wall_ms;
    return later ? learned : epochs_complete(collected, ballot.of);
}

static const json_t *note_of(const json_t *supervisor, struct epochs of, const char *kind)
{
    size_t k;
    json_t *e;
    json_array_foreach(json_object_get(supervisor, "notes"), k, e)
    {
        if (is_kind(e, kind) && epochs_fit(e, of))
            return e;
    }
    return NULL;
}

static const json_t *who_has(const json_t *collected, struct epochs of, const char *kind)
{
    size_t i;
    json_t *s;
    json_array_foreach(collected, i, s)
    {
        if (note_of(s, of, kind) != NULL)
            return s;
    }
    return NULL;
}

/* Whoever got furthest. NULL: it cannot be asked. Several may stand in one epoch: where it is known that a master came
 * of it, none of those who did not win it led. */
static const json_t *leader_of(const json_t *collected, struct epochs of)
{
    static const char *const kinds[] = {"switched", "promoted", "aborted", "won", "lost", "stand"};
    const size_t winning = 4;
    size_t n = who_has(collected, of, "config") != NULL ? winning : sizeof kinds / sizeof *kinds;
    const json_t *s = NULL;
    for (size_t k = 0; k < n && s == NULL; k++)
        s = who_has(collected, of, kinds[k]);
    return s;
}

static void put_note(json_t *d, const char *name, const json_t *entry)
{
    json_t *note = entry != NULL ? json_copy(json_object_get(entry, "note")) : json_null();
    if (entry != NULL) {
        json_object_set(note, "epoch", json_object_get(entry, "epoch"));
        json_object_set(note, "kind", json_object_get(entry, "kind"));
        json_object_set(note, "wall_ms", json_object_get(entry, "wall_ms"));
    }
    json_object_set_new(d, name, note);
}

/* From the first sign to the last word about this attempt. */
static void find_window(const json_t *collected, struct epochs of, int64_t *from_ms, int64_t *to_ms)
{
    size_t i, k;
    json_t *s, *e;
    *from_ms = INT64_MAX;
    *to_ms = 0;
    json_array_foreach(collected, i, s){
        json_array_foreach(json_object_get(s, "notes"), k, e){int64_t wall = json_int(e, "wall_ms", 0);
    if (!epochs_fit(e, of))
        continue;
    int64_t down_us = json_int(json_object_get(json_object_get(e, "note"), "master"), "down_us", -1);
    int64_t first = is_kind(e, "stand") && down_us > 0 ? wall - down_us / 1000 : wall;
    if (first < *from_ms)
        *from_ms = first;
    if (wall > *to_ms)
        *to_ms = wall;
}
}
*from_ms -= BEFORE_MS;
}

static int by_time(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    int64_t wx = json_int(*x, "wall_ms", 0), wy = json_int(*y, "wall_ms", 0);
    if (wx != wy)
        return wx < wy ? -1 : 1;
    int64_t nx = json_int(*x, "number", 0), ny = json_int(*y, "number", 0);
    return (nx > ny) - (nx < ny);
}

static json_t *sorted(json_t *list)
{
    size_t n = json_array_size(list);
    json_t **v = calloc(n + 1, sizeof *v), *out = json_array();
    for (size_t i = 0; v != NULL && i < n; i++)
        v[i] = json_array_get(list, i);
    if (v != NULL)
        qsort(v, n, sizeof *v, by_time);
    for (size_t i = 0; v != NULL && i < n; i++)
        json_array_append(out, v[i]);
    free(v);
    json_decref(list);
    return out;
}

static void put_records(json_t *d, const json_t *collected, struct epochs of)
{
    int64_t from_ms, to_ms;
    size_t i, k;
    json_t *s, *e, *records = json_array(), *since = json_array();
    find_window(collected, of, &from_ms, &to_ms);
    json_array_foreach(collected, i, s)
    {
        json_array_foreach(json_object_get(s, "notes"), k, e)
        {
            int64_t wall = json_int(e, "wall_ms", 0);
            bool inside = epochs_fit(e, of) || (wall >= from_ms && wall <= to_ms);
            if (!inside && wall <= to_ms)
                continue;
            json_t *copy = json_copy(e);
            json_object_set(copy, "supervisor", json_object_get(s, "address"));
            json_object_set(copy, "supervisor_id", json_object_get(s, "id"));
            json_array_append_new(inside ? records : since, copy);
        }
    }
    records = sorted(records);
    since = sorted(since);
    int64_t first = json_int(json_array_get(records, 0), "wall_ms", 0);
    json_array_foreach(records, i, e)
    {
        json_object_set_new(e, "after_ms", json_integer(json_int(e, "wall_ms", 0) - first));
    }
    json_object_set_new(d, "records", records);
    json_object_set_new(d, "since", since);
}

static void put_outcome(json_t *d, const json_t *collected, struct epochs of)
{
    static const char *const notes[] = {"stand", "promoted", "switched", "converged", "aborted"};
    const json_t *leader = leader_of(collected, of);
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        put_note(d, notes[i], leader != NULL ? note_of(leader, of, notes[i]) : NULL);
    const json_t *won = leader != NULL ? note_of(leader, of, "won") : NULL;
    const json_t *lost = leader != NULL && won == NULL ? note_of(leader, of, "lost") : NULL;
    put_note(d, "ballot", won != NULL ? won : lost);
    const json_t *switched = json_object_get(d, "switched"), *stand = json_object_get(d, "stand");
    const char *outcome = json_is_object(switched)                         ? "switched"
                          : json_is_object(json_object_get(d, "aborted"))  ? "given up"
                          : json_is_object(json_object_get(d, "promoted")) ? "promoted, not yet told"
                          : won != NULL                                    ? "elected"
                          : lost != NULL                                   ? "not elected"
                          : json_is_object(stand)                          ? "standing"
                                                                           : "learned";
    json_object_set_new(d, "outcome", json_string(outcome));
    if (leader != NULL)
        json_object_set_new(d, "by",
                            json_pack("{s:O, s:O}", "address", json_object_get(leader, "address"), "id",
                                      json_object_get(leader, "id")));
    const char *from = json_is_object(switched) ? json_word(switched, "from")
                                                : json_word(json_object_get(stand, "master"), "address");
    const char *to = json_is_object(switched) ? json_word(switched, "to") : json_word(stand, "candidate");
    json_object_set_new(d, "from", json_string(from));
    json_object_set_new(d, "to", json_string(to));
}

/* Nobody who led can be asked: what the others learned is all there is. */
static void fill_from_learners(json_t *d, struct epochs of)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(d, "records"), i, e)
    {
        const json_t *n = json_object_get(e, "note");
        if (!is_kind(e, "config") || !epochs_fit(e, of))
            continue;
        json_object_set(d, "from", json_object_get(n, "from"));
        json_object_set(d, "to", json_object_get(n, "to"));
        json_object_set_new(d, "by", json_pack("{s:s, s:O}", "address", "", "id", json_object_get(n, "by")));
        return;
    }
}

json_t *explain_document(const json_t *collected, const char *group, int64_t epoch, const char *kind)
{
    size_t i;
    json_t *s;
    struct epochs of = epoch > 0 ? epochs_named(collected, epoch) : last_epochs(collected, kind);
    if (of.ballot == 0 && of.config == 0)
        return NULL;
    json_t *d = json_pack("{s:s, s:I, s:o}", "group", group, "epoch",
                          (json_int_t)(of.ballot > 0 ? of.ballot : of.config), "config_epoch",
                          of.config > 0 ? json_integer(of.config) : json_null());
    put_outcome(d, collected, of);
    put_records(d, collected, of);
    if (json_array_size(json_object_get(d, "records")) == 0) {
        json_decref(d);
        return NULL;
    }
    if (strcmp(json_word(d, "outcome"), "learned") == 0)
        fill_from_learners(d, of);
    json_t *supervisors = json_array();
    json_array_foreach(collected, i, s)
    {
        json_array_append_new(supervisors,
                              json_pack("{s:O, s:O, s:O, s:I}", "address", json_object_get(s, "address"), "id",
                                        json_object_get(s, "id"), "error", json_object_get(s, "error"), "notes",
                                        (json_int_t)json_array_size(json_object_get(s, "notes"))));
    }
    json_object_set_new(d, "supervisors", supervisors);
    json_object_set(d, "at_ms", json_object_get(json_array_get(json_object_get(d, "records"), 0), "wall_ms"));
    return d;
}
