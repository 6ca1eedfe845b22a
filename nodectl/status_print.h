/* `nodectl status`, last part: the document of status_merge() as tables. */
#ifndef NODECTL_STATUS_PRINT_H
#define NODECTL_STATUS_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct status_wish {
    bool wide;                 /* more columns, and all groups with their nodes and supervisors */
    const char *const *groups; /* named by the operator: these with their nodes */
    size_t ngroups;
};

/* A line for each group; with their nodes and supervisors those in which something is wrong, those that are named, and
 * the only one that there is. */
void status_print(const json_t *document, const struct status_wish *wish, FILE *out, bool colour);

#endif
