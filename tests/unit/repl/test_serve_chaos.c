/* Replicas that come, go, acknowledge and fail in any order: who is online has every byte of the stream from its place
 * on. */
#include "tests/unit/repl/serve_world.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct follower {
    struct client *c;
    struct buf got; /* bytes of the stream since `from` */
    int64_t from;   /* -1: not known yet */
    bool full;      /* asked for a snapshot */
};

struct chaos {
    struct world *w;
    struct rng rng;
    struct buf all; /* the whole stream, read by a cursor that the test has */
    struct nd_backlog_cursor witness;
    struct follower followers[8];
};

static void read_all(struct chaos *x)
{
    struct slice pieces[4];
    size_t n;
    while ((n = nd_backlog_peek(&x->witness, pieces, 4)) > 0)
        for (size_t i = 0; i < n; i++) {
            buf_put(&x->all, pieces[i].p, pieces[i].n);
            nd_backlog_pass(&x->witness, pieces[i].n);
        }
    assert_int_equal(x->all.n, x->w->r->offset);
}

/* It has what the stream was from its place on, without a gap. */
static void check_follower(struct chaos *x, struct follower *q)
{
    const struct nd_replica *p = q->c->s->replica;
    if (p == NULL || nd_serve_cursor(q->c->s) == NULL)
        return;
    if (q->from < 0)
        q->from = p->cursor.offset - 1;
    if (q->full)
        assert_int_equal(q->from, p->snapshot_offset);
    replica_reads(q->c, &q->got);
    assert_int_equal(q->from + (int64_t)q->got.n, x->w->r->offset);
    assert_memory_equal(q->got.p != NULL ? q->got.p : "", x->all.p + q->from, q->got.n);
}

static void follower_goes(struct follower *q)
{
    client_close(q->c);
    buf_free(&q->got);
    *q = (struct follower){.c = NULL};
}

static void follower_comes(struct chaos *x, struct follower *q)
{
    struct world *w = x->w;
    static const char *const capas[] = {MODERN, "REPLCONF capa psync2", NULL};
    *q = (struct follower){.c = replica_new(w, capas[rng_below(&x->rng, 3)]), .from = -1};
    char command[100];
    int64_t offset = rng_range(&x->rng, -1, w->r->offset + 2);
    uint64_t how = rng_below(&x->rng, 3);
    if (how == 0)
        snprintf(command, sizeof command, "SYNC");
    else
        snprintf(command, sizeof command, "PSYNC %s %lld", how == 1 ? w->r->id : "?", (long long)offset);
    q->full = memcmp(client_run(q->c, command), "+CONTINUE", 9) != 0;
    if (!q->full)
        q->from = offset - 1;
}

static void chaos_step(struct chaos *x)
{
    struct world *w = x->w;
    struct follower *q = &x->followers[rng_below(&x->rng, 8)];
    char command[100];
    switch (rng_below(&x->rng, 8)) {
    case 0:
        if (q->c == NULL && w->f->client_count < FIXTURE_CLIENTS)
            follower_comes(x, q);
        break;
    case 1:
        if (q->c != NULL && (q->c->kills > 0 || rng_below(&x->rng, 8) == 0))
            follower_goes(q);
        break;
    case 2:
        if (q->c != NULL)
            replica_acks(q->c, rng_range(&x->rng, 0, w->r->offset));
        break;
    case 3:
        if (w->child) {
            bool got[FDS_MAX];
            for (size_t i = 0; i < FDS_MAX; i++)
                got[i] = rng_below(&x->rng, 5) > 0;
            world_child_ends(w, w->stopped ? false : rng_below(&x->rng, 5) > 0, got);
        }
        break;
    case 4:
        while (w->files > 0) {
            struct nd_session *s = w->file_for[--w->files];
            for (size_t i = 0; i < 8; i++)
                if (x->followers[i].c != NULL && x->followers[i].c->s == s)
                    nd_serve_file_sent(s);
        }
        break;
    case 5: world_forward_ms(w, (int64_t)rng_below(&x->rng, 700)); break;
    default:
        snprintf(command, sizeof command, "SET k%d %d", (int)rng_below(&x->rng, 50), (int)rng_below(&x->rng, 50));
        run(w->f, command);
    }
}

static void random_run(uint64_t seed)
{
    struct chaos x = {.w = world_new()};
    rng_seed(&x.rng, seed);
    nd_repl_open_backlog(x.w->r, true);
    assert_true(nd_backlog_open(x.w->r->backlog, 1, &x.witness));
    x.w->f->e->config.repl_diskless_sync_delay_s = 1;
    for (int n = 0; n < 2000; n++) {
        chaos_step(&x);
        world_turn(x.w);
        read_all(&x);
        for (size_t i = 0; i < 8; i++)
            if (x.followers[i].c != NULL && x.followers[i].c->kills == 0)
                check_follower(&x, &x.followers[i]);
    }
    assert_true(x.w->f->e->stats.sync_full > 5);
    for (size_t i = 0; i < 8; i++)
        if (x.followers[i].c != NULL)
            follower_goes(&x.followers[i]);
    nd_backlog_close(&x.witness);
    buf_free(&x.all);
    world_free(x.w);
}

static void random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        random_run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
