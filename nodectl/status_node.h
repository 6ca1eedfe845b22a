/* One master or replica as all supervisors see it together. Part of status_merge(). */
#ifndef NODECTL_STATUS_NODE_H
#define NODECTL_STATUS_NODE_H

#include <jansson.h>

/* The views of one group: views[i]'s groups[name], and who says it. */
struct sight {
    const char *by; /* the supervisor's address */
    json_t *group;
};

struct sights {
    const char *name; /* of the group */
    struct sight *v;
    size_t n;
    size_t reporter; /* whom the numbers are taken from */
};

/* What is wrong is appended to `problems` as text. */
json_t *status_master(const struct sights *s, const char *address, json_t *problems);
/* All replicas that any supervisor lists, in the order of the reporter's list. */
json_t *status_replicas(const struct sights *s, const char *master, json_t *problems);

json_t *number_or_null(int64_t n); /* null when negative: not known */
/* Appends a formatted sentence. */
void add_line(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Why the supervisor that gave this map holds the process for down: its own reason, or what its fields tell. Owned
 * by the caller. */
char *down_reason(const json_t *map, const char *expected_role);

#endif
