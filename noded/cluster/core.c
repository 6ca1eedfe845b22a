#include "noded/cluster/core.h"
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

void cl_own_address(struct cl_core *c)
{
    const struct cl_settings *s = &c->set;
    uint16_t port = s->announce_port != 0 ? s->announce_port : s->port;
    uint16_t bus = s->announce_bus_port != 0 ? s->announce_bus_port : s->bus_port;
    cl_node_address(c, c->me, s->announce_ip[0] != '\0' ? s->announce_ip : c->me->ip, port, bus, 0);
    cl_hostname_set(c, c->me, slice_of(s->hostname));
    cl_flags_set(c, c->me, s->no_failover ? CL_NOFAILOVER : 0, s->no_failover ? 0 : CL_NOFAILOVER);
}

struct cl_core *cl_core_new(const struct cl_options *o, int64_t now_us, int64_t unix_ms)
{
    struct cl_core *c = mem_zalloc(sizeof *c);
    struct cl_id id;
    rng_seed(&c->rng, o->seed);
    uint64_t first = rng_u64(&c->rng), second = rng_u64(&c->rng);
    map_init(&c->by_id, first, second);
    c->set = o->settings;
    c->now_us = c->start_us = now_us;
    c->unix_ms = unix_ms;
    c->late_us = now_us;
    c->facts.old_since_us = -1;
    c->state_us = c->migrate_us = c->deadline_us = HEAP_NEVER;
    c->manual.master_offset = -1;
    c->why_not = "not all slots are assigned";
    c->looks = true;
    cl_id_draw(&c->rng, &id);
    c->me = cl_node_new(c, &id, CL_MYSELF | CL_MASTER);
    c->me->ours = c->me->heard = true;
    cl_id_draw(&c->rng, &c->me->shard);
    cl_own_address(c);
    cl_lease_init(c, o->seed);
    cl_durable(c); /* the id itself */
    return c;
}

void cl_core_free(struct cl_core *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->nnodes; i++) {
        struct cl_node *n = c->nodes[i];
        if (n == NULL)
            continue;
        free(n->hostname);
        free(n->slots);
        free(n->reports);
        free(n);
    }
    struct cl_incoming *in;
    for (size_t it = 0; (in = idmap_next(&c->ins, &it)) != NULL;)
        free(in);
    free(c->nodes);
    map_free(&c->by_id);
    idmap_free(&c->ins);
    idmap_free(&c->outs);
    heap_free(&c->heap);
    free(c->open);
    free(c->lost_slots);
    free(c->given_up);
    free(c->left_at);
    free(c->waiting);
    free(c->votes);
    free(c->voted);
    free(c->election.votes);
    cl_jobs_free(c);
    cl_lease_free(c);
    free(c->floors);
    free(c->bans);
    free(c->keys_asks);
    free(c->epoch_waits);
    buf_free(&c->scratch);
    free(c);
}

size_t cl_core_claim(struct cl_core *c, const uint8_t *slots)
{
    size_t touched = 0;
    if (!cl_has(c->me, CL_MASTER))
        return 0;
    for (int slot = cl_bit_next(slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(slots, slot + 1, true)) {
        struct cl_node *owner = cl_owner(c, slot);
        if (owner == c->me || cl_open_find(c, slot, true) != NULL)
            continue;
        if (owner == NULL && cl_has_supervisors(c))
            continue; /* it holds no lease yet: it claims nothing new */
        touched++;
        if (owner == NULL)
            cl_slot_give(c, slot, c->me);
        else
            cl_open_set(c, slot, true, owner);
    }
    return touched;
}

static void clock_set(struct cl_core *c, const struct cl_event *e)
{
    if (e->now_us > c->now_us)
        c->now_us = e->now_us;
    c->unix_ms = e->unix_ms;
    /* We were to be called much earlier: whatever was silent meanwhile was so because we did not listen. */
    if (c->deadline_us != HEAP_NEVER && c->now_us - c->deadline_us > cl_timeout_us(c) / 4)
        c->late_us = c->now_us;
}

static void settings_set(struct cl_core *c, const struct cl_settings *s)
{
    bool other = memcmp(c->set.announce_ip, s->announce_ip, sizeof s->announce_ip) != 0 ||
                 strcmp(c->set.hostname, s->hostname) != 0 || c->set.no_failover != s->no_failover ||
                 c->set.announce_port != s->announce_port || c->set.announce_bus_port != s->announce_bus_port;
    struct cl_node *n;
    c->set = *s;
    cl_own_address(c);
    c->looks = true;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (n == c->me)
            continue;
        if (other)
            n->exchanged_us = c->now_us - 2 * cl_timeout_us(c); /* they are told soon */
        cl_tick_soon(c, n);
    }
}

