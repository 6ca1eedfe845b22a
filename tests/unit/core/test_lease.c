/* What a supervisor may grant: examples, and a world of drifting clocks in which messages take their time. */
#include "sentineld/core/lease.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define NODES 4
#define GRANTS 64

static const char *name_of(int node)
{
    static runid names[NODES];
    memset(names[node], 'a' + node, RUNID_LEN);
    return names[node];
}

static struct sn_stamp stamp_of(uint64_t incarnation, int64_t clock_us, int64_t asked_us)
{
    return (struct sn_stamp){incarnation, clock_us, asked_us};
}

static void only_the_grantee_with_a_stamp(void **state)
{
    (void)state;
    struct sn_lease l = {.grantee = ""};
    struct sn_grant g;
    struct sn_stamp s = stamp_of(7, 5000, 0);
    assert_false(sn_lease_grant(&l, name_of(0), &s, 500 * MS, 0, &g));
    assert_true(sn_lease_name(&l, name_of(0), 500 * MS, 0));
    assert_false(sn_lease_name(&l, name_of(0), 500 * MS, 0));
    assert_true(sn_lease_name(&l, name_of(0), 501 * MS, 0)); /* longer than ever */
    assert_true(sn_lease_grant(&l, name_of(0), &s, 500 * MS, 1 * MS, &g));
    assert_int_equal(g.ttl_us, 500 * MS);
    assert_int_equal(g.wait_us, 0);
    assert_int_equal(g.stamp.clock_us, 5000);
    assert_false(sn_lease_grant(&l, name_of(1), &s, 500 * MS, 1 * MS, &g));
    s.incarnation = 0;
    assert_false(sn_lease_grant(&l, name_of(0), &s, 500 * MS, 1 * MS, &g));
}

static void another_one_waits(void **state)
{
    (void)state;
    struct sn_lease l = {.grantee = ""};
    struct sn_grant g;
    struct sn_stamp s = stamp_of(7, 0, 0);
    sn_lease_name(&l, name_of(0), 1000 * MS, 0);
    assert_true(sn_lease_grant(&l, name_of(0), &s, 1000 * MS, 0, &g));
    int64_t end = sn_lease_others_until(&l, name_of(1));
    assert_in_range(end, 1010 * MS, 1011 * MS);
    assert_int_equal(sn_lease_others_until(&l, name_of(0)), 0);
    assert_true(sn_lease_name(&l, name_of(1), 1000 * MS, 200 * MS));
    assert_false(sn_lease_settle(&l, 200 * MS));
    assert_int_equal(sn_lease_others_until(&l, name_of(1)), end);
    s = stamp_of(8, 0, 150 * MS);
    assert_true(sn_lease_grant(&l, name_of(1), &s, 1000 * MS, 200 * MS, &g));
    assert_in_range(g.wait_us, (end - 150 * MS) * 101 / 100, (end - 150 * MS) * 101 / 100 + 2);
    /* When that is over nothing waits any more. */
    assert_true(sn_lease_settle(&l, end));
    assert_false(sn_lease_settle(&l, end));
    s.asked_us = end;
    assert_true(sn_lease_grant(&l, name_of(1), &s, 1000 * MS, end, &g));
    assert_int_equal(g.wait_us, 0);
}

static void given_back(void **state)
{
    (void)state;
    struct sn_lease l = {.grantee = ""};
    struct sn_grant g;
    struct sn_stamp s = stamp_of(7, 0, 0);
    sn_lease_name(&l, name_of(0), 1000 * MS, 0);
    sn_lease_grant(&l, name_of(0), &s, 1000 * MS, 0, &g);
    sn_lease_returned(&l, name_of(1), 10 * MS); /* it has none */
    assert_true(sn_lease_others_until(&l, name_of(1)) > 1000 * MS);
    sn_lease_returned(&l, name_of(0), 10 * MS);
    assert_int_equal(sn_lease_others_until(&l, name_of(1)), 10 * MS);
    sn_lease_name(&l, name_of(1), 1000 * MS, 10 * MS);
    assert_true(sn_lease_grant(&l, name_of(1), &s, 1000 * MS, 10 * MS, &g));
    assert_int_equal(g.wait_us, 0);
}

static void after_a_restart(void **state)
{
    (void)state;
    struct sn_lease l;
    struct sn_grant g;
    struct sn_stamp s = stamp_of(7, 0, 0);
    sn_lease_restore(&l, name_of(0), 1000 * MS, true, 0);
    assert_true(sn_lease_grant(&l, name_of(0), &s, 1000 * MS, 0, &g));
    assert_int_equal(g.wait_us, 0); /* the same one at once, */
    assert_true(sn_lease_others_until(&l, name_of(1)) >= 1010 * MS);
    sn_lease_restore(&l, name_of(0), 1000 * MS, false, 0);
    assert_true(sn_lease_grant(&l, name_of(0), &s, 1000 * MS, 0, &g));
    assert_true(g.wait_us >= 1010 * MS); /* unless it was new */
    static const runid nobody;
    sn_lease_restore(&l, nobody, 0, true, 0);
    assert_true(sn_lease_name(&l, name_of(1), 1000 * MS, 0));
    assert_true(sn_lease_grant(&l, name_of(1), &s, 1000 * MS, 0, &g));
    assert_int_equal(g.wait_us, 0);
}

/* ---- a world: one supervisor, nodes whose clocks differ by almost 1 %, and messages that are late ---- */

struct node {
    uint64_t incarnation;
    int64_t offset_us;
    double rate;
    int64_t from_us, until_us; /* its own clock: what it holds */
    struct sn_stamp heard;     /* by the supervisor */
};

