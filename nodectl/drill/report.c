#include "nodectl/drill/report.h"

#include "nodectl/epochs.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"

#include <inttypes.h>
#include <string.h>

/* ---- what the supervisors recorded ---- */

static bool is_switch_from(const json_t *entry, const char *old)
{
    const char *kind = json_word(entry, "kind");
    return (strcmp(kind, "switched") == 0 || strcmp(kind, "config") == 0) &&
           strcmp(json_word(json_object_get(entry, "note"), "from"), old) == 0;
}

/* The first change of the configuration since then, by configurations' epochs: ballots may be numbered far above them.
 * Both 0: there was none. */
static struct epochs first_epochs(const json_t *collected, const char *old, int64_t since_epoch)
{
    size_t i, k;
    json_t *s, *e;
    struct epochs first = {0, 0};
    json_array_foreach(collected, i, s)
    {
        json_array_foreach(json_object_get(s, "notes"), k, e)
        {
            struct epochs of = epochs_of(e);
            if (is_switch_from(e, old) && of.config > since_epoch && (first.config == 0 || of.config < first.config))
                first = of;
        }
    }
    return epochs_complete(collected, first);
}

/* The note of this kind and attempt of any supervisor; of several the one that tells of the longest time. */
static const json_t *find_note(const json_t *collected, struct epochs of, const char *kind)
{
    size_t i, k;
    json_t *s, *e;
    const json_t *found = NULL;
    json_array_foreach(collected, i, s)
    {
        json_array_foreach(json_object_get(s, "notes"), k, e)
        {
            const json_t *note = json_object_get(e, "note");
            if (strcmp(json_word(e, "kind"), kind) == 0 && epochs_fit(e, of) &&
                (found == NULL || json_int(note, "took_ms", -1) > json_int(found, "took_ms", -1)))
                found = note;
        }
    }
    return found;
}

static json_t *ms_or_null(int64_t ms)
{
    return ms >= 0 ? json_integer(ms) : json_null();
}

/* From one moment to a later one: the ages of both at the same note. */
static int64_t between_ms(int64_t earlier_us, int64_t later_us)
{
    return earlier_us >= later_us && later_us >= 0 ? (earlier_us - later_us) / 1000 : -1;
}

static int64_t took_ms(const json_t *note)
{
    int64_t us = json_int(note, "took_us", -1);
    return us >= 0 ? us / 1000 : -1;
}

/* A leader whose attempt was over before its disk had the new configuration, because the cluster told of it first, has
 * noted no phases at the end: then those are known that it noted on the way. */
static void put_phases(json_t *p, const json_t *collected, struct epochs of)
{
    const json_t *switched = find_note(collected, of, "switched"), *stand = find_note(collected, of, "stand");
    const json_t *master = json_object_get(stand, "master");
    bool whole = json_int(switched, "total_ms", -1) >= 0;
    int64_t down_us = json_int(master, "down_us", -1), since_us = json_int(master, "since_us", -1);
    int64_t stand_ms = json_int(switched, "stand_ms", -1), elect_ms = json_int(switched, "elect_ms", -1);
    if (stand_ms > 0 && elect_ms >= 0)
        elect_ms += stand_ms;
    json_object_set_new(p, "detect",
                        ms_or_null(whole ? json_int(switched, "detect_ms", -1) : between_ms(since_us, down_us)));
    json_object_set_new(
        p, "agree",
        ms_or_null(whole ? json_int(switched, "agree_ms", -1) : between_ms(down_us, json_int(stand, "odown_us", -1))));
    json_object_set_new(p, "elect", ms_or_null(whole ? elect_ms : took_ms(find_note(collected, of, "won"))));
    json_object_set_new(p, "fence", ms_or_null(json_int(switched, "prepare_ms", -1)));
    json_object_set_new(
        p, "promote",
        ms_or_null(whole ? json_int(switched, "promote_ms", -1) : took_ms(find_note(collected, of, "promoted"))));
    json_object_set_new(p, "tell", ms_or_null(json_int(switched, "tell_ms", -1)));
    json_object_set_new(p, "total", ms_or_null(json_int(switched, "total_ms", -1)));
}

