/* The parts of nodectl fleet create. */
#ifndef NODECTL_LOCAL_CREATE_H
#define NODECTL_LOCAL_CREATE_H

#include "nodectl/change.h"
#include "nodectl/local/layout.h"
#include "nodectl/local/placement.h"
#include "nodectl/local/ports.h"

/* What the operator wishes. */
struct create_wish {
    const char *name;
    int shards, replicas, supervisors;
    int port;           /* the first one; 0: free ones are looked for */
    char *dir;          /* owned */
    const char *hosts;  /* the argument of --hosts; NULL: this host's loopback */
    const char *nodes;  /* of --nodes: they run already; NULL */
    const char *listed; /* of --supervisor, beside --nodes; NULL */
    const char *run_as; /* "" */
    enum layout_runner runner;
    int64_t down_after_ms;
    int limit_ms; /* of the whole */
};

struct create {
    const struct command_call *call;
    struct create_wish wish;
    struct asking asking;
    struct change change;
    struct layout layout;
    struct ports ports;
    char *registry; /* the path of nodectl.conf */
    bool recorded;  /* in it already */
    bool planned;   /* the layout is new */
    int lock;       /* on the fleet's folder; -1 */
    int64_t begun_ms;
};

/* Hosts and their zones, "host[:zone]" (an IPv6 address in brackets), separated by commas, or on the lines of a file of
 * that name. hosts_free() either way. */
struct hosts {
    struct placement_host *v; /* the texts are owned */
    size_t n, cap;
};
bool hosts_read(struct hosts *h, const char *text, struct buf *why);
bool hosts_add(struct hosts *h, struct slice entry, struct buf *why); /* one "host[:zone]" */
void hosts_free(struct hosts *h);

/* Plans a new fleet: programs, hosts, ports and places, in c->layout. false: the reason is appended to why. */
bool create_plan_layout(struct create *c, struct buf *why);
/* Adds the steps to the change, and what is to be said of them. */
void create_tell_plan(struct create *c);
/* The rest of a fleet that is planned or was begun: adds the steps, asks, and does them. Returns the exit code. */
int create_fleet(struct create *c);
/* A cluster of nodes that run already. Returns the exit code. */
int create_joined(struct create *c);

/* How much of the time that the whole may take is left, a second at least. */
int create_left_ms(const struct create *c);

#endif
