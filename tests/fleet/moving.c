/* Slots that go from shard to shard by migrations, beside the one that each shard keeps: operators who want that,
 * clients who write to them, and what must hold in the end. What must hold at every moment is in tests/migration. */
#include "noded/cluster/handover.h"
#include "noded/cluster/state.h"
#include "tests/fleet/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define MOVED 12 /* slots */
#define TRY_AGAIN MS(700)

bool moves_slots(const struct world *w)
{
    return w->plan.migrate_ms > 0;
}

void moving_init(struct world *w)
{
    struct ledger *l = &w->migrations.ledger;
    heap_node_init(&w->moving.client.at);
    heap_node_init(&w->moving.migrator.at);
    w->migrations.sync_us = MS(w->plan.sync_ms);
    w->migrations.late_us = MS(w->plan.down_after_ms) * 5;
    handover_init(w);
    if (!moves_slots(w))
        return;
    l->writes = mem_zalloc(WRITES_MAX * sizeof *l->writes);
    l->nwatched = MOVED;
    for (int i = 0; i < MOVED; i++) {
        w->moving.believed[i] = i % w->plan.shards;
        l->watched[i] = w->moving.believed[i] * CL_SLOTS / w->plan.shards + 50 + i;
    }
}

void moving_free(struct world *w)
{
    handover_free(w);
    jobs_end(w);
    free(w->migrations.ledger.writes);
}

/* ---- clients ---- */

static void write_to(struct world *w, struct node *n, int watched, int database)
{
    struct ledger *l = ledger(w);
    size_t i = l->n++;
    l->writes[i] = (struct write){.slot = watched, .database = database, .node = n->index, .at_us = w->time.now_us};
    n->data.set.has[i / 64] |= UINT64_C(1) << i % 64;
    n->data.set.offset += 60;
    w->counts[COUNT_MOVED_WRITES]++;
    jobs_written(w, n, i);
    check_writers(w, n);
    handover_look(w, n);
    swap_check(w, n);
}

/* To whoever took the last write of the slot, as long as that one takes any; then to whoever does. */
static void client(struct world *w, struct happening *h)
{
    int watched = (int)rng_below(&w->rng, MOVED), database = (int)rng_below(&w->rng, DATABASES);
    int begin = (int)rng_below(&w->rng, (uint64_t)w->nnodes), *at = &w->moving.believed[watched];
    happen(&w->time, h, w->time.now_us + 1 + (int64_t)rng_below(&w->rng, (uint64_t)MS(w->plan.write_ms)), client);
    if (!w->writing || ledger(w)->n == WRITES_MAX)
        return;
    for (int k = 0; k < w->nnodes && !client_may_write(w, &w->nodes[*at], watched); k++)
        *at = (begin + k) % w->nnodes;
    struct node *n = &w->nodes[*at];
    if (client_may_write(w, n, watched) && !swap_waits(n, database))
        write_to(w, n, watched, database);
}

/* ---- operators ---- */

static void migrate(struct world *w, struct node *n, const struct node *to, const uint8_t *slots)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_move move = {.node = slice_of(cl_id_text(&to->id, text))};
    struct cl_command c = {.verb = CL_MIGRATE_SLOTS, .moves = &move, .nmoves = 1};
    memcpy(move.slots, slots, sizeof move.slots);
    w->counts[COUNT_MIGRATE]++;
    RECORD(w, "operator", "asks %s to give slots to %s", end_name(n->p.end), end_name(to->p.end));
    node_command(w, n, &c);
}

static void migrate_some(struct world *w)
{
    struct node *from = some_master(w, -1), *to = some_master(w, -1);
    uint8_t slots[CL_SLOT_BYTES] = {0};
    int wanted = (int)rng_range(&w->rng, 1, 4), begin = (int)rng_below(&w->rng, MOVED);
    bool many = rng_below(&w->rng, 8) == 0;
    if (from == NULL || to == NULL || from == to)
        return;
    if (many && from->core->me->slots != NULL) {
        memcpy(slots, from->core->me->slots, sizeof slots);
        cl_bit_clear(slots, w->shards[from->shard].slot);
    }
    for (int i = 0; i < MOVED && wanted > 0; i++) {
        int slot = ledger(w)->watched[(begin + i) % MOVED];
        if (!cl_owns_slot(from->core, slot))
            continue;
        cl_bit_set(slots, slot);
        wanted--;
    }
    if (cl_bit_next(slots, 0, true) < CL_SLOTS)
        migrate(w, from, to, slots);
}

static void cancel_some(struct world *w)
{
    struct node *n = some_master(w, -1);
    struct cl_command c = {.verb = CL_CANCEL_MIGRATIONS};
    if (n == NULL || n->core->live_jobs == 0)
        return;
    w->counts[COUNT_CANCELLED]++;
    RECORD(w, "operator", "cancels the migrations of %s", end_name(n->p.end));
    node_command(w, n, &c);
}

static void turn(struct world *w, struct happening *h)
{
    int64_t mean_us = MS(w->plan.migrate_ms);
    if (w->moving.ended)
        return;
    happen(&w->time, h, w->time.now_us + rng_skewed(&w->rng, mean_us / 4 + 1, mean_us * 2), turn);
    if (rng_below(&w->rng, 10) == 0)
        cancel_some(w);
    else
        migrate_some(w);
}

