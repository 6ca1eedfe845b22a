#include "nodectl/backup/snapshots.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/info.h"
#include "nodectl/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 200

/* ---- planning ---- */

static bool ask_replication(struct picture *p, struct picture_node *n, struct slice *info, struct buf *why)
{
    const redisReply *r = picture_askf(p, n, why, "INFO replication");
    if (r == NULL || r->type != REDIS_REPLY_STRING)
        return false;
    *info = (struct slice){r->str, (size_t)r->len};
    return true;
}

static void add_source(struct snapshot *s, const struct picture_node *n)
{
    s->sources = mem_array(s->sources, s->n + 1, sizeof *s->sources);
    struct snapshot_source *source = &s->sources[s->n++];
    *source = (struct snapshot_source){.addr = n->addr, .replica = !n->master};
    memcpy(source->version, n->version, sizeof source->version);
}

static bool is_in_step(const struct snapshot *s, struct slice info)
{
    return slice_is(info_field(info, "master_link_status"), "up") &&
           slice_is(info_field(info, "master_sync_in_progress"), "0") &&
           slice_ieq(info_field(info, "master_replid"), s->replid);
}

static bool plan_shard(struct snapshots *all, struct picture *p, struct picture_node *master, struct buf *why)
{
    struct snapshot *s = &all->v[all->n++];
    struct slice info;
    *s = (struct snapshot){.epoch = master->epoch, .fd = -1};
    memcpy(s->master, master->id, sizeof s->master);
    snprintf(s->file, sizeof s->file, "shard-%zu.rdb", all->n);
    picture_slots(p, master, s->slots);
    if (!ask_replication(p, master, &info, why))
        return false;
    if (!runid_parse(info_field(info, "master_replid"), s->replid) ||
        !text_range(info_field(info, "master_repl_offset"), 0, INT64_MAX, &s->offset)) {
        buf_printf(why, "%s:%d tells no place in a history of writes", master->addr.host, master->addr.port);
        return false;
    }
    for (size_t i = 0; i < p->n; i++) {
        struct picture_node *n = &p->v[i];
        struct buf silent = {0};
        if (!n->master && n->answers && !n->fails && strcmp(n->master_id, master->id) == 0 &&
            ask_replication(p, n, &info, &silent) && is_in_step(s, info))
            add_source(s, n);
        buf_free(&silent);
    }
    add_source(s, master);
    return true;
}

/* A slot that moves key by key has some of its keys at a node that does not own it. */
static bool nothing_open(const struct picture *p, struct buf *why)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].nopen == 0)
            continue;
        buf_printf(why, "slot %d is open: %s:%d is %s it; end that first (nodectl slots check)", p->v[i].open[0].slot,
                   p->v[i].addr.host, p->v[i].addr.port, p->v[i].open[0].importing ? "importing" : "migrating");
        return false;
    }
    return true;
}

bool snapshots_plan(struct snapshots *s, struct picture *p, struct buf *why)
{
    *s = (struct snapshots){.unowned = SN_SLOTS - p->covered};
    if (!nothing_open(p, why))
        return false;
    s->v = mem_zalloc((p->n + 1) * sizeof *s->v);
    for (size_t i = 0; i < p->n; i++) {
        struct picture_node *n = &p->v[i];
        if (!n->master || n->nslots == 0)
            continue;
        if (!n->answers) {
            buf_printf(why, "%s:%d, a master, does not answer: %s", n->addr.host, n->addr.port,
                       n->member != NULL && n->member->error != NULL ? n->member->error : "its address is not known");
            return false;
        }
        if (!plan_shard(s, p, n, why))
            return false;
        s->databases = n->databases > s->databases ? n->databases : s->databases;
    }
    if (s->n == 0)
        buf_puts(why, "no node owns a slot: there is nothing to be saved");
    return s->n > 0;
}

/* ---- taking ---- */

struct taking {
    struct snapshots *s;
    const struct asking *asking;
    const struct folder *folder;
    struct progress progress;
    struct buf *why;
    bool failed;
};

static void stop(struct taking *t, struct snapshot *s)
{
    fetch_free(&s->fetch);
    if (s->fd >= 0 && close(s->fd) != 0 && !t->failed) {
        buf_printf(t->why, "%s cannot be written: %s", s->file, strerror(errno));
        t->failed = true;
    }
    s->fd = -1;
}

static void begin(struct taking *t, struct snapshot *s)
{
    s->fd = folder_file(t->folder, s->file, t->why);
    if (s->fd < 0)
        t->failed = true;
    else
        fetch_begin(&s->fetch, t->asking, &s->sources[s->at].addr, s->fd, s->slots);
}

/* The next one that could give it. */
static void give_way(struct taking *t, struct snapshot *s, const char *why)
{
    char text[ADDR_TEXT_MAX];
    addr_text(&s->sources[s->at].addr, text);
    if (s->fetch.of_disk || s->at + 1 == s->n) {
        if (!t->failed)
            buf_printf(t->why, "%s: %s", text, why);
        t->failed = true;
    } else {
        buf_printf(&t->s->notes, "%s gives no snapshot (%s); the next one is asked\n", text, why);
    }
    stop(t, s);
    s->at++;
}

/* A replica may lag. A master's own snapshot is never too old; it may begin a new history with its first replica. */
static bool is_too_old(const struct snapshot *s)
{
    return s->sources[s->at].replica && s->fetch.state >= FETCH_HEAD && s->fetch.state != FETCH_FAILED &&
           (strcmp(s->fetch.replid, s->replid) != 0 || s->fetch.offset < s->offset);
}

