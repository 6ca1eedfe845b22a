/* The voter, message by message. A cluster of three masters with two replicas each: 0 (1, 2), 3 (4, 5), 6 (7, 8); the
 * voter is 3, and those who ask are 1 and 2, for the slots of 0. */
#include "noded/cluster/state.h"
#include "tests/unit/cluster/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define VOTER 3

static struct world *w;
static struct cl_id voted_for[16];
static uint64_t voted_epoch[16];
static int votes; /* that were told */

static void watch(struct world *world, struct world_node *n, const struct cl_effects *fx)
{
    (void)world;
    for (size_t i = 0; i < fx->n && n->number == VOTER; i++) {
        struct cl_message m;
        const char *why;
        struct slice text = cl_effect_text(&fx->v[i]);
        const struct cl_node *to;
        if (fx->v[i].kind != CL_FX_SEND || cl_wire_read(text.p, text.n, &m, &why) != CL_READ_OK ||
            m.head.type != CL_AUTH_ACK)
            continue;
        for (size_t it = 0; (to = cl_each(n->core, &it)) != NULL;)
            if (to->link == fx->v[i].link)
                voted_for[votes] = to->id;
        voted_epoch[votes++] = m.head.current_epoch;
    }
}

static int setup(void **state)
{
    (void)state;
    w = world_new(21, 9, 1000);
    if (!world_form(w, 3, 2))
        return -1;
    votes = 0;
    w->watch = watch;
    /* The others neither ask nor vote: what the voter hears is made up here. */
    for (int i = 0; i < 9; i++)
        if (i != VOTER)
            w->nodes[i].core->set.no_failover = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(w);
    return 0;
}

static struct cl_node *voter_sees(int node)
{
    struct cl_id id = world_id(w, node);
    return cl_node_find(w->nodes[VOTER].core, &id);
}

struct request {
    int from;
    uint64_t epoch, config_epoch;
    bool force;
};

/* A request for a vote, as the replica would send it. */
static void ask(struct request r)
{
    struct buf out = {NULL, 0, 0};
    const struct cl_node *from = voter_sees(r.from);
    struct cl_header h = {.type = CL_AUTH_REQUEST,
                          .sender = from->id,
                          .current_epoch = r.epoch,
                          .config_epoch = r.config_epoch,
                          .flags = CL_REPLICA,
                          .message_flags = r.force ? CL_MSG_FORCE_ACK : 0};
    if (from->master != NULL) {
        h.master = from->master->id;
        h.slots = from->master->slots;
    }
    cl_wire_begin(&out, &h);
    cl_wire_end(&out);
    struct cl_event e = {.kind = CL_EV_MESSAGE, .link = from->incoming, .bytes = buf_slice(&out)};
    assert_true(from->incoming != 0);
    world_step(w, &w->nodes[VOTER], &e);
    buf_free(&out);
}

static void master_fails(void)
{
    struct cl_node *master = voter_sees(0);
    cl_flags_set(w->nodes[VOTER].core, master, CL_FAILED, 0);
    master->failed_us = w->now_us;
}

static uint64_t claim(void)
{
    return voter_sees(0)->config_epoch;
}

static void a_vote_is_told_when_it_is_on_disk(void **state)
{
    (void)state;
    master_fails();
    ask((struct request){1, 20, claim(), false});
    assert_int_equal(votes, 0);
    assert_int_equal(w->nodes[VOTER].disk_vote, 0);
    world_run(w, 20 * MS);
    assert_int_equal(votes, 1);
    assert_int_equal(voted_epoch[0], 20);
    assert_int_equal(w->nodes[VOTER].disk_vote, 20);
    struct cl_id one = world_id(w, 1);
    assert_true(cl_id_eq(&voted_for[0], &one));
}

