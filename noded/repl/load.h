/* What an RDB file says goes into a keyspace: the engine's own, or another one that takes its place later. */
#ifndef REPL_LOAD_H
#define REPL_LOAD_H

#include "noded/repl/rdb_read.h"
#include "noded/repl/repl.h"

enum nd_load_twice {
    ND_TWICE_REFUSED, /* a key that is there already ends the loading */
    ND_TWICE_REPLACED /* DEBUG RELOAD MERGE: the file's stands */
};

struct nd_load {
    struct nd_engine *e;
    struct nd_keyspace *into;
    bool drop_expired; /* a master's: what is over when it is loaded is not loaded */
    bool at_start;     /* the file's place in the history becomes that of the node, before the first entry */
    enum nd_load_twice twice;
    uint64_t bytes; /* of the whole file: no more room is made than so many bytes can hold; 0 unknown */
    /* What came of it. */
    int64_t loaded, expired;
    char repl_id[ND_REPL_ID + 1]; /* the place in the history where the dataset stands; "" none was said */
    int64_t repl_offset;          /* -1: none was said */
    int repl_stream_db;           /* -1; as databases are numbered here */
    int databases;                /* the shadows of the file begin behind so many; 0: it has none */
    uint64_t mapping_epoch;       /* of the file's dataset */
    bool emptied;                 /* without keys, because somebody took them out (nd_keyspace_emptied()) */
    bool aof_base;
    size_t used_memory; /* of the server that wrote the file */
    bool begun;         /* entries have come */
};

/* into: NULL: the engine's own. A replica keeps what has expired, as its master decides. */
void nd_load_init(struct nd_load *l, struct nd_engine *e, struct nd_keyspace *into);
/* owner: struct nd_load. */
extern const struct nd_rdb_events nd_load_events;
/* A reader that fills l. */
struct nd_rdb_reader *nd_load_reader(struct nd_load *l);
/* After the last byte of a whole file: also an empty dataset stands somewhere. */
void nd_load_end(struct nd_load *l);
/* The dataset that was loaded stands at the file's epoch of the mapping of databases. */
void nd_load_take_epoch(const struct nd_load *l);
/* The file said a whole place: id, offset and database. */
bool nd_load_has_place(const struct nd_load *l);

#endif
