/* Where a replica is wanted, what a declared fleet lacks, and where the last lines of a file begin: no socket, no file.
 */
#include "nodectl/apply/difference.h"
#include "nodectl/node/placement.h"
#include "nodectl/node/tail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODES_MAX 12

struct world {
    struct picture picture;
    struct picture_node nodes[NODES_MAX];
};

/* master: NULL for one. The id is the name, filled up. */
static void add(struct world *w, char name, char master, unsigned slots, const char *host)
{
    struct picture_node *n = &w->nodes[w->picture.n++];
    *n = (struct picture_node){.answers = true, .master = master == '\0', .nslots = slots};
    memset(n->id, name, RUNID_LEN);
    if (master != '\0')
        memset(n->master_id, master, RUNID_LEN);
    snprintf(n->addr.host, sizeof n->addr.host, "%s", host);
    n->addr.port = 7000 + (int)w->picture.n;
}

static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->picture.v = w->nodes;
}

static char chosen(struct world *w, const char *host, const struct picture_node *leaving)
{
    struct addr a = {.port = 9000};
    snprintf(a.host, sizeof a.host, "%s", host);
    const struct picture_node *m = placement_master(&w->picture, &a, leaving);
    return m != NULL ? m->id[0] : '-';
}

static void a_replica_goes_where_few_are(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    assert_int_equal(chosen(&w, "h1", NULL), '-');
    add(&w, 'a', '\0', 5000, "h1");
    add(&w, 'b', '\0', 6000, "h2");
    add(&w, 'c', '\0', 0, "h3"); /* nobody needs a copy of nothing */
    assert_int_equal(chosen(&w, "h9", NULL), 'b');
    assert_int_equal(chosen(&w, "h2", NULL), 'a');
    add(&w, 'r', 'b', 0, "h1");
    assert_int_equal(chosen(&w, "h9", NULL), 'a');
    assert_int_equal(chosen(&w, "h1", NULL), 'a'); /* fewer replicas weigh more than the host */
    assert_int_equal(chosen(&w, "h9", &w.nodes[0]), 'b');
    assert_int_equal(chosen(&w, "h9", &w.nodes[3]), 'b'); /* the replica that leaves is none */
    w.nodes[3].fails = true;
    assert_int_equal(placement_replicas(&w.picture, &w.nodes[1], NULL), 0);
    w.nodes[0].fails = true;
    assert_int_equal(chosen(&w, "h9", NULL), 'b');
}

static void check(const struct world *w, size_t shards, size_t replicas, size_t masters, const char *wanted,
                  const char *leave, const char *drain)
{
    struct difference d;
    char got[3][NODES_MAX + 1] = {"", "", ""};
    difference_find(&d, &w->picture, shards, replicas);
    assert_int_equal(d.masters, masters);
    for (size_t i = 0; i < d.nreplicas; i++)
        got[0][i] = d.replicas[i][0];
    for (size_t i = 0; i < d.nleave; i++)
        got[1][i] = d.leave[i][0];
    for (size_t i = 0; i < d.ndrain; i++)
        got[2][i] = d.drain[i][0];
    assert_string_equal(got[0], wanted);
    assert_string_equal(got[1], leave);
    assert_string_equal(got[2], drain);
    difference_free(&d);
}

static void a_declared_fleet_and_a_running_one(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    add(&w, 'a', '\0', 5461, "h");
    add(&w, 'b', '\0', 5462, "h");
    add(&w, 'c', '\0', 5461, "h");
    add(&w, 'x', 'a', 0, "h");
    add(&w, 'y', 'b', 0, "h");
    add(&w, 'z', 'c', 0, "h");
    check(&w, 3, 1, 0, "", "", "");
    check(&w, 5, 1, 2, "", "", "");
    check(&w, 3, 2, 0, "bac", "", "");
    check(&w, 3, 0, 0, "", "yxz", "");
    check(&w, 2, 1, 0, "", "zc", "c"); /* the replica first, then its master, which gives its slots away */
    check(&w, 1, 2, 0, "b", "zcxa", "ca");
    /* An apply that was cut short: the master is there and has nothing yet. */
    add(&w, 'd', '\0', 0, "h");
    check(&w, 4, 1, 0, "d", "", "");
    check(&w, 3, 1, 0, "", "d", "");
    /* Of two replicas the dead one goes. */
    add(&w, 'u', 'a', 0, "h");
    w.nodes[3].answers = false;
    check(&w, 3, 1, 0, "", "xd", "");
}

static size_t start(const char *text, size_t lines)
{
    return tail_start((struct slice){text, strlen(text)}, lines);
}

static void the_last_lines(void **state)
{
    (void)state;
    assert_int_equal(start("", 3), 0);
    assert_int_equal(start("one\ntwo\nthree\n", 1), 8);
    assert_int_equal(start("one\ntwo\nthree\n", 2), 4);
    assert_int_equal(start("one\ntwo\nthree\n", 3), 0);
    assert_int_equal(start("one\ntwo\nthree\n", 4), 0);
    assert_int_equal(start("one\ntwo", 1), 4);
    assert_int_equal(start("\n\n\n", 2), 1);
    assert_int_equal(start("one\n", 0), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_goes_where_few_are),
        cmocka_unit_test(a_declared_fleet_and_a_running_one),
        cmocka_unit_test(the_last_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