static void dispatch(struct cl_core *c, const struct cl_event *e)
{
    switch (e->kind) {
    case CL_EV_TIME: break;
    case CL_EV_LINK_UP: cl_link_up(c, e); break;
    case CL_EV_LINK_DOWN: cl_link_down(c, e); break;
    case CL_EV_ACCEPTED: cl_accepted(c, e); break;
    case CL_EV_MESSAGE: cl_received(c, e); break;
    case CL_EV_PERSISTED: cl_persisted(c, e); break;
    case CL_EV_PERSIST_FAILED: cl_persist_failed(c, e); break;
    case CL_EV_COMMAND: cl_command_run(c, e); break;
    case CL_EV_SETTINGS: settings_set(c, e->settings); break;
    case CL_EV_JOB: cl_jobs_news(c, e); break;
    case CL_EV_SLOT_KEYS: cl_keys_counted(c, e); break;
    case CL_EV_PUBLISH: cl_send_publish(c, e); break;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t deadline_find(const struct cl_core *c)
{
    const struct heap_node *top = heap_top(&c->heap);
    int64_t at = top != NULL ? top->at : HEAP_NEVER;
    at = earlier(at, c->state_us);
    at = earlier(at, c->migrate_us);
    at = earlier(at, cl_election_deadline(c));
    at = earlier(at, cl_manual_deadline(c));
    at = earlier(at, cl_jobs_deadline(c));
    at = earlier(at, cl_handover_deadline(c));
    at = earlier(at, cl_state_deadline(c));
    at = earlier(at, cl_setslot_deadline(c));
    at = earlier(at, cl_epoch_wish_deadline(c));
    at = earlier(at, cl_frozen_deadline(c));
    at = earlier(at, cl_lease_deadline(c));
    at = earlier(at, cl_dbmap_deadline(c));
    at = earlier(at, cl_wish_deadline(c));
    at = earlier(at, cl_dbmap_deadline(c));
    if (!c->writing && (c->changed || c->changed_now)) {
        int64_t save = c->changed_now ? c->now_us : c->save_us;
        at = earlier(at, save > c->persist_again_us ? save : c->persist_again_us);
    }
    return at;
}

static void slots_lost_tell(struct cl_core *c)
{
    /* The data side of a replica has them of its master: it drops them once it is promoted. */
    if (c->lost_slots == NULL || c->promoting)
        return;
    cl_effect_slots_add(c->fx, CL_FX_DROP_SLOTS, c->lost_slots);
    free(c->lost_slots);
    c->lost_slots = NULL;
}

/* The data side begins as a master. */
static void begin(struct cl_core *c)
{
    c->begun = true;
    if (cl_has(c->me, CL_MASTER))
        cl_shard_name(c);
    cl_handover_restarted(c);
    if (cl_has(c->me, CL_REPLICA) && c->me->master != NULL)
        cl_follow(c, c->me->master);
}

static void timers_run(struct cl_core *c)
{
    struct heap_node *due = heap_top(&c->heap);
    bool woken = due != NULL && due->at <= c->now_us;
    for (size_t left = c->known + 1; woken && left > 0; left--) {
        due = heap_top(&c->heap);
        struct cl_node *n = (struct cl_node *)(void *)due;
        if (due == NULL)
            break;
        if (due->at <= c->now_us)
            cl_node_tick(c, n);
        else if (!cl_ask_early(c, n))
            break;
    }
}

void cl_step(struct cl_core *c, const struct cl_event *e, struct cl_effects *out)
{
    bool had_link = c->facts.link_up;
    c->fx = out;
    clock_set(c, e);
    c->facts = e->facts;
    if (!c->begun)
        begin(c);
    dispatch(c, e);
    if (e->more) {
        c->fx = NULL;
        return;
    }
    /* What comes next is found by level: whatever the event was, it is looked at where things stand. */
    timers_run(c);
    if (had_link && !e->facts.link_up && cl_has(c->me, CL_REPLICA))
        cl_tell_siblings(c); /* the offset will not change any more: the others can order themselves by it */
    cl_lease_run(c);
    cl_manual_run(c);
    cl_election_run(c);
    cl_epoch_wish_run(c);
    cl_setslot_run(c);
    cl_jobs_run(c);
    cl_handover_run(c);
    cl_dbmap_run(c);
    cl_wish_run(c);
    cl_state_run(c);
    cl_shard_run(c);
    cl_health_run(c);
    cl_migration_run(c);
    slots_lost_tell(c);
    cl_persist_run(c);
    c->deadline_us = deadline_find(c);
    c->fx = NULL;
}

int64_t cl_deadline(const struct cl_core *c)
{
    return c->deadline_us;
}

/* ---- what others ask ---- */

struct cl_id cl_my_id(const struct cl_core *c)
{
    return c->me->id;
}

bool cl_is_master(const struct cl_core *c)
{
    return cl_has(c->me, CL_MASTER);
}

bool cl_ok(const struct cl_core *c)
{
    return c->ok;
}

bool cl_node_is_stock(const struct cl_core *c, const struct cl_id *id)
{
    const struct cl_node *n = cl_node_find(c, id);
    return n != NULL && cl_is_stock(n);
}

bool cl_shard_has_stock(const struct cl_core *c, struct cl_id *who)
{
    const struct cl_node *master = cl_has(c->me, CL_MASTER) ? c->me : c->me->master;
    const struct cl_node *n;
    if (master == NULL)
        return false;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if ((n != master && n->master != master) || !cl_is_stock(n))
            continue;
        if (who != NULL)
            *who = n->id;
        return true;
    }
    return false;
}

int64_t cl_failure_reports(const struct cl_core *c, struct slice id)
{
    const struct cl_node *n = cl_node_find_text(c, id);
    int64_t count = 0;
    if (n == NULL)
        return -1;
    for (size_t i = 0; i < n->nreports; i++)
        count += c->now_us - n->reports[i].at_us <= 2 * cl_timeout_us(c) ? 1 : 0;
    return count;
}

bool cl_owns_slot(const struct cl_core *c, int slot)
{
    return cl_owner(c, slot) == c->me;
}

bool cl_slot_assigned(const struct cl_core *c, int slot)
{
    return cl_owner(c, slot) != NULL;
}
