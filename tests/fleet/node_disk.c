/* A node's disk: one text after the other, each whole or not at all. What was confirmed is read back after any crash;
 * of what was on its way nobody knows. */
#include "tests/fleet/world.h"

static void land(struct world *w, struct node *n)
{
    struct slice text = cl_bytes_slice(n->disk.writing);
    buf_clear(&n->disk.text);
    buf_put(&n->disk.text, text.p, text.n);
    cl_bytes_release(n->disk.writing);
    n->disk.writing = NULL;
    if (!durable_read(buf_slice(&n->disk.text), &n->disk.says))
        violated(w, "disk", "the nodes.conf of %s does not name its own node", end_name(n->p.end));
    handover_persisted(w, n);
}

/* Called when the write ends, or when a stopped process that waited for it goes on. */
static void written(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    struct cl_event e = {.kind = CL_EV_PERSISTED, .seq = n->disk.seq};
    if (n->p.stopped) {
        inbox_put(&n->p.inbox, h);
        return;
    }
    if (n->disk.writing == NULL) /* its process has died meanwhile */
        return;
    if (n->disk.full) {
        e.kind = CL_EV_PERSIST_FAILED;
        e.bytes = slice_of("No space left on device");
        cl_bytes_release(n->disk.writing);
        n->disk.writing = NULL;
    } else {
        land(w, n);
        n->followed_disk = n->disk.says.master;
    }
    node_step(w, n, &e);
}

static void crash(struct world *w, struct happening *h)
{
    node_crash(w, &w->nodes[h->who], false);
}

void node_disk_persist(struct world *w, struct node *n, struct cl_effect *e)
{
    struct node_disk *d = &n->disk;
    if (d->writing != NULL) {
        violated(w, "disk", "%s writes its nodes.conf while it writes it", end_name(n->p.end));
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

void node_disk_crash(struct world *w, struct node *n)
{
    struct node_disk *d = &n->disk;
    happen_not(&w->time, &n->written);
    happen_not(&w->time, &n->crash);
    d->crash_next = false;
    if (d->writing == NULL)
        return;
    bool kept = !d->full && rng_below(&w->rng, 2) == 0;
    w->counts[kept ? COUNT_PERSIST_KEPT : COUNT_PERSIST_LOST]++;
    RECORD(w, end_name(n->p.end), "its disk %s the text that was on its way", kept ? "keeps" : "loses");
    if (kept) {
        land(w, n);
        return;
    }
    cl_bytes_release(d->writing);
    d->writing = NULL;
}
