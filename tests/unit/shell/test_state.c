#include "tests/unit/shell/state_run.h"

#include "common/io/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the tests ---- */

static void every_kind_of_record_comes_back(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    assert_string_equal(r.image.id, "");
    persist(&r, meta(17));
    persist(&r, group("g", "10.0.0.1", 16, OTHER));
    persist(&r, members("g", 3));
    persist(&r, option("g", "quorum", "3"));
    persist(&r, option("g", "Quorum", "4"));
    persist(&r, option("g", "auth-pass", "se'cret\xc3\xa9"));
    persist(&r, option("g", "auth-pass-2", "gone"));
    persist(&r, option("g", "auth-pass-2", NULL));
    persist(&r, option("", "loglevel", "debug"));
    wait_all(&r);
    assert_int_equal(r.seen.written, r.seq);
    run_end(&r);

    struct state_image m;
    stored(&m);
    assert_string_equal(m.id, ID);
    assert_int_equal(m.epoch, 17);
    assert_true(m.joined);
    assert_int_equal(m.ngroups, 1);
    assert_string_equal(m.groups[0].master.host, "10.0.0.1");
    assert_int_equal(m.groups[0].config_epoch, 3);
    assert_int_equal(m.groups[0].vote_epoch, 16);
    assert_string_equal(m.groups[0].vote_leader, OTHER);
    assert_int_equal(m.groups[0].nreplicas, 3);
    assert_int_equal(m.groups[0].npeers, 1);
    assert_string_equal(m.groups[0].peers[0].id, OTHER);
    assert_int_equal(m.options.n, 3);
    assert_string_equal(state_options_get(&m.options, "g", "quorum"), "4");
    assert_string_equal(state_options_get(&m.options, "g", "auth-pass"), "se'cret\xc3\xa9");
    assert_string_equal(state_options_get(&m.options, "", "loglevel"), "debug");
    state_image_free(&m);
}

static void members_replace_those_before(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    persist(&r, group("g", "10.0.0.1", 0, ""));
    persist_and_wait(&r, members("g", 5));
    persist_and_wait(&r, members("g", 1));
    run_end(&r);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.groups[0].nreplicas, 1);
    state_image_free(&m);
}

/* REMOVE and MONITOR come with records that know of no vote; the one that was given must hold nevertheless. */
static void a_vote_outlives_the_removal_of_its_group(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    persist(&r, group("g", "10.0.0.1", 9, OTHER));
    persist(&r, members("g", 2));
    persist(&r, option("g", "quorum", "3"));
    struct sn_record *gone = one(SN_REC_GROUP, "g");
    persist_and_wait(&r, gone);
    struct state_image m;
    run_end(&r);
    stored(&m);
    assert_false(m.groups[0].monitored);
    assert_int_equal(m.groups[0].nreplicas + m.groups[0].npeers + m.options.n, 0);
    state_image_free(&m);

    run_begin(&r);
    persist_and_wait(&r, group("g", "10.0.0.2", 0, ""));
    run_end(&r);
    stored(&m);
    assert_true(m.groups[0].monitored);
    assert_string_equal(m.groups[0].master.host, "10.0.0.2");
    assert_int_equal(m.groups[0].vote_epoch, 9);
    assert_string_equal(m.groups[0].vote_leader, OTHER);
    state_image_free(&m);
}

static void what_is_queued_together_is_committed_together(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    for (uint64_t i = 1; i <= 2000; i++)
        persist(&r, meta(i));
    wait_all(&r);
    assert_int_equal(r.seen.written, 2000);
    assert_in_range(r.seen.calls, 1, 1000);
    run_end(&r);
}

static void many_commits_keep_the_log_bounded(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    for (uint64_t i = 1; i <= 300; i++)
        persist_and_wait(&r, group("g", "10.0.0.1", i, OTHER));
    run_end(&r);
    struct stat st;
    assert_int_equal(stat(in_dir("state.db-wal"), &st), 0);
    assert_in_range(st.st_size, 1, 4 * 1024 * 1024);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.groups[0].vote_epoch, 300);
    state_image_free(&m);
}

static void flush_reports_before_it_returns(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    for (uint64_t i = 1; i <= 50; i++)
        persist(&r, meta(i));
    state_flush(r.s);
    assert_int_equal(r.seen.written, 50);
    run_end(&r);
}

static void close_writes_what_is_queued(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    for (uint64_t i = 1; i <= 50; i++)
        persist(&r, meta(100 + i));
    run_end(&r);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.epoch, 150);
    state_image_free(&m);
}

/* ---- kill -9 ---- */

static _Noreturn void commit_until_killed(int tell)
{
    struct run r;
    run_begin(&r);
    for (uint64_t epoch = r.image.epoch + 1;; epoch++) {
        persist(&r, meta(epoch));
        persist(&r, group("g", "10.0.0.1", epoch, OTHER));
        while (r.seen.written < r.seq)
            io_loop_once(r.loop);
        if (write(tell, &epoch, sizeof epoch) != (ssize_t)sizeof epoch)
            _exit(3);
    }
}

static void what_was_reported_survives_kill_9(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (int round = 0; round < 15; round++) {
        int fds[2];
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(fds[0]);
            alarm(SECONDS_AT_MOST);
            commit_until_killed(fds[1]);
        }
        close(fds[1]);
        uint64_t epoch;
        for (int i = 0; i < 20 + 7 * round; i++) {
            assert_int_equal(read(fds[0], &epoch, sizeof epoch), sizeof epoch);
            last = epoch;
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(fds[0], &epoch, sizeof epoch) == (ssize_t)sizeof epoch)
            last = epoch; /* said before it died */
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        close(fds[0]);
        struct state_image m;
        stored(&m);
        assert_true(m.epoch >= last && m.epoch <= last + 1);
        assert_true(m.groups[0].vote_epoch >= last);
        assert_string_equal(m.groups[0].vote_leader, OTHER);
        state_image_free(&m);
    }
}

