/* Leases of shards (SAFETY, sections 1 to 3): what a node is told with each LEASE, what its answer changes, what a vote
 * grants. The book of one shard is lease.c. */
#include "sentineld/core/swap_inner.h"

#include "common/base/text.h"

#include <inttypes.h>
#include <stdio.h>

#define PROBES 4                /* within a lease (SAFETY L7) */
#define LIST_PATIENCE MS(10000) /* after which a list that no node counts is worth a word */
#define LIST_TRIED MS(2000)     /* as often the version that a node counts is tried, which may be our own list */

static int64_t fleet_ttl(const struct sn_fleet *f)
{
    return f && f->state == SN_FLEET_WATCHED && *f->core->ours.list ? f->lease_us : 0;
}

int64_t sn_lease_ttl(const struct sn_group *g)
{
    return fleet_ttl(g->fleet);
}

bool sn_node_leases(const struct sn_node *n)
{
    return fleet_ttl(n->fleet) && !n->lease_refused;
}

bool sn_node_tells_view(const struct sn_node *n)
{
    return sn_node_leases(n) && n->told && n->told->view;
}

int64_t sn_lease_period(const struct sn_node *n)
{
    return fleet_ttl(n->fleet) / PROBES;
}

/* ---- the list of supervisors ---- */

static void speak(struct sn_core *c)
{
    struct buf text = {0};
    buf_printf(&text, "%" PRIu64 ":%d:%s", c->ours.version, c->ours.position, c->ours.list);
    free(c->ours.speaker);
    c->ours.speaker = mem_strdup(buf_str(&text));
    buf_free(&text);
}

void sn_list_init(struct sn_core *c, const struct sn_list *l)
{
    c->ours.list = mem_strdup(l->text ? l->text : "");
    c->ours.position = l->position;
    c->ours.version = l->version ? l->version : 1;
    c->ours.counted = l->counted;
    c->ours.dirty = *c->ours.list && !l->counted;
    speak(c);
}

void sn_list_free(struct sn_core *c)
{
    free(c->ours.list);
    free(c->ours.speaker);
}

static void list_set(struct sn_core *c, uint64_t version, bool counted)
{
    if (c->ours.version == version && c->ours.counted == counted)
        return;
    if (c->ours.version != version)
        c->ours.since_us = c->now_us;
    c->ours.version = version;
    c->ours.counted = counted;
    if (counted)
        c->ours.waiting_us = 0;
    c->ours.dirty = c->dirty_meta = true;
    speak(c);
}

static void list_not_taken(struct sn_core *c, const struct sn_node *n, uint64_t version)
{
    if (c->ours.stale_told)
        return;
    c->ours.stale_told = true;
    sn_publish_core(c, SN_LOG_WARNING, "-supervisors-list",
                    "%s:%d counts version %" PRIu64 " of the list of supervisors, which is not ours (version %" PRIu64
                    "): it takes no lease from this supervisor. Give all supervisors the same list",
                    n->addr.host, n->addr.port, version, c->ours.version);
}

/* Ours is not counted yet: a majority of both lists has to speak for it. Those that are being restarted with it do so
 * soon. Where they have done so already, while we had an older list, ours is counted under a version that is lower than
 * the one we made of that: a node that does not count it there says so. */
static void list_waits(struct sn_core *c, const struct sn_node *n, uint64_t version)
{
    if (!c->ours.waiting_us)
        c->ours.waiting_us = c->now_us;
    else if (c->now_us >= c->ours.waiting_us + LIST_PATIENCE)
        list_not_taken(c, n, version);
    if (version >= c->ours.version || c->now_us < c->ours.waiting_us + LIST_TRIED ||
        c->now_us < c->ours.tried_us + LIST_TRIED)
        return;
    c->ours.tried_us = c->now_us;
    list_set(c, version, false);
}

/* What a node says of lists when it takes no lease under ours. One that it counts, is newer than ours and not ours: our
 * configuration is old, or, when no node has counted ours yet, ours is the one that is to replace it. One that it has
 * only heard of goes first, as long as somebody speaks for it. */
