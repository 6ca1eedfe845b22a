/* The cluster that the data goes to: how much it holds, and that it holds nothing. */
#include "nodectl/import/import.h"

#include "nodectl/db/about.h"

#include <stdlib.h>

static bool fail(struct import *im, struct buf *why)
{
    if (why->n > 0 && im->error.n == 0)
        buf_put(&im->error, why->p, why->n);
    buf_free(why);
    return im->error.n == 0;
}

int64_t import_target_keys(struct import *im)
{
    struct buf why = {0};
    struct picture_node *n;
    int64_t keys = 0;
    for (size_t i = 0; (n = about_next_master(&im->target, &i)) != NULL && why.n == 0;) {
        struct about_database_figures *v;
        size_t count;
        (void)about_figures(&im->target, n, &v, &count, &why);
        for (size_t db = 0; db < count; db++)
            keys += v[db].keys;
        free(v);
    }
    return fail(im, &why) ? keys : -1;
}

static bool on_masters(struct import *im, const char *select, const char *what)
{
    struct buf why = {0};
    struct picture_node *n;
    for (size_t i = 0; (n = about_next_master(&im->target, &i)) != NULL && why.n == 0;)
        if (select == NULL || picture_askf(&im->target, n, &why, "SELECT %s", select) != NULL)
            (void)picture_askf(&im->target, n, &why, "%s", what);
    return fail(im, &why);
}

bool import_flush_target(struct import *im)
{
    return on_masters(im, NULL, "FLUSHALL");
}

bool import_flush_database(struct import *im, const char *number)
{
    return on_masters(im, number, "FLUSHDB") && on_masters(im, "0", "PING");
}
