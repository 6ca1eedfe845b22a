/* CLUSTER SETSLOT: a slot is opened for moving its keys, closed, or given to a node.
 *
 * A claim at a new epoch makes the old owner delete what it still holds of the slot, in all databases. Tools that know
 * database 0 only have moved the keys of that one when they tell the target, before they tell the source, that the slot
 * is its own. So the target asks the owner first, and does not take what would cost keys. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <inttypes.h>

#define MS INT64_C(1000)
#define ANSWER_MAX_US (1000 * MS)

static const char masters_only[] = "Please use SETSLOT only with masters.";

struct cl_node *cl_command_node(const struct cl_core *c, const struct cl_command *m)
{
    struct cl_node *n = cl_node_find_text(c, m->node);
    return n != NULL && !cl_has(n, CL_HANDSHAKE) ? n : NULL;
}

bool cl_slot_is_moving(struct cl_core *c, cl_token token, int slot)
{
    if (cl_job_of_slot(c, slot) == NULL && cl_record_of_slot(c, slot) == NULL)
        return false;
    cl_effect_answer(c->fx, token, false, "ERR Slot %d is being migrated: see CLUSTER GETSLOTMIGRATIONS", slot);
    return true;
}

/* ---- MIGRATING and IMPORTING ---- */

/* The node at the other end. NULL: the error was answered. */
static struct cl_node *other_end(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_node *n = cl_command_node(c, m);
    if (n == NULL)
        cl_effect_answer(c->fx, token, false, "ERR I don't know about node %.*s", SHOWN(m->node));
    else if (!cl_has(n, CL_MASTER))
        cl_effect_answer(c->fx, token, false, "ERR Target node is not a master");
    return n != NULL && cl_has(n, CL_MASTER) ? n : NULL;
}

static void open_slot(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    bool importing = m->verb == CL_SETSLOT_IMPORTING, mine = cl_owner(c, m->slot) == c->me;
    if (!importing && !mine)
        FAIL_WITH(c, token, "I'm not the owner of hash slot %d", m->slot);
    if (importing && mine)
        FAIL_WITH(c, token, "I'm already the owner of hash slot %d", m->slot);
    struct cl_node *n = other_end(c, token, m);
    int a, b;
    if (n == NULL)
        return;
    /* Keys that come and go by a database's number would end up in the other one (SAFETY H4). */
    if (cl_databases_held(c, &a, &b))
        FAIL_WITH(c, token, "Databases %d and %d are being swapped: try again when that is over", a, b);
    if (!importing && m->slot_in_others && cl_is_stock(n))
        FAIL_WITH(c, token, "Node %.*s knows database 0 only, and other databases hold keys of hash slot %d",
                  SHOWN(m->node), m->slot);
    cl_open_set(c, m->slot, importing, n);
    /* The keys that come next are writes. */
    if (importing && cl_fenced(c) && cl_is_homeless(c))
        cl_epoch_wait(c, token, CL_WAIT_LEASE, m->slot, false, c->me->config_epoch);
    else
        cl_answer_durable(c, token, "OK");
}

/* ---- NODE ---- */

/* The master that works of that node's shard: itself, or who has replaced it. NULL: none. */
static struct cl_node *speaker_of(const struct cl_core *c, struct cl_node *node)
{
    struct cl_node *n, *best = NULL;
    if (cl_has(node, CL_REPLICA) && node->master != NULL)
        node = node->master;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        bool theirs = n == node || (!cl_id_is_none(&node->shard) && cl_id_eq(&n->shard, &node->shard));
        if (theirs && cl_has(n, CL_MASTER) && !cl_has(n, CL_FAILED | CL_HANDSHAKE) &&
            (best == NULL || n->config_epoch > best->config_epoch))
            best = n;
    }
    return best;
}

/* Who would delete its keys of a slot when we take it, imported or not: a node that was promoted while its master did
 * that does not know of it. NULL: nobody, or one that cannot be asked: a stock node, or one that is gone for all that
 * the cluster knows. Claims of the slot do not count here while it is imported, so the owner may be one that was
 * replaced long ago. */
static struct cl_node *loser(const struct cl_core *c, int slot)
{
    const struct cl_open *o = cl_open_find(c, slot, true);
    struct cl_node *owner = cl_owner(c, slot);
    if (owner == c->me || (o == NULL && owner == NULL))
        return NULL;
    struct cl_node *n = speaker_of(c, owner != NULL ? owner : o->node);
    return n != NULL && n != c->me && !cl_is_stock(n) ? n : NULL;
}

/* A slot that is imported is claimed above the epoch of whoever owns it. false: we have no such epoch yet. */
static bool may_claim(const struct cl_core *c, int slot, uint64_t *above)
{
    const struct cl_open *o = cl_open_find(c, slot, true);
    *above = 0;
    if (o == NULL || cl_owner(c, slot) == c->me)
        return true;
    const struct cl_node *owners[] = {cl_owner(c, slot), o->node, loser(c, slot)};
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++)
        if (owners[i] != NULL && owners[i]->config_epoch > *above)
            *above = owners[i]->config_epoch;
    return cl_epoch_suffices(c, *above);
}

