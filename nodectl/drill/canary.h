/* Canaries: writers and readers in every database of the drilled shard, and one of another shard that should notice
 * nothing. They live in a thread of their own, so that they go on whatever the drill waits for. */
#ifndef NODECTL_DRILL_CANARY_H
#define NODECTL_DRILL_CANARY_H

#include "nodectl/drill/client.h"

#define CANARY_KEYS "nodectl-drill:" /* every key begins with it */

struct canary_setup {
    const char *id;           /* of the drill, part of every key */
    const struct addr *nodes; /* of the drilled shard or group, the master first */
    size_t nnodes;
    const struct addr *others;   /* of the shard of the bystander, the master first */
    size_t nothers;              /* 0: there is no other shard */
    const char *tag, *other_tag; /* what the keys have in braces, so that they are of that shard */
    int databases;               /* 0 to databases - 1 get a lane */
    struct client_rules rules;
    /* Outside of a cluster: who is asked where the master is. */
    const char *group;
    const struct addr *supervisors;
    size_t nsupervisors;
    const char *supervisor_user, *supervisor_password;
};

struct canaries;

/* How the drilled shard looks to its clients now. */
struct canary_sight {
    int64_t silence_us;   /* the longest time without an acknowledged write in this phase, also one that lasts */
    size_t silent;        /* lanes without an acknowledged write since canaries_mark() */
    size_t unread;        /* lanes of which no replica has shown a write since then */
    int silent_database;  /* of the first of the silent ones */
    char last_error[160]; /* of a writer, "" for none */
};

/* The setup must outlive them, except for nodes and others. */
struct canaries *canaries_start(const struct canary_setup *s);
void canaries_stop(struct canaries *c); /* ends the thread; what they saw stays */
void canaries_free(struct canaries *c); /* NULL is allowed */

void canaries_phase(struct canaries *c, enum drill_phase phase);
void canaries_mark(struct canaries *c);
void canaries_look(struct canaries *c, struct canary_sight *out);

/* After canaries_stop(). */
struct lane *canaries_lanes(struct canaries *c, size_t *count);
const struct client_errors *canaries_errors(const struct canaries *c);

#endif