/* ---- disks that fail ---- */

/* Every write fails from now on (EFBIG), until the limit is lifted. */
static void limit_files(bool on)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = on ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_failing_disk_is_reported_and_recovers(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    persist_and_wait(&r, meta(5));
    limit_files(true);
    persist(&r, meta(6));
    persist(&r, meta(7)); /* queued behind one that fails: it fails too */
    wait_all(&r);
    limit_files(false);
    assert_int_equal(r.seen.failed, 3);
    assert_int_equal(r.seen.written, 1);
    assert_non_null(strstr(r.seen.why, "state.db"));
    assert_non_null(strstr(r.seen.why, "SQLite error"));
    persist_and_wait(&r, meta(8));
    run_end(&r);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.epoch, 8);
    state_image_free(&m);
}

static void it_fails_as_often_as_the_disk_does(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    persist_and_wait(&r, meta(5));
    limit_files(true);
    for (int i = 0; i < 20; i++) {
        persist(&r, meta(6));
        wait_all(&r);
        assert_int_equal(r.seen.failed, r.seq);
    }
    limit_files(false);
    run_end(&r);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.epoch, 5);
    state_image_free(&m);
}

/* A page limit is what SQLite takes for a full disk. */
static void a_full_disk_is_called_full(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    run_end(&r);
    sqlite3 *db;
    char *sql = sqlite3_mprintf("INSERT INTO options VALUES ('x', 'y', zeroblob(2000000))");
    assert_int_equal(sqlite3_open(in_dir("state.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA max_page_count = 300", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_FULL);
    sqlite3_free(sql);
    sqlite3_close(db);
    /* Nothing of that is left, and the state goes on. */
    run_begin(&r);
    persist_and_wait(&r, meta(9));
    run_end(&r);
}

static void a_start_on_a_failing_disk_stores_its_image_later(void **state)
{
    (void)state;
    struct run r;
    struct buf error = {.n = 0};
    run_begin(&r);
    persist_and_wait(&r, meta(5));
    run_end(&r);

    r = (struct run){.loop = io_loop_new()};
    r.s = state_open(test_dir, &r.image, &error);
    assert_non_null(r.s);
    struct state_image start;
    state_image_copy(&start, &r.image);
    state_options_add(&start.file_values, "g", "quorum", "2");
    limit_files(true);
    bool started = state_start(r.s, r.loop, &start, on_done, &r.seen, &error);
    limit_files(false);
    assert_true(started);
    assert_non_null(strstr(buf_str(&error), "state.db"));
    persist_and_wait(&r, meta(6));
    run_end(&r);
    state_image_free(&start);
    buf_free(&error);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.epoch, 6);
    assert_string_equal(state_options_get(&m.file_values, "g", "quorum"), "2");
    state_image_free(&m);
}

static void a_new_state_on_a_failing_disk_is_refused(void **state)
{
    (void)state;
    struct buf error = {.n = 0};
    limit_files(true);
    bool no = refused(&error);
    limit_files(false);
    assert_true(no);
    assert_non_null(strstr(buf_str(&error), "state.db"));
    buf_free(&error);
    struct run r; /* and nothing stands in the way afterwards */
    run_begin(&r);
    run_end(&r);
}

static void a_database_taken_away_is_noticed(void **state)
{
    (void)state;
    struct run r;
    char away[400];
    run_begin(&r);
    persist_and_wait(&r, meta(5));
    snprintf(away, sizeof away, "%s", in_dir("away.db"));
    assert_int_equal(rename(in_dir("state.db"), away), 0);
    for (int i = 0; i < 3; i++) {
        persist(&r, meta(6));
        wait_all(&r);
        assert_int_equal(r.seen.failed, r.seq);
    }
    assert_int_equal(access(in_dir("state.db"), F_OK), -1); /* no new one is made behind the operator's back */
    assert_int_equal(rename(away, in_dir("state.db")), 0);
    persist_and_wait(&r, meta(7));
    run_end(&r);
}

/* No bound is asserted: it is the disk's. The number is for whoever reads the output. */
static void the_cost_of_one_commit(void **state)
{
    (void)state;
    enum { ROUNDS = 200 };
    struct run r;
    int64_t total_us = 0;
    run_begin(&r);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        int64_t start_us = io_now_us();
        persist_and_wait(&r, group("g", "10.0.0.1", i, OTHER));
        total_us += io_now_us() - start_us;
    }
    print_message("%d votes one after the other: %lld us each from queue to callback\n", ROUNDS,
                  (long long)(total_us / ROUNDS));
    run_end(&r);
}

int main(void)
{
    alarm(SECONDS_AT_MOST);
    signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        IN_DIR(every_kind_of_record_comes_back),
        IN_DIR(members_replace_those_before),
        IN_DIR(a_vote_outlives_the_removal_of_its_group),
        IN_DIR(what_is_queued_together_is_committed_together),
        IN_DIR(many_commits_keep_the_log_bounded),
        IN_DIR(flush_reports_before_it_returns),
        IN_DIR(close_writes_what_is_queued),
        IN_DIR(what_was_reported_survives_kill_9),
        IN_DIR(a_failing_disk_is_reported_and_recovers),
        IN_DIR(it_fails_as_often_as_the_disk_does),
        IN_DIR(a_full_disk_is_called_full),
        IN_DIR(a_start_on_a_failing_disk_stores_its_image_later),
        IN_DIR(a_new_state_on_a_failing_disk_is_refused),
        IN_DIR(a_database_taken_away_is_noticed),
        IN_DIR(the_cost_of_one_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
