/* Who is on the list of supervisors, by the word of the supervisors themselves. No sockets. */
#ifndef NODECTL_SUPERVISOR_LIST_MEMBERS_H
#define NODECTL_SUPERVISOR_LIST_MEMBERS_H

#include "common/io/conf.h"

#include <jansson.h>
#include <stdbool.h>

/* views: of status_collect(). */

/* The supervisor at that address answers, watches something, and counts exactly these others beside itself: the same
 * ones, not only as many. A peer is told by its address, or by its id where it announces another address. */
bool list_members_are(const json_t *views, const struct addr *at, const struct addr *list, size_t n);

/* The supervisor at `by` answers and counts the one at `who`; by NULL: any but itself. */
bool list_members_count(const json_t *views, const struct addr *by, const struct addr *who);

/* Those that others count, in the order of the views: appended to *list, none twice. Where a single one answers that
 * counts nobody, it is the list. */
void list_members_all(const json_t *views, struct conf_addresses *list);

/* Appends an address that is not there yet. */
void list_members_add(struct conf_addresses *to, const struct addr *a);

#endif
