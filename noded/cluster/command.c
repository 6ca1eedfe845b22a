/* The CLUSTER subcommands that change something, with the answers that Redis 7.0 gives. */
#include "noded/cluster/state.h"

#include "common/base/addr.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void ok_durable(struct cl_core *c, cl_token token)
{
    cl_answer_durable(c, token, "OK");
}

static void meet(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    char ip[CL_IP_MAX] = "";
    int64_t bus = m->bus_port != 0 ? m->bus_port : m->port + 10000;
    if (m->ip.n < sizeof ip)
        memcpy(ip, m->ip.p, m->ip.n);
    if (!addr_is_ip(ip) || m->port < 1 || m->port > 65535 || bus < 1 || bus > 65535)
        FAIL_WITH(c, token, "Invalid node address specified: %.*s:%" PRId64, SHOWN(m->ip), m->port);
    cl_handshake(c, ip, (uint16_t)m->port, (uint16_t)bus, true);
    cl_effect_answer(c->fx, token, true, "OK");
}

static void forget(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_node *n = cl_node_find_text(c, m->node);
    struct cl_id id;
    /* Another node was told so before, and has told it on: an operator's tool that says it to each must not fail. */
    if (n == NULL && cl_id_parse(m->node, &id) && cl_banned(c, &id)) {
        cl_effect_answer(c->fx, token, true, "OK");
        return;
    }
    if (n == NULL)
        FAIL_WITH(c, token, "Unknown node %.*s", SHOWN(m->node));
    if (n == c->me)
        FAIL_WITH(c, token, "I tried hard but I can't forget myself...");
    if (n == c->me->master && cl_has(c->me, CL_REPLICA))
        FAIL_WITH(c, token, "Can't forget my master!");
    cl_ban(c, &n->id, CL_BAN_S);
    cl_node_remove(c, n);
    ok_durable(c, token);
}

