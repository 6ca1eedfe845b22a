#include "noded/store/value.h"

#include "noded/store/hash.h"
#include "noded/store/list.h"
#include "noded/store/set.h"
#include "noded/store/string.h"
#include "noded/store/zset.h"

#include <assert.h>

const struct nd_limits nd_limits_default = {
    .list_max_listpack_size = -2,
    .list_compress_depth = 0,
    .hash_max_listpack_entries = 128,
    .hash_max_listpack_value = 64,
    .set_max_intset_entries = 512,
    .zset_max_listpack_entries = 128,
    .zset_max_listpack_value = 64,
};

void nd_value_free(struct nd_value *v)
{
    switch ((enum nd_type)v->type) {
    case ND_STRING: nd_string_free(v); return;
    case ND_LIST: nd_list_free(v); return;
    case ND_SET: nd_set_free(v); return;
    case ND_ZSET: nd_zset_free(v); return;
    case ND_HASH: nd_hash_free(v); return;
    case ND_TYPES: break;
    }
    assert(!"a value of no type");
}

size_t nd_value_free_effort(const struct nd_value *v)
{
    switch ((enum nd_type)v->type) {
    case ND_LIST: return nd_list_effort(v);
    case ND_SET: return nd_set_effort(v);
    case ND_ZSET: return nd_zset_effort(v);
    case ND_HASH: return nd_hash_effort(v);
    case ND_STRING:
    case ND_TYPES: break;
    }
    return 1;
}

/* The copy is as old as what it is of, but stands in no entry. */
static struct nd_value alone(struct nd_value copy, const struct nd_value *v)
{
    copy.age = v->age;
    copy.key_len = 0;
    copy.has_expire = 0;
    copy.embedded = 0;
    return copy;
}

struct nd_value nd_value_dup(const struct nd_value *v)
{
    switch ((enum nd_type)v->type) {
    case ND_LIST: return alone(nd_list_dup(v), v);
    case ND_SET: return alone(nd_set_dup(v), v);
    case ND_ZSET: return alone(nd_zset_dup(v), v);
    case ND_HASH: return alone(nd_hash_dup(v), v);
    case ND_STRING:
    case ND_TYPES: break;
    }
    return alone(nd_string_dup(v), v);
}

size_t nd_value_length(const struct nd_value *v)
{
    switch ((enum nd_type)v->type) {
    case ND_LIST: return nd_list_length(v);
    case ND_SET: return nd_set_length(v);
    case ND_ZSET: return nd_zset_length(v);
    case ND_HASH: return nd_hash_length(v);
    case ND_STRING:
    case ND_TYPES: break;
    }
    return nd_string_length(v);
}

size_t nd_value_memory(const struct nd_value *v, size_t samples)
{
    switch ((enum nd_type)v->type) {
    case ND_LIST: return nd_list_memory(v, samples);
    case ND_SET: return nd_set_memory(v, samples);
    case ND_ZSET: return nd_zset_memory(v, samples);
    case ND_HASH: return nd_hash_memory(v, samples);
    case ND_STRING:
    case ND_TYPES: break;
    }
    return nd_string_memory(v);
}

void nd_value_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner)
{
    switch ((enum nd_type)v->type) {
    case ND_LIST: nd_list_visit(v, fn, owner); return;
    case ND_SET: nd_set_visit(v, fn, owner); return;
    case ND_ZSET: nd_zset_visit(v, fn, owner); return;
    case ND_HASH: nd_hash_visit(v, fn, owner); return;
    case ND_STRING:
    case ND_TYPES: break;
    }
    assert(!"only aggregates are walked");
}

const char *nd_type_name(enum nd_type t)
{
    static const char *const names[ND_TYPES] = {"string", "list", "set", "zset", "hash"};
    return names[t];
}

const char *nd_encoding_name(enum nd_encoding e)
{
    static const char *const names[] = {"raw",    "embstr",    "int",       "listpack",
                                        "intset", "quicklist", "hashtable", "skiplist"};
    return names[e];
}
