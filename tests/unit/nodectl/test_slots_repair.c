/* What slots fix would do and leaves alone, what slots check finds, what a node says of its open slots, and the picture
 * of the slots: three masters, a, b and c, with a third of the slots each. */
#include "nodectl/slots/findings.h"
#include "nodectl/slots/map.h"
#include "nodectl/slots/open.h"
#include "nodectl/slots/repair.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MASTERS 3

struct world {
    struct picture p;
    struct survey s;
    struct key_counts *counts;
};

static void id_of(char letter, runid out)
{
    memset(out, letter, RUNID_LEN);
    out[RUNID_LEN] = '\0';
}

static void see(struct picture_node *n, size_t me)
{
    struct buf text = {0};
    for (size_t i = 0; i < MASTERS; i++) {
        runid id;
        id_of((char)('a' + i), id);
        buf_printf(&text, "%s 10.0.0.%zu:7000@17000 %smaster - 0 0 %zu connected %zu-%zu\n", id, i + 1,
                   i == me ? "myself," : "", i + 1, i * 5000, i == 2 ? (size_t)16383 : i * 5000 + 4999);
    }
    assert_true(sn_nodes_parse(&n->view, buf_slice(&text)));
    buf_free(&text);
}

static struct world *world_new(void)
{
    struct world *w = mem_zalloc(sizeof *w);
    w->p.v = mem_zalloc(MASTERS * sizeof *w->p.v);
    w->p.n = MASTERS;
    w->s = (struct survey){.v = mem_zalloc((MASTERS + 1) * sizeof *w->s.v), .n = MASTERS};
    w->counts = keys_new(MASTERS);
    for (size_t i = 0; i < MASTERS; i++) {
        struct picture_node *n = &w->p.v[i];
        *n = (struct picture_node){.answers = true, .noded = true, .master = true, .epoch = i + 1, .databases = 16};
        id_of((char)('a' + i), n->id);
        snprintf(n->addr.host, sizeof n->addr.host, "10.0.0.%zu", i + 1);
        n->addr.port = 7000;
        n->nslots = 5000;
        see(n, i);
        w->s.v[i] = (struct survey_of){.state_ok = true, .lease_ms = -1, .keys = &w->counts[i]};
    }
    for (size_t s = 0; s < SN_SLOTS; s++)
        w->p.owner[s] = (int16_t)(s < 10000 ? s / 5000 : 2);
    w->p.covered = SN_SLOTS;
    return w;
}

static void world_free(struct world *w)
{
    for (size_t i = 0; i < MASTERS; i++) {
        sn_nodes_free(&w->p.v[i].view);
        free(w->p.v[i].open);
    }
    free(w->p.v);
    free(w->s.v);
    free(w->counts);
    free(w);
}

static void open_slot(struct world *w, char at, uint16_t slot, bool importing, char other)
{
    struct picture_node *n = &w->p.v[at - 'a'];
    n->open = mem_array(n->open, n->nopen + 1, sizeof *n->open);
    n->open[n->nopen] = (struct picture_open){.slot = slot, .importing = importing};
    id_of(other, n->open[n->nopen++].other);
}

static void has_keys(struct world *w, char at, unsigned slot, int64_t keys)
{
    w->counts[at - 'a'].keys[slot] = keys;
}

static void nobodys(struct world *w, unsigned slot)
{
    w->p.owner[slot] = -1;
    w->p.covered--;
    for (size_t i = 0; i < MASTERS; i++) { /* in the views too */
        struct sn_nodes *v = &w->p.v[i].view;
        for (size_t r = 0; r < v->nranges; r++)
            if (v->ranges[r].first == slot)
                v->ranges[r].first++;
    }
}

