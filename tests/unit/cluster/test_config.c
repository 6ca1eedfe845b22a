#include "noded/cluster/core.h"

#include "noded/cluster/describe.h"
#include "noded/cluster/state.h"
#include "tests/unit/cluster/stock_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct cl_core *core_of(int port, int bus_port, const char *hostname)
{
    struct cl_options o = {.seed = 5};
    o.settings.node_timeout_ms = 1000;
    o.settings.port = (uint16_t)port;
    o.settings.bus_port = (uint16_t)bus_port;
    snprintf(o.settings.hostname, sizeof o.settings.hostname, "%s", hostname);
    return cl_core_new(&o, 1000, 1000);
}

static void written_as_it_was_read(const char *text, int port, int bus_port, const char *hostname)
{
    struct buf why = {NULL, 0, 0}, again = {NULL, 0, 0};
    struct cl_core *c = core_of(port, bus_port, hostname);
    if (!cl_core_load(c, slice_of(text), &why))
        fail_msg("refused: %s", buf_str(&why));
    /* No link is up after a start; the file says how it was. */
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        n->link_state = cl_has(n, CL_FAILED) ? CL_LINK_NONE : CL_LINK_UP;
    cl_config_write(c, &again);
    assert_string_equal(buf_str(&again), text);
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        n->link_state = CL_LINK_NONE;
    buf_free(&again);
    buf_free(&why);
    cl_core_free(c);
}

static void stock_files_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof stock_files / sizeof *stock_files; i++)
        written_as_it_was_read(stock_files[i].text, stock_files[i].port, stock_files[i].bus_port,
                               stock_files[i].hostname);
}

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"
#define VARS "vars currentEpoch 7 lastVoteEpoch 6\n"

static void own_fields_come_back(void **state)
{
    (void)state;
    written_as_it_was_read(A " 10.0.0.1:7000@17000,,shard-id=" B " myself,master - 0 0 7 connected 0-99 200\n" B
                             " 10.0.0.2:7000@17000,host,shard-id=" B " slave,fail?,nofailover " A
                             " 5 6 7 connected\n" VARS,
                           7000, 17000, "");
}

static void refused(const char *text, const char *why_not)
{
    struct buf why = {NULL, 0, 0};
    struct cl_core *c = core_of(7000, 17000, "");
    assert_false(cl_core_load(c, slice_of(text), &why));
    if (strstr(buf_str(&why), why_not) == NULL)
        fail_msg("refused because of \"%s\", not \"%s\"", buf_str(&why), why_not);
    buf_free(&why);
    cl_core_free(c);
}

#define ME A " 10.0.0.1:7000@17000 myself,master - 0 0 7 connected"

static void strange_files_are_refused(void **state)
{
    (void)state;
    refused("", "the last line is missing");
    refused(ME "\n", "the last line is missing");
    refused(ME "\nvars currentEpoch 7 lastVo", "line 2: no line end");
    refused(ME "\n" VARS "more\n", "line 3: something stands behind");
    refused(VARS, "no line is myself");
    refused(ME "\n" ME "\n" VARS, "line 2: a node stands there twice");
    refused("12 10.0.0.1:7000@17000 myself,master - 0 0 7 connected\n" VARS, "line 1: not a node id");
    refused(A " nowhere myself,master - 0 0 7 connected\n" VARS, "line 1: bad address");
    refused(A " 10.0.0.1:70000@17000 myself,master - 0 0 7 connected\n" VARS, "bad address");
    refused(A " x y:1@2 myself,master - 0 0 7 connected\n" VARS, "bad address");
    refused(A " 10.0.0.1:7000@17000 myself,king - 0 0 7 connected\n" VARS, "unknown flag");
    refused(A " 10.0.0.1:7000@17000 myself,master,slave - 0 0 7 connected\n" VARS, "both master and replica");
    refused(A " 10.0.0.1:7000@17000 myself,slave " B " 0 0 7 connected\n" VARS, "has no line");
    refused(A " 10.0.0.1:7000@17000 myself,slave " A " 0 0 7 connected\n" VARS, "its own master");
    refused(A " 10.0.0.1:7000@17000 myself,master - 0 0 x connected\n" VARS, "bad number");
    refused(A " 10.0.0.1:7000@17000 myself,master - 0\n" VARS, "fields are missing");
    refused(ME " 16384\n" VARS, "bad slot");
    refused(ME " 5-3\n" VARS, "bad slot");
    refused(ME " 5 5\n" VARS, "two owners");
    refused(ME " [5->-1]\n" VARS, "bad open slot");
    refused(ME "\nvars currentEpoch x lastVoteEpoch 6\n", "bad epoch");
}

