#include "sentineld/core/note.h"

#include "common/base/mem.h"
#include "sentineld/core/replay.h"
#include "sentineld/core/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS(ms) ((int64_t)(ms)*1000)
#define SELF "1111111111111111111111111111111111111111"
#define OTHER "2222222222222222222222222222222222222222"
#define LINE "abababababababababababababababababababab"

/* One supervisor, its disk and its links, played by hand: a master m (port 1) and replicas r (2) and s (3). */
struct stage {
    struct sn_core *core;
    struct sn_group *group;
    struct sn_effects fx;
    int64_t now_us;
    struct sn_note *notes[64]; /* all that were told, in order */
    size_t n;
};

static void act(struct stage *t, struct sn_event e);

/* Links come up at once, and what is to be written is on disk at once. */
static void obey(struct stage *t)
{
    struct sn_effects fx = t->fx;
    t->fx = (struct sn_effects){NULL, 0, 0};
    for (size_t k = 0; k < fx.n; k++) {
        struct sn_effect *e = &fx.v[k];
        if (e->kind == SN_FX_NOTE) {
            assert_true(t->n < 64);
            t->notes[t->n++] = e->note;
            e->note = NULL;
        } else if (e->kind == SN_FX_CONNECT) {
            act(t, (struct sn_event){.kind = SN_EV_LINK_UP, .link = e->link, .ip = "10.0.0.1", .local_ip = "10.0.0.9"});
        } else if (e->kind == SN_FX_PERSIST) {
            act(t, (struct sn_event){.kind = SN_EV_PERSISTED, .seq = e->seq});
        }
    }
    sn_effects_free(&fx);
}

static void act(struct stage *t, struct sn_event e)
{
    e.now_us = t->now_us;
    sn_step(t->core, &e, &t->fx);
    obey(t);
}

static struct sn_node *node(const struct stage *t, int port)
{
    return sn_node_find(t->core, "10.0.0.1", port);
}

static void info(struct stage *t, int port, const char *text)
{
    struct sn_info i;
    sn_info_init(&i);
    assert_true(sn_info_parse(&i, slice_of(text)));
    act(t, (struct sn_event){.kind = SN_EV_INFO, .link = node(t, port)->cmd.link, .info = &i});
    sn_info_free(&i);
}

static void replica_says(struct stage *t, int port, int priority, int offset)
{
    char text[600];
    snprintf(text, sizeof text,
             "run_id:%040d\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:1\r\nmaster_link_status:up\r\n"
             "slave_repl_offset:%d\r\nslave_priority:%d\r\nmaster_replid:" LINE "\r\n",
             port, offset, priority);
    info(t, port, text);
}

static void master_says(struct stage *t, int port)
{
    char text[300];
    snprintf(text, sizeof text, "run_id:%040d\r\nrole:master\r\nmaster_replid:" LINE "\r\nmaster_repl_offset:9\r\n",
             port);
    info(t, port, text);
}

static void pong(struct stage *t, int port)
{
    act(t, (struct sn_event){.kind = SN_EV_PONG, .link = node(t, port)->cmd.link, .pong = SN_PONG_OK});
}

/* As the loop does: the core is called whenever it wants to be, and the servers in `alive` answer. */
static void run_until(struct stage *t, int64_t until_us, const char *alive)
{
    while (t->now_us < until_us) {
        int64_t next = sn_deadline(t->core);
        t->now_us = next < until_us ? next : until_us;
        act(t, (struct sn_event){.kind = SN_EV_TICK});
        for (const char *p = alive; *p != '\0'; p++)
            pong(t, *p - '0');
    }
}

