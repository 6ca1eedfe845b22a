#include "tests/fleet/seed.h"

#include <stdio.h>
#include <string.h>

#include "tests/fleet/world.h"

#define LOOK MS(100)
#define STAYS_AGREED SECONDS(1)

static bool run_for(struct world *w, int64_t us)
{
    return world_run(w, w->time.now_us + us);
}

static bool some_shard_lost(struct world *w)
{
    for (int k = 0; k < w->plan.shards; k++)
        if (shard_is_lost(w, k))
            return true;
    return false;
}

static bool until(struct world *w, const char *rule, const char *(*missing)(struct world *), int64_t within_us,
                  int64_t stays_us, const char *after)
{
    int64_t begun = w->time.now_us, bound = begun + within_us, since = -1;
    while (since < 0 || w->time.now_us - since < stays_us) {
        if (!run_for(w, LOOK))
            return false;
        const char *why = missing(w);
        if (why == NULL) {
            since = since >= 0 ? since : w->time.now_us;
            continue;
        }
        since = -1;
        if (w->time.now_us > begun + SECONDS(8) && some_shard_lost(w)) {
            w->counts[COUNT_SHARDS_LOST]++;
            w->given_up = true;
            return false;
        }
        if (w->time.now_us > bound) {
            violated(w, rule, "%d s after %s: %s", (int)(within_us / SECONDS(1)), after, why);
            return false;
        }
    }
    return true;
}

static const char *not_attached(struct world *w)
{
    for (int i = w->plan.shards; i < w->nnodes; i++)
        if (cl_is_master(w->nodes[i].core) || w->nodes[i].data.repl != REPL_UP)
            return "a replica has no data";
    return NULL;
}

static bool form(struct world *w)
{
    int64_t within = SECONDS(20) + MS(w->plan.node_timeout_ms) * 4;
    operator_form(w);
    if (!until(w, "start", not_acquainted, within, 0, "all were met, with nothing wrong"))
        return false;
    operator_attach(w);
    return until(w, "start", not_attached, within, 0, "all were attached, with nothing wrong");
}

/* How long anything may take once all is well: connections, a ballot or a few, a synchronisation, the bus. */
static int64_t bound(const struct world *w)
{
    if (!w->plan.modelled)
        return SECONDS(60) + MS(w->plan.failover_timeout_ms) * 4;
    return SECONDS(12) + MS(w->plan.node_timeout_ms) * 6 + MS(w->plan.down_after_ms) * 20 + MS(w->plan.sync_ms);
}

/* Three supervisors that start on a running cluster: it is theirs soon, and no write is refused meanwhile. */
static bool adopt(struct world *w)
{
    uint64_t fenced = w->counts[COUNT_WRITES_FENCED];
    for (int i = 0; i < w->plan.supers; i++)
        super_start(w, &w->supers[i]);
    int64_t within = w->plan.modelled ? SECONDS(3) + MS(w->plan.down_after_ms) * 4 : SECONDS(30);
    if (!until(w, "adopt", not_supervised, within, MS(300), "supervisors started"))
        return false;
    if (w->counts[COUNT_WRITES_FENCED] != fenced)
        violated(w, "adopt", "a write was refused while the fleet was adopted");
    return w->violation == NULL;
}

/* With all well again one more master dies and does not come back: the others must do without it. */
static bool last_death(struct world *w)
{
    struct node *m = some_master(w, -1);
    if (m == NULL)
        return true;
    m->gone = true;
    w->counts[COUNT_KILL]++;
    node_crash(w, m, rng_below(&w->rng, 2) == 0);
    return until(w, "S7", not_supervised, bound(w), STAYS_AGREED, "a last master died for good");
}

/* An operator gives the cluster up and takes it on again: no write is refused for that. */
static bool release(struct world *w)
{
    uint64_t fenced = w->counts[COUNT_WRITES_FENCED];
    /* Unsupervised nodes believe a word that a master has failed, however long the network had it. */
    if (!run_for(w, MS(w->plan.down_after_ms) * 2))
        return false;
    joint_release(w);
    if (!until(w, "release", not_released, SECONDS(60), MS(300), "an operator released the cluster"))
        return false;
    joint_adopt(w);
    if (!until(w, "S7", not_supervised, bound(w), STAYS_AGREED, "an operator adopted the cluster"))
        return false;
    swap_once(w);
    if (!until(w, "S7", not_supervised, bound(w), 0, "an operator wants a swap in the adopted cluster"))
        return false;
    w->released = false;
    if (w->counts[COUNT_WRITES_FENCED] != fenced)
        violated(w, "release", "a write was refused while the cluster was released and adopted");
    return w->violation == NULL;
}

