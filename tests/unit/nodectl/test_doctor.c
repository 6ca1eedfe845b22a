/* The checks of nodectl doctor: a fleet that is well, and what each fault in it is called. */
#include "nodectl/doctor/checks.h"

#include "common/base/bytes.h"
#include "nodectl/reply_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A master and its replica on two hosts, and three supervisors on three. */
static const char well[] =
    "{'supervisors': [SUPERVISOR(a), SUPERVISOR(b), SUPERVISOR(c)],"
    " 'placement': {'supervisors': [{'address': 'a:26379', 'host': 'a', 'up': true},"
    "                               {'address': 'b:26379', 'host': 'b', 'up': true},"
    "                               {'address': 'c:26379', 'host': 'c', 'up': true}], 'zones': {},"
    "               'shards': [{'name': 'm', 'quorum': 2, 'leases': false, 'supervisors': ['a:26379', 'b:26379', "
    "'c:26379'],"
    "                           'nodes': [{'address': 'a:1', 'host': 'a', 'up': true, 'master': true},"
    "                                     {'address': 'b:1', 'host': 'b', 'up': true, 'master': false}]}]},"
    " 'machine': {'overcommit_memory': 1, 'transparent_hugepage': 'madvise', 'somaxconn': 4096},"
    " 'nodes': [{'address': 'a:1', 'host': 'a', 'error': null, 'local': true, 'clock_ms': 3, 'clock_error_ms': 1,"
    "            'open_files': 65536, 'disk_free': 50000000000, 'disk_total': 90000000000, 'write_rate': 10,"
    "            'config': {CONFIG}, 'cluster': {}, 'config_error': null,"
    "            'info': {'role': 'master', 'redis_version': '7.0.15', 'connected_slaves': '1', 'maxmemory': "
    "'2000000000',"
    "                     'used_memory': '1000000', 'maxmemory_policy': 'noeviction', 'total_system_memory': "
    "'8000000000',"
    "                     'master_repl_offset': '500', 'repl_backlog_size': '1048576',"
    "                     'slave0': 'ip=b,port=1,state=online,offset=490,lag=0', 'rdb_last_bgsave_status': 'ok',"
    "                     'aof_last_write_status': 'ok', 'aof_last_bgrewrite_status': 'ok'}},"
    "           {'address': 'b:1', 'host': 'b', 'error': null, 'local': true, 'clock_ms': 5, 'clock_error_ms': 1,"
    "            'open_files': 65536, 'disk_free': 50000000000, 'disk_total': 90000000000,"
    "            'config': {CONFIG}, 'cluster': {}, 'config_error': null,"
    "            'info': {'role': 'slave', 'redis_version': '7.0.15', 'master_host': 'a', 'master_port': '1',"
    "                     'master_link_status': 'up', 'master_last_io_seconds_ago': '1', 'maxmemory': '2000000000',"
    "                     'used_memory': '1000000', 'total_system_memory': '8000000000', 'maxmemory_policy': "
    "'noeviction',"
    "                     'rdb_last_bgsave_status': 'ok', 'aof_last_write_status': 'ok',"
    "                     'aof_last_bgrewrite_status': 'ok'}}]}";
static const char config[] =
    "'appendonly': 'yes', 'appendfsync': 'everysec', 'save': '', 'requirepass': '', 'masterauth': '',"
    "'bind': '127.0.0.1', 'protected-mode': 'yes', 'tcp-backlog': '511', 'maxclients': '10000',"
    "'min-replicas-to-write': '0', 'disable-thp': 'yes', 'dir': '/data',"
    "'stop-writes-on-bgsave-error': 'yes'";
static const char supervisor[] =
    "{'address': '%c:26379', 'error': null, 'kind': 'sentineld', 'version': '1', 'clock_ms': 4, 'clock_error_ms': 1,"
    " 'disagrees': [], 'paused': [], 'list_version': 0, 'list_counted': false, 'ping_period_ms': 1000, "
    "'clusters_told': [],"
    " 'masters': [{'name': 'm', 'quorum': '2', 'down-after-milliseconds': '5000', 'failover-timeout': '60000',"
    "              'num-other-sentinels': '2'}]}";

static json_t *facts;

static void replace(struct buf *b, const char *what, const char *with)
{
    struct buf out = {0};
    const char *rest = buf_str(b);
    for (const char *at = strstr(rest, what); at != NULL; at = strstr(rest, what)) {
        buf_put(&out, rest, (size_t)(at - rest));
        buf_puts(&out, with);
        rest = at + strlen(what);
    }
    buf_puts(&out, rest);
    buf_free(b);
    *b = out;
}

