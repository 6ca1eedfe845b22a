/* What the state keeps of clusters, and databases of the version that knew none. */
#include "tests/unit/shell/state_run.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

#define NODE_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NODE_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct sn_record *fleet(const char *name, bool monitored, uint64_t config_epoch, uint64_t vote_epoch)
{
    struct sn_record *r = one(SN_REC_FLEET, "");
    r->fleet = mem_strdup(name);
    r->monitored = monitored;
    r->config_epoch = config_epoch;
    r->vote_epoch = vote_epoch;
    return r;
}

/* With nodes of these ids, at ports 7000 and up; one with the port 0 has no address. */
static struct sn_record *shard(const char *name, const char *of, const char *const *ids, size_t n)
{
    struct sn_record *r = one(SN_REC_SHARD, name);
    r->fleet = mem_strdup(of);
    r->monitored = n > 0;
    r->nodes = mem_array(NULL, n + 1, sizeof *r->nodes);
    for (; r->nnodes < n; r->nnodes++) {
        r->nodes[r->nnodes] = (struct sn_record_node){.addr = {.port = 0}};
        memcpy(r->nodes[r->nnodes].id, ids[r->nnodes], RUNID_LEN);
        if (r->nnodes != 2)
            addr_set(&r->nodes[r->nnodes].addr, slice_of("10.0.0.1"), 7000 + (int)r->nnodes);
    }
    return r;
}

static struct sn_record *renamed(const char *from, const char *to)
{
    struct sn_record *r = one(SN_REC_RENAME, from);
    r->value = mem_strdup(to);
    return r;
}

static const char *const three[] = {NODE_B, NODE_A, OTHER};

static void clusters_and_shards_come_back(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    persist(&r, fleet("orders", true, 12, 15));
    persist(&r, group("orders/aaaaaaaa", "10.0.0.1", 15, OTHER));
    persist(&r, members("orders/aaaaaaaa", 2));
    persist(&r, shard("orders/aaaaaaaa", "orders", three, 3));
    persist(&r, fleet("orders", true, 13, 0)); /* no record takes a vote back */
    persist_and_wait(&r, group("classic", "10.0.0.9", 0, ""));
    run_end(&r);

    struct state_image m, copy;
    stored(&m);
    state_image_copy(&copy, &m);
    state_image_free(&m);
    assert_int_equal(copy.nfleets, 1);
    assert_string_equal(copy.fleets[0].name, "orders");
    assert_true(copy.fleets[0].monitored);
    assert_int_equal(copy.fleets[0].config_epoch, 13);
    assert_int_equal(copy.fleets[0].vote_epoch, 15);
    const struct state_group *g = state_image_group(&copy, "orders/aaaaaaaa");
    assert_string_equal(g->fleet, "orders");
    assert_int_equal(g->nreplicas, 2);
    assert_int_equal(g->nnodes, 3);
    assert_string_equal(g->nodes[0].id, NODE_B); /* the master is the first, whatever its id */
    assert_string_equal(g->nodes[1].id, NODE_A);
    assert_int_equal(g->nodes[1].addr.port, 7001);
    assert_string_equal(g->nodes[2].addr.host, "");
    assert_null(state_image_group(&copy, "classic")->fleet);
    state_image_free(&copy);

    /* The start writes all that was read: once more it is the same. */
    run_begin(&r);
    persist_and_wait(&r, shard("orders/aaaaaaaa", "orders", three, 1));
    run_end(&r);
    stored(&m);
    g = state_image_group(&m, "orders/aaaaaaaa");
    assert_int_equal(m.nfleets, 1);
    assert_string_equal(g->fleet, "orders");
    assert_int_equal(g->nnodes, 1);
    state_image_free(&m);
}

static void a_shard_that_is_gone_is_forgotten(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    persist(&r, fleet("orders", true, 1, 2));
    persist(&r, group("orders/aaaaaaaa", "10.0.0.1", 2, OTHER));
    persist(&r, shard("orders/aaaaaaaa", "orders", three, 3));
    persist(&r, option("orders/aaaaaaaa", "quorum", "3"));
    persist(&r, shard("orders/aaaaaaaa", "orders", NULL, 0));
    persist(&r, one(SN_REC_GROUP, "orders/aaaaaaaa"));
    persist_and_wait(&r, fleet("orders", false, 1, 2));
    run_end(&r);
    struct state_image m;
    stored(&m);
    assert_false(m.fleets[0].monitored);
    assert_int_equal(m.fleets[0].vote_epoch, 2);
    assert_false(m.groups[0].monitored);
    assert_null(m.groups[0].fleet);
    assert_int_equal(m.groups[0].nnodes + m.options.n, 0);
    state_image_free(&m);
}

