/* What a node takes for a word of others, and what it tells of itself, where a promotion is under way or is over. */
#include "noded/cluster/describe.h"
#include "tests/unit/cluster/supervised.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool is_linked(struct world *w, void *id)
{
    const struct cl_core *c = w->nodes[0].core;
    const struct cl_node *n = cl_node_find(c, id);
    return n->link_state == CL_LINK_UP && n->master == c->me;
}

/* Its link to the one that came after it is there, and on its disk that one is a replica of its own; nothing was
 * heard. */
static void a_restarted_master_does_not_take_its_disk_for_a_word(void **state)
{
    (void)state;
    struct world *w = adopted(24, 1);
    struct cl_id from[2] = {world_id(w, 1), world_id(w, 0)};
    world_kill(w, 0);
    assert_true(take_over(w, 1, 50, &from[1], 1, 2, 0));
    for (int i = 2; i < 6; i++)
        world_cut(w, 0, i, true);
    world_start(w, 0);
    assert_true(world_until(w, is_linked, &from[0], 1000 * MS));
    world_cut(w, 0, 1, true);
    assert_true(is_linked(w, &from[0]));
    assert_false(take_over(w, 0, 60, from, 2, 2, 0));
    assert_non_null(strstr(w->nodes[0].answer, "ERR This master was passed over: "));
    world_free(w);
}

/* Beside its new slots its line would have the config epoch of its own that it had long ago. */
static void a_promotion_that_is_not_on_disk_is_not_told(void **state)
{
    (void)state;
    struct world *w = adopted(25, 1);
    struct world_node *n = &w->nodes[1];
    struct cl_id from = world_id(w, 0);
    struct buf text = {0};
    n->disk_fails = true;
    assert_false(take_over(w, 1, 50, &from, 1, 2, 0));
    assert_true(cl_is_master(n->core));
    cl_nodes_text(n->core, &text);
    char *own = strstr(buf_str(&text), "myself");
    assert_non_null(own);
    *strchr(own, '\n') = '\0';
    assert_ptr_equal(strstr(own, "myself,slave "), own);
    assert_non_null(strstr(own, " connected"));
    assert_null(strstr(own, " connected "));
    buf_free(&text);
    n->disk_fails = false;
    world_run(w, 3000 * MS);
    cl_nodes_text(n->core, &text);
    assert_non_null(strstr(buf_str(&text), "myself,master "));
    buf_free(&text);
    world_free(w);
}

/* 1 came after 0, has waited until 2 cannot stand any more, and has promised what 2 has not heard of. All the time 2 is
 * counted by 0, which has not heard of 1 either. */
static void who_is_counted_by_a_master_without_lease_is_refused(void **state)
{
    (void)state;
    struct world *w = adopted(26, 2);
    struct cl_id from[2] = {world_id(w, 1), world_id(w, 0)};
    assert_true(cl_state_known(w->nodes[2].core));
    for (int i = 3; i < w->nnodes; i++)
        world_cut(w, 2, i, true);
    for (int i = 0; i < w->nnodes; i++)
        if (i != 2)
            world_cut(w, 0, i, true);
    world_cut(w, 1, 2, true);
    assert_true(take_over(w, 1, 50, &from[1], 1, 2, 0));
    for (int64_t end_us = w->now_us + 60000 * MS; w->now_us < end_us;) {
        lease(w, 1);
        world_run(w, TTL_MS * MS / 2);
    }
    cl_state_changed(w->nodes[1].core, true); /* as a hand-over does */
    world_run(w, 100 * MS);
    assert_true(cl_state_agreed(w->nodes[1].core));
    world_kill(w, 1);
    /* If nobody had come after 0 it would be the one to take. */
    assert_true(cl_state_known(w->nodes[2].core));
    assert_false(take_over(w, 2, 60, from, 2, 2, 0));
    assert_non_null(strstr(w->nodes[2].answer, "ERR This replica may not know what its master has promised"));
    assert_true(take_over(w, 2, 60, &from[1], 1, 2, 0));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_promotion_that_is_not_on_disk_is_not_told),
        cmocka_unit_test(who_is_counted_by_a_master_without_lease_is_refused),
        cmocka_unit_test(a_restarted_master_does_not_take_its_disk_for_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