json_t *report_phases(const json_t *collected, const char *group, const char *old, int64_t since_epoch)
{
    struct epochs of = first_epochs(collected, old, since_epoch);
    int64_t epoch = of.ballot > 0 ? of.ballot : of.config;
    json_t *p = json_pack("{s:s, s:o, s:o}", "group", group, "epoch", epoch > 0 ? json_integer(epoch) : json_null(),
                          "config_epoch", of.config > 0 ? json_integer(of.config) : json_null());
    const json_t *agreed = find_note(collected, of, "agreed");
    if (agreed == NULL)
        agreed = find_note(collected, of, "converged");
    put_phases(p, collected, of);
    json_object_set_new(p, "converge", ms_or_null(json_int(agreed, "took_ms", -1)));
    return p;
}

/* ---- what the canaries saw ---- */

static int64_t ms_of(int64_t us)
{
    return (us + 999) / 1000;
}

static json_t *lane_document(const struct lane *l)
{
    return json_pack("{s:i, s:b, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "database", l->database, "bystander",
                     l->bystander, "acked", (json_int_t)l->nacked, "lost", (json_int_t)l->lost, "first_lost",
                     l->first_lost > 0 ? json_integer(l->first_lost) : json_null(), "outage_ms",
                     (json_int_t)ms_of(l->silence_us[DRILL_HARM]), "refused", (json_int_t)l->refused, "unanswered",
                     (json_int_t)l->unanswered, "reads", (json_int_t)l->reads, "stale", (json_int_t)l->stale,
                     "longest_stale_ms", (json_int_t)ms_of(l->stale_us));
}

static void raise_to(int64_t *to, int64_t value)
{
    if (value > *to)
        *to = value;
}

json_t *report_canaries(const struct lane *lanes, size_t n, const struct client_errors *errors, int64_t start_us)
{
    int64_t outage_us = 0, from_us = start_us, before_us = 0, restore_us = 0, bystander_us = 0, stale_us = 0;
    int64_t acked = 0, lost = 0, refused = 0, unanswered = 0, redirects = 0, reads = 0, stale = 0;
    json_t *databases = json_array(), *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct lane *l = &lanes[i];
        if (!l->bystander && l->silence_us[DRILL_HARM] > outage_us)
            from_us = l->silent_from_us[DRILL_HARM];
        raise_to(l->bystander ? &bystander_us : &outage_us, l->silence_us[DRILL_HARM]);
        raise_to(&before_us, l->silence_us[DRILL_BEFORE]);
        raise_to(l->bystander ? &bystander_us : &restore_us, l->silence_us[DRILL_RESTORE]);
        raise_to(&stale_us, l->stale_us);
        acked += (int64_t)l->nacked;
        lost += l->lost;
        refused += l->refused;
        unanswered += l->unanswered;
        redirects += l->redirects;
        reads += l->reads;
        stale += l->stale;
        json_array_append_new(databases, lane_document(l));
    }
    for (size_t i = 0; i < errors->n; i++)
        json_array_append_new(list, json_pack("{s:s, s:o, s:I}", "by", errors->v[i].reads ? "reader" : "writer", "text",
                                              json_text(errors->v[i].text, strlen(errors->v[i].text)), "count",
                                              (json_int_t)errors->v[i].count));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I}, s:o, s:o}", "outage_ms",
                     (json_int_t)ms_of(outage_us), "outage_from_ms",
                     (json_int_t)(from_us > start_us ? (from_us - start_us) / 1000 : 0), "quiet_outage_ms",
                     (json_int_t)ms_of(before_us), "restore_outage_ms", (json_int_t)ms_of(restore_us),
                     "bystander_outage_ms", (json_int_t)ms_of(bystander_us), "writes", "acked", (json_int_t)acked,
                     "lost", (json_int_t)lost, "refused", (json_int_t)refused, "unanswered", (json_int_t)unanswered,
                     "redirected", (json_int_t)redirects, "reads", "answered", (json_int_t)reads, "stale",
                     (json_int_t)stale, "longest_stale_ms", (json_int_t)ms_of(stale_us), "databases", databases,
                     "errors", list);
}

