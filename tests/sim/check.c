/* The safety rules of DESIGN section 5, checked after every step from what goes over the wire and what lies on the
 * disks. The checkers keep books of their own; of the core they read only which failover an effect belongs to, and what
 * it holds for the configuration. */
#include "tests/sim/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define GRANTS 8
#define EVIDENCE_LIFE SECONDS(30)
#define INFO_AGE MS(1200) /* while a master is down its replicas are asked each second */

struct leadership {
    uint64_t epoch;
    int super, node;
};

struct configuration {
    uint64_t epoch;
    int node;
};

struct vote {
    uint64_t epoch;
    runid leader;
};

struct votes {
    struct vote *v;
    size_t n, cap;
};

struct grants { /* votes that reached a candidate */
    uint64_t epoch;
    unsigned voters; /* bits */
};

struct view { /* of one group, by one supervisor */
    uint64_t config_epoch, told_epoch;
    const struct sn_inst *master; /* as last looked at; NULL: look */
    int64_t anew_us;              /* when it began to know the group anew, 0: never did */
    struct votes votes;
    struct grants grants[GRANTS];
    size_t ngrants;
    int64_t down_us[MAX_SUPERS]
                   [MAX_NODES_PER_GROUP];           /* when who last said that which node is down; 0: not, or no more */
    uint64_t said[MAX_SUPERS][MAX_NODES_PER_GROUP]; /* that word's place among all that is said */
    int64_t former_us[MAX_SUPERS][MAX_NODES_PER_GROUP]; /* the same, said under an id that it had before */
};

struct checked_group {
    struct leadership *leaders;
    size_t nleaders, cap_leaders;
    struct configuration *configs;
    size_t nconfigs, cap_configs;
    int coordinated_by; /* a promotion by a coordinated failover is under way */
    bool begun_anew;    /* by some supervisor: epoch 0 is an operator's word, and may mean any master */
};

struct checks {
    struct checked_group groups[MAX_GROUPS];
    struct view views[MAX_SUPERS][MAX_GROUPS];
};

void check_init(struct world *w)
{
    w->checks = mem_zalloc(sizeof *w->checks);
    for (int g = 0; g < MAX_GROUPS; g++)
        w->checks->groups[g].coordinated_by = -1;
}

void check_free(struct world *w)
{
    for (int g = 0; g < MAX_GROUPS; g++) {
        free(w->checks->groups[g].leaders);
        free(w->checks->groups[g].configs);
        for (int s = 0; s < MAX_SUPERS; s++)
            free(w->checks->views[s][g].votes.v);
    }
    free(w->checks);
}

void check_settled(struct world *w)
{
    w->settled = true;
}

static int group_named(const struct world *w, struct slice name)
{
    for (int i = 0; i < w->plan.groups; i++)
        if (slice_is(name, w->groups[i].name))
            return i;
    return -1;
}

static int super_with_id(const struct world *w, const char *id)
{
    for (int i = 0; i < w->plan.supers; i++) {
        const struct super *s = &w->supers[i];
        if (runid_cmp(s->id, id) == 0)
            return i;
        for (size_t k = 0; k < s->nformer; k++)
            if (runid_cmp(s->former[k], id) == 0)
                return i;
    }
    return -1;
}

/* By its name, or by its master's address, as a stock question has it. */
static int group_of(struct world *w, const char *name, const struct addr *master)
{
    if (name != NULL)
        return group_named(w, slice_of(name));
    const struct node *n = node_at(w, master);
    return n != NULL ? n->group : -1;
}

/* --- S2: one vote per supervisor, group and epoch, crashes included; and it is on disk before anybody is told --- */

