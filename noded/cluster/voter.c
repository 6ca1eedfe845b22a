/* The voter's side of an election. A vote is given once in an epoch, to a replica of a master that failed, for slots
 * that nobody has claimed since; it is on disk before it is told.
 *
 * Stock voters refuse every epoch below the newest they have heard of. Here an older one is good as long as no vote was
 * given in it: many masters that fail together have candidates at epochs side by side, whose requests arrive in any
 * order, and none of them has to wait for a next round. What keeps a late request harmless is the same as ever: the
 * master must be failing, and none of its slots may have a newer owner. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#define EPOCHS_KEPT 256

static bool voted_in(const struct cl_core *c, uint64_t epoch)
{
    if (epoch <= c->vote_floor)
        return true;
    for (size_t i = 0; i < c->nvoted; i++)
        if (c->voted[i] == epoch)
            return true;
    return false;
}

static void voted_note(struct cl_core *c, uint64_t epoch)
{
    if (c->nvoted == EPOCHS_KEPT) {
        /* The oldest goes, and with it the right to vote in any epoch up to it. */
        size_t least = 0, kept = 0;
        for (size_t i = 1; i < c->nvoted; i++)
            least = c->voted[i] < c->voted[least] ? i : least;
        c->vote_floor = c->voted[least];
        for (size_t i = 0; i < c->nvoted; i++)
            if (c->voted[i] > c->vote_floor)
                c->voted[kept++] = c->voted[i];
        c->nvoted = kept;
    }
    c->voted = mem_grow(c->voted, c->nvoted, &c->cap_voted, sizeof *c->voted);
    c->voted[c->nvoted++] = epoch;
    if (epoch > c->last_vote_epoch)
        c->last_vote_epoch = epoch;
}

/* A slot of the claim that has a newer owner; -1: none. */
static int newer_owner(const struct cl_core *c, const struct cl_header *h)
{
    for (int slot = cl_bit_next(h->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(h->slots, slot + 1, true)) {
        const struct cl_node *owner = cl_owner(c, slot);
        if (owner != NULL && owner->config_epoch > h->config_epoch)
            return slot;
    }
    return -1;
}

static bool voted_lately(const struct cl_core *c, const struct cl_node *master)
{
    return master->voted_us != 0 && c->now_us - master->voted_us < 2 * cl_timeout_us(c);
}

static const char *refusal(const struct cl_core *c, const struct cl_header *h, const struct cl_node *sender)
{
    const struct cl_node *master = sender->master;
    if (cl_has_supervisors(c))
        return "this node is supervised: its supervisors decide";
    if (h->current_epoch >= CL_EPOCH_MAX || h->current_epoch <= h->config_epoch)
        return "its epoch is impossible";
    if (PLANTED(1, voted_in(c, h->current_epoch), false))
        return "a vote was given in that epoch";
    if (!cl_has(sender, CL_REPLICA) || master == NULL)
        return "it is no replica of a master that is known";
    if (!cl_has(master, CL_FAILED) && (h->message_flags & CL_MSG_FORCE_ACK) == 0)
        return "its master works";
    /* The same candidate may ask again: two of its votes make no second winner. */
    if (voted_lately(c, master) && !cl_id_eq(&master->voted_for, &sender->id))
        return "another replica of that master has had a vote lately";
    if (PLANTED(3, newer_owner(c, h) >= 0, false))
        return "a slot of its has a newer owner";
    return NULL;
}

void cl_vote_asked(struct cl_core *c, const struct cl_message *m, struct cl_node *sender)
{
    const struct cl_header *h = &m->head;
    char id[CL_ID_DIGITS + 1];
    /* Only masters with slots have a vote, and only on a claim that is their own on disk too. */
    if (!cl_votes_here(c->me) || (c->claim.flags & CL_MASTER) == 0)
        return;
    const char *why = refusal(c, h, sender);
    if (why != NULL) {
        CL_LOG(c, NOTICE, "No vote for %s in epoch %llu: %s", cl_id_text(&sender->id, id),
               (unsigned long long)h->current_epoch, why);
        return;
    }
    voted_note(c, h->current_epoch);
    /* A vote that is given again does not begin its time anew: two candidates that each have some of the voters would
     * hold them for ever. */
    bool again = voted_lately(c, sender->master) && cl_id_eq(&sender->master->voted_for, &sender->id);
    if (!again)
        sender->master->voted_us = c->now_us;
    sender->master->voted_for = sender->id;
    cl_durable(c);
    c->votes = mem_grow(c->votes, c->nvotes, &c->cap_votes, sizeof *c->votes);
    c->votes[c->nvotes++] = (struct cl_vote){sender->id, h->current_epoch, PLANTED(2, cl_next_seq(c), 0)};
    CL_LOG(c, NOTICE, "Vote for %s in epoch %llu", cl_id_text(&sender->id, id), (unsigned long long)h->current_epoch);
    if (PLANTED(2, 0, 1))
        cl_votes_send(c);
}

void cl_votes_send(struct cl_core *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->nvotes; i++) {
        struct cl_vote v = c->votes[i];
        if (v.seq > c->issued || (v.seq == c->issued && c->writing)) {
            c->votes[kept++] = v;
            continue;
        }
        struct cl_node *to = cl_node_find(c, &v.to);
        struct cl_header h;
        if (to == NULL)
            continue;
        cl_head(c, CL_AUTH_ACK, &h);
        /* The epoch in which it was given, not the newest: a vote for an attempt that is over must not count for the
         * next one. */
        h.current_epoch = v.epoch;
        buf_clear(&c->scratch);
        cl_wire_begin(&c->scratch, &h);
        cl_wire_end(&c->scratch);
        if (cl_send_to(c, to, &c->scratch))
            c->sent[CL_AUTH_ACK]++;
    }
    c->nvotes = kept;
}