void moving_begin(struct world *w)
{
    if (!moves_slots(w))
        return;
    happen(&w->time, &w->moving.client, w->time.now_us, client);
    happen(&w->time, &w->moving.migrator, w->time.now_us + MS(w->plan.migrate_ms), turn);
}

void moving_heal(struct world *w)
{
    w->moving.ended = true;
}

static void replicate(struct world *w, struct node *n, const struct node *m)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_command c = {.verb = CL_REPLICATE, .node = slice_of(cl_id_text(&m->id, text))};
    w->counts[COUNT_JOINED]++;
    node_command(w, n, &c);
}

/* Two masters of a shard that both have slots are two shards, and one that was away while its slots went to several
 * masters follows any of them: nobody but an operator makes one shard of them again. */
void moving_join(struct world *w, struct node *n)
{
    struct node *m = some_master(w, n->shard);
    if (!moves_slots(w) || !w->moving.ended || !process_works(&n->p) || n->wiped || m == NULL || m == n)
        return;
    if (!cl_is_master(n->core)) {
        const struct node *followed = node_of_id(w, &n->core->me->master->id);
        if (followed != NULL && followed->shard != n->shard)
            replicate(w, n, m);
        return;
    }
    if (n->core->live_jobs > 0)
        return;
    if (n->core->me->nslots > 0) {
        migrate(w, n, m, n->core->me->slots);
        return;
    }
    data_empty(w, n); /* FLUSHALL: whoever has keys follows nobody */
    n->data.set.offset = 0;
    replicate(w, n, m);
}

static struct node *owner_of(struct world *w, int slot)
{
    for (int i = 0; i < w->nnodes; i++)
        if (w->nodes[i].core != NULL && cl_is_master(w->nodes[i].core) && cl_owns_slot(w->nodes[i].core, slot))
            return &w->nodes[i];
    return NULL;
}

/* Asked for again where it has failed: an end of it may have died of late. */
static void once_more(struct world *w, struct happening *h)
{
    struct moving *m = &w->moving;
    int slot = ledger(w)->watched[m->once_slot];
    struct node *from = owner_of(w, slot), *to = some_master(w, m->once_to);
    uint8_t slots[CL_SLOT_BYTES] = {0};
    if (from != NULL && from->shard == m->once_to && node_may_write_slot(w, from, slot)) {
        m->once = false;
        return;
    }
    happen(&w->time, h, w->time.now_us + TRY_AGAIN, once_more);
    if (from == NULL || to == NULL || from->core->live_jobs > 0 || !process_works(&from->p))
        return;
    cl_bit_set(slots, slot);
    migrate(w, from, to, slots);
}

void moving_once(struct world *w)
{
    if (!moves_slots(w))
        return;
    w->moving.once = true;
    w->moving.once_slot = (int)rng_below(&w->rng, MOVED);
    w->moving.once_to = (int)rng_below(&w->rng, (uint64_t)w->plan.shards);
    once_more(w, &w->moving.migrator);
}

/* ---- who succeeds whom ---- */

void moving_before(struct node *n)
{
    if (n->core->me->master != NULL)
        n->followed = n->core->me->master->id;
}

static void succeeds(struct world *w, struct node *n)
{
    static const struct cl_id nobody;
    handover_succeeds(w, n, &n->followed, true);
    n->followed = nobody;
    /* What the old master acknowledged last had not reached it. */
    for (int i = 0; i < ledger(w)->nwatched; i++)
        if (cl_owns_slot(n->core, ledger(w)->watched[i]))
            data_excuse(w, i);
}

void moving_promoted(struct world *w, struct node *n)
{
    succeeds(w, n);
}

/* A master, too, may be named in the place of another: nothing is promoted then. */
void moving_forced(struct world *w, struct node *n, const struct cl_event *e)
{
    const struct cl_command *c = e->kind == CL_EV_COMMAND ? e->command : NULL;
    if (c == NULL || c->verb != CL_TAKEOVER || !c->promotion->force || n->core == NULL || !cl_is_master(n->core) ||
        n->core->me->config_epoch != c->promotion->epoch)
        return;
    handover_forced(w, n);
}

void moving_frozen(struct world *w, struct node *n, const struct cl_command *c)
{
    if (!cl_id_parse(c->node, &n->frozen))
        return;
    n->frozen_until_us = process_clock(w, &n->p) + MS(c->number);
}

void moving_hands_over(struct world *w, const struct node *n, const struct cl_id *job)
{
    const struct cl_job *j = cl_job_find(n->core, job);
    if (j != NULL && cl_id_eq(&j->target, &n->frozen) && process_clock(w, &n->p) < n->frozen_until_us)
        violated(w, "frozen", "%s goes on with a migration to %s, whose supervisors have frozen it", end_name(n->p.end),
                 id_name(w, &j->target));
}

