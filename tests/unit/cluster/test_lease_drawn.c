/* Leases against simple models, with drawn messages, clocks and stops. */
#include "tests/unit/cluster/leased.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)

/* ---- one node: any number of supervisors, any messages ---- */

#define SPANS 400

struct voice { /* what one supervisor has granted, as times of the node's clock */
    struct {
        int64_t from, until;
    } span[SPANS];
    int n;
};

static bool grants_at(const struct voice *v, int64_t at)
{
    for (int i = 0; i < v->n; i++)
        if (v->span[i].from <= at && at < v->span[i].until)
            return true;
    return false;
}

static int count_at(const struct voice *v, int supervisors, int64_t at)
{
    int count = 0;
    for (int i = 0; i < supervisors; i++)
        count += grants_at(&v[i], at) ? 1 : 0;
    return count;
}

static void list_draw(char *list, size_t room, int supervisors)
{
    size_t at = 0;
    for (int i = 0; i < supervisors; i++)
        at += (size_t)snprintf(list + at, room - at, "%ss%d:26379", i > 0 ? "," : "", i);
}

/* As CLUSTER FAILOVER TAKEOVER EPOCH brings it to one that is the master at that epoch already. */
static void grant_later(struct leased *n, const char *list, const struct cl_grant *g)
{
    struct cl_id me = cl_my_id(n->core);
    struct cl_speaker s = {1, 0, slice_of(list)};
    struct cl_takeover t = {.epoch = LEASED_EPOCH, .from = &me, .nfrom = 1, .speaker = &s, .grants = g, .ngrants = 1};
    assert_true(leased_command(n, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t}));
}

static void one_message(struct rng *r, struct leased *n, const char *list, struct voice *v, int i, bool waits)
{
    int64_t age = rng_below(r, 3) == 0 ? rng_range(r, 0, 2000 * MS) : rng_range(r, 0, 100 * MS);
    struct cl_stamp stamp = {leased_state(n).incarnation, n->boot_us - age};
    int64_t ttl_ms = rng_below(r, 30) == 0 ? 0 : rng_range(r, 1, 1500);
    if (waits && ttl_ms > 0 && rng_below(r, 3) == 0) {
        struct cl_grant g = {i, stamp, ttl_ms, rng_range(r, 0, 1000)};
        grant_later(n, list, &g);
        v->span[v->n].from = stamp.clock_us + g.wait_ms * 1010;
        v->span[v->n++].until = stamp.clock_us + ttl_ms * 990;
        return;
    }
    assert_true(leased_say(n, (struct said){i, ttl_ms, 0, stamp, 1, list, false}));
    if (ttl_ms == 0) {
        v->n = 0;
        leased_pass(n, 3000 * MS); /* stamps from before are void now */
        return;
    }
    v->span[v->n].from = 0;
    v->span[v->n++].until = stamp.clock_us + ttl_ms * 990;
}

static void a_majority_of_ends(void **state)
{
    (void)state;
    struct rng r;
    int leased = 0, refused = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        char list[1300], conf[1400];
        static struct voice voices[CL_SUPERVISORS_MAX];
        rng_seed(&r, seed);
        int supervisors = (int)rng_range(&r, 1, CL_SUPERVISORS_MAX);
        bool waits = seed % 2 == 0;
        if (seed % 3 == 0)
            supervisors = 1 + supervisors % 5;
        list_draw(list, sizeof list, supervisors);
        snprintf(conf, sizeof conf, "1,1,0,%s", list);
        struct leased *n = leased_new(conf);
        memset(voices, 0, sizeof voices);
        for (int k = 0; k < SPANS; k++) {
            int i = (int)rng_below(&r, (uint64_t)supervisors);
            one_message(&r, n, list, &voices[i], i, waits);
            int64_t until = cl_lease_until(n->core);
            bool may = count_at(voices, supervisors, n->boot_us) >= supervisors / 2 + 1;
            /* A grant that lies behind a gap is one of two that are kept, so with waits it may have less. */
            assert_true(waits ? may || !leased_writes(n) : may == leased_writes(n));
            leased += leased_writes(n) ? 1 : 0;
            refused += leased_writes(n) ? 0 : 1;
            for (int probe = 0; leased_writes(n) && probe < 3; probe++)
                assert_true(count_at(voices, supervisors, rng_range(&r, n->boot_us, until - 1)) >= supervisors / 2 + 1);
            if (leased_writes(n) && !waits)
                assert_true(count_at(voices, supervisors, until) < supervisors / 2 + 1);
            leased_pass(n, (int64_t)rng_below(&r, 30 * MS));
        }
        leased_free(n);
    }
    assert_true(leased > 10000);
    assert_true(refused > 10000);
}

