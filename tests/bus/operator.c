/* Operators: what people and redis-cli do to a cluster by its commands. */
#include "tests/bus/world.h"

#include <string.h>

#define MOVE_STEPS 4

struct asked *operator_plain(struct world *w, struct node *n, enum cl_verb verb)
{
    struct cl_command c = {.verb = verb};
    return node_ask(w, n, &c);
}

struct asked *operator_meet(struct world *w, struct node *n, const struct node *other)
{
    struct cl_command c = {.verb = CL_MEET_NODE, .ip = slice_of(other->ip), .port = 7000};
    w->counts[COUNT_MEET]++;
    return node_ask(w, n, &c);
}

struct asked *operator_on_node(struct world *w, struct node *n, enum cl_verb verb, const struct cl_id *id)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_command c = {.verb = verb, .node = slice_of(cl_id_text(id, text))};
    if (verb == CL_FORGET)
        w->counts[COUNT_FORGET]++;
    if (verb == CL_REPLICATE)
        w->counts[COUNT_REPLICATE]++;
    return node_ask(w, n, &c);
}

struct asked *operator_failover(struct world *w, struct node *n, bool force, bool takeover)
{
    struct cl_command c = {.verb = CL_FAILOVER, .force = force, .takeover = takeover};
    struct asked *a = node_ask(w, n, &c);
    /* The answer to TAKEOVER may wait for the disk. */
    if (a != NULL && !(a->answered && !a->ok)) {
        w->counts[COUNT_FAILOVER]++;
        n->told_role = n->told_role || takeover;
        if (force)
            n->forced_us = w->time.now_us + SECONDS(6);
    }
    return a;
}

struct asked *operator_slots(struct world *w, struct node *n, enum cl_verb verb, const uint8_t *slots)
{
    struct cl_command c = {.verb = verb, .slots = slots};
    return node_ask(w, n, &c);
}

static struct asked *setslot(struct world *w, struct node *n, enum cl_verb verb, int watched, const struct node *other)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_command c = {.verb = verb,
                           .slot = w->migrations.ledger.watched[watched],
                           .node = slice_of(cl_id_text(&other->id, text)),
                           .slot_has_keys = data_has_slot(w, n, watched)};
    return node_ask(w, n, &c);
}

static struct asked *move_step(struct world *w, const struct slot_move *m)
{
    struct node *from = &w->nodes[m->from], *to = &w->nodes[m->to];
    switch (m->step) {
    case 0: return setslot(w, to, CL_SETSLOT_IMPORTING, m->watched, from);
    case 1: return setslot(w, from, CL_SETSLOT_MIGRATING, m->watched, to);
    case 2:
        if (from->data.master == -1 && to->data.master == -1 && net_open(w, m->from, m->to))
            data_move_slot(w, from, to, m->watched);
        return setslot(w, to, CL_SETSLOT_NODE, m->watched, to);
    default: return setslot(w, from, CL_SETSLOT_NODE, m->watched, to);
    }
}

static void move_end(struct world *w, struct slot_move *m)
{
    m->active = false;
    w->counts[m->step == MOVE_STEPS ? COUNT_SLOT_MOVED : COUNT_SLOT_TORN]++;
}

/* The next command is sent when the last was answered, and none after one that was refused or lost. */
static void move_on(struct world *w, struct happening *h)
{
    struct slot_move *m = (struct slot_move *)h;
    if (m->token != 0) {
        struct node *n = &w->nodes[m->step == 0 || m->step == 2 ? m->to : m->from];
        const struct asked *a = NULL;
        for (int i = 0; i < ASKED_MAX; i++)
            if (n->asked[i].token == m->token && n->life == m->life)
                a = &n->asked[i];
        if (a != NULL && !a->answered && w->time.now_us < m->until_us) {
            happen(&w->time, h, w->time.now_us + MS(2), move_on);
            return;
        }
        if (a == NULL || !a->answered || !a->ok) {
            move_end(w, m);
            return;
        }
        m->step++;
    }
    if (m->step == MOVE_STEPS || m->step >= m->last) {
        move_end(w, m);
        return;
    }
    const struct asked *a = move_step(w, m);
    if (a == NULL) {
        move_end(w, m);
        return;
    }
    m->token = a->token;
    m->life = w->nodes[m->step == 0 || m->step == 2 ? m->to : m->from].life;
    happen(&w->time, h, w->time.now_us + MS(1), move_on);
}

