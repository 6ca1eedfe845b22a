/* Operators: they form the cluster, take in nodes that have lost their disks, and change the list of supervisors. */
#include "noded/cluster/state.h"
#include "tests/fleet/world.h"

#include <string.h>

#define LOOKS_EVERY MS(700)

static void meet(struct world *w, struct node *n, const struct node *other)
{
    struct cl_command c = {.verb = CL_MEET_NODE, .ip = slice_of(other->ip), .port = NODE_PORT, .bus_port = BUS_PORT};
    node_command(w, n, &c);
}

static void on_node(struct world *w, struct node *n, enum cl_verb verb, const struct cl_id *id)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_command c = {.verb = verb, .node = slice_of(cl_id_text(id, text))};
    node_command(w, n, &c);
}

void operator_form(struct world *w)
{
    uint8_t slots[CL_SLOT_BYTES];
    for (int i = 0; i < w->nnodes; i++) {
        struct cl_command epoch = {.verb = CL_SET_CONFIG_EPOCH, .number = i + 1};
        node_command(w, &w->nodes[i], &epoch);
        if (i >= w->plan.shards)
            continue;
        struct cl_command add = {.verb = CL_ADDSLOTS, .slots = slots};
        memset(slots, 0, sizeof slots);
        for (int s = i * CL_SLOTS / w->plan.shards; s < (i + 1) * CL_SLOTS / w->plan.shards; s++)
            cl_bit_set(slots, s);
        node_command(w, &w->nodes[i], &add);
    }
    for (int i = 1; i < w->nnodes; i++)
        meet(w, &w->nodes[0], &w->nodes[i]);
}

void operator_attach(struct world *w)
{
    for (int i = w->plan.shards; i < w->nnodes; i++)
        on_node(w, &w->nodes[i], CL_REPLICATE, &w->nodes[i % w->plan.shards].id);
}

/* A node that came back with an empty disk is met again, and becomes a replica of its shard's master. */
static void take_in(struct world *w, struct node *n)
{
    struct node *m = some_master(w, n->shard);
    if (!process_works(&n->p) || m == NULL)
        return;
    if (m == n || (n->data.master == m->index && n->data.repl == REPL_UP && cl_state_known(n->core)))
        n->wiped = false;
    if (!n->wiped)
        return;
    const struct cl_node *known = cl_node_find(n->core, &m->id);
    if (known == NULL || cl_has(known, CL_HANDSHAKE)) {
        meet(w, m, n);
        return;
    }
    if (cl_is_master(n->core))
        on_node(w, n, CL_REPLICATE, &m->id);
}

static bool knows(const struct node *n, const struct node *other)
{
    const struct cl_node *known = cl_node_find(n->core, &other->id);
    return known != NULL && !cl_has(known, CL_HANDSHAKE);
}

/* Some master that it does not know, or that does not know it; NULL: there is none. */
static const struct node *stranger_to(struct world *w, const struct node *n)
{
    for (int k = 0; k < w->plan.shards; k++) {
        const struct node *m = some_master(w, k);
        if (m != NULL && m != n && (!knows(n, m) || !knows(m, n)))
            return m;
    }
    return NULL;
}

/* A node that was away while all the others lost their disks knows nobody. And a replica of a replica, or of a node
 * that is no more, follows nobody's promotion; where supervisors have their shipped core they see to that. */
static void straighten(struct world *w, struct node *n)
{
    struct node *m = some_master(w, n->shard);
    if (!process_works(&n->p) || m == NULL || m == n)
        return;
    const struct cl_node *master = n->core->me->master;
    const struct node *its = master != NULL ? node_of_id(w, &master->id) : NULL;
    const struct node *stranger = stranger_to(w, n);
    /* Whose last slot went to another shard nobody leads to the one who has its master's place. */
    bool lost = master != NULL && its == NULL && (w->plan.modelled || moves_slots(w));
    bool chained = w->plan.modelled && its != NULL && its != m && its->core != NULL && !cl_is_master(its->core);
    if (stranger != NULL)
        meet(w, n, stranger);
    else if (lost || chained)
        on_node(w, n, CL_REPLICATE, &m->id);
}

/* An id that a node had before its disk was lost. */
static void forget(struct world *w, const struct cl_id *former)
{
    for (int i = 0; i < w->nnodes; i++)
        if (process_works(&w->nodes[i].p) && cl_node_find(w->nodes[i].core, former) != NULL)
            on_node(w, &w->nodes[i], CL_FORGET, former);
}

static void forget_former(struct world *w, const struct node *n)
{
    for (int i = 0; i < FORMER_MAX && !cl_id_is_none(&n->former[i]); i++)
        forget(w, &n->former[i]);
}

