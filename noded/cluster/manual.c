/* CLUSTER FAILOVER without the loss of a write: the master stops taking them and says where its stream stands, the
 * replica reads up to there, and then it is elected by voters that need not hold the master for failed. */
#include "noded/cluster/state.h"

#include <string.h>

#define MS INT64_C(1000)
#define LIFE_US (5000 * MS)
#define TELL_US (100 * MS) /* the master repeats where its stream stands */
#define LOOK_US (2 * MS)   /* the replica looks whether it has read so far */

void cl_manual_end(struct cl_core *c)
{
    if (c->manual.end_us == 0)
        return;
    if (c->manual.replica != NULL)
        cl_effect_add(c->fx, CL_FX_UNPAUSE);
    c->manual = (struct cl_manual){.master_offset = -1};
}

static void stand_tell(struct cl_core *c)
{
    struct cl_node *to = c->manual.replica;
    c->manual.told_us = c->now_us;
    if (to->link_state == CL_LINK_UP)
        cl_send_greeting(c, to->link, to, CL_PING, NULL);
}

/* A replica of ours wants to take over. */
void cl_manual_asked(struct cl_core *c, struct cl_node *sender)
{
    if (!cl_has(c->me, CL_MASTER) || sender->master != c->me)
        return;
    if (cl_has_supervisors(c)) {
        CL_LOG(c, WARNING, "No failover by a replica's word: this node is supervised");
        return;
    }
    if (c->shard.nrecords > 0) {
        CL_LOG(c, WARNING, "No failover while slots are handed over");
        return;
    }
    cl_manual_end(c);
    c->manual = (struct cl_manual){.end_us = c->now_us + LIFE_US, .replica = sender, .master_offset = -1};
    cl_effect_add(c->fx, CL_FX_PAUSE)->until_us = c->now_us + 2 * LIFE_US;
    CL_LOG(c, WARNING, "Manual failover to %s:%u: writes wait", sender->ip, (unsigned)sender->port);
    stand_tell(c);
}

void cl_manual_offset(struct cl_core *c, const struct cl_header *h, const struct cl_node *sender)
{
    struct cl_manual *m = &c->manual;
    if (m->end_us == 0 || !m->asked || sender != c->me->master || (h->message_flags & CL_MSG_PAUSED) == 0)
        return;
    if (m->master_offset < 0 && h->offset < CL_EPOCH_MAX)
        m->master_offset = (int64_t)h->offset;
}

void cl_manual_run(struct cl_core *c)
{
    struct cl_manual *m = &c->manual;
    if (m->end_us == 0)
        return;
    if (c->now_us >= m->end_us) {
        CL_LOG(c, WARNING, "Manual failover timed out");
        cl_manual_end(c);
        return;
    }
    if (m->replica != NULL && c->now_us >= m->told_us + TELL_US)
        stand_tell(c);
    if (m->asked && !m->can_start && m->master_offset >= 0 && c->facts.offset >= m->master_offset) {
        m->can_start = true;
        cl_election_stop(c);
    }
}

int64_t cl_manual_deadline(const struct cl_core *c)
{
    const struct cl_manual *m = &c->manual;
    int64_t at = m->end_us;
    if (at == 0)
        return HEAP_NEVER;
    if (m->replica != NULL && m->told_us + TELL_US < at)
        at = m->told_us + TELL_US;
    if (m->asked && !m->can_start && m->master_offset >= 0 && c->now_us + LOOK_US < at)
        at = c->now_us + LOOK_US;
    return at;
}
