#include "nodectl/epochs.h"

#include "nodectl/past.h"

#include <string.h>

static bool is_kind(const json_t *entry, const char *kind)
{
    return strcmp(json_word(entry, "kind"), kind) == 0;
}

struct epochs epochs_of(const json_t *entry)
{
    const json_t *note = json_object_get(entry, "note");
    int64_t epoch = json_int(entry, "epoch", 0);
    bool learned = is_kind(entry, "config") || is_kind(entry, "agreed");
    if (!learned && !is_kind(entry, "switched") && !is_kind(entry, "converged"))
        return (struct epochs){.ballot = epoch};
    /* Supervisors told one number once: of what they had learned the configuration's. */
    return (struct epochs){.ballot = json_int(note, "ballot", learned ? 0 : epoch),
                           .config = json_int(note, "config_epoch", is_kind(entry, "converged") ? 0 : epoch)};
}

static bool same(struct epochs a, struct epochs b)
{
    return (a.ballot > 0 && a.ballot == b.ballot) || (a.config > 0 && a.config == b.config);
}

bool epochs_fit(const json_t *entry, struct epochs e)
{
    return same(epochs_of(entry), e);
}

/* Who led knows both; who voted may hold another ballot for the one that it came of. */
struct epochs epochs_complete(const json_t *collected, struct epochs e)
{
    size_t i, k;
    json_t *s, *entry;
    bool told = false;
    struct epochs found = e;
    json_array_foreach(collected, i, s)
    {
        json_array_foreach(json_object_get(s, "notes"), k, entry)
        {
            struct epochs o = epochs_of(entry);
            bool led = is_kind(entry, "switched");
            if (o.ballot <= 0 || o.config <= 0 || !same(o, e) || (told && !led))
                continue;
            found = (struct epochs){e.ballot > 0 ? e.ballot : o.ballot, e.config > 0 ? e.config : o.config};
            if (led)
                return found;
            told = true;
        }
    }
    return found;
}

struct epochs epochs_named(const json_t *collected, int64_t number)
{
    size_t i, k;
    json_t *s, *entry;
    bool config = false;
    json_array_foreach(collected, i, s)
    {
        json_array_foreach(json_object_get(s, "notes"), k, entry)
        {
            struct epochs o = epochs_of(entry);
            if (o.ballot == number)
                return epochs_complete(collected, (struct epochs){.ballot = number});
            config = config || o.config == number;
        }
    }
    return epochs_complete(collected, (struct epochs){.ballot = config ? 0 : number, .config = config ? number : 0});
}