static void told_vote(struct world *w, struct super *s, int group, const char *leader_id, uint64_t epoch)
{
    struct votes *votes = &w->checks->views[s->index][group].votes;
    int leader = super_with_id(w, leader_id);
    if (leader < 0) {
        violated(w, "S2", "s%d tells a vote for %s, which no supervisor is called", s->index + 1, leader_id);
        return;
    }
    const struct disk_group *d = &s->disk.groups[group];
    if (d->vote_epoch < epoch || (d->vote_epoch == epoch && runid_cmp(d->vote_leader, leader_id) != 0))
        violated(w, "S2", "s%d tells its vote for s%d in epoch %llu of %s before it is on disk (there: epoch %llu)",
                 s->index + 1, leader + 1, (unsigned long long)epoch, w->groups[group].name,
                 (unsigned long long)d->vote_epoch);
    for (size_t i = votes->n; i-- > 0;)
        if (votes->v[i].epoch == epoch) {
            if (runid_cmp(votes->v[i].leader, leader_id) != 0)
                violated(w, "S2", "s%d voted twice in epoch %llu of %s: for s%d, then for s%d", s->index + 1,
                         (unsigned long long)epoch, w->groups[group].name, super_with_id(w, votes->v[i].leader) + 1,
                         leader + 1);
            return;
        }
    votes->v = mem_grow(votes->v, votes->n, &votes->cap, sizeof *votes->v);
    votes->v[votes->n].epoch = epoch;
    memcpy(votes->v[votes->n++].leader, leader_id, sizeof votes->v[0].leader);
}

static void check_votes_told(struct world *w, struct super *s, const struct sn_effect *e)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct sn_opinion *o = &e->opinions[i];
        int group = group_of(w, o->group, &o->master);
        if (group >= 0 && o->leader[0] != '\0')
            told_vote(w, s, group, o->leader, o->leader_epoch);
    }
}

static void check_votes_asked(struct world *w, struct super *s, const struct sn_effect *e)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct sn_ballot *b = &e->ballots[i];
        int group = group_of(w, b->group, &b->master);
        if (group >= 0 && b->verb == SN_BALLOT_VOTE)
            told_vote(w, s, group, s->id, b->epoch);
    }
}

/* --- what reaches a supervisor: grants and evidence --- */

static void note_grant(struct view *v, uint64_t epoch, int voter)
{
    for (size_t i = 0; i < GRANTS; i++)
        if (v->grants[i].epoch == epoch) {
            v->grants[i].voters |= 1U << voter;
            return;
        }
    v->grants[v->ngrants++ % GRANTS] = (struct grants){epoch, 1U << voter};
}

/* What was said last counts, in whatever order it comes: answers and words of its own have connections of their own.
 * The time does not tell which was the last: a question may be answered in the step that finds the master down. */
static void note_evidence(struct world *w, struct view *v, int from, const struct addr *master, bool down,
                          uint64_t said)
{
    const struct node *n = node_at(w, master);
    if (n == NULL)
        return;
    int k = n->index - w->groups[n->group].first;
    if (said < v->said[from][k])
        return;
    v->said[from][k] = said;
    v->down_us[from][k] = down ? w->now_us : 0;
}

void check_opinions(struct world *w, struct super *s, const struct packet *answer)
{
    int voter = answer->link->server;
    const struct sn_opinion *o = answer->fx.opinions;
    for (size_t i = 0; i < answer->fx.count; i++) {
        int group = group_of(w, o[i].group, &o[i].master);
        if (group < 0)
            continue;
        struct view *v = &w->checks->views[s->index][group];
        if (o[i].leader[0] != '\0' && runid_cmp(o[i].leader, s->id) == 0)
            note_grant(v, o[i].leader_epoch, voter);
        note_evidence(w, v, voter, &o[i].master, o[i].down, answer->said);
    }
}

void check_ballots(struct world *w, struct super *s, const struct packet *question, const struct sn_ballot *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int group = group_of(w, b[i].group, &b[i].master);
        if (group < 0)
            continue;
        bool down = b[i].verb == SN_BALLOT_DOWN || (b[i].verb == SN_BALLOT_VOTE && b[i].down);
        if (down || b[i].verb == SN_BALLOT_UP)
            note_evidence(w, &w->checks->views[s->index][group], question->link->client, &b[i].master, down,
                          question->said);
    }
}

/* --- promotions: S1, S3, S5 --- */

static int votes_held(const struct world *w, const struct super *s, int group, uint64_t epoch)
{
    const struct view *v = &w->checks->views[s->index][group];
    const struct disk_group *d = &s->disk.groups[group];
    unsigned voters = 0;
    for (size_t i = 0; i < GRANTS; i++)
        if (v->grants[i].epoch == epoch)
            voters = v->grants[i].voters;
    if (d->vote_epoch == epoch && runid_cmp(d->vote_leader, s->id) == 0)
        voters |= 1U << s->index;
    (void)w;
    return __builtin_popcount(voters);
}

