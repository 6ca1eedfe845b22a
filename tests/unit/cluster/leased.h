/* One core whose clocks, disk and supervisors a test plays by hand. */
#ifndef TESTS_CLUSTER_LEASED_H
#define TESTS_CLUSTER_LEASED_H

#include "noded/cluster/state.h"

#define LIST3 "10.0.0.1:26379,10.0.0.2:26379,10.0.0.3:26379"
#define LEASED_EPOCH 5 /* config epoch of a new one */

struct leased {
    struct cl_core *core;
    struct cl_effects fx;
    int64_t now_us, boot_us;
    struct buf disk;  /* the last text that was written */
    struct buf write; /* on its way, while `slow` */
    uint64_t write_seq;
    bool slow;
    uint64_t life;
    char answer[2048];
    bool answered, answer_ok;
};

/* A master of all slots. supervised: as in nodes.conf, "" none. */
struct leased *leased_new(const char *supervised);
void leased_free(struct leased *n);
void leased_restart(struct leased *n); /* from its disk */
void leased_pass(struct leased *n, int64_t us);
void leased_written(struct leased *n);                                   /* what was on its way is on the disk */
bool leased_command(struct leased *n, const struct cl_command *command); /* true: it was answered OK, by now */
struct cl_stamp leased_stamp(const struct leased *n);

struct said { /* CLUSTER LEASE */
    int position;
    int64_t ttl_ms;
    uint64_t epoch;
    struct cl_stamp stamp;
    uint64_t version;
    const char *list;
    bool give_back;
};
bool leased_say(struct leased *n, struct said s);
/* Version 1 of LIST3, with a stamp of this moment. */
bool leased_grant(struct leased *n, int position, int64_t ttl_ms, uint64_t epoch);
bool leased_writes(const struct leased *n); /* it would execute a write now */
struct cl_lease_state leased_state(const struct leased *n);
bool leased_says(const struct leased *n, const char *supervised); /* its disk has it so */

#endif