/* Any byte that is missing or changed is either refused or harmless, but never a crash. */
static void torn_files_are_refused(void **state)
{
    (void)state;
    const char *text = stock_files[0].text;
    size_t n = strlen(text);
    for (size_t cut = 0; cut < n; cut++) {
        struct buf why = {NULL, 0, 0};
        struct cl_core *c = core_of(8462, 19462, "");
        assert_false(cl_core_load(c, (struct slice){text, cut}, &why));
        buf_free(&why);
        cl_core_free(c);
    }
    struct rng rng;
    rng_seed(&rng, 9);
    for (int i = 0; i < 5000; i++) {
        struct buf why = {NULL, 0, 0}, copy = {NULL, 0, 0};
        struct cl_core *c = core_of(8462, 19462, "");
        buf_put(&copy, text, n);
        for (uint64_t k = 1 + rng_below(&rng, 3); k > 0; k--)
            copy.p[rng_below(&rng, n)] = " \n-,:@[]09af"[rng_below(&rng, 12)];
        (void)cl_core_load(c, buf_slice(&copy), &why);
        buf_free(&copy);
        buf_free(&why);
        cl_core_free(c);
    }
}

static void what_was_read_is_known(void **state)
{
    (void)state;
    struct buf why = {NULL, 0, 0}, text = {NULL, 0, 0};
    struct cl_member m;
    struct cl_core *c = core_of(8463, 19463, "");
    assert_true(cl_core_load(c, slice_of(stock_files[1].text), &why));
    assert_int_equal(c->current_epoch, 4);
    assert_int_equal(c->last_vote_epoch, 4);
    assert_true(cl_owns_slot(c, 16383));
    assert_false(cl_owns_slot(c, 0));
    assert_true(cl_is_master(c));
    struct cl_id id = cl_my_id(c);
    char digits[CL_ID_DIGITS + 1];
    assert_true(cl_find_member(c, slice_of(cl_id_text(&id, digits)), &m));
    assert_int_equal(m.slots, 5462);
    assert_int_equal(m.config_epoch, 3);
    int at = 0, ranges = 0, slots = 0;
    struct cl_range r;
    while (cl_next_range(c, &at, &r)) {
        ranges++;
        slots += r.last - r.first + 1;
    }
    assert_int_equal(ranges, 3);
    assert_int_equal(slots, 16384);
    cl_info_text(c, cl_ok(c), &text);
    assert_non_null(strstr(buf_str(&text), "cluster_slots_assigned:16384\r\n"));
    assert_non_null(strstr(buf_str(&text), "cluster_known_nodes:4\r\n"));
    buf_free(&text);
    buf_free(&why);
    cl_core_free(c);
}

/* Whoever imports what is its own believes nobody who claims it. A stock node may be left like that. */
static void what_is_its_own_is_not_imported(void **state)
{
    (void)state;
    static const char text[] =
        "53b70f83d710aec20caf298a0bf73d91d2bd8fb0 127.0.0.1:8463@19463 myself,master - 0 0 3 connected 10922-16383 "
        "[6001-<-41d2da22081db25ea1a1186f3010c074dab04129] [12000-<-41d2da22081db25ea1a1186f3010c074dab04129] "
        "[12001->-41d2da22081db25ea1a1186f3010c074dab04129]\n"
        "41d2da22081db25ea1a1186f3010c074dab04129 127.0.0.1:8462@19462 master - 0 0 2 connected 5461-10921\n"
        "vars currentEpoch 4 lastVoteEpoch 4\n";
    struct buf why = {NULL, 0, 0};
    struct cl_core *c = core_of(8463, 19463, "");
    assert_true(cl_core_load(c, slice_of(text), &why));
    assert_non_null(cl_open_find(c, 6001, true));
    assert_null(cl_open_find(c, 12000, true));
    assert_non_null(cl_open_find(c, 12001, false));
    buf_free(&why);
    cl_core_free(c);
}

/* Redis 7.0 has no shards: a master draws a name for its own, and keeps it. */
static void a_master_without_shard_draws_one(void **state)
{
    (void)state;
    struct buf why = {NULL, 0, 0};
    struct cl_effects fx = {NULL, 0, 0};
    struct cl_core *c = core_of(8463, 19463, "");
    assert_true(cl_core_load(c, slice_of(stock_files[1].text), &why));
    cl_step(c, &(struct cl_event){.kind = CL_EV_TIME, .now_us = 1}, &fx);
    assert_false(cl_id_is_none(&c->me->shard));
    char digits[CL_ID_DIGITS + 1];
    const char *kept = NULL;
    for (size_t i = 0; i < fx.n; i++)
        if (fx.v[i].kind == CL_FX_PERSIST) {
            struct buf text = {NULL, 0, 0};
            struct slice s = cl_effect_text(&fx.v[i]);
            buf_put(&text, s.p, s.n);
            kept = strstr(buf_str(&text), cl_id_text(&c->me->shard, digits));
            assert_non_null(kept);
            buf_free(&text);
        }
    assert_non_null(kept);
    cl_effects_free(&fx);
    buf_free(&why);
    cl_core_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_files_come_back),           cmocka_unit_test(own_fields_come_back),
        cmocka_unit_test(strange_files_are_refused),       cmocka_unit_test(torn_files_are_refused),
        cmocka_unit_test(what_was_read_is_known),          cmocka_unit_test(a_master_without_shard_draws_one),
        cmocka_unit_test(what_is_its_own_is_not_imported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
