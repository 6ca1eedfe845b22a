/* Swaps of databases in the whole core of one supervisor: two others and the nodes of a cluster do what a test says. */
#include "sentineld/core/select.h"
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MASTERS 3
#define WORDS 64

static const char *const peers[PEERS] = {"00000000000000000000000000000000000000b1",
                                         "ffffffffffffffffffffffffffffffffffffffb2"};

static struct {
    struct sn_swap has[PEERS];
    bool votes, accepts[4]; /* by value */
    const char *says;       /* the first master to PREPARE; NULL: yes */
    bool deaf;              /* masters do not hear APPLY and ABORT */
    struct sn_swap_word words[WORDS];
    size_t at;
    bool (*others)(const struct sn_effect *fx);
} w;

static const struct sn_swapping *swap(void)
{
    return &lab.core->fleets[0]->swap;
}

/* ---- peers and nodes ---- */

static void peer_hears(const struct sn_effect *fx, const struct sn_peer *p)
{
    static const char *const verbs[] = {"STAND", "ACCEPT", "TELL"};
    int k = p->addr.host[7] - '8';
    struct sn_swap *has = &w.has[k];
    const struct sn_swap_word *q = fx->swap;
    struct sn_swap_word *answer = &w.words[w.at++ % WORDS];
    *answer = (struct sn_swap_word){
        .verb = q->verb, .list = 1, .epoch = q->epoch, .yes = true, .lists = slice_of(LEASE_LIST)};
    if (q->verb == SN_SWAP_STAND)
        answer->yes = w.votes && (sn_swap_promise(has, q->epoch) || has->promised == q->epoch);
    else if (q->verb == SN_SWAP_ACCEPT)
        answer->yes = w.accepts[q->has.entry.value] && sn_swap_accept(has, q->epoch, &q->has.entry);
    else
        sn_swap_learn(has, &q->has);
    answer->has = *has;
    buf_printf(&lab.sent, "%s peer%d %s%s\n", verbs[q->verb], k, sn_swap_value_name(q->has.entry.value),
               q->has.entry.decided ? " decided" : "");
    struct sn_event e = {.kind = SN_EV_SWAP_ANSWER, .link = fx->link, .group = slice_of("orders"), .swap = answer};
    lab_push(&e, NULL);
}

static uint64_t number(const char *word)
{
    return word ? strtoull(word, NULL, 10) : 0;
}

static void node_hears(const struct sn_effect *fx, int k)
{
    struct lease_node *n = &lease.nodes[k];
    struct sn_event e = {.kind = SN_EV_ACK, .link = fx->link, .command = fx->command, .ok = true};
    char text[64] = "OK";
    buf_printf(&lab.sent, "%s %d", fx->argv[0], lab.nodes[k].port);
    for (char **v = fx->argv + 1; *v; v++)
        buf_printf(&lab.sent, " %s", *v);
    buf_puts(&lab.sent, "\n");
    if (!lab.nodes[k].alive || (w.deaf && fx->command != SN_CMD_DBMAP_PREPARE))
        return;
    if (fx->command == SN_CMD_DBMAP_PREPARE && k == 0 && w.says) {
        e.ok = false;
        lab_push(&e, w.says);
        return;
    }
    if (fx->command == SN_CMD_DBMAP_PREPARE) {
        n->prepared = n->mapping + 1;
        n->ballot = number(fx->argv[6]);
        n->request = 0;
        snprintf(text, sizeof text, "YES %d %s", (int)lab.nodes[k].epoch, fx->argv[6]);
    } else if (fx->command == SN_CMD_DBMAP_APPLY) {
        n->mapping = number(fx->argv[4]);
        n->prepared = 0;
        snprintf(text, sizeof text, "APPLIED %s", fx->argv[4]);
    } else if (fx->command == SN_CMD_DBMAP_ABORT) {
        n->prepared = 0;
        snprintf(text, sizeof text, "ABORTED %s", fx->argv[4]);
    }
    lab_push(&e, text);
}

