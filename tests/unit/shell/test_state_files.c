#include "tests/unit/shell/state_run.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Root may write anywhere, so the child becomes somebody else first. */
static void a_read_only_database_is_refused(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    run_end(&r);
    assert_int_equal(chmod(in_dir("state.db"), 0444), 0);
    assert_int_equal(chmod(in_dir("lock"), 0666), 0);
    assert_int_equal(chmod(test_dir, 0555), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct buf error = {.n = 0};
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        _exit(refused(&error) && strstr(buf_str(&error), "state.db is read-only") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(test_dir, 0755), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- files that are not what they should be ---- */

static void overwrite(const char *name, long at, size_t n)
{
    char junk[4096];
    memset(junk, 0xa5, sizeof junk);
    int fd = open(in_dir(name), O_WRONLY);
    assert_true(fd >= 0);
    for (size_t done = 0; done < n; done += sizeof junk)
        assert_int_equal(pwrite(fd, junk, sizeof junk, at + (long)done), sizeof junk);
    close(fd);
}

static void fill(void)
{
    struct run r;
    run_begin(&r);
    for (int i = 0; i < 400; i++) {
        char name[32];
        snprintf(name, sizeof name, "group-%d", i);
        persist(&r, group(name, "10.0.0.1", 1, OTHER));
        persist(&r, members(name, 4));
    }
    wait_all(&r);
    run_end(&r);
    /* All of it into the database file, so that the damage is not mended from the log. */
    sqlite3 *db;
    assert_int_equal(sqlite3_open(in_dir("state.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    unlink(in_dir("state.db-wal"));
}

static void a_damaged_database_is_refused(void **state)
{
    (void)state;
    struct stat st;
    fill();
    assert_int_equal(stat(in_dir("state.db"), &st), 0);
    long page = 4096 * 2; /* of a table: the first is the schema */
    overwrite("state.db", page, 4096 * 4);
    expect_refusal("is damaged");
}

static void a_database_cut_short_is_refused(void **state)
{
    (void)state;
    struct stat st;
    fill();
    assert_int_equal(stat(in_dir("state.db"), &st), 0);
    assert_int_equal(truncate(in_dir("state.db"), 4096 * 3), 0);
    expect_refusal("is damaged");
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    (void)state;
    int fd = open(in_dir("state.db"), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    overwrite("state.db", 0, 8192);
    expect_refusal("is damaged");
}

static void another_programs_database_is_left_alone(void **state)
{
    (void)state;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(in_dir("state.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    struct stat before, after;
    assert_int_equal(stat(in_dir("state.db"), &before), 0);
    expect_refusal("is not a database of sentineld");
    assert_int_equal(stat(in_dir("state.db"), &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(before.st_size, after.st_size);
}

static void a_later_schema_is_refused(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    run_end(&r);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(in_dir("state.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    expect_refusal("schema 99");
}

static void a_row_without_sense_is_refused(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    persist_and_wait(&r, group("g", "10.0.0.1", 1, OTHER));
    run_end(&r);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(in_dir("state.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE groups SET vote_epoch = -1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    expect_refusal("table groups");
}

static void a_second_daemon_is_refused_by_name(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    expect_refusal(pid);
    run_end(&r);
    run_begin(&r); /* the lock ends with its owner */
    run_end(&r);
}

int main(void)
{
    alarm(SECONDS_AT_MOST);
    const struct CMUnitTest tests[] = {
        IN_DIR(a_read_only_database_is_refused),         IN_DIR(a_damaged_database_is_refused),
        IN_DIR(a_database_cut_short_is_refused),         IN_DIR(a_file_that_is_no_database_is_refused),
        IN_DIR(another_programs_database_is_left_alone), IN_DIR(a_later_schema_is_refused),
        IN_DIR(a_row_without_sense_is_refused),          IN_DIR(a_second_daemon_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