static int evidence_held(const struct world *w, const struct super *s, int group, int node)
{
    const struct view *v = &w->checks->views[s->index][group];
    int held = 0;
    for (int i = 0; i < w->plan.supers; i++) {
        int64_t at = v->down_us[i][node - w->groups[group].first];
        held += at > 0 && w->now_us - at <= EVIDENCE_LIFE;
        at = v->former_us[i][node - w->groups[group].first];
        held += at > 0 && w->now_us - at <= EVIDENCE_LIFE;
    }
    return held;
}

static void check_leader(struct world *w, struct super *s, int group, uint64_t epoch, int node)
{
    struct checked_group *c = &w->checks->groups[group];
    for (size_t i = c->nleaders; i-- > 0;) {
        const struct leadership *l = &c->leaders[i];
        if (l->epoch != epoch)
            continue;
        if (l->super != s->index)
            violated(w, "S1", "s%d and s%d both lead epoch %llu of %s", l->super + 1, s->index + 1,
                     (unsigned long long)epoch, w->groups[group].name);
        else if (l->node != node)
            violated(w, "S1", "s%d promotes %s and %s, both in epoch %llu", s->index + 1,
                     end_name(w, end_of_node(l->node)), end_name(w, end_of_node(node)), (unsigned long long)epoch);
        return;
    }
    c->leaders = mem_grow(c->leaders, c->nleaders, &c->cap_leaders, sizeof *c->leaders);
    c->leaders[c->nleaders++] = (struct leadership){epoch, s->index, node};
}

/* Was a plain FAILOVER asked of this supervisor, in this life? */
static bool operator_asked(const struct world *w, const struct super *s, int group, bool coordinated)
{
    for (size_t i = 0; i < OPERATIONS_MAX; i++) {
        const struct operation *o = &w->operations[i];
        if (o->failover && o->super == s->index && o->life == s->life && o->group == group &&
            o->coordinated == coordinated)
            return true;
    }
    return false;
}

/* Offsets that stood still since before the ballot were the same when the candidate was chosen. Only data of the
 * dead master's own line is compared: what two others did after they left that line is a matter of judgement. */
static const struct node *has_more(struct world *w, const struct sn_group *g, const struct sn_inst *i,
                                   const struct node *to)
{
    const struct sn_info *info = &i->node->info, *chosen = &g->fo.candidate->node->info;
    const struct node *n = node_at(w, &i->node->addr);
    int64_t stood_us = g->core->now_us - g->fo.start_us; /* by a clock that may be one in a hundred off */
    int64_t settled = w->now_us - stood_us - stood_us / 50 - INFO_AGE;
    if (n == NULL || n == to || i == g->master || i->s_down || i->node->cmd.state != SN_CONN_UP)
        return NULL;
    bool known = i->node->info_us > g->fo.start_us - INFO_AGE && info->repl_offset == n->offset &&
                 chosen->repl_offset == to->offset && n->offset_us < settled && to->offset_us < settled;
    bool alike = info->role == SN_ROLE_REPLICA && info->priority == chosen->priority && !info->loading &&
                 !info->syncing && runid_cmp(n->replid, to->replid) == 0 && runid_cmp(n->replid, g->lineage) == 0;
    bool suitable = info->keys > 0 && i->node->probe.last == SN_PONG_OK &&
                    info->master_link_down_ms <= chosen->master_link_down_ms;
    return known && alike && suitable && n->offset > to->offset ? n : NULL;
}

/* The candidate must not be stale: of replicas alike in all else, the one with the most data is promoted. */
static void check_choice(struct world *w, const struct super *s, const struct sn_group *g, const struct node *to)
{
    if (to->priority == 0)
        violated(w, "select", "s%d promotes %s, whose priority is 0", s->index + 1,
                 end_name(w, end_of_node(to->index)));
    for (size_t i = 0; i < g->ninsts; i++) {
        const struct node *n = has_more(w, g, g->insts[i], to);
        if (n != NULL)
            violated(w, "select", "s%d promotes %s at offset %lld, and %s is at %lld of the same data", s->index + 1,
                     end_name(w, end_of_node(to->index)), (long long)to->offset, end_name(w, end_of_node(n->index)),
                     (long long)n->offset);
    }
}

