/* The account that the core gives of its decisions: what was known when one was made. Nothing is decided here, and
 * nothing is made in quiet times. replay.c feeds a STAND note and what followed it through the core again, so what it
 * reads is written down to the microsecond. */
#include "sentineld/core/fleet_inner.h"
#include "sentineld/core/select.h"

static struct sn_note *tell(struct sn_group *g, enum sn_note_kind kind, uint64_t epoch)
{
    struct sn_effect *e = sn_emit(g->core, SN_FX_NOTE);
    e->group = mem_strdup(g->name);
    e->note = sn_note_new(kind, epoch);
    return e->note;
}

/* What is told of a configuration goes by its ballot, as all that led to it, where that is known here. */
static struct sn_note *tell_config(struct sn_group *g, enum sn_note_kind kind, uint64_t ballot, uint64_t config_epoch)
{
    struct sn_note *n = tell(g, kind, ballot ? ballot : config_epoch);
    sn_note_int(n, "ballot", (int64_t)ballot);
    sn_note_int(n, "config_epoch", (int64_t)config_epoch);
    return n;
}

static int64_t age(const struct sn_group *g, int64_t at_us)
{
    return at_us ? g->core->now_us - at_us : -1;
}

static int64_t between_ms(int64_t from_us, int64_t to_us)
{
    return from_us && to_us ? (to_us - from_us) / 1000 : -1;
}

static void put_addr(struct sn_note *n, const char *name, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    sn_note_text(n, name, addr_is_set(a) ? addr_text(a, text) : "");
}

static void put_node(struct sn_note *n, const char *name, const struct sn_node *node)
{
    struct addr a = sn_shown_addr(node->core, node);
    put_addr(n, name, &a);
}

static const char *sdown_name(enum sn_sdown w)
{
    static const char *const names[] = {[SN_SDOWN_SILENT] = "silent",
                                        [SN_SDOWN_ROLE] = "role",
                                        [SN_SDOWN_REBOOT] = "reboot",
                                        [SN_SDOWN_REBORN_EMPTY] = "reborn-empty",
                                        [SN_SDOWN_STRANGER] = "stranger"};
    return names[w];
}

static const char *role_name(enum sn_role r)
{
    return r == SN_ROLE_MASTER ? "master" : r == SN_ROLE_REPLICA ? "replica" : "unknown";
}

static const char *conn_name(const struct sn_conn *c)
{
    return c->state == SN_CONN_UP           ? "connected"
           : c->state == SN_CONN_CONNECTING ? "connecting"
                                            : sn_down_why_name(c->why);
}

/* Why a server is held for down, and what else is known of it. */
static void put_evidence(struct sn_note *n, const struct sn_inst *i)
{
    const struct sn_group *g = i->group;
    const struct sn_node *node = i->node;
    put_node(n, "address", node);
    sn_note_bool(n, "down", i->s_down);
    sn_note_text(n, "reason", i->s_down ? sdown_name(i->s_down_why) : "");
    sn_note_int(n, "down_us", i->s_down ? age(g, i->s_down_us) : -1);
    sn_note_int(n, "since_us", i->s_down ? age(g, i->s_down_base_us) : -1);
    if (i->s_down && i->s_down_why_us != i->s_down_us) /* it began for another reason, which is over */
        sn_note_int(n, "reason_us", age(g, i->s_down_why_us));
    if (i->s_down && i->s_down_after_ms != g->set.down_after_ms) /* was changed since */
        sn_note_int(n, "down_after_then_ms", i->s_down_after_ms);
    sn_note_int(n, "silent_us", age(g, node->probe.silent_us));
    sn_note_int(n, "valid_answer_us", age(g, node->probe.valid_us));
    sn_note_text(n, "connection", conn_name(&node->cmd));
    sn_note_int(n, "connection_us", age(g, node->cmd.since_us));
    sn_note_text(n, "role", role_name(node->info_us ? node->info.role : SN_ROLE_UNKNOWN));
    sn_note_int(n, "role_us", age(g, node->role_us));
    sn_note_int(n, "info_us", age(g, node->info_us));
    sn_note_int(n, "offset", node->info.repl_offset);
    sn_note_text(n, "run_id", node->info.run_id);
}

