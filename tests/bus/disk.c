/* A node's disk: one text after the other, each whole or not at all. What was confirmed is read back after any crash;
 * of what was on its way nobody knows. */
#include "tests/bus/world.h"

#include <string.h>

#include "common/base/mem.h"

static void land(struct world *w, struct node *n)
{
    struct disk *d = &n->disk;
    struct slice text = cl_bytes_slice(d->writing);
    buf_clear(&d->text);
    buf_put(&d->text, text.p, text.n);
    cl_bytes_release(d->writing);
    d->writing = NULL;
    if (!durable_read(buf_slice(&d->text), &d->says))
        violated(w, "disk", "the nodes.conf of %s does not name its own node", node_name(n->index));
    handover_persisted(w, n);
}

/* Called when the write ends, or when a stopped process that waited for it goes on. */
static void written(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    struct disk *d = &n->disk;
    if (n->stopped) {
        inbox_put(&n->inbox, h);
        return;
    }
    if (d->writing == NULL) /* its process has died meanwhile */
        return;
    struct cl_event e = {.kind = CL_EV_PERSISTED, .seq = d->seq};
    if (d->full) {
        e.kind = CL_EV_PERSIST_FAILED;
        e.bytes = slice_of("No space left on device");
        w->counts[COUNT_DISK_REFUSED]++;
        cl_bytes_release(d->writing);
        d->writing = NULL;
    } else {
        land(w, n);
        n->followed_disk = d->says.master;
    }
    node_step(w, n, &e);
}

static void crash(struct world *w, struct happening *h)
{
    node_crash(w, &w->nodes[h->who], false);
}

void disk_persist(struct world *w, struct node *n, struct cl_effect *e)
{
    struct disk *d = &n->disk;
    if (d->writing != NULL) {
        violated(w, "disk", "%s writes its nodes.conf while it writes it", node_name(n->index));
        return;
    }
    d->writing = e->bytes;
    d->seq = e->seq;
    e->bytes = NULL;
    int64_t takes = rng_skewed(&w->rng, 100, 3000);
    if (d->slow_us > 0)
        takes += (int64_t)rng_below(&w->rng, (uint64_t)d->slow_us);
    happen(&w->time, &n->written, w->time.now_us + takes, written);
    if (!d->crash_next)
        return;
    d->crash_next = false;
    happen(&w->time, &n->crash, w->time.now_us + (int64_t)rng_below(&w->rng, (uint64_t)takes), crash);
}

void disk_crash(struct world *w, struct node *n)
{
    struct disk *d = &n->disk;
    happen_not(&w->time, &n->written);
    happen_not(&w->time, &n->crash);
    d->crash_next = false;
    if (d->writing == NULL)
        return;
    bool kept = !d->full && rng_below(&w->rng, 2) == 0;
    w->counts[kept ? COUNT_PERSIST_KEPT : COUNT_PERSIST_LOST]++;
    RECORD(w, node_name(n->index), "its disk %s the text that was on its way", kept ? "keeps" : "loses");
    if (kept) {
        land(w, n);
        return;
    }
    cl_bytes_release(d->writing);
    d->writing = NULL;
}

void disk_wipe(struct node *n)
{
    buf_clear(&n->disk.text);
    memset(&n->disk.says, 0, sizeof n->disk.says);
}

void disk_supervise(struct world *w, struct node *n)
{
    struct cl_id id;
    cl_id_draw(&w->rng, &id);
    cl_id_put(&n->disk.text, &id);
    buf_printf(&n->disk.text, " %s:7000@17000 myself,master - 0 0 0 connected\nvars currentEpoch 0 lastVoteEpoch 0\n",
               n->ip);
    durable_read(buf_slice(&n->disk.text), &n->disk.says);
}
