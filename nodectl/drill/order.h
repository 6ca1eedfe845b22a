/* What drill is wanted: the built-in ones, the operator's own (a file in libconfig syntax), and what the command line
 * says over them. */
#ifndef NODECTL_DRILL_ORDER_H
#define NODECTL_DRILL_ORDER_H

#include "common/base/bytes.h"
#include "nodectl/asking.h"

#include <stdbool.h>

enum drill_kind {
    DRILL_KILL_MASTER,
    DRILL_STOP_MASTER,
    DRILL_CUT_MASTER,
    DRILL_SWITCHOVER,
    DRILL_KILL_SUPERVISOR,
    DRILL_RANDOM, /* one of the above that can be done */
    DRILL_KINDS
};
const char *drill_kind_name(enum drill_kind k); /* "kill-master" */
const char *drill_kind_text(enum drill_kind k); /* what it does, one line */

#define ORDER_DATABASES_MAX 256 /* with canaries: each takes two connections */

struct drill_order {
    char *name;                        /* all texts are owned; NULL: not given */
    int kind;                          /* enum drill_kind */
    char *cluster, *group, *shard;     /* what it is about; shard also as the part behind the slash */
    char *harm_command, *heal_command; /* instead of signals */
    char *node_user, *node_password;
    int64_t max_outage_ms; /* -1: no objective */
    int64_t max_lost, max_time_s, hold_ms, stale_ms, client_timeout_ms, every_ms;
    int64_t databases; /* that get canaries, from 0 on; 0: all that the nodes have, up to the maximum */
    int64_t seed;      /* -1: drawn */
    bool restore_roles;
};

void order_free(struct drill_order *o);

/* All drills that can be run by name: the built-in ones, then those of the file (--file, else
 * ~/.config/nodectl-drills.conf, else /etc/sentineld/drills.conf, else none). false: the file is wrong; error has a
 * line for each problem. The caller frees each, and the list. */
bool orders_read(const char *file, struct drill_order **list, size_t *count, struct buf *error);

/* The options that the row of a command may have. What is given counts over the order. EXIT_OK, or EXIT_USAGE with the
 * reason on standard error. */
#define ORDER_OPTIONS                                                                                                \
    {"--cluster", NULL, "NAME", "the cluster (default: the only one that is supervised)"},                           \
        {"--group", NULL, "NAME", "a group that is no cluster"},                                                     \
        {"--shard", NULL, "NAME", "the shard, as orders/1a2b3c4d or 1a2b3c4d (default: one is drawn)"},              \
        {"--seed", NULL, "NUMBER", "of what is drawn, to have the same again (default: drawn, and told)"},           \
        {"--file", "-f", "FILE", "your drills (default ~/.config/nodectl-drills.conf, /etc/sentineld/drills.conf)"}, \
        {"--max-outage-ms", NULL, "MS", "objective: no longer without an acknowledged write (default: none)"},       \
        {"--max-lost", NULL, "NUMBER", "objective: acknowledged writes that may be lost (default 0)"},               \
        {"--max-time-s", NULL, "S", "then the way back begins, whatever has come of it (default 60)"},               \
        {"--hold-ms", NULL, "MS", "how long the harm lasts after a new master is agreed on (default 1000)"},         \
        {"--no-restore-roles", NULL, NULL, "leave the new master where it is"}, ASKING_LOGIN_OPTIONS
int order_options(const struct command_call *call, const struct asking *a, struct drill_order *o);

#endif