static void put_limits(struct sn_note *n, const struct sn_group *g)
{
    sn_note_int(n, "quorum", g->set.quorum);
    sn_note_int(n, "voters", sn_voters(g));
    sn_note_int(n, "votes_needed", sn_votes_needed(g));
    sn_note_int(n, "down_after_ms", g->set.down_after_ms);
    sn_note_int(n, "failover_timeout_ms", g->set.failover_timeout_ms);
    sn_note_int(n, "reboot_down_after_ms", g->set.master_reboot_down_after_ms);
    sn_note_int(n, "info_period_ms", g->core->params.info_period_ms);
    sn_note_int(n, "ask_period_ms", g->core->params.ask_period_ms);
    sn_note_int(n, "election_timeout_ms", g->core->params.election_timeout_ms);
}

/* One row for each supervisor: what it holds of the master, and how it voted. We are the first one. */
static void put_supervisors(struct sn_note *n, const struct sn_group *g)
{
    const struct sn_core *c = g->core;
    sn_note_list(n, "supervisors");
    sn_note_row(n);
    sn_note_text(n, "id", c->id);
    sn_note_text(n, "address", "");
    sn_note_bool(n, "self", true);
    sn_note_bool(n, "down", g->master->s_down);
    sn_note_int(n, "opinion_us", g->master->s_down ? age(g, g->master->s_down_us) : -1);
    sn_note_text(n, "vote", g->vote_leader);
    sn_note_int(n, "vote_epoch", (int64_t)g->vote_epoch);
    sn_note_bool(n, "vote_on_disk", g->vote_seq <= c->persisted);
    for (size_t k = 0; k < g->nseats; k++) {
        const struct sn_seat *s = g->seats[k];
        const struct sn_peer *p = s->peer;
        sn_note_row(n);
        sn_note_text(n, "id", p->id);
        put_addr(n, "address", &p->addr);
        sn_note_bool(n, "stock", p->kind == SN_PEER_STOCK);
        sn_note_bool(n, "linked", p->cmd.state == SN_CONN_UP && !p->cmd.auth_failed);
        sn_note_bool(n, "silent", s->s_down);
        sn_note_bool(n, "down", s->down);
        sn_note_int(n, "opinion_us", age(g, s->down_us));
        sn_note_text(n, "vote", s->vote_leader);
        sn_note_int(n, "vote_epoch", (int64_t)s->vote_epoch);
        sn_note_int(n, "refused_epoch", (int64_t)s->refused_epoch);
    }
    sn_note_end(n);
}

static void put_candidate(struct sn_note *n, const struct sn_candidate *v)
{
    const struct sn_inst *i = v->inst;
    const struct sn_group *g = i->group;
    const struct sn_info *info = &i->node->info;
    sn_note_row(n);
    put_node(n, "address", i->node);
    sn_note_text(n, "run_id", info->run_id);
    sn_note_text(n, "verdict", sn_reject_name(v->reject));
    sn_note_bool(n, "impaired", v->impaired);
    sn_note_bool(n, "related", v->related);
    sn_note_int(n, "priority", info->priority);
    sn_note_int(n, "offset", v->offset);
    sn_note_text(n, "replid", info->replid);
    sn_note_text(n, "replid2", info->replid2);
    sn_note_int(n, "second_offset", info->second_offset);
    sn_note_int(n, "own_offset", info->repl_offset);
    sn_note_text(n, "role", role_name(info->role));
    sn_note_bool(n, "link_up", info->master_link_up);
    sn_note_int(n, "link_down_ms", info->master_link_down_ms);
    sn_note_bool(n, "guarded", *info->guarded);
    sn_note_bool(n, "loading", info->loading || info->async_loading);
    sn_note_bool(n, "syncing", info->syncing);
    sn_note_int(n, "keys", info->keys_known ? info->keys : -1);
    sn_note_bool(n, "down", i->s_down);
    sn_note_bool(n, "linked", i->node->cmd.state == SN_CONN_UP);
    sn_note_bool(n, "login_refused", i->node->cmd.auth_failed);
    sn_note_int(n, "valid_answer_us", age(g, i->node->probe.valid_us));
    sn_note_int(n, "info_us", age(g, i->node->info_us));
    sn_note_int(n, "refused_us", age(g, i->refused_us));
    sn_note_bool(n, "state_unknown", i->node->told && !i->node->told->state_known);
}

static uint64_t put_ranking(struct sn_note *n, const struct sn_group *g, const struct addr *wanted)
{
    size_t count;
    uint64_t verdicts = 0;
    struct sn_candidate *v = sn_rank(g, wanted, &count);
    sn_note_list(n, "ranking");
    for (size_t k = 0; k < count; k++) {
        put_candidate(n, &v[k]);
        verdicts = verdicts * 31 + (uint64_t)v[k].reject + 1;
    }
    sn_note_end(n);
    free(v);
    return verdicts;
}