static void list_heard(struct sn_core *c, const struct sn_node *n, uint64_t version, struct slice list, bool counts)
{
    if (slice_is(list, c->ours.list)) {
        if (counts || version > c->ours.version)
            list_set(c, version, counts);
    } else if (c->ours.counted && counts) {
        list_not_taken(c, n, version);
    } else if (!c->ours.counted) {
        if (counts && version >= c->ours.version && version < SN_EPOCH_MAX)
            list_set(c, version + 1, false);
        list_waits(c, n, version);
    }
}

/* "STALESUPERVISORS This node counts version <n> of the list: <list>", or "has heard of version". */
static bool read_stale(struct slice text, uint64_t *version, struct slice *list, bool *counts)
{
    if (!slice_is(slice_cut(&text, ' '), "STALESUPERVISORS"))
        return false;
    *counts = false;
    for (struct slice word; text.n && !slice_is(word = slice_cut(&text, ' '), "version");)
        *counts = *counts || slice_is(word, "counts");
    if (!text_u64(slice_cut(&text, ' '), version))
        return false;
    slice_cut(&text, ':');
    slice_cut(&text, ' ');
    *list = text;
    return list->n > 0;
}

bool sn_list_waits(const struct sn_group *g)
{
    return sn_lease_ttl(g) && !g->core->ours.counted && g->core->ours.waiting_us;
}

/* ---- what is granted ---- */

static void lease_dirty(struct sn_group *g)
{
    g->lease_dirty = g->core->any_dirty = true;
    g->lease_seq = sn_persist_next(g->core);
}

/* At the epoch of the configuration nothing is granted once a vote of ours may have led to a promotion that we do not
 * know of (SAFETY E5): not by the ballot that names the master anew either, before that has come through. Where there
 * was no doubt before a vote for the master itself makes none: all that may be hidden is its own newer epoch. */
bool sn_lease_in_doubt(const struct sn_group *g)
{
    bool none = g->vote_void || g->vote_same || !*g->vote_leader; /* "": the epoch is a bound, and no vote */
    uint64_t vote = none ? 0 : g->vote_epoch;
    return *g->lease.grantee && (vote > g->config_epoch || g->doubt_epoch > g->config_epoch);
}

/* It has restarted, and whether it has its data is not known yet, or it has none while others do (SAFETY section 4). */
bool sn_may_be_empty(const struct sn_inst *i)
{
    return i->node->unjudged || i->restarted || i->reborn_empty;
}

static bool grant_to(struct sn_inst *i, struct sn_grant *out)
{
    struct sn_group *g = i->group;
    const struct sn_core *c = g->core;
    int64_t ttl = sn_lease_ttl(g);
    if (!ttl || !sn_is_master(i) || !i->member)
        return false;
    i->node->lease_soon = g->config_seq > c->persisted;
    if (i->node->lease_soon || sn_lease_in_doubt(g) || sn_may_be_empty(i) || !sn_swap_lets_lease(i->node))
        return false;
    /* With an empty state directory, or before the cluster was released here: in a life that is forgotten another one
     * may have got a grant just now. A master that is not supervised yet takes writes without leases anyway. */
    const struct sn_lease_told *t = i->node->told;
    i->node->lease_soon = !*g->lease.grantee && !t;
    int64_t longest = ttl > c->longest_ttl_us ? ttl : c->longest_ttl_us;
    if (!*g->lease.grantee && (!t || (t->generation && c->now_us < g->fleet->born_us + longest + longest / 50)))
        return false;
    if (sn_lease_name(&g->lease, i->member->id, ttl, c->now_us))
        lease_dirty(g);
    /* It waits for the disk, or for the node's first word, and then it is to have it at once. */
    i->node->lease_soon = g->lease_seq > c->persisted || !i->node->stamp.incarnation;
    /* LEASE knows no grant that begins later. */
    if (g->lease_seq > c->persisted || sn_lease_others_until(&g->lease, i->member->id) > c->now_us)
        return false;
    if (sn_lease_settle(&g->lease, c->now_us))
        g->lease_dirty = g->core->any_dirty = true;
    g->core->longest_ttl_us = longest;
    return sn_lease_grant(&g->lease, i->member->id, &i->node->stamp, ttl, c->now_us, out);
}

