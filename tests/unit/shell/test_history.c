#include "sentineld/shell/history.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "tests/unit/shell/state_run.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_MS INT64_C(86400000)

struct lived {
    struct io_loop *loop;
    struct history *h;
    struct history_options o;
    char told[8][64]; /* events about the history itself */
    char told_text[8][512];
    size_t ntold;
    bool answered;
    uint64_t token;
    struct history_rows rows; /* of the last answer */
};

static void on_told(void *owner, const char *event, const char *text)
{
    struct lived *l = owner;
    assert_true(l->ntold < 8);
    snprintf(l->told[l->ntold], sizeof l->told[0], "%s", event);
    snprintf(l->told_text[l->ntold++], sizeof l->told_text[0], "%s", text);
}

static void on_done_asking(void *owner, uint64_t token, const struct history_rows *rows, struct buf *reply)
{
    struct lived *l = owner;
    assert_int_equal(reply->n, 0);
    l->answered = true;
    l->token = token;
    history_rows_free(&l->rows);
    l->rows.error = rows->error != NULL ? mem_strdup(rows->error) : NULL;
    l->rows.v = mem_zalloc((rows->n + 1) * sizeof *rows->v);
    for (size_t i = 0; i < rows->n; i++) {
        struct history_row *r = &l->rows.v[l->rows.n++];
        *r = rows->v[i];
        r->name = rows->v[i].name != NULL ? mem_strdup(rows->v[i].name) : NULL;
        r->text = rows->v[i].text != NULL ? mem_strdup(rows->v[i].text) : NULL;
        r->group = rows->v[i].group != NULL ? mem_strdup(rows->v[i].group) : NULL;
    }
}

static void begin(struct lived *l, size_t queue_max)
{
    *l = (struct lived){.loop = io_loop_new()};
    l->o = (struct history_options){.loop = l->loop,
                                    .max_age_days = 30,
                                    .max_mb = 4,
                                    .queue_max = queue_max,
                                    .told = on_told,
                                    .done = on_done_asking,
                                    .owner = l};
    l->h = history_open(test_dir, &l->o);
}

static void end(struct lived *l)
{
    assert_true(history_close(l->h));
    history_rows_free(&l->rows);
    io_loop_free(l->loop);
}

/* Asks and waits for the answer. */
static const struct history_rows *ask(struct lived *l, struct history_query q)
{
    l->answered = false;
    assert_true(history_has_room(l->h));
    history_ask(l->h, 7, &q);
    while (!l->answered)
        io_loop_once(l->loop);
    assert_int_equal(l->token, 7);
    return &l->rows;
}

static const struct history_rows *since(struct lived *l, int64_t n)
{
    return ask(l, (struct history_query){.what = HISTORY_EVENTS, .forward = true, .from = n, .count = 10000});
}

static int64_t last(struct lived *l)
{
    const struct history_rows *r = ask(l, (struct history_query){.what = HISTORY_LAST});
    assert_null(r->error);
    return r->v[0].number;
}

static void put(struct lived *l, const char *name, const char *text, const char *group)
{
    history_event(l->h, io_wall_ms(), name, text, group);
}

static void wait_told(struct lived *l, size_t n)
{
    while (l->ntold < n)
        io_loop_once(l->loop);
}

/* ---- the tests ---- */

static void events_are_numbered_across_restarts(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    assert_int_equal(last(&l), 0);
    put(&l, "+sdown", "master a", "a");
    put(&l, "+tilt", NULL, NULL);
    const struct history_rows *r = since(&l, 0);
    assert_int_equal(r->n, 2);
    assert_int_equal(r->v[0].number, 1);
    assert_string_equal(r->v[0].name, "+sdown");
    assert_string_equal(r->v[0].text, "master a");
    assert_string_equal(r->v[0].group, "a");
    assert_string_equal(r->v[1].group, "");
    put(&l, "-sdown", "master a", "a"); /* written by the close alone */
    end(&l);
    begin(&l, 0);
    put(&l, "+odown", "master a", "a");
    r = since(&l, 2);
    assert_int_equal(r->n, 2);
    assert_int_equal(r->v[0].number, 3);
    assert_string_equal(r->v[0].name, "-sdown");
    assert_int_equal(r->v[1].number, 4);
    assert_int_equal(last(&l), 4);
    assert_int_equal(l.ntold, 0);
    end(&l);
}