/* ---- two nodes of one shard, supervisors with books, and clocks that run differently ---- */

#define SUPERVISORS 3
#define MAILS 64

struct clock { /* of its own rate, in millionths */
    int64_t rate, offset;
};

struct mail {
    int64_t at; /* real time; 0 none */
    int supervisor, node;
    bool answer;
    int64_t ttl_ms, wait_ms;
    struct cl_stamp stamp;
    int64_t asked; /* of the supervisor's clock: when the request was sent that this answers */
};

struct supervisor {
    struct clock clock;
    struct cl_stamp stamp[2]; /* the newest of each node, */
    int64_t asked[2];         /* and when it was asked for */
    int64_t book[2];          /* own clock: until when it has a grant out */
    int grantee;
};

struct shard {
    struct rng rng;
    int64_t now;
    struct leased *node[2];
    struct clock clock[2];
    int64_t stopped_until[2];
    const char *list;
    int supervisors; /* 1 or 3: with one, each of its mistakes is one of the shard */
    int64_t ttl_ms, late_us;
    struct supervisor s[SUPERVISORS];
    struct mail mail[MAILS];
};

static struct clock clock_draw(struct rng *r)
{
    return (struct clock){rng_range(r, 995000, 1004900), rng_range(r, 0, 1000000000)};
}

static int64_t clock_of(const struct clock *k, int64_t now)
{
    return k->offset + now / 1000 * k->rate / 1000 + now % 1000 * k->rate / 1000000;
}

static void post(struct shard *w, struct mail m)
{
    int64_t delay = rng_below(&w->rng, 30) == 0 ? rng_range(&w->rng, 0, 1500 * MS) : rng_range(&w->rng, 0, w->late_us);
    m.at = w->now + 1 + delay;
    for (int copies = rng_below(&w->rng, 30) == 0 ? 2 : 1, i = 0; i < MAILS && copies > 0; i++)
        if (w->mail[i].at == 0) {
            w->mail[i] = m;
            m.at += (int64_t)rng_below(&w->rng, 1000 * MS);
            copies--;
        }
}

/* A probe, with a grant when the books allow one: at once for whom it has granted to, for another one from when that
 * has ended. */
static void probe(struct shard *w, int i)
{
    struct supervisor *s = &w->s[i];
    int64_t clock = clock_of(&s->clock, w->now);
    int to = (int)rng_below(&w->rng, 2);
    struct mail m = {.supervisor = i, .node = to, .stamp = s->stamp[to], .asked = clock};
    if (rng_below(&w->rng, 40) == 0 && clock >= s->book[0] && clock >= s->book[1])
        s->grantee = 1 - s->grantee;
    bool promote = s->grantee != to && s->stamp[to].incarnation != 0 && s->book[1 - to] - clock < 2000 * w->ttl_ms &&
                   rng_below(&w->rng, (uint64_t)w->ttl_ms / 5) == 0;
    if (promote) {
        /* The other one's grant is waited for by the node: counted from its stamp, so from before that was asked for.
         */
        int64_t from = s->book[1 - to] > clock ? s->book[1 - to] - s->asked[to] : 0;
        m.wait_ms = from > 0 ? from / 1000 + 1 : 0;
        m.ttl_ms = m.wait_ms + w->ttl_ms;
        s->grantee = to;
        s->book[to] = clock + m.ttl_ms * 1010;
    } else if (s->grantee == to && clock >= s->book[1 - to]) {
        m.ttl_ms = w->ttl_ms;
        int64_t end = clock + w->ttl_ms * 1010;
        s->book[to] = end > s->book[to] ? end : s->book[to];
    } else if (clock < s->book[to] && (s->grantee == to || rng_below(&w->rng, 1000) != 0)) {
        return; /* a probe without a grant would take back what it has */
    }
    post(w, m);
}