void sn_lease_ask(struct sn_node *n)
{
    struct sn_core *c = n->core;
    struct sn_grant grant = {.ttl_us = 0};
    uint64_t epoch = 0;
    n->lease_soon = false;
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node)
        if (grant_to(i, &grant))
            epoch = i->group->config_epoch;
    struct sn_effect *e = sn_send(c, &n->cmd, SN_CMD_LEASE);
    e->text = mem_strdup(c->ours.speaker);
    e->number = fleet_ttl(n->fleet);
    e->epoch = epoch;
    e->stamp = grant.stamp; /* none: nothing is granted, and nothing is taken back */
    n->lease_asked_us = c->now_us;
    n->pending++;
    sn_probe_sent(&n->probe, c->now_us);
}

/* ---- what it answers ---- */

static bool is_expected(const struct sn_node *n, const struct sn_lease_told *t)
{
    return n->member && runid_cmp(t->node, n->member->id) == 0;
}

/* As INFO would tell it. What INFO alone tells is asked for when something has changed. */
static void take_facts(struct sn_node *n, const struct sn_lease_told *t)
{
    struct sn_info *info = &n->info;
    if (!n->info_us)
        return;
    bool same = info->role == t->role && (t->role == SN_ROLE_MASTER || info->master_link_up == t->link_up) &&
                info->loading == t->loading;
    if (!same) {
        n->info_now = true;
        return;
    }
    if (t->role == SN_ROLE_REPLICA && !t->link_up)
        info->master_link_down_ms = t->link_ms;
    info->repl_offset = t->offset;
    info->priority = t->priority;
    info->keys = t->keys;
    sn_note_keys(n);
    n->info_us = n->core->now_us;
}

/* The master needs a config epoch that its configuration does not have (SAFETY E2). */
static bool wishes(const struct sn_inst *i)
{
    return sn_is_master(i) && i->node->told && i->node->told->wants_epoch > i->group->config_epoch;
}

static bool matters(const struct sn_inst *i)
{
    const struct sn_group *g = i->group;
    return g->fo.state != SN_FO_NONE || wishes(i) || g->master->s_down || g->suspect || g->order.since_us ||
           (sn_is_master(i) && i->node->told->lease_ms == 0);
}

void sn_lease_taken(struct sn_inst *i)
{
    struct sn_group *g = i->group;
    if (i != g->fo.candidate || g->fo.state != SN_FO_WAIT_PROMOTION || !sn_lease_promotes(i))
        return;
    g->fo.took = true;
    i->member->master = true;
    i->member->epoch = g->fo.epoch;
    sn_touch_group(g);
}

