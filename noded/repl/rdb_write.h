/* Writes a dataset as an RDB file of version 10, as redis-check-rdb and every Redis from 7.0 on take it. Shadow
 * databases are written under their own numbers; a server that is no cluster node like this one refuses those. */
#ifndef REPL_RDB_WRITE_H
#define REPL_RDB_WRITE_H

#include "noded/store/keyspace.h"

struct nd_engine;

/* Where the bytes go. put() gets pieces of about 64 KiB (a piece may be larger when one value is); false: it can take
 * no more, and the writing ends. */
struct nd_rdb_sink {
    void *owner;
    bool (*put)(void *owner, const char *p, size_t n);
};

/* What stands beside the data. */
struct nd_rdb_facts {
    int64_t unix_s;
    size_t used_memory;
    bool compress, checksum;             /* rdbcompression, rdbchecksum */
    bool aof_base;                       /* the file is the base of an append-only file */
    bool as_requests;                    /* whoever writes the file writes requests instead (aof_base.h) */
    int64_t stamp_s;                     /* with requests: Unix time noted at their front; 0 none */
    bool ages_lru, ages_lfu;             /* maxmemory-policy needs how lately or how often a key was used */
    uint32_t lru_clock;                  /* now, in the unit of nd_value.age; with ages_lru */
    const struct nd_engine *frequencies; /* with ages_lfu: whose clock and settings say how they wear off */
    /* The place in the history of writes at which the dataset stands; repl_id NULL: it has none. */
    const char *repl_id;
    int64_t repl_offset;
    int repl_stream_db; /* selected in the stream there; -1 none */
};

/* What the engine's settings, clock and history say: the facts of a file that is written now. */
void nd_rdb_facts_now(const struct nd_engine *e, struct nd_rdb_facts *out);

/* The whole file, from its first byte to its checksum. Only reads the dataset: meant for a child process too. false:
 * the sink refused. *keys (may be NULL) is how many keys were written so far, also for the sink to look at. */
bool nd_rdb_write(const struct nd_keyspace *k, const struct nd_rdb_facts *facts, const struct nd_rdb_sink *sink,
                  size_t *keys);

#endif
