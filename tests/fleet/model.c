/* A supervisor in little: it watches nodes, keeps the shipped book of leases, votes and promotes. Its rules are
 * those of SAFETY, sections 1 to 3, and no more: what is checked with it is the nodes' half. Its shards are given. */
#include "tests/fleet/plant.h"
#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <string.h>

#include "noded/cluster/state.h"

void super_init(struct world *w, int i)
{
    struct super *s = &w->supers[i];
    struct happening *all[] = {&s->tick, &s->committed, &s->crash};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        heap_node_init(&all[k]->at);
        all[k]->who = i;
    }
    s->index = i;
    s->file_version = i < w->plan.supers ? 1 : 0;
    runid_draw(&w->rng, s->id);
    process_init(w, &s->p, i);
    watcher_init(w, s);
    s->disk.joined = i < w->plan.supers; /* it is there from the fleet's beginning */
}

int64_t super_ttl_us(const struct world *w)
{
    return MS(w->plan.lease_ms);
}

static int position_in(const struct membership *m, int super)
{
    for (int i = 0; i < m->n; i++)
        if (m->members[i] == super)
            return i;
    return -1;
}

void super_list(const struct membership *m, char out[SUPER_LIST_MAX])
{
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < m->n; i++)
        n += (size_t)snprintf(out + n, SUPER_LIST_MAX - n, "%s10.0.1.%d:26379", i > 0 ? "," : "", m->members[i] + 1);
}

int super_position(const struct world *w, const struct super *s)
{
    return position_in(&w->versions[s->version], s->index);
}

bool super_declared(const struct world *w, const struct super *s)
{
    return position_in(&w->versions[w->version], s->index) >= 0;
}

static bool majority_of(const struct membership *m, uint32_t who)
{
    int n = 0;
    for (int i = 0; i < m->n; i++)
        n += (int)(who >> m->members[i] & 1);
    return n > m->n / 2;
}

/* M1: until a majority of the list before is known to speak for this one, both must agree. */
bool super_majority(const struct world *w, const struct super *s, uint32_t who)
{
    return majority_of(&w->versions[s->version], who) &&
           (s->sealed || s->version == 1 || majority_of(&w->versions[s->version - 1], who));
}

static void restore(struct world *w, struct super *s)
{
    int64_t now_us = process_clock(w, &s->p);
    s->live = s->disk;
    s->epoch = s->disk.vote_epoch;
    for (int k = 0; k < w->plan.shards; k++) {
        const struct book_row *r = &s->disk.shard[k];
        struct book *b = &s->books[k];
        *b = (struct book){.epoch = r->epoch, .well_us = now_us};
        if (PLANTED(107, true, false))
            sn_lease_restore(&b->lease, r->grantee, r->max_ttl_us, r->settled, now_us);
        if (r->grantee[0] != '\0') {
            memcpy(b->lineage[0], r->grantee, sizeof b->lineage[0]);
            b->nlineage = 1;
        }
    }
}

void super_start(struct world *w, struct super *s)
{
    if (s->p.runs || s->file_version == 0 || position_in(&w->versions[s->file_version], s->index) < 0)
        return;
    if (s->p.host_down) {
        s->p.host_down = false;
        net_back(&w->net, s->p.end);
    }
    s->p.runs = true;
    s->sealed = s->version == s->file_version && s->sealed;
    s->version = s->file_version;
    RECORD(w, end_name(s->p.end), "starts with version %llu of the list, voted up to %llu",
           (unsigned long long)s->version, (unsigned long long)s->disk.vote_epoch);
    if (s->watcher != NULL) {
        watcher_start(w, s);
        return;
    }
    memset(s->nodes, 0, sizeof s->nodes);
    memset(s->peers, 0, sizeof s->peers);
    restore(w, s);
    super_tick(w, s);
}

bool takes_part(const struct world *w, const struct super *s)
{
    return s->watcher == NULL ? s->live.joined : s->p.runs && watcher_takes_part(w, s);
}

void super_crash(struct world *w, struct super *s, bool host)
{
    if (!s->p.runs)
        return;
    RECORD(w, end_name(s->p.end), host ? "loses power" : "is killed");
    s->p.runs = s->p.stopped = false;
    s->p.host_down = host;
    s->p.life++;
    net_died(&w->net, s->p.end, host);
    if (s->watcher != NULL)
        watcher_crash(w, s);
    else
        super_disk_crash(w, s);
    happen_not(&w->time, &s->tick);
    inbox_deliver(w, &s->p.inbox);
}

/* What it granted and voted in the life that is forgotten: others know the epochs, and time ends the grants (M2). */
void super_wipe(struct world *w, struct super *s)
{
    RECORD(w, end_name(s->p.end), "its state directory is lost");
    if (s->watcher != NULL) {
        watcher_wipe(s);
        return;
    }
    memset(&s->disk, 0, sizeof s->disk);
    check_wiped(w, s);
    s->quiet_until_us = process_clock(w, &s->p) + super_ttl_us(w) + super_ttl_us(w) / 50;
}

static void tick(struct world *w, struct happening *h)
{
    struct super *s = &w->supers[h->who];
    if (s->p.stopped) {
        inbox_put(&s->p.inbox, h);
        return;
    }
    super_tick(w, s);
}

void super_timer(struct world *w, struct super *s)
{
    if (s->watcher != NULL) {
        watcher_timer(w, s);
        return;
    }
    happen(&w->time, &s->tick, clock_world(&s->p.clock, s->next_probe_us) + lateness(w), tick);
}

/* M2: of the other members of its list enough have told their epochs that with itself they are a majority; so many of
 * them that a majority without it is among those that it has heard. */
static void join(struct world *w, struct super *s)
{
    const struct membership *m = &w->versions[s->version];
    int heard = 0;
    for (int i = 0; i < m->n; i++)
        heard += m->members[i] != s->index && s->peers[m->members[i]].heard;
    if (s->live.joined)
        return;
    if (process_clock(w, &s->p) < s->quiet_until_us || (heard < m->n / 2 + 1 && heard < m->n - 1))
        return;
    RECORD(w, end_name(s->p.end), "takes part again, above epoch %llu", (unsigned long long)s->epoch);
    s->live.joined = true;
    s->live.vote_epoch = s->epoch;
    super_persist(w, s);
}

void super_tick(struct world *w, struct super *s)
{
    int64_t now_us = process_clock(w, &s->p);
    if (!s->p.runs || process_spins(w, &s->p))
        return;
    s->next_probe_us = now_us + super_ttl_us(w) / 4;
    struct vote_ask nothing = {.epoch = 0, .version = s->version}; /* is refused, with the voter's last epoch */
    super_connects(w, s);
    super_asks_peers(w, s, &nothing);
    join(w, s);
    for (int k = 0; k < w->plan.shards; k++) {
        struct book *b = &s->books[k];
        if (!sn_lease_settle(&b->lease, now_us))
            continue;
        s->live.shard[k].settled = true;
        super_persist(w, s);
    }
    super_stands(w, s);
    super_probes(w, s);
    super_timer(w, s);
}
