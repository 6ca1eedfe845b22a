/* How the world stands when a rule breaks, for the eyes of whoever looks for a fault. */
#include "noded/cluster/state.h"
#include "sentineld/core/state.h"
#include "tests/fleet/watcher.h"

#include <stdio.h>

static const char *name_of(struct world *w, const struct cl_node *n)
{
    const struct node *own = n != NULL ? node_of_id(w, &n->id) : NULL;
    return n == NULL ? "nobody" : own != NULL ? end_name(own->p.end) : "a former one";
}

/* Whom a node holds for the owner of each shard's slots, and at which config epoch. */
static void picture_owners(struct world *w, const struct node *n)
{
    struct buf text = {0};
    for (int k = 0; k < w->plan.shards; k++) {
        uint16_t owner = n->core->owner[w->shards[k].slot];
        const struct cl_node *o = owner > 0 ? n->core->nodes[owner - 1] : NULL;
        buf_printf(&text, " %s at %llu;", name_of(w, o), o != NULL ? (unsigned long long)o->config_epoch : 0);
    }
    RECORD(w, end_name(n->p.end), "|   owners:%s current epoch %llu", buf_str(&text),
           (unsigned long long)n->core->current_epoch);
    buf_free(&text);
}

static void picture_records(struct world *w, const struct node *n)
{
    for (size_t i = 0; i < n->core->shard.nrecords; i++) {
        const struct cl_open_record *r = &n->core->shard.records[i];
        char job[CL_ID_DIGITS + 1], shard[CL_ID_DIGITS + 1];
        RECORD(w, end_name(n->p.end), "|   record %.8s at %llu, %s to %s of shard %.8s, slots from %d on%s%s%s",
               cl_id_text(&r->r.job, job), (unsigned long long)r->r.epoch, id_name(w, &r->r.source),
               id_name(w, &r->r.target), cl_id_text(&r->r.shard, shard), cl_bit_next(r->r.slots, 0, true),
               r->r.taking ? ", taking" : "", r->resuming ? ", resuming" : "", r->comes_back ? ", comes back" : "");
    }
}

static void picture_node(struct world *w, struct node *n)
{
    struct cl_lease_state l;
    const struct cl_core *c = n->core;
    if (c == NULL) {
        RECORD(w, end_name(n->p.end), "| does not run");
        return;
    }
    int64_t now_us = process_clock(w, &n->p);
    cl_lease_state(c, now_us, &l);
    uint16_t owner = c->owner[w->shards[n->shard].slot];
    RECORD(w, end_name(n->p.end),
           "| %.8s shard %d, %s%s %s, config epoch %llu (%llu on disk), %d slots; slot %d is %s's; version %llu, "
           "generation "
           "%llu, %d grants, lease %lld ms; repl %d, offset %lld, state %s%s%s",
           cl_id_text(&n->id, (char[CL_ID_DIGITS + 1]){0}), n->shard + 1, n->p.stopped ? "stopped " : "",
           cl_is_master(c) ? "master" : "replica of", cl_is_master(c) ? "" : name_of(w, c->me->master),
           (unsigned long long)c->me->config_epoch, (unsigned long long)c->claim.config_epoch, c->me->nslots,
           w->shards[n->shard].slot, owner > 0 ? name_of(w, c->nodes[owner - 1]) : "nobody",
           (unsigned long long)l.version, (unsigned long long)l.generation, l.grants,
           l.until_us == INT64_MAX ? -1LL : (long long)((l.until_us - now_us) / 1000), (int)n->data.repl,
           (long long)n->data.set.offset, cl_state_known(c) ? "known" : "not known", n->wiped ? ", to be taken in" : "",
           n->data.master == -1 ? "" : ", data side follows");
    picture_owners(w, n);
    picture_records(w, n);
}

static void picture_shard(struct world *w, const struct super *s, const struct sn_group *g)
{
    RECORD(w, end_name(s->p.end), "| %s: master %.40s at %llu, %s, failover state %d", g->name,
           g->master->node->addr.host, (unsigned long long)g->config_epoch, g->o_down ? "down" : "well",
           (int)g->fo.state);
    for (size_t k = 0; k < g->ninsts; k++) {
        const struct sn_member *m = g->insts[k]->member;
        if (m == NULL)
            RECORD(w, end_name(s->p.end), "|   %.40s, of no member", g->insts[k]->node->addr.host);
        else
            RECORD(w, end_name(s->p.end), "|   %.40s, %.8s, %s %.8s at %llu, %u slots, %s, unlisted %u",
                   g->insts[k]->node->addr.host, m->id, m->master ? "master" : "follows", m->follows,
                   (unsigned long long)m->epoch, m->nslots, g->insts[k]->s_down ? "down" : "well", m->unlisted);
    }
}

static void picture_watcher(struct world *w, const struct super *s)
{
    const struct sn_core *c = s->watcher->core;
    for (size_t i = 0; c != NULL && i < c->ngroups; i++)
        picture_shard(w, s, c->groups[i]);
}

static void picture_super(struct world *w, struct super *s)
{
    if (!s->p.runs) {
        RECORD(w, end_name(s->p.end), "| does not run");
        return;
    }
    if (s->watcher != NULL) {
        picture_watcher(w, s);
        return;
    }
    int64_t now_us = process_clock(w, &s->p);
    RECORD(w, end_name(s->p.end), "| version %llu, %s, voted up to %llu", (unsigned long long)s->version,
           s->live.joined ? "takes part" : "takes no part", (unsigned long long)s->live.vote_epoch);
    for (int k = 0; k < w->plan.shards; k++) {
        const struct book *b = &s->books[k];
        RECORD(w, end_name(s->p.end), "|   shard %d: grantee %.8s at %llu, was well %lld ms ago", k + 1,
               b->lease.grantee, (unsigned long long)b->epoch, (long long)((now_us - b->well_us) / 1000));
        for (int i = k; i < w->nnodes; i += w->plan.shards)
            RECORD(w, end_name(s->p.end), "|     %s: %s, told %lld ms ago", end_name(end_of_node(i)),
                   s->nodes[i].up ? "up" : "down", (long long)((now_us - s->nodes[i].told_us) / 1000));
    }
}

void picture(struct world *w)
{
    for (int i = 0; i < w->nnodes; i++)
        picture_node(w, &w->nodes[i]);
    for (int i = 0; i < SUPERS_MAX; i++)
        if (w->supers[i].file_version != 0)
            picture_super(w, &w->supers[i]);
}
