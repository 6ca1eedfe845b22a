#include "tests/bus/seed.h"

#include <stdio.h>
#include <string.h>

#define LOOK MS(250)
#define STAYS_AGREED SECONDS(2)
#define BANNED SECONDS(61) /* by FORGET */

static bool run_for(struct world *w, int64_t us)
{
    return world_run(w, w->time.now_us + us);
}

static bool until(struct world *w, const char *(*missing)(struct world *), int64_t within_us, int64_t stays_us,
                  const char *after)
{
    int64_t bound = w->time.now_us + within_us, since = -1;
    while (since < 0 || w->time.now_us - since < stays_us) {
        if (!run_for(w, LOOK))
            return false;
        const char *why = missing(w);
        if (why == NULL) {
            since = since >= 0 ? since : w->time.now_us;
            continue;
        }
        since = -1;
        if (w->time.now_us > bound) {
            violated(w, "B4", "%d s after %s: %s", (int)(within_us / SECONDS(1)), after, why);
            return false;
        }
    }
    return true;
}

bool seed_agree(struct world *w, int64_t within_us, const char *after)
{
    return until(w, not_agreed, within_us, STAYS_AGREED, after);
}

/* How long anything may take: two marks of failure, two elections, and a synchronisation. */
static int64_t bound(const struct world *w)
{
    return SECONDS(15) + MS(w->plan.timeout_ms) * 12 + MS(w->plan.sync_ms);
}

bool seed_form(struct world *w, int64_t within_us)
{
    operator_form(w);
    if (!until(w, not_acquainted, within_us, MS(500), "all were met, with nothing wrong"))
        return false;
    operator_attach(w);
    return seed_agree(w, within_us, "all were attached, with nothing wrong");
}

/* What the rules do not put right, an operator does, and waits for it. */
static bool repair(struct world *w)
{
    for (int rounds = 0; rounds < 40; rounds++) {
        if (!run_for(w, MS(w->plan.timeout_ms) * 2 + SECONDS(2)))
            return false;
        if (!operator_repairs(w))
            break;
    }
    return w->violation == NULL;
}

/* With nothing wrong no link is made, and no more PINGs are sent than the reference sends: one a second to somebody,
 * and one to each whose last PONG is older than half a timeout. */
static bool quiet(struct world *w)
{
    int64_t takes = MS(w->plan.timeout_ms) * 2 + SECONDS(2);
    uint64_t connects[MAX_NODES] = {0}, pings[MAX_NODES] = {0};
    for (int i = 0; i < w->plan.nodes; i++) {
        connects[i] = w->nodes[i].connects;
        pings[i] = w->nodes[i].pings;
    }
    if (!run_for(w, takes))
        return false;
    int live = 0;
    for (int i = 0; i < w->plan.nodes; i++)
        live += w->nodes[i].core != NULL;
    for (int i = 0; i < w->plan.nodes && live == w->plan.nodes; i++) {
        const struct node *n = &w->nodes[i];
        int64_t each = 2 * takes / MS(w->plan.timeout_ms) + 2;
        int64_t most = takes / SECONDS(1) + 1 + each * (w->plan.nodes - 1);
        if (n->connects != connects[i])
            violated(w, "quiet", "%s makes links while nothing is wrong", node_name(i));
        if ((int64_t)(n->pings - pings[i]) > most)
            violated(w, "quiet", "%s sends %llu PINGs in %lld ms, and %lld are enough", node_name(i),
                     (unsigned long long)(n->pings - pings[i]), (long long)(takes / 1000), (long long)most);
    }
    return w->violation == NULL;
}

/* Supervisors find out that it is gone while a replica may still reckon with knowing all that it must. */
static bool found_in_time(const struct plan *p)
{
    int64_t factor = p->validity_factor != 0 ? p->validity_factor : 10;
    return p->lease_ms == 0 || p->lease_ms * 2 + 200 < p->timeout_ms * factor + p->repl_ping_ms;
}

