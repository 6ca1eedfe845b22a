#include "nodectl/drill/run.h"

#include "common/io/clock.h"
#include "nodectl/drill/report.h"
#include "nodectl/drill/settle.h"
#include "nodectl/drill/survey.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 25
#define WARM_MS 10000          /* the canaries are all at work by then */
#define QUIET_MS 500           /* and go on for so long before anything is done */
#define WAY_BACK_MS 120000     /* or max_time_s, if that is longer: what has not come back by then is left to people */
#define SWITCH_MS 5000         /* a planned switch that was taken on is over by then */
#define CLAIM_MARGIN_MS 120000 /* what no limit is set to: connections, commands, a new master that is waited for */
#define AGAIN_MS 500           /* a planned switch that was refused is asked for again */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

void drill_pause(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static int64_t since_ms(int64_t then_us)
{
    return (io_now_us() - then_us) / 1000;
}

/* A step is told when it happens, and is part of the report. */
static void tell_step(struct drill_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell_step(struct drill_run *r, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    int64_t ms = r->start_us > 0 ? since_ms(r->start_us) : 0;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    json_array_append_new(r->steps,
                          json_pack("{s:I, s:o}", "ms", (json_int_t)ms, "text", json_text(buf_str(&text), text.n)));
    if (!r->asking.document) {
        print_line(stdout, false, PAINT_NONE, "%8" PRId64 " ms  %s", ms, buf_str(&text));
        fflush(stdout);
    }
    buf_free(&text);
}

void drill_run_free(struct drill_run *r)
{
    canaries_free(r->canaries);
    harm_free(&r->harm);
    target_free(&r->target);
    json_decref(r->steps);
    json_decref(r->reasons);
    buf_free(&r->aborted);
}

/* ---- before ---- */

/* All write and read, and go on so for a while. false: a reason is appended to why. */
static bool warm_up(struct drill_run *r, struct buf *why)
{
    struct canary_sight sight;
    int64_t began_us = io_now_us();
    canaries_mark(r->canaries);
    do {
        drill_pause(LOOK_MS);
        canaries_look(r->canaries, &sight);
        if (interrupted)
            buf_puts(why, "interrupted");
        else if (since_ms(began_us) > WARM_MS && sight.silent > 0)
            buf_printf(why, "no write is taken in database %d: %s", sight.silent_database,
                       sight.last_error[0] != '\0' ? sight.last_error : "no answer");
        else if (since_ms(began_us) > WARM_MS)
            buf_printf(why, "in %zu databases no replica has what was written after %d ms", sight.unread, WARM_MS);
    } while (why->n == 0 && (sight.silent > 0 || sight.unread > 0));
    if (why->n == 0)
        drill_pause(QUIET_MS);
    return why->n == 0;
}

/* ---- the harm ---- */

/* Whether it cannot go on; r->aborted says why then. */
static bool must_end(struct drill_run *r)
{
    struct canary_sight sight;
    canaries_look(r->canaries, &sight);
    if (interrupted)
        buf_puts(&r->aborted, "interrupted");
    else if (r->order.max_outage_ms >= 0 && sight.silence_us / 1000 > r->order.max_outage_ms)
        buf_printf(&r->aborted, "no acknowledged write for more than %" PRId64 " ms", r->order.max_outage_ms);
    else if (since_ms(r->start_us) > r->order.max_time_s * 1000)
        buf_printf(&r->aborted, "it was not over in %" PRId64 " s", r->order.max_time_s);
    return r->aborted.n > 0;
}

static bool wait_hold(struct drill_run *r)
{
    int64_t from_us = io_now_us();
    while (!must_end(r) && since_ms(from_us) < r->order.hold_ms)
        drill_pause(LOOK_MS);
    return r->aborted.n == 0;
}

/* All supervisors that answer name another master than before. */
static bool wait_new_master(struct drill_run *r)
{
    const struct drill_target *t = &r->target;
    struct addr now;
    char text[ADDR_TEXT_MAX];
    while (!must_end(r)) {
        if (survey_master(&r->asking, t->supervisors, t->nsupervisors, t->shard.name, &now) &&
            !addr_eq(&now, &t->shard.nodes[0])) {
            r->to = now;
            tell_step(r, "all supervisors that answer call %s the master", addr_text(&now, text));
            return true;
        }
        drill_pause(LOOK_MS);
    }
    return false;
}

/* The supervisors hold the replica for down. */
static bool wait_missed(struct drill_run *r)
{
    const struct drill_target *t = &r->target;
    char text[ADDR_TEXT_MAX];
    while (!must_end(r)) {
        json_t *document = survey_status(NULL, &r->asking, t->scope, NULL);
        bool missed = document != NULL && target_misses(document, t->shard.name, &r->harm.at);
        json_decref(document);
        if (missed) {
            tell_step(r, "the supervisors miss %s", addr_text(&r->harm.at, text));
            return true;
        }
        drill_pause(LOOK_MS);
    }
    return false;
}

/* What is waited for before the harm has lasted long enough. */
static bool wait_noticed(struct drill_run *r)
{
    switch (r->harm.part) {
    case PART_MASTER: return wait_new_master(r);
    case PART_REPLICA: return wait_missed(r);
    case PART_SUPERVISOR: break;
    }
    return true;
}

/* Every canary has had a write acknowledged since now. */
static bool wait_writes(struct drill_run *r)
{
    struct canary_sight sight = {.silent = 1};
    canaries_mark(r->canaries);
    while (!must_end(r)) {
        canaries_look(r->canaries, &sight);
        if (sight.silent == 0)
            return true;
        drill_pause(LOOK_MS);
    }
    return false;
}

static void do_harm(struct drill_run *r)
{
    struct buf what = {0}, ignored = {0}, why = {0};
    char text[ADDR_TEXT_MAX];
    harm_describe(&r->harm, &what, &ignored);
    canaries_phase(r->canaries, DRILL_HARM);
    r->began_ms = io_wall_ms();
    r->start_us = io_now_us();
    bool done = harm_do(&r->harm, &why);
    if (done) {
        tell_step(r, "%s: %s", addr_text(&r->harm.at, text), buf_str(&what));
        if (wait_noticed(r) && wait_writes(r)) {
            tell_step(r, "writes are acknowledged in every database");
            wait_hold(r);
        }
    } else {
        buf_printf(&r->aborted, "the harm could not be done: %s", buf_str(&why));
    }
    r->end_us = io_now_us();
    if (r->aborted.n > 0)
        tell_step(r, "ended early: %s", buf_str(&r->aborted));
    buf_free(&what);
    buf_free(&ignored);
    buf_free(&why);
}

/* ---- the way back ---- */

static bool is_master_again(const struct drill_run *r)
{
    const struct drill_target *t = &r->target;
    struct addr now;
    return survey_master(&r->asking, t->supervisors, t->nsupervisors, t->shard.name, &now) &&
           addr_eq(&now, &t->shard.nodes[0]);
}

static int64_t way_back_ms(const struct drill_run *r)
{
    return r->order.max_time_s * 1000 > WAY_BACK_MS ? r->order.max_time_s * 1000 : WAY_BACK_MS;
}

/* What is still not as it should be; empty: all is well. */
static void look_around(struct drill_run *r, bool roles, struct buf *why)
{
    const struct drill_target *t = &r->target;
    char text[ADDR_TEXT_MAX];
    json_t *document = survey_status(NULL, &r->asking, t->scope, NULL);
    if (document == NULL)
        buf_puts(why, "no supervisor can be asked\n");
    else
        target_unfit(document, t->scope, why);
    json_decref(document);
    if (roles && why->n == 0 && !is_master_again(r))
        buf_puts(why, "the old master is not the master again\n");
    for (size_t i = 0; why->n == 0 && i < t->shard.n; i++) {
        struct survey_node node;
        if (survey_node(&r->asking, &r->order, &t->shard.nodes[i], false, &node, why) && node.replica && !node.follows)
            buf_printf(why, "%s does not follow its master yet\n", addr_text(&t->shard.nodes[i], text));
    }
}

static bool wait_well(struct drill_run *r, bool roles, struct buf *why)
{
    int64_t from_us = io_now_us();
    do {
        buf_clear(why);
        look_around(r, roles, why);
        if (why->n == 0)
            return true;
        drill_pause(4 * LOOK_MS);
    } while (since_ms(from_us) < way_back_ms(r));
    return false;
}

/* A replica that has just come back may not be fit at once, so it is asked for again. */
static bool restore_roles(struct drill_run *r, struct buf *why)
{
    const struct drill_target *t = &r->target;
    char text[ADDR_TEXT_MAX];
    int64_t from_us = io_now_us(), asked_us;
    bool again = false;
    canaries_phase(r->canaries, DRILL_RESTORE);
    while (!again && since_ms(from_us) < way_back_ms(r)) {
        asked_us = io_now_us();
        buf_clear(why);
        bool taken = survey_switch(&r->asking, t->supervisors, t->nsupervisors, t->shard.name, &t->shard.nodes[0], why);
        while (!(again = is_master_again(r)) && since_ms(asked_us) < (taken ? SWITCH_MS : AGAIN_MS))
            drill_pause(LOOK_MS);
    }
    if (again)
        tell_step(r, "%s is the master again, by a planned switch", addr_text(&t->shard.nodes[0], text));
    else if (why->n == 0)
        buf_puts(why, "planned switches were taken on and came to nothing");
    return again;
}

/* What is left to people, as the reason of a failure. */
static void leave_it(struct drill_run *r, const char *what, struct buf *why)
{
    if (why->n > 0 && why->p[why->n - 1] == '\n')
        why->n--;
    for (size_t i = 0; i < why->n; i++)
        if (why->p[i] == '\n')
            why->p[i] = ';';
    tell_step(r, "%s: %s", what, buf_str(why));
    report_reason(r->reasons, "%s: %s", what, buf_str(why));
    r->back = false;
}

/* The way back has limits of its own; and a supervisor that was killed has forgotten the claim. */
static void renew_claim(const struct drill_run *r)
{
    if (r->harm.claim != NULL)
        claim_renew(r->harm.claim, 3 * way_back_ms(r) + CLAIM_MARGIN_MS);
}

static void bring_back(struct drill_run *r)
{
    struct buf why = {0}, what = {0}, back = {0};
    char text[ADDR_TEXT_MAX];
    bool to_undo = r->harm.done && r->harm.way != HARM_SWITCH;
    harm_describe(&r->harm, &what, &back);
    r->back = true;
    if (harm_must_wait(&r->harm) && !addr_is_set(&r->to))
        tell_step(r, "waits for a new master before the old one is started: it may have lost its data");
    bool undone = harm_undo(&r->harm, &why);
    renew_claim(r);
    if (!undone) {
        leave_it(r, "it could not be undone", &why);
    } else {
        if (to_undo)
            tell_step(r, "%s: %s", addr_text(&r->harm.at, text), buf_str(&back));
        if (!wait_well(r, false, &why))
            leave_it(r, "the fleet is not well again", &why);
    }
    struct addr now;
    bool moved = survey_master(&r->asking, r->target.supervisors, r->target.nsupervisors, r->target.shard.name, &now) &&
                 !addr_eq(&now, &r->target.shard.nodes[0]);
    if (moved && !addr_is_set(&r->to))
        r->to = now; /* it was ended before the supervisors were */
    if (r->back && moved && r->order.restore_roles && !(restore_roles(r, &why) && wait_well(r, true, &why)))
        leave_it(r, "the old master is not the master again", &why);
    if (r->back)
        tell_step(r, r->order.restore_roles || !moved ? "all is as it was" : "all is well; the new master stays");
    buf_free(&why);
    buf_free(&what);
    buf_free(&back);
}

/* One drill at a time concerns a cluster or group: two of them would take what one of them leaves. The claim ends by
 * itself, should nobody live who could end it. false: why was said. */
static bool begin_claim(struct drill_run *r)
{
    struct buf why = {0};
    snprintf(r->what, sizeof r->what, "%s of %s", drill_kind_name(r->harm.kind), r->target.shard.name);
    r->claim = (struct drill_claim_order){&r->asking, &r->target, r->id, r->harm.of_supervisor, r->what};
    enum claim_result got = claim_take(&r->claim, r->order.max_time_s * 1000 + WARM_MS + CLAIM_MARGIN_MS, &why);
    if (got == CLAIM_TAKEN)
        r->harm.claim = &r->claim;
    else if (got == CLAIM_UNKNOWN)
        command_fail(r->call, EXIT_OK,
                     "nothing keeps another drill from running meanwhile, as these supervisors keep no "
                     "claims:");
    else
        command_fail(r->call, EXIT_USAGE,
                     "nothing was done: a majority of the supervisors has to take the drill's claim, and does not:");
    print_lines(stderr, "  ", buf_slice(&why));
    buf_free(&why);
    return got != CLAIM_REFUSED;
}

/* From the canaries to the settled account. false: nothing was done, and why was said. */
static bool drill(struct drill_run *r)
{
    struct buf why = {0};
    r->canaries = canaries_start(&r->setup);
    bool begun = r->canaries != NULL && warm_up(r, &why);
    if (begun) {
        do_harm(r);
        bring_back(r);
        (void)wait_last_writes(r->canaries);
    } else {
        command_fail(r->call, EXIT_USAGE, "nothing was done: %s",
                     r->canaries == NULL ? "no thread could be started" : buf_str(&why));
    }
    if (r->canaries != NULL) {
        canaries_stop(r->canaries);
        drill_settle(r);
    }
    buf_free(&why);
    return begun;
}

int drill_perform(struct drill_run *r)
{
    struct sigaction act = {.sa_handler = on_signal}, before[3];
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    bool begun = false;
    for (size_t i = 0; i < 3; i++)
        sigaction(signals[i], &act, &before[i]);
    if (begin_claim(r)) {
        harm_guard(&r->harm);
        begun = drill(r);
    }
    if (r->harm.claim != NULL)
        claim_end(r->harm.claim);
    for (size_t i = 0; i < 3; i++)
        sigaction(signals[i], &before[i], NULL);
    return begun ? EXIT_OK : EXIT_USAGE;
}
