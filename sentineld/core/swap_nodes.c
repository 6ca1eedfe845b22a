/* What masters are told of a swap of databases, and what they say: PREPARE to all that there are when it begins; then
 * each is brought to what was decided, however often that takes (SAFETY W2, W4, W5). Whatever a master tells of
 * itself it tells in its answers to LEASE, so a supervisor that comes later sees what is missing. */
#include "sentineld/core/plant.h"
#include "sentineld/core/swap_inner.h"

#include "common/base/text.h"

#include <inttypes.h>
#include <stdio.h>

#define AGAIN MS(200) /* a master that does not come to what was decided is told again */

static struct sn_node *master_of(const struct sn_shard *s)
{
    return s->group->master->node;
}

/* It was heard, is who we take it for, and takes itself for a master. */
static bool speaks(const struct sn_shard *s)
{
    const struct sn_inst *i = s->group->master;
    const struct sn_lease_told *t = i->node->told;
    return t && i->member && runid_cmp(t->node, i->member->id) == 0 && t->role == SN_ROLE_MASTER &&
           i->node->cmd.state == SN_CONN_UP;
}

uint64_t sn_swap_version(const struct sn_fleet *f)
{
    return f->nshards && speaks(f->shards[0]) ? master_of(f->shards[0])->told->mapping_epoch : 0;
}

/* A shard that we know nothing of (our memory was lost while it was down) would miss what is decided without it. */
static bool is_whole(const struct sn_fleet *f)
{
    unsigned assigned;
    sn_fleet_covered(f, &assigned);
    return assigned == SN_SLOTS;
}

/* Why its shard does not speak for itself now; NULL: it does. */
static const char *is_silent(const struct sn_shard *s)
{
    const struct sn_node *n = master_of(s);
    const struct sn_lease_told *t = n->told;
    if (s->group->master->s_down)
        return "is down";
    if (n->lease_refused)
        return "is a stock node, which knows database 0 only";
    if (n->cmd.state != SN_CONN_UP)
        return "has broken its connection";
    if (t && t->role != SN_ROLE_MASTER)
        return "says that it is a replica";
    return speaks(s) ? NULL : "has not told yet who it is";
}

/* It would take what is in another database for its own (SAFETY, section 7). */
static bool has_stock_replica(const struct sn_shard *s)
{
    const struct sn_group *g = s->group;
    for (size_t k = 0; k < g->ninsts; k++)
        if (!sn_is_master(g->insts[k]) && g->insts[k]->member && g->insts[k]->node->lease_refused)
            return true;
    return false;
}

static const char *hinders(const struct sn_fleet *f, const struct sn_shard *s)
{
    uint64_t decided = sn_swap_mapping(&f->swap.has.entry).version, version = sn_swap_version(f);
    const struct sn_lease_told *t = master_of(s)->told;
    const char *silent = is_silent(s);
    if (silent)
        return silent;
    if (!t->generation)
        return "is not under the leases of its supervisors";
    if (t->lease_ms == 0) /* who came before it may write still */
        return "has no lease";
    if (t->migrating)
        return "has slots on their way";
    if (has_stock_replica(s))
        return "has a stock node for a replica, which knows database 0 only";
    if (t->swap_prepared)
        return "waits for the end of another swap (nodectl doctor names it, and what ends it)";
    return t->mapping_epoch != version || version < decided ? "has not come to the present mapping yet" : NULL;
}

static const char *of_master(const struct sn_shard *s, const char *what, char out[SN_SWAP_WHY])
{
    const struct addr *a = &master_of(s)->addr;
    snprintf(out, SN_SWAP_WHY, "master %.60s:%d %s", a->host, a->port, what);
    return out;
}

const char *sn_swap_hindered(const struct sn_fleet *f, char out[SN_SWAP_WHY])
{
    if (!f->nshards)
        return "no shard of the cluster is known";
    if (sn_swap_masters_change(f))
        return "a failover is under way";
    for (size_t k = 0; k < f->nshards; k++) {
        const char *what = hinders(f, f->shards[k]);
        if (what)
            return of_master(f->shards[k], what, out);
    }
    return is_whole(f) ? NULL : "the cluster has slots of which no master is known";
}