static void begin(struct stage *t, const char *peer)
{
    char nothing[] = "";
    struct sn_core_options o = {
        .id = SELF,
        .seed = 5,
        .port = 26379,
        .joined = true,
        .globals = {.announce_ip = nothing, .user = nothing, .pass = nothing, .loglevel = nothing},
    };
    struct sn_settings set;
    struct addr replicas[2];
    struct sn_record_peer p = {.id = OTHER};
    struct sn_core_group g = {.name = "g", .settings = &set, .replicas = replicas, .nreplicas = 2, .peers = &p};
    *t = (struct stage){.now_us = MS(1000)};
    sn_params_default(&o.params);
    sn_settings_init(&set);
    set.quorum = 1;
    set.down_after_ms = 500;
    set.failover_timeout_ms = 5000;
    addr_set(&g.master, slice_of("10.0.0.1"), 1);
    addr_set(&replicas[0], slice_of("10.0.0.1"), 2);
    addr_set(&replicas[1], slice_of("10.0.0.1"), 3);
    addr_set(&p.addr, slice_of("10.0.0.2"), 26379);
    g.npeers = peer != NULL;
    t->core = sn_core_new(&o, t->now_us);
    assert_true(sn_core_add_group(t->core, &g, t->now_us, &t->fx));
    t->group = sn_group_find(t->core, slice_of("g"));
    sn_settings_free(&set);
    act(t, (struct sn_event){.kind = SN_EV_TICK});
    master_says(t, 1);
    for (int port = 1; port <= 3; port++)
        pong(t, port);
}

static void end(struct stage *t)
{
    for (size_t k = 0; k < t->n; k++)
        sn_note_free(t->notes[k]);
    sn_core_free(t->core);
    sn_effects_free(&t->fx);
}

static struct sn_note *noted(const struct stage *t, enum sn_note_kind kind)
{
    for (size_t k = t->n; k-- > 0;)
        if (t->notes[k]->kind == kind)
            return t->notes[k];
    return NULL;
}

static size_t count(const struct stage *t, enum sn_note_kind kind)
{
    size_t n = 0;
    for (size_t k = 0; k < t->n; k++)
        n += t->notes[k]->kind == kind;
    return n;
}

static int64_t value(const struct sn_note *n, const char *name)
{
    return sn_note_get(sn_note_whole(n), name, -99);
}

static const char *text(const struct sn_note *n, const char *name)
{
    return sn_note_get_text(sn_note_whole(n), name);
}

/* The master dies; r has priority 100 and less data, s more: s is promoted. */
static void die_and_fail_over(struct stage *t)
{
    replica_says(t, 2, 100, 5);
    replica_says(t, 3, 100, 7);
    act(t, (struct sn_event){.kind = SN_EV_LINK_DOWN, .link = node(t, 1)->cmd.link, .why = SN_WHY_REFUSED});
    int64_t silent_us = t->now_us;
    run_until(t, silent_us + MS(450), "23");
    replica_says(t, 2, 100, 5);
    replica_says(t, 3, 100, 7);
    run_until(t, silent_us + MS(650), "23");
}

/* ---- the tests ---- */

static void parts_are_found_by_name(void **state)
{
    (void)state;
    struct sn_note *n = sn_note_new(SN_NOTE_WON, 3);
    sn_note_object(n, "inner");
    sn_note_int(n, "x", 1);
    sn_note_end(n);
    sn_note_list(n, "rows");
    sn_note_row(n);
    sn_note_int(n, "x", 2);
    sn_note_row(n);
    sn_note_text(n, "y", NULL);
    sn_note_end(n);
    sn_note_list(n, "none");
    sn_note_end(n);
    sn_note_bool(n, "x", true);
    assert_int_equal(value(n, "x"), 1); /* its own, not the first one inside */
    struct sn_note_part rows = sn_note_part(n, "rows"), none = sn_note_part(n, "none"), row;
    assert_int_equal(sn_note_get(sn_note_part(n, "inner"), "x", 0), 1);
    assert_true(sn_note_next(&rows, &row));
    assert_int_equal(sn_note_get(row, "x", 0), 2);
    assert_true(sn_note_next(&rows, &row));
    assert_int_equal(sn_note_get(row, "x", 0), 0);
    assert_string_equal(sn_note_get_text(row, "y"), "");
    assert_false(sn_note_next(&rows, &row));
    assert_false(sn_note_next(&none, &row));
    assert_int_equal(sn_note_get(sn_note_part(n, "absent"), "x", -1), -1);
    sn_note_free(n);
}

