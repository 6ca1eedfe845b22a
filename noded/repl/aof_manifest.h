/* The manifest of an append-only file in several parts, as Redis 7 has it: a text of one line a file, which says what
 * is to be loaded and in which order. Whoever replaces it by a rename changes the whole set at once. */
#ifndef REPL_AOF_MANIFEST_H
#define REPL_AOF_MANIFEST_H

#include "common/base/bytes.h"

#define ND_AOF_MANIFEST_MAX ((size_t)16 * 1024 * 1024) /* bytes of a manifest; a larger one is none */

enum nd_aof_kind {
    ND_AOF_BASE = 'b',    /* the dataset at one moment: an RDB file, or requests */
    ND_AOF_HISTORY = 'h', /* of no use any more, to be deleted */
    ND_AOF_INCR = 'i'     /* what was written from then on; several, in rising order */
};

struct nd_aof_file {
    enum nd_aof_kind kind;
    int64_t seq; /* above 0 */
    char *name;  /* without a folder */
};

/* Zeroed memory is the manifest of nothing. */
struct nd_aof_manifest {
    struct nd_aof_file *files; /* base first, then history, then increments in order */
    size_t n, cap;
    int64_t base_seq, incr_seq; /* the highest so far */
};

/* false: the reason, with the number of the line, is appended to why, and m is empty. */
bool nd_aof_manifest_parse(struct nd_aof_manifest *m, struct slice text, struct buf *why);
void nd_aof_manifest_write(const struct nd_aof_manifest *m, struct buf *out);
void nd_aof_manifest_copy(struct nd_aof_manifest *to, const struct nd_aof_manifest *from); /* `to` is as zeroed */
void nd_aof_manifest_free(struct nd_aof_manifest *m);                                      /* and is as zeroed */

const struct nd_aof_file *nd_aof_manifest_base(const struct nd_aof_manifest *m); /* NULL none */
const struct nd_aof_file *nd_aof_manifest_last(const struct nd_aof_manifest *m); /* increment; NULL none */
bool nd_aof_manifest_empty(const struct nd_aof_manifest *m);                     /* nothing to load */
bool nd_aof_manifest_has(const struct nd_aof_manifest *m, enum nd_aof_kind kind);

/* The name that the next base or increment gets: "<prefix>.<seq>.base.rdb", ".base.aof", ".incr.aof". The caller frees.
 */
char *nd_aof_next_base(const struct nd_aof_manifest *m, const char *prefix, bool rdb);
char *nd_aof_next_incr(const struct nd_aof_manifest *m, const char *prefix);

/* A base under the next number; the one before becomes history. */
void nd_aof_manifest_add_base(struct nd_aof_manifest *m, const char *name);
void nd_aof_manifest_add_incr(struct nd_aof_manifest *m, const char *name);
/* All increments but the last `keep` become history. */
void nd_aof_manifest_retire(struct nd_aof_manifest *m, size_t keep);
void nd_aof_manifest_forget_history(struct nd_aof_manifest *m);

#endif