/* ---- words ---- */

static struct sn_effect *order(struct sn_node *n, enum sn_command command, size_t words)
{
    struct sn_effect *e = sn_send(n->core, &n->cmd, command);
    e->argv = mem_zalloc((words + 1) * sizeof *e->argv);
    n->pending++;
    n->swap_sent_us = n->core->now_us;
    return e;
}

static char *number(uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, v);
    return mem_strdup(text);
}

static size_t put_step(char **argv, const char *verb, const struct sn_swap_step *s)
{
    argv[0] = mem_strdup(verb);
    argv[1] = number((uint64_t)s->a);
    argv[2] = number((uint64_t)s->b);
    argv[3] = mem_strdup("EPOCH");
    argv[4] = number(s->version);
    argv[5] = mem_strdup("BALLOT");
    argv[6] = number(s->begun);
    return 7;
}

static void say_prepare(struct sn_node *n, const struct sn_swap_entry *e)
{
    bool asker = *e->asker && runid_cmp(e->asker, n->told->node) == 0;
    char **argv = order(n, SN_CMD_DBMAP_PREPARE, 9)->argv;
    size_t k = put_step(argv, "PREPARE", &e->step);
    if (asker) {
        argv[k++] = mem_strdup("REQUEST");
        argv[k] = number(e->request);
    }
}

static void say_apply(struct sn_node *n, const struct sn_swap_step *s)
{
    put_step(order(n, SN_CMD_DBMAP_APPLY, 7)->argv, "APPLY", s);
}

static void say_abort(struct sn_node *n, uint64_t version, uint64_t ballot, const char *why)
{
    char **argv = order(n, SN_CMD_DBMAP_ABORT, 7)->argv;
    argv[0] = mem_strdup("ABORT");
    argv[1] = mem_strdup("EPOCH");
    argv[2] = number(version);
    argv[3] = mem_strdup("BALLOT");
    argv[4] = number(ballot);
    argv[5] = mem_strdup("BECAUSE");
    argv[6] = mem_strdup(*why ? why : SN_SWAP_UNKNOWN);
}

static void say_done(struct sn_node *n, uint64_t version)
{
    char **argv = order(n, SN_CMD_DBMAP_DONE, 3)->argv;
    argv[0] = mem_strdup("DONE");
    argv[1] = mem_strdup("EPOCH");
    argv[2] = number(version);
}

/* ---- PREPARE ---- */

void sn_swap_prepare(struct sn_fleet *f)
{
    struct sn_swapping *s = &f->swap;
    char why[SN_SWAP_WHY];
    s->masters = mem_array(s->masters, f->nshards + 1, sizeof *s->masters);
    s->nmasters = 0;
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_shard *shard = f->shards[k];
        struct sn_swap_master *m = &s->masters[s->nmasters++];
        *m = (struct sn_swap_master){.yes = false};
        if (!speaks(shard))
            continue; /* found broken */
        memcpy(m->id, shard->group->master->member->id, sizeof m->id);
        m->config_epoch = master_of(shard)->told->config_epoch;
    }
    if (!is_whole(f))
        snprintf(s->why, sizeof s->why, "%s", "a shard of the cluster was lost from sight meanwhile");
    if (sn_swap_broken(f, why))
        return;
    for (size_t k = 0; k < f->nshards; k++)
        say_prepare(master_of(f->shards[k]), &s->lead.proposal);
}

bool sn_swap_all_said_yes(const struct sn_fleet *f)
{
    for (size_t k = 0; k < f->swap.nmasters; k++)
        if (!f->swap.masters[k].yes)
            return PLANTED(115, false, true);
    return f->swap.nmasters > 0;
}

