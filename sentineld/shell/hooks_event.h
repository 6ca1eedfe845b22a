/* What a hook is told about one event: a JSON object on its standard input and SENTINELD_* variables. Both are
 * described for operators in sentineld.conf(5); the fields here and there are the same. */
#ifndef SHELL_HOOKS_EVENT_H
#define SHELL_HOOKS_EVENT_H

#include "common/base/addr.h"
#include "common/base/runid.h"

#define HOOK_PRE_FAILOVER "pre-failover" /* the pseudo event that a veto is asked for at */

struct hook_event {
    char *name;  /* "+switch-master" */
    char *level; /* as in the log: "verbose", "notice", "warning" */
    char *payload;
    char *group; /* NULL: tied to no master */
    uint64_t config_epoch,
        current_epoch; /* config_epoch: of the group, 0 without one; of HOOK_PRE_FAILOVER: the ballot's */
    int64_t wall_ms;
    uint64_t number;    /* events that hooks were run for since the supervisor started, from 1 */
    int64_t started_ms; /* when that was: with the number and the id of the supervisor it names the event for ever */
    runid supervisor;
    int port;
    bool test; /* made up by `nodectl hook test` */
    unsigned refs;
};

/* Zeroed but for the names, which are copied; refs is 1. group may be NULL. */
struct hook_event *hook_event_new(const char *name, const char *level, const char *payload, const char *group);
struct hook_event *hook_event_share(struct hook_event *e);
void hook_event_drop(struct hook_event *e); /* NULL is allowed */

/* A payload taken apart. */
struct hook_facts {
    struct slice type;    /* master, slave, sentinel; empty: not about one of these */
    struct slice name;    /* of that instance */
    struct addr address;  /* likewise; host "" when there is none */
    struct addr master;   /* of the group, when the payload names it */
    struct addr from, to; /* +switch-master, pre-failover */
    struct slice detail;  /* what follows */
};
void hook_event_facts(const struct hook_event *e, struct hook_facts *out);

/* Appends the JSON object and a line feed. */
void hook_event_json(const struct hook_event *e, unsigned attempt, struct buf *out);
/* "NAME=value" each, NULL-terminated; freed by hook_event_env_free(). */
char **hook_event_env(const struct hook_event *e, unsigned attempt);
void hook_event_env_free(char **env);

/* A made-up event of this name about a group whose master is at `master`, and that has a replica at `replica`. */
struct hook_event *hook_event_sample(const char *name, const char *group, const struct addr *master,
                                     const struct addr *replica);

#endif
