/* The compact encodings from outside: listpack, intset, ziplist, zipmap. What is taken as a listpack or intset is
 * walked in both directions, changed in ways that the input says, and must still be one. */
#include "noded/store/intset.h"
#include "noded/store/pack.h"
#include "noded/store/ziplist.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool touch(void *owner, struct slice s)
{
    uint64_t *sum = owner;
    for (size_t i = 0; i < s.n; i++)
        *sum += (unsigned char)s.p[i];
    return true;
}

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct nd_pack *change(struct nd_pack *p, const uint8_t *how, size_t n)
{
    for (size_t i = 0; i + 1 < n && i < 16; i += 2) {
        struct slice s = {(const char *)how + i, how[i] % (n - i)};
        nd_pack_at at = nd_pack_index(p, (int8_t)how[i + 1]);
        switch (how[i] % 5) {
        case 0: p = nd_pack_append(p, s); break;
        case 1: p = nd_pack_prepend(p, s); break;
        case 2:
            p = nd_pack_insert(p, &at, s);
            must(nd_pack_is(at, s));
            break;
        case 3:
            if (at != NULL)
                p = nd_pack_replace(p, &at, s);
            break;
        default:
            if (at != NULL)
                p = nd_pack_remove(p, &at, 1);
        }
    }
    return p;
}

static void pack(struct slice bytes, const uint8_t *how, size_t how_n)
{
    struct nd_pack *p = nd_pack_load(bytes);
    if (p == NULL)
        return;
    p = change(p, how, how_n);
    size_t there = 0, back = 0;
    char tmp[ND_PACK_INT_TEXT];
    for (nd_pack_at at = nd_pack_first(p); at != NULL; at = nd_pack_next(p, at), there++)
        must(nd_pack_is(at, nd_pack_get(at, tmp)));
    for (nd_pack_at at = nd_pack_last(p); at != NULL; at = nd_pack_prev(p, at))
        back++;
    must(there == back && there == nd_pack_count(p));
    struct nd_pack *again = nd_pack_load((struct slice){(const char *)p, nd_pack_bytes(p)});
    must(again != NULL);
    free(again);
    free(p);
}

static void intset(struct slice bytes, const uint8_t *how, size_t how_n)
{
    struct nd_intset *s = nd_intset_load(bytes);
    if (s == NULL)
        return;
    for (size_t i = 0; i + 8 <= how_n; i += 8) {
        int64_t v;
        bool did;
        memcpy(&v, how + i, sizeof v);
        s = how[i] & 1 ? nd_intset_add(s, v, &did) : nd_intset_remove(s, v, &did);
        must(nd_intset_has(s, v) == ((how[i] & 1) != 0));
    }
    for (size_t i = 1; i < nd_intset_count(s); i++)
        must(nd_intset_get(s, i - 1) < nd_intset_get(s, i));
    struct nd_intset *again = nd_intset_load(nd_intset_raw(s));
    must((again != NULL) == (nd_intset_count(s) > 0)); /* an empty one is never stored */
    free(again);
    free(s);
}

/* Input: kind, length of what follows as the encoding, the encoding, changes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    size_t take = data[1] < n - 2 ? data[1] : n - 2;
    struct slice bytes = {(const char *)data + 2, take};
    const uint8_t *how = data + 2 + take;
    size_t how_n = n - 2 - take;
    uint64_t sum = 0;
    switch (data[0] % 4) {
    case 0: pack(bytes, how, how_n); break;
    case 1: intset(bytes, how, how_n); break;
    case 2: nd_ziplist_walk(bytes, touch, &sum); break;
    default: nd_zipmap_walk(bytes, touch, &sum);
    }
    return 0;
}
