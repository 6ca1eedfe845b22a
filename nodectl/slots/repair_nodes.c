/* Nodes that some of a cluster know and others do not: those that belong to it are met, those that are gone are
 * forgotten, and where it cannot be told which of the two it is somebody must say so. */
#include "nodectl/slots/repair.h"

#include "common/base/mem.h"
#include "nodectl/slots/known.h"

#include <string.h>

static void add(struct repairs *out, enum repair_kind kind, const char *id, const struct addr *addr, uint16_t bus_port)
{
    struct repair r = {.kind = kind, .bus_port = bus_port};
    memcpy(r.at, id, strlen(id));
    if (addr != NULL)
        r.addr = *addr;
    out->v = mem_grow(out->v, out->n, &out->cap, sizeof *out->v);
    out->v[out->n++] = r;
}

/* ---- nodes that answer ---- */

/* Slots that it holds for its own, and that are another one's by a higher epoch. */
static unsigned in_dispute(const struct picture *p, const struct picture_node *n)
{
    const struct sn_nodes_line *self = &n->view.lines[n->view.self];
    unsigned count = 0;
    for (size_t r = self->range; r < self->range + self->nranges; r++)
        for (size_t s = n->view.ranges[r].first; s <= n->view.ranges[r].last; s++)
            count += !picture_is_mine(p, s, n);
    return count;
}

/* Whether to meet it loses nothing, and is what was meant; else the reason is appended to why. */
static bool belongs(const struct picture *p, const struct picture_node *n, size_t lacking, struct buf *why)
{
    const struct picture_node *master = n->master ? n : picture_by_id(p, n->master_id);
    size_t answering = 0;
    for (size_t i = 0; i < p->n; i++)
        answering += p->v[i].answers;
    if (master == NULL || !master->answers)
        buf_printf(why, "its master %.8s does not answer: see to that first", n->master_id);
    else if (in_dispute(p, master) > 0)
        buf_printf(why,
                   "%s claims %u slots that others have by a higher config epoch: they would take them from it with "
                   "the keys that it has of them. See what is in it, then say CLUSTER RESET to it, and `nodectl node "
                   "add`",
                   n == master ? "it" : "its master", in_dispute(p, master));
    else if (master->nslots == 0 && (2 * lacking >= answering || 2 * known_lacking(p, master, NULL) >= answering))
        buf_printf(why,
                   "%s has no slots and most nodes do not know it, so it may be on its way in as well as out: `nodectl "
                   "node remove`, or CLUSTER MEET to it from a node of the cluster",
                   n == master ? "it" : "its master");
    return why->n == 0;
}

static void mend_forgotten(const struct picture *p, const struct picture_node *n, size_t lacking, const char *who,
                           struct repairs *out)
{
    char text[ADDR_TEXT_MAX];
    struct buf why = {0};
    struct addr addr = {.port = 0};
    uint16_t bus_port = 0;
    if (belongs(p, n, lacking, &why) && !known_address(p, n, &addr, &bus_port))
        buf_puts(&why, "no node tells its address");
    if (why.n == 0)
        add(out, REPAIR_MEET, n->id, &addr, bus_port);
    else
        repair_refuse(out, "%s (%.8s) is not known to %s, and %s", addr_text(&n->addr, text), n->id, who,
                      buf_str(&why));
    buf_free(&why);
}

/* ---- nodes that do not ---- */

/* Of those that answer. */
static const struct picture_node *follower_of(const struct picture *p, const struct picture_node *n)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].answers && !p->v[i].master && runid_cmp(p->v[i].master_id, n->id) == 0)
            return &p->v[i];
    return NULL;
}

/* A node that says in its view that this one has slots. */
static const struct picture_node *gives_slots(const struct picture *p, const struct picture_node *n)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct sn_nodes_line *l = p->v[i].answers ? sn_nodes_find(&p->v[i].view, n->id) : NULL;
        if (l != NULL && l->nslots > 0)
            return &p->v[i];
    }
    return NULL;
}

static bool owns_slots(const struct picture *p, const struct picture_node *n)
{
    for (size_t s = 0; s < SN_SLOTS; s++)
        if (picture_is_mine(p, s, n))
            return true;
    return false;
}

/* Most of those that list it hear it on the bus: one of them. A link counts as connected also while it is just being
 * tried. */
static const struct picture_node *hears(const struct picture *p, const struct picture_node *n)
{
    const struct picture_node *found = NULL;
    size_t listed = 0, heard = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct sn_nodes_line *l = p->v[i].answers ? sn_nodes_find(&p->v[i].view, n->id) : NULL;
        bool well = l != NULL && l->connected && (l->flags & (SN_NODES_FAIL | SN_NODES_PFAIL)) == 0;
        listed += l != NULL;
        heard += well;
        found = well ? &p->v[i] : found;
    }
    return 2 * heard > listed ? found : NULL;
}

static void mend_gone(const struct picture *p, const struct picture_node *n, const char *who, struct repairs *out)
{
    char text[2][ADDR_TEXT_MAX];
    const struct picture_node *by;
    addr_text(&n->addr, text[0]);
    if (owns_slots(p, n))
        return; /* of its slots repair.c says what is left to decide */
    if ((by = gives_slots(p, n)) != NULL)
        repair_refuse(out,
                      "%s (%.8s) does not answer, is not known to %s, and has slots, as %s says: start it again, or "
                      "promote a replica of it",
                      text[0], n->id, who, addr_text(&by->addr, text[1]));
    else if ((by = follower_of(p, n)) != NULL)
        repair_refuse(out, "%s (%.8s) does not answer, is not known to %s, and %s follows it: see to that first",
                      text[0], n->id, who, addr_text(&by->addr, text[1]));
    else if ((by = hears(p, n)) != NULL)
        repair_refuse(out,
                      "%s (%.8s) is not known to %s; it does not answer here (%s), but %s hears it on the bus: see "
                      "whether its address and the password are right",
                      text[0], n->id, who, n->member != NULL && n->member->error != NULL ? n->member->error : "",
                      addr_text(&by->addr, text[1]));
    else if (p->covered < SN_SLOTS)
        repair_refuse(out,
                      "%s (%.8s) does not answer, is not known to %s, and slots are nobody's: it may have their keys. "
                      "Start it, or take it out with `nodectl node remove`",
                      text[0], n->id, who);
    else
        add(out, REPAIR_FORGET, n->id, &n->addr, 0);
}

/* ---- all of it ---- */

void repairs_find_nodes(const struct picture *p, const struct survey *s, struct repairs *out)
{
    const struct picture_node *stranger = known_stranger(p);
    char text[2][ADDR_TEXT_MAX];
    if (stranger != NULL) {
        repair_refuse(out,
                      "%s and %s know nothing of each other: they are of two clusters. Name nodes of one; if they are "
                      "to be one cluster, say CLUSTER MEET",
                      addr_text(&p->v[0].addr, text[0]), addr_text(&stranger->addr, text[1]));
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        struct buf who = {0};
        size_t lacking = known_lacking(p, n, &who);
        if (lacking > 0 && n->answers)
            mend_forgotten(p, n, lacking, buf_str(&who), out);
        else if (lacking > 0)
            mend_gone(p, n, buf_str(&who), out);
        buf_free(&who);
    }
    for (size_t i = 0; i < s->nstrays; i++) { /* one that somebody answers is under way */
        if (s->strays[i].answers)
            continue;
        add(out, REPAIR_GIVE_UP, s->strays[i].id, &s->strays[i].addr, 0);
        memcpy(out->v[out->n - 1].to, p->v[s->strays[i].by].id, sizeof(runid));
    }
}
