/* bench-load: a client of a cluster that writes at a steady rate whatever the answers do, so that a pause is seen by
 * every request that was due meanwhile. It follows redirects, and counts what was acknowledged so that the counts can
 * be asked for afterwards. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "common/base/bytes.h"
#include "common/base/rng.h"
#include "tests/bench/load/times.h"

#define LOAD_NODES_MAX 8
#define LOAD_TAG 12 /* "{16383123}" with room */

enum load_kind {
    LOAD_SET,   /* a value for a key of a slot */
    LOAD_COUNT, /* INCR of the slot's counter */
    LOAD_READ   /* GET of the counter, which is compared */
};

struct load_request {
    int64_t due_us; /* when it was to be sent */
    uint32_t number;
    uint16_t slot; /* counted from the first one of the range */
    uint8_t db, kind;
};

/* Requests to one database of one node, in a pipeline. */
struct load_link {
    int fd, db;
    struct buf in, out;
    struct load_request *waiting; /* a ring: sent or about to be, not yet answered */
    size_t first, n, cap;
};

struct load_options {
    int ports[LOAD_NODES_MAX], nodes;
    int slot_first, slots, databases;
    int64_t rate;  /* requests a second; 0: as many as are answered */
    int each;      /* keys of a slot in a database */
    size_t bytes;  /* of a value */
    bool counting; /* every fourth write is of a counter */
};

struct load {
    struct load_options o;
    struct load_link *links; /* of node i, database d: [i * databases + d] */
    uint8_t *owners;         /* node of a slot, as far as is known */
    char (*tags)[LOAD_TAG];  /* what the keys of a slot begin with */
    uint32_t *counts;        /* acknowledged, of a slot's counter in a database */
    char *value;             /* twice as many bytes as a value has, from where different ones are cut */
    struct rng rng;
    struct times times; /* since the last mark */
    size_t outstanding;
    uint64_t moved, errors, wrong;
    char error[160]; /* the first one */
};

int64_t load_now_us(void);
_Noreturn void load_fail(const char *what);

/* link.c */
void load_open(struct load *l); /* all links; fails the program when there is no answer */
void load_close(struct load *l);
void load_ask(struct load *l, struct load_request r); /* put behind the others for whoever has the slot */
void load_flush(struct load *l, struct load_link *k);
void load_read(struct load *l, struct load_link *k);

#endif