static void a_failover_is_accounted_for(void **state)
{
    (void)state;
    struct stage t;
    begin(&t, NULL);
    assert_int_equal(t.n, 0); /* quiet times have no notes */
    die_and_fail_over(&t);
    const struct sn_note *n = noted(&t, SN_NOTE_SDOWN);
    assert_string_equal(text(n, "reason"), "silent");
    assert_string_equal(text(n, "address"), "10.0.0.1:1");
    assert_string_equal(text(n, "connection"), "connected"); /* the stage lets every reconnect succeed */
    assert_true(value(n, "since_us") >= MS(500));
    assert_int_equal(value(noted(&t, SN_NOTE_ODOWN), "quorum"), 1);
    n = noted(&t, SN_NOTE_STAND);
    assert_string_equal(text(n, "candidate"), "10.0.0.1:3");
    struct sn_note_part list = sn_note_part(n, "ranking"), row;
    assert_true(sn_note_next(&list, &row));
    assert_string_equal(sn_note_get_text(row, "verdict"), "suitable");
    assert_int_equal(sn_note_get(row, "offset", 0), 7);
    assert_true(sn_note_next(&list, &row));
    assert_int_equal(sn_note_get(row, "offset", 0), 5);
    assert_false(sn_note_next(&list, &row));
    n = noted(&t, SN_NOTE_WON);
    assert_int_equal(n->epoch, 1);
    assert_null(noted(&t, SN_NOTE_PROMOTED));
    t.now_us += MS(3);
    master_says(&t, 3);
    assert_string_equal(text(noted(&t, SN_NOTE_PROMOTED), "candidate"), "10.0.0.1:3");
    n = noted(&t, SN_NOTE_SWITCHED);
    assert_string_equal(text(n, "to"), "10.0.0.1:3");
    assert_int_equal(value(n, "detect_ms"), 500);
    assert_true(value(n, "promote_ms") >= 3);
    end(&t);
}

static void a_record_is_decided_again(void **state)
{
    (void)state;
    struct stage t;
    struct sn_replay r;
    const char *why;
    begin(&t, NULL);
    die_and_fail_over(&t);
    master_says(&t, 3);
    struct sn_note *stand = noted(&t, SN_NOTE_STAND), *won = noted(&t, SN_NOTE_WON),
                   *promoted = noted(&t, SN_NOTE_PROMOTED);
    assert_true(sn_replay(stand, won, promoted, &r, &why));
    for (size_t k = 0; k < r.n; k++)
        if (!r.checks[k].same)
            fail_msg("%s: %s, %s", r.checks[k].what, r.checks[k].recorded, r.checks[k].replayed);
    assert_true(r.same);
    assert_int_equal(r.n, 6);
    assert_false(sn_replay(won, NULL, NULL, &r, &why));
    assert_non_null(why);
    end(&t);
}

static struct sn_note_item *item(struct sn_note *n, const char *name, size_t which)
{
    for (size_t k = 0; k < n->n; k++)
        if (n->v[k].name != NULL && strcmp(n->v[k].name, name) == 0 && which-- == 0)
            return &n->v[k];
    fail_msg("no %s", name);
    return NULL;
}

static void expect_difference(const struct stage *t, const char *what)
{
    struct sn_replay r;
    const char *why;
    assert_true(sn_replay(noted(t, SN_NOTE_STAND), noted(t, SN_NOTE_WON), NULL, &r, &why));
    assert_false(r.same);
    for (size_t k = 0; k < r.n; k++)
        if (!r.checks[k].same && strcmp(r.checks[k].what, what) == 0)
            return;
    fail_msg("no difference in %s", what);
}