void operator_move_slot(struct world *w, int watched, struct node *from, struct node *to, int steps)
{
    struct slot_move *m = NULL;
    for (int i = 0; i < MOVES_MAX; i++) {
        if (w->moves[i].active && w->moves[i].watched == watched)
            return; /* by another operator: two who move one slot at one time contradict each other */
        if (!w->moves[i].active)
            m = &w->moves[i];
    }
    if (m == NULL || from == to)
        return;
    m->active = true;
    m->watched = watched;
    m->from = from->index;
    m->to = to->index;
    m->step = 0;
    m->last = steps;
    m->token = 0;
    m->until_us = w->time.now_us + SECONDS(10);
    happen(&w->time, &m->next, w->time.now_us, move_on);
}

struct asked *operator_migrate(struct world *w, struct node *n, const struct node *to, const uint8_t *slots)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_move move = {.node = slice_of(cl_id_text(&to->id, text))};
    struct cl_command c = {.verb = CL_MIGRATE_SLOTS, .moves = &move, .nmoves = 1};
    memcpy(move.slots, slots, sizeof move.slots);
    return node_ask(w, n, &c);
}

/* One to four of the slots of a node that are looked at, or all that it has. */
void operator_migrate_some(struct world *w)
{
    struct node *from = some_node(w, rng_below(&w->rng, 10) != 0), *to = some_node(w, rng_below(&w->rng, 8) != 0);
    uint8_t slots[CL_SLOT_BYTES] = {0};
    int wanted = (int)rng_range(&w->rng, 1, 4), begin = (int)rng_below(&w->rng, WATCHED);
    if (from == NULL || to == NULL || (from == to && rng_below(&w->rng, 10) != 0))
        return;
    if (rng_below(&w->rng, 8) == 0 && from->core->me->slots != NULL)
        memcpy(slots, from->core->me->slots, sizeof slots);
    for (int i = 0; i < WATCHED && wanted > 0; i++) {
        int slot = w->migrations.ledger.watched[(begin + i) % WATCHED];
        if (!cl_owns_slot(from->core, slot))
            continue;
        cl_bit_set(slots, slot);
        wanted--;
    }
    if (cl_bit_next(slots, 0, true) < CL_SLOTS)
        operator_migrate(w, from, to, slots);
}

static void share(const struct world *w, int master, uint8_t *slots)
{
    memset(slots, 0, CL_SLOT_BYTES);
    int from = master * CL_SLOTS / w->plan.masters, to = (master + 1) * CL_SLOTS / w->plan.masters;
    for (int s = from; s < to; s++)
        cl_bit_set(slots, s);
}

void operator_form(struct world *w)
{
    uint8_t slots[CL_SLOT_BYTES];
    for (int i = 0; i < w->plan.nodes; i++) {
        struct cl_command epoch = {.verb = CL_SET_CONFIG_EPOCH, .number = i + 1};
        if (!w->plan.same_epochs)
            node_ask(w, &w->nodes[i], &epoch);
        if (i >= w->plan.masters)
            continue;
        share(w, i, slots);
        operator_slots(w, &w->nodes[i], CL_ADDSLOTS, slots);
    }
    for (int i = 1; i < w->plan.nodes; i++)
        operator_meet(w, &w->nodes[0], &w->nodes[i]);
}

void operator_attach(struct world *w)
{
    for (int i = w->plan.masters; i < w->plan.nodes; i++)
        operator_on_node(w, &w->nodes[i], CL_REPLICATE, &w->nodes[i % w->plan.masters].id);
}

/* ---- what no protocol puts right by itself ---- */

static bool repaired(struct world *w, const char *what, const struct node *n)
{
    RECORD(w, "operator", "%s, at %s", what, node_name(n->index));
    w->counts[COUNT_REPAIRED]++;
    return true;
}

static bool reaches(const struct node *n, const struct node *other)
{
    const struct cl_node *seen = cl_node_find(n->core, &other->id);
    return seen != NULL && strcmp(seen->ip, other->ip) == 0;
}

/* Nodes that do not know each other: forgotten, wiped, or reset ones; or do not know where, if all have moved. */
static bool introduce(struct world *w)
{
    bool any = false;
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        for (int k = i + 1; k < w->plan.nodes && n->core != NULL; k++) {
            struct node *other = &w->nodes[k];
            if (other->core == NULL || (reaches(n, other) && reaches(other, n)))
                continue;
            operator_meet(w, n, other);
            any = repaired(w, "MEET", n);
            break;
        }
    }
    return any;
}