static bool on_send(const struct sn_effect *fx)
{
    const struct sn_conn *conn = sn_conn_of(lab.core, fx->link);
    if (conn && fx->command == SN_CMD_SWAP) {
        peer_hears(fx, conn->owner);
        return true;
    }
    if (conn && fx->command >= SN_CMD_DBMAP_PREPARE && fx->command <= SN_CMD_DBMAP_DONE) {
        node_hears(fx, ((const struct sn_node *)conn->owner)->addr.port - 7001);
        return true;
    }
    return w.others(fx);
}

/* ---- the test's side ---- */

static void begin(void)
{
    memset(&w, 0, sizeof w);
    w.votes = true;
    for (int v = 0; v < 4; v++)
        w.accepts[v] = true;
    lease_begin(&(struct lease_begin){.supervised = true, .version = 1, .counted = true});
    w.others = lab.on_send;
    lab.on_send = on_send;
    lab_run(1000);
    lease_forget();
}

static void order(int a, int b)
{
    struct sn_event e = {.kind = SN_EV_SWAPDB, .token = 7, .group = slice_of("orders"), .databases = {a, b}};
    if (lab.answer)
        sn_effect_free(lab.answer);
    free(lab.answer);
    lab.answer = NULL;
    lab_step(&e);
}

static size_t sent(const char *part)
{
    return lab_count(&lab.sent, part);
}

static void answered(const char *part)
{
    assert_non_null(lab.answer);
    if (!part)
        assert_int_equal(lab.answer->answer, SN_ANSWER_OK);
    else if (lab.answer->answer != SN_ANSWER_ERROR || !strstr(lab.answer->text, part))
        fail_msg("'%s' is not in '%s'", part, lab.answer->text ? lab.answer->text : "OK");
}

/* Another supervisor says something; what we answer. */
static const struct sn_swap_word *hear(int peer, enum sn_swap_verb verb, uint64_t epoch, const struct sn_swap *has)
{
    struct sn_swap_word q = {
        .verb = verb, .list = 1, .epoch = epoch, .config = 1000, .has = *has, .lists = slice_of(LEASE_LIST)};
    struct sn_event e = {.kind = SN_EV_SWAP, .token = 8, .text = slice_of(peers[peer]), .epoch = epoch};
    e.group = slice_of("orders");
    e.swap = &q;
    if (lab.answer)
        sn_effect_free(lab.answer);
    free(lab.answer);
    lab.answer = NULL;
    lab_step(&e);
    lab_run(5);
    return lab.answer && lab.answer->kind == SN_FX_ANSWER_SWAP ? lab.answer->swap : NULL;
}

static struct sn_swap begun_at(uint64_t epoch)
{
    return (struct sn_swap){.promised = epoch,
                            .accepted = epoch,
                            .entry = {.value = SN_SWAP_BEGUN, .step = {.version = 1, .begun = epoch, .a = 1, .b = 2}}};
}

static struct sn_swap decided_at(uint64_t epoch, uint64_t version)
{
    struct sn_swap has = begun_at(epoch);
    has.entry.value = SN_SWAP_COMMIT;
    has.entry.decided = true;
    has.entry.step.version = version;
    if (version > 1)
        has.entry.before = (struct sn_swap_step){.version = version - 1, .begun = epoch - 1, .a = 3, .b = 4};
    return has;
}

/* ---- the course of an attempt ---- */

static void all_masters_make_it(void **state)
{
    (void)state;
    begin();
    order(1, 2);
    lab_run(100);
    answered(NULL);
    assert_int_equal(sent("STAND peer"), PEERS);
    assert_int_equal(sent("ACCEPT peer0 begun"), 1);
    assert_int_equal(sent("ACCEPT peer0 commit"), 1);
    assert_int_equal(sent("TELL peer1 commit decided"), 1);
    assert_int_equal(sent("PREPARE 700"), MASTERS);
    assert_int_equal(sent("APPLY 700"), MASTERS);
    for (int k = 0; k < MASTERS; k++)
        assert_int_equal(lease.nodes[k].mapping, 1);
    assert_int_equal(lab_count(&lab.events, "+swapdb-begin orders 1 2 epoch 1"), 1);
    assert_int_equal(lab_count(&lab.events, "+swapdb-commit orders 1 2 epoch 1"), 1);
    assert_int_equal(lab_count(&lab.events, "+swapdb-done orders 1 2 epoch 1"), 1);
    assert_int_equal(swap()->done, 1);
    order(3, 4);
    lab_run(300);
    answered(NULL);
    assert_int_equal(lease.nodes[2].mapping, 2);
}