struct sent {
    int node; /* -1: none */
    int64_t arrives_us;
    struct sn_grant g;
};

struct world {
    struct rng rng;
    double rate; /* of the supervisor's clock */
    struct sn_lease l, disk;
    struct node nodes[NODES];
    struct sent sent[GRANTS];
    int held, waited;
};

static int64_t clock_of(const struct node *n, int64_t t)
{
    return n->offset_us + (int64_t)((double)t * n->rate);
}

static int64_t own_clock(const struct world *w, int64_t t)
{
    return (int64_t)((double)t * w->rate);
}

static double drawn_rate(struct rng *rng)
{
    return 0.9951 + (double)rng_below(rng, 980) / 100000;
}

static void take(struct world *w, struct sent *s)
{
    struct node *n = &w->nodes[s->node];
    int64_t from = s->g.stamp.clock_us + s->g.wait_us, until = s->g.stamp.clock_us + s->g.ttl_us * 99 / 100;
    s->node = -1;
    if (s->g.stamp.incarnation != n->incarnation || until <= n->until_us)
        return;
    n->from_us = from;
    n->until_us = until;
}

static int holders(const struct world *w, int64_t t)
{
    int count = 0;
    for (int i = 0; i < NODES; i++) {
        int64_t clock = clock_of(&w->nodes[i], t);
        count += clock >= w->nodes[i].from_us && clock < w->nodes[i].until_us;
    }
    return count;
}

static void probe(struct world *w, int64_t t)
{
    int i = (int)rng_below(&w->rng, NODES);
    struct node *n = &w->nodes[i];
    /* Asked a while ago, and the answer was made at some time since. */
    int64_t asked = t - (int64_t)rng_below(&w->rng, 400) * MS;
    int64_t made = asked + (int64_t)rng_below(&w->rng, (uint64_t)(t - asked) + 1);
    if (asked > 0)
        n->heard = stamp_of(n->incarnation, clock_of(n, made), own_clock(w, asked));
}

static void grant(struct world *w, int64_t t)
{
    int i = (int)rng_below(&w->rng, NODES);
    int64_t ttl = (int64_t)(100 + rng_below(&w->rng, 900)) * MS, now = own_clock(w, t);
    if (rng_below(&w->rng, 12) == 0) { /* a vote for this one */
        if (sn_lease_name(&w->l, name_of(i), ttl, now))
            w->disk = w->l;
    } else if (w->l.grantee[0] != '\0') {
        i = w->l.grantee[0] - 'a';
        if (sn_lease_name(&w->l, name_of(i), ttl, now))
            w->disk = w->l;
    }
    struct sent s = {.node = i, .arrives_us = t + (int64_t)rng_below(&w->rng, 1500) * MS};
    if (!sn_lease_grant(&w->l, name_of(i), &w->nodes[i].heard, ttl, now, &s.g))
        return;
    w->waited += s.g.wait_us > 0;
    for (int k = 0; k < GRANTS; k++)
        if (w->sent[k].node < 0) {
            w->sent[k] = s;
            return;
        }
}

static void restart_somebody(struct world *w, int64_t t)
{
    int i = (int)rng_below(&w->rng, NODES + 2);
    if (i < NODES) {
        struct node *n = &w->nodes[i];
        n->incarnation = rng_u64(&w->rng) | 1;
        n->from_us = n->until_us = 0;
        n->offset_us += (int64_t)rng_below(&w->rng, 1000) * MS;
        return;
    }
    int64_t now = own_clock(w, t);
    sn_lease_restore(&w->l, w->disk.grantee, w->disk.max_ttl_us, w->disk.settled, now);
    for (i = 0; i < NODES; i++)
        w->nodes[i].heard.incarnation = 0;
}

static void never_two_at_a_time(void **state)
{
    (void)state;
    int held = 0, waited = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct world w = {.held = 0};
        rng_seed(&w.rng, seed);
        w.rate = drawn_rate(&w.rng);
        for (int i = 0; i < NODES; i++)
            w.nodes[i] = (struct node){.incarnation = rng_u64(&w.rng) | 1,
                                       .offset_us = (int64_t)rng_below(&w.rng, 1000000) * MS,
                                       .rate = drawn_rate(&w.rng)};
        for (int k = 0; k < GRANTS; k++)
            w.sent[k].node = -1;
        for (int64_t t = 1; t < 30000 * MS; t += 1 + (int64_t)rng_below(&w.rng, 20000)) {
            for (int k = 0; k < GRANTS; k++)
                if (w.sent[k].node >= 0 && w.sent[k].arrives_us <= t)
                    take(&w, &w.sent[k]);
            probe(&w, t);
            grant(&w, t);
            if (rng_below(&w.rng, 300) == 0)
                restart_somebody(&w, t);
            if (sn_lease_settle(&w.l, own_clock(&w, t)))
                w.disk.settled = true;
            int now = holders(&w, t);
            if (now > 1)
                fail_msg("seed %llu: %d nodes hold a grant at %lld us", (unsigned long long)seed, now, (long long)t);
            w.held += now;
        }
        held += w.held;
        waited += w.waited;
    }
    assert_true(held > 100000); /* most of the time somebody does */
    assert_true(waited > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_grantee_with_a_stamp),
        cmocka_unit_test(another_one_waits),
        cmocka_unit_test(given_back),
        cmocka_unit_test(after_a_restart),
        cmocka_unit_test(never_two_at_a_time),
    };
    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
