/* What a supervisor may do before it knows who else there is: with an empty state directory, and with a group that it
 * was given at run time. */
#include "sentineld/core/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define OTHER "00000000000000000000000000000000000000bb"
#define THIRD "00000000000000000000000000000000000000cc"
#define MS(ms) ((int64_t)(ms)*1000)
#define BEGIN MS(1000)

static struct begun {
    struct sn_core *core;
    struct sn_effects fx;
    int64_t now_us;
} b;

static void step(struct sn_event *e)
{
    e->now_us = b.now_us;
    sn_effects_clear(&b.fx);
    sn_step(b.core, e, &b.fx);
}

static void wait_ms(int64_t ms)
{
    struct sn_event tick = {.kind = SN_EV_TICK};
    b.now_us += MS(ms);
    step(&tick);
}

/* All that was issued is on disk. What comes out is in b.fx. */
static void persist(void)
{
    struct sn_event e = {.kind = SN_EV_PERSISTED, .seq = b.core->issued};
    step(&e);
}

static void add_group(const char *name, int64_t quorum)
{
    struct sn_settings set;
    sn_settings_init(&set);
    set.quorum = quorum;
    struct sn_core_group g = {.name = name, .settings = &set};
    addr_set(&g.master, slice_of("10.0.0.1"), 6379);
    assert_true(sn_core_add_group(b.core, &g, b.now_us, &b.fx));
    sn_settings_free(&set);
}

/* declared: of the list of `supervisors`, without oneself. quorum 0: it has no group. */
static void begin_among(size_t declared, bool joined, bool id_drawn, int64_t quorum)
{
    struct addr others[2];
    addr_set(&others[0], slice_of("10.0.0.8"), 26379);
    addr_set(&others[1], slice_of("10.0.0.9"), 26379);
    char nothing[] = "";
    struct sn_core_options o = {.port = 26379, .joined = joined, .id_drawn = id_drawn, .current_epoch = joined ? 4 : 0};
    o.globals = (struct sn_globals){.announce_ip = nothing, .user = nothing, .pass = nothing, .loglevel = nothing};
    sn_params_default(&o.params);
    memcpy(o.id, ID, sizeof o.id);
    o.declared = others;
    o.ndeclared = declared;
    b = (struct begun){.now_us = BEGIN};
    b.core = sn_core_new(&o, b.now_us);
    if (quorum > 0)
        add_group("g", quorum);
    wait_ms(0);
    persist();
}

static void begin(bool joined, bool id_drawn, int64_t quorum)
{
    begin_among(0, joined, id_drawn, quorum);
}

static int end(void **state)
{
    (void)state;
    sn_effects_free(&b.fx);
    sn_core_free(b.core);
    return 0;
}

static const struct sn_effect *find(enum sn_effect_kind kind)
{
    for (size_t i = 0; i < b.fx.n; i++)
        if (b.fx.v[i].kind == kind)
            return &b.fx.v[i];
    return NULL;
}

/* A stock supervisor asks for our vote. Returns whether it is given. */
static bool gives_its_vote(uint64_t epoch)
{
    struct sn_ballot ballot = {.verb = SN_BALLOT_VOTE, .down = true, .epoch = epoch};
    addr_set(&ballot.master, slice_of("10.0.0.1"), 6379);
    struct sn_event e = {.kind = SN_EV_BALLOTS, .token = 1, .stock = true, .ballots = &ballot, .count = 1};
    e.epoch = epoch;
    e.text = slice_of(OTHER);
    step(&e);
    if (find(SN_FX_ANSWER_BALLOTS) == NULL)
        persist();
    const struct sn_effect *answer = find(SN_FX_ANSWER_BALLOTS);
    assert_non_null(answer);
    return answer->opinions[0].leader_epoch == epoch && strcmp(answer->opinions[0].leader, OTHER) == 0;
}

static void an_empty_state_under_an_old_id_waits_with_a_quorum_of_one_too(void **state)
{
    (void)state;
    begin(false, false, 1);
    assert_false(gives_its_vote(3));
    wait_ms(2 * b.core->params.publish_period_ms - 1);
    assert_false(gives_its_vote(3));
    wait_ms(1);
    assert_false(gives_its_vote(3)); /* it has heard of this epoch, and may have voted in it */
    assert_true(gives_its_vote(4));
}

