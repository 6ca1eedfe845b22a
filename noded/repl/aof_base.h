/* The base of an append-only file as requests (aof-use-rdb-preamble no): they make the dataset from nothing. */
#ifndef REPL_AOF_BASE_H
#define REPL_AOF_BASE_H

#include "noded/repl/rdb_write.h"

/* Annotations, lines that are no requests, of a cluster node's files: at which number its shadow databases begin
 * (store/keyspace.h), good for what follows, also in later files; and the epoch of the mapping of databases. */
#define ND_AOF_NOTE_DATABASES "#cluster-databases:"
#define ND_AOF_NOTE_MAPPING "#mapping-epoch:"

/* stamp_s: Unix time that is noted at the front; 0: none. Only reads the dataset: meant for a child process too. false:
 * the sink refused. *keys (may be NULL) is how many keys were written so far, also for the sink to look at. */
bool nd_aof_base_write(const struct nd_keyspace *k, int64_t stamp_s, const struct nd_rdb_sink *sink, size_t *keys);
/* Requests for the keys of some slots of the databases that clients see, as few as can be. slots: ND_SLOTS bits, slot s
 * is bit s % 8 of byte s / 8. */
bool nd_aof_base_write_slots(const struct nd_keyspace *k, const uint8_t *slots, const struct nd_rdb_sink *sink,
                             size_t *keys);

#endif