/* The file of a supervisor is changed, and it is started anew. One at a time, in any order, with time between them. */
static bool update_one(struct world *w)
{
    int begin = (int)rng_below(&w->rng, SUPERS_MAX);
    for (int i = 0; i < SUPERS_MAX; i++) {
        struct super *s = &w->supers[(begin + i) % SUPERS_MAX];
        if (s->file_version == 0 && !super_declared(w, s))
            continue;
        if (s->file_version == w->version)
            continue;
        s->file_version = super_declared(w, s) ? w->version : 0;
        if (s->p.runs)
            super_crash(w, s, false);
        super_start(w, s);
        fault_between_lists(w);
        return true;
    }
    return false;
}

/* Somebody wants the newest epoch for a master, of those whose supervisors have their shipped core: by ballot. */
static void bump(struct world *w)
{
    struct node *n = &w->nodes[w->looks++ % w->nnodes];
    if (!w->plan.modelled && w->looks % 5 == 0 && process_works(&n->p) && cl_is_master(n->core))
        on_node(w, n, CL_BUMPEPOCH, &n->id);
}

/* Slots that a node imports since it was restarted with keys of slots that are others': whoever imports one listens to
 * no claim of it. */
static void close_slots(struct world *w, struct node *n)
{
    while (process_works(&n->p) && n->core->nopen > 0) {
        struct cl_command c = {.verb = CL_SETSLOT_STABLE, .slot = n->core->open[0].slot};
        size_t before = n->core->nopen;
        node_command(w, n, &c);
        if (n->core == NULL || n->core->nopen >= before)
            return; /* it is a part of a hand-over that is not over */
        w->counts[COUNT_CLOSED]++;
    }
}

static void look(struct world *w, struct happening *h)
{
    happen(&w->time, h, w->time.now_us + LOOKS_EVERY / 2 + (int64_t)rng_below(&w->rng, (uint64_t)LOOKS_EVERY), look);
    for (int i = 0; i < w->nnodes; i++)
        if (w->nodes[i].wiped)
            take_in(w, &w->nodes[i]);
        else
            forget_former(w, &w->nodes[i]);
    for (int i = 0; i < w->nnodes; i++) {
        straighten(w, &w->nodes[i]);
        close_slots(w, &w->nodes[i]);
        moving_join(w, &w->nodes[i]);
    }
    update_one(w);
    bump(w);
}

void operator_start(struct world *w)
{
    happen(&w->time, &w->operator, w->time.now_us + LOOKS_EVERY, look);
}

/* The change before it has come to its end everywhere. */
static bool may_change(const struct world *w)
{
    if (w->version + 1 >= VERSIONS_MAX)
        return false;
    for (int i = 0; i < SUPERS_MAX; i++) {
        const struct super *s = &w->supers[i];
        bool updated = process_works(&s->p) && s->version == w->version && takes_part(w, s);
        if ((s->file_version != 0 || super_declared(w, s)) && !updated)
            return false;
    }
    for (int i = 0; i < w->nnodes; i++) {
        if (w->nodes[i].core == NULL || !counts_newest(w, &w->nodes[i]))
            return false;
    }
    return true;
}

/* A spare one is added, one is taken away, or one takes the place of another. Who comes back may have what it had when
 * it was taken away; what is modelled begins anew. */
void operator_change_members(struct world *w)
{
    if (!may_change(w))
        return;
    struct membership m = w->versions[w->version];
    int spare = -1, at = (int)rng_below(&w->rng, (uint64_t)m.n);
    for (int i = 0; i < SUPERS_MAX; i++)
        if (w->supers[i].file_version == 0)
            spare = i;
    uint64_t how = rng_below(&w->rng, 3);
    if (how == 0 && m.n < 5 && spare >= 0)
        m.members[m.n++] = spare;
    else if (how == 1 && m.n > 2)
        m.members[at] = m.members[--m.n];
    else if (m.n >= 3 && spare >= 0)
        m.members[at] = spare;
    else
        return;
    w->counts[COUNT_MEMBERS]++;
    w->versions[++w->version] = m;
    RECORD(w, "operator", "changes the list of supervisors: version %llu has %d", (unsigned long long)w->version, m.n);
    for (int i = 0; i < m.n; i++) {
        RECORD(w, "operator", "  %s", end_name(m.members[i]));
        struct super *s = &w->supers[m.members[i]];
        if (s->file_version == 0 && (s->watcher == NULL || rng_below(&w->rng, 2) == 0))
            super_wipe(w, s);
    }
}
