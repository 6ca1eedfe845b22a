/* The table of redirections, row by row. Three nodes: 0 owns the slots 0-8191, 1 owns the others, 2 follows 0. */
#include "noded/cluster/redirect.h"

#include "common/base/mem.h"
#include "noded/cluster/state.h"
#include "tests/unit/cluster/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MINE 100
#define OTHERS 10000

static struct world *w;
static size_t absent;

static size_t missing(void *owner)
{
    (void)owner;
    return absent;
}

static int setup(void **state)
{
    (void)state;
    w = world_new(11, 3, 1000);
    return world_add_slots(w, 0, 0, 8191) && world_add_slots(w, 1, 8192, 16383) &&
                   world_command(w, 1, &(struct cl_command){.verb = CL_BUMPEPOCH}) && world_meet(w, 0, 1) &&
                   world_meet(w, 0, 2)
               ? 0
               : -1;
}

static int follow(void **state)
{
    if (setup(state) != 0)
        return -1;
    world_run(w, 3000000);
    if (!world_replicate(w, 2, 0) || !world_until(w, world_agrees, NULL, 20000000))
        return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(w);
    return 0;
}

static struct cl_request request(int slot)
{
    return (struct cl_request){.slot = slot, .keys = 1, .missing = missing};
}

static void answers(int node, const struct cl_request *r, enum cl_verdict v, const char *text)
{
    struct cl_member to;
    struct buf out = {NULL, 0, 0};
    memset(&to, 0, sizeof to);
    enum cl_verdict got = cl_redirect(w->nodes[node].core, r, &to);
    assert_int_equal(got, v);
    if (v != CL_HERE && v != CL_WAIT) {
        cl_verdict_text(w->nodes[node].core, got, r->slot, &to, &out);
        assert_string_equal(buf_str(&out), text);
    }
    buf_free(&out);
}

static void open_slot(int node, enum cl_verb verb, int slot, int other)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_id id = world_id(w, other);
    assert_true(world_command(
        w, node, &(struct cl_command){.verb = verb, .slot = slot, .node = slice_of(cl_id_text(&id, text))}));
}

static void slots_of_others_are_moved(void **state)
{
    (void)state;
    struct cl_request r = request(MINE);
    answers(0, &r, CL_HERE, NULL);
    answers(1, &r, CL_MOVED, "MOVED 100 10.0.0.0:7000");
    r = request(OTHERS);
    answers(0, &r, CL_MOVED, "MOVED 10000 10.0.0.1:7000");
    r.asking = r.write = true;
    answers(0, &r, CL_MOVED, "MOVED 10000 10.0.0.1:7000");
    r = request(CL_NO_KEYS);
    answers(0, &r, CL_HERE, NULL);
    r = request(CL_MANY_SLOTS);
    answers(0, &r, CL_CROSSSLOT, "CROSSSLOT Keys in request don't hash to the same slot");
}

static void endpoints_are_as_preferred(void **state)
{
    (void)state;
    struct cl_request r = request(OTHERS);
    w->nodes[0].core->set.endpoint = CL_ENDPOINT_UNKNOWN;
    answers(0, &r, CL_MOVED, "MOVED 10000 :7000");
    w->nodes[0].core->set.endpoint = CL_ENDPOINT_HOSTNAME;
    answers(0, &r, CL_MOVED, "MOVED 10000 ?:7000");
    struct cl_settings named = w->nodes[1].core->set;
    memcpy(named.hostname, "one.example", 12);
    world_settings(w, 1, &named);
    world_run(w, 1000000);
    answers(0, &r, CL_MOVED, "MOVED 10000 one.example:7000");
}

static void a_migrating_slot_asks(void **state)
{
    (void)state;
    open_slot(0, CL_SETSLOT_MIGRATING, MINE, 1);
    struct cl_request r = request(MINE);
    r.keys = 2;
    absent = 0;
    answers(0, &r, CL_HERE, NULL);
    absent = 1;
    answers(0, &r, CL_TRYAGAIN, "TRYAGAIN Multiple keys request during rehashing of slot");
    absent = 2;
    answers(0, &r, CL_ASK, "ASK 100 10.0.0.1:7000");
    r.migrate = true;
    answers(0, &r, CL_HERE, NULL);
    r = request(MINE);
    r.between_databases = true;
    absent = 0;
    answers(0, &r, CL_TRYAGAIN, "TRYAGAIN Multiple keys request during rehashing of slot");
    r = request(MINE + 1);
    r.between_databases = true;
    answers(0, &r, CL_HERE, NULL);
    r = request(MINE);
    r.shard_channels = true;
    absent = 1;
    answers(0, &r, CL_HERE, NULL);
}

static void an_importing_slot_serves_who_asks(void **state)
{
    (void)state;
    open_slot(1, CL_SETSLOT_IMPORTING, MINE, 0);
    struct cl_request r = request(MINE);
    absent = 1;
    answers(1, &r, CL_MOVED, "MOVED 100 10.0.0.0:7000");
    r.asking = true;
    answers(1, &r, CL_HERE, NULL);
    r.keys = 2;
    answers(1, &r, CL_TRYAGAIN, "TRYAGAIN Multiple keys request during rehashing of slot");
    absent = 0;
    answers(1, &r, CL_HERE, NULL);
    r.between_databases = true;
    answers(1, &r, CL_TRYAGAIN, "TRYAGAIN Multiple keys request during rehashing of slot");
    r = request(MINE);
    r.migrate = true;
    answers(1, &r, CL_HERE, NULL);
}

