#include "nodectl/explain.h"

#include "nodectl/past.h"
#include "sentineld/core/replay.h"

#include <string.h>

static void put_fields(struct sn_note *n, const json_t *o)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, name, v)
    {
        if (json_is_integer(v))
            sn_note_int(n, name, (int64_t)json_integer_value(v));
        else if (json_is_boolean(v))
            sn_note_bool(n, name, json_is_true(v));
        else if (json_is_string(v))
            sn_note_text(n, name, json_string_value(v));
    }
}

/* Names in the note are the document's, which lives longer. */
static struct sn_note *note_from(const json_t *o)
{
    enum sn_note_kind kind;
    const char *name;
    json_t *v, *row;
    size_t i;
    if (!json_is_object(o) || !sn_note_kind_parse(slice_of(json_word(o, "kind")), &kind))
        return NULL;
    struct sn_note *n = sn_note_new(kind, (uint64_t)json_int(o, "epoch", 0));
    put_fields(n, o);
    json_object_foreach((json_t *)(uintptr_t)o, name, v)
    {
        if (json_is_object(v)) {
            sn_note_object(n, name);
            put_fields(n, v);
            sn_note_end(n);
        } else if (json_is_array(v)) {
            sn_note_list(n, name);
            json_array_foreach(v, i, row)
            {
                sn_note_row(n);
                put_fields(n, row);
            }
            sn_note_end(n);
        }
    }
    return n;
}

json_t *explain_replay(const json_t *document)
{
    struct sn_note *stand = note_from(json_object_get(document, "stand"));
    struct sn_note *ballot = note_from(json_object_get(document, "ballot"));
    struct sn_note *promoted = note_from(json_object_get(document, "promoted"));
    struct sn_replay r = {.n = 0};
    const char *why = "the record of the supervisor that led is not at hand";
    bool possible = stand != NULL && sn_replay(stand, ballot, promoted, &r, &why);
    json_t *checks = json_array();
    for (size_t i = 0; possible && i < r.n; i++) {
        const struct sn_replay_check *c = &r.checks[i];
        json_array_append_new(checks, json_pack("{s:s, s:s, s:s, s:b}", "what", c->what, "recorded", c->recorded,
                                                "replayed", c->replayed, "same", (int)c->same));
    }
    sn_note_free(stand);
    sn_note_free(ballot);
    sn_note_free(promoted);
    return json_pack("{s:b, s:s, s:b, s:o}", "possible", (int)possible, "why", possible ? "" : why, "same",
                     (int)(possible && r.same), "checks", checks);
}