/* "close a 5; finish a>b 7": what would be done, and how many things are left. */
static const char *plan_of(struct world *w, bool give_up, size_t refused)
{
    static char text[1024];
    static const char *const names[] = {
        [REPAIR_MEET] = "meet",   [REPAIR_FORGET] = "forget", [REPAIR_GIVE_UP] = "give up",
        [REPAIR_CLOSE] = "close", [REPAIR_FINISH] = "finish", [REPAIR_HOME] = "home",
        [REPAIR_CLAIM] = "claim", [REPAIR_ASSIGN] = "assign", [REPAIR_ABANDON] = "abandon"};
    struct repairs r;
    struct buf out = {0};
    repairs_find(&w->p, &w->s, give_up, &r);
    for (size_t i = 0; i < r.n; i++) {
        buf_printf(&out, "%s%s %c", i > 0 ? "; " : "", names[r.v[i].kind], r.v[i].at[0]);
        if (r.v[i].to[0] != '\0')
            buf_printf(&out, ">%c", r.v[i].to[0]);
        if (slot_set_count(&r.v[i].slots) > 0)
            buf_putc(&out, ' ');
        slot_set_put(&out, &r.v[i].slots, 0);
    }
    assert_int_equal(r.nrefused, refused);
    snprintf(text, sizeof text, "%s", buf_str(&out));
    buf_free(&out);
    repairs_free(&r);
    return text;
}

static const char *plan(struct world *w, size_t refused)
{
    return plan_of(w, false, refused);
}

static bool finds(struct world *w, const char *code)
{
    struct findings f;
    bool found = false;
    findings_make(&w->p, &w->s, &f);
    for (size_t i = 0; i < f.n; i++)
        found = found || strcmp(f.v[i].code, code) == 0;
    if (code[0] == '\0')
        found = findings_count(&f) == 0;
    findings_free(&f);
    return found;
}

static void test_all_well(void **state)
{
    struct world *w = world_new();
    (void)state;
    assert_string_equal(plan(w, 0), "");
    assert_true(finds(w, ""));
    assert_true(finds(w, "no-replicas"));
    assert_true(findings_views_agree(&w->p));
    world_free(w);
}

static void test_open_slots(void **state)
{
    struct world *w = world_new();
    (void)state;
    open_slot(w, 'a', 1, false, 'b'); /* with keys at the target: finished */
    open_slot(w, 'b', 1, true, 'a');
    has_keys(w, 'a', 1, 4);
    has_keys(w, 'b', 1, 2);
    open_slot(w, 'a', 2, false, 'b'); /* without: taken back */
    open_slot(w, 'b', 2, true, 'a');
    has_keys(w, 'a', 2, 4);
    open_slot(w, 'a', 3, false, 'b'); /* at the source only */
    open_slot(w, 'b', 4, true, 'a');  /* at the target only, with a key */
    has_keys(w, 'b', 4, 1);
    open_slot(w, 'c', 5, true, 'b'); /* from who is not its master, with a key */
    has_keys(w, 'c', 5, 1);
    open_slot(w, 'b', 6, true, 'c');  /* the same, without */
    open_slot(w, 'a', 7, true, 'b');  /* the owner imports what it has */
    open_slot(w, 'a', 8, false, 'd'); /* to a node that nobody knows */
    assert_string_equal(plan(w, 0), "close a 2-3,7-8; close b 2,6; finish a>b 1; home b>a 4; home c>a 5");
    assert_true(finds(w, "slot-open"));
    w->p.v[1].answers = false; /* nothing is decided without the other end */
    w->s.v[1].keys = NULL;
    assert_true(strncmp(plan(w, 5), "close a 7-8; home c>a 5", 8) == 0);
    world_free(w);
}

static void test_migration_under_way_is_left_alone(void **state)
{
    struct world *w = world_new();
    (void)state;
    struct slot_job job = {.exports = true, .state = "streaming"};
    slot_set_add(&job.slots, 9);
    has_keys(w, 'b', 9, 3);
    open_slot(w, 'a', 9, false, 'b');
    w->s.v[0].jobs = (struct slot_jobs){.v = &job, .n = 1};
    assert_string_equal(plan(w, 0), "");
    w->s.v[0].now_s = 100;
    assert_true(finds(w, "migration-hangs"));
    job.acked_s = 90;
    assert_false(finds(w, "migration-hangs"));
    assert_false(finds(w, "migration-waits"));
    job.acked_s = 100;
    snprintf(job.message, sizeof job.message, "Waits for somebody");
    assert_true(finds(w, "migration-waits"));
    job.updated_s = 95;
    assert_false(finds(w, "migration-waits"));
    world_free(w);
}

