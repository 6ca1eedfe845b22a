/* Nodes that tell digests of what they know: their texts are read once for all that agree. */
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NODES 6

static size_t texts(void)
{
    return lab_count(&lab.sent, "NODES ");
}

static size_t known(void)
{
    size_t n = 0;
    for (int k = 0; k < NODES; k++) {
        const struct sn_node *node = sn_node_find(lab.core, "127.0.0.1", lab.nodes[k].port);
        n += node && node->known;
    }
    return n;
}

static void begin(bool views)
{
    lease_begin(&(struct lease_begin){.supervised = true, .version = 1, .counted = true, .views = views});
}

/* Of those that tell none each text is read. */
static void one_text_speaks_for_all(void **state)
{
    (void)state;
    begin(false);
    lab_run(150);
    assert_int_equal(known(), NODES);
    assert_true(texts() >= NODES);
    lease_end(state);
    begin(true);
    lab_run(150);
    assert_int_equal(known(), NODES);
    assert_in_range(texts(), 1, 3);
    lab_run(2 * LEASE_MS);
    for (int k = 0; k < 3; k++)
        assert_true(lease.nodes[k].granted > 0);
}

/* One that knows something else is asked what, and the others need not say it again. */
static void what_is_new_is_read(void **state)
{
    (void)state;
    begin(true);
    lab_run(3000);
    lab_forget_logs();
    lab_run(2000);
    assert_in_range(texts(), 1, 3); /* one a second, in turn */
    lab.nodes[1].epoch++;           /* of the second shard, as all hear */
    lab_run(LEASE_MS / 4 + 20);
    assert_int_equal(lab_shard(SECOND)->config_epoch, lab.nodes[1].epoch);
    lab_run(1000);
    assert_in_range(texts(), 2, 8);
}

static void all_agree_by_one_text(void **state)
{
    (void)state;
    begin(true);
    lab_run(3000);
    lab_forget_logs();
    lab_kill(0);
    for (int i = 0; i < PEERS; i++)
        lease.peers[i].says_down = true;
    for (int ms = 0; lab_master(lab_shard(FIRST)) != lab.nodes[3].port; ms++) {
        assert_true(ms < 3000);
        lab_run(1);
    }
    size_t before = texts();
    for (int ms = 0; lab_count(&lab.notes, "agreed") == 0; ms++) {
        assert_true(ms < 1000);
        lab_run(1);
    }
    assert_in_range(texts() - before, 0, NODES - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_text_speaks_for_all, lease_end),
        cmocka_unit_test_teardown(what_is_new_is_read, lease_end),
        cmocka_unit_test_teardown(all_agree_by_one_text, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
