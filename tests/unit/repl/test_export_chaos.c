/* Targets that say anything at any time, a core that wants anything, a child that ends anyhow: what the core is told
 * makes sense, a link that was closed is left alone (export_world.c), and nothing is left in the end. */
#include "tests/unit/repl/export_world.h"

#include "common/base/heap.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct told {
    int steps; /* how far the core knows the job to be: an index in `order` */
    bool drain, over, accepted;
    size_t flushed; /* FLUSHes that were answered */
};

static const char *const order[] = {"", "SNAPSHOTTING", "STREAMING", "NEAR", "DRAINED"};

static void read_news(struct xworld *w, struct told *told)
{
    const char *text = xworld_news(w);
    struct slice rest = slice_of(text);
    while (rest.n > 0) {
        struct slice line = slice_cut(&rest, '\n'), job = slice_cut(&line, ' '), name = slice_cut(&line, ' ');
        struct told *t = &told[job.p[0] - '0'];
        int step = 4;
        assert_false(t->over);
        if (slice_is(name, "LOST")) {
            t->over = true;
            assert_true(w->wires[job.p[0] - '0'].closed);
            continue;
        }
        while (step > 0 && !slice_is(name, order[step]))
            step--;
        assert_true(step == t->steps + 1 || (step == 3 && t->steps == 3 && !t->drain));
        assert_true(step != 4 || t->drain);
        t->steps = step;
    }
}

static size_t count(const struct wire *l, const char *word)
{
    size_t n = 0, size = strlen(word);
    for (size_t i = 0; i + size <= l->got.n; i++)
        n += memcmp(l->got.p + i, word, size) == 0;
    return n;
}

/* What a target would say now, mostly. */
static void say_something(struct wire *l, struct told *t, struct rng *rng)
{
    static const char *const nonsense[] = {"+OK", "+ACK 99999999", "+FLUSHED 1", "+DRAINED 1 3", "-ERR no", "+ACK 1+",
                                           ""};
    char text[80];
    bool established = count(l, "SLOTSRANGE\r\n") > 0;
    int64_t offset = established ? wire_offset(l) : 0;
    if (rng_below(rng, 60) == 0) {
        snprintf(text, sizeof text, "%s\r\n", nonsense[rng_below(rng, 7)]);
    } else if (established && !t->accepted) {
        snprintf(text, sizeof text, "+OK\r\n");
        t->accepted = true;
    } else if (t->drain && t->steps == 3) {
        snprintf(text, sizeof text, "+DRAINED %" PRId64 " 3\r\n", offset);
    } else if (count(l, "$5\r\nFLUSH\r\n") > t->flushed) {
        snprintf(text, sizeof text, "+FLUSHED %" PRId64 "\r\n", offset);
        t->flushed++;
    } else {
        snprintf(text, sizeof text, "+ACK %" PRId64 "\r\n", offset);
    }
    struct slice in = slice_of(text);
    nd_export_bytes(l->x, &in);
}

static void do_something(struct xworld *w, struct told *told, struct rng *rng)
{
    size_t i = rng_below(rng, w->wire_count + 1);
    struct cl_id job = job_id((int)i);
    if (i == w->wire_count) {
        if (i < WIRES_MAX)
            xworld_begin(w, (int)rng_below(rng, 8000), 8000 + (int)rng_below(rng, 8000));
        return;
    }
    struct wire *l = &w->wires[i];
    switch (rng_below(rng, 14)) {
    case 0:
        if (!l->closed && l->got.n == 0 && l->waiting.n == 0)
            nd_export_connected(l->x);
        break;
    case 1: xworld_forward_ms(w, (int64_t)rng_below(rng, 1500)); break;
    case 2:
        if (w->child)
            xworld_child_ends(w, rng_below(rng, 8) > 0);
        break;
    case 3: run(w->f, "SET bar 1"); break;
    case 4: run(w->f, "SET foo 2"); break;
    case 5:
        if (told[i].steps == 3) {
            told[i].drain = true;
            nd_export_drain(w->r, &job);
        }
        break;
    case 6:
        if (told[i].steps == 4)
            nd_export_grant(w->r, &job, 5);
        break;
    case 7:
        if (rng_below(rng, 60) == 0) {
            nd_export_stop(w->r, &job, rng_below(rng, 2) == 0, slice_of("enough"));
            told[i].over = true;
            assert_true(l->closed);
        }
        break;
    case 8:
        if (rng_below(rng, 200) == 0)
            run(w->f, "FLUSHDB");
        break;
    case 9:
        if (!l->closed && rng_below(rng, 20) == 0)
            nd_export_lost(l->x, "it was closed");
        break;
    default:
        if (!l->closed && l->got.n > 0)
            say_something(l, &told[i], rng);
    }
}

static void one_run(uint64_t seed, size_t *ends)
{
    struct xworld *w = xworld_new();
    struct told told[WIRES_MAX] = {{0}};
    struct rng rng;
    rng_seed(&rng, seed);
    for (int i = 0; i < 400; i++) {
        do_something(w, told, &rng);
        read_news(w, told);
    }
    for (size_t i = 0; i < w->wire_count; i++) {
        struct cl_id job = job_id((int)i);
        ends[told[i].steps]++;
        nd_export_stop(w->r, &job, false, slice_of("over"));
        assert_true(w->wires[i].closed);
    }
    if (w->child)
        xworld_child_ends(w, false);
    assert_true(nd_exports_deadline(w->r) == HEAP_NEVER);
    assert_false(w->r->exporting);
    assert_string_equal(xworld_news(w), "");
    xworld_free(w);
}

static void test_anything(void **state)
{
    size_t ends[5] = {0};
    (void)state;
    for (uint64_t seed = 1; seed <= 600; seed++)
        one_run(seed, ends);
    for (int i = 0; i < 5; i++)
        assert_true(ends[i] > 10); /* each step is reached, and not by a few only */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_anything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