static bool succeeds(struct world *w, const struct node *m)
{
    int voters = 0;
    bool heir = false;
    for (int i = 0; i < w->plan.nodes; i++) {
        const struct node *n = &w->nodes[i];
        voters += n != m && n->core != NULL && cl_is_master(n->core) && n->core->me->nslots > 0;
        heir = heir || (n->core != NULL && n->core->me->master != NULL && cl_id_eq(&n->core->me->master->id, &m->id) &&
                        n->data.repl == REPL_UP);
    }
    return heir && found_in_time(&w->plan) && voters >= (voters + 1) / 2 + 1;
}

/* With all well again one more master dies and does not come back: the others must do without it. */
static bool last_death(struct world *w)
{
    struct node *m = some_node(w, true);
    if (m == NULL || !succeeds(w, m))
        return true;
    m->gone = true;
    w->counts[COUNT_KILL]++;
    node_crash(w, m, rng_below(&w->rng, 2) == 0);
    return seed_agree(w, bound(w), "a last master died for good");
}

static void live(struct world *w)
{
    w->writing = true;
    if (w->plan.nodes >= 100)
        w->counts[COUNT_LARGE]++;
    if (!seed_form(w, SECONDS(20) + MS(w->plan.timeout_ms) * 4))
        return;
    lease_adopt(w);
    if (!until(w, lease_missing, SECONDS(5), 0, "supervisors began to grant leases"))
        return;
    fault_begin(w);
    if (!run_for(w, w->plan.faults_us))
        return;
    fault_heal(w);
    bool forgot = w->plan.fault[FAULT_FORGET];
    if (forgot && !run_for(w, BANNED))
        return;
    if (!repair(w) || !seed_agree(w, bound(w), "all faults ended") || !quiet(w))
        return;
    if (w->plan.keep_dead)
        last_death(w);
}

/* H3: whatever was acknowledged and is gone went in another way than by a migration. */
static void account(struct world *w)
{
    for (size_t i = 0; i < w->migrations.ledger.n; i++) {
        int k = w->migrations.ledger.writes[i].slot;
        if (w->migrations.ledger.excused[k] >= w->migrations.ledger.writes[i].at_us || client_has(w, i))
            continue;
        violated(w, "H3", "the write to slot %d that %s acknowledged at %.6f is gone, and nothing lost it",
                 w->migrations.ledger.watched[k], node_name(w->migrations.ledger.writes[i].node),
                 (double)w->migrations.ledger.writes[i].at_us / 1e6);
        return;
    }
}

static void describe(const struct world *w)
{
    const struct plan *p = &w->plan;
    printf("seed %llu: %d nodes, %d masters; timeout %lld ms, validity factor %lld, barrier %lld, network %lld us, "
           "timers late by %lld us%s%s\n",
           (unsigned long long)p->seed, p->nodes, p->masters, (long long)p->timeout_ms, (long long)p->validity_factor,
           (long long)p->migration_barrier, (long long)p->delay_us, (long long)p->lateness_us,
           p->full_coverage ? "" : ", serves a part", p->volatile_data ? ", without persistence" : "");
}

void seed_run(uint64_t seed, enum recording recording, struct outcome *out)
{
    struct plan plan;
    plan_draw(&plan, seed);
    struct world *w = world_new(&plan, recording);
    if (recording == RECORD_AT_ONCE)
        describe(w);
    live(w);
    if (w->violation == NULL)
        account(w);
    if (w->violation == NULL)
        w->counts[COUNT_WRITES_LOST] += client_lost(w, 0, w->time.now_us);
    w->counts[COUNT_VIRTUAL_S] += (uint64_t)(w->time.now_us / SECONDS(1));
    *out = (struct outcome){.held = w->violation == NULL, .hash = w->hash};
    memcpy(out->counts, w->counts, sizeof w->counts);
    memcpy(out->rule, w->rule, sizeof out->rule);
    snprintf(out->broken, sizeof out->broken, "%s", w->violation != NULL ? w->violation : "");
    if (recording != RECORD_NOTHING) {
        if (recording == RECORD_LAST_LINES)
            describe(w);
        record_print(w->record);
        if (w->violation != NULL) {
            record_picture(w);
            printf("%s: %s\n", w->rule, w->violation);
        }
    }
    world_free(w);
}