static void one_vote_in_an_epoch(void **state)
{
    (void)state;
    master_fails();
    ask((struct request){1, 20, claim(), false});
    ask((struct request){2, 20, claim(), false});
    ask((struct request){1, 20, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 1);
    /* The file is all that a restart knows. */
    world_kill(w, VOTER);
    world_start(w, VOTER);
    world_run(w, 3000 * MS);
    master_fails();
    ask((struct request){2, 20, claim(), false});
    ask((struct request){2, 19, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 1);
    master_fails();
    ask((struct request){2, 21, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 2);
}

static void one_candidate_of_a_master_for_a_while(void **state)
{
    (void)state;
    master_fails();
    ask((struct request){1, 20, claim(), false});
    ask((struct request){2, 21, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 1);
    /* The same one again, for its first attempt may have failed for want of others. */
    ask((struct request){1, 22, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 2);
    world_run(w, 2000 * MS);
    master_fails();
    ask((struct request){2, 23, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 3);
}

/* Masters that fail together: their candidates' requests arrive in any order. */
static void an_older_epoch_that_is_free_is_good(void **state)
{
    (void)state;
    struct cl_node *third = voter_sees(6);
    master_fails();
    cl_flags_set(w->nodes[VOTER].core, third, CL_FAILED, 0);
    third->failed_us = w->now_us;
    ask((struct request){7, 31, third->config_epoch, false});
    ask((struct request){1, 30, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 2);
    assert_int_equal(voted_epoch[0] + voted_epoch[1], 61);
}

static void no_vote_against_a_master_that_works(void **state)
{
    (void)state;
    ask((struct request){1, 20, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 0);
    ask((struct request){1, 20, claim(), true});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 1);
}

/* Planted bug 3. */
static void no_vote_for_a_claim_that_is_overtaken(void **state)
{
    (void)state;
    master_fails();
    assert_true(claim() > 0);
    ask((struct request){1, 20, claim() - 1, false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 0);
    ask((struct request){1, claim(), claim(), false}); /* an epoch that is no newer than the claim */
    ask((struct request){1, CL_EPOCH_MAX, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 0);
    ask((struct request){1, 20, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 1);
}

static void masters_and_strangers_get_no_vote(void **state)
{
    (void)state;
    master_fails();
    ask((struct request){6, 20, 3, true});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 0);
}

static void a_refused_file_is_no_vote(void **state)
{
    (void)state;
    world_run(w, 500 * MS); /* until nothing is on its way to the disk from before */
    master_fails();
    w->nodes[VOTER].disk_fails = true;
    ask((struct request){1, 20, claim(), false});
    world_run(w, 20 * MS);
    w->nodes[VOTER].disk_fails = false;
    world_run(w, 3000 * MS);
    assert_int_equal(votes, 0);
    /* It may have reached the disk after all: that epoch is gone. */
    master_fails();
    ask((struct request){1, 20, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 0);
    ask((struct request){1, 21, claim(), false});
    world_run(w, 20 * MS);
    assert_int_equal(votes, 1);
}

static void count_requests(struct world *world, struct world_node *n, const struct cl_effects *fx)
{
    (void)world;
    for (size_t i = 0; i < fx->n && n->number == 1; i++) {
        struct cl_message m;
        const char *why;
        struct slice text = cl_effect_text(&fx->v[i]);
        bool read = fx->v[i].kind == CL_FX_SEND && cl_wire_read(text.p, text.n, &m, &why) == CL_READ_OK;
        votes += read && m.head.type == CL_AUTH_REQUEST;
    }
}

/* What was sent on the link before may have gone nowhere. */
static void a_new_link_asks_again(void **state)
{
    (void)state;
    struct cl_core *c = w->nodes[1].core;
    struct cl_id voter = world_id(w, VOTER);
    struct cl_event up = {.kind = CL_EV_LINK_UP, .link = cl_node_find(c, &voter)->link};
    w->watch = count_requests;
    world_step(w, &w->nodes[1], &up);
    assert_int_equal(votes, 0);
    c->election.stand = CL_STAND_ASKING;
    c->election.epoch = ++c->current_epoch;
    c->election.until_us = c->now_us + 1000 * MS;
    c->election.force = true;
    c->manual = (struct cl_manual){.end_us = c->now_us + 1000 * MS, .can_start = true};
    world_step(w, &w->nodes[1], &up);
    assert_int_equal(votes, 1);
}

#define VOTES(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOTES(a_vote_is_told_when_it_is_on_disk),
        VOTES(one_vote_in_an_epoch),
        VOTES(one_candidate_of_a_master_for_a_while),
        VOTES(an_older_epoch_that_is_free_is_good),
        VOTES(no_vote_against_a_master_that_works),
        VOTES(no_vote_for_a_claim_that_is_overtaken),
        VOTES(masters_and_strangers_get_no_vote),
        VOTES(a_refused_file_is_no_vote),
        VOTES(a_new_link_asks_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