static void test_slots_of_nobody(void **state)
{
    struct world *w = world_new();
    (void)state;
    nobodys(w, 0);
    nobodys(w, 1);
    nobodys(w, 10000);
    has_keys(w, 'c', 1, 5);
    w->p.v[1].nslots = 10;
    assert_string_equal(plan(w, 0), "assign b 0,10000; assign c 1");
    assert_true(finds(w, "slots-uncovered"));
    has_keys(w, 'a', 1, 1); /* two have keys of it */
    assert_string_equal(plan(w, 1), "assign b 0,10000");
    w->p.v[0].answers = false; /* it may have keys of all of them, and has slots of its own */
    assert_string_equal(plan(w, 2), "");
    assert_true(finds(w, "node-silent"));
    world_free(w);
}

static void test_views(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->p.owner[0] = 1; /* b's by its own word, a's in all views: b claims it */
    has_keys(w, 'a', 0, 7);
    assert_string_equal(plan(w, 0), "home a>b 0");
    has_keys(w, 'a', 0, 0);
    assert_string_equal(plan(w, 0), "claim b 0");
    assert_true(finds(w, "views-differ"));
    assert_false(findings_views_agree(&w->p));
    world_free(w);
}

static void test_other_findings(void **state)
{
    struct world *w = world_new();
    (void)state;
    w->p.v[1].epoch = 1;
    assert_true(finds(w, "epochs-collide"));
    w->p.v[1].databases = 4;
    assert_true(finds(w, "databases-differ"));
    w->s.v[0].supervised = 3;
    w->s.v[0].lease_ms = 0;
    assert_true(finds(w, "lease-missing"));
    assert_true(finds(w, "supervised-in-part"));
    w->s.v[0].mapped = w->s.v[1].mapped = true;
    w->s.v[1].mapping_epoch = 2;
    assert_true(finds(w, "mapping-differs"));
    has_keys(w, 'c', 77, 1);
    assert_true(finds(w, "keys-in-foreign-slots"));
    w->s.v[2].state_ok = false;
    assert_true(finds(w, "state-fail"));
    assert_false(finds(w, ""));
    world_free(w);
}

static void test_open_lines(void **state)
{
    struct own_slots o;
    const char *text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 10.0.0.1:7000@17000 myself,master - 0 0 1 connected "
                       "0-3 7 [5->-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb] "
                       "[6-<-cccccccccccccccccccccccccccccccccccccccc] [x] [9] [5->-short] 99999 4-2\n"
                       "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 10.0.0.2:7000@17000 master - 0 0 2 connected 8\n";
    (void)state;
    assert_true(own_slots_read(&o, slice_of(text)));
    assert_int_equal(slot_set_count(&o.slots), 5);
    assert_int_equal(o.nopen, 2);
    assert_non_null(own_slots_open(&o, 5, false));
    assert_null(own_slots_open(&o, 5, true));
    assert_int_equal(own_slots_open(&o, 6, true)->other[0], 'c');
    own_slots_free(&o);
    assert_false(own_slots_read(&o, slice_of("bbbb master\n\n")));
    own_slots_free(&o);
}

static void test_map(void **state)
{
    static struct map m;
    struct buf row = {0};
    (void)state;
    for (unsigned s = 0; s < SN_SLOTS; s++)
        m.owner[s] = s < 1040 ? 0 : s < 2048 ? 1 : MAP_NOBODY;
    slot_set_add(&m.open, 17);
    assert_int_equal(map_cells(80), 64);
    assert_int_equal(map_cells(79), 32);
    assert_int_equal(map_cells(10), 16);
    map_row(&m, 64, 0, &row);
    assert_int_equal(row.n, 64);
    assert_memory_equal(row.p, "A*AA", 4);
    buf_clear(&row);
    map_row(&m, 32, 1, &row); /* the first cell has 16 of a's, 16 of b's: who comes first */
    assert_memory_equal(row.p, "ABB", 3);
    buf_clear(&row);
    map_row_painted(&m, 16, 15, &row); /* nobody's have no colour */
    assert_string_equal(buf_str(&row), "................");
    assert_int_equal(map_letter(26), 'a');
    assert_int_equal(map_letter(62), '#');
    buf_free(&row);
}

