#include "tests/unit/shell/state_run.h"

#include "common/base/mem.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char test_dir[256];

void on_done(void *owner, uint64_t seq, const char *why)
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

int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(test_dir, sizeof test_dir, "%s/test_state.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    return mkdtemp(test_dir) == NULL ? -1 : 0;
}

int remove_dir(void **state)
{
    (void)state;
    return nftw(test_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *in_dir(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    return path;
}

/* ---- records ---- */

struct sn_record *one(enum sn_record_kind kind, const char *group)
{
    struct sn_record *r = mem_zalloc(sizeof *r);
    r->kind = kind;
    r->group = group == NULL ? NULL : mem_strdup(group);
    return r;
}

struct sn_record *meta(uint64_t epoch)
{
    struct sn_record *r = one(SN_REC_META, NULL);
    r->epoch = epoch;
    r->joined = true;
    return r;
}

struct sn_record *group(const char *name, const char *host, uint64_t vote_epoch, const char *leader)
{
    struct sn_record *r = one(SN_REC_GROUP, name);
    r->monitored = true;
    addr_set(&r->master, slice_of(host), 6379);
    r->config_epoch = 3;
    r->vote_epoch = vote_epoch;
    memcpy(r->vote_leader, leader, strlen(leader) + 1);
    return r;
}

struct sn_record *option(const char *name, const char *key, const char *value)
{
    struct sn_record *r = one(SN_REC_OPTION, name);
    r->option = mem_strdup(key);
    r->value = value == NULL ? NULL : mem_strdup(value);
    return r;
}

struct sn_record *members(const char *name, unsigned replicas)
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

static struct state_image fresh_image(void)
{
    struct state_image m = {.epoch = 1};
    memcpy(m.id, ID, sizeof m.id);
    return m;
}

void run_begin(struct run *r)
{
    struct buf error = {.n = 0};
    *r = (struct run){.loop = io_loop_new()};
    r->s = state_open(test_dir, &r->image, &error);
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

void run_end(struct run *r)
{
    state_close(r->s);
    io_loop_free(r->loop);
    state_image_free(&r->image);
}

void persist(struct run *r, struct sn_record *record)
{
    state_persist(r->s, ++r->seq, record, 1);
}

void wait_all(struct run *r)
{
    while (r->seen.written < r->seq && r->seen.failed < r->seq)
        io_loop_once(r->loop);
}

void persist_and_wait(struct run *r, struct sn_record *record)
{
    persist(r, record);
    wait_all(r);
    assert_int_equal(r->seen.written, r->seq);
}

/* What is on disk now. */
void stored(struct state_image *m)
{
    struct buf error = {.n = 0};
    struct state *s = state_open(test_dir, m, &error);
    if (s == NULL)
        fail_msg("%s", buf_str(&error));
    state_close(s);
}

bool refused(struct buf *error)
{
    struct state_image m;
    buf_clear(error);
    struct state *s = state_open(test_dir, &m, error);
    state_close(s);
    state_image_free(&m);
    return s == NULL;
}

void expect_refusal(const char *says)
{
    struct buf error = {.n = 0};
    assert_true(refused(&error));
    if (strstr(buf_str(&error), says) == NULL)
        fail_msg("expected \"%s\" in: %s", says, buf_str(&error));
    buf_free(&error);
}