static void questions_choose_by_group_count_and_direction(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    for (int i = 0; i < 10; i++)
        put(&l, "+x", "", i % 2 ? "odd" : "even");
    const struct history_rows *r = ask(
        &l, (struct history_query){
                .what = HISTORY_EVENTS, .forward = true, .from = 2, .count = 3, .group = mem_strdup("odd")});
    assert_int_equal(r->n, 3);
    assert_int_equal(r->v[0].number, 4);
    assert_int_equal(r->v[2].number, 8);
    r = ask(&l, (struct history_query){.what = HISTORY_EVENTS, .count = 2});
    assert_int_equal(r->n, 2);
    assert_int_equal(r->v[0].number, 10);
    assert_int_equal(r->v[1].number, 9);
    r = ask(&l, (struct history_query){.what = HISTORY_EVENTS, .from = 9, .count = 1});
    assert_int_equal(r->v[0].number, 8);
    end(&l);
}

static void who_asks_beyond_the_end_is_told(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    put(&l, "+x", "", NULL);
    const struct history_rows *r = since(&l, 900);
    assert_int_equal(r->n, 1);
    assert_string_equal(r->v[0].name, "-events-renumbered");
    assert_int_equal(r->v[0].number, 1);
    assert_int_equal(since(&l, 1)->n, 0);
    end(&l);
}

static struct sn_note *a_note(void)
{
    struct sn_note *n = sn_note_new(SN_NOTE_WON, 12);
    sn_note_text(n, "why",
                 "be\xff"
                 "cause");
    sn_note_int(n, "took_us", 1500);
    sn_note_object(n, "master");
    sn_note_bool(n, "down", true);
    sn_note_end(n);
    sn_note_list(n, "supervisors");
    sn_note_row(n);
    sn_note_text(n, "id", "one");
    sn_note_row(n);
    sn_note_text(n, "id", "two");
    sn_note_end(n);
    sn_note_bool(n, "last", false);
    return n;
}

static void notes_are_json_and_share_the_numbers(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    put(&l, "+x", "", "g");
    history_note(l.h, 1234, "g", a_note());
    history_note(l.h, 1235, "h", sn_note_new(SN_NOTE_LOST, 13));
    const struct history_rows *r = ask(
        &l, (struct history_query){.what = HISTORY_NOTES, .count = 10, .kind = mem_strdup("won")});
    assert_int_equal(r->n, 1);
    assert_int_equal(r->v[0].number, 2);
    assert_int_equal(r->v[0].epoch, 12);
    assert_int_equal(r->v[0].wall_ms, 1234);
    json_t *o = json_loads(r->v[0].text, 0, NULL), *rows = json_object_get(o, "supervisors");
    assert_string_equal(json_string_value(json_object_get(o, "why")), "be?cause");
    assert_int_equal(json_integer_value(json_object_get(o, "took_us")), 1500);
    assert_true(json_is_true(json_object_get(json_object_get(o, "master"), "down")));
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "id")), "two");
    assert_true(json_is_false(json_object_get(o, "last")));
    json_decref(o);
    assert_int_equal(since(&l, 0)->n, 1);
    end(&l);
}

static int64_t file_size(const char *name)
{
    struct stat st;
    return stat(in_dir(name), &st) == 0 ? st.st_size : 0;
}