static void nothing_is_told_before_it_is_on_disk(void **state)
{
    (void)state;
    begin();
    lab.disk_holds = true;
    order(1, 2);
    lab_run(50);
    assert_int_equal(sent("STAND"), 0);
    lease_disk(true);
    lab_run(5);
    assert_int_equal(sent("STAND"), PEERS);
    assert_int_equal(sent("ACCEPT"), 0);
    lease_disk(true);
    lab_run(5);
    assert_int_equal(sent("ACCEPT peer0 begun"), 1);
    assert_int_equal(sent("PREPARE"), MASTERS);
    assert_int_equal(sent("APPLY"), 0); /* all said yes, and nothing more is on disk */
    struct sn_swap has = begun_at(99);
    assert_null(hear(0, SN_SWAP_STAND, 99, &has));
    lease_disk(false);
    assert_non_null(lab.answer);
    assert_false(lab.answer->swap->yes);
    assert_int_equal(lab.answer->swap->list, 0);
}

static void a_master_that_refuses_ends_it(void **state)
{
    (void)state;
    begin();
    w.says = "ERR DB index is out of range";
    order(1, 99);
    lab_run(300);
    answered("DB index is out of range");
    assert_int_equal(sent("APPLY"), 0);
    assert_int_equal(sent("ABORT 7002"), 1);
    assert_int_equal(lease.nodes[1].prepared, 0);
    w.says = NULL;
    order(1, 2); /* the same epoch of the mapping, another attempt */
    lab_run(300);
    answered(NULL);
    assert_int_equal(lease.nodes[0].mapping, 1);
}

static void without_a_majority_nothing_is_decided(void **state)
{
    (void)state;
    begin();
    w.accepts[SN_SWAP_COMMIT] = false;
    order(1, 2);
    lab_run(400);
    assert_int_equal(sent("PREPARE"), MASTERS);
    assert_int_equal(sent("APPLY"), 0);
    assert_int_equal(sent("ABORT"), 0);
    assert_null(lab.answer);
    w.accepts[SN_SWAP_COMMIT] = true; /* what we have accepted ourselves decides: the next ballot finds it */
    lab_run(5000);
    answered(NULL);
    assert_int_equal(lease.nodes[0].mapping, 1);
}

/* A new master waits for the end of its former's lease, which takes writes meanwhile. */
static void a_master_without_a_lease_is_waited_for(void **state)
{
    (void)state;
    begin();
    lease.nodes[0].lease_ms = 0;
    lab_run(100);
    lab_forget_logs();
    order(1, 2);
    lab_run(300);
    assert_int_equal(sent("STAND"), 0);
    lease.nodes[0].lease_ms = LEASE_MS;
    lab_run(300);
    answered(NULL);
    assert_int_equal(sent("PREPARE 700"), MASTERS);
}

/* Our memory was lost while a shard was down, and no node remembers it: it would miss the swap. */
static void a_cluster_that_is_not_known_whole_is_not_swapped(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    lease_begin(&(struct lease_begin){.supervised = true, .version = 1, .counted = true});
    w.others = lab.on_send;
    w.votes = true;
    lab.on_send = on_send;
    lab.nodes[2].listed = lab.nodes[5].listed = false;
    lab.nodes[2].alive = lab.nodes[5].alive = false;
    lab_run(1000);
    lease_forget();
    assert_int_equal(lab.core->fleets[0]->nshards, MASTERS - 1);
    order(1, 2);
    lab_run(4000);
    answered("the cluster has slots of which no master is known");
    assert_int_equal(sent("STAND"), 0);
}