/* ---- nodes that not all know ---- */

static struct sn_nodes_line *line_of(struct world *w, char at, char of)
{
    return &w->p.v[at - 'a'].view.lines[of - 'a'];
}

static void forgets(struct world *w, char at, char of)
{
    id_of('f', line_of(w, at, of)->id);
}

/* The last one has no slots: in the views too they are those of the one before it, whose range is beside its own. */
static void empty_last(struct world *w)
{
    for (size_t i = 0; i < MASTERS; i++) {
        struct sn_nodes_line *last = line_of(w, (char)('a' + i), 'c'), *heir = line_of(w, (char)('a' + i), 'b');
        last->nranges = last->nslots = 0;
        heir->nranges = 2;
        heir->nslots = SN_SLOTS - 5000;
    }
    w->p.v[2].nslots = 0;
    w->p.v[1].nslots = SN_SLOTS - 5000;
    for (size_t s = 10000; s < SN_SLOTS; s++)
        w->p.owner[s] = 1;
}

static void dies(struct world *w, char node)
{
    struct picture_node *n = &w->p.v[node - 'a'];
    for (size_t i = 0; i < MASTERS; i++) {
        struct sn_nodes_line *l = line_of(w, (char)('a' + i), node);
        l->connected = false;
        l->flags |= SN_NODES_FAIL;
    }
    sn_nodes_free(&n->view);
    n->answers = false;
    w->s.v[node - 'a'].keys = NULL;
}

static void test_lost_masters(void **state)
{
    struct world *w = world_new();
    (void)state;
    dies(w, 'c');
    assert_string_equal(plan(w, 1), ""); /* the only one that has the keys may come back */
    assert_string_equal(plan_of(w, true, 0), "abandon a>c 10000-16383");
    has_keys(w, 'b', 12000, 3); /* what has arrived elsewhere stays */
    open_slot(w, 'b', 12000, true, 'c');
    assert_string_equal(plan_of(w, true, 0), "close b 12000; abandon a>c 10000-11999; abandon b>c 12000-16383");
    has_keys(w, 'a', 12000, 3); /* whose are right? */
    assert_string_equal(plan_of(w, true, 1), "close b 12000; abandon a>c 10000-11999,12001-16383");
    has_keys(w, 'a', 12000, 0);
    line_of(w, 'b', 'c')->connected = true; /* it is heard on the bus: only we do not reach it */
    line_of(w, 'b', 'c')->flags &= ~(unsigned)SN_NODES_FAIL;
    (void)plan_of(w, true, 3);
    world_free(w);
    w = world_new();
    dies(w, 'c');
    w->p.v[1].master = false; /* it has a replica */
    id_of('c', w->p.v[1].master_id);
    for (size_t s = 5000; s < 10000; s++)
        w->p.owner[s] = 0;
    (void)plan_of(w, true, 1);
    world_free(w);
}

static void test_met_again(void **state)
{
    struct world *w = world_new();
    (void)state;
    forgets(w, 'a', 'b');
    line_of(w, 'c', 'b')->bus_port = 17123;
    assert_true(finds(w, "node-half-known"));
    assert_string_equal(plan(w, 0), "meet b");
    struct repairs r;
    repairs_find(&w->p, &w->s, false, &r);
    assert_string_equal(r.v[0].addr.host, "10.0.0.2"); /* as who hears it says */
    assert_int_equal(r.v[0].addr.port, 7000);
    assert_int_equal(r.v[0].bus_port, 17123);
    repairs_free(&r);
    world_free(w);
    /* Known without an address, or lost at an old one; lost at the right one it is only down. */
    w = world_new();
    line_of(w, 'a', 'b')->flags |= SN_NODES_NOADDR;
    line_of(w, 'b', 'c')->flags |= SN_NODES_FAIL;
    line_of(w, 'b', 'c')->addr.port = 7099;
    line_of(w, 'c', 'a')->flags |= SN_NODES_FAIL;
    assert_string_equal(plan(w, 0), "meet b; meet c");
    world_free(w);
}