static void the_file_stays_within_its_size(void **state)
{
    (void)state;
    struct lived l;
    char text[1001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    begin(&l, 0);
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 1000; i++)
            put(&l, "+x", text, "g");
        last(&l);
    }
    assert_int_equal(last(&l), 12000);
    end(&l); /* trims what is left to trim at the next start */
    begin(&l, 0);
    const struct history_rows *r = since(&l, 0);
    assert_string_equal(r->v[0].name, "-events-gone");
    int64_t gone = r->v[0].number;
    assert_true(gone > 6000 && gone < 12000);
    assert_int_equal(r->v[1].number, gone + 1);
    assert_int_equal(last(&l), 12000);
    end(&l);
    int64_t bytes = file_size("history.db") + file_size("history.db-wal");
    if (bytes > INT64_C(6) << 20)
        fail_msg("history.db and its log take %lld bytes", (long long)bytes);
}

static void what_is_too_old_is_forgotten(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    for (int i = 0; i < 20; i++)
        history_event(l.h, io_wall_ms() - 31 * DAY_MS, "+old", "", NULL);
    put(&l, "+new", "", NULL);
    assert_int_equal(last(&l), 21);
    end(&l);
    begin(&l, 0);
    const struct history_rows *r = since(&l, 0);
    for (int64_t end_ms = io_wall_ms() + 10000; r->n != 2 && io_wall_ms() < end_ms;) /* it is done beside questions */
        r = since(&l, 0);
    assert_int_equal(r->n, 2);
    assert_string_equal(r->v[0].name, "-events-gone");
    assert_string_equal(r->v[1].name, "+new");
    assert_int_equal(r->v[1].number, 21);
    end(&l);
}

/* A directory in its place: whatever is done with the file fails, for root too. */
static void a_failing_disk_is_told_once_and_recovers(void **state)
{
    (void)state;
    struct lived l;
    assert_int_equal(mkdir(in_dir("history.db"), 0700), 0);
    begin(&l, 5);
    wait_told(&l, 1);
    assert_string_equal(l.told[0], "-history-not-saved");
    assert_non_null(strstr(l.told_text[0], "history.db cannot be opened"));
    for (int i = 0; i < 12; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        put(&l, "+x", text, NULL);
    }
    const struct history_rows *r = since(&l, 0);
    assert_non_null(r->error);
    assert_int_equal(l.ntold, 1);
    assert_int_equal(rmdir(in_dir("history.db")), 0);
    wait_told(&l, 2);
    assert_string_equal(l.told[1], "+history-saved");
    assert_non_null(strstr(l.told_text[1], "the history is written again: 7 entries of "));
    r = since(&l, 0);
    assert_null(r->error);
    assert_int_equal(r->n, 6);
    assert_string_equal(r->v[0].name, "-history-lost");
    assert_int_equal(strncmp(r->v[0].text, "7 entries ", 10), 0);
    assert_string_equal(r->v[1].text, "7");
    assert_string_equal(r->v[5].text, "11");
    end(&l);
}

static void a_file_that_was_taken_away_is_begun_anew(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    put(&l, "+x", "", NULL);
    assert_int_equal(last(&l), 1);
    assert_int_equal(unlink(in_dir("history.db")), 0);
    unlink(in_dir("history.db-wal"));
    put(&l, "+y", "", NULL);
    const struct history_rows *r = since(&l, 0);
    assert_null(r->error);
    assert_int_equal(r->n, 1);
    assert_string_equal(r->v[0].name, "+y");
    end(&l);
    assert_true(file_size("history.db") > 0);
}

static void a_damaged_file_is_put_aside(void **state)
{
    (void)state;
    struct lived l;
    FILE *f = fopen(in_dir("history.db"), "w");
    assert_non_null(f);
    for (int i = 0; i < 3000; i++)
        fputs("this is no database at all ", f);
    fclose(f);
    begin(&l, 0);
    wait_told(&l, 1);
    assert_string_equal(l.told[0], "-history-damaged");
    put(&l, "+x", "", NULL);
    assert_int_equal(since(&l, 0)->n, 1);
    assert_true(file_size("history.db.damaged") > 0);
    end(&l);
}