static void the_truth_about_one_that_is_not_everywhere(void **state)
{
    (void)state;
    begin();
    w.deaf = true;
    order(1, 2);
    lab_run(9000);
    assert_null(lab.answer);
    lab_run(2000);
    answered("committed but not applied everywhere yet");
    assert_true(sent("APPLY 7001 1 2 EPOCH 1") > 10);
    w.deaf = false;
    lab_run(1000);
    assert_int_equal(lease.nodes[0].mapping, 1);
    assert_int_equal(swap()->done, 1);
}

static void orders_that_cannot_be(void **state)
{
    (void)state;
    begin();
    order(1, 1);
    answered("with itself");
    w.votes = false;
    order(1, 2);
    lab_run(4000);
    answered("was not begun, and nothing has changed");
    assert_int_equal(sent("PREPARE"), 0);
}

static void a_clients_wish_is_taken_up(void **state)
{
    (void)state;
    begin();
    lease.nodes[1].request = 4711;
    lab_run(500);
    assert_int_equal(sent("PREPARE 700"), MASTERS);
    assert_int_equal(sent(" REQUEST 4711"), 1);
    assert_int_equal(sent("DONE 7002 EPOCH 1"), 1);
    assert_int_equal(lease.nodes[0].mapping, 1);
    lab_run(1000);
    assert_int_equal(lease.nodes[0].mapping, 1); /* once */
}

/* ---- what others do ---- */

static void an_open_attempt_is_ended(void **state)
{
    (void)state;
    begin();
    struct sn_swap has = begun_at(50);
    w.has[0] = has;
    assert_true(hear(0, SN_SWAP_STAND, 50, &(struct sn_swap){.promised = 50})->yes);
    const struct sn_swap_word *answer = hear(0, SN_SWAP_ACCEPT, 50, &has);
    assert_true(answer->yes);
    assert_int_equal(answer->has.entry.value, SN_SWAP_BEGUN);
    /* W1: until it is ended no master changes. */
    lease_ballot(1, SN_BALLOT_VOTE, 60, 3);
    lab_run(5);
    assert_string_not_equal(lease_answer()->leader, peers[1]);
    lab_run(1000);
    assert_int_equal(sent("STAND"), 0); /* its leader may be there */
    lab_run(2000);
    assert_int_equal(sent("STAND peer"), PEERS);
    assert_int_equal(sent("ACCEPT peer1 abort"), 1);
    assert_int_equal(swap()->has.entry.value, SN_SWAP_ABORT);
    assert_true(swap()->has.entry.decided);
    assert_false(hear(0, SN_SWAP_ACCEPT, 50, &has)->yes);
    lease_ballot(1, SN_BALLOT_VOTE, 500, 3);
    lab_run(5);
    assert_string_equal(lease_answer()->leader, peers[1]);
    /* And where a failover may be under way no swap begins. */
    assert_false(hear(0, SN_SWAP_STAND, 600, &(struct sn_swap){.promised = 600})->yes);
}

/* The list before it may decide something else meanwhile, by a majority that has nobody in common with ours. */
static void under_a_list_that_no_node_counts_nothing_is_decided(void **state)
{
    (void)state;
    begin();
    lab.core->ours.counted = false;
    assert_false(hear(0, SN_SWAP_STAND, 50, &(struct sn_swap){.promised = 50})->yes);
    lab_forget_logs();
    order(1, 2);
    assert_int_equal(sent("STAND"), 0);
    lab.core->ours.counted = true;
    assert_true(hear(0, SN_SWAP_STAND, 5000, &(struct sn_swap){.promised = 5000})->yes);
}

static void a_decision_that_some_have_is_kept(void **state)
{
    (void)state;
    begin();
    struct sn_swap has = begun_at(50);
    assert_true(hear(0, SN_SWAP_ACCEPT, 50, &has)->yes);
    has.entry.value = SN_SWAP_COMMIT;
    w.has[0] = w.has[1] = has; /* and the others have accepted its end */
    lab_run(3000);
    assert_int_equal(sent("ACCEPT peer0 commit"), 1);
    assert_int_equal(sent("ABORT"), 0);
    assert_int_equal(lease.nodes[2].mapping, 1);
}

