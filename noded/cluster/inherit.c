/* That a node is supervised is durable, and its master's word on it holds for a replica: a shard is fenced as one. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct slice list_of(const struct cl_membership *m)
{
    return m != NULL ? (struct slice){m->list, m->list_n} : (struct slice){NULL, 0};
}

static uint64_t version_of(const struct cl_membership *m)
{
    return m != NULL ? m->version : 0;
}

struct cl_membership *cl_membership_new(uint64_t version, struct slice list)
{
    struct cl_membership *m = mem_zalloc(sizeof *m);
    m->version = version;
    if (!cl_list_is_good(list, &m->n)) {
        free(m);
        return NULL;
    }
    m->list_n = list.n;
    memcpy(m->list, list.p, list.n);
    return m;
}

bool cl_membership_is(const struct cl_membership *m, uint64_t version, struct slice list)
{
    return version_of(m) == version && slice_eq(list_of(m), list);
}

void cl_membership_set(struct cl_core *c, struct cl_membership *next, uint64_t generation)
{
    struct cl_supervision *s = &c->lease;
    if (s->next != next)
        free(s->next);
    s->next = next;
    s->moving = true;
    s->generation = generation;
    c->supervised = cl_has_supervisors(c);
    /* One authority: what the nodes decide among themselves is over. */
    if (next != NULL && s->counted == NULL)
        cl_manual_end(c);
    c->version++;
    cl_durable(c);
}

/* ---- on the bus ---- */

void cl_supervised_put(struct cl_core *c, struct buf *out, const struct cl_node *to)
{
    const struct cl_membership *m = c->lease.counted;
    if (c->claim.generation == 0 || !to->ours || (to->master != c->me && c->me->master != to))
        return;
    cl_wire_put_supervised(out, c->claim.generation, version_of(m), list_of(m));
}

void cl_supervised_tell(struct cl_core *c)
{
    struct cl_node *n;
    c->lease.told = c->claim.generation;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n->master == c->me && cl_has(n, CL_REPLICA) && n->ours && n->link_state == CL_LINK_UP)
            cl_send_greeting(c, n->link, n, CL_PONG, NULL);
}

/* Its master counts something else, or nothing. */
static void inherit(struct cl_core *c, uint64_t generation, uint64_t version, struct slice list)
{
    struct cl_supervision *s = &c->lease;
    const struct cl_membership *mine = s->moving ? s->next : s->counted;
    struct cl_membership *m = list.n > 0 ? cl_membership_new(version, list) : NULL;
    if (list.n > 0 && m == NULL)
        return;
    if (cl_membership_is(mine, version_of(m), list)) {
        free(m);
        s->generation = generation;
        cl_durable(c);
        return;
    }
    if (m != NULL)
        CL_LOG(c, NOTICE, "The master is supervised by version %" PRIu64 " of a list: %.*s", version, (int)list.n,
               list.p);
    else
        CL_LOG(c, NOTICE, "The master was released by its supervisors");
    cl_membership_set(c, m, generation);
}

void cl_supervised_told(struct cl_core *c, struct slice body, struct cl_node *sender)
{
    struct cl_supervision *s = &c->lease;
    uint64_t generation, version;
    struct slice list;
    if (!cl_wire_supervised(body, &generation, &version, &list) || generation >= CL_EPOCH_MAX)
        return;
    if (cl_has(c->me, CL_REPLICA) && sender == c->me->master) {
        /* Who was told otherwise than its master, and later, says so: the master's word becomes the newer one. */
        if (generation > s->generation)
            inherit(c, generation, version, list);
        else if (!s->moving && !cl_membership_is(s->counted, version, list) && sender->link_state == CL_LINK_UP)
            cl_send_greeting(c, sender->link, sender, CL_PONG, NULL);
    } else if (cl_has(c->me, CL_MASTER) && sender->master == c->me && s->generation > 0 && !s->moving &&
               generation >= s->generation && !cl_membership_is(s->counted, version, list)) {
        s->generation = generation + 1;
        cl_durable(c);
    }
}

/* ---- in nodes.conf ---- */

void cl_supervised_write(const struct cl_core *c, struct buf *out)
{
    const struct cl_supervision *s = &c->lease;
    const struct cl_membership *m = s->moving ? s->next : s->counted;
    if (s->generation == 0)
        return;
    buf_printf(out, " supervised %" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", s->generation, version_of(m), s->floor);
    buf_put(out, list_of(m).p, list_of(m).n);
}

const char *cl_supervised_read(struct cl_core *c, struct slice value)
{
    struct cl_supervision *s = &c->lease;
    int64_t generation, version, floor;
    int64_t max = (int64_t)CL_EPOCH_MAX - 1;
    if (!text_range(slice_cut(&value, ','), 1, max, &generation) ||
        !text_range(slice_cut(&value, ','), 0, INT64_MAX, &version) ||
        !text_range(slice_cut(&value, ','), 0, max, &floor) || value.p == NULL || s->counted != NULL)
        return "bad list of supervisors";
    if (value.n > 0 && (version == 0 || (s->counted = cl_membership_new((uint64_t)version, value)) == NULL))
        return "bad list of supervisors";
    if (PLANTED(110, false, true))
        return NULL;
    s->generation = (uint64_t)generation;
    s->floor = (uint64_t)floor;
    s->until_us = s->counted != NULL ? 0 : INT64_MAX;
    c->supervised = s->counted != NULL;
    return NULL;
}