static struct node *live_replica_of(struct world *w, const struct cl_id *id)
{
    struct node *best = NULL;
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        const struct cl_node *master = n->core != NULL ? n->core->me->master : NULL;
        if (master != NULL && cl_id_eq(&master->id, id) && (best == NULL || n->data.set.offset > best->data.set.offset))
            best = n;
    }
    return best;
}

static struct node *some_live_master(struct world *w)
{
    struct node *slotless = NULL;
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        if (n->core == NULL || !cl_is_master(n->core))
            continue;
        if (n->core->me->nslots > 0)
            return n;
        slotless = n;
    }
    return slotless;
}

/* Slots of a node that is gone for ever go to somebody who lives, on the word of everybody. */
static void reassign(struct world *w, const struct cl_id *gone)
{
    struct node *to = some_live_master(w);
    uint8_t slots[CL_SLOT_BYTES] = {0};
    if (to == NULL)
        return;
    for (int i = 0; i < w->plan.nodes; i++) {
        const struct node *n = &w->nodes[i];
        const struct cl_node *dead = n->core != NULL ? cl_node_find(n->core, gone) : NULL;
        for (int s = 0; dead != NULL && s < CL_SLOTS; s++)
            if (cl_owner(n->core, s) == dead)
                cl_bit_set(slots, s);
    }
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        const struct cl_node *dead = n->core != NULL ? cl_node_find(n->core, gone) : NULL;
        uint8_t own[CL_SLOT_BYTES] = {0};
        for (int s = 0; dead != NULL && s < CL_SLOTS; s++)
            if (cl_bit(slots, s) && cl_owner(n->core, s) == dead)
                cl_bit_set(own, s);
        if (dead != NULL)
            operator_slots(w, n, CL_DELSLOTS, own);
    }
    uint8_t free_slots[CL_SLOT_BYTES] = {0};
    for (int s = 0; s < CL_SLOTS; s++)
        if (cl_bit(slots, s) && cl_owner(to->core, s) == NULL)
            cl_bit_set(free_slots, s);
    operator_slots(w, to, CL_ADDSLOTS, free_slots);
    operator_plain(w, to, CL_BUMPEPOCH);
}

/* Nodes that nobody is any more: a replica takes their place if there is one; then they are forgotten. */
static bool bury(struct world *w)
{
    bool any = false;
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        struct cl_node *dead;
        for (size_t it = 0; n->core != NULL && (dead = cl_each(n->core, &it)) != NULL;) {
            if (node_of_id(w, &dead->id) != NULL || cl_has(dead, CL_HANDSHAKE))
                continue;
            if (dead->nslots == 0 && dead == n->core->me->master)
                continue; /* no node forgets its master: lead_back() gives it another one first */
            struct cl_id id = dead->id;
            struct node *heir = live_replica_of(w, &id);
            any = repaired(w, "a node is no more", n);
            if (heir != NULL && dead->nslots > 0)
                operator_failover(w, heir, true, true);
            else if (dead->nslots > 0)
                reassign(w, &id);
            else
                operator_on_node(w, n, CL_FORGET, &id);
            break;
        }
    }
    return any;
}

/* Slots that nobody has, or that are somebody's who does not think so. */
static bool cover(struct world *w)
{
    struct node *first = some_live_master(w);
    uint8_t orphans[CL_SLOT_BYTES] = {0}, disowned[CL_SLOT_BYTES] = {0};
    bool some_orphans = false, some_disowned = false;
    for (int s = 0; first != NULL && s < CL_SLOTS; s++) {
        bool claimed = false;
        for (int i = 0; i < w->plan.nodes && !claimed; i++)
            claimed = w->nodes[i].core != NULL && cl_owner(w->nodes[i].core, s) == w->nodes[i].core->me;
        if (claimed)
            continue;
        const struct cl_node *owner = cl_owner(first->core, s);
        const struct node *lives = owner != NULL ? node_of_id(w, &owner->id) : NULL;
        if (owner == NULL) {
            cl_bit_set(orphans, s);
            some_orphans = true;
        } else if (lives != NULL) {
            cl_bit_set(disowned, s);
            some_disowned = true;
        }
    }
    if (some_disowned)
        for (int i = 0; i < w->plan.nodes; i++) {
            uint8_t here[CL_SLOT_BYTES] = {0};
            for (int s = 0; w->nodes[i].core != NULL && s < CL_SLOTS; s++)
                if (cl_bit(disowned, s) && cl_owner(w->nodes[i].core, s) != NULL)
                    cl_bit_set(here, s);
            operator_slots(w, &w->nodes[i], CL_DELSLOTS, here);
        }
    if (some_orphans) {
        operator_slots(w, first, CL_ADDSLOTS, orphans);
        operator_plain(w, first, CL_BUMPEPOCH);
    }
    return (some_orphans || some_disowned) && repaired(w, "slots without an owner", first);
}