/* Whatever is asked for and published goes through one queue, so an answer has all that was published before. */
static void answers_hold_what_was_published_before(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    for (int i = 1; i <= 200; i++) {
        put(&l, "+x", "", NULL);
        assert_int_equal(last(&l), i);
    }
    end(&l);
}

/* ---- a disk that does not answer: the thread is held where it makes a reply ---- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool hold, held;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

static void held_render(const struct history_query *q, const struct history_rows *rows, struct buf *reply)
{
    (void)rows;
    (void)reply;
    pthread_mutex_lock(&gate.mutex);
    gate.held = q->count == 1;
    pthread_cond_broadcast(&gate.changed);
    while (gate.hold && q->count == 1)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
}

static void on_rendered(void *owner, uint64_t token, const struct history_rows *rows, struct buf *reply)
{
    struct lived *l = owner;
    (void)reply;
    l->answered = true;
    l->token = token;
    free(l->rows.error);
    l->rows.error = rows->error != NULL ? mem_strdup(rows->error) : NULL;
}

/* A question of one row holds the thread until release(). */
static void begin_held(struct lived *l, size_t queue_max)
{
    begin(l, queue_max);
    history_close(l->h);
    gate.hold = true;
    gate.held = false;
    l->o.render = held_render;
    l->o.done = on_rendered;
    l->o.hangs_ms = 200;
    l->h = history_open(test_dir, &l->o);
    struct history_query q = {.what = HISTORY_EVENTS, .count = 1};
    history_ask(l->h, 1, &q);
    pthread_mutex_lock(&gate.mutex);
    while (!gate.held)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
}

static void release(void)
{
    pthread_mutex_lock(&gate.mutex);
    gate.hold = false;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
}

static void a_hanging_disk_is_told_and_bounded(void **state)
{
    (void)state;
    struct lived l;
    begin_held(&l, 5);
    struct history_query q = {.what = HISTORY_EVENTS, .forward = true, .count = 100};
    history_ask(l.h, 2, &q); /* behind the one that hangs */
    for (int i = 0; i < 12; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        put(&l, "+x", text, NULL);
    }
    wait_told(&l, 1);
    assert_string_equal(l.told[0], "-history-not-saved");
    assert_non_null(strstr(l.told_text[0], "does not answer"));
    while (!l.answered)
        io_loop_once(l.loop);
    assert_int_equal(l.token, 2);
    assert_non_null(strstr(l.rows.error, "does not answer"));
    l.answered = false;
    q = (struct history_query){.what = HISTORY_EVENTS, .forward = true, .count = 100};
    history_ask(l.h, 3, &q); /* refused at once */
    while (!l.answered)
        io_loop_once(l.loop);
    assert_int_equal(l.token, 3);
    assert_non_null(strstr(l.rows.error, "does not answer"));
    assert_int_equal(l.ntold, 1);
    release();
    wait_told(&l, 2);
    assert_string_equal(l.told[1], "+history-saved");
    assert_non_null(strstr(l.told_text[1], "7 entries of "));
    end(&l);
    begin(&l, 0);
    const struct history_rows *r = since(&l, 0);
    assert_int_equal(r->n, 6);
    assert_string_equal(r->v[0].name, "-history-lost");
    assert_string_equal(r->v[1].text, "7");
    assert_string_equal(r->v[5].text, "11");
    end(&l);
}

static void a_hanging_disk_does_not_hold_the_end(void **state)
{
    (void)state;
    struct lived l;
    begin_held(&l, 5);
    put(&l, "+x", "", NULL);
    int64_t start_us = io_now_us();
    assert_false(history_close(l.h));
    int64_t took_us = io_now_us() - start_us;
    if (took_us < 1000000 || took_us > 6000000)
        fail_msg("the end took %lld us", (long long)took_us);
    io_loop_free(l.loop);
    release(); /* the thread ends by itself, and frees what is its own */
    begin(&l, 0);
    while (since(&l, 0)->error != NULL) /* the file is the other thread's until it has ended */
        ;
    end(&l);
}

