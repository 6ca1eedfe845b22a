/* INFO: the text, in Redis's sections and under its names. */
#ifndef CMD_INFO_H
#define CMD_INFO_H

#include "noded/cmd/engine.h"

struct nd_info {
    const struct nd_engine *e;
    struct nd_facts facts;
    size_t used; /* bytes of memory */
    struct buf *out;
};

void nd_info_server(struct nd_info *i);
void nd_info_clients(struct nd_info *i);
void nd_info_memory(struct nd_info *i);
void nd_info_persistence(struct nd_info *i);
void nd_info_stats(struct nd_info *i);
void nd_info_replication(struct nd_info *i);
void nd_info_cpu(struct nd_info *i);
void nd_info_modules(struct nd_info *i);
void nd_info_commandstats(struct nd_info *i);
void nd_info_errorstats(struct nd_info *i);
void nd_info_latencystats(struct nd_info *i);
void nd_info_cluster(struct nd_info *i);
void nd_info_keyspace(struct nd_info *i);

/* Bytes as "2.64M". */
void nd_human_bytes(struct buf *out, size_t bytes);
/* A key with its value and its place in the table; of an aggregate that many elements are looked at, 0: all. */
size_t nd_key_memory(const struct nd_entry *e, size_t samples);
/* What the dataset's own memory is not: tables, buffers, the program at its start. */
size_t nd_memory_overhead(const struct nd_engine *e, const struct nd_facts *f);

#endif