/* A replica of a master that it does not know any more, or of one that is a replica itself. */
static bool lead_back(struct world *w)
{
    bool any = false;
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i], *master = some_live_master(w);
        if (n->core == NULL || cl_is_master(n->core) || master == NULL || master == n)
            continue;
        const struct cl_node *its = n->core->me->master;
        const struct node *lives = its != NULL ? node_of_id(w, &its->id) : NULL;
        if ((lives != NULL && lives->core != NULL && cl_is_master(lives->core)) ||
            cl_node_find(n->core, &master->id) == NULL)
            continue;
        operator_on_node(w, n, CL_REPLICATE, &master->id);
        any = repaired(w, "REPLICATE", n);
    }
    return any;
}

/* A master that is down and that nobody may succeed by the rules: its replicas' data is too old, or voters are lacking.
 */
static bool take_over(struct world *w)
{
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        const struct cl_node *master = n->core != NULL ? n->core->me->master : NULL;
        if (master == NULL || master->nslots == 0 || !cl_has(master, CL_FAILED | CL_PFAIL))
            continue;
        const struct node *lives = node_of_id(w, &master->id);
        if (lives == NULL || lives->core == NULL) {
            /* Supervisors don't promote a replica that may lack what its master has promised. */
            if (w->plan.lease_ms > 0)
                operator_plain(w, n, CL_RELEASE);
            operator_failover(w, n, true, true);
            return repaired(w, "TAKEOVER", n);
        }
    }
    return false;
}

/* A master that its supervisors passed over says so itself, and no other one is left. */
static bool force(struct world *w)
{
    struct node *n = w->plan.lease_ms > 0 ? lease_force(w) : NULL;
    w->counts[COUNT_FORCED] += n != NULL;
    return n != NULL && repaired(w, "TAKEOVER FORCE", n);
}

/* Slots left open by somebody who did not end what he began: whoever imports one listens to no claim of it. */
static bool close_slots(struct world *w)
{
    bool any = false;
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        while (n->core != NULL && n->core->nopen > 0) {
            struct cl_command c = {.verb = CL_SETSLOT_STABLE, .slot = n->core->open[0].slot};
            size_t before = n->core->nopen;
            node_ask(w, n, &c);
            if (n->core->nopen >= before)
                break; /* it is a part of a hand-over that is not over */
            any = repaired(w, "SETSLOT STABLE", n);
        }
    }
    return any;
}

/* It follows the one who asks it. */
static bool is_ours(const struct node *n, const struct node *target)
{
    const struct cl_node *master = target->core != NULL ? target->core->me->master : NULL;
    return master != NULL && cl_id_eq(&master->id, &n->id);
}

/* Hand-overs whose target nobody is any more, or is a replica of a master that believes itself in a minority: somebody
 * must say that the slots were not taken. */
static bool end_handovers(struct world *w)
{
    bool any = false;
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        char text[CL_ID_DIGITS + 1];
        if (n->core == NULL || !cl_is_master(n->core) || n->core->shard.nrecords == 0)
            continue;
        const struct cl_open_record *r = &n->core->shard.records[0];
        struct cl_command c = {.verb = CL_SETSLOT_NODE,
                               .slot = cl_bit_next(r->r.slots, 0, true),
                               .node = slice_of(cl_id_text(&n->id, text))};
        const struct node *target = node_of_id(w, &r->r.target);
        bool answers = target != NULL && cl_node_find(n->core, &target->id) != NULL && !is_ours(n, target);
        if (answers || r->r.taking)
            continue;
        const struct asked *a = node_ask(w, n, &c);
        any = a != NULL && (!a->answered || a->ok) && repaired(w, "SETSLOT NODE with its own name", n);
    }
    return any;
}

bool operator_repairs(struct world *w)
{
    /* One kind of thing at a time: the next is looked at when this has come through. */
    return close_slots(w) || introduce(w) || end_handovers(w) || take_over(w) || force(w) || bury(w) || lead_back(w) ||
           cover(w);
}