static bool slots_with_keys(const struct world *w, const struct node *n, uint8_t *slots)
{
    bool any = false;
    memset(slots, 0, CL_SLOT_BYTES);
    for (int i = 0; i < ledger(w)->nwatched; i++)
        if (data_has_slot(w, n, i)) {
            cl_bit_set(slots, ledger(w)->watched[i]);
            any = true;
        }
    return any;
}

static int foreign_slot(const struct node *n, const uint8_t *slots)
{
    int slot = cl_bit_next(slots, 0, true);
    while (slot < CL_SLOTS && cl_owns_slot(n->core, slot))
        slot = cl_bit_next(slots, slot + 1, true);
    return slot;
}

/* Its promotion was on the disk when it died, and nothing was told of it. What its disk never knew is forgotten. */
void moving_started(struct world *w, struct node *n)
{
    uint8_t slots[CL_SLOT_BYTES];
    if (n->disk.text.n > 0 && slots_with_keys(w, n, slots) && cl_core_claim(n->core, slots) > 0)
        RECORD(w, end_name(n->p.end), "  has keys of slots that are not its own (like %d), and imports them",
               foreign_slot(n, slots));
    n->frozen_until_us = 0;
    n->followed = n->followed_disk;
    n->followed_disk = n->disk.says.master;
    if (cl_is_master(n->core) && !cl_id_is_none(&n->followed))
        succeeds(w, n);
}

void moving_record(struct world *w, struct node *n)
{
    static const struct cl_id nobody;
    for (int i = 0; w->lines != NULL && n->core != NULL && i < ledger(w)->nwatched; i++) {
        const struct cl_node *owner = cl_owner(n->core, ledger(w)->watched[i]);
        const struct cl_id *now = owner != NULL ? &owner->id : &nobody;
        if (cl_id_eq(now, &n->owners[i]))
            continue;
        n->owners[i] = *now;
        RECORD(w, end_name(n->p.end), "  holds slot %d for %s's, at %llu", ledger(w)->watched[i], id_name(w, now),
               (unsigned long long)(owner != NULL ? owner->config_epoch : 0));
    }
}

/* ---- what must hold in the end ---- */

static char why[200];

#define MISSING(...)                            \
    do {                                        \
        snprintf(why, sizeof why, __VA_ARGS__); \
        return why;                             \
    } while (0)

static const char *is_moving(const struct node *n)
{
    if (n->core->live_jobs > 0)
        MISSING("%s has a migration that is not over", end_name(n->p.end));
    if (n->core->shard.nrecords > 0)
        MISSING("%s has an open record of a hand-over", end_name(n->p.end));
    for (int i = 0; i < WRITES_WORDS; i++)
        if (n->data.set.shadow[i] != 0)
            MISSING("%s has imported what nobody sees or deletes", end_name(n->p.end));
    return NULL;
}

static const char *same_owners(struct world *w, const struct node *n, const struct node *first)
{
    for (int s = 0; s < CL_SLOTS; s++) {
        const struct cl_node *a = cl_owner(n->core, s), *b = cl_owner(first->core, s);
        if (a == NULL || b == NULL || !cl_id_eq(&a->id, &b->id))
            MISSING("slot %d is %s's to %s, and %s's to %s", s, a != NULL ? id_name(w, &a->id) : "nobody",
                    end_name(n->p.end), b != NULL ? id_name(w, &b->id) : "nobody", end_name(first->p.end));
    }
    return NULL;
}

static const char *is_served(struct world *w, int slot)
{
    const struct node *n = owner_of(w, slot);
    if (n == NULL)
        MISSING("slot %d is nobody's", slot);
    if (!node_may_write_slot(w, n, slot))
        MISSING("%s, whose slot %d is, takes no writes to it", end_name(n->p.end), slot);
    return NULL;
}

const char *moving_unfinished(struct world *w)
{
    const char *missing = NULL;
    const struct node *first = NULL;
    if (!moves_slots(w))
        return NULL;
    if (w->moving.once)
        return "one more migration is wanted, and not made";
    for (int i = 0; i < w->nnodes && missing == NULL; i++) {
        const struct node *n = &w->nodes[i];
        if (n->core == NULL)
            continue;
        first = first != NULL ? first : n;
        missing = is_moving(n);
        if (missing == NULL && n != first)
            missing = same_owners(w, n, first);
    }
    for (int i = 0; i < ledger(w)->nwatched && missing == NULL; i++)
        missing = is_served(w, ledger(w)->watched[i]);
    return missing;
}

void moving_account(struct world *w)
{
    const struct ledger *l = ledger(w);
    for (size_t i = 0; i < l->n && w->violation == NULL; i++) {
        const struct node *n = owner_of(w, l->watched[l->writes[i].slot]);
        bool there = n != NULL && (n->data.set.has[i / 64] >> i % 64 & 1) != 0;
        if (there)
            continue;
        w->counts[COUNT_WRITES_LOST]++;
        if (l->excused[l->writes[i].slot] < l->writes[i].at_us)
            violated(w, "H3", "the write to slot %d that %s acknowledged at %.6f is gone, and nothing lost it",
                     l->watched[l->writes[i].slot], node_name(l->writes[i].node), (double)l->writes[i].at_us / 1e6);
    }
}
