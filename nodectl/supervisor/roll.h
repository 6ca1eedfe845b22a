/* All supervisors of a fleet, and what each of them says of itself and of the masters. */
#ifndef NODECTL_SUPERVISOR_ROLL_H
#define NODECTL_SUPERVISOR_ROLL_H

#include "nodectl/asking.h"

#include <jansson.h>

struct roll {
    const struct asking *asking;
    struct fleet fleet; /* connected and logged in: those that were named, and those that they know */
    json_t *views;      /* of status_collect() */
    /* An array of objects: address, given (bool), error (text or null), and of those that answer
     *   id, kind (sentineld, redis-sentinel), version, run by: executable, config_file, pid,
     *   epoch (the greatest config epoch that it knows), groups and clusters (names),
     *   leases (masters that hold a grant of it), list_version (0: no leases), list_counted (bool),
     *   clock_ms (ahead of ours), clock_error_ms (it may be so much more or less),
     *   paused [{ failover-paused, -until, -by, -reason }], disagrees (sentences: where it differs from most) */
    json_t *list;
};

/* EXIT_OK, or EXIT_NOBODY: nobody answers, which was said. roll_free() either way. */
int roll_take(struct roll *r, const struct command_call *call, const struct asking *a);
void roll_free(struct roll *r);

/* The member that answers at this address of the list; NULL: it does not. */
struct fleet_member *roll_member(const struct roll *r, const json_t *supervisor);
/* The names of all groups that any of them watches, sorted; an array of strings, new. */
json_t *roll_groups(const struct roll *r);

#endif