static void an_empty_state_under_a_new_id_has_never_voted(void **state)
{
    (void)state;
    begin(false, true, 1);
    assert_true(gives_its_vote(3));
}

static void say_hello(const char *id, const char *host, sn_link by)
{
    char text[200];
    snprintf(text, sizeof text, "%s,26379,%s,7,g,10.0.0.1,6379,0", host, id);
    struct sn_event e = {.kind = SN_EV_HELLO, .link = by, .text = slice_of(text)};
    step(&e);
}

/* A node may pass on a hello of long ago, when it was stopped meanwhile. */
static void only_what_peers_tell_themselves_counts(void **state)
{
    (void)state;
    begin(false, false, 2);
    const struct sn_group *g = sn_group_find(b.core, slice_of("g"));
    say_hello(OTHER, "10.0.0.8", 99);
    say_hello(THIRD, "10.0.0.9", 99);
    assert_int_equal(g->nseats, 2);
    assert_false(g->heard);
    assert_false(gives_its_vote(9));
    say_hello(OTHER, "10.0.0.8", 0);
    assert_false(g->heard);
    say_hello(THIRD, "10.0.0.9", 0);
    assert_true(g->heard);
    assert_false(gives_its_vote(9)); /* it has heard of it, so it may have voted in it */
    assert_true(gives_its_vote(10));
}

/* A hello of ours under the id that we had before: it is nobody's to be counted. */
static void a_former_self_is_no_other_supervisor(void **state)
{
    (void)state;
    begin(false, true, 2);
    const struct sn_group *g = sn_group_find(b.core, slice_of("g"));
    struct sn_event up = {
        .kind = SN_EV_LINK_UP, .link = g->master->node->cmd.link, .ip = "10.0.0.1", .local_ip = "10.0.0.7"};
    step(&up);
    say_hello(OTHER, "10.0.0.7", 99);
    assert_int_equal(g->nseats, 0);
    say_hello(OTHER, "10.0.0.8", 99);
    assert_int_equal(g->nseats, 1);
}

/* Before our own address is known such a hello cannot be told from others; the answer of that peer shows it. */
static void a_peer_that_has_our_id_is_removed(void **state)
{
    (void)state;
    begin(false, true, 2);
    const struct sn_group *g = sn_group_find(b.core, slice_of("g"));
    say_hello(OTHER, "10.0.0.7", 99);
    assert_int_equal(g->nseats, 1);
    struct sn_event up = {.kind = SN_EV_LINK_UP, .link = g->seats[0]->peer->cmd.link, .ip = "10.0.0.7"};
    step(&up);
    struct sn_event told = {.kind = SN_EV_PROBED, .link = up.link, .ok = true, .text = slice_of(ID)};
    step(&told);
    assert_int_equal(g->nseats, 0);
    assert_int_equal(b.core->npeers, 0);
}

static void a_state_that_is_there_needs_nobody(void **state)
{
    (void)state;
    begin(true, false, 2);
    assert_false(gives_its_vote(3));
    assert_true(gives_its_vote(4)); /* nothing of this epoch is in the state, so no vote was given in it */
}

static void monitor(int64_t quorum)
{
    struct sn_event e = {.kind = SN_EV_MONITOR, .token = 2, .group = slice_of("h"), .number = quorum};
    addr_set(&e.addr, slice_of("10.0.0.2"), 6379);
    step(&e);
    persist();
    assert_int_equal(find(SN_FX_ANSWER)->answer, SN_ANSWER_OK);
}

/* The removal is issued and not yet on disk; a vote that is given then waits for a disk that holds it. */
static void a_vote_that_meets_a_removal_is_written(void **state)
{
    (void)state;
    begin(true, false, 2);
    struct sn_event e = {.kind = SN_EV_REMOVE, .token = 2, .group = slice_of("g")};
    step(&e);
    struct sn_ballot ballot = {.verb = SN_BALLOT_VOTE, .down = true, .epoch = 6};
    addr_set(&ballot.master, slice_of("10.0.0.1"), 6379);
    struct sn_event asked = {.kind = SN_EV_BALLOTS, .token = 1, .stock = true, .ballots = &ballot, .count = 1};
    asked.text = slice_of(OTHER);
    step(&asked);
    const struct sn_effect *written = find(SN_FX_PERSIST);
    assert_non_null(written);
    const struct sn_record *row = NULL;
    for (size_t i = 0; i < written->count; i++)
        if (written->records[i].kind == SN_REC_GROUP)
            row = &written->records[i];
    if (row == NULL) {
        fail_msg("the group is not written");
        return;
    }
    assert_int_equal(row->vote_epoch, 6);
    assert_string_equal(row->vote_leader, OTHER);
    assert_false(row->monitored); /* or the group would come back with it */
    persist();
    assert_null(sn_group_find(b.core, slice_of("g")));
}

