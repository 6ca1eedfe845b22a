#include "sentineld/core/effect.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The names in events belong to whoever made the event, those in effects to the effect: hence the casts. */
static void free_ballots(struct sn_ballot *v, size_t n)
{
    for (size_t i = 0; v != NULL && i < n; i++)
        free((void *)(uintptr_t)v[i].group);
    free(v);
}

static void free_opinions(struct sn_opinion *v, size_t n)
{
    for (size_t i = 0; v != NULL && i < n; i++)
        free((void *)(uintptr_t)v[i].group);
    free(v);
}

static void free_records(struct sn_record *v, size_t n)
{
    for (size_t i = 0; v != NULL && i < n; i++)
        sn_record_free(&v[i]);
    free(v);
}

void sn_swap_word_free(struct sn_swap_word *w)
{
    if (w != NULL)
        free((void *)(uintptr_t)w->lists.p);
    free(w);
}

void sn_effect_free(struct sn_effect *e)
{
    free(e->text);
    free(e->group);
    free(e->user);
    free(e->pass);
    for (char **arg = e->argv; arg != NULL && *arg != NULL; arg++)
        free(*arg);
    free(e->argv);
    free_ballots(e->ballots, e->count);
    free_opinions(e->opinions, e->count);
    free_records(e->records, e->count);
    sn_note_free(e->note);
    sn_swap_word_free(e->swap);
    /* Cleared, so that an effect freed twice by two owners that both clean up is harmless. */
    enum sn_effect_kind kind = e->kind;
    memset(e, 0, offsetof(struct sn_effect, addr));
    e->kind = kind;
}

void sn_effects_clear(struct sn_effects *fx)
{
    for (size_t i = 0; i < fx->n; i++)
        sn_effect_free(&fx->v[i]);
    fx->n = 0;
}

void sn_effects_free(struct sn_effects *fx)
{
    sn_effects_clear(fx);
    free(fx->v);
    *fx = (struct sn_effects){NULL, 0, 0};
}
