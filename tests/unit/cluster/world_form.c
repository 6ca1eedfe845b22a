/* What operators do in the small world, and what they look at. */
#include "noded/cluster/state.h"
#include "tests/unit/cluster/world.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#define MS INT64_C(1000)

const char *world_ip(int number, char out[32])
{
    snprintf(out, 32, "10.0.0.%d", number);
    return out;
}

static bool is_answered(struct world *w, void *arg)
{
    struct world_node *n = arg;
    (void)w;
    return n->answered;
}

bool world_command(struct world *w, int node, const struct cl_command *m)
{
    struct world_node *n = &w->nodes[node];
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = 1, .command = m};
    n->answered = false;
    n->answer[0] = '\0';
    world_step(w, n, &e);
    return world_until(w, is_answered, n, 10000 * MS) && n->answer_ok;
}

bool world_meet(struct world *w, int node, int other)
{
    char ip[32];
    return world_command(w, node,
                         &(struct cl_command){.verb = CL_MEET_NODE, .ip = slice_of(world_ip(other, ip)), .port = 7000});
}

bool world_add_slots(struct world *w, int node, int first, int last)
{
    uint8_t slots[CL_SLOT_BYTES] = {0};
    for (int s = first; s <= last; s++)
        cl_bit_set(slots, s);
    return world_command(w, node, &(struct cl_command){.verb = CL_ADDSLOTS, .slots = slots});
}

struct cl_id world_id(const struct world *w, int node)
{
    return cl_my_id(w->nodes[node].core);
}

bool world_replicate(struct world *w, int node, int master)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_id id = world_id(w, master);
    return world_command(w, node, &(struct cl_command){.verb = CL_REPLICATE, .node = slice_of(cl_id_text(&id, text))});
}

void world_settings(struct world *w, int node, const struct cl_settings *s)
{
    struct cl_event e = {.kind = CL_EV_SETTINGS, .settings = s};
    world_step(w, &w->nodes[node], &e);
}

void world_publish(struct world *w, int node, const char *channel, const char *text)
{
    struct cl_event e = {.kind = CL_EV_PUBLISH, .channel = slice_of(channel), .bytes = slice_of(text)};
    world_step(w, &w->nodes[node], &e);
}

int world_owner(const struct world *w, int node, int slot)
{
    const struct cl_node *n = cl_owner(w->nodes[node].core, slot);
    for (int i = 0; n != NULL && i < w->nnodes; i++)
        if (w->nodes[i].core != NULL && cl_id_eq(&n->id, &w->nodes[i].core->me->id))
            return i;
    return -1;
}

static bool all_known(struct world *w, void *unused)
{
    (void)unused;
    for (int i = 0; i < w->nnodes; i++) {
        const struct cl_core *c = w->nodes[i].core;
        const struct cl_node *n;
        size_t good = 0;
        for (size_t it = 0; c != NULL && (n = cl_each(c, &it)) != NULL;)
            good += n == c->me || (n->link_state == CL_LINK_UP && n->heard && !cl_has(n, CL_HANDSHAKE)) ? 1 : 0;
        if (c != NULL && good != (size_t)w->nnodes)
            return false;
    }
    return true;
}

bool world_agrees(struct world *w, void *unused)
{
    const struct cl_core *first = NULL;
    (void)unused;
    for (int i = 0; i < w->nnodes; i++) {
        const struct cl_core *c = w->nodes[i].core;
        const struct cl_node *n;
        if (c == NULL)
            continue;
        if (!c->ok)
            return false;
        for (int k = 0; k < w->nnodes; k++) {
            n = w->nodes[k].core != NULL ? cl_node_find(c, &w->nodes[k].core->me->id) : c->me;
            if (n == NULL || cl_has(n, CL_PFAIL | CL_FAILED | CL_HANDSHAKE))
                return false;
            if (w->nodes[k].core != NULL && cl_has(n, CL_MASTER) != cl_is_master(w->nodes[k].core))
                return false;
        }
        if (first == NULL)
            first = c;
        for (int s = 0; s < CL_SLOTS; s++) {
            const struct cl_node *a = cl_owner(first, s), *b = cl_owner(c, s);
            if (a == NULL || b == NULL || !cl_id_eq(&a->id, &b->id))
                return false;
        }
    }
    return true;
}

bool world_form(struct world *w, int masters, int replicas)
{
    int each = replicas + 1;
    assert(w->nnodes == masters * each);
    for (int m = 0; m < masters; m++)
        if (!world_add_slots(w, m * each, CL_SLOTS * m / masters, CL_SLOTS * (m + 1) / masters - 1) ||
            !world_command(w, m * each, &(struct cl_command){.verb = CL_SET_CONFIG_EPOCH, .number = m + 1}))
            return false;
    for (int i = 1; i < w->nnodes; i++)
        if (!world_meet(w, 0, i))
            return false;
    if (!world_until(w, all_known, NULL, 60000 * MS))
        return false;
    for (int i = 0; i < w->nnodes; i++)
        if (i % each != 0 && !world_replicate(w, i, i - i % each))
            return false;
    if (!world_until(w, world_agrees, NULL, 60000 * MS))
        return false;
    world_run(w, 200 * MS);
    return true;
}