void sn_account_sdown(struct sn_inst *i)
{
    struct sn_note *n = tell(i->group, SN_NOTE_SDOWN, 0);
    sn_note_text(n, "server", sn_is_master(i) ? "master" : "replica");
    put_evidence(n, i);
    sn_note_int(n, "down_after_ms", i->group->set.down_after_ms);
}

void sn_account_odown(struct sn_group *g)
{
    struct sn_note *n = tell(g, SN_NOTE_ODOWN, 0);
    put_node(n, "master", g->master->node);
    sn_note_int(n, "quorum", g->set.quorum);
    sn_note_int(n, "since_sdown_us", age(g, g->master->s_down_us));
    put_supervisors(n, g);
}

static uint64_t verdicts_of(const struct sn_group *g)
{
    size_t count;
    uint64_t verdicts = 0;
    struct sn_candidate *v = sn_rank(g, NULL, &count);
    for (size_t k = 0; k < count; k++)
        verdicts = verdicts * 31 + (uint64_t)v[k].reject + 1;
    free(v);
    return verdicts;
}

void sn_account_waiting(struct sn_group *g, enum sn_waiting why, int64_t until_us)
{
    static const char *const names[] = {
        [SN_WAITING_NOTHING] = "nothing",
        [SN_WAITING_QUORUM] = "too few supervisors hold the master for down",
        [SN_WAITING_HEARD] = "this supervisor has not heard enough epochs to vote",
        [SN_WAITING_MEET] = "this group is new here, and other supervisors of it may not be known yet",
        [SN_WAITING_DISK] = "the state directory cannot be written",
        [SN_WAITING_TILT] = "this supervisor did not run for a while",
        [SN_WAITING_VOTE] = "another ballot may still lead to a promotion",
        [SN_WAITING_ATTEMPT] = "the last attempt failed, the next one comes later",
        [SN_WAITING_OFFSETS] = "the replicas are asked for their offsets",
        [SN_WAITING_REPLICA] = "no replica is suitable",
        [SN_WAITING_OPERATOR] = ("the replicas that are left may not know what their master has promised last; "
                                 "SENTINEL FAILOVER <name> (nodectl "
                                 "failover <name>) promotes the best of them by force"),
        [SN_WAITING_RANK] = "other supervisors stand first",
        [SN_WAITING_SWAPDB] = "a swap of databases over the cluster is ended first",
        [SN_WAITING_LIST] = "the nodes count another list of supervisors than this supervisor's",
        [SN_WAITING_PAUSED] = "automatic failovers are paused by an operator",
    };
    uint64_t key = (uint64_t)why;
    bool ranked = why == SN_WAITING_REPLICA || why == SN_WAITING_OPERATOR;
    if (ranked)
        key |= verdicts_of(g) << 8;
    if (g->waiting_told == key)
        return;
    g->waiting_told = key;
    struct sn_note *n = tell(g, SN_NOTE_WAITING, 0);
    sn_note_text(n, "why", names[why]);
    put_node(n, "master", g->master->node);
    sn_note_int(n, "for_us", until_us ? until_us - g->core->now_us : -1);
    if (why == SN_WAITING_VOTE) {
        sn_note_text(n, "vote", g->vote_leader);
        sn_note_int(n, "vote_epoch", (int64_t)g->vote_epoch);
    }
    const struct sn_pause *pause = why == SN_WAITING_PAUSED ? sn_pause_of(g) : NULL;
    if (pause) {
        sn_note_text(n, "paused_by", pause->owner);
        sn_note_text(n, "paused_for", pause->reason);
        sn_note_int(n, "paused_until_ms", pause->until_ms);
    }
    if (why == SN_WAITING_ATTEMPT)
        sn_note_int(n, "lost_rounds", g->lost_rounds);
    if (why == SN_WAITING_QUORUM || why == SN_WAITING_HEARD || why == SN_WAITING_MEET)
        put_supervisors(n, g);
    if (why == SN_WAITING_QUORUM)
        sn_note_int(n, "quorum", g->set.quorum);
    if (ranked)
        put_ranking(n, g, NULL);
}

