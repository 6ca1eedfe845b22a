/* Three supervisors over one cluster, and faults: nodes die and come back, supervisors lose sight of nodes and of each
 * other, the cluster elects by itself. Whatever happens, no configuration goes back, and equal epochs of a shard mean
 * the same node (SAFETY E10, S4). When the faults end, all agree with the cluster (S7). */
#include "tests/unit/core/fleet_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"

#define SHARDS 4
#define SEEDS 40
#define ACTS 40
#define SEEN_MAX 4096

static struct rng rng;
static uint64_t seed_now;

/* Every configuration that any of them ever had. */
static struct seen {
    char name[64];
    uint64_t epoch;
    int port;
} seen[SEEN_MAX];
static size_t nseen;
static struct {
    char name[64];
    uint64_t epoch;
} last[LAB_CORES][2 * SHARDS];

static int pick(int below)
{
    return (int)rng_below(&rng, (uint64_t)below);
}

static void look(const struct sn_group *g, size_t core, size_t place)
{
    if (strcmp(last[core][place].name, g->name) == 0 && g->config_epoch < last[core][place].epoch)
        fail_msg("seed %llu: a configuration of %s went back", (unsigned long long)seed_now, g->name);
    snprintf(last[core][place].name, sizeof last[core][place].name, "%s", g->name);
    last[core][place].epoch = g->config_epoch;
    for (size_t k = 0; k < nseen; k++) {
        if (strcmp(seen[k].name, g->name) != 0 || seen[k].epoch != g->config_epoch)
            continue;
        if (seen[k].port != lab_master(g))
            fail_msg("seed %llu: %s has two masters at epoch %llu: %d and %d", (unsigned long long)seed_now, g->name,
                     (unsigned long long)g->config_epoch, seen[k].port, lab_master(g));
        return;
    }
    assert_true(nseen < SEEN_MAX);
    snprintf(seen[nseen].name, sizeof seen[nseen].name, "%s", g->name);
    seen[nseen].epoch = g->config_epoch;
    seen[nseen++].port = lab_master(g);
}

static void look_at_all(void)
{
    for (size_t c = 0; c < LAB_CORES; c++)
        for (size_t k = 0; k < lab.cores[c]->ngroups && k < 2 * SHARDS; k++)
            look(lab.cores[c]->groups[k], c, k);
}

/* The other one of its shard. */
static int partner(int k)
{
    return k < SHARDS ? k + SHARDS : k - SHARDS;
}

static void come_back(int k)
{
    struct lab_node *n = &lab.nodes[k];
    if (n->first < 0)
        n->master = partner(k);
    lab_start(k);
}

static void elect(int k)
{
    struct lab_node *n = &lab.nodes[k], *m = &lab.nodes[partner(k)];
    if (!n->alive || n->master < 0)
        return;
    n->first = m->first;
    n->last = m->last;
    n->master = -1;
    n->epoch = 0;
    for (size_t j = 0; j < lab.n; j++)
        n->epoch = lab.nodes[j].epoch >= n->epoch ? lab.nodes[j].epoch + 1 : n->epoch;
    m->first = -1;
    if (m->alive)
        m->master = k;
}

static void act(void)
{
    int k = pick(2 * SHARDS);
    size_t a = (size_t)pick(LAB_CORES), b = (size_t)pick(LAB_CORES);
    switch (pick(8)) {
    case 0:
    case 1:
        if (lab.nodes[k].alive)
            lab_kill(k);
        break;
    case 2:
    case 3:
        if (!lab.nodes[k].alive)
            come_back(k);
        break;
    case 4: lab.cut[a][k] = !lab.cut[a][k]; break;
    case 5: lab.apart[a][b] = lab.apart[b][a] = a != b && !lab.apart[a][b]; break;
    case 6:
        if (pick(3) == 0)
            elect(k);
        break;
    default: memset(lab.cut, 0, sizeof lab.cut); break;
    }
}

static void heal(void)
{
    memset(lab.cut, 0, sizeof lab.cut);
    memset(lab.apart, 0, sizeof lab.apart);
    for (int k = 0; k < 2 * SHARDS; k++)
        if (!lab.nodes[k].alive)
            come_back(k);
    /* A promotion that is under way may still make a replica of a master that lives. */
    for (int round = 0; round < 40; round++) {
        lab_run(1000);
        look_at_all();
        for (int k = 0; k < 2 * SHARDS; k++)
            if (lab.nodes[k].first < 0)
                come_back(k);
    }
}

static void all_have_it_as_it_is(void)
{
    for (int k = 0; k < SHARDS; k++) {
        int master = lab.nodes[k].first >= 0 ? k : partner(k);
        for (size_t c = 0; c < LAB_CORES; c++) {
            const struct sn_node *n = sn_node_find(lab.cores[c], "127.0.0.1", lab.nodes[k].port);
            const struct sn_group *g = n && n->insts ? n->insts->group : NULL;
            if (!g || lab_master(g) != lab.nodes[master].port || g->config_epoch != lab.nodes[master].epoch ||
                g->fo.state != SN_FO_NONE || g->master->s_down || g->ninsts != 2)
                fail_msg("seed %llu: supervisor %zu has the master %d at epoch %llu, and it is %d at %llu",
                         (unsigned long long)seed_now, c, lab_master(g), g ? (unsigned long long)g->config_epoch : 0ULL,
                         lab.nodes[master].port, (unsigned long long)lab.nodes[master].epoch);
        }
    }
}

static void faults_that_end(void **state)
{
    (void)state;
    size_t promotions = 0, adopted = 0;
    for (seed_now = 1; seed_now <= SEEDS; seed_now++) {
        rng_seed(&rng, seed_now);
        nseen = 0;
        memset(last, 0, sizeof last);
        lab_begin_three(SHARDS);
        lab_run(3000);
        for (int k = 0; k < ACTS; k++) {
            act();
            for (int ms = pick(1200); ms > 0; ms -= 100) {
                lab_run(ms < 100 ? ms : 100);
                look_at_all();
            }
        }
        heal();
        all_have_it_as_it_is();
        promotions += lab_count(&lab.notes, "switched ");
        adopted += lab_count(&lab.notes, "config ");
        lab_end(NULL);
    }
    print_message("%zu promotions, %zu configurations learned from others\n", promotions, adopted);
    assert_true(promotions > 2 * SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(faults_that_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