static void only_second_is_leased(void)
{
    lab_run(200);
    lease_forget();
    lab_run(1000);
    assert_true(lease.nodes[0].asked > 5);
    assert_int_equal(lease.nodes[0].granted, 0);
    assert_true(lease.nodes[1].granted > 5);
}

static void who_missed_it_is_told_and_gets_no_lease(void **state)
{
    (void)state;
    begin();
    struct sn_swap has = decided_at(50, 1);
    w.deaf = true;
    lease.nodes[1].prepared = 1; /* shut for it */
    lease.nodes[1].ballot = 50;
    hear(0, SN_SWAP_TELL, 0, &has);
    only_second_is_leased();
    w.deaf = false;
    lab_run(1000);
    assert_int_equal(lease.nodes[0].mapping, 1);
    assert_true(lease.nodes[0].granted > 0);
    /* A dataset that lacks more than is remembered stays out. */
    lease.nodes[2].mapping = 0;
    has = decided_at(90, 5);
    lease.nodes[0].mapping = lease.nodes[1].mapping = 5;
    hear(0, SN_SWAP_TELL, 0, &has);
    lab_run(500);
    assert_int_equal(lab_count(&lab.events, "-swapdb-behind orders"), 1);
}

/* It would be a master for ever that nobody leases, and its own master, which has the mapping, would follow it. */
static void who_cannot_be_brought_to_the_mapping_is_not_promoted(void **state)
{
    (void)state;
    begin();
    lease_peers_see(true);
    struct sn_swap has = decided_at(90, 5);
    for (int k = 0; k < LAB_NODES; k++)
        lease.nodes[k].mapping = 5;
    lease.nodes[3].mapping = 2; /* it came back just now, and its master does not answer any more */
    lease.nodes[3].in_the_dark = true;
    hear(0, SN_SWAP_TELL, 0, &has);
    lab_run(200);
    lab_kill(0);
    lab_run(2000);
    assert_false(sn_needs_operator(lease_first()));
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 5, .group = slice_of("orders/" FIRST)};
    lab_step(&e);
    lab_run(300);
    assert_int_equal(sent("TAKEOVER"), 0);
    lease_ballot(1, SN_BALLOT_VOTE, 1000, 3);
    lab_run(5);
    assert_string_not_equal(lease_answer()->leader, peers[1]);
    lab_start(0);
    lab_run(1000);
    assert_int_equal(lab_master(lease_first()), 7001);
    /* What it lacks is known: it is promoted where the operator says so, and told. */
    lease.nodes[3].mapping = 3;
    lab_kill(0);
    lab_run(2000);
    assert_true(sn_needs_operator(lease_first()));
    lab_step(&e);
    lab_run(1000);
    assert_int_equal(lab_master(lease_first()), 7004);
    assert_int_equal(lease.nodes[3].mapping, 5);
}

/* All supervisors have lost their state, and the nodes have not. */
static void attempts_are_above_those_that_nodes_remember(void **state)
{
    (void)state;
    begin();
    lease.nodes[1].ballot = 5000;
    lab_run(500);
    order(1, 2);
    lab_run(300);
    answered(NULL);
    assert_true(swap()->has.entry.step.begun > 5000);
}

static void whoever_hinders_it_is_named(void **state)
{
    (void)state;
    begin();
    lease.nodes[2].migrating = 1;
    lab_run(200);
    order(1, 2);
    lab_run(4000);
    answered("master 127.0.0.1:7003 has slots on their way");
}

/* Whichever supervisor tells a node first that it was given up knows why. */
static void why_it_was_given_up_is_passed_on(void **state)
{
    (void)state;
    begin();
    lease.nodes[0].prepared = 1;
    lease.nodes[0].ballot = 50;
    struct sn_swap has = decided_at(50, 1);
    has.entry.value = SN_SWAP_ABORT;
    snprintf(has.entry.why, sizeof has.entry.why, "%s", "10.0.0.9:7009 refuses: no");
    hear(0, SN_SWAP_TELL, 0, &has);
    lab_run(500);
    assert_int_equal(sent("ABORT 7001 EPOCH 1 BALLOT 50 BECAUSE 10.0.0.9:7009 refuses: no"), 1);
    assert_int_equal(lease.nodes[0].prepared, 0);
}