static void replicas_serve_reads_of_who_wants_them(void **state)
{
    (void)state;
    struct cl_request r = request(MINE);
    answers(2, &r, CL_MOVED, "MOVED 100 10.0.0.0:7000");
    r.readonly = true;
    answers(2, &r, CL_HERE, NULL);
    r.write = true;
    answers(2, &r, CL_MOVED, "MOVED 100 10.0.0.0:7000");
    r = request(OTHERS);
    r.readonly = true;
    answers(2, &r, CL_MOVED, "MOVED 10000 10.0.0.1:7000");
}

static void a_cluster_that_is_down_answers_so(void **state)
{
    (void)state;
    uint8_t one[CL_SLOT_BYTES] = {0};
    struct cl_request r = request(MINE);
    cl_bit_set(one, MINE + 5);
    assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_DELSLOTS, .slots = one}));
    answers(0, &r, CL_DOWN, "CLUSTERDOWN The cluster is down");
    r.slot = MINE + 5;
    answers(0, &r, CL_UNBOUND, "CLUSTERDOWN Hash slot not served");
    w->nodes[0].core->set.reads_when_down = true;
    r.slot = MINE;
    answers(0, &r, CL_HERE, NULL);
    r.write = true;
    answers(0, &r, CL_DOWN_READS_ONLY, "CLUSTERDOWN The cluster is down and only accepts read commands");
    r = request(MINE);
    r.shard_channels = true;
    answers(0, &r, CL_HERE, NULL);
    w->nodes[0].core->set.pubsub_when_down = false;
    answers(0, &r, CL_DOWN, "CLUSTERDOWN The cluster is down");
}

/* Whoever waits for a key (BLPOP) is let go when its slot goes. */
static void waiting_clients_are_let_go(void **state)
{
    (void)state;
    struct cl_request r = request(MINE);
    r.write = true;
    assert_true(cl_still_here(w->nodes[0].core, &r));
    assert_false(cl_still_here(w->nodes[1].core, &r));
    open_slot(0, CL_SETSLOT_NODE, MINE, 1);
    assert_false(cl_still_here(w->nodes[0].core, &r));
}

/* A hand-over that is open at node 0, and what its word does to requests. */
static struct cl_open_record *open_record(bool taking)
{
    struct cl_core *c = w->nodes[0].core;
    struct cl_record r = {.source = world_id(w, 0), .target = world_id(w, 1), .taking = taking, .epoch = 9};
    memset(r.job.b, 7, sizeof r.job.b);
    cl_bit_set(r.slots, MINE);
    c->shard.records = mem_grow(c->shard.records, c->shard.nrecords, &c->shard.cap_records, sizeof *c->shard.records);
    c->shard.records[c->shard.nrecords++] = (struct cl_open_record){.r = r, .ask_us = HEAP_NEVER};
    cl_held_find(c);
    return &c->shard.records[c->shard.nrecords - 1];
}

static bool is_plain(int slot)
{
    uint8_t plain[CL_SLOT_BYTES];
    cl_plain_slots(w->nodes[0].core, plain);
    return cl_bit(plain, slot);
}

static void a_slot_that_is_handed_over_takes_no_writes(void **state)
{
    (void)state;
    struct cl_request r = request(MINE);
    struct cl_held_slots held;
    char text[128], id[CL_ID_DIGITS + 1];
    r.write = r.changes = true;
    cl_held_slots(w->nodes[0].core, &held);
    assert_false(cl_bit(held.waiting, MINE) || cl_bit(held.refused, MINE));
    answers(0, &r, CL_HERE, NULL);
    assert_true(is_plain(MINE));
    struct cl_open_record *open = open_record(false);
    assert_false(is_plain(MINE));
    assert_true(is_plain(MINE + 1));
    answers(0, &r, CL_WAIT, NULL);
    cl_held_slots(w->nodes[0].core, &held);
    assert_true(cl_bit(held.waiting, MINE) && !cl_bit(held.refused, MINE) && !cl_bit(held.waiting, MINE + 1));
    r.changes = false; /* it is only queued */
    answers(0, &r, CL_HERE, NULL);
    r = request(MINE);
    answers(0, &r, CL_HERE, NULL);
    r = request(MINE + 1);
    r.changes = true;
    answers(0, &r, CL_HERE, NULL);
    open->silent = true;
    cl_held_find(w->nodes[0].core);
    r.slot = MINE;
    struct cl_id target = world_id(w, 1);
    snprintf(text, sizeof text, "CLUSTERDOWN Hash slot 100 is being handed over to %s, which does not answer",
             cl_id_text(&target, id));
    answers(0, &r, CL_HELD, text);
    cl_held_slots(w->nodes[0].core, &held);
    assert_true(!cl_bit(held.waiting, MINE) && cl_bit(held.refused, MINE));
    r.changes = false;
    answers(0, &r, CL_HERE, NULL);
}

static void a_slot_that_is_being_taken_waits_as_a_whole(void **state)
{
    (void)state;
    struct cl_request r = request(MINE);
    open_record(true);
    answers(0, &r, CL_WAIT, NULL);
    r.changes = true;
    answers(0, &r, CL_WAIT, NULL);
    r.shard_channels = true;
    answers(0, &r, CL_HERE, NULL);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, follow, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(slots_of_others_are_moved),
        ROW(endpoints_are_as_preferred),
        ROW(a_migrating_slot_asks),
        ROW(an_importing_slot_serves_who_asks),
        ROW(replicas_serve_reads_of_who_wants_them),
        ROW(a_cluster_that_is_down_answers_so),
        ROW(waiting_clients_are_let_go),
        ROW(a_slot_that_is_handed_over_takes_no_writes),
        ROW(a_slot_that_is_being_taken_waits_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