/* Where a hook may veto, nothing is promoted without its word. */
static void check_consent(struct world *w, const struct super *s, int group, uint64_t epoch)
{
    const struct question *q = &s->consent.questions[group];
    bool must_ask = s->consent.policy != CONSENT_NOT_ASKED && w->now_us - s->consent.since_us > SECONDS(5);
    if (q->epoch == epoch ? q->verdict != CONSENT_YES : must_ask)
        violated(w, "veto", "s%d promotes in epoch %llu of %s, and its hook %s", s->index + 1,
                 (unsigned long long)epoch, w->groups[group].name,
                 q->epoch != epoch          ? "was not asked"
                 : q->verdict == CONSENT_NO ? "has said no"
                                            : "has not answered");
}

/* The quorum of the moment in which it was elected: an operator may have raised it since. */
static int64_t quorum_then(const struct world *w, const struct super *s, int group, const struct sn_group *g)
{
    const struct disk_group *d = &s->disk.groups[group];
    int64_t since_us = g->core->now_us - g->fo.at.elected_us;
    bool changed = d->quorum_us > 0 && w->now_us - d->quorum_us <= since_us + since_us / 50 + MS(1);
    return changed && d->quorum_before < d->is.quorum ? d->quorum_before : d->is.quorum;
}

/* Of all that there are. A supervisor that begins anew may take those that it has met for all, for the seconds until it
 * has heard every hello, when a quorum below the majority tells it nothing better; `supervisors` in the configuration
 * does. */
static int majority_of(const struct world *w, const struct view *v, const struct sn_group *g)
{
    int majority = w->plan.supers / 2 + 1;
    bool young = !w->plan.declared && v->anew_us > 0 && w->now_us - v->anew_us < SECONDS(12);
    if (young && !g->added && g->set.quorum < majority && g->nseats > 0 && ((int)g->nseats + 1) / 2 + 1 < majority)
        return ((int)g->nseats + 1) / 2 + 1;
    return majority;
}

static void check_promotion(struct world *w, struct super *s, const struct sn_effect *e)
{
    const struct link *l = e->link < s->cap_links ? s->links[e->link] : NULL;
    if (l == NULL || end_is_super(l->server))
        return;
    const struct node *to = e->command == SN_CMD_FAILOVER ? node_at(w, &e->addr) : &w->nodes[l->server - MAX_SUPERS];
    if (to == NULL)
        return;
    int group = to->group;
    const struct group *set = &w->groups[group];
    const struct sn_group *g = sn_group_find(s->core, slice_of(set->name));
    if (g == NULL || g->fo.state == SN_FO_NONE) {
        violated(w, "S3", "s%d promotes %s outside of any failover", s->index + 1, end_name(w, end_of_node(to->index)));
        return;
    }
    w->counts[COUNT_PROMOTIONS]++;
    check_leader(w, s, group, g->fo.epoch, to->index);
    w->checks->groups[group].coordinated_by = g->fo.coordinated && e->command == SN_CMD_REPLICAOF ? s->index : -1;
    check_choice(w, s, g, to);
    check_consent(w, s, group, g->fo.epoch);
    bool asked = g->fo.forced && operator_asked(w, s, group, g->fo.coordinated);
    if (g->fo.forced && !asked)
        violated(w, "S5", "s%d calls a failover of %s forced that no operator asked for", s->index + 1, set->name);
    if (g->fo.unopposed) {
        w->counts[COUNT_UNOPPOSED]++;
        if (!asked || g->fo.coordinated)
            violated(w, "S3", "s%d promotes without votes in epoch %llu of %s", s->index + 1,
                     (unsigned long long)g->fo.epoch, set->name);
        return;
    }
    int majority = majority_of(w, &w->checks->views[s->index][group], g);
    int quorum = (int)quorum_then(w, s, group, g);
    int needed = majority > quorum ? majority : quorum;
    int held = votes_held(w, s, group, g->fo.epoch);
    if (held < needed)
        violated(w, "S3", "s%d promotes %s in epoch %llu of %s with %d votes, %d are needed", s->index + 1,
                 end_name(w, end_of_node(to->index)), (unsigned long long)g->fo.epoch, set->name, held, needed);
    if (g->fo.forced)
        return;
    const struct node *from = node_at(w, &g->master->node->addr);
    int evidence = from != NULL ? evidence_held(w, s, group, from->index) : 0;
    if (evidence < quorum)
        violated(w, "S5", "s%d promotes %s in epoch %llu though only %d supervisors hold %s for down, quorum %d",
                 s->index + 1, end_name(w, end_of_node(to->index)), (unsigned long long)g->fo.epoch, evidence,
                 from != NULL ? end_name(w, end_of_node(from->index)) : "nobody", quorum);
    if (w->calm)
        violated(w, "S5", "s%d fails %s over though nothing was wrong", s->index + 1, set->name);
}