const char *sn_swap_broken(const struct sn_fleet *f, char out[SN_SWAP_WHY])
{
    const struct sn_swapping *s = &f->swap;
    if (f->nshards != s->nmasters)
        return "the cluster has got or lost a shard meanwhile";
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_shard *shard = f->shards[k];
        const struct sn_group *g = shard->group;
        const char *silent = is_silent(shard);
        if (silent)
            return of_master(shard, silent, out);
        if (runid_cmp(g->master->member->id, s->masters[k].id) != 0 ||
            master_of(shard)->told->config_epoch != s->masters[k].config_epoch)
            return "a shard has got another master meanwhile";
        if (g->fo.state != SN_FO_NONE && g->fo.state != SN_FO_RECONF_SLAVES)
            return "a failover began meanwhile";
    }
    return *s->why ? s->why : NULL;
}

const char *sn_swap_silent(const struct sn_fleet *f, char out[SN_SWAP_WHY])
{
    for (size_t k = 0; k < f->nshards && k < f->swap.nmasters; k++)
        if (!f->swap.masters[k].yes)
            return of_master(f->shards[k], "has not answered within a second: its disk, or its process, is slow", out);
    return "the masters have not answered within a second";
}

static struct sn_swap_master *asked(struct sn_fleet *f, const struct sn_node *n)
{
    for (size_t k = 0; n->told && k < f->swap.nmasters; k++)
        if (runid_cmp(f->swap.masters[k].id, n->told->node) == 0)
            return &f->swap.masters[k];
    return NULL;
}

/* "YES <config epoch> <ballot>": of a ballot that is not ours, it is a late answer. */
static void said_yes(struct sn_fleet *f, struct sn_node *n, struct slice text)
{
    struct sn_swapping *s = &f->swap;
    struct sn_swap_master *m = asked(f, n);
    uint64_t epoch, ballot;
    slice_cut(&text, ' ');
    if (!text_u64(slice_cut(&text, ' '), &epoch) || !text_u64(text, &ballot) || ballot != s->lead.epoch || !m)
        return;
    n->told->swap_prepared = s->lead.proposal.step.version;
    n->told->swap_ballot = ballot;
    if (s->lead.phase != SN_SWAP_PREPARING)
        return; /* of what somebody else has refused: it hears why from us, and its client with it */
    if (epoch == m->config_epoch)
        m->yes = true;
    else
        snprintf(s->why, sizeof s->why, "%s", "a shard has got another config epoch meanwhile");
}

static void said_no(struct sn_fleet *f, const struct sn_node *n, struct slice text)
{
    struct sn_swapping *s = &f->swap;
    if (s->lead.phase != SN_SWAP_PREPARING || !asked(f, n) || *s->why)
        return;
    slice_cut(&text, ' ');
    snprintf(s->why, sizeof s->why, "%s:%d refuses: %.*s", n->addr.host, n->addr.port,
             (int)(text.n < 200 ? text.n : 200), text.n ? text.p : "");
}

/* ---- what was decided ---- */

static void stuck(struct sn_fleet *f, struct sn_node *n, uint64_t version)
{
    if (n->swap_stuck)
        return;
    n->swap_stuck = true;
    sn_publish_core(f->core, SN_LOG_WARNING, "-swapdb-behind",
                    "%s %s:%d has the mapping of databases of epoch %" PRIu64 ", the cluster that of %" PRIu64
                    ", and nobody knows the swaps between: it gets no lease. Give its shard data that has them",
                    f->name, n->addr.host, n->addr.port, n->told->mapping_epoch, version);
}

/* The next step of a dataset that is behind; version 0: nobody knows it any more. Where there are no keys every mapping
 * holds. */
static struct sn_swap_step next_step(const struct sn_swap_entry *e, const struct sn_lease_told *t)
{
    struct sn_swap_step mapping = sn_swap_mapping(e);
    if (mapping.begun && (t->mapping_epoch + 1 == mapping.version || !t->keys))
        return mapping;
    if (e->before.begun && t->mapping_epoch + 1 == e->before.version)
        return e->before;
    return (struct sn_swap_step){.version = 0};
}