static void test_forgotten_by_all(void **state)
{
    struct world *w = world_new();
    (void)state;
    empty_last(w);
    dies(w, 'c');
    assert_string_equal(plan(w, 0), ""); /* all know it: it may be away for a while */
    forgets(w, 'a', 'c');
    assert_string_equal(plan(w, 0), "forget c");
    line_of(w, 'b', 'c')->connected = true;
    line_of(w, 'b', 'c')->flags &= ~(unsigned)SN_NODES_FAIL;
    assert_string_equal(plan(w, 1), ""); /* it is heard on the bus */
    line_of(w, 'b', 'c')->connected = false;
    w->p.v[1].master = false; /* it has a replica */
    id_of('c', w->p.v[1].master_id);
    assert_string_equal(plan(w, 1), "");
    w->p.v[1].master = true;
    w->p.covered--; /* it may have the keys of this slot */
    w->p.owner[3] = -1;
    assert_true(strstr(plan(w, 2), "forget") == NULL);
    world_free(w);
}

static void test_left_to_people(void **state)
{
    struct world *w = world_new();
    (void)state;
    dies(w, 'c'); /* with its slots */
    forgets(w, 'a', 'c');
    assert_true(strstr(plan(w, 1), "forget") == NULL);
    world_free(w);
    /* It claims what another one has by a higher epoch. */
    w = world_new();
    forgets(w, 'a', 'b');
    w->p.owner[5000] = 0;
    assert_true(strstr(plan(w, 1), "meet") == NULL);
    world_free(w);
    /* Without slots: most know it, or most do not. */
    w = world_new();
    empty_last(w);
    forgets(w, 'a', 'c');
    assert_string_equal(plan(w, 0), "meet c");
    forgets(w, 'b', 'c');
    assert_string_equal(plan(w, 1), "");
    /* Its replicas are not met before it. */
    w->p.v[1].master = false;
    id_of('c', w->p.v[1].master_id);
    forgets(w, 'a', 'b');
    assert_true(strstr(plan(w, 2), "meet") == NULL);
    world_free(w);
}

static void test_two_clusters(void **state)
{
    struct world *w = world_new();
    (void)state;
    forgets(w, 'a', 'c');
    forgets(w, 'b', 'c');
    assert_string_equal(plan(w, 0), "meet c"); /* it knows them, and nobody else has its slots */
    forgets(w, 'c', 'a');
    forgets(w, 'c', 'b');
    assert_string_equal(plan(w, 1), "");
    world_free(w);
}

static void test_handshake_with_nobody(void **state)
{
    struct world *w = world_new();
    (void)state;
    struct survey_stray strays[] = {{.by = 1, .addr = {.host = "10.0.0.9", .port = 1}},
                                    {.by = 2, .addr = {.host = "10.0.0.8", .port = 1}, .answers = true}};
    id_of('d', strays[0].id);
    id_of('e', strays[1].id);
    w->s.strays = strays;
    w->s.nstrays = 2;
    assert_string_equal(plan(w, 0), "give up d>b");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_well),
        cmocka_unit_test(test_open_slots),
        cmocka_unit_test(test_migration_under_way_is_left_alone),
        cmocka_unit_test(test_slots_of_nobody),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_lost_masters),
        cmocka_unit_test(test_met_again),
        cmocka_unit_test(test_forgotten_by_all),
        cmocka_unit_test(test_left_to_people),
        cmocka_unit_test(test_two_clusters),
        cmocka_unit_test(test_handshake_with_nobody),
        cmocka_unit_test(test_other_findings),
        cmocka_unit_test(test_open_lines),
        cmocka_unit_test(test_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