static void limits_change_at_once(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    for (int i = 0; i < 20; i++)
        history_event(l.h, io_wall_ms() - 20 * DAY_MS, "+old", "", NULL);
    put(&l, "+new", "", NULL);
    assert_int_equal(since(&l, 0)->n, 21);
    history_limit(l.h, 10, 4);
    const struct history_rows *r;
    do
        r = since(&l, 0); /* the alarm ends a wait that is in vain */
    while (r->n > 2);
    assert_string_equal(r->v[0].name, "-events-gone");
    assert_int_equal(r->v[0].number, 20);
    assert_string_equal(r->v[1].name, "+new");
    end(&l);
}

static const struct history_rows *drills(struct lived *l, const char *id)
{
    return ask(
        l, (struct history_query){.what = HISTORY_DRILLS, .count = 100, .kind = id != NULL ? mem_strdup(id) : NULL});
}

static void drills_are_kept_by_their_id(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    history_drill(l.h, io_wall_ms(), "1-a", "{\"verdict\":\"PASS\"}", "o/1");
    put(&l, "+sdown", "master a", "a");
    history_drill(l.h, io_wall_ms(), "2-b", "{}", "o/2");
    history_drill(l.h, io_wall_ms(), "1-a", "{\"verdict\":\"FAIL\"}", "o/1"); /* the later word counts */
    end(&l);
    begin(&l, 0);
    const struct history_rows *r = drills(&l, NULL);
    assert_int_equal(r->n, 2);
    assert_int_equal(r->v[0].number, 4); /* numbered with the events, the newest first */
    assert_string_equal(r->v[0].name, "1-a");
    assert_string_equal(r->v[0].text, "{\"verdict\":\"FAIL\"}");
    assert_string_equal(r->v[0].group, "o/1");
    assert_string_equal(r->v[1].name, "2-b");
    r = drills(&l, "2-b");
    assert_int_equal(r->n, 1);
    assert_string_equal(r->v[0].group, "o/2");
    assert_int_equal(drills(&l, "3-c")->n, 0);
    assert_int_equal(since(&l, 0)->n, 1); /* they are no events */
    end(&l);
}

static void drills_get_too_old_as_well(void **state)
{
    (void)state;
    struct lived l;
    begin(&l, 0);
    history_drill(l.h, io_wall_ms() - 31 * DAY_MS, "old", "{}", "o/1");
    history_drill(l.h, io_wall_ms(), "new", "{}", "o/1");
    end(&l);
    begin(&l, 0); /* forgets at the start */
    while (drills(&l, NULL)->n > 1)
        usleep(1000);
    assert_string_equal(l.rows.v[0].name, "new");
    end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(events_are_numbered_across_restarts),
        IN_DIR(questions_choose_by_group_count_and_direction),
        IN_DIR(who_asks_beyond_the_end_is_told),
        IN_DIR(notes_are_json_and_share_the_numbers),
        IN_DIR(the_file_stays_within_its_size),
        IN_DIR(what_is_too_old_is_forgotten),
        IN_DIR(a_failing_disk_is_told_once_and_recovers),
        IN_DIR(a_file_that_was_taken_away_is_begun_anew),
        IN_DIR(a_damaged_file_is_put_aside),
        IN_DIR(answers_hold_what_was_published_before),
        IN_DIR(a_hanging_disk_is_told_and_bounded),
        IN_DIR(a_hanging_disk_does_not_hold_the_end),
        IN_DIR(limits_change_at_once),
        IN_DIR(drills_are_kept_by_their_id),
        IN_DIR(drills_get_too_old_as_well),
    };
    alarm(SECONDS_AT_MOST);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
