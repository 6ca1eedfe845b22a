/* CLUSTER, slots: who owns them, and which keys are in them. */
#include "noded/cmd/cluster_rows.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

/* ---- ADDSLOTS, DELSLOTS and their like ---- */

/* The slots from..to join the bitmap; else the error is answered. */
static bool gather(struct nd_call *c, uint8_t *map, int from, int to, bool assigned)
{
    for (int slot = from; slot <= to; slot++) {
        const struct nd_cluster *cl = c->e->cluster;
        /* What stands before it in a transaction is not done yet: then only the core can tell. */
        bool owned = cl->exec != NULL ? assigned : cl_slot_assigned(cl->core, slot);
        if (owned != assigned)
            nd_error(c, assigned ? "ERR Slot %d is already unassigned" : "ERR Slot %d is already busy", slot);
        else if (cl_bit(map, slot))
            nd_error(c, "ERR Slot %d specified multiple times", slot);
        if (owned != assigned || cl_bit(map, slot))
            return false;
        cl_bit_set(map, slot);
    }
    return true;
}

/* Everything is read before anything is looked at, so that a slot that is none is told first. */
static bool read_slots(struct nd_call *c, size_t step, bool assigned, uint8_t *map)
{
    int from, to;
    for (size_t i = 2; i < c->argc; i += step) {
        if (!nd_cluster_slot_arg(c, i, &from) || !nd_cluster_slot_arg(c, i + step - 1, &to))
            return false;
        if (from > to) {
            nd_error(c, "ERR start slot number %d is greater than end slot number %d", from, to);
            return false;
        }
    }
    memset(map, 0, CL_SLOT_BYTES);
    for (size_t i = 2; i < c->argc; i += step)
        if (!nd_cluster_slot_arg(c, i, &from) || !nd_cluster_slot_arg(c, i + step - 1, &to) ||
            !gather(c, map, from, to, assigned))
            return false;
    return true;
}

static void change_slots(struct nd_call *c, enum cl_verb verb, size_t step)
{
    uint8_t map[CL_SLOT_BYTES];
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    if (step == 2 && c->argc % 2 != 0) {
        nd_arity_error(c);
        return;
    }
    if (!read_slots(c, step, verb == CL_DELSLOTS, map))
        return;
    struct cl_command command = {.verb = verb, .slots = map};
    nd_cluster_ask(c, &command);
}

void nd_cluster_addslots(struct nd_call *c)
{
    change_slots(c, CL_ADDSLOTS, 1);
}

void nd_cluster_addslotsrange(struct nd_call *c)
{
    change_slots(c, CL_ADDSLOTS, 2);
}

void nd_cluster_delslots(struct nd_call *c)
{
    change_slots(c, CL_DELSLOTS, 1);
}

void nd_cluster_delslotsrange(struct nd_call *c)
{
    change_slots(c, CL_DELSLOTS, 2);
}

void nd_cluster_flushslots(struct nd_call *c)
{
    struct cl_command command = {.verb = CL_FLUSHSLOTS};
    if (!nd_cluster_reply(c) && nd_cluster_on(c))
        nd_cluster_ask(c, &command);
}

/* ---- SETSLOT ---- */

static bool read_setslot(struct nd_call *c, struct cl_command *command)
{
    if (nd_arg_is(c, 3, "stable") && c->argc == 4)
        command->verb = CL_SETSLOT_STABLE;
    else if (nd_arg_is(c, 3, "migrating") && c->argc == 5)
        command->verb = CL_SETSLOT_MIGRATING;
    else if (nd_arg_is(c, 3, "importing") && c->argc == 5)
        command->verb = CL_SETSLOT_IMPORTING;
    else if (nd_arg_is(c, 3, "node") && c->argc == 5)
        command->verb = CL_SETSLOT_NODE;
    else
        return false;
    if (c->argc == 5)
        command->node = c->argv[4];
    return true;
}

void nd_cluster_setslot(struct nd_call *c)
{
    struct cl_command command = {.slot = 0};
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    if (!cl_is_master(c->e->cluster->core)) {
        nd_error(c, "ERR Please use SETSLOT only with masters.");
        return;
    }
    if (!nd_cluster_slot_arg(c, 2, &command.slot))
        return;
    if (!read_setslot(c, &command)) {
        nd_error(c, "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");
        return;
    }
    /* Keys of any database hold a slot here. */
    size_t keys = nd_cluster_slot_keys(c->e, command.slot);
    const struct nd_db *first = nd_keyspace_peek(&c->e->keys, 0);
    command.slot_has_keys = keys > 0;
    command.slot_in_others = keys > (first != NULL ? nd_db_slot_count(first, command.slot) : 0);
    nd_cluster_ask(c, &command);
}

/* ---- keys ---- */

void nd_cluster_keyslot(struct nd_call *c)
{
    if (nd_cluster_on(c))
        reply_int(c->r, nd_key_slot(c->argv[2]));
}

void nd_cluster_countkeysinslot(struct nd_call *c)
{
    int64_t slot;
    if (!nd_cluster_on(c) || !nd_arg_i64(c, 2, &slot))
        return;
    if (slot < 0 || slot >= CL_SLOTS) {
        nd_error(c, "ERR Invalid slot");
        return;
    }
    reply_int(c->r, (int64_t)nd_db_slot_count(c->db, (int)slot));
}

void nd_cluster_getkeysinslot(struct nd_call *c)
{
    int64_t slot, most;
    if (!nd_cluster_on(c) || !nd_arg_i64(c, 2, &slot) || !nd_arg_i64(c, 3, &most))
        return;
    if (slot < 0 || slot >= CL_SLOTS || most < 0) {
        nd_error(c, "ERR Invalid slot or number of keys");
        return;
    }
    size_t there = nd_db_slot_count(c->db, (int)slot), want = (uint64_t)most < there ? (size_t)most : there;
    struct slice *keys = mem_array(NULL, want, sizeof *keys);
    size_t n = nd_db_slot_keys(c->db, (int)slot, keys, want);
    reply_array(c->r, n);
    for (size_t i = 0; i < n; i++)
        reply_bulk(c->r, keys[i].p, keys[i].n);
    free(keys);
}

/* Ours: all databases that have keys of the slot, in one answer. */
void nd_cluster_slot_keys_command(struct nd_call *c)
{
    int slot;
    if (!nd_cluster_on(c) || !nd_cluster_slot_arg(c, 2, &slot))
        return;
    size_t mark = reply_begin(c->r), n = 0;
    for (int i = 0; i < c->e->keys.db_count; i++) {
        const struct nd_db *db = nd_keyspace_peek(&c->e->keys, i);
        size_t keys = db != NULL ? nd_db_slot_count(db, slot) : 0;
        if (keys == 0)
            continue;
        reply_int(c->r, i);
        reply_int(c->r, (int64_t)keys);
        n++;
    }
    reply_end_map(c->r, mark, n);
}