static void live(struct world *w)
{
    if (!form(w))
        return;
    client_start(w);
    if (!run_for(w, MS(200)) || !adopt(w))
        return;
    w->settled = w->plan.leased; /* without leases two may write, and the nodes raise epochs themselves */
    operator_start(w);
    fault_begin(w);
    swap_begin(w);
    moving_begin(w);
    if (!run_for(w, w->plan.faults_us))
        return;
    fault_heal(w);
    if (!until(w, "S7", not_supervised, bound(w), STAYS_AGREED, "all faults ended"))
        return;
    moving_once(w);
    if (!until(w, "S7", not_supervised, bound(w), 0, "an operator wants a slot moved, with nothing wrong"))
        return;
    if (w->plan.release && !release(w))
        return;
    if (w->plan.keep_dead)
        last_death(w);
}

/* Nothing that was acknowledged is gone unless somebody was promoted, or emptied, behind it. */
static void account(struct world *w)
{
    for (int k = 0; k < w->plan.shards && w->violation == NULL; k++) {
        const struct shard *s = &w->shards[k];
        const struct node *m = some_master(w, k);
        if (m == NULL || m->index != s->writer)
            continue;
        for (size_t i = 0; i < s->nwrites; i++)
            if (s->lost_us < s->writes[i].at_us && !client_has(w, k, i)) {
                violated(w, "lost", "the write to slot %d that %s acknowledged at %.6f is gone, and nothing lost it",
                         s->slot, end_name(end_of_node(s->writes[i].node)), (double)s->writes[i].at_us / 1e6);
                break;
            }
        w->counts[COUNT_WRITES_LOST] += client_lost(w, k);
    }
    moving_account(w);
}

static void describe(const struct world *w)
{
    const struct plan *p = &w->plan;
    printf(
        "seed %llu: %d supervisors (%s), %d shards of 1 + %d; down-after %lld ms, lease %lld ms, node timeout %lld ms, "
        "network %lld us, timers late by %lld us\n",
        (unsigned long long)p->seed, p->supers,
        p->modelled   ? "modelled"
        : p->leased   ? "leased"
        : p->declared ? "declared"
                      : "discovered",
        p->shards, p->replicas, (long long)p->down_after_ms, (long long)p->lease_ms, (long long)p->node_timeout_ms,
        (long long)p->delay_us, (long long)p->lateness_us);
}

static void count_network(struct world *w)
{
    w->counts[COUNT_DELAYED] += w->net.delayed;
    w->counts[COUNT_LOST] += w->net.lost;
    w->counts[COUNT_DOUBLED] += w->net.doubled;
    w->counts[COUNT_RESET] += w->net.resets;
    w->counts[COUNT_REORDERED] += w->net.reordered;
    w->counts[COUNT_LATE] += w->net.late;
    w->counts[COUNT_VIRTUAL_S] += (uint64_t)(w->time.now_us / SECONDS(1));
}

void seed_run(uint64_t seed, enum recording recording, struct outcome *out)
{
    struct plan plan;
    plan_draw(&plan, seed);
    struct world *w = world_new(&plan, recording);
    if (recording == RECORD_AT_ONCE)
        describe(w);
    live(w);
    if (w->violation == NULL && !w->given_up)
        account(w);
    count_network(w);
    *out = (struct outcome){.held = w->violation == NULL, .hash = w->hash};
    memcpy(out->counts, w->counts, sizeof w->counts);
    memcpy(out->rule, w->rule, sizeof out->rule);
    snprintf(out->broken, sizeof out->broken, "%s", w->violation != NULL ? w->violation : "");
    if (recording != RECORD_NOTHING) {
        if (recording == RECORD_LAST_LINES)
            describe(w);
        lines_print(w->lines);
        if (w->violation != NULL)
            printf("%s: %s\n", w->rule, w->violation);
    }
    world_free(w);
}
