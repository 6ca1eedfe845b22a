/* A client of one lane: a writer that goes where it is sent, as clients of a cluster or of Sentinel do, or a reader
 * that looks at a replica. One request is under way at a time. */
#ifndef NODECTL_DRILL_CLIENT_H
#define NODECTL_DRILL_CLIENT_H

#include "nodectl/drill/book.h"
#include "nodectl/drill/wire.h"

/* The nodes of a shard, as the clients know them. */
struct place {
    struct addr addr;
    int64_t avoid_until_us; /* it was silent or gone lately */
};

struct places {
    struct place *v;
    size_t n, cap;
    size_t master; /* where the last write was taken */
};
size_t places_add(struct places *p, const struct addr *a); /* its index, also when it was there */

/* What clients were told, or saw, that was no answer to their question. */
struct client_error {
    char text[160];
    bool reads;
    int64_t count;
};

struct client_errors {
    struct client_error *v;
    size_t n, cap;
};
void client_errors_add(struct client_errors *e, bool reads, const char *text);

/* What all clients of a drill have in common. */
struct client_rules {
    const char *user, *password; /* at the nodes; "" for none */
    bool cluster;
    int64_t every_us;   /* between two writes of a lane; reads are half as many */
    int64_t timeout_us; /* then a client takes its node for dead and goes to the next one */
    int64_t stale_us;   /* how old a read may be */
    int64_t ttl_ms;     /* of the keys */
};

struct client {
    struct lane *lane;
    struct places *places;
    struct client_errors *errors;
    const struct client_rules *rules;
    bool reads;
    struct wire wire;
    size_t at;         /* in places */
    int64_t due_us;    /* of the next request, or of the next attempt to connect */
    int64_t asked_us;  /* of the request that is under way */
    int64_t number;    /* that is being written */
    int64_t expiry_us; /* when the key's time to live is set again */
    int64_t moved_us;  /* of a reader: since when it is at its node */
    int refused;       /* writes in a row */
    bool lost;         /* it has no master to write to: outside of a cluster supervisors are asked */
};

/* Readers with different numbers begin at different replicas. */
void client_init(struct client *c, struct lane *l, struct places *p, struct client_errors *e,
                 const struct client_rules *rules, bool reads, size_t number, int64_t now_us);
void client_free(struct client *c);

/* Timeouts, connections and requests that are due. Returns the next time to be called. */
int64_t client_step(struct client *c, int64_t now_us);
/* What poll() said of its descriptor. */
void client_serve(struct client *c, short events, enum drill_phase phase, int64_t now_us);
/* The supervisors say that the master is there. */
void client_told(struct client *c, size_t place, int64_t now_us);

#endif