/* The same with a file that names another master: what is written meanwhile has the new one, or the disk would go back.
 */
static void a_vote_that_meets_another_master_is_written_with_it(void **state)
{
    (void)state;
    begin(true, false, 1);
    struct sn_reload *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->add = calloc(1, sizeof *r->add);
    assert_non_null(r->add);
    r->nadd = 1;
    r->add[0].name = strdup("g");
    sn_settings_init(&r->add[0].settings);
    addr_set(&r->add[0].master, slice_of("10.0.0.2"), 6379);
    struct sn_event e = {.kind = SN_EV_RELOAD, .token = 2, .reload = r};
    step(&e);
    assert_int_equal(b.core->current_epoch, 5); /* that of the new configuration */
    struct sn_ballot ballot = {.verb = SN_BALLOT_VOTE, .down = true, .epoch = 6};
    addr_set(&ballot.master, slice_of("10.0.0.1"), 6379);
    struct sn_event asked = {.kind = SN_EV_BALLOTS, .token = 1, .stock = true, .ballots = &ballot, .count = 1};
    asked.text = slice_of(OTHER);
    step(&asked);
    const struct sn_effect *written = find(SN_FX_PERSIST);
    assert_non_null(written);
    for (size_t i = 0; i < written->count; i++) {
        const struct sn_record *row = &written->records[i];
        if (row->kind != SN_REC_GROUP)
            continue;
        assert_string_equal(row->master.host, "10.0.0.2");
        assert_int_equal(row->config_epoch, 5);
        assert_int_equal(row->vote_epoch, 6);
    }
    persist();
    const struct sn_group *g = sn_group_find(b.core, slice_of("g"));
    assert_string_equal(g->master->node->addr.host, "10.0.0.2");
    assert_true(g->config_seq > b.core->persisted); /* not told before the last word about it is on disk */
}

static void a_group_of_run_time_gives_no_vote_of_before(void **state)
{
    (void)state;
    begin(true, false, 0);
    monitor(1);
    const struct sn_group *g = sn_group_find(b.core, slice_of("h"));
    assert_int_equal(g->vote_epoch, 4);
    assert_string_equal(g->vote_leader, "");
}

static void a_group_of_run_time_meets_the_others_first(void **state)
{
    (void)state;
    begin(true, false, 0);
    monitor(1);
    const struct sn_group *g = sn_group_find(b.core, slice_of("h"));
    assert_int_equal(g->meet_us, BEGIN + 5 * MS(b.core->params.publish_period_ms));
}

static void those_of_the_list_are_known(void **state)
{
    (void)state;
    begin_among(2, true, false, 0);
    monitor(1);
    const struct sn_group *g = sn_group_find(b.core, slice_of("h"));
    assert_int_equal(g->nseats, 2);
    assert_int_equal(g->meet_us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_empty_state_under_an_old_id_waits_with_a_quorum_of_one_too, end),
        cmocka_unit_test_teardown(an_empty_state_under_a_new_id_has_never_voted, end),
        cmocka_unit_test_teardown(only_what_peers_tell_themselves_counts, end),
        cmocka_unit_test_teardown(a_former_self_is_no_other_supervisor, end),
        cmocka_unit_test_teardown(a_peer_that_has_our_id_is_removed, end),
        cmocka_unit_test_teardown(a_state_that_is_there_needs_nobody, end),
        cmocka_unit_test_teardown(a_vote_that_meets_a_removal_is_written, end),
        cmocka_unit_test_teardown(a_vote_that_meets_another_master_is_written_with_it, end),
        cmocka_unit_test_teardown(a_group_of_run_time_gives_no_vote_of_before, end),
        cmocka_unit_test_teardown(a_group_of_run_time_meets_the_others_first, end),
        cmocka_unit_test_teardown(those_of_the_list_are_known, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