/* Each forged input makes the replay differ in the decision that it feeds. */
static void a_forged_record_is_found_out(void **state)
{
    (void)state;
    struct stage t;
    begin(&t, NULL);
    die_and_fail_over(&t);
    struct sn_note *stand = noted(&t, SN_NOTE_STAND), *won = noted(&t, SN_NOTE_WON);
    struct sn_note_item *i = item(stand, "own_offset", 0);
    int64_t before = i->number;
    i->number = 1; /* the chosen one had less data than the other */
    expect_difference(&t, "candidate");
    i->number = before;
    i = item(stand, "since_us", 0);
    before = i->number;
    i->number = MS(100); /* not silent for long enough */
    expect_difference(&t, "S_DOWN");
    i->number = before;
    i = item(stand, "quorum", 0);
    i->number = 2; /* nobody else says so */
    expect_difference(&t, "O_DOWN");
    i->number = 1;
    i = item(won, "own_vote", 0);
    i->number = 0;
    expect_difference(&t, "votes");
    end(&t);
}

static void why_nobody_stands_is_told_once(void **state)
{
    (void)state;
    struct stage t;
    begin(&t, NULL);
    replica_says(&t, 2, 0, 5);
    replica_says(&t, 3, 0, 7);
    act(&t, (struct sn_event){.kind = SN_EV_LINK_DOWN, .link = node(&t, 1)->cmd.link, .why = SN_WHY_CLOSED});
    int64_t silent_us = t.now_us;
    for (int k = 1; k <= 10; k++) {
        run_until(&t, silent_us + MS(450 * k), "23");
        replica_says(&t, 2, 0, 5);
        replica_says(&t, 3, 0, 7);
    }
    const struct sn_note *n = noted(&t, SN_NOTE_WAITING);
    assert_string_equal(text(n, "why"), "no replica is suitable");
    struct sn_note_part list = sn_note_part(n, "ranking"), row;
    assert_true(sn_note_next(&list, &row));
    assert_string_equal(sn_note_get_text(row, "verdict"), "priority 0");
    assert_true(count(&t, SN_NOTE_WAITING) <= 2); /* before it the replicas may be asked for their offsets */
    assert_null(noted(&t, SN_NOTE_STAND));
    end(&t);
}

static void ask_for_vote(struct stage *t, uint64_t epoch, int port)
{
    struct sn_ballot b = {.verb = SN_BALLOT_VOTE, .down = true, .group = "g", .epoch = epoch};
    addr_set(&b.master, slice_of("10.0.0.1"), 1);
    addr_set(&b.candidate, slice_of("10.0.0.1"), port);
    act(t, (struct sn_event){
               .kind = SN_EV_BALLOTS, .token = 1, .text = slice_of(OTHER), .epoch = epoch, .ballots = &b, .count = 1});
}

static void votes_are_noted_with_the_reason_of_a_refusal(void **state)
{
    (void)state;
    struct stage t;
    begin(&t, OTHER);
    replica_says(&t, 2, 100, 5);
    ask_for_vote(&t, 4, 2);
    const struct sn_note *n = noted(&t, SN_NOTE_VOTE);
    assert_int_equal(n->epoch, 4);
    assert_int_equal(value(n, "granted"), 1);
    assert_string_equal(text(n, "for"), OTHER);
    assert_string_equal(text(n, "candidate"), "10.0.0.1:2");
    ask_for_vote(&t, 4, 2);
    assert_int_equal(count(&t, SN_NOTE_VOTE), 1); /* asked again: nothing new */
    ask_for_vote(&t, 3, 2);
    n = noted(&t, SN_NOTE_VOTE);
    assert_int_equal(value(n, "granted"), 0);
    assert_non_null(strstr(text(n, "why"), "vote of this epoch"));
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found_by_name),
        cmocka_unit_test(a_failover_is_accounted_for),
        cmocka_unit_test(a_record_is_decided_again),
        cmocka_unit_test(a_forged_record_is_found_out),
        cmocka_unit_test(why_nobody_stands_is_told_once),
        cmocka_unit_test(votes_are_noted_with_the_reason_of_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
