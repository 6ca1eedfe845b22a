/* What INFO keyspace tells. No sockets. */
#include "nodectl/db/about.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <string.h>

/* "db0:keys=1,expires=0,avg_ttl=0" */
static bool read_line(struct slice line, int64_t *db, struct about_database_figures *f)
{
    struct slice name = slice_cut(&line, ':');
    if (name.n < 3 || memcmp(name.p, "db", 2) != 0 ||
        !text_range((struct slice){name.p + 2, name.n - 2}, 0, ABOUT_DATABASES_MAX - 1, db))
        return false;
    while (line.n > 0) {
        struct slice value = slice_cut(&line, ',');
        struct slice field = slice_cut(&value, '=');
        int64_t *to = slice_is(field, "keys")      ? &f->keys
                      : slice_is(field, "expires") ? &f->expires
                      : slice_is(field, "avg_ttl") ? &f->average_ttl_ms
                                                   : NULL;
        if (to != NULL && !text_range(value, 0, INT64_MAX, to))
            return false;
    }
    return true;
}

size_t about_read_keyspace(struct slice info, struct about_database_figures **out)
{
    size_t n = 0;
    *out = NULL;
    while (info.n > 0) {
        struct about_database_figures f = {0, 0, 0};
        int64_t db;
        if (!read_line(slice_cut_line(&info), &db, &f))
            continue;
        if ((size_t)db >= n) {
            *out = mem_array(*out, (size_t)db + 1, sizeof **out);
            memset(*out + n, 0, ((size_t)db + 1 - n) * sizeof **out);
            n = (size_t)db + 1;
        }
        (*out)[db] = f;
    }
    return n;
}
