/* A small world for cores of the bus: nodes, streams between them that arrive in order after a while, disks that take
 * their time, and a data side of one number. Everything is repeated exactly by the same seed. */
#ifndef TESTS_CLUSTER_WORLD_H
#define TESTS_CLUSTER_WORLD_H

#include "common/base/heap.h"
#include "common/base/idmap.h"
#include "noded/cluster/core.h"
#include "noded/cluster/describe.h"

#define WORLD_NODES 128

struct world;

/* What the data sides of migrations do by themselves. */
enum world_data { WORLD_TAKES_GRANTS, WORLD_LOSES_GRANTS, WORLD_DRAINS_NOT, WORLD_IS_NEVER_NEAR };

struct world_node {
    struct heap_node timer; /* first: when its core wants to be called */
    struct world *world;
    int number;
    struct cl_core *core; /* NULL: it does not run */
    unsigned life;
    struct idmap links; /* by key_of() */
    struct buf disk;    /* what will be read back */
    bool has_disk, disk_fails;
    uint64_t disk_epoch, disk_vote; /* currentEpoch and lastVoteEpoch that will be read back */
    struct buf write;               /* on its way to the disk */
    uint64_t write_seq;
    /* the data side */
    bool master, link_up, paused;
    int following; /* number of a node, -1: none */
    int64_t offset, old_since_us, followed_us;
    bool has_keys, sends_keys;
    uint64_t keys; /* of every slot, when it is asked; and does it answer? */
    bool counts_not;
    /* what came out */
    uint64_t sends, steps, bytes;
    int promotions;
    int64_t promoted_us;
    char answer[256]; /* the last one; "" before */
    bool answered, answer_ok;
    uint8_t dropped[CL_SLOT_BYTES];
    uint8_t shown[CL_SLOT_BYTES], forgotten[CL_SLOT_BYTES];
    uint64_t mapping_epoch;
    int swaps;
    struct buf heard; /* what was published to its subscribers: "channel payload\n" */
};

struct world {
    struct rng rng;
    int64_t now_us;
    int64_t disk_us, delay_us; /* mean delays; the delay of a message is drawn up to twice the mean */
    struct heap heap, timers;
    struct world_node nodes[WORLD_NODES];
    int nnodes;
    bool cut[WORLD_NODES][WORLD_NODES]; /* nothing gets from one to the other; it waits */
    struct world_link **links;
    size_t nlinks, cap_links;
    struct {
        struct cl_id name;
        int source, target;
    } jobs[16]; /* migrations: their data sides do at once what they are to do, */
    int njobs;
    int64_t told_us;             /* when their last news arrive */
    enum world_data data;        /* as far as this */
    uint64_t grants;             /* that were sent */
    struct cl_settings settings; /* of nodes that start; ports and ip are filled in */
    /* Looked at before the effects of a step are done; NULL: nobody looks. */
    void (*watch)(struct world *w, struct world_node *n, const struct cl_effects *fx);
    void *watcher;
    char *broken; /* what the watcher found, NULL: nothing. The caller of world_free() asserts it. */
};

struct world *world_new(uint64_t seed, int nodes, int64_t node_timeout_ms); /* all running, each alone */
void world_free(struct world *w);
void world_start(struct world *w, int node); /* from its disk */
void world_kill(struct world *w, int node);
void world_cut(struct world *w, int a, int b, bool cut); /* both ways */
void world_run(struct world *w, int64_t us);
void world_step(struct world *w, struct world_node *n, struct cl_event *e); /* time and facts are filled in */
const char *world_ip(int number, char out[32]);
/* Runs until the condition holds; false: it did not within so long. */
bool world_until(struct world *w, bool (*holds)(struct world *w, void *arg), void *arg, int64_t us);
/* Gives the command and runs until it is answered. true: it was OK. */
bool world_command(struct world *w, int node, const struct cl_command *m);
bool world_meet(struct world *w, int node, int other);
bool world_add_slots(struct world *w, int node, int first, int last);
bool world_replicate(struct world *w, int node, int master);
void world_settings(struct world *w, int node, const struct cl_settings *s);
void world_publish(struct world *w, int node, const char *channel, const char *text);
struct cl_id world_id(const struct world *w, int node);
/* A cluster of so many masters with `replicas` each, whole and agreed: node i * (replicas + 1) is a master, and behind
 * it stand its replicas. */
bool world_form(struct world *w, int masters, int replicas);
/* All running nodes agree on every slot, hold everybody that runs for working, and are ok. */
bool world_agrees(struct world *w, void *unused);
int world_owner(const struct world *w, int node, int slot); /* as that node sees it; -1 nobody */

#endif
