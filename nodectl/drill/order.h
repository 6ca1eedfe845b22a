/* What drill is wanted: the built-in ones, the operator's own (a file in libconfig syntax), and what the command line
 * says over them. */
#ifndef NODECTL_DRILL_ORDER_H
#define NODECTL_DRILL_ORDER_H

#include "common/base/bytes.h"
#include "nodectl/asking.h"
#include "nodectl/drill/kinds.h"

#include <stdbool.h>

#define ORDER_UNNOTICED_MS 1000 /* so long may be a silence of clients that should notice nothing */
#define ORDER_DATABASES_MAX 256 /* with canaries: each takes two connections */

struct drill_order {
    char *name;                        /* all texts are owned; NULL: not given */
    int kind;                          /* enum drill_kind */
    char *cluster, *group, *shard;     /* what it is about; shard also as the part behind the slash */
    char *node;                        /* host:port of whom it is done to */
    char *harm_command, *heal_command; /* instead of signals */
    char *node_user, *node_password;
    int64_t max_outage_ms;    /* -1: no objective; drill_prepare() sets one where nobody should notice anything */
    int64_t max_bystander_ms; /* the same of the other shard */
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
        {"--node", NULL, "ADDRESS", "host:port of the node, or supervisor, that it is done to (default: drawn)"},    \
        {"--seed", NULL, "NUMBER", "of what is drawn, to have the same again (default: drawn, and told)"},           \
        {"--file", "-f", "FILE", "your drills (default ~/.config/nodectl-drills.conf, /etc/sentineld/drills.conf)"}, \
        {"--max-outage-ms", NULL, "MS",                                                                              \
         "objective: no longer without an acknowledged write (default: none; 1000 where no master is harmed)"},      \
        {"--max-bystander-ms", NULL, "MS", "objective: the same in the other shard (default 1000)"},                 \
        {"--max-lost", NULL, "NUMBER", "objective: acknowledged writes that may be lost (default 0)"},               \
        {"--max-time-s", NULL, "S", "then the way back begins, whatever has come of it (default 60)"},               \
        {"--hold-ms", NULL, "MS", "how long the harm lasts after it was noticed (default 1000)"},                    \
        {"--no-restore-roles", NULL, NULL, "leave the new master where it is"}, ASKING_LOGIN_OPTIONS
int order_options(const struct command_call *call, const struct asking *a, struct drill_order *o);

#endif