static bool bring_forward(struct sn_fleet *f, struct sn_node *n)
{
    const struct sn_swap_entry *e = &f->swap.has.entry;
    uint64_t version = sn_swap_mapping(e).version;
    if (n->told->mapping_epoch >= version)
        return false;
    struct sn_swap_step next = next_step(e, n->told);
    if (next.version)
        say_apply(n, &next);
    else
        stuck(f, n, version);
    return true;
}

/* Promoted without that it would be a master that is never leased, and those that do have the mapping would lose it by
 * following. A stock node, which tells none, has none. */
bool sn_swap_lets_promote(const struct sn_node *n)
{
    const struct sn_swap_entry *e = &n->fleet->swap.has.entry;
    const struct sn_lease_told *t = n->told;
    return PLANTED(116,
                   t ? t->mapping_epoch >= sn_swap_mapping(e).version || next_step(e, t).version
                     : sn_swap_mapping(e).version == 0,
                   true);
}

/* It is prepared for an attempt that is over and was not committed. */
static bool is_left_over(const struct sn_fleet *f, const struct sn_lease_told *t)
{
    const struct sn_swap_entry *e = &f->swap.has.entry;
    if (!t->swap_prepared || t->swap_prepared <= sn_swap_mapping(e).version)
        return false;
    return t->swap_ballot < e->step.begun ||
           (t->swap_ballot == e->step.begun && e->decided && e->value == SN_SWAP_ABORT);
}

/* The leader acts on what it has decided at once. Others look at what the masters say of themselves behind that. */
static bool may_act(const struct sn_fleet *f, const struct sn_node *n)
{
    const struct sn_swapping *s = &f->swap;
    return s->lead_us ? s->lead.phase == SN_SWAP_IDLE : n->stamp.incarnation && n->stamp.asked_us > s->decided_us;
}

static int64_t mend(struct sn_fleet *f, struct sn_node *n)
{
    struct sn_swapping *s = &f->swap;
    const struct sn_lease_told *t = n->told;
    bool waits = t->swap_waits && t->swap_waits <= s->done, over = is_left_over(f, t);
    bool behind = t->mapping_epoch < sn_swap_mapping(&s->has.entry).version;
    int64_t now = f->core->now_us, at = n->swap_sent_us ? n->swap_sent_us + AGAIN : now;
    if (!waits && !over && !behind)
        return HEAP_NEVER;
    if (now < at)
        return at;
    if (waits)
        say_done(n, s->done);
    else if (!bring_forward(f, n))
        say_abort(n, t->swap_prepared, t->swap_ballot, t->swap_ballot == s->has.entry.step.begun ? s->why : "");
    return now + AGAIN;
}

/* A master without slots is no shard yet, and takes none before its mapping is that of the others (SAFETY W1, H4). */
static bool is_newcomer(const struct sn_member *m)
{
    const struct sn_lease_told *t = m->node ? m->node->told : NULL;
    return t && !m->inst && m->master && m->node->cmd.state == SN_CONN_UP && runid_cmp(t->node, m->id) == 0 &&
           t->role == SN_ROLE_MASTER && t->slots == 0 && t->keys == 0;
}

int64_t sn_swap_mend(struct sn_fleet *f)
{
    int64_t next = HEAP_NEVER;
    for (size_t k = 0; k < f->nshards; k++) {
        struct sn_node *n = master_of(f->shards[k]);
        if (speaks(f->shards[k]) && may_act(f, n))
            EARLIER(next, mend(f, n));
    }
    for (size_t k = 0; k < f->nmembers; k++)
        if (is_newcomer(f->members[k]) && may_act(f, f->members[k]->node))
            EARLIER(next, mend(f, f->members[k]->node));
    return next;
}

bool sn_swap_everywhere(const struct sn_fleet *f, uint64_t version)
{
    for (size_t k = 0; k < f->nshards; k++)
        if (!speaks(f->shards[k]) || master_of(f->shards[k])->told->mapping_epoch < version)
            return false;
    return f->nshards > 0;
}

/* ---- answers ---- */

