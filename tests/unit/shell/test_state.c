#include "sentineld/shell/state.h"

#include "common/base/mem.h"
#include "common/io/clock.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define OTHER "fedcba9876543210fedcba9876543210fedcba98"
#define SECONDS_AT_MOST 120 /* for the whole program: what hangs must not hang the suite */

static char dir[256];

struct seen {
    uint64_t written, failed;
    unsigned calls;
    char why[512];
};

static void on_done(void *owner, uint64_t seq, const char *why)
{
    struct seen *s = owner;
    s->calls++;
    if (why == NULL) {
        s->written = seq;
        return;
    }
    s->failed = seq;
    snprintf(s->why, sizeof s->why, "%s", why);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/test_state.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *in_dir(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* ---- records ---- */

static struct sn_record *one(enum sn_record_kind kind, const char *group)
{
    struct sn_record *r = mem_zalloc(sizeof *r);
    r->kind = kind;
    r->group = group == NULL ? NULL : mem_strdup(group);
    return r;
}

static struct sn_record *meta(uint64_t epoch)
{
    struct sn_record *r = one(SN_REC_META, NULL);
    r->epoch = epoch;
    r->joined = true;
    return r;
}

static struct sn_record *group(const char *name, const char *host, uint64_t vote_epoch, const char *leader)
{
    struct sn_record *r = one(SN_REC_GROUP, name);
    r->monitored = true;
    addr_set(&r->master, slice_of(host), 6379);
    r->config_epoch = 3;
    r->vote_epoch = vote_epoch;
    memcpy(r->vote_leader, leader, strlen(leader) + 1);
    return r;
}

static struct sn_record *option(const char *name, const char *key, const char *value)
{
    struct sn_record *r = one(SN_REC_OPTION, name);
    r->option = mem_strdup(key);
    r->value = value == NULL ? NULL : mem_strdup(value);
    return r;
}

static struct sn_record *members(const char *name, unsigned replicas)
{
    struct sn_record *r = one(SN_REC_MEMBERS, name);
    r->replicas = mem_array(NULL, replicas, sizeof *r->replicas);
    for (; r->nreplicas < replicas; r->nreplicas++)
        addr_set(&r->replicas[r->nreplicas], slice_of("10.0.0.9"), (int64_t)(7000 + r->nreplicas));
    r->peers = mem_zalloc(sizeof *r->peers);
    addr_set(&r->peers[0].addr, slice_of("10.0.0.7"), 26379);
    memcpy(r->peers[0].id, OTHER, sizeof r->peers[0].id);
    r->npeers = 1;
    return r;
}

/* ---- a state that runs ---- */

struct run {
    struct io_loop *loop;
    struct state *s;
    struct state_image image; /* as found */
    struct seen seen;
    uint64_t seq;
};

static struct state_image fresh_image(void)
{
    struct state_image m = {.epoch = 1};
    memcpy(m.id, ID, sizeof m.id);
    return m;
}

static void begin(struct run *r)
{
    struct buf error = {.n = 0};
    *r = (struct run){.loop = io_loop_new()};
    r->s = state_open(dir, &r->image, &error);
    if (r->s == NULL)
        fail_msg("%s", buf_str(&error));
    struct state_image start = fresh_image();
    if (r->image.id[0] != '\0')
        state_image_copy(&start, &r->image);
    assert_true(state_start(r->s, r->loop, &start, on_done, &r->seen, &error));
    if (error.n > 0)
        fail_msg("%s", buf_str(&error));
    state_image_free(&start);
    buf_free(&error);
}

static void end(struct run *r)
{
    state_close(r->s);
    io_loop_free(r->loop);
    state_image_free(&r->image);
}

static void persist(struct run *r, struct sn_record *record)
{
    state_persist(r->s, ++r->seq, record, 1);
}

static void wait_all(struct run *r)
{
    while (r->seen.written < r->seq && r->seen.failed < r->seq)
        io_loop_once(r->loop);
}

static void persist_and_wait(struct run *r, struct sn_record *record)
{
    persist(r, record);
    wait_all(r);
    assert_int_equal(r->seen.written, r->seq);
}

/* What is on disk now. */
static void stored(struct state_image *m)
{
    struct buf error = {.n = 0};
    struct state *s = state_open(dir, m, &error);
    if (s == NULL)
        fail_msg("%s", buf_str(&error));
    state_close(s);
}

static bool refused(struct buf *error)
{
    struct state_image m;
    buf_clear(error);
    struct state *s = state_open(dir, &m, error);
    state_close(s);
    state_image_free(&m);
    return s == NULL;
}

static void expect_refusal(const char *says)
{
    struct buf error = {.n = 0};
    assert_true(refused(&error));
    if (strstr(buf_str(&error), says) == NULL)
        fail_msg("expected \"%s\" in: %s", says, buf_str(&error));
    buf_free(&error);
}

/* ---- the tests ---- */

static void every_kind_of_record_comes_back(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
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
    end(&r);

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
    begin(&r);
    persist(&r, group("g", "10.0.0.1", 0, ""));
    persist_and_wait(&r, members("g", 5));
    persist_and_wait(&r, members("g", 1));
    end(&r);
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
    begin(&r);
    persist(&r, group("g", "10.0.0.1", 9, OTHER));
    persist(&r, members("g", 2));
    persist(&r, option("g", "quorum", "3"));
    struct sn_record *gone = one(SN_REC_GROUP, "g");
    persist_and_wait(&r, gone);
    struct state_image m;
    end(&r);
    stored(&m);
    assert_false(m.groups[0].monitored);
    assert_int_equal(m.groups[0].nreplicas + m.groups[0].npeers + m.options.n, 0);
    state_image_free(&m);

    begin(&r);
    persist_and_wait(&r, group("g", "10.0.0.2", 0, ""));
    end(&r);
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
    begin(&r);
    for (uint64_t i = 1; i <= 2000; i++)
        persist(&r, meta(i));
    wait_all(&r);
    assert_int_equal(r.seen.written, 2000);
    assert_in_range(r.seen.calls, 1, 1000);
    end(&r);
}

static void many_commits_keep_the_log_bounded(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    for (uint64_t i = 1; i <= 300; i++)
        persist_and_wait(&r, group("g", "10.0.0.1", i, OTHER));
    end(&r);
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
    begin(&r);
    for (uint64_t i = 1; i <= 50; i++)
        persist(&r, meta(i));
    state_flush(r.s);
    assert_int_equal(r.seen.written, 50);
    end(&r);
}

static void close_writes_what_is_queued(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    for (uint64_t i = 1; i <= 50; i++)
        persist(&r, meta(100 + i));
    end(&r);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.epoch, 150);
    state_image_free(&m);
}

/* ---- kill -9 ---- */

static _Noreturn void commit_until_killed(int tell)
{
    struct run r;
    begin(&r);
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
    begin(&r);
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
    end(&r);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.epoch, 8);
    state_image_free(&m);
}

