/* A cluster in which anything happens: nodes die and come back, at the same address or another; replicas move, slots
 * move, the cluster elects by itself, nodes join and are forgotten. Then it rests, and the supervisor must have it as
 * it is. Meanwhile its own state must hang together. */
#include "tests/unit/core/fleet_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"

#define SEEDS 100
#define ACTS 40

static struct rng rng;

static int pick(int below)
{
    return (int)rng_below(&rng, (uint64_t)below);
}

static uint64_t next_epoch(void)
{
    uint64_t e = 0;
    for (size_t k = 0; k < lab.n; k++)
        e = lab.nodes[k].epoch > e ? lab.nodes[k].epoch : e;
    return e + 1;
}

static bool owns(int k)
{
    return lab.nodes[k].first >= 0 && lab.nodes[k].master < 0;
}

/* A replica, or a master of nothing, that nobody replicates from. */
static bool is_free(int k)
{
    if (owns(k) || !lab.nodes[k].listed)
        return false;
    for (size_t j = 0; j < lab.n; j++)
        if (lab.nodes[j].master == k)
            return false;
    return true;
}

static void come_back(int k)
{
    struct lab_node *n = &lab.nodes[k];
    /* Its slots went to another while it was away: its bus makes it that one's replica. */
    for (size_t j = 0; n->first < 0 && n->master < 0 && j < lab.n; j++)
        if (owns((int)j) && lab.nodes[j].alive) {
            n->master = (int)j;
            break;
        }
    while (n->master >= 0 && !owns(n->master)) {
        int j = pick((int)lab.n);
        if (owns(j))
            n->master = j;
    }
    lab_start(k);
}

static void elect(int k)
{
    struct lab_node *n = &lab.nodes[k];
    int from = n->master;
    if (from < 0 || !n->alive || !owns(from))
        return;
    n->first = lab.nodes[from].first;
    n->last = lab.nodes[from].last;
    n->epoch = next_epoch();
    n->master = -1;
    lab.nodes[from].first = -1;
    for (size_t j = 0; j < lab.n; j++)
        if (lab.nodes[j].master == from && lab.nodes[j].alive)
            lab.nodes[j].master = k;
    if (lab.nodes[from].alive)
        lab.nodes[from].master = k;
}

static void move_slots(int from, int to)
{
    struct lab_node *a = &lab.nodes[from], *b = &lab.nodes[to];
    if (!owns(from) || !a->alive || !b->alive || b->first >= 0 || b->master >= 0 || !b->listed || a->last == a->first)
        return;
    int half = a->first + (a->last - a->first) / 2;
    b->first = half + 1;
    b->last = a->last;
    a->last = half;
    b->epoch = next_epoch();
}

static void act(void)
{
    int k = pick((int)lab.n), j = pick((int)lab.n);
    struct lab_node *n = &lab.nodes[k];
    switch (pick(9)) {
    case 0:
    case 1:
        if (n->alive && n->listed)
            lab_kill(k);
        break;
    case 2:
    case 3:
        if (!n->alive && n->listed)
            come_back(k);
        break;
    case 4:
        if (!n->alive && n->listed) {
            n->port = n->port >= 8000 ? 7001 + k : 8001 + k;
            come_back(k);
        }
        break;
    case 5: elect(k); break;
    case 6:
        if (n->alive && is_free(k) && owns(j) && lab.nodes[j].alive)
            n->master = j;
        break;
    case 7: move_slots(k, 6 + pick((int)lab.n - 6)); break;
    default:
        if (!n->listed && k >= 6) {
            n->alive = n->listed = true;
            n->alone = false;
            n->master = -1;
        } else if (k >= 6 && is_free(k)) {
            n->listed = false;
            n->alone = true;
            n->master = -1;
            if (n->alive)
                lab_kill(k);
        }
        break;
    }
}

static void check_whole(void)
{
    const struct sn_fleet *f = lab.core->fleets[0];
    assert_int_equal(f->nshards, lab.core->ngroups);
    for (size_t k = 0; k < f->nmembers; k++) {
        const struct sn_member *m = f->members[k];
        if (m->inst) {
            assert_ptr_equal(m->inst->member, m);
            assert_ptr_equal(m->inst->node, m->node);
        }
        if (m->node) {
            assert_ptr_equal(m->node->fleet, f);
            assert_ptr_equal(sn_node_find(lab.core, m->node->addr.host, m->node->addr.port), m->node);
        }
        assert_true((m->slots != NULL) == (m->nslots > 0));
    }
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_group *g = f->shards[k]->group;
        assert_ptr_equal(g->shard, f->shards[k]);
        for (size_t i = 0; i < g->ninsts; i++) {
            assert_non_null(g->insts[i]->member);
            assert_ptr_equal(g->insts[i]->member->inst, g->insts[i]);
        }
    }
}

/* Everybody lives, and every master has its replicas as the model has them. */
static void check_as_it_is(uint64_t seed)
{
    for (int k = 0; k < (int)lab.n; k++) {
        const struct lab_node *n = &lab.nodes[k];
        const struct sn_node *node = sn_node_find(lab.core, "127.0.0.1", n->port);
        const struct sn_inst *i = node && node->member ? node->member->inst : NULL;
        const struct sn_group *g = i ? i->group : NULL;
        int wanted = n->master >= 0 ? lab.nodes[n->master].port : n->port;
        if (n->listed && (owns(k) || n->master >= 0)) {
            if (!g || lab_master(g) != wanted || g->master->s_down)
                fail_msg("seed %llu: node %d is not where it belongs: its master is %d, not %d",
                         (unsigned long long)seed, n->port, lab_master(g), wanted);
        } else if (!n->listed && i) {
            fail_msg("seed %llu: node %d was forgotten, and is watched", (unsigned long long)seed, n->port);
        }
    }
    unsigned assigned;
    if (sn_fleet_covered(lab.core->fleets[0], &assigned) != SN_SLOTS)
        fail_msg("seed %llu: %u slots are assigned", (unsigned long long)seed, assigned);
}

static void run_seed(uint64_t seed)
{
    rng_seed(&rng, seed);
    lab_begin(&(struct lab_options){0});
    lab_run(300);
    for (int k = 0; k < ACTS; k++) {
        act();
        check_whole();
        lab_run(1 + pick(1500));
        check_whole();
    }
    for (int k = 0; k < (int)lab.n; k++)
        if (lab.nodes[k].listed && !lab.nodes[k].alive)
            come_back(k);
    lab_run(10000);
    for (int k = 0; k < (int)lab.n; k++) /* what a takeover left behind */
        if (lab.nodes[k].listed && !owns(k))
            come_back(k);
    lab_run(90000);
    check_whole();
    check_as_it_is(seed);
    lab_end(NULL);
}

static void anything_may_happen(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(anything_may_happen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