/* "APPLIED <mapping>", "ABORTED <ballot>" */
static void said_done(struct sn_node *n, enum sn_command command, struct slice text)
{
    struct sn_lease_told *t = n->told;
    uint64_t v;
    slice_cut(&text, ' ');
    if (!t || !text_u64(text, &v))
        return;
    if (command == SN_CMD_DBMAP_APPLY && v > t->mapping_epoch) {
        t->mapping_epoch = v;
        n->swap_stuck = false;
        n->swap_sent_us = 0; /* it may have another step before it */
        if (t->swap_prepared == v && *n->fleet->swap.has.entry.asker &&
            runid_cmp(n->fleet->swap.has.entry.asker, t->node) == 0)
            t->swap_waits = v;
    }
    if (command == SN_CMD_DBMAP_APPLY ? t->swap_prepared <= v : t->swap_ballot <= v)
        t->swap_prepared = 0;
}

void sn_swap_ack(struct sn_node *n, enum sn_command command, bool ok, struct slice text)
{
    struct sn_fleet *f = n->fleet;
    if (n->pending)
        n->pending--;
    if (!f)
        return;
    if (command == SN_CMD_DBMAP_PREPARE && ok)
        said_yes(f, n, text);
    else if (command == SN_CMD_DBMAP_PREPARE)
        said_no(f, n, text);
    else if (command == SN_CMD_DBMAP_DONE && n->told)
        n->told->swap_waits = 0;
    else if (ok)
        said_done(n, command, text);
    sn_touch_fleet(f);
}

bool sn_swap_concerns(const struct sn_node *n)
{
    const struct sn_swapping *s = &n->fleet->swap;
    const struct sn_lease_told *t = n->told;
    return t->swap_prepared || t->swap_request || t->swap_waits || s->order.token || s->wish || s->telling ||
           t->mapping_epoch != sn_swap_mapping(&s->has.entry).version;
}

/* Its dataset has that swap, or lacks no other one and is shut for it: for the attempt that came to be, since a replica
 * may have slept since an earlier one to the same mapping. */
static bool stands_at(const struct sn_lease_told *t, const struct sn_swap_step *step)
{
    bool shut = t->swap_prepared == step->version && (!step->begun || t->swap_ballot == step->begun);
    return t->mapping_epoch >= step->version || (shut && t->mapping_epoch + 1 == step->version);
}

/* SAFETY W1, W5: a dataset that is behind is not written to; but one that waits for just that swap keeps both databases
 * shut, and goes on with the others. What a master said before the decision it said when all masters were prepared;
 * replicas that were away then may not have been. */
bool sn_swap_lets_lease(const struct sn_node *n)
{
    struct sn_swap_step mapping = sn_swap_mapping(&n->fleet->swap.has.entry);
    const struct sn_lease_told *t = n->told;
    bool before = t && t->role == SN_ROLE_MASTER && n->stamp.asked_us <= n->fleet->swap.decided_us;
    return PLANTED(116, !t || before || stands_at(t, &mapping), true);
}

/* A replica may have lost, or not got yet, what its master made before it prepared the next swap: then it holds the
 * wrong databases. What it said before we knew the last decision tells nothing of that. What we have accepted may be
 * decided by now. */
bool sn_swap_lets_vote(const struct sn_node *n)
{
    const struct sn_swap_entry *e = &n->fleet->swap.has.entry;
    struct sn_swap_step mapping = e->value == SN_SWAP_COMMIT ? e->step : sn_swap_mapping(e);
    const struct sn_lease_told *t = n->told;
    bool since = t && (n->stamp.asked_us > n->fleet->swap.decided_us || !mapping.version);
    return PLANTED(116, since && stands_at(t, &mapping), true);
}

/* What was said before the last attempt ended may have been that attempt's. */
const struct sn_node *sn_swap_wished(const struct sn_fleet *f)
{
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_node *n = master_of(f->shards[k]);
        if (speaks(f->shards[k]) && n->told->swap_request && n->stamp.asked_us > f->swap.decided_us)
            return n;
    }
    return NULL;
}