void sn_account_stand(struct sn_group *g)
{
    struct sn_note *n = tell(g, SN_NOTE_STAND, g->fo.epoch);
    g->waiting_told = SN_WAITING_NOTHING;
    sn_note_text(n, "by", g->core->id);
    put_node(n, "candidate", g->fo.candidate->node);
    sn_note_bool(n, "forced", g->fo.forced);
    put_addr(n, "wanted", &g->fo.wanted);
    sn_note_bool(n, "coordinated", g->fo.coordinated);
    sn_note_bool(n, "inherited", g->fo.inherited);
    sn_note_bool(n, "alone", g->fo.unopposed);
    sn_note_int(n, "lost_rounds", g->lost_rounds);
    sn_note_bool(n, "odown", g->o_down);
    sn_note_int(n, "odown_us", g->o_down ? age(g, g->o_down_us) : -1);
    sn_note_text(n, "lineage", g->lineage);
    put_limits(n, g);
    sn_note_object(n, "master");
    put_evidence(n, g->master);
    sn_note_end(n);
    put_supervisors(n, g);
    put_ranking(n, g, &g->fo.wanted);
}

void sn_account_vote(struct sn_group *g, const char *from, const struct sn_ballot *b, const char *refused)
{
    /* A question that is repeated is told of once. A vote that was given already is no refusal. */
    bool again = g->vote_told_epoch == b->epoch && runid_cmp(g->vote_told_to, from) == 0;
    bool given = refused && g->vote_epoch == b->epoch && runid_cmp(g->vote_leader, from) == 0;
    if (again || given)
        return;
    g->vote_told_epoch = b->epoch;
    memcpy(g->vote_told_to, from, sizeof g->vote_told_to);
    struct sn_note *n = tell(g, SN_NOTE_VOTE, b->epoch);
    sn_note_text(n, "for", from);
    sn_note_bool(n, "granted", !refused);
    sn_note_text(n, "why", refused ? refused : "");
    put_addr(n, "candidate", &b->candidate);
    put_node(n, "master", g->master->node);
    sn_note_bool(n, "down_here", g->master->s_down);
    sn_note_text(n, "last_vote", g->vote_leader);
    sn_note_int(n, "last_vote_epoch", (int64_t)g->vote_epoch);
    sn_note_int(n, "config_epoch", (int64_t)g->config_epoch);
}

void sn_account_ballot(struct sn_group *g, enum sn_note_kind kind, const char *why)
{
    struct sn_note *n = tell(g, kind, g->fo.epoch);
    sn_note_text(n, "by", g->core->id);
    put_node(n, "candidate", g->fo.candidate->node);
    sn_note_text(n, "why", why);
    sn_note_bool(n, "alone", g->fo.unopposed);
    sn_note_bool(n, "own_vote", g->fo.own_vote);
    sn_note_bool(n, "odown", g->o_down);
    sn_note_int(n, "took_us", age(g, g->fo.start_us));
    sn_note_int(n, "quorum", g->set.quorum); /* an operator may have changed it since the ballot began */
    sn_note_int(n, "votes_needed", sn_votes_needed(g));
    put_supervisors(n, g);
}

void sn_account_promoted(struct sn_group *g)
{
    struct sn_note *n = tell(g, SN_NOTE_PROMOTED, g->fo.epoch);
    put_node(n, "candidate", g->fo.candidate->node);
    put_addr(n, "from", &g->fo.from);
    sn_note_int(n, "took_us", age(g, g->fo.at.sent_us));
    sn_note_int(n, "offset", g->fo.candidate->node->info.repl_offset);
}

void sn_account_switched(struct sn_group *g)
{
    const struct sn_failover *fo = &g->fo;
    bool ours = fo->state == SN_FO_RECONF_SLAVES;
    struct sn_note *n = tell_config(g, SN_NOTE_SWITCHED, g->config_ballot, g->config_epoch);
    int64_t now = g->core->now_us;
    put_addr(n, "from", &g->announce_from);
    put_node(n, "to", g->master->node);
    if (!ours)
        return; /* the attempt is over already: it could not wait for a disk that failed */
    int64_t first = fo->at.silent_us ? fo->at.silent_us : fo->start_us;
    sn_note_bool(n, "forced", fo->forced);
    sn_note_bool(n, "coordinated", fo->coordinated);
    sn_note_bool(n, "inherited", fo->inherited);
    sn_note_int(n, "detect_ms", between_ms(fo->at.silent_us, fo->at.s_down_us));
    sn_note_int(n, "agree_ms", between_ms(fo->at.s_down_us, fo->at.o_down_us));
    sn_note_int(n, "stand_ms", between_ms(fo->at.o_down_us, fo->start_us));
    sn_note_int(n, "elect_ms", between_ms(fo->start_us, fo->at.elected_us));
    sn_note_int(n, "prepare_ms", between_ms(fo->at.elected_us, fo->at.sent_us));
    sn_note_int(n, "promote_ms", between_ms(fo->at.sent_us, fo->at.promoted_us));
    sn_note_int(n, "tell_ms", between_ms(fo->at.promoted_us, now));
    sn_note_int(n, "total_ms", (now - first) / 1000);
}