static struct sn_record *lease(const char *group, const char *grantee, int64_t max_us, bool settled)
{
    struct sn_record *r = one(SN_REC_LEASE, group);
    memcpy(r->grantee, grantee, sizeof r->grantee);
    r->lease_max_us = max_us;
    r->lease_settled = settled;
    return r;
}

static struct sn_record *list(const char *text, uint64_t version, bool counted)
{
    struct sn_record *r = one(SN_REC_LIST, "");
    r->value = mem_strdup(text);
    r->epoch = version;
    r->joined = counted;
    return r;
}

/* The grantee of a shard, and the list of supervisors as nodes were told of it: over restarts and new names; a shard
 * that is dropped takes its grantee along. */
static void leases_are_kept(void **state)
{
    (void)state;
    struct run r;
    struct state_image m;
    run_begin(&r);
    persist(&r, group("orders/a", "10.0.0.1", 1, OTHER));
    persist(&r, shard("orders/a", "orders", three, 3));
    persist(&r, lease("orders/a", ID, 300000, false));
    persist_and_wait(&r, list("10.0.0.1:1,10.0.0.2:1", 4, true));
    run_end(&r);
    stored(&m);
    assert_string_equal(m.groups[0].lease_grantee, ID);
    assert_int_equal(m.groups[0].lease_max_us, 300000);
    assert_false(m.groups[0].lease_settled);
    assert_string_equal(m.list, "10.0.0.1:1,10.0.0.2:1");
    assert_int_equal(m.list_version, 4);
    assert_true(m.list_counted);
    state_image_free(&m);
    run_begin(&r);
    persist(&r, lease("orders/a", OTHER, 400000, true));
    persist_and_wait(&r, renamed("orders/a", "orders/b"));
    run_end(&r);
    stored(&m);
    assert_string_equal(m.groups[0].name, "orders/b");
    assert_string_equal(m.groups[0].lease_grantee, OTHER);
    assert_true(m.groups[0].lease_settled);
    state_image_free(&m);
    run_begin(&r);
    persist(&r, shard("orders/b", "orders", NULL, 0));
    persist_and_wait(&r, one(SN_REC_GROUP, "orders/b"));
    run_end(&r);
    stored(&m);
    assert_string_equal(m.groups[0].lease_grantee, "");
    state_image_free(&m);
}

static void all_of_a_shard_is_renamed(void **state)
{
    (void)state;
    struct run r;
    run_begin(&r);
    persist(&r, group("orders/aaaaaaaa", "10.0.0.1", 7, OTHER));
    persist(&r, members("orders/aaaaaaaa", 2));
    persist(&r, shard("orders/aaaaaaaa", "orders", three, 3));
    persist(&r, option("orders/aaaaaaaa", "quorum", "3"));
    persist(&r, group("orders/bbbbbbbb", "10.0.0.2", 1, ID));
    persist(&r, members("orders/bbbbbbbb", 5));
    persist(&r, shard("orders/bbbbbbbb", "orders", three, 1));
    persist(&r, option("orders/bbbbbbbb", "quorum", "1"));
    persist(&r, option("orders/bbbbbbbb", "parallel-syncs", "1"));
    persist_and_wait(&r, renamed("orders/aaaaaaaa", "orders/bbbbbbbb"));
    run_end(&r);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.ngroups, 1);
    const struct state_group *g = &m.groups[0];
    assert_string_equal(g->name, "orders/bbbbbbbb");
    assert_string_equal(g->master.host, "10.0.0.1");
    assert_int_equal(g->vote_epoch, 7);
    assert_int_equal(g->nreplicas, 2);
    assert_int_equal(g->nnodes, 3);
    assert_int_equal(m.options.n, 1);
    assert_string_equal(state_options_get(&m.options, "orders/bbbbbbbb", "quorum"), "3");
    state_image_free(&m);
}