static void it_fails_as_often_as_the_disk_does(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    persist_and_wait(&r, meta(5));
    limit_files(true);
    for (int i = 0; i < 20; i++) {
        persist(&r, meta(6));
        wait_all(&r);
        assert_int_equal(r.seen.failed, r.seq);
    }
    limit_files(false);
    end(&r);
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
    begin(&r);
    end(&r);
    sqlite3 *db;
    char *sql = sqlite3_mprintf("INSERT INTO options VALUES ('x', 'y', zeroblob(2000000))");
    assert_int_equal(sqlite3_open(in_dir("state.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA max_page_count = 300", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_FULL);
    sqlite3_free(sql);
    sqlite3_close(db);
    /* Nothing of that is left, and the state goes on. */
    begin(&r);
    persist_and_wait(&r, meta(9));
    end(&r);
}

static void a_start_on_a_failing_disk_stores_its_image_later(void **state)
{
    (void)state;
    struct run r;
    struct buf error = {.n = 0};
    begin(&r);
    persist_and_wait(&r, meta(5));
    end(&r);

    r = (struct run){.loop = io_loop_new()};
    r.s = state_open(dir, &r.image, &error);
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
    end(&r);
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
    begin(&r);
    end(&r);
}

static void a_database_taken_away_is_noticed(void **state)
{
    (void)state;
    struct run r;
    char away[400];
    begin(&r);
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
    end(&r);
}

/* Root may write anywhere, so the child becomes somebody else first. */
static void a_read_only_database_is_refused(void **state)
{
    (void)state;
    struct run r;
    begin(&r);
    end(&r);
    assert_int_equal(chmod(in_dir("state.db"), 0444), 0);
    assert_int_equal(chmod(in_dir("lock"), 0666), 0);
    assert_int_equal(chmod(dir, 0555), 0);
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
    assert_int_equal(chmod(dir, 0755), 0);
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
    begin(&r);
    for (int i = 0; i < 400; i++) {
        char name[32];
        snprintf(name, sizeof name, "group-%d", i);
        persist(&r, group(name, "10.0.0.1", 1, OTHER));
        persist(&r, members(name, 4));
    }
    wait_all(&r);
    end(&r);
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
    begin(&r);
    end(&r);
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
    begin(&r);
    persist_and_wait(&r, group("g", "10.0.0.1", 1, OTHER));
    end(&r);
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
    begin(&r);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    expect_refusal(pid);
    end(&r);
    begin(&r); /* the lock ends with its owner */
    end(&r);
}

/* No bound is asserted: it is the disk's. The number is for whoever reads the output. */
static void the_cost_of_one_commit(void **state)
{
    (void)state;
    enum { ROUNDS = 200 };
    struct run r;
    int64_t total_us = 0;
    begin(&r);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        int64_t start_us = io_now_us();
        persist_and_wait(&r, group("g", "10.0.0.1", i, OTHER));
        total_us += io_now_us() - start_us;
    }
    print_message("%d votes one after the other: %lld us each from queue to callback\n", ROUNDS,
                  (long long)(total_us / ROUNDS));
    end(&r);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

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
        IN_DIR(a_read_only_database_is_refused),
        IN_DIR(a_damaged_database_is_refused),
        IN_DIR(a_database_cut_short_is_refused),
        IN_DIR(a_file_that_is_no_database_is_refused),
        IN_DIR(another_programs_database_is_left_alone),
        IN_DIR(a_later_schema_is_refused),
        IN_DIR(a_row_without_sense_is_refused),
        IN_DIR(a_second_daemon_is_refused_by_name),
        IN_DIR(the_cost_of_one_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