static int begin(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_puts(&text, well);
    replace(&text, "CONFIG", config);
    for (int host = 'a'; host <= 'c'; host++) {
        char name[24], one[sizeof supervisor];
        snprintf(name, sizeof name, "SUPERVISOR(%c)", host);
        snprintf(one, sizeof one, supervisor, host);
        replace(&text, name, one);
    }
    replace(&text, "'", "\"");
    json_error_t error;
    facts = json_loads(buf_str(&text), 0, &error);
    if (facts == NULL)
        fail_msg("%s", error.text);
    buf_free(&text);
    return 0;
}

static int end(void **state)
{
    (void)state;
    json_decref(facts);
    return 0;
}

static json_t *at(const char *list, size_t i)
{
    return json_array_get(json_object_get(facts, list), i);
}

static void set_text(json_t *o, const char *name, const char *value)
{
    json_object_set_new(o, name, json_string(value));
}

static json_t *info(size_t node)
{
    return json_object_get(at("nodes", node), "info");
}

static json_t *config_of(size_t node)
{
    return json_object_get(at("nodes", node), "config");
}

/* The only finding is this one. */
static void expect(const char *severity, const char *check, const char *where, const char *part)
{
    json_t *list = doctor_findings(facts);
    const json_t *one = json_array_get(list, 0);
    if (json_array_size(list) != 1) {
        char *all = json_dumps(list, JSON_INDENT(1));
        print_error("%s\n", all);
        free(all);
    }
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(field_text(one, "severity"), severity);
    assert_string_equal(field_text(one, "check"), check);
    assert_string_equal(field_text(one, "where"), where);
    if (strstr(field_text(one, "what"), part) == NULL)
        fail_msg("'%s' is not in '%s'", part, field_text(one, "what"));
    assert_true(*field_text(one, "change") != '\0');
    assert_int_equal(doctor_is_ill(list), strcmp(severity, FINDING_NOTE) != 0);
    json_decref(list);
}

static void nothing_is_wrong(void **state)
{
    (void)state;
    json_t *list = doctor_findings(facts);
    assert_int_equal(json_array_size(list), 0);
    assert_false(doctor_is_ill(list));
    json_decref(list);
}

static void who_does_not_answer(void **state)
{
    (void)state;
    set_text(at("nodes", 1), "error", "Connection refused");
    json_object_clear(info(1));
    json_object_clear(config_of(1));
    expect(FINDING_CRITICAL, "reach", "b:1", "Connection refused");
}

static void clocks(void **state)
{
    (void)state;
    json_object_set_new(at("nodes", 1), "clock_ms", json_integer(-400));
    expect(FINDING_NOTE, "clocks", "b:1", "404 ms behind");
    json_object_set_new(at("nodes", 1), "clock_ms", json_integer(9000));
    expect(FINDING_WARNING, "clocks", "b:1", "8996 ms ahead");
    json_object_set_new(at("nodes", 1), "clock_error_ms", json_integer(9000)); /* it took so long to answer */
    nothing_is_wrong(state);
}

static void versions(void **state)
{
    (void)state;
    set_text(info(1), "redis_version", "7.0.14");
    expect(FINDING_NOTE, "versions", "b:1", "7.0.14 here, 7.0.15 at a:1");
    set_text(info(1), "redis_version", "6.2.7");
    expect(FINDING_WARNING, "versions", "b:1", "6.2.7 here");
    set_text(info(1), "redis_version", "7.0.15");
    set_text(info(1), "valkey_version", "8.1.0"); /* a valkey-server calls itself a redis 7.2 beside it */
    expect(FINDING_WARNING, "versions", "b:1", "8.1.0 here, 7.0.15 at a:1");
}

static void versions_of_supervisors(void **state)
{
    (void)state;
    set_text(at("supervisors", 1), "version", "2");
    expect(FINDING_WARNING, "versions", "b:26379",
           "supervisors of several versions run together: 2 here, 1 at a:26379");
    set_text(at("supervisors", 1), "kind", "redis-sentinel");
    expect(FINDING_NOTE, "versions", "b:26379", "redis-sentinel and sentineld supervise together");
}

