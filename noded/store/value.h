/* One value: what a key holds. Sixteen bytes that say the type, the encoding, how lately it was used, and where the
 * data is.
 *
 * A value stands at the start of an entry (entry.h), or alone while it is made or freed. Everything that every type can
 * do is here and dispatches to the type's file (string.h, list.h, set.h, zset.h, hash.h). */
#ifndef STORE_VALUE_H
#define STORE_VALUE_H

#include "common/base/bytes.h"
#include "common/base/rng.h"

/* The numbers are those of Redis's object types. */
enum nd_type { ND_STRING, ND_LIST, ND_SET, ND_ZSET, ND_HASH, ND_TYPES };

/* As OBJECT ENCODING names them. */
enum nd_encoding {
    ND_ENC_RAW,       /* string, changed or longer than 44 bytes */
    ND_ENC_EMBSTR,    /* string of up to 44 bytes */
    ND_ENC_INT,       /* string that is a number: num */
    ND_ENC_LISTPACK,  /* small hash or sorted set: ptr is a struct nd_pack */
    ND_ENC_INTSET,    /* set of numbers: ptr is a struct nd_intset */
    ND_ENC_QUICKLIST, /* list: ptr is a struct nd_list */
    ND_ENC_HASHTABLE, /* hash or set: ptr is a struct nd_hash_table / nd_set_table */
    ND_ENC_SKIPLIST,  /* sorted set: ptr is a struct nd_zset */
};

#define ND_KEY_MAX ((1 << 30) - 1) /* bytes; whoever takes keys from outside refuses longer ones */

struct nd_value {
    uint32_t type : 4, enc : 4;
    uint32_t age : 24; /* LRU: seconds' clock; LFU: minutes (16) and counter (8). The commands' side gives it meaning */
    uint32_t key_len : 30; /* of the entry that this value begins, at most ND_KEY_MAX; 0 alone */
    uint32_t has_expire : 1;
    uint32_t embedded : 1; /* string bytes stand behind the entry's key, len of them */
    union {
        void *ptr;
        int64_t num;
        uint64_t len; /* embedded */
    };
};
_Static_assert(sizeof(struct nd_value) == 16, "an entry's header is two words");

/* Above these an aggregate leaves its compact encoding; redis.conf's names and meanings. */
struct nd_limits {
    int64_t list_max_listpack_size;    /* -1 to -5: 4, 8, 16, 32, 64 KiB a node; above 0: elements a node */
    int64_t list_compress_depth;       /* accepted and shown; nodes are never compressed in memory */
    int64_t hash_max_listpack_entries; /* 128 */
    int64_t hash_max_listpack_value;   /* 64 bytes */
    int64_t set_max_intset_entries;    /* 512 */
    int64_t zset_max_listpack_entries; /* 128 */
    int64_t zset_max_listpack_value;   /* 64 bytes */
    uint64_t seed[2]; /* of the tables inside of values; the engine draws it once, before the first value is made */
};
extern const struct nd_limits nd_limits_default;

/* Frees what the value holds (not the entry it stands in). */
void nd_value_free(struct nd_value *v);
/* About how many allocations nd_value_free() gives back; 1 for a string. Above 64 Redis frees lazily. */
size_t nd_value_free_effort(const struct nd_value *v);
/* A deep copy that stands alone. An embedded string becomes one with memory of its own. `e` is the value at the start
 * of its entry when it is embedded. */
struct nd_value nd_value_dup(const struct nd_value *v);
/* Elements of an aggregate, bytes of a string. */
size_t nd_value_length(const struct nd_value *v);
/* Bytes of memory that the value holds beside its entry; of aggregates `samples` elements are looked at (0: all). */
size_t nd_value_memory(const struct nd_value *v, size_t samples);
const char *nd_type_name(enum nd_type t);         /* "string", "list", "set", "zset", "hash" */
const char *nd_encoding_name(enum nd_encoding e); /* "raw", "embstr", "int", "listpack", ... */

/* Walks an aggregate in its own order (list: head to tail; zset: lowest score first; hash and set: table order).
 * list and set: `a` is the element; hash: `a` the field, `b` the value; zset: `a` the member, `score`. The slices are
 * good until fn returns; the value must not change meanwhile. Ends early when fn returns false. */
typedef bool nd_visit_fn(void *owner, struct slice a, struct slice b, double score);
void nd_value_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner);

#endif
