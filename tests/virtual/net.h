/* The network as TCP shows it: bytes of one connection arrive in order or not at all; what is lost is sent again,
 * later; across connections nothing is in order, so the last bytes of an old one may come after the first of its
 * successor. A process that is stopped has its connections accepted and its bytes gathered by the kernel. Who the
 * processes are, and what the messages mean, is the world's. */
#ifndef VIRTUAL_NET_H
#define VIRTUAL_NET_H

#include "common/base/rng.h"
#include "tests/virtual/time.h"

#define NET_ENDS_MAX 40

enum way { THERE, BACK }; /* from client to server, from server to client */

/* A message. It is shared by those that carry it and freed with the last of them. */
struct letter {
    unsigned refs;
    bool may_double; /* a request that may reach a process twice */
    void (*free)(struct letter *l);
};

void letter_release(struct letter *l); /* NULL is allowed */

/* One TCP connection. It is kept until the world ends, so that late bytes find it. */
struct conn {
    int client, server;    /* ends; server is the client where nobody has that address */
    int kind;              /* the world's */
    uint64_t ours, theirs; /* the world's names of it at both ends; theirs 0: not yet accepted */
    bool client_open;      /* as its client sees it: until it closes it or is told that it is down */
    bool connected, server_open;
    bool unanswered; /* something was sent to a machine that was off, and is sent again when it is back */
    bool hung;       /* nothing arrives any more, and nobody is told */
    int64_t ready_us[2];
    struct packet *held[2], **held_last[2]; /* sent into a cut network: sent again when it heals */
};

enum net_down { NET_REFUSED, NET_CLOSED, NET_TIMEOUT };

/* What the world does and answers. */
struct net_world {
    bool (*runs)(struct world *w, int end);            /* a process is there, stopped or not */
    bool (*off)(struct world *w, int end);             /* the machine is */
    struct inbox *(*inbox)(struct world *w, int end);  /* of a stopped process; NULL: it reads */
    void (*accepted)(struct world *w, struct conn *c); /* gives it the name `theirs` */
    void (*up)(struct world *w, struct conn *c);
    void (*down)(struct world *w, struct conn *c, bool at_client, enum net_down why);
    void (*got)(struct world *w, struct conn *c, bool at_client, struct letter *l, bool copy);
};

struct net {
    const struct net_world *calls;
    struct world *world;
    struct timeline *time;
    struct rng *rng;
    int ends;
    int64_t delay_us; /* the ordinary delay */
    struct {
        int64_t extra_us; /* more delay, drawn up to this */
        uint32_t loss_ppm, copy_ppm;
    } weather;
    struct conn **conns;
    size_t nconns, cap_conns;
    struct packet **packets, *spare; /* all that were ever made, and those not in use */
    size_t npackets, cap_packets;
    uint8_t cut[NET_ENDS_MAX][NET_ENDS_MAX]; /* how many partitions keep a from b */
    uint64_t sent[NET_ENDS_MAX][NET_ENDS_MAX], delivered[NET_ENDS_MAX][NET_ENDS_MAX];
    /* what happened so far */
    uint64_t delayed, lost, doubled, resets, reordered, late;
};

/* Server -1: nobody has the address. */
struct conn *net_connect(struct net *n, int client, int server, int kind, uint64_t ours);
void net_close(struct net *n, struct conn *c, bool client);                   /* by that end's process */
void net_send(struct net *n, struct conn *c, enum way way, struct letter *l); /* takes the reference */
void net_cut(struct net *n, int from, int to);
void net_mend(struct net *n, int from, int to);
bool net_open(const struct net *n, int a, int b); /* both ways */
void net_died(struct net *n, int end, bool host);
void net_back(struct net *n, int end); /* its machine is on again: old connections are refused */
void net_hang(struct conn *c);
void net_reset(struct net *n, struct conn *c); /* both ends learn that it is gone */
struct conn *net_some_conn(struct net *n);     /* an open one, drawn; NULL */
void net_free(struct net *n);

#endif