/* --- S4: config epochs --- */

static void check_config(struct world *w, const struct super *s, int group, uint64_t epoch, const struct addr *master)
{
    struct checked_group *c = &w->checks->groups[group];
    const struct node *n = node_at(w, master);
    if (n == NULL || n->group != group) {
        violated(w, "S4", "s%d takes %s for the master of %s, which is no server of it", s->index + 1,
                 addr_name(w, master), w->groups[group].name);
        return;
    }
    for (size_t i = c->nconfigs; i-- > 0;)
        if (c->configs[i].epoch == epoch) {
            if (c->configs[i].node != n->index && (epoch != 0 || !c->begun_anew))
                violated(w, "S4", "config epoch %llu of %s means %s, for s%d it means %s", (unsigned long long)epoch,
                         w->groups[group].name, end_name(w, end_of_node(c->configs[i].node)), s->index + 1,
                         addr_name(w, master));
            return;
        }
    c->configs = mem_grow(c->configs, c->nconfigs, &c->cap_configs, sizeof *c->configs);
    c->configs[c->nconfigs++] = (struct configuration){epoch, n->index};
}

/* sentinel_ip,port,runid,current_epoch,name,master_ip,master_port,config_epoch */
static void check_hello(struct world *w, struct super *s, const struct sn_effect *e)
{
    struct slice field[8], rest = slice_of(e->text);
    for (int i = 0; i < 8; i++)
        field[i] = slice_cut(&rest, ',');
    uint64_t epoch, config_epoch;
    int64_t port;
    struct addr master;
    int group = group_named(w, field[4]);
    if (group < 0 || !text_u64(field[3], &epoch) || !text_u64(field[7], &config_epoch) || !text_i64(field[6], &port) ||
        !addr_set(&master, field[5], port)) {
        violated(w, "hello", "s%d says what is no hello: %s", s->index + 1, e->text);
        return;
    }
    struct view *v = &w->checks->views[s->index][group];
    if (config_epoch < v->told_epoch)
        violated(w, "S4", "s%d told config epoch %llu of %s, now %llu", s->index + 1, (unsigned long long)v->told_epoch,
                 w->groups[group].name, (unsigned long long)config_epoch);
    v->told_epoch = config_epoch;
    if (config_epoch > s->disk.groups[group].config_epoch)
        violated(w, "S4", "s%d tells config epoch %llu of %s, on its disk is %llu", s->index + 1,
                 (unsigned long long)config_epoch, w->groups[group].name,
                 (unsigned long long)s->disk.groups[group].config_epoch);
    if (epoch > s->disk.epoch)
        violated(w, "S4", "s%d tells the epoch %llu, on its disk is %llu", s->index + 1, (unsigned long long)epoch,
                 (unsigned long long)s->disk.epoch);
    check_config(w, s, group, config_epoch, &master);
}

void check_effect(struct world *w, struct super *s, const struct sn_effect *e)
{
    if (e->kind == SN_FX_ANSWER_BALLOTS) {
        check_votes_told(w, s, e);
        return;
    }
    if (e->kind != SN_FX_SEND)
        return;
    bool promotion = e->command == SN_CMD_REPLICAOF && e->addr.host[0] == '\0';
    if (promotion || e->command == SN_CMD_FAILOVER)
        check_promotion(w, s, e);
    else if (e->command == SN_CMD_HELLO)
        check_hello(w, s, e);
    else if (e->command == SN_CMD_ASK || e->command == SN_CMD_BALLOT)
        check_votes_asked(w, s, e);
}