static void give(struct cl_core *c, cl_token token, int slot, struct cl_node *n, bool has_keys)
{
    bool mine = cl_owner(c, slot) == c->me;
    if (mine && n != c->me && has_keys)
        FAIL_WITH(c, token, "Can't assign hashslot %d to a different node while I still hold keys for this hash slot.",
                  slot);
    if (!mine && n == c->me && cl_lacks_lease(c, token))
        return;
    if (!has_keys)
        cl_open_clear(c, slot, false);
    bool imported = n == c->me && cl_open_find(c, slot, true) != NULL;
    uint64_t above;
    if (imported && !may_claim(c, slot, &above))
        FAIL_WITH(c, token, "The owner of hash slot %d has just got a newer config epoch: try again", slot);
    cl_slot_give(c, slot, n);
    if (imported) {
        /* The new owner's claim must be the newest, or the old owner's would win it back. */
        if (!cl_epochs_by_ballot(c) && cl_bump_epoch(c, false))
            CL_LOG(c, NOTICE, "Config epoch %" PRIu64 " after taking slot %d", c->me->config_epoch, slot);
    }
    if (mine && n != c->me && c->me->nslots == 0 && c->set.allow_migration)
        cl_follow(c, n);
    cl_answer_durable(c, token, "OK");
}

static void no_word(struct cl_core *c, cl_token token, const struct cl_id *node, int slot)
{
    char text[CL_ID_DIGITS + 1];
    FAIL_WITH(c, token, "Node %s does not say whether it still holds keys of hash slot %d: try again",
              cl_id_text(node, text), slot);
}

static void ask(struct cl_core *c, cl_token token, const struct cl_command *m, struct cl_node *n)
{
    int64_t wait_us = cl_timeout_us(c) / 2 < ANSWER_MAX_US ? cl_timeout_us(c) / 2 : ANSWER_MAX_US;
    if (!n->ours || n->link_state != CL_LINK_UP || !c->speaks) {
        no_word(c, token, &n->id, m->slot);
        return;
    }
    c->keys_asks = mem_grow(c->keys_asks, c->nkeys_asks, &c->cap_keys_asks, sizeof *c->keys_asks);
    struct cl_keys_ask *a = &c->keys_asks[c->nkeys_asks++];
    *a = (struct cl_keys_ask){.token = token,
                              .node = n->id,
                              .slot = m->slot,
                              .slot_has_keys = m->slot_has_keys,
                              .question = rng_u64(&c->rng),
                              .until_us = c->now_us + wait_us};
    struct cl_handover h = {.say = CL_SAY_KEYS_ASK, .slot = a->slot, .question = a->question};
    cl_send_handover(c, n, &h, NULL);
}

/* The owner has no keys of it. */
static void take(struct cl_core *c, const struct cl_keys_ask *a)
{
    if (!cl_has(c->me, CL_MASTER))
        FAIL_WITH(c, a->token, "%s", masters_only);
    if (!cl_slot_is_moving(c, a->token, a->slot))
        give(c, a->token, a->slot, c->me, a->slot_has_keys);
}

static void told(struct cl_core *c, const struct cl_handover *h, const struct cl_node *sender)
{
    char text[CL_ID_DIGITS + 1];
    size_t i = 0;
    while (i < c->nkeys_asks && (c->keys_asks[i].question != h->question || c->keys_asks[i].slot != h->slot ||
                                 !cl_id_eq(&c->keys_asks[i].node, &sender->id)))
        i++;
    if (i == c->nkeys_asks)
        return;
    struct cl_keys_ask a = c->keys_asks[i];
    c->keys_asks[i] = c->keys_asks[--c->nkeys_asks];
    if (h->keys == 0) {
        take(c, &a);
        return;
    }
    FAIL_WITH(c, a.token, "Can't take hash slot %d: node %s still holds %" PRIu64 " keys of it", a.slot,
              cl_id_text(&a.node, text), h->keys);
}

static void count(struct cl_core *c, const struct cl_id *for_whom, int slot, uint64_t question)
{
    struct cl_effect *e = cl_effect_add(c->fx, CL_FX_SLOT_KEYS);
    e->node = *for_whom;
    e->a = slot;
    e->token = question;
}

void cl_keys_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender)
{
    if (m->handover.say == CL_SAY_KEYS) {
        told(c, &m->handover, sender);
        return;
    }
    /* A replica's word is not its master's. */
    if (cl_has(c->me, CL_MASTER))
        count(c, &sender->id, m->handover.slot, m->handover.question);
}

#define WAS_GIVEN_UP 1 /* the question about keys of such a slot */

/* A slot that an operator took from us has another owner now. */
void cl_keys_left(struct cl_core *c, int slot)
{
    count(c, &c->me->id, slot, WAS_GIVEN_UP);
}