static void arrive(struct shard *w, struct mail *m)
{
    struct mail got = *m;
    struct supervisor *s = &w->s[got.supervisor];
    m->at = 0;
    if (got.answer) {
        struct cl_stamp *newest = &s->stamp[got.node];
        if (got.stamp.clock_us < newest->clock_us && got.stamp.incarnation == newest->incarnation)
            return;
        *newest = got.stamp;
        s->asked[got.node] = got.asked;
        return;
    }
    struct leased *n = w->node[got.node];
    if (got.wait_ms > 0)
        grant_later(n, w->list, &(struct cl_grant){got.supervisor, got.stamp, got.ttl_ms, got.wait_ms});
    else
        leased_say(n, (struct said){got.supervisor, got.ttl_ms, 0, got.stamp, 1, w->list, false});
    got.answer = true;
    got.stamp = leased_stamp(n);
    post(w, got);
}

static void tick(struct shard *w)
{
    for (int k = 0; k < 2; k++) {
        struct leased *n = w->node[k];
        int64_t clock = clock_of(&w->clock[k], w->now);
        if (w->now < w->stopped_until[k])
            continue; /* its mails wait */
        n->now_us += clock - n->boot_us;
        n->boot_us = clock;
        leased_pass(n, 0);
        if (rng_below(&w->rng, 3000) == 0) {
            leased_restart(n);
        } else if (rng_below(&w->rng, 2000) == 0) {
            w->stopped_until[k] = w->now + rng_range(&w->rng, 0, 2000 * MS);
        }
    }
    for (int i = 0; i < MAILS; i++) {
        bool waits = !w->mail[i].answer && w->now < w->stopped_until[w->mail[i].node];
        if (w->mail[i].at != 0 && w->mail[i].at <= w->now && !waits)
            arrive(w, &w->mail[i]);
    }
    for (int i = 0; i < w->supervisors; i++)
        if (rng_below(&w->rng, 20) == 0)
            probe(w, i);
}

/* By its clock as it is now, whatever it knows of it. */
static bool writes(const struct shard *w, int k)
{
    return w->now >= w->stopped_until[k] && clock_of(&w->clock[k], w->now) < cl_lease_until(w->node[k]->core);
}

static void two_nodes_are_never_leased_at_once(void **state)
{
    (void)state;
    int64_t leased[2] = {0, 0}, changes = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        static struct shard shard;
        struct shard *w = &shard;
        int last = -1;
        memset(w, 0, sizeof *w);
        rng_seed(&w->rng, seed);
        w->now = 1000 * MS;
        w->supervisors = seed % 2 == 0 ? 1 : SUPERVISORS;
        w->list = w->supervisors == 1 ? "10.0.0.1:26379" : LIST3;
        w->ttl_ms = seed % 3 == 0 ? 400 : 3000;
        w->late_us = seed % 5 == 0 ? 20 * MS : 1;
        for (int k = 0; k < 2; k++) {
            w->clock[k] = clock_draw(&w->rng);
            char conf[128];
            snprintf(conf, sizeof conf, "1,1,0,%s", w->list);
            w->node[k] = leased_new(conf);
            w->node[k]->boot_us = clock_of(&w->clock[k], w->now);
        }
        for (int i = 0; i < w->supervisors; i++)
            w->s[i].clock = clock_draw(&w->rng);
        for (int step = 0; step < 20000; step++) {
            w->now += 1 * MS;
            tick(w);
            assert_false(writes(w, 0) && writes(w, 1));
            for (int k = 0; k < 2; k++)
                if (writes(w, k)) {
                    leased[k]++;
                    changes += last == 1 - k ? 1 : 0;
                    last = k;
                }
        }
        leased_free(w->node[0]);
        leased_free(w->node[1]);
    }
    assert_true(leased[0] > 100000 && leased[1] > 50000);
    assert_true(changes > 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_majority_of_ends),
        cmocka_unit_test(two_nodes_are_never_leased_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