/* One of several. */
static void found(const char *severity, const char *check, const char *where, const char *part)
{
    json_t *list = doctor_findings(facts);
    size_t i, n = 0;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        n += strcmp(field_text(one, "severity"), severity) == 0 && strcmp(field_text(one, "check"), check) == 0 &&
             strcmp(field_text(one, "where"), where) == 0 && strstr(field_text(one, "what"), part) != NULL;
    }
    if (n != 1)
        fail_msg("%zu findings about %s have '%s'", n, where, part);
    json_decref(list);
}

static void nobody_to_promote(void **state)
{
    (void)state;
    json_t *shards = json_object_get(json_object_get(facts, "placement"), "shards"),
           *nodes = json_object_get(json_array_get(shards, 0), "nodes");
    json_object_set_new(json_array_get(nodes, 1), "against", json_string("priority 0"));
    found(FINDING_WARNING, "quorum", "m", "nobody can be promoted in it when its master dies");
    found(FINDING_WARNING, "quorum", "m", "b:1: priority 0");
    found(FINDING_WARNING, "quorum", "a", "when host a is lost");
}

static void no_lease_now(void **state)
{
    (void)state;
    json_t *shard = json_array_get(json_object_get(json_object_get(facts, "placement"), "shards"), 0);
    json_object_set_new(shard, "leases", json_true());
    nothing_is_wrong(state);
    json_object_set_new(shard, "leased", json_false());
    expect(FINDING_CRITICAL, "quorum", "m", "it holds no lease of a majority");
}

static void kernel(void **state)
{
    (void)state;
    json_t *machine = json_object_get(facts, "machine");
    json_object_set_new(machine, "overcommit_memory", json_integer(0));
    expect(FINDING_WARNING, "kernel", "a", "vm.overcommit_memory is 0");
    json_object_set_new(machine, "overcommit_memory", json_integer(1));
    set_text(machine, "transparent_hugepage", "always");
    expect(FINDING_NOTE, "kernel", "a", "transparent huge pages");
    set_text(machine, "transparent_hugepage", "never");
    json_object_set_new(machine, "somaxconn", json_integer(128));
    expect(FINDING_WARNING, "kernel", "a", "net.core.somaxconn is 128");
    json_object_set_new(machine, "somaxconn", json_integer(4096));
    json_object_set_new(at("nodes", 1), "open_files", json_integer(1024));
    expect(FINDING_WARNING, "kernel", "b:1", "1024 files");
    json_object_set_new(at("nodes", 1), "open_files", json_integer(65536));
    json_object_set_new(at("nodes", 1), "local", json_false());
    expect(FINDING_NOTE, "kernel", "other hosts", "of b cannot be seen");
}

static void memory(void **state)
{
    (void)state;
    set_text(info(0), "used_memory", "1900000000");
    expect(FINDING_WARNING, "memory", "a:1", "writes are refused then");
    set_text(info(0), "used_memory", "1999000000");
    expect(FINDING_CRITICAL, "memory", "a:1", "of maxmemory 1.9 GB");
    set_text(info(0), "used_memory", "1000");
    set_text(info(1), "maxmemory", "1000000000");
    expect(FINDING_WARNING, "memory", "b:1", "below that of its master");
    set_text(info(1), "maxmemory", "0");
    expect(FINDING_NOTE, "memory", "b", "have no maxmemory");
    set_text(info(1), "maxmemory", "9000000000");
    expect(FINDING_WARNING, "memory", "b", "the machine has");
}

static void persistence(void **state)
{
    (void)state;
    set_text(info(0), "rdb_last_bgsave_status", "err");
    expect(FINDING_CRITICAL, "persistence", "a:1", "and writes are refused");
    set_text(info(0), "rdb_last_bgsave_status", "ok");
    set_text(info(0), "aof_last_write_status", "err");
    expect(FINDING_CRITICAL, "persistence", "a:1", "append-only file could not be written");
    set_text(info(0), "aof_last_write_status", "ok");
    set_text(config_of(0), "appendonly", "no");
    expect(FINDING_WARNING, "persistence", "a:1", "a restarted master comes back empty");
    set_text(config_of(0), "save", "3600 1");
    expect(FINDING_NOTE, "persistence", "a:1", "now and then only");
    set_text(config_of(0), "appendonly", "yes");
    set_text(config_of(0), "appendfsync", "no");
    expect(FINDING_NOTE, "persistence", "a:1", "appendfsync is no");
    set_text(config_of(0), "appendfsync", "always");
    json_object_set_new(at("nodes", 0), "disk_free", json_integer(2000000000));
    expect(FINDING_WARNING, "persistence", "a:1", "only 1.9 GB of 83.8 GB are free");
}

