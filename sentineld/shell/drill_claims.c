#include "sentineld/shell/drill_claims.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

static void claim_free(struct drill_claim *k)
{
    free(k->id);
    free(k->scope);
    free(k->owner);
    free(k->what);
}

void drill_claims_free(struct drill_claims *c)
{
    for (size_t i = 0; i < c->n; i++)
        claim_free(&c->v[i]);
    free(c->v);
    *c = (struct drill_claims){0};
}

static void drop(struct drill_claims *c, size_t i)
{
    claim_free(&c->v[i]);
    c->n--;
    memmove(&c->v[i], &c->v[i + 1], (c->n - i) * sizeof *c->v);
}

void drill_claims_tidy(struct drill_claims *c, int64_t now_us)
{
    for (size_t i = c->n; i > 0; i--)
        if (c->v[i - 1].until_us <= now_us)
            drop(c, i - 1);
}

static struct drill_claim *find(const struct drill_claims *c, struct slice id)
{
    for (size_t i = 0; i < c->n; i++)
        if (slice_is(id, c->v[i].id))
            return &c->v[i];
    return NULL;
}

static bool is_in_the_way(const struct drill_claim *k, struct slice scope)
{
    return slice_is(scope, DRILL_SCOPE_ALL) || strcmp(k->scope, DRILL_SCOPE_ALL) == 0 || slice_is(scope, k->scope);
}

const struct drill_claim *drill_claims_take(struct drill_claims *c, struct slice id, struct slice scope,
                                            struct slice owner, struct slice what, int64_t ms, int64_t now_us,
                                            bool *full)
{
    drill_claims_tidy(c, now_us);
    struct drill_claim *mine = find(c, id);
    *full = false;
    for (size_t i = 0; i < c->n; i++)
        if (&c->v[i] != mine && is_in_the_way(&c->v[i], scope))
            return &c->v[i];
    *full = mine == NULL && c->n >= DRILL_CLAIMS_MAX;
    if (*full)
        return NULL;
    if (mine == NULL) {
        c->v = mem_array(c->v, c->n + 1, sizeof *c->v);
        mine = &c->v[c->n++];
        *mine = (struct drill_claim){slice_dup(id), slice_dup(scope), slice_dup(owner), slice_dup(what), now_us, 0};
    }
    mine->until_us = now_us + ms * 1000;
    return NULL;
}

bool drill_claims_end(struct drill_claims *c, struct slice id)
{
    const struct drill_claim *mine = find(c, id);
    if (mine != NULL)
        drop(c, (size_t)(mine - c->v));
    return mine != NULL;
}
