/* Nodes that are not there, or that not all know alike. */
#include "nodectl/slots/findings_rules.h"

#include "nodectl/slots/known.h"
#include "nodectl/slots/set.h"

#include <string.h>

void find_in_nodes(const struct picture *p, const struct survey *s, struct findings *f)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        addr_text(&n->addr, text);
        if (!n->answers)
            finding_add(f, FINDING_ERROR, "node-silent",
                        n->master && n->nslots > 0
                            ? "start it again; `nodectl slots fix` says what is left to do where it is lost"
                            : "start it again, or take it out with `nodectl node remove`",
                        "%s (%.8s, %s with %u slots) does not answer: %s", text, n->id,
                        n->master ? "master" : "replica", n->nslots,
                        n->member != NULL && n->member->error != NULL ? n->member->error : "its address is not known");
        else if (n->fails)
            finding_add(f, FINDING_ERROR, "node-failed",
                        "it answers here: look whether the other nodes reach its cluster bus port",
                        "most nodes hold %s (%.8s) for failed", text, n->id);
        if (n->answers && !s->v[i].state_ok)
            finding_add(f, FINDING_ERROR, "state-fail", "see the other findings for the reason",
                        "%s says that the cluster is down (cluster_state is fail)", text);
        if (n->answers && !n->master && strcmp(s->v[i].link, "down") == 0)
            finding_add(f, FINDING_WARNING, "replica-link-down",
                        "see its log: what it lacks would be lost if it were promoted",
                        "replica %s has no link to its master", text);
    }
}

/* ---- views ---- */

static void find_unknown(const struct picture *p, struct findings *f)
{
    for (size_t i = 0; i < p->n; i++) {
        struct buf who = {0};
        char text[ADDR_TEXT_MAX];
        if (known_lacking(p, &p->v[i], &who) > 0)
            finding_add(f, FINDING_ERROR, "node-half-known",
                        "`nodectl slots fix` has them meet it, or the others forget it where it is gone; to be rid of "
                        "it, `nodectl node remove`",
                        "%s (%.8s) is not known to %s", addr_text(&p->v[i].addr, text), p->v[i].id, buf_str(&who));
        buf_free(&who);
    }
}

/* Lines that are no node yet, or without an address. */
static void find_strange_lines(const struct picture *p, struct findings *f)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        for (size_t l = 0; n->answers && l < n->view.nlines; l++) {
            const struct sn_nodes_line *line = &n->view.lines[l];
            addr_text(&n->addr, text);
            if (line->flags & SN_NODES_HANDSHAKE)
                finding_add(
                    f, FINDING_WARNING, "node-handshake",
                    "it goes away in a minute by itself where nobody answers there, unless another node tells of it "
                    "again; `nodectl slots fix` ends it",
                    "%s is shaking hands with %s:%d, which has not answered yet", text, line->addr.host,
                    line->addr.port);
            else if (line->flags & SN_NODES_NOADDR)
                finding_add(f, FINDING_WARNING, "node-without-address",
                            "`nodectl slots fix` has them meet, or forgets the node where it is gone",
                            "%s knows no address of %.8s", text, line->id);
        }
    }
}

unsigned findings_differing(const struct picture *p, const struct picture_node *n, struct slot_set *which)
{
    int16_t seen[SN_SLOTS];
    memset(seen, 0xff, sizeof seen);
    for (size_t l = 0; l < n->view.nlines; l++) {
        const struct sn_nodes_line *line = &n->view.lines[l];
        const struct picture_node *of = picture_by_id(p, line->id);
        for (size_t r = line->range; of != NULL && r < line->range + line->nranges; r++)
            for (unsigned s = n->view.ranges[r].first; s <= n->view.ranges[r].last; s++)
                seen[s] = (int16_t)(of - p->v);
    }
    for (unsigned s = 0; s < SN_SLOTS; s++)
        if (seen[s] != p->owner[s])
            slot_set_add(which, s);
    return slot_set_count(which);
}

bool findings_views_agree(const struct picture *p)
{
    struct slot_set which = {{0}};
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].answers && findings_differing(p, &p->v[i], &which) > 0)
            return false;
    return true;
}

static const char *const views_advice =
    "wait some seconds and check again; a view that stays so belongs to a node that the others do not reach";

static void find_differing(const struct picture *p, struct findings *f)
{
    char text[2][ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        struct slot_set which = {{0}};
        struct buf ranges = {0};
        if (!n->answers)
            continue;
        addr_text(&n->addr, text[0]);
        unsigned slots = findings_differing(p, n, &which);
        slot_set_put(&ranges, &which, 4);
        if (slots > 0)
            finding_add(f, FINDING_ERROR, "views-differ", views_advice,
                        "%s has other owners for %u slots than they have by their own word: %s", text[0], slots,
                        buf_str(&ranges));
        buf_free(&ranges);
        for (size_t k = 0; k < p->n; k++) {
            const struct picture_node *o = &p->v[k];
            const struct sn_nodes_line *line = o->answers ? sn_nodes_find(&n->view, o->id) : NULL;
            if (line == NULL || ((line->flags & SN_NODES_MASTER) != 0) == o->master)
                continue;
            finding_add(f, FINDING_ERROR, "roles-differ", views_advice, "%s holds %s for a %s, which says itself %s",
                        text[0], addr_text(&o->addr, text[1]), o->master ? "replica" : "master",
                        o->master ? "that it is a master" : "that it is a replica");
        }
    }
}

void find_in_views(const struct picture *p, struct findings *f)
{
    find_unknown(p, f);
    find_strange_lines(p, f);
    find_differing(p, f);
}
