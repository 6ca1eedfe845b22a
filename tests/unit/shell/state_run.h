/* A state directory of a test's own, records, and a state that runs on it: what the tests of the state share. */
#ifndef TEST_STATE_RUN_H
#define TEST_STATE_RUN_H

#include "sentineld/shell/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define OTHER "fedcba9876543210fedcba9876543210fedcba98"
#define SECONDS_AT_MOST 120 /* for the whole program: what hangs must not hang the suite */
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

extern char test_dir[256];

struct seen {
    uint64_t written, failed;
    unsigned calls;
    char why[512];
};

struct run {
    struct io_loop *loop;
    struct state *s;
    struct state_image image; /* as found */
    struct seen seen;
    uint64_t seq;
};

int make_dir(void **state);
int remove_dir(void **state);
const char *in_dir(const char *name);

/* Records on the heap, as state_persist() takes them. */
struct sn_record *one(enum sn_record_kind kind, const char *group);
struct sn_record *meta(uint64_t epoch);
struct sn_record *group(const char *name, const char *host, uint64_t vote_epoch, const char *leader);
struct sn_record *option(const char *name, const char *key, const char *value);
struct sn_record *members(const char *name, unsigned replicas);
void on_done(void *owner, uint64_t seq, const char *why);

/* Opens the directory, fails the test when that fails, and starts the writer with what was found. */
void run_begin(struct run *r);
void run_end(struct run *r);
void persist(struct run *r, struct sn_record *record);
/* Until everything is reported, as written or as failed. */
void wait_all(struct run *r);
void persist_and_wait(struct run *r, struct sn_record *record);
/* What is on disk now; nothing may run on the directory. */
void stored(struct state_image *m);
/* Whether the directory is refused, and why. */
bool refused(struct buf *error);
void expect_refusal(const char *says);

#endif