/* ---- the verdict ---- */

void report_reason(json_t *reasons, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    json_array_append_new(reasons, json_text(buf_str(&text), text.n));
    buf_free(&text);
}

void report_judge(json_t *reasons, const json_t *canaries, const struct drill_order *o)
{
    int64_t outage = json_int(canaries, "outage_ms", 0),
            lost = json_int(json_object_get(canaries, "writes"), "lost", 0),
            bystander = json_int(canaries, "bystander_outage_ms", 0);
    if (bystander > o->max_bystander_ms)
        report_reason(
            reasons, "no acknowledged write for %" PRId64 " ms in the other shard, and the objective is %" PRId64 " ms",
            bystander, o->max_bystander_ms);
    if (o->max_outage_ms >= 0 && outage > o->max_outage_ms)
        report_reason(reasons, "no acknowledged write for %" PRId64 " ms, and the objective is %" PRId64 " ms", outage,
                      o->max_outage_ms);
    if (lost > o->max_lost)
        report_reason(reasons, "%" PRId64 " acknowledged writes are lost, and the objective is %" PRId64, lost,
                      o->max_lost);
}

json_t *report_document(struct drill_run *r, json_t *phases)
{
    size_t n;
    char victim[ADDR_TEXT_MAX], from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX] = "";
    const struct drill_order *o = &r->order;
    const struct lane *lanes = canaries_lanes(r->canaries, &n);
    struct buf what = {0}, back = {0};
    json_t *canaries = report_canaries(lanes, n, canaries_errors(r->canaries), r->start_us);
    if (r->aborted.n > 0)
        report_reason(r->reasons, "ended early: %s", buf_str(&r->aborted));
    report_judge(r->reasons, canaries, o);
    harm_describe(&r->harm, &what, &back);
    if (addr_is_set(&r->to))
        addr_text(&r->to, to);
    json_t *d = json_pack(
        "{s:s, s:s, s:s, s:s?, s:s, s:s, s:O, s:o, s:{s:o, s:I, s:I, s:I}, s:s, s:s, s:s, s:s?, s:I, s:I, "
        "s:I, s:o, s:O, s:b}",
        "id", r->id, "drill", o->name, "kind", drill_kind_name(r->harm.kind), "cluster",
        r->target.cluster ? r->target.scope : NULL, "group", r->target.shard.name, "verdict",
        json_array_size(r->reasons) == 0 ? "PASS" : "FAIL", "reasons", r->reasons, "aborted",
        r->aborted.n > 0 ? json_text(r->aborted.p, r->aborted.n) : json_null(), "objective", "max_outage_ms",
        o->max_outage_ms >= 0 ? json_integer(o->max_outage_ms) : json_null(), "max_bystander_ms",
        (json_int_t)o->max_bystander_ms, "max_lost", (json_int_t)o->max_lost, "max_time_s", (json_int_t)o->max_time_s,
        "victim", addr_text(&r->harm.at, victim), "harm", buf_str(&what), "from",
        addr_text(&r->target.shard.nodes[0], from), "to", to[0] != '\0' ? to : NULL, "at_ms", (json_int_t)r->began_ms,
        "took_ms", (json_int_t)((r->end_us - r->start_us) / 1000), "seed", (json_int_t)r->seed, "phases_ms", phases,
        "steps", r->steps, "back", r->back);
    json_object_update(d, canaries);
    json_decref(canaries);
    buf_free(&what);
    buf_free(&back);
    return d;
}