/* Two that were promoted and are shut for a swap to that mapping, which is decided: only the second is leased. */
static void lease_second_only(uint64_t version)
{
    struct sn_swap has = decided_at(50, version);
    w.deaf = true;
    lease.nodes[0].prepared = lease.nodes[1].prepared = version;
    lease.nodes[1].ballot = 50;
    lease.nodes[1].mapping = version - 1;
    hear(0, SN_SWAP_TELL, 0, &has);
    only_second_is_leased();
}

/* It slept since an earlier attempt at the same mapping: the databases of that one are shut, the others open. */
static void shut_for_another_attempt_is_not_enough(void **state)
{
    (void)state;
    begin();
    lease.nodes[0].ballot = 49;
    lease_second_only(1);
}

/* It has not got the one before from its master's stream. */
static void shut_without_the_swap_before_is_not_enough(void **state)
{
    (void)state;
    begin();
    lease.nodes[0].ballot = 50;
    lease_second_only(2);
}

/* It knows nothing of mappings, and neither would those who take its data. */
static void a_stock_node_is_not_promoted_where_databases_were_swapped(void **state)
{
    (void)state;
    for (uint64_t swapped = 0; swapped < 2; swapped++) {
        memset(&w, 0, sizeof w);
        lease_begin(&(struct lease_begin){.supervised = true, .version = 1, .counted = true});
        lease.nodes[3].error = "ERR Unknown subcommand or wrong number of arguments for 'LEASE'";
        w.others = lab.on_send;
        lab.on_send = on_send;
        for (int k = 0; k < LAB_NODES && k != 3; k++)
            lease.nodes[k].mapping = swapped;
        lab_run(1000);
        lease_peers_see(true);
        struct sn_swap has = decided_at(50, 1), none = {.promised = 0};
        hear(0, SN_SWAP_TELL, 0, swapped ? &has : &none);
        lab_run(200);
        size_t n;
        struct sn_candidate *v = sn_rank(lease_first(), NULL, &n);
        assert_int_equal(v[0].reject, swapped ? SN_REJECT_MAPPING : SN_SUITABLE);
        free(v);
        lease_end(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(all_masters_make_it, lease_end),
        cmocka_unit_test_teardown(nothing_is_told_before_it_is_on_disk, lease_end),
        cmocka_unit_test_teardown(a_master_that_refuses_ends_it, lease_end),
        cmocka_unit_test_teardown(without_a_majority_nothing_is_decided, lease_end),
        cmocka_unit_test_teardown(a_master_without_a_lease_is_waited_for, lease_end),
        cmocka_unit_test_teardown(a_cluster_that_is_not_known_whole_is_not_swapped, lease_end),
        cmocka_unit_test_teardown(the_truth_about_one_that_is_not_everywhere, lease_end),
        cmocka_unit_test_teardown(orders_that_cannot_be, lease_end),
        cmocka_unit_test_teardown(a_clients_wish_is_taken_up, lease_end),
        cmocka_unit_test_teardown(an_open_attempt_is_ended, lease_end),
        cmocka_unit_test_teardown(under_a_list_that_no_node_counts_nothing_is_decided, lease_end),
        cmocka_unit_test_teardown(a_decision_that_some_have_is_kept, lease_end),
        cmocka_unit_test_teardown(who_missed_it_is_told_and_gets_no_lease, lease_end),
        cmocka_unit_test_teardown(who_cannot_be_brought_to_the_mapping_is_not_promoted, lease_end),
        cmocka_unit_test_teardown(attempts_are_above_those_that_nodes_remember, lease_end),
        cmocka_unit_test_teardown(whoever_hinders_it_is_named, lease_end),
        cmocka_unit_test_teardown(why_it_was_given_up_is_passed_on, lease_end),
        cmocka_unit_test_teardown(shut_for_another_attempt_is_not_enough, lease_end),
        cmocka_unit_test_teardown(shut_without_the_swap_before_is_not_enough, lease_end),
        cmocka_unit_test(a_stock_node_is_not_promoted_where_databases_were_swapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
