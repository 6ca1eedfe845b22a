/* The sources' snapshots are read before a target that holds keys is emptied: a source that cannot be read to its end
 * would leave nothing on either side of the import. */
#include "nodectl/import/import.h"

#include "common/base/mem.h"

#include <poll.h>
#include <stdlib.h>

#define TICK_MS 50

struct reading {
    struct import *im;
    int64_t keys;
};

static bool on_entry(void *owner, struct nd_rdb_entry *entry, struct buf *why)
{
    struct reading *r = owner;
    if (r->keys++ == 0)
        progress_begin(&r->im->progress, "reading", "keys", r->im->snapshot_keys);
    progress_at(&r->im->progress, r->keys);
    if (!entry->is_text)
        nd_value_free(&entry->value);
    if (entry->db >= r->im->databases)
        buf_printf(why, "it has keys in database %d, and the target has databases 0 to %lld only", entry->db,
                   (long long)r->im->databases - 1);
    return why->n == 0;
}

static bool fail(struct import *im, struct fetch *f)
{
    char text[ADDR_TEXT_MAX];
    buf_printf(&im->error, "%s: %s", addr_text(&f->from, text), buf_str(&f->error));
    return false;
}

bool import_read_once(struct import *im)
{
    struct reading reading = {.im = im};
    struct fetch *v = mem_zalloc(im->n * sizeof *v);
    struct pollfd *p = mem_zalloc(im->n * sizeof *p);
    bool over = false, ok = true;
    progress_begin(&im->progress, "reading", "keys", im->snapshot_keys);
    for (size_t i = 0; i < im->n; i++) {
        fetch_begin(&v[i], &im->source_asking, &im->v[i].addr, -1, NULL);
        v[i].content.each = on_entry;
        v[i].content.owner = &reading;
    }
    while (ok && !over && !interrupted()) {
        over = true;
        for (size_t i = 0; i < im->n; i++)
            p[i] = (struct pollfd){.fd = v[i].fd, .events = fetch_events(&v[i])};
        (void)poll(p, im->n, TICK_MS);
        for (size_t i = 0; i < im->n && ok; i++) {
            fetch_serve(&v[i], p[i].revents);
            over &= fetch_is_over(&v[i]);
            ok = v[i].state != FETCH_FAILED || fail(im, &v[i]);
        }
    }
    progress_end(&im->progress);
    for (size_t i = 0; i < im->n; i++)
        fetch_free(&v[i]);
    free(v);
    free(p);
    return ok && over && !interrupted();
}
