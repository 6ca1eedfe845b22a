#include "nodectl/node/functions.h"

#include "common/base/mem.h"

struct picture_node *functions_source(struct picture *p, const char *but, size_t *count)
{
    struct picture_node *found = NULL;
    *count = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct picture_node *n = &p->v[i];
        struct buf why = {0}; /* one that does not know the command has none */
        if (!n->answers || !n->master || n->noded || n->nslots == 0 || runid_cmp(n->id, but) == 0)
            continue;
        const redisReply *r = picture_askf(p, n, &why, "FUNCTION LIST");
        if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements > *count) {
            found = n;
            *count = r->elements;
        }
        buf_free(&why);
    }
    return found;
}

bool functions_copy(struct picture *p, struct picture_node *from, struct picture_node *to, struct buf *why)
{
    struct buf payload = {0};
    const struct slice dump[] = {slice_of("FUNCTION"), slice_of("DUMP")};
    const redisReply *r = picture_ask_slices(p, from, why, 2, dump);
    if (r != NULL && r->type == REDIS_REPLY_STRING)
        buf_put(&payload, r->str, r->len);
    const struct slice restore[] = {slice_of("FUNCTION"), slice_of("RESTORE"), buf_slice(&payload),
                                    slice_of("REPLACE")};
    bool ok = r != NULL && picture_ask_slices(p, to, why, 4, restore) != NULL;
    buf_free(&payload);
    return ok;
}
