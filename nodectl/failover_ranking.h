/* `nodectl failover`: which replica the supervisor itself would choose, and why not the others. */
#ifndef NODECTL_FAILOVER_RANKING_H
#define NODECTL_FAILOVER_RANKING_H

#include "nodectl/fleet.h"

#include <jansson.h>

/* Asks this member (a sentineld that answers) for its ranking, until every replica that it would take has told how far
 * it is since the first question, a fifth of a second at most: so the offsets are those of now, as when it chooses. The
 * array of its maps, best first, all values text (SENTINEL RANKING); NULL: it knows no such command. */
json_t *failover_ranking(struct fleet *f, struct fleet_member *m, const char *group);

/* The first one that can be chosen, by force too; NULL: none. */
const json_t *failover_ranking_best(const json_t *ranking);
/* The row of that "host:port", or NULL. */
const json_t *failover_ranking_row(const json_t *ranking, const char *address);
/* Why it would not be chosen ("down", "priority 0", ...); NULL: it would, or it is not known. */
const char *failover_ranking_against(const json_t *row);
/* What is against it is only that it may not know what its master has promised last: when the master is down, an
 * operator's order promotes it. */
bool failover_ranking_by_force(const json_t *row);
/* It would be chosen only because no other one is better. */
bool failover_ranking_impaired(const json_t *row);

#endif
