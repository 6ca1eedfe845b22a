/* The program around the engine: loop, listeners, clients, the thread that frees, the timer. One node to a process. */
#ifndef SHELL_NODE_H
#define SHELL_NODE_H

#include "common/io/loop.h"
#include "noded/cmd/engine.h"
#include "noded/shell/shutdown.h"

#include <ev.h>

#define NODE_READ_BYTES ((size_t)64 * 1024) /* read from one client in one turn */

struct aof;
struct child;
struct bus;
struct clients;
struct listen;
struct master_link;
struct migrator;
struct nd_repl;
struct rdb_load;
struct reclaim;
struct slot_links;

struct node {
    struct io_loop *loop;
    struct nd_engine *engine;
    struct nd_repl *repl;
    struct aof *aof; /* NULL until persistence is there */
    struct child *child;
    struct rdb_load *rdb_load; /* while the RDB file is loaded at the start */
    struct clients *clients;
    struct listen *listen;
    struct migrator *migrator;
    struct master_link *master;
    struct reclaim *reclaim;
    struct bus *bus;               /* NULL outside of cluster mode */
    struct slot_links *slot_links; /* the same */
    const char *config_path;       /* absolute; NULL: started without a file */
    const char *executable;
    struct ev_timer timer;
    int64_t armed_us; /* what the timer stands for */
    struct io_turn_end turn_end;
    uint64_t units; /* of effects that the engine has given */
    bool timed;     /* the engine knows the time of this turn */
    bool ending;    /* no further turn */
    bool failed;    /* it ends because it cannot start: status 1 */
    struct shutdown shutdown;
    int64_t start_us;
};

/* Opens everything but the loop's run; false: the reason is appended to error. config is copied. */
bool node_open(struct node *n, const struct nd_config *config, struct buf *error);
void node_close(struct node *n);

void node_touch(struct node *n); /* something was done: the turn has an end */
void node_time(struct node *n);  /* before the engine works: it learns the time, once a turn */
void node_stop(struct node *n);

/* start.c: loads the dataset, turn by turn, while clients are told to wait. node_loaded() comes when that is over, also
 * from inside; why: it could not be loaded, and the program ends. */
void node_load(struct node *n);
void node_loaded(struct node *n, const char *why);

/* host.c */
struct nd_host node_host(struct node *n);
/* settings_follow.c: a setting has changed; false: it cannot be followed, the reason is appended to why. */
bool node_follow_setting(struct node *n, const char *name, struct buf *why);
/* As many descriptors as maxclients and the node itself need. Returns how many clients there may be. */
int64_t node_raise_file_limit(int64_t maxclients);

#endif
