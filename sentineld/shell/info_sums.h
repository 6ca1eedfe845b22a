/* What the masters of a cluster hold together: INFO texts of several servers added up. Takes any bytes. Pure. */
#ifndef SHELL_INFO_SUMS_H
#define SHELL_INFO_SUMS_H

#include "common/base/bytes.h"

#define INFO_SUMS_DATABASES_MAX 16384 /* lines of further databases are skipped */

struct info_sums {
    struct info_sums_database {
        int64_t number, keys, expires;
    } * databases; /* owned; those that hold keys, by number */
    size_t n, cap;
    int64_t memory;     /* bytes that the servers say they use */
    size_t servers;     /* that were added */
    int64_t stalest_us; /* how old the oldest of the texts is; -1: none was added */
};

/* A zeroed one with stalest_us -1 is empty. age_us: how long ago the text came. */
void info_sums_add(struct info_sums *s, struct slice info, int64_t age_us);
void info_sums_free(struct info_sums *s);

#endif