/* It is taken without a question by ADDSLOTS and BUMPEPOCH (redis-cli's fix), which goes on to move the rest of
 * database 0 from here, and by stock nodes. */
void cl_keys_kept(struct cl_core *c, int slot)
{
    count(c, &c->me->id, slot, 0);
}

/* Keys of a slot that has gone stay where an operator sees them: it is open, and MIGRATE moves them after it. One that
 * was not on its way when it was given up is not opened: it would look as if it were to come here. */
static void left_behind(struct cl_core *c, int slot, uint64_t keys, bool given_up)
{
    struct cl_node *owner = cl_owner(c, slot);
    if (keys == 0 || !cl_has(c->me, CL_MASTER) || owner == NULL || owner == c->me ||
        cl_open_find(c, slot, true) != NULL)
        return;
    if (!given_up)
        cl_open_set(c, slot, true, owner);
    CL_LOG(c, WARNING, "Slot %d has been taken, and %" PRIu64 " keys of it are still here: move them, in all databases",
           slot, keys);
}

void cl_keys_counted(struct cl_core *c, const struct cl_event *e)
{
    struct cl_node *to = cl_node_find(c, &e->node);
    struct cl_handover h = {.say = CL_SAY_KEYS, .slot = e->slot, .question = e->token, .keys = e->seq};
    if (to == c->me)
        left_behind(c, e->slot, e->seq, e->token == WAS_GIVEN_UP);
    else if (to != NULL && cl_has(c->me, CL_MASTER))
        cl_send_handover(c, to, &h, NULL);
}

/* Who is gone, or is not the one to be asked any more, has not answered. */
void cl_setslot_run(struct cl_core *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->nkeys_asks; i++) {
        struct cl_keys_ask a = c->keys_asks[i];
        const struct cl_node *n = loser(c, a.slot);
        if (cl_owner(c, a.slot) == c->me)
            take(c, &a); /* somebody else has said so too, and was faster */
        else if (c->now_us >= a.until_us || n == NULL || !cl_id_eq(&n->id, &a.node) || n->link_state != CL_LINK_UP)
            no_word(c, a.token, &a.node, a.slot);
        else
            c->keys_asks[kept++] = a;
    }
    c->nkeys_asks = kept;
}

int64_t cl_setslot_deadline(const struct cl_core *c)
{
    int64_t at = HEAP_NEVER;
    for (size_t i = 0; i < c->nkeys_asks; i++)
        if (c->keys_asks[i].until_us < at)
            at = c->keys_asks[i].until_us;
    return at;
}

static void slot_to_node(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_node *n = cl_command_node(c, m);
    if (n == NULL)
        FAIL_WITH(c, token, "Unknown node %.*s", SHOWN(m->node));
    if (!cl_has(n, CL_MASTER))
        FAIL_WITH(c, token, "Target node is not a master");
    struct cl_node *asked = n == c->me ? loser(c, m->slot) : NULL;
    uint64_t above;
    if (n == c->me && !may_claim(c, m->slot, &above))
        cl_epoch_wait(c, token, CL_WAIT_SLOT, m->slot, m->slot_has_keys, above);
    else if (asked != NULL)
        ask(c, token, m, asked);
    else
        give(c, token, m->slot, n, m->slot_has_keys);
}

/* The target of a hand-over is gone for ever: an operator may say that the slots are ours again. */
static bool is_taken_back(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_open_record *r = cl_record_of_slot(c, m->slot);
    if (m->verb != CL_SETSLOT_NODE || r == NULL || r->r.taking || !r->silent || cl_command_node(c, m) != c->me)
        return false;
    if (!r->resuming)
        cl_handover_resume(c, r);
    if (r->comes_back)
        cl_epoch_wait(c, token, CL_WAIT_SLOT, m->slot, m->slot_has_keys, r->r.epoch);
    else
        cl_answer_durable(c, token, "OK");
    return true;
}

void cl_setslot(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (!cl_has(c->me, CL_MASTER))
        FAIL_WITH(c, token, "%s", masters_only);
    bool gets_lease = cl_is_homeless(c) && cl_open_find(c, m->slot, true) != NULL;
    if (m->verb == CL_SETSLOT_NODE && cl_command_node(c, m) == c->me && !gets_lease && cl_lacks_lease(c, token))
        return;
    if (is_taken_back(c, token, m))
        return;
    if (m->verb != CL_SETSLOT_STABLE && cl_slot_is_moving(c, token, m->slot))
        return;
    if (m->verb == CL_SETSLOT_NODE) {
        slot_to_node(c, token, m);
    } else if (m->verb == CL_SETSLOT_STABLE) {
        cl_open_clear(c, m->slot, true);
        cl_open_clear(c, m->slot, false);
        cl_answer_durable(c, token, "OK");
    } else {
        open_slot(c, token, m);
    }
}