static void check_group(struct world *w, struct super *s, int group, const struct sn_group *g)
{
    struct view *v = &w->checks->views[s->index][group];
    if (g->config_epoch < v->config_epoch)
        violated(w, "S4", "s%d goes back from config epoch %llu of %s to %llu", s->index + 1,
                 (unsigned long long)v->config_epoch, w->groups[group].name, (unsigned long long)g->config_epoch);
    v->config_epoch = g->config_epoch;
    v->master = g->master;
    check_config(w, s, group, g->config_epoch, &g->master->node->addr);
}

/* The groups of a core are in the order of the world, until an operator has removed one. */
static const struct sn_group *its_group(const struct world *w, const struct sn_core *c, int i)
{
    const char *name = w->groups[i].name;
    if (i < (int)c->ngroups && strcmp(c->groups[i]->name, name) == 0)
        return c->groups[i];
    return sn_group_find(c, slice_of(name));
}

void check_step(struct world *w, struct super *s)
{
    for (int i = 0; i < w->plan.groups; i++) {
        const struct sn_group *g = its_group(w, s->core, i);
        struct view *v = &w->checks->views[s->index][i];
        if (g == NULL)
            continue;
        if (g->master->s_down)
            note_evidence(w, v, s->index, &g->master->node->addr, true, ++w->said);
        if (g->config_epoch != v->config_epoch || g->master != v->master)
            check_group(w, s, i, g);
    }
}

void check_started(struct world *w, struct super *s)
{
    for (int i = 0; i < w->plan.groups; i++) {
        struct view *v = &w->checks->views[s->index][i];
        memset(v->grants, 0, sizeof v->grants);
        memset(v->down_us, 0, sizeof v->down_us);
        memset(v->former_us, 0, sizeof v->former_us);
        /* What it had not written down it may forget; what it had told anybody it may not. */
        v->config_epoch = v->told_epoch;
        v->master = NULL;
    }
    check_step(w, s);
}

/* What it had told before counts no more: an operator has made it forget the group, or its disk is lost. Its votes
 * count as before. */
void check_anew(struct world *w, const struct super *s, int group)
{
    struct view *v = &w->checks->views[s->index][group];
    w->checks->groups[group].begun_anew = true;
    v->config_epoch = v->told_epoch = 0;
    v->master = NULL;
    v->anew_us = w->now_us;
}

/* A vote for oneself is known to others only when they have written theirs: the epoch of a ballot that nobody has
 * granted is lost with the disk, and with the process all that could have come of it. A vote for another is known to
 * that one. */
void check_state_lost(struct world *w, const struct super *s, int group)
{
    struct votes *votes = &w->checks->views[s->index][group].votes;
    const struct checked_group *c = &w->checks->groups[group];
    size_t kept = 0;
    check_anew(w, s, group);
    for (size_t i = 0; i < votes->n; i++) {
        bool led = false;
        for (size_t k = 0; k < c->nleaders; k++)
            led = led || c->leaders[k].epoch == votes->v[i].epoch;
        if (led || runid_cmp(votes->v[i].leader, s->id) != 0)
            votes->v[kept++] = votes->v[i];
    }
    votes->n = kept;
}

void check_new_id(struct world *w, const struct super *s)
{
    for (int i = 0; i < w->plan.groups; i++) {
        w->checks->views[s->index][i].votes.n = 0;
        for (int k = 0; k < w->plan.supers; k++) {
            struct view *v = &w->checks->views[k][i];
            memcpy(v->former_us[s->index], v->down_us[s->index], sizeof v->former_us[0]);
            memset(v->down_us[s->index], 0, sizeof v->down_us[0]);
        }
    }
}

void check_coordinated(struct world *w, int group, const struct node *promoted, bool by_server)
{
    struct checked_group *c = &w->checks->groups[group];
    bool coordinated = by_server || c->coordinated_by >= 0;
    c->coordinated_by = -1;
    if (!coordinated || promoted->master < 0 || !fault_none_since(w, w->now_us - SECONDS(10)))
        return;
    const struct group *g = &w->groups[group];
    const struct node *old = &w->nodes[promoted->master];
    size_t lost = 0;
    for (size_t i = 0; i < g->nwrites; i++)
        lost += g->writes[i].node == old->index && holds_write(old, i) && !holds_write(promoted, i);
    if (lost > 0)
        violated(w, "coordinated", "%s is switched over without need, and %zu acknowledged writes of %s are not on %s",
                 g->name, lost, end_name(w, end_of_node(old->index)), end_name(w, end_of_node(promoted->index)));
}
