#include "nodectl/node/unlisted.h"

#include <string.h>

enum { NODES, KEYSPACE, QUESTIONS };

/* ---- asking ---- */

static bool is_text(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING;
}

void unlisted_look(struct unlisted *u, struct node_work *w, const struct addr *addr)
{
    struct fleet f;
    bool added;
    *u = (struct unlisted){.addr = *addr};
    fleet_init(&f, w->asking.timeout_ms);
    struct fleet_member *m = fleet_add(&f, addr, true, &added);
    (void)asking_login_node(&w->asking, m);
    fleet_ask(m, 2, (const char *[]){"CLUSTER", "NODES"});
    fleet_ask(m, 2, (const char *[]){"INFO", "keyspace"});
    fleet_run(&f);
    if (m->error == NULL && m->nreplies >= QUESTIONS) {
        const redisReply *const *r = (const redisReply *const *)m->replies + (m->nreplies - QUESTIONS);
        u->answers = is_text(r[NODES]) &&
                     sn_nodes_parse(&u->view, (struct slice){r[NODES]->str, (size_t)r[NODES]->len});
        u->keys = is_text(r[KEYSPACE]) && strstr(r[KEYSPACE]->str, "keys=") != NULL;
    }
    fleet_free(&f);
}

void unlisted_free(struct unlisted *u)
{
    sn_nodes_free(&u->view);
}

/* ---- what it is ---- */

const char *unlisted_id(const struct unlisted *u)
{
    return u->answers ? u->view.lines[u->view.self].id : NULL;
}

static bool is_itself(const struct unlisted *u, const struct picture_node *n)
{
    const char *id = unlisted_id(u);
    return id != NULL ? runid_cmp(n->id, id) == 0 : addr_eq(&n->addr, &u->addr);
}

bool unlisted_is_of(const struct unlisted *u, const struct picture *p)
{
    for (size_t i = 0; u->answers && i < p->n; i++)
        if (!is_itself(u, &p->v[i]) && sn_nodes_find(&u->view, p->v[i].id) != NULL)
            return true;
    return false;
}

/* ---- may it go ---- */

static size_t others_answering(const struct unlisted *u, const struct picture *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->v[i].answers && !is_itself(u, &p->v[i]);
    return n;
}

/* The address of one that it lists, or that the others do, and that does not answer. */
static bool silent_one(const struct unlisted *u, const struct picture *p, struct addr *out)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->v[i].answers && !is_itself(u, &p->v[i])) {
            *out = p->v[i].addr;
            return true;
        }
    for (size_t i = 0; i < u->view.nlines; i++) {
        const struct sn_nodes_line *line = &u->view.lines[i];
        if (i != u->view.self && !(line->flags & SN_NODES_HANDSHAKE) && picture_by_id(p, line->id) == NULL) {
            *out = line->addr;
            return true;
        }
    }
    return false;
}

static void refuse_alone(const struct unlisted *u, const char *text, struct buf *why)
{
    if (u->view.nlines > 1)
        buf_printf(why,
                   "no other node of its cluster answers, so nobody has what %s has, and nobody could be told to "
                   "forget it. Start the others first (nodectl fleet start, nodectl node list)",
                   text);
    else
        buf_printf(why,
                   "%s is the last node of its cluster: without it there is none. nodectl fleet destroy ends a "
                   "whole fleet",
                   text);
}

bool unlisted_may_go(const struct unlisted *u, const struct picture *p, bool force, struct buf *why)
{
    char text[ADDR_TEXT_MAX], other[ADDR_TEXT_MAX];
    const struct sn_nodes_line *self = u->answers ? &u->view.lines[u->view.self] : NULL;
    struct addr silent;
    size_t before = why->n;
    addr_text(&u->addr, text);
    if (others_answering(u, p) == 0)
        refuse_alone(u, text, why);
    else if (self != NULL && self->nslots > 0)
        buf_printf(why,
                   "%s has %u slots by its own word, though no other node that answers lists it: nodectl slots check "
                   "shows who claims what",
                   text, self->nslots);
    else if (self != NULL && (self->flags & SN_NODES_MASTER) && u->keys)
        buf_printf(why,
                   "%s is a master and has keys, though no other node that answers lists it: save them or delete "
                   "them (FLUSHALL) first",
                   text);
    else if (!force && silent_one(u, p, &silent))
        buf_printf(why,
                   "%s does not answer, so nobody can tell whether it still counts %s as a node of its cluster. Start "
                   "it, or give --force when it never comes back",
                   addr_text(&silent, other), text);
    else if (!force && self == NULL && p->covered < SN_SLOTS)
        buf_printf(why,
                   "%s does not answer, and %zu slots are nobody's: it may have them. Start it (nodectl fleet start), "
                   "or give --force when it never comes back",
                   text, SN_SLOTS - p->covered);
    return why->n == before;
}