static void look(struct taking *t, struct snapshot *s)
{
    if (s->fetch.state == FETCH_FAILED)
        give_way(t, s, buf_str(&s->fetch.error));
    else if (is_too_old(s))
        give_way(t, s, "it has not all that its master had when the backup began");
    else
        s->done = s->fetch.state == FETCH_DONE;
    if (!s->done)
        return;
    int fd = s->fd;
    s->fd = -1;
    if (close(fd) != 0 && !t->failed) {
        buf_printf(t->why, "%s cannot be written: %s", s->file, strerror(errno));
        t->failed = true;
    }
}

/* Begins as many as may be under way, and waits for what comes. false: none is left. */
static bool turn(struct taking *t, size_t parallel)
{
    struct snapshots *all = t->s;
    struct pollfd *fds = mem_zalloc((all->n + 1) * sizeof *fds);
    size_t active = 0, left = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < all->n; i++) {
        struct snapshot *s = &all->v[i];
        fds[i].fd = -1;
        left += !s->done;
        if (!s->done && s->fd < 0 && active < parallel && !t->failed)
            begin(t, s);
        if (s->fd >= 0) {
            active++;
            fds[i] = (struct pollfd){.fd = s->fetch.fd, .events = fetch_events(&s->fetch)};
        }
        bytes += s->fd >= 0 || s->done ? s->fetch.bytes : 0;
    }
    progress_at(&t->progress, bytes);
    if (active > 0)
        (void)poll(fds, all->n, LOOK_MS);
    for (size_t i = 0; i < all->n && !t->failed; i++) {
        if (all->v[i].fd < 0)
            continue;
        fetch_serve(&all->v[i].fetch, fds[i].revents);
        look(t, &all->v[i]);
    }
    free(fds);
    return left > 0;
}

bool snapshots_take(struct snapshots *s, const struct asking *a, const struct folder *f, size_t parallel,
                    struct buf *why)
{
    struct taking t = {.s = s, .asking = a, .folder = f, .why = why};
    progress_begin(&t.progress, "snapshots", "bytes", 0);
    while (!t.failed && !interrupted() && turn(&t, parallel)) {}
    progress_end(&t.progress);
    if (interrupted() && !t.failed)
        buf_puts(why, "interrupted");
    return !t.failed && !interrupted();
}

/* ---- afterwards ---- */

static bool same_owner(const struct snapshots *s, const struct picture *now, int slot, struct buf *why)
{
    const struct picture_node *n = now->owner[slot] >= 0 ? &now->v[now->owner[slot]] : NULL;
    const struct snapshot *had = NULL;
    for (size_t i = 0; i < s->n && had == NULL; i++)
        had = content_has_slot(s->v[i].slots, slot) ? &s->v[i] : NULL;
    if (had == NULL && n == NULL)
        return true;
    if (had != NULL && n != NULL && strcmp(had->master, n->id) == 0 && had->epoch == n->epoch)
        return true;
    buf_printf(why, "slot %d went from %.8s to %.8s meanwhile", slot, had != NULL ? had->master : "nobody",
               n != NULL ? n->id : "nobody");
    return false;
}

bool snapshots_still_true(const struct snapshots *s, const struct picture *now, struct buf *why)
{
    for (int slot = 0; slot < SN_SLOTS; slot++)
        if (!same_owner(s, now, slot, why))
            return false;
    for (size_t i = 0; i < s->n; i++) {
        const struct content *c = &s->v[i].fetch.content;
        if (c->unfinished > 0)
            buf_printf(why, "slots are being handed over to %.8s, which has not taken %lld keys of them yet",
                       s->v[i].master, (long long)c->unfinished);
        else if (c->mapping_epoch != s->v[0].fetch.content.mapping_epoch)
            buf_puts(why, "databases were swapped meanwhile");
        if (why->n > 0)
            return false;
    }
    return nothing_open(now, why);
}

void snapshots_describe(const struct snapshots *s, struct manifest *m)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct snapshot *from = &s->v[i];
        const struct snapshot_source *source = &from->sources[from->at];
        const struct content *c = &from->fetch.content;
        char text[ADDR_TEXT_MAX];
        struct manifest_shard *to = manifest_add(m);
        to->file = mem_strdup(from->file);
        to->bytes = from->fetch.bytes;
        memcpy(to->sha256, from->fetch.sha256, sizeof to->sha256);
        memcpy(to->slots, from->slots, sizeof to->slots);
        memcpy(to->master, from->master, sizeof to->master);
        to->from = mem_strdup(addr_text(&source->addr, text));
        to->from_replica = source->replica;
        to->version = mem_strdup(source->version);
        memcpy(to->replid, from->fetch.replid, sizeof to->replid);
        to->offset = from->fetch.offset;
        to->keys = c->keys;
        to->expires = c->expires;
        to->databases = mem_array(NULL, c->n, sizeof *to->databases);
        memcpy(to->databases, c->v, c->n * sizeof *to->databases);
        to->ndatabases = c->n;
    }
    m->databases = s->databases;
    m->mapping_epoch = s->n > 0 ? s->v[0].fetch.content.mapping_epoch : 0;
}

void snapshots_free(struct snapshots *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].fd >= 0 || s->v[i].done)
            fetch_free(&s->v[i].fetch);
        if (s->v[i].fd >= 0)
            close(s->v[i].fd);
        free(s->v[i].sources);
    }
    free(s->v);
    buf_free(&s->notes);
    *s = (struct snapshots){.v = NULL};
}