static void execute(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(in_dir("state.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

#define LISTS "10.0.0.1:26379;10.0.0.1:26379,10.0.0.2:26379"

static struct sn_record *swap_of(const char *name, const struct sn_swap *swap)
{
    struct sn_record *r = one(SN_REC_SWAP, NULL);
    r->fleet = mem_strdup(name);
    r->swap = *swap;
    r->value = mem_strdup(LISTS);
    return r;
}

/* What a supervisor has accepted is what it votes by in its next life. */
static void swaps_are_kept(void **state)
{
    (void)state;
    struct run r;
    struct state_image m;
    struct sn_swap s = {.blank = true,
                        .promised = 9,
                        .accepted = 8,
                        .entry = {.value = SN_SWAP_COMMIT,
                                  .decided = true,
                                  .step = {.version = 4, .begun = 7, .a = 1, .b = 2},
                                  .before = {.version = 3, .begun = 5, .a = 0, .b = 9},
                                  .asker = ID,
                                  .request = 77}};
    run_begin(&r);
    persist(&r, fleet("orders", true, 1, 2));
    persist_and_wait(&r, swap_of("orders", &s));
    run_end(&r);
    stored(&m);
    const struct sn_swap *kept = &m.fleets[0].swap;
    assert_true(kept->blank && kept->promised == 9 && kept->accepted == 8);
    assert_int_equal(kept->entry.value, SN_SWAP_COMMIT);
    assert_true(kept->entry.decided);
    assert_memory_equal(&kept->entry.step, &s.entry.step, sizeof s.entry.step);
    assert_memory_equal(&kept->entry.before, &s.entry.before, sizeof s.entry.before);
    assert_string_equal(kept->entry.asker, ID);
    assert_int_equal(kept->entry.request, 77);
    assert_string_equal(m.fleets[0].swap_lists, LISTS);
    state_image_free(&m);
    s.blank = s.entry.decided = false;
    run_begin(&r);
    assert_int_equal(r.image.fleets[0].swap.promised, 9);
    assert_string_equal(r.image.fleets[0].swap_lists, LISTS);
    persist_and_wait(&r, swap_of("orders", &s));
    run_end(&r);
    stored(&m);
    assert_false(m.fleets[0].swap.blank || m.fleets[0].swap.entry.decided);
    state_image_free(&m);
}

/* As this version finds what an earlier one left. */
static void is_brought_up_to_date(const char *back)
{
    struct run r;
    run_begin(&r);
    persist(&r, meta(17));
    persist_and_wait(&r, group("g", "10.0.0.1", 16, OTHER));
    run_end(&r);
    execute(back);
    run_begin(&r);
    assert_int_equal(r.image.epoch, 17);
    assert_int_equal(r.image.groups[0].vote_epoch, 16);
    persist(&r, fleet("orders", true, 1, 2));
    persist(&r, swap_of("orders", &(struct sn_swap){.promised = 2}));
    persist_and_wait(&r, shard("g", "orders", three, 2));
    assert_int_equal(r.seen.failed, 0);
    run_end(&r);
    struct state_image m;
    stored(&m);
    assert_int_equal(m.nfleets, 1);
    assert_int_equal(m.fleets[0].swap.promised, 2);
    assert_int_equal(m.groups[0].nnodes, 2);
    state_image_free(&m);
}

static void the_first_version_is_brought_up_to_date(void **state)
{
    (void)state;
    is_brought_up_to_date("DROP TABLE fleets; DROP TABLE shards; DROP TABLE shard_nodes; DROP TABLE leases; "
                          "DROP TABLE lists; DROP TABLE swaps; PRAGMA user_version = 1");
}

static void the_second_version_is_brought_up_to_date(void **state)
{
    (void)state;
    is_brought_up_to_date("DROP TABLE swaps; PRAGMA user_version = 2");
}

static void the_third_version_is_brought_up_to_date(void **state)
{
    (void)state;
    is_brought_up_to_date("ALTER TABLE swaps DROP COLUMN lists; PRAGMA user_version = 3");
}

static void rows_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "INSERT INTO fleets VALUES ('', 1, 0, 0)",
        "INSERT INTO fleets VALUES ('f', 1, -1, 0)",
        "INSERT INTO swaps VALUES ('f', 0, 5, 5, 4, 0, 1, 5, 1, 2, 0, 0, 0, 0, '', 0, '')",
        "INSERT INTO swaps VALUES ('f', 0, 4, 5, 1, 0, 1, 5, 1, 2, 0, 0, 0, 0, '', 0, '')",
        "INSERT INTO shards VALUES ('g', '')",
        "INSERT INTO shard_nodes VALUES ('g', 0, 'short', '10.0.0.1', 1)",
        "INSERT INTO shard_nodes VALUES ('g', 0, '" NODE_A "', '10.0.0.1', 99999)",
    };
    struct run r;
    run_begin(&r);
    persist_and_wait(&r, group("g", "10.0.0.1", 1, OTHER));
    run_end(&r);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        execute(bad[i]);
        expect_refusal("makes no sense");
        execute("DELETE FROM fleets; DELETE FROM shards; DELETE FROM shard_nodes; DELETE FROM swaps");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(clusters_and_shards_come_back),
        IN_DIR(a_shard_that_is_gone_is_forgotten),
        IN_DIR(all_of_a_shard_is_renamed),
        IN_DIR(the_first_version_is_brought_up_to_date),
        IN_DIR(rows_that_make_no_sense_are_refused),
        IN_DIR(leases_are_kept),
        IN_DIR(swaps_are_kept),
        IN_DIR(the_second_version_is_brought_up_to_date),
        IN_DIR(the_third_version_is_brought_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
