/* Every ballot of a supervisor is decided again from its own record (core/replay.h): the record must hold all that the
 * decision was made from. */
#include "sentineld/core/replay.h"

#include <string.h>

#include "tests/sim/world.h"

static int group_named(const struct world *w, const char *name)
{
    for (int i = 0; i < w->plan.groups; i++)
        if (strcmp(w->groups[i].name, name) == 0)
            return i;
    return -1;
}

static void replay(struct world *w, const struct super *s, const struct ballot_notes *b)
{
    struct sn_replay r;
    const char *why;
    if (b->stand == NULL || sn_note_get(sn_note_whole(b->stand), "alone", 0))
        return;
    w->counts[COUNT_REPLAYED]++;
    if (!sn_replay(b->stand, b->outcome, b->promoted, &r, &why)) {
        violated(w, "replay", "the record of s%d cannot be replayed: %s", s->index + 1, why);
        return;
    }
    for (size_t i = 0; i < r.n; i++)
        if (!r.checks[i].same)
            violated(w, "replay", "s%d, epoch %llu, %s: recorded %s, replayed %s", s->index + 1,
                     (unsigned long long)b->stand->epoch, r.checks[i].what, r.checks[i].recorded, r.checks[i].replayed);
}

static void keep(struct sn_note **place, struct sn_effect *e)
{
    sn_note_free(*place);
    *place = e->note;
    e->note = NULL;
}

void replays_forget(struct super *s)
{
    for (int i = 0; i < MAX_GROUPS; i++) {
        struct ballot_notes *b = &s->ballots[i];
        sn_note_free(b->stand);
        sn_note_free(b->outcome);
        sn_note_free(b->promoted);
        *b = (struct ballot_notes){NULL, NULL, NULL};
    }
}

void replays_noted(struct world *w, struct super *s, struct sn_effect *e)
{
    int group = group_named(w, e->group);
    if (group < 0)
        return;
    struct ballot_notes *b = &s->ballots[group];
    switch (e->note->kind) {
    case SN_NOTE_STAND:
        sn_note_free(b->outcome);
        sn_note_free(b->promoted);
        b->outcome = b->promoted = NULL;
        keep(&b->stand, e);
        break;
    case SN_NOTE_WON:
    case SN_NOTE_LOST:
        keep(&b->outcome, e);
        replay(w, s, b);
        break;
    case SN_NOTE_PROMOTED:
        keep(&b->promoted, e);
        replay(w, s, b);
        break;
    default: break;
    }
}
