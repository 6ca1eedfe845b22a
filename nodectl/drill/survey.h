/* What a drill asks of supervisors and nodes. Each call makes connections of its own, so that who was gone is asked
 * again. */
#ifndef NODECTL_DRILL_SURVEY_H
#define NODECTL_DRILL_SURVEY_H

#include "nodectl/asking.h"
#include "nodectl/drill/order.h"

#include <jansson.h>

/* The document of status_merge() about the scope (NULL: about all), and the shards [{ name, slot-ranges }] of the
 * cluster of that name, empty for a group. NULL: no supervisor can be asked, which was said where call is not NULL. */
json_t *survey_status(const struct command_call *call, const struct asking *a, const char *scope, json_t **shards);

/* Whom the supervisors at these addresses call the group's master, when all that answer say the same, and at least one
 * does. */
bool survey_master(const struct asking *a, const struct addr *supervisors, size_t n, const char *group,
                   struct addr *master);

/* SENTINEL FAILOVER group COORDINATED [TO host port], asked of the first supervisor that can be asked.
 * false: the last answer is appended to why. to may be NULL. */
bool survey_switch(const struct asking *a, const struct addr *supervisors, size_t n, const char *group,
                   const struct addr *to, struct buf *why);

struct survey_node {
    int64_t process_id;             /* 0: not told */
    int64_t databases;              /* that can be selected */
    bool replica, follows, loading; /* follows: its link to its master is up */
    char config_file[512];          /* "": it has none, or does not say */
};
/* Asks a node, or with for_supervisor a supervisor, of itself. false: the reason is appended to why. */
bool survey_node(const struct asking *a, const struct drill_order *o, const struct addr *at, bool for_supervisor,
                 struct survey_node *out, struct buf *why);

/* The rows of a list in a database of a node; deletes the key afterwards when wanted. Only what is a number counts.
 * false: the reason is appended to why. */
bool survey_rows(const struct asking *a, const struct drill_order *o, const struct addr *at, int database,
                 const char *key, bool remove, int64_t **numbers, size_t *count, struct buf *why);

#endif