void sn_account_converged(struct sn_group *g, bool timeout)
{
    struct sn_note *n = tell_config(g, SN_NOTE_CONVERGED, g->fo.epoch, g->config_epoch);
    put_node(n, "master", g->master->node);
    sn_note_bool(n, "timeout", timeout);
    sn_note_int(n, "took_ms", (g->core->now_us - g->fo.state_us) / 1000);
    sn_note_list(n, "replicas");
    for (size_t k = 0; k < g->ninsts; k++) {
        const struct sn_inst *i = g->insts[k];
        if (sn_is_master(i))
            continue;
        bool done = i->reconf == SN_RECONF_DONE;
        sn_note_row(n);
        put_node(n, "address", i->node);
        sn_note_bool(n, "follows", done && sn_follows(i, g->master->node));
        sn_note_bool(n, "down", i->s_down);
        sn_note_int(n, "took_ms", done ? (i->reconf_us - g->fo.state_us) / 1000 : -1);
    }
    sn_note_end(n);
}

#define AGREED_ROWS 64

/* Of a large cluster the shard's own nodes are listed, and who has not agreed: hundreds of shards that failed together
 * would tell of thousands of nodes each. */
static bool is_listed(const struct sn_shard *s, const struct sn_member *m)
{
    bool own = m->inst && m->inst->group == s->group;
    return m->node &&
           (s->fleet->nmembers <= AGREED_ROWS || own || (sn_member_speaks(m) && m->agreed_us <= s->switched_us));
}

void sn_account_agreed(struct sn_shard *s, bool timeout)
{
    struct sn_group *g = s->group;
    const struct sn_fleet *f = s->fleet;
    struct sn_note *n = tell_config(g, SN_NOTE_AGREED, g->config_ballot, g->config_epoch);
    put_node(n, "master", g->master->node);
    sn_note_bool(n, "timeout", timeout);
    sn_note_int(n, "took_ms", (g->core->now_us - s->switched_us) / 1000);
    sn_note_list(n, "nodes");
    for (size_t k = 0, rows = 0; k < f->nmembers && rows < AGREED_ROWS; k++) {
        const struct sn_member *m = f->members[k];
        if (!is_listed(s, m))
            continue;
        rows++;
        bool agrees = m->agreed_us > s->switched_us;
        sn_note_row(n);
        put_node(n, "address", m->node);
        sn_note_text(n, "id", m->id);
        sn_note_bool(n, "live", sn_member_speaks(m));
        sn_note_bool(n, "agrees", agrees);
        sn_note_int(n, "took_ms", agrees ? (m->agreed_us - s->switched_us) / 1000 : -1);
    }
    sn_note_end(n);
}

void sn_account_aborted(struct sn_group *g, const char *why)
{
    struct sn_note *n = tell(g, SN_NOTE_ABORTED, g->fo.epoch);
    sn_note_text(n, "why", why);
    sn_note_text(n, "state", sn_fo_state_name(g->fo.state));
    put_node(n, "master", g->master->node);
    if (g->fo.candidate)
        put_node(n, "candidate", g->fo.candidate->node);
    sn_note_bool(n, "promotion_sent", g->fo.sent);
    sn_note_bool(n, "coordinated", g->fo.coordinated);
    sn_note_int(n, "took_us", age(g, g->fo.start_us));
}

void sn_account_no_replica(struct sn_group *g, const struct addr *wanted)
{
    struct sn_note *n = tell(g, SN_NOTE_ABORTED, 0);
    sn_note_text(n, "why", "no-good-slave");
    sn_note_text(n, "state", sn_fo_state_name(g->fo.state));
    put_node(n, "master", g->master->node);
    sn_note_bool(n, "forced", true);
    put_addr(n, "wanted", wanted);
    put_ranking(n, g, wanted);
}

void sn_account_config(struct sn_group *g, const struct sn_inst *master, const char *from, uint64_t epoch,
                       const struct addr *before, const struct addr *now)
{
    struct sn_note *n = tell_config(g, SN_NOTE_CONFIG, sn_group_ballot(g, master, epoch), epoch);
    sn_note_text(n, "by", from);
    put_addr(n, "from", before);
    put_addr(n, "to", now);
    sn_note_int(n, "epoch_before", (int64_t)g->config_epoch);
}
