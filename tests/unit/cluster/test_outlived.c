/* Masters that were replaced under supervisors, while slots of theirs were on their way or when they had none left:
 * they get no lease again, so whoever has their place has to end what they began. */
#include "tests/unit/cluster/moves.h"
#include "tests/unit/cluster/supervised.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SLOT 7 /* of node 0, which has 0 to 5460 */
#define LAST 5460

static void cut_off(struct world *w, int node, bool cut)
{
    for (int i = 0; i < w->nnodes; i++)
        if (i != node)
            world_cut(w, node, i, cut);
}

/* What a ballot comes to that names the master at hand. */
static bool confirmed(struct world *w, int node, uint64_t epoch)
{
    struct cl_id id = world_id(w, node);
    return take_over(w, node, epoch, &id, 1, 2, 0);
}

static bool wants_epoch(struct world *w, void *arg)
{
    struct cl_lease_state s;
    cl_lease_state(w->nodes[*(int *)arg].core, w->now_us, &s);
    return s.wants_epoch > 0;
}

static bool follows_the_next(struct world *w, void *arg)
{
    int node = *(int *)arg;
    struct cl_id next = world_id(w, node + 1);
    const struct cl_node *master = w->nodes[node].core->me->master;
    return master != NULL && cl_id_eq(&master->id, &next);
}

/* The target refuses, the source has its slots again and dies; its replica knows only that they were granted, and is
 * promoted before it hears of anything else. */
static void slots_that_came_back_to_a_dead_source(void **state)
{
    (void)state;
    int source = 0, heir = 1;
    struct world *w = adopted(1, 1);
    struct cl_id from = world_id(w, source);
    assert_true(confirmed(w, 2, 10));
    world_run(w, 300 * MS);
    w->data = WORLD_LOSES_GRANTS;
    assert_true(migrate(w, source, 2, 0, LAST));
    assert_true(reaches(w, source, CL_JOB_GRANTED, 1000 * MS));
    assert_true(has_a_record(w, &heir));
    cut_off(w, heir, true);
    assert_true(world_until(w, wants_epoch, &source, 1000 * MS));
    assert_true(confirmed(w, source, 11));
    assert_true(world_until(w, has_no_record, &source, 1000 * MS));
    world_run(w, 100 * MS);
    world_kill(w, source);
    assert_true(take_over(w, heir, 12, &from, 1, 2, 0));
    assert_true(world_until(w, is_promoted, &heir, 1000 * MS));
    assert_true(has_a_record(w, &heir));
    assert_int_equal(w->nodes[heir].core->me->nslots, 0);
    /* The target, which would answer it, is still out of reach when the source comes back with its claim. */
    world_start(w, source);
    world_cut(w, heir, source, false);
    assert_true(world_until(w, has_no_record, &heir, 1000 * MS));
    assert_int_equal(w->nodes[heir].core->me->nslots, LAST + 1);
    assert_false(cl_bit(w->nodes[heir].dropped, SLOT));
    cut_off(w, heir, false);
    assert_true(world_until(w, follows_the_next, &source, 5000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    assert_int_equal(world_owner(w, 4, SLOT), heir);
    world_free(w);
}

static bool has_nothing(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].core->me->nslots == 0;
}

/* false: the source lost the link before it heard why; then the migration has failed, and has to be asked for again. */
static bool goes_on_to_the_heir(uint64_t seed)
{
    int old = 0, heir = 1, seen = 2;
    struct world *w = adopted(seed, 1);
    struct cl_id from = world_id(w, old);
    struct cl_settings stay = w->nodes[old].core->set;
    stay.allow_migration = false;
    world_settings(w, old, &stay);
    world_settings(w, heir, &stay);
    assert_true(confirmed(w, 2, 10));
    world_run(w, 300 * MS);
    assert_true(migrate(w, old, 2, 0, LAST));
    assert_true(reaches(w, old, CL_JOB_SUCCESS, 1500 * MS));
    assert_true(world_until(w, has_nothing, &old, 1000 * MS));
    world_run(w, 200 * MS);
    assert_true(cl_is_master(w->nodes[old].core));
    cut_off(w, old, true);
    assert_true(take_over(w, heir, 12, &from, 1, 2, 0));
    assert_true(world_until(w, is_promoted, &heir, 1000 * MS));
    world_run(w, 3000 * MS);
    cut_off(w, old, false);
    world_run(w, 500 * MS);
    lease(w, 2);
    lease(w, heir);
    assert_true(migrate(w, 2, old, 0, 99));
    for (int i = 0; i < 80 && world_owner(w, seen, SLOT) != heir; i++) {
        lease(w, 2);
        lease(w, heir);
        world_run(w, 100 * MS);
    }
    bool went_on = world_owner(w, seen, SLOT) == heir;
    if (!went_on)
        assert_string_equal(last_job(w, 2)->message, "The link was lost");
    assert_true(follows_the_next(w, &old));
    world_free(w);
    return went_on;
}

/* Neither it nor its successor has slots: nothing that the other claims tells it. What is on its way to it goes on to
 * who has its place. */
static void a_master_that_is_replaced_without_slots(void **state)
{
    (void)state;
    uint64_t seed = 2;
    while (!goes_on_to_the_heir(seed))
        assert_true(++seed < 20);
}

static bool knows_its_heir(struct world *w, void *arg)
{
    int node = *(int *)arg;
    return world_owner(w, node, LAST) == node + 1;
}

/* It hears from its heir that it was replaced, and not yet that the heir has given slots away since; by a ballot the
 * heir's epoch is above that of who has them. */
static void who_comes_back_takes_no_slots_from_others(void **state)
{
    (void)state;
    int old = 0, heir = 1, now = 2;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *w = adopted(seed, 1);
        struct cl_id from = world_id(w, old);
        world_kill(w, old);
        assert_true(take_over(w, heir, 10, &from, 1, 2, 0));
        assert_true(world_until(w, is_promoted, &heir, 1000 * MS));
        assert_true(confirmed(w, now, 11));
        world_run(w, 300 * MS);
        assert_true(migrate(w, heir, now, 0, 9));
        assert_true(reaches(w, now, CL_JOB_SUCCESS, 1500 * MS));
        assert_true(confirmed(w, heir, 12));
        world_run(w, 300 * MS);
        cut_off(w, old, true);
        world_cut(w, old, heir, false);
        world_start(w, old);
        assert_true(world_until(w, knows_its_heir, &old, 3000 * MS));
        world_cut(w, old, heir, true);
        world_cut(w, old, now, false);
        world_run(w, 2000 * MS);
        assert_int_equal(world_owner(w, now, SLOT), now);
        assert_false(cl_bit(w->nodes[now].dropped, SLOT));
        assert_int_equal(world_owner(w, old, SLOT), now);
        world_free(w);
    }
}