static void add_slots(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (!cl_has(c->me, CL_MASTER))
        FAIL_WITH(c, token, "Slots are assigned to masters only.");
    if (cl_lacks_lease(c, token))
        return;
    int slot;
    for (slot = cl_bit_next(m->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(m->slots, slot + 1, true))
        if (cl_owner(c, slot) != NULL)
            FAIL_WITH(c, token, "Slot %d is already busy", slot);
    for (slot = cl_bit_next(m->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(m->slots, slot + 1, true))
        cl_slot_give(c, slot, c->me);
    ok_durable(c, token);
}

static void delete_slots(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    int slot;
    for (slot = cl_bit_next(m->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(m->slots, slot + 1, true))
        if (cl_owner(c, slot) == NULL)
            FAIL_WITH(c, token, "Slot %d is already unassigned", slot);
    for (slot = cl_bit_next(m->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(m->slots, slot + 1, true))
        if (cl_slot_is_moving(c, token, slot))
            return;
    for (slot = cl_bit_next(m->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(m->slots, slot + 1, true)) {
        cl_open_clear(c, slot, false);
        cl_slot_give_up(c, slot);
    }
    ok_durable(c, token);
}

static void flush_slots(struct cl_core *c, cl_token token)
{
    if (c->facts.has_keys)
        FAIL_WITH(c, token, "DB must be empty to perform CLUSTER FLUSHSLOTS.");
    if (c->live_jobs > 0 || c->shard.nrecords > 0)
        FAIL_WITH(c, token, "Slots are being migrated: see CLUSTER GETSLOTMIGRATIONS");
    cl_slots_drop(c, c->me);
    ok_durable(c, token);
}

static void replicate(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_node *n = cl_command_node(c, m);
    if (n == NULL)
        FAIL_WITH(c, token, "Unknown node %.*s", SHOWN(m->node));
    if (n == c->me)
        FAIL_WITH(c, token, "Can't replicate myself");
    if (!cl_has(n, CL_MASTER))
        FAIL_WITH(c, token, "I can only replicate a master, not a replica.");
    if (cl_has(c->me, CL_MASTER) && (c->me->nslots != 0 || c->facts.has_keys))
        FAIL_WITH(c, token, "To set a master the node must be empty and without assigned slots.");
    if (c->me->master != n)
        cl_follow(c, n);
    ok_durable(c, token);
}

static void failover(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_node *master = c->me->master;
    if (cl_has_supervisors(c))
        FAIL_WITH(c, token,
                  "This node is supervised: say SENTINEL FAILOVER <name> to a supervisor, or release the node "
                  "first (CLUSTER RELEASE)");
    if (cl_has(c->me, CL_MASTER))
        FAIL_WITH(c, token, "You should send CLUSTER FAILOVER to a replica");
    if (master == NULL)
        FAIL_WITH(c, token, "I'm a replica but my master is unknown to me");
    bool down = cl_has(master, CL_FAILED) || master->link_state != CL_LINK_UP;
    if (down && !m->force && !m->takeover)
        FAIL_WITH(c, token, "Master is down or failed, please use CLUSTER FAILOVER FORCE");
    /* What the master has granted since, and to whom, is known to those that it counts. */
    bool known = cl_state_known(c);
    if (m->force && !m->takeover && !known && cl_state_is_open(c))
        FAIL_WITH(c, token,
                  "A hand-over of slots or a swap of databases is open in this shard, and this replica may not know "
                  "how it stands. Use CLUSTER FAILOVER TAKEOVER to risk it.");
    if ((m->force || m->takeover) && !known)
        CL_LOG(c, WARNING,
               "A failover by force: the master does not count this replica any more, which may not know of "
               "hand-overs that it has begun since");
    cl_manual_end(c);
    if (m->takeover) {
        CL_LOG(c, WARNING, "Taking over from the master, as an operator wants");
        /* A replica's own epoch may be its master's, from nodes.conf: no claim beats an equal one. */
        cl_bump_epoch(c, true);
        cl_take_over(c);
        ok_durable(c, token);
        return;
    }
    c->manual = (struct cl_manual){.end_us = c->now_us + INT64_C(5000000), .master_offset = -1};
    if (m->force) {
        c->manual.can_start = true;
        cl_election_stop(c);
    } else {
        struct cl_header h;
        c->manual.asked = true;
        cl_head(c, CL_MFSTART, &h);
        buf_clear(&c->scratch);
        cl_wire_begin(&c->scratch, &h);
        cl_wire_end(&c->scratch);
        if (cl_send_to(c, master, &c->scratch))
            c->sent[CL_MFSTART]++;
    }
    cl_effect_answer(c->fx, token, true, "OK");
}

static void set_config_epoch(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (m->number < 0 || (uint64_t)m->number >= CL_EPOCH_MAX)
        FAIL_WITH(c, token, "Invalid config epoch specified: %" PRId64, m->number);
    if (c->known > 1)
        FAIL_WITH(c, token, "The user can assign a config epoch only when the node does not know any other node.");
    if (c->me->config_epoch != 0)
        FAIL_WITH(c, token, "Node config epoch is already non-zero");
    if (cl_epochs_by_ballot(c))
        FAIL_WITH(c, token, "This node is supervised: its supervisors give it its config epochs");
    c->me->config_epoch = (uint64_t)m->number;
    if (c->current_epoch < c->me->config_epoch)
        c->current_epoch = c->me->config_epoch;
    c->version++;
    ok_durable(c, token);
}

static void bump(struct cl_core *c, cl_token token)
{
    char text[64];
    if (cl_lacks_lease(c, token))
        return;
    if (cl_is_homeless(c))
        FAIL_WITH(c, token, "This node is supervised and has no slots: it needs no config epoch");
    if (cl_epochs_by_ballot(c) && !cl_is_at_the_top(c)) {
        cl_epoch_wait(c, token, CL_WAIT_BUMP, 0, false, cl_greatest_epoch(c));
        return;
    }
    bool bumped = cl_bump_epoch(c, false);
    snprintf(text, sizeof text, "%s %" PRIu64, bumped ? "BUMPED" : "STILL", c->me->config_epoch);
    cl_answer_durable(c, token, text);
}

void cl_reset(struct cl_core *c, bool hard)
{
    struct cl_node *n;
    cl_jobs_end_all(c, "CLUSTER RESET");
    cl_records_forget(c);
    c->shard.swap_epoch = c->shard.swap_ballot = 0;
    cl_state_changed(c, true); /* a version that replicas know does not come twice */
    cl_manual_end(c);
    cl_election_stop(c);
    cl_lease_reset(c);
    bool replica = cl_has(c->me, CL_REPLICA);
    if (replica) {
        cl_effect_add(c->fx, CL_FX_PROMOTE);
        c->promoting = false;
        cl_role_set(c, c->me, NULL);
    }
    /* Another cluster maps its databases otherwise. */
    if (replica || c->facts.mapping_epoch > 0)
        cl_effect_add(c->fx, CL_FX_EMPTY);
    c->facts.mapping_epoch = 0;
    cl_open_clear_all(c);
    cl_slots_drop(c, c->me);
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n != c->me)
            cl_node_remove(c, n);
    if (hard) {
        struct cl_id id;
        c->current_epoch = c->last_vote_epoch = c->vote_floor = 0;
        c->nvoted = 0;
        c->me->config_epoch = 0;
        cl_id_draw(&c->rng, &id);
        cl_node_rename(c, c->me, &id);
    }
    cl_id_draw(&c->rng, &c->me->shard);
    memset(c->before, 0, sizeof c->before);
    c->me->had_replicas = false;
    c->looks = true;
    cl_durable(c);
}

static void reset(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (cl_has(c->me, CL_MASTER) && c->facts.has_keys)
        FAIL_WITH(c, token, "CLUSTER RESET can't be called with master nodes containing keys");
    cl_reset(c, m->hard);
    ok_durable(c, token);
}

void cl_command_run(struct cl_core *c, const struct cl_event *e)
{
    const struct cl_command *m = e->command;
    switch (m->verb) {
    case CL_MEET_NODE: meet(c, e->token, m); break;
    case CL_FORGET: forget(c, e->token, m); break;
    case CL_ADDSLOTS: add_slots(c, e->token, m); break;
    case CL_DELSLOTS: delete_slots(c, e->token, m); break;
    case CL_FLUSHSLOTS: flush_slots(c, e->token); break;
    case CL_SETSLOT_MIGRATING:
    case CL_SETSLOT_IMPORTING:
    case CL_SETSLOT_STABLE:
    case CL_SETSLOT_NODE: cl_setslot(c, e->token, m); break;
    case CL_REPLICATE: replicate(c, e->token, m); break;
    case CL_FAILOVER: failover(c, e->token, m); break;
    case CL_RESET: reset(c, e->token, m); break;
    case CL_BUMPEPOCH: bump(c, e->token); break;
    case CL_SET_CONFIG_EPOCH: set_config_epoch(c, e->token, m); break;
    case CL_SAVECONFIG: ok_durable(c, e->token); break;
    case CL_MIGRATE_SLOTS:
    case CL_CANCEL_MIGRATIONS: cl_jobs_command(c, e->token, m); break;
    case CL_DBMAP_PREPARE:
    case CL_DBMAP_APPLY:
    case CL_DBMAP_ABORT: cl_dbmap_command(c, e->token, m); break;
    case CL_DBMAP_DONE:
    case CL_SWAP_WISH: cl_wish_command(c, e->token, m); break;
    case CL_LEASE: cl_lease_command(c, e->token, m->lease); break;
    case CL_TAKEOVER: cl_takeover(c, e->token, m->promotion); break;
    case CL_RELEASE: cl_release(c, e->token, m->lease); break;
    case CL_FREEZE: cl_freeze(c, e->token, m); break;
    }
}
