/* What belongs to a fleet that nodectl made: DIR/fleet.json, and beside it a folder for each process with its
 * configuration, its data and its log. Roles and shards are those at the creation; later the cluster itself tells them.
 * The folder may be copied to other hosts at the same path: each host runs those whose address it has. */
#ifndef NODECTL_LOCAL_LAYOUT_H
#define NODECTL_LOCAL_LAYOUT_H

#include "common/base/addr.h"

#include <jansson.h>

#define LAYOUT_FOLDER_MAX 320

enum layout_runner { RUN_BY_NODECTL, RUN_BY_SYSTEMD, RUN_BY_USER_SYSTEMD };

/* A change of the list of supervisors that was begun, and not seen through: another one may not begin. */
enum layout_changing { LAYOUT_SETTLED, LAYOUT_ADDS, LAYOUT_REMOVES };

struct layout_member {
    char folder[LAYOUT_FOLDER_MAX]; /* below dir: "node-7001"; of another host "10.0.0.2/node-7001" */
    struct addr addr;
    bool supervisor;
    int bus_port; /* of nodes */
    int shard;    /* from 1; 0: a supervisor, or a node that came later */
    bool master;
    char *zone; /* "" */
};

struct layout {
    char *dir;               /* absolute, without symbolic links */
    char *name;              /* of the fleet and of its cluster */
    char *noded, *sentineld; /* the programs, absolute */
    enum layout_runner runner;
    char *run_as;                      /* user of the processes, where systemd starts them; "" */
    bool complete;                     /* it was well once; else its creation was not finished */
    int shards, replicas, supervisors; /* as the operator wished */
    int64_t down_after_ms;
    char *password_file, *node_password_file; /* absolute; "" */
    struct layout_member *v;
    size_t n, cap;
    char **left; /* folders below dir of nodes that were removed: what is in them goes with the fleet; owned */
    size_t nleft;
    enum layout_changing changing; /* another list of supervisors is half given out */
    struct addr changing_who;
};

void layout_free(struct layout *l);
/* The folder of a member that is to be no more is remembered. */
void layout_leave(struct layout *l, const char *folder);
size_t layout_count(const struct layout *l, bool supervisors); /* else nodes */
/* A new member at the end. */
struct layout_member *layout_add(struct layout *l, bool supervisor, const struct addr *a);
/* true: dir is the folder of a fleet, and is read. false: the reason is appended to why; layout_free() either way. */
bool layout_load(struct layout *l, const char *dir, struct buf *why);
bool layout_is_there(const char *dir); /* dir has a fleet.json, readable or not */
bool layout_save(const struct layout *l, struct buf *why);

/* Keeps every other nodectl from starting and ending processes of this fleet until the descriptor is closed; one that
 * is at it is waited for a moment. -1: the reason is appended to why. */
int layout_lock(const struct layout *l, struct buf *why);

/* "DIR/FOLDER/FILE"; FILE "" gives the folder itself. The caller frees. */
char *layout_path(const struct layout *l, const struct layout_member *m, const char *file);
/* The configuration file, which is how a process is told from others. The caller frees. */
char *layout_conf(const struct layout *l, const struct layout_member *m);
const char *layout_program(const struct layout *l, const struct layout_member *m);
/* The name of its unit of systemd. The caller frees. */
char *layout_unit(const struct layout *l, const struct layout_member *m);
/* Whether its address is one of this host. */
bool layout_is_here(const struct layout_member *m);

/* Letters, digits, and - _ . inside: what may be the name of a cluster, of a folder and of a unit. */
bool layout_name_is_good(const char *name);

#endif