void sn_lease_told(struct sn_node *n, enum sn_command command, const struct sn_lease_told *t)
{
    struct sn_core *c = n->core;
    bool spoken = n->lease_asked_us && n->lease_asked_us >= c->ours.since_us;
    bool restarted = n->told && n->told->incarnation != t->incarnation;
    int64_t asked_us = n->lease_asked_us;
    if (!n->told)
        n->told = mem_alloc(sizeof *n->told);
    *n->told = *t;
    if (command == SN_CMD_LEASE) {
        n->lease_asked_us = 0;
        n->stamp = (struct sn_stamp){.incarnation = 0};
        if (is_expected(n, t) && asked_us)
            n->stamp = (struct sn_stamp){t->incarnation, t->clock_us, asked_us};
        /* It or we stood still: what it holds is about to end, or has. */
        n->lease_soon = n->lease_soon || (asked_us && c->now_us - asked_us > sn_lease_period(n));
    }
    if (n->known && !is_expected(n, t))
        n->nodes_now = true; /* who sits there now? */
    for (struct sn_inst *i = n->insts; i && command == SN_CMD_LEASE_RETURN && is_expected(n, t); i = i->next_on_node)
        sn_coordinated_returned(i);
    if (restarted)
        n->info_now = n->unjudged = true;
    /* A replica may have had a config epoch of its own before, which no text tells and others remember. No ballot takes
     * one that is not above all (SAFETY E10). */
    uint64_t epoch = t->wants_epoch > t->current_epoch ? t->wants_epoch - 1 : t->current_epoch;
    if (n->fleet && epoch > n->fleet->epoch && epoch < SN_EPOCH_MAX) {
        n->fleet->epoch = epoch;
        sn_heard_epoch(c, NULL, n->fleet->epoch);
    }
    /* It takes nothing of an attempt below it, and those who named it may all have lost what they knew (M2). */
    if (n->fleet && t->swap_ballot < SN_EPOCH_MAX)
        sn_heard_epoch(c, NULL, t->swap_ballot);
    if (n->fleet && is_expected(n, t))
        sn_shard_wished(n->member);
    if (t->generation && t->version == c->ours.version && (spoken || c->ours.counted))
        list_set(c, t->version, true);
    else if (t->generation && !c->ours.counted)
        list_waits(c, n, t->version);
    if (n->fleet && sn_swap_concerns(n))
        sn_touch_fleet(n->fleet);
    take_facts(n, t);
    if (n->fleet)
        sn_fleet_viewed(n);
    sn_node_pong(n, t->loading ? SN_PONG_LOADING : SN_PONG_OK);
    if (n->info_now || n->nodes_now || n->lease_soon)
        sn_touch_node(n);
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node) {
        if (matters(i))
            sn_touch_group(i->group);
        if (is_expected(n, t) && t->role == SN_ROLE_MASTER && t->config_epoch >= i->group->fo.epoch)
            sn_lease_taken(i); /* the OK to the promotion was lost with its link */
    }
}

/* It elects by itself, unless it is told not to. */
static void stock(struct sn_node *n)
{
    n->lease_refused = n->nodes_now = true;
    if (!n->asserted)
        return;
    n->asserted = false;
    sn_fleet_assert(n);
}

void sn_lease_refused(struct sn_node *n, struct slice text)
{
    uint64_t version;
    struct slice list, rest = text, code = slice_cut(&rest, ' ');
    bool counts;
    enum sn_pong pong = SN_PONG_OK;
    n->lease_asked_us = 0;
    n->stamp.incarnation = 0;
    n->nodes_now = n->nodes_now || (!n->known && !n->nodes_sent_us); /* LEASE would have told who is there */
    if (read_stale(text, &version, &list, &counts))
        list_heard(n->core, n, version, list, counts);
    else if (slice_is(code, "NOAUTH") || slice_is(code, "WRONGPASS") || slice_is(code, "NOPERM"))
        pong = SN_PONG_AUTH;
    else if (slice_is(code, "LOADING"))
        pong = SN_PONG_LOADING;
    else if (slice_is(code, "BUSY"))
        pong = SN_PONG_BUSY;
    else
        stock(n);
    sn_node_pong(n, pong);
    sn_touch_node(n);
}

void sn_lease_link(struct sn_node *n)
{
    n->lease_refused = n->lease_soon = n->freeing = false;
    n->lease_asked_us = 0;
    n->stamp.incarnation = 0;
}

/* ---- votes ---- */

void sn_lease_vote(struct sn_group *g, const struct sn_inst *candidate)
{
    int64_t ttl = sn_lease_ttl(g);
    g->vote_void = false;
    g->vote_same = ttl && candidate && candidate == g->master && candidate->member &&
                   runid_cmp(g->lease.grantee, candidate->member->id) == 0 && g->doubt_epoch <= g->config_epoch;
    if (ttl && candidate && candidate->member && sn_lease_name(&g->lease, candidate->member->id, ttl, g->core->now_us))
        lease_dirty(g);
}

/* The grant went to the leader, who has passed it on to nobody. Where an earlier vote may have led to a promotion, what
 * is out is not known; a master that was named anew has what it was granted before too. */
void sn_lease_cancelled(struct sn_group *g)
{
    const struct sn_member *m = g->master->member;
    if (!sn_lease_ttl(g) || sn_lease_in_doubt(g) || !m || runid_cmp(g->lease.grantee, m->id) == 0)
        return;
    if (sn_lease_unname(&g->lease, g->core->now_us))
        lease_dirty(g);
    g->master->node->lease_soon = true;
    sn_touch_node(g->master->node);
}