/* What the master of a shard says to its replica on its own link, as it was at one time. */
struct heard {
    int from, to;
    bool with_state; /* it tells the version of the shard's state */
    struct buf bytes;
};

static bool tells_state(struct slice bytes)
{
    const char *why;
    struct cl_message m;
    struct slice body;
    int type;
    bool told = false;
    assert_int_equal(cl_wire_read(bytes.p, bytes.n, &m, &why), CL_READ_OK);
    for (struct slice rest = m.extensions; cl_wire_extension(&rest, &type, &body);)
        told = told || type == CL_EXT_STATE;
    return told;
}

static void overhear(struct world *w, struct world_node *n, const struct cl_effects *fx)
{
    struct heard *h = w->watcher;
    struct cl_id id = world_id(w, h->to);
    const struct cl_node *to = n->number == h->from ? cl_node_find(n->core, &id) : NULL;
    for (size_t i = 0; to != NULL && i < fx->n; i++) {
        struct slice bytes = cl_effect_text(&fx->v[i]);
        if (fx->v[i].kind != CL_FX_SEND || fx->v[i].link != to->link || tells_state(bytes) != h->with_state)
            continue;
        buf_clear(&h->bytes);
        buf_put(&h->bytes, bytes.p, bytes.n);
    }
}

/* The same from before it became a master: an older epoch, and whom it followed. */
static void hear_as_a_replica(struct world *w, int node, cl_link link, struct slice bytes, const struct cl_id *of)
{
    char text[CL_ID_DIGITS + 1];
    struct buf older = {0};
    buf_put(&older, bytes.p, bytes.n);
    memset(older.p + 16, 0, 8);
    older.p[23] = 1;
    memcpy(older.p + 2128, cl_id_text(of, text), CL_ID_DIGITS);
    world_step(w, &w->nodes[node], &(struct cl_event){.kind = CL_EV_MESSAGE, .link = link, .bytes = buf_slice(&older)});
    buf_free(&older);
}

/* There are two links between two nodes. Under supervisors slots come to a master at the epoch that it has, so of two
 * claims at one epoch the older one may come last. */
static void an_older_claim_that_comes_late_is_not_believed(bool with_state)
{
    int master = 2, heir = 3;
    struct heard old = {.from = master, .to = heir, .with_state = with_state};
    struct world *w = adopted(1, 1);
    struct cl_id from = world_id(w, master);
    w->watcher = &old;
    w->watch = overhear;
    assert_true(confirmed(w, master, 10));
    for (int i = 0; i < 10; i++) {
        lease(w, master);
        lease(w, 0);
        world_run(w, 200 * MS);
    }
    w->watch = NULL;
    assert_true(old.bytes.n > 0);
    assert_true(migrate(w, 0, master, 0, 9));
    assert_true(reaches(w, master, CL_JOB_SUCCESS, 1000 * MS));
    world_run(w, 1500 * MS);
    struct cl_core *c = w->nodes[heir].core;
    const struct cl_node *told_by = cl_node_find(c, &from);
    assert_true(cl_owner(c, SLOT) == told_by && !cl_bit(c->unclaimed, SLOT));
    struct cl_id other = world_id(w, 0);
    hear_as_a_replica(w, heir, told_by->incoming, buf_slice(&old.bytes), &other);
    struct cl_event late = {.kind = CL_EV_MESSAGE, .link = told_by->incoming, .bytes = buf_slice(&old.bytes)};
    world_step(w, &w->nodes[heir], &late);
    assert_false(cl_bit(c->unclaimed, SLOT));
    world_kill(w, master);
    assert_true(take_over(w, heir, 12, &from, 1, 2, 0));
    assert_true(world_until(w, is_promoted, &heir, 1000 * MS));
    assert_int_equal(world_owner(w, heir, SLOT), heir);
    buf_free(&old.bytes);
    world_free(w);
}

static void a_claim_of_an_older_version_of_the_state(void **state)
{
    (void)state;
    an_older_claim_that_comes_late_is_not_believed(true);
}

static void a_claim_that_tells_no_version(void **state)
{
    (void)state;
    an_older_claim_that_comes_late_is_not_believed(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_that_came_back_to_a_dead_source),
        cmocka_unit_test(a_master_that_is_replaced_without_slots),
        cmocka_unit_test(who_comes_back_takes_no_slots_from_others),
        cmocka_unit_test(a_claim_of_an_older_version_of_the_state),
        cmocka_unit_test(a_claim_that_tells_no_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