static void replication(void **state)
{
    (void)state;
    set_text(info(1), "master_link_status", "down");
    set_text(info(1), "master_link_down_since_seconds", "7");
    expect(FINDING_CRITICAL, "replication", "b:1", "to the master a:1 is down for 7 s");
    set_text(info(1), "master_link_down_since_seconds", "-1");
    expect(FINDING_CRITICAL, "replication", "b:1", "to the master a:1 has not been up since it was started");
    set_text(info(1), "master_sync_guarded", "fe01");
    expect(FINDING_CRITICAL, "replication", "b:1", "does not follow its master a:1: that one is empty");
    set_text(info(1), "master_link_status", "up");
    set_text(info(0), "master_repl_offset", "9000000");
    expect(FINDING_WARNING, "replication", "a:1", "more than the backlog (1.0 MB)");
    set_text(info(0), "master_repl_offset", "500");
    json_object_set_new(at("nodes", 0), "write_rate", json_integer(100000));
    expect(FINDING_WARNING, "replication", "a:1", "holds the last 10 s");
    json_object_set_new(at("nodes", 0), "write_rate", json_integer(0));
    set_text(config_of(0), "min-replicas-to-write", "1");
    expect(FINDING_WARNING, "replication", "a:1", "when one of its 1 replicas is lost");
    set_text(config_of(0), "min-replicas-to-write", "2");
    expect(FINDING_CRITICAL, "replication", "a:1", "it refuses writes");
}

static void quorum_and_times(void **state)
{
    (void)state;
    json_t *map = json_array_get(json_object_get(at("supervisors", 1), "masters"), 0);
    set_text(map, "down-after-milliseconds", "4000");
    expect(FINDING_WARNING, "timeouts", "m", "down-after-milliseconds is 4000 at b:26379 and 5000");
    set_text(map, "down-after-milliseconds", "5000");
    json_t *nodes = json_object_get(json_array_get(json_object_get(json_object_get(facts, "placement"), "shards"), 0),
                                    "nodes");
    set_text(json_array_get(nodes, 1), "host", "a");
    expect(FINDING_WARNING, "quorum", "a", "when host a is lost, 1 of the shards");
    set_text(json_array_get(nodes, 1), "host", "b");
    for (size_t i = 0; i < 3; i++)
        set_text(json_array_get(json_object_get(at("supervisors", i), "masters"), 0), "quorum", "4");
    expect(FINDING_CRITICAL, "timeouts", "m", "nothing is ever failed over");
    for (size_t i = 0; i < 3; i++) {
        map = json_array_get(json_object_get(at("supervisors", i), "masters"), 0);
        set_text(map, "quorum", "2");
        set_text(map, "down-after-milliseconds", "1500");
    }
    expect(FINDING_WARNING, "timeouts", "m", "a PING is sent every 1000 ms");
}

static void pauses_and_lists(void **state)
{
    (void)state;
    json_t *paused = json_object_get(at("supervisors", 0), "paused");
    json_array_append_new(paused, json_pack("{s:s, s:s, s:s, s:s}", "failover-paused", "*", "failover-paused-until",
                                            "1", "failover-paused-by", "ann", "failover-paused-reason", "why not"));
    expect(FINDING_WARNING, "supervisors", "a:26379", "by ann: why not");
    json_array_clear(paused);
    json_object_set_new(at("supervisors", 2), "list_version", json_integer(3));
    nothing_is_wrong(state); /* nodes of other makers count no list */
    set_text(info(0), "server_name", "noded");
    expect(FINDING_WARNING, "supervisors", "c:26379", "its grants are worth nothing");
    json_object_set_new(at("supervisors", 2), "list_counted", json_true());
    json_object_set_new(at("supervisors", 1), "list_version", json_integer(2));
    json_object_set_new(at("supervisors", 1), "list_counted", json_true());
    expect(FINDING_WARNING, "supervisors", "c:26379", "version 3");
}

static void logins(void **state)
{
    (void)state;
    json_object_set_new(at("nodes", 0), "open", json_true());
    expect(FINDING_CRITICAL, "passwords", "a:1", "everybody");
    json_object_set_new(at("nodes", 0), "open", json_false());
    set_text(config_of(0), "protected-mode", "no");
    set_text(config_of(0), "bind", "* -::*");
    expect(FINDING_WARNING, "passwords", "a:1", "listens on all addresses");
    set_text(config_of(0), "requirepass", "x");
    expect(FINDING_WARNING, "passwords", "a:1", "no masterauth");
}