void sn_lease_vote_text(struct sn_group *g, const struct sn_inst *candidate, char out[SN_GRANT_TEXT])
{
    struct sn_grant grant;
    int64_t ttl = sn_lease_ttl(g);
    out[0] = '\0';
    if (ttl && candidate && candidate->member && sn_swap_lets_vote(candidate->node) &&
        sn_lease_grant(&g->lease, candidate->member->id, &candidate->node->stamp, ttl, g->core->now_us, &grant))
        sn_grant_text(out, g->core->ours.position, &grant);
}

void sn_lease_returned_by(struct sn_inst *i)
{
    if (i->member)
        sn_lease_returned(&i->group->lease, i->member->id, i->group->core->now_us);
}

void sn_lease_return(struct sn_group *g)
{
    struct sn_effect *e = sn_send(g->core, &g->master->node->cmd, SN_CMD_LEASE_RETURN);
    e->text = mem_strdup(g->core->ours.speaker);
    e->epoch = g->fo.epoch;
    g->master->node->pending++;
}

bool sn_lease_promotes(const struct sn_inst *candidate)
{
    const struct sn_node *n = candidate->node;
    return sn_lease_ttl(candidate->group) && !n->lease_refused && n->told;
}

/* All members of the shard: a chain of failovers leaves replicas with any of them as master. The newest master first.
 */
static void put_lineage(const struct sn_group *g, struct buf *out)
{
    buf_puts(out, g->master->member->id);
    for (size_t k = 0; k < g->ninsts; k++)
        if (!sn_is_master(g->insts[k]) && g->insts[k]->member)
            buf_printf(out, ",%s", g->insts[k]->member->id);
}

void sn_lease_promote(struct sn_group *g)
{
    struct sn_core *c = g->core;
    struct sn_node *n = g->fo.candidate->node;
    struct buf lineage = {0};
    char own[SN_GRANT_TEXT];
    put_lineage(g, &lineage);
    struct sn_effect *e = sn_order_node(n, SN_CMD_TAKEOVER);
    e->epoch = g->fo.epoch;
    e->text = mem_strdup(buf_str(&lineage));
    e->flag = g->fo.forced && g->master->s_down;
    e->argv = mem_zalloc((g->nseats + 3) * sizeof *e->argv);
    size_t k = 0;
    e->argv[k++] = mem_strdup(c->ours.speaker);
    sn_lease_vote_text(g, g->fo.candidate, own);
    if (*own)
        e->argv[k++] = mem_strdup(own);
    for (size_t s = 0; s < g->nseats; s++) {
        const struct sn_seat *seat = g->seats[s];
        if (sn_seat_votes_for_us(seat) && *seat->grant)
            e->argv[k++] = mem_strdup(seat->grant);
    }
    buf_free(&lineage);
}

/* SAFETY E5: the master is well, but a vote of ours for somebody else keeps us from granting to it, or it has given its
 * lease back for a switch that came to nothing: a ballot names it anew, above all that may be hidden. So does one that
 * the master itself wants, since it takes no config epoch by itself (E2). */
int64_t sn_lease_wants_ballot(struct sn_group *g)
{
    const struct sn_core *c = g->core;
    const struct sn_inst *m = g->master;
    const struct sn_lease_told *t = m->node->told;
    int64_t ttl = sn_lease_ttl(g);
    bool well = ttl && m->member && t && !m->s_down && t->role == SN_ROLE_MASTER && is_expected(m->node, t);
    bool unleased = well && t->generation && t->lease_ms == 0;
    g->unleased_us = !unleased ? 0 : g->unleased_us ? g->unleased_us : c->now_us;
    if (!well || !*g->lease.grantee)
        return HEAP_NEVER;
    if (sn_lease_in_doubt(g))
        return c->now_us;
    /* Without voters there is nothing to be won. */
    if (sn_usable_voters(g) < sn_votes_needed(g))
        return HEAP_NEVER;
    if (wishes(m))
        return c->now_us;
    /* Grants that are only late come within a lease or two. */
    if (!unleased)
        return HEAP_NEVER;
    return g->unleased_us + 3 * ttl;
}