static void clusters(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *c = json_object_get(at("nodes", i), "cluster");
        set_text(c, "cluster_state", "ok");
        set_text(c, "cluster_slots_assigned", "16384");
    }
    nothing_is_wrong(state);
    for (size_t i = 0; i < 2; i++)
        set_text(json_object_get(at("nodes", i), "cluster"), "cluster_slots_assigned", "16000");
    expect(FINDING_CRITICAL, "cluster", "a:1", "384 slots belong to nobody"); /* said once */
}

/* Without supervisors: who is on one host with whom. */
static void placement(void **state)
{
    json_object_set_new(facts, "placement", json_null());
    nothing_is_wrong(state);
    json_t *copy = json_deep_copy(at("nodes", 0)); /* a second shard, on a as well */
    set_text(copy, "address", "a:2");
    json_array_append_new(json_object_get(facts, "nodes"), copy);
    for (size_t i = 0; i < 3; i++) {
        set_text(json_object_get(at("nodes", i), "cluster"), "cluster_state", "ok");
        set_text(json_object_get(at("nodes", i), "cluster"), "cluster_slots_assigned", "16384");
    }
    expect(FINDING_WARNING, "placement", "a", "2 of 2 masters are there");
    json_array_remove(json_object_get(facts, "nodes"), 2);
    json_object_clear(json_object_get(at("nodes", 0), "cluster"));
    json_object_clear(json_object_get(at("nodes", 1), "cluster"));
    set_text(at("nodes", 1), "host", "a");
    nothing_is_wrong(state); /* all on one host: nothing else can be expected */
    copy = json_deep_copy(at("nodes", 1));
    set_text(copy, "address", "c:1");
    set_text(copy, "host", "c");
    set_text(json_object_get(copy, "info"), "master_port", "9");
    json_array_append_new(json_object_get(facts, "nodes"), copy);
    expect(FINDING_WARNING, "placement", "a:1", "its 1 replicas are on its own host");
}

/* A swap of databases that nobody ends; what is said of it depends on whether the supervisors know it. */
static void a_swap_that_stays(void **state)
{
    (void)state;
    json_t *mapping = json_pack("{s:s, s:s, s:s, s:s}", "state", "prepared", "swap_epoch", "3", "ballot", "70",
                                "held_ms", "400");
    json_t *told = json_pack("{s:s, s:s, s:s}", "name", "m", "swapdb-state", "aborted", "mapping-epoch", "2");
    json_object_set_new(at("nodes", 0), "mapping", mapping);
    nothing_is_wrong(state);
    set_text(mapping, "held_ms", "7000");
    expect(FINDING_CRITICAL, "swapdb", "a:1", "for 7 s");
    json_array_append_new(json_object_get(at("supervisors", 0), "clusters_told"), told);
    for (int known = 0; known < 2; known++) {
        json_t *list = doctor_findings(facts);
        const char *change = field_text(json_array_get(list, 0), "change");
        assert_true((strstr(change, "CLUSTER DBMAP ABORT EPOCH 3 BALLOT 70 there") == NULL) == (known == 1));
        json_decref(list);
        set_text(told, "swapdb-state", "open");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_wrong, begin, end),
        cmocka_unit_test_setup_teardown(who_does_not_answer, begin, end),
        cmocka_unit_test_setup_teardown(clocks, begin, end),
        cmocka_unit_test_setup_teardown(versions, begin, end),
        cmocka_unit_test_setup_teardown(versions_of_supervisors, begin, end),
        cmocka_unit_test_setup_teardown(nobody_to_promote, begin, end),
        cmocka_unit_test_setup_teardown(no_lease_now, begin, end),
        cmocka_unit_test_setup_teardown(kernel, begin, end),
        cmocka_unit_test_setup_teardown(memory, begin, end),
        cmocka_unit_test_setup_teardown(persistence, begin, end),
        cmocka_unit_test_setup_teardown(replication, begin, end),
        cmocka_unit_test_setup_teardown(quorum_and_times, begin, end),
        cmocka_unit_test_setup_teardown(pauses_and_lists, begin, end),
        cmocka_unit_test_setup_teardown(logins, begin, end),
        cmocka_unit_test_setup_teardown(clusters, begin, end),
        cmocka_unit_test_setup_teardown(placement, begin, end),
        cmocka_unit_test_setup_teardown(a_swap_that_stays, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
