/* What `nodectl status` makes of the views of several supervisors. The views are written as JSON, with the words that
 * redis-sentinel uses. */
#include "nodectl/status_merge.h"

#include "common/base/rng.h"
#include "nodectl/reply_json.h"
#include "nodectl/status_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ID_C "cccccccccccccccccccccccccccccccccccccccc"

#define MASTER                                                                                           \
    "{'name':'g','ip':'10.0.0.1','port':'6379','runid':'r1','flags':'master','last-ok-ping-reply':'20'," \
    "'info-refresh':'40','role-reported':'master','config-epoch':'3','quorum':'2'}"
#define REPLICA(ip, flags)                                                                                \
    "{'name':'x','ip':'" ip "','port':'6379','runid':'r2','flags':'" flags "','last-ok-ping-reply':'30'," \
    "'role-reported':'slave','master-host':'10.0.0.1','master-port':'6379','master-link-status':'ok',"    \
    "'master-link-down-time':'0','slave-priority':'100','slave-repl-offset':'1000','replica-announced':'1'}"
#define PEER(id, ip) "{'runid':'" id "','ip':'" ip "','port':'26379','flags':'sentinel','last-ok-ping-reply':'10'}"
#define INFO                                                            \
    "{'age_ms':50,'offset':1200,'replicas':["                           \
    "{'address':'10.0.0.2:6379','offset':900,'lag_s':1,'online':true}," \
    "{'address':'10.0.0.3:6379','offset':1100,'lag_s':0,'online':true}]}"
#define GROUP(peers)                                                                            \
    "{'master':" MASTER ",'replicas':[" REPLICA("10.0.0.2", "slave") "," REPLICA(               \
        "10.0.0.3", "slave") "],"                                                               \
                             "'supervisors':[" peers                                            \
                             "],'quorum_reply':'OK 3 usable Sentinels. Fine','quorum_ok':true," \
                             "'address':'10.0.0.1:6379'}"
#define VIEW(ip, id, peers) \
    "{'address':'" ip ":26379','given':true,'error':null,'id':'" id "','groups':{'g':" GROUP(peers) "}}"

/* Three supervisors that see the same and that nothing is wrong with. */
static json_t *three(void)
{
    static const char text[] = "[" VIEW("10.0.1.1", ID_A, PEER(ID_B, "10.0.1.2") "," PEER(ID_C, "10.0.1.3")) "," VIEW(
        "10.0.1.2", ID_B, PEER(ID_A, "10.0.1.1") "," PEER(ID_C, "10.0.1.3")) "," VIEW("10.0.1.3", ID_C,
                                                                                      PEER(ID_A, "10.0.1.1") "," PEER(
                                                                                          ID_B, "10.0.1.2")) "]";
    char *copy = strdup(text);
    for (char *p = copy; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    json_error_t error;
    json_t *views = json_loads(copy, 0, &error);
    if (views == NULL)
        fail_msg("%s at %d", error.text, error.position);
    char *info = strdup(INFO);
    for (char *p = info; *p != '\0'; p++)
        *p = *p == '\'' ? '"' : *p;
    json_object_set_new(json_object_get(json_object_get(json_array_get(views, 0), "groups"), "g"), "info",
                        json_loads(info, 0, NULL));
    free(info);
    free(copy);
    return views;
}

static json_t *group_of(const json_t *views, size_t view)
{
    return json_object_get(json_object_get(json_array_get(views, view), "groups"), "g");
}

static json_t *master_of(const json_t *views, size_t view)
{
    return json_object_get(group_of(views, view), "master");
}

static json_t *replica_of(const json_t *views, size_t view, size_t replica)
{
    return json_array_get(json_object_get(group_of(views, view), "replicas"), replica);
}

static json_t *peer_of(const json_t *views, size_t view, size_t peer)
{
    return json_array_get(json_object_get(group_of(views, view), "supervisors"), peer);
}

static void set(json_t *map, const char *name, const char *value)
{
    assert_non_null(map);
    json_object_set_new(map, name, json_string(value));
}

static bool has_line(const json_t *document, const char *list, const char *part)
{
    size_t i;
    const json_t *line;
    json_array_foreach(json_object_get(document, list), i, line)
    {
        if (strstr(json_string_value(line), part) != NULL)
            return true;
    }
    return false;
}

static void assert_line(const json_t *document, const char *list, const char *part)
{
    if (has_line(document, list, part))
        return;
    char *all = json_dumps(json_object_get(document, list), JSON_INDENT(1));
    fail_msg("%s has no '%s': %s", list, part, all);
}

static json_t *merged_group(const json_t *document, size_t i)
{
    return json_array_get(json_object_get(document, "groups"), i);
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s != NULL ? s : "(none)";
}

static int64_t number(const json_t *o, const char *name)
{
    const json_t *n = json_object_get(o, name);
    return json_is_integer(n) ? json_integer_value(n) : -1;
}

static const json_t *merged_replica(const json_t *document, const char *address)
{
    size_t i;
    const json_t *r;
    json_array_foreach(json_object_get(merged_group(document, 0), "replicas"), i, r)
    {
        if (strcmp(text(r, "address"), address) == 0)
            return r;
    }
    fail_msg("no replica %s", address);
    return NULL;
}

static json_t *merge(json_t *views)
{
    json_t *document = status_merge(views, NULL, 0);
    assert_non_null(document);
    json_decref(views);
    return document;
}

static void nothing_is_wrong(void **state)
{
    (void)state;
    json_t *d = merge(three());
    const json_t *g = merged_group(d, 0);
    assert_true(json_is_true(json_object_get(d, "ok")));
    assert_int_equal(json_array_size(json_object_get(d, "problems")), 0);
    assert_int_equal(json_array_size(json_object_get(d, "notes")), 0);
    assert_int_equal(json_array_size(json_object_get(d, "groups")), 1);
    assert_string_equal(text(g, "state"), "ok");
    assert_int_equal(number(g, "config_epoch"), 3);
    assert_int_equal(number(g, "usable_supervisors"), 3);
    assert_int_equal(number(g, "known_supervisors"), 3);
    assert_string_equal(text(json_object_get(g, "master"), "address"), "10.0.0.1:6379");
    assert_int_equal(number(json_object_get(g, "master"), "offset"), 1200);
    assert_int_equal(json_array_size(json_object_get(g, "replicas")), 2);
    json_decref(d);
}

static void lag_counts_what_the_replica_has_for_sure(void **state)
{
    (void)state;
    json_t *d = merge(three());
    /* It told 1000 itself, and had acknowledged 900. */
    assert_int_equal(number(merged_replica(d, "10.0.0.2:6379"), "lag_bytes"), 200);
    assert_int_equal(number(merged_replica(d, "10.0.0.2:6379"), "lag_s"), 1);
    /* It told 1000, but has acknowledged 1100 since. */
    assert_int_equal(number(merged_replica(d, "10.0.0.3:6379"), "lag_bytes"), 100);
    json_decref(d);
}

static void lag_is_never_taken_from_another_masters_info(void **state)
{
    (void)state;
    json_t *views = three();
    for (size_t i = 0; i < 3; i++) /* promoted, while MASTER still shows the old one */
        set(group_of(views, i), "address", "10.0.0.2:6379");
    json_t *d = merge(views);
    assert_true(json_is_null(json_object_get(merged_replica(d, "10.0.0.3:6379"), "lag_bytes")));
    assert_true(json_is_null(json_object_get(json_object_get(merged_group(d, 0), "master"), "offset")));
    assert_int_equal(json_array_size(json_object_get(merged_group(d, 0), "replicas")), 1);
    json_decref(d);
}

static void one_supervisor_holds_the_master_for_down(void **state)
{
    (void)state;
    json_t *views = three();
    set(master_of(views, 1), "flags", "s_down,master,disconnected");
    set(master_of(views, 1), "last-ok-ping-reply", "7300");
    json_t *d = merge(views);
    const json_t *g = merged_group(d, 0);
    assert_true(json_is_false(json_object_get(d, "ok")));
    assert_string_equal(text(g, "state"), "s_down");
    assert_string_equal(text(json_object_get(g, "master"), "state"), "s_down");
    assert_line(
        d, "problems",
        "g: master 10.0.0.1:6379 is s_down for 1 of 3 supervisors: not connected, last good answer to PING 7.3 s "
        "ago");
    const json_t *by = json_object_get(json_object_get(g, "master"), "seen_down_by");
    assert_int_equal(json_array_size(by), 1);
    assert_string_equal(json_string_value(json_array_get(by, 0)), "10.0.1.2:26379");
    json_decref(d);
}

static void o_down_counts_more_than_s_down(void **state)
{
    (void)state;
    json_t *views = three();
    set(master_of(views, 0), "flags", "s_down,master");
    set(master_of(views, 1), "flags", "s_down,o_down,master");
    set(master_of(views, 2), "flags", "s_down,master");
    json_t *d = merge(views);
    assert_string_equal(text(merged_group(d, 0), "state"), "o_down");
    assert_line(d, "problems", "master 10.0.0.1:6379 is o_down for 3 of 3 supervisors: it does not answer");
    json_decref(d);
}

static void a_failover_is_a_state(void **state)
{
    (void)state;
    json_t *views = three();
    set(master_of(views, 0), "failover-state", "none");
    set(master_of(views, 2), "failover-state", "wait_promotion");
    json_t *d = merge(views);
    assert_string_equal(text(merged_group(d, 0), "state"), "wait_promotion");
    assert_line(d, "problems", "g: a failover is in progress (wait_promotion)");
    json_decref(d);
}

static void the_supervisors_own_reason_comes_first(void **state)
{
    (void)state;
    json_t *views = three();
    set(replica_of(views, 0, 0), "flags", "s_down,slave,disconnected");
    set(replica_of(views, 0, 0), "down-reason", "connection refused");
    json_t *d = merge(views);
    assert_line(d, "problems",
                "g: replica 10.0.0.2:6379 is s_down for 1 of 3 supervisors: connection refused, last good");
    assert_string_equal(text(merged_replica(d, "10.0.0.2:6379"), "state"), "s_down");
    json_decref(d);
}

static void reasons(void **state)
{
    (void)state;
    json_t *map = json_object();
    char *why = down_reason(map, "master");
    assert_string_equal(why, "it does not answer");
    free(why);
    set(map, "role-reported", "slave");
    set(map, "last-ok-ping-reply", "100");
    why = down_reason(map, "master");
    assert_string_equal(why, "it reports the role slave, last good answer to PING 0.1 s ago");
    free(why);
    json_decref(map);
}

static void not_connected_counts_when_nobody_is(void **state)
{
    (void)state;
    json_t *views = three();
    set(master_of(views, 0), "flags", "master,disconnected");
    set(master_of(views, 0), "last-ok-ping-reply", "0"); /* it has only just begun to look */
    json_t *d = merge(json_deep_copy(views));
    assert_true(json_is_true(json_object_get(d, "ok")));
    json_decref(d);
    set(master_of(views, 1), "flags", "master,disconnected");
    set(master_of(views, 2), "flags", "master,disconnected");
    d = merge(views);
    assert_line(d, "problems", "g: master 10.0.0.1:6379: not connected");
    json_decref(d);
}

static void disagreement(void **state)
{
    (void)state;
    json_t *views = three();
    set(group_of(views, 2), "address", "10.0.0.9:6379");
    set(master_of(views, 2), "config-epoch", "2");
    json_t *d = merge(views);
    assert_true(json_is_false(json_object_get(merged_group(d, 0), "agreed")));
    assert_string_equal(text(json_object_get(merged_group(d, 0), "master"), "address"), "10.0.0.1:6379");
    assert_line(d, "problems", "disagree about the master: 10.0.1.1:26379 says 10.0.0.1:6379 at epoch 3; ");
    assert_line(d, "problems", "10.0.1.3:26379 says 10.0.0.9:6379 at epoch 2");
    json_decref(d);

    views = three(); /* the same master at another epoch */
    set(master_of(views, 1), "config-epoch", "4");
    d = merge(views);
    assert_true(json_is_false(json_object_get(merged_group(d, 0), "agreed")));
    assert_int_equal(number(merged_group(d, 0), "config_epoch"), 4); /* the newest is told */
    json_decref(d);
}

static void replicas_of_all_views(void **state)
{
    (void)state;
    json_t *views = three();
    set(replica_of(views, 1, 0), "ip", "10.0.0.4");
    json_t *d = merge(views);
    assert_int_equal(json_array_size(json_object_get(merged_group(d, 0), "replicas")), 3);
    merged_replica(d, "10.0.0.4:6379");
    json_decref(d);
}

#define GUARDED "fe01fe01fe01fe01fe01fe01fe01fe01fe01fe01"

static void replicas_that_are_up_and_of_no_use(void **state)
{
    (void)state;
    json_t *views = three();
    for (size_t i = 0; i < 3; i++) {
        set(replica_of(views, i, 0), "master-host", "10.0.0.9");
        set(replica_of(views, i, 1), "master-link-status", "err");
        set(replica_of(views, i, 1), "master-link-down-time", "4000");
    }
    json_t *d = merge(views);
    assert_line(d, "problems", "g: replica 10.0.0.2:6379 follows 10.0.0.9:6379 instead of 10.0.0.1:6379");
    assert_line(d, "problems", "g: replica 10.0.0.3:6379 has had no link to its master for 4.0 s");
    json_decref(d);

    views = three();
    for (size_t i = 0; i < 3; i++) {
        set(replica_of(views, i, 1), "master-link-status", "err");
        set(replica_of(views, i, 1), "master-sync-guarded", GUARDED);
    }
    d = merge(views);
    assert_line(
        d, "problems",
        "g: replica 10.0.0.3:6379 does not follow: its master is empty, it is not, and no supervisor has seen "
        "that the master was emptied. When the data of the replica may go, say to it: REPLICAOF ACCEPT " GUARDED);
    assert_string_equal(field_text(merged_replica(d, "10.0.0.3:6379"), "sync_guarded"), GUARDED);
    json_decref(d);

    views = three();
    for (size_t i = 0; i < 3; i++) {
        set(replica_of(views, i, 0), "role-reported", "master");
        set(replica_of(views, i, 1), "master-host",
            "node-1.example.org"); /* a name can't be compared with an address */
    }
    d = merge(views);
    assert_line(d, "problems", "g: replica 10.0.0.2:6379 reports the role master");
    assert_int_equal(json_array_size(json_object_get(d, "problems")), 1);
    json_decref(d);
}

static void no_replica_is_a_note(void **state)
{
    (void)state;
    json_t *views = three();
    for (size_t i = 0; i < 3; i++)
        json_array_clear(json_object_get(group_of(views, i), "replicas"));
    json_t *d = merge(views);
    assert_true(json_is_true(json_object_get(d, "ok")));
    assert_line(d, "notes", "g has no replica");
    json_decref(d);
}

/* Why, test_status_shard.c looks at. */
static void nobody_to_promote_is_a_note(void **state)
{
    (void)state;
    json_t *views = three();
    for (size_t v = 0; v < 3; v++)
        for (size_t i = 0; i < 2; i++)
            set(json_array_get(json_object_get(group_of(views, v), "replicas"), i), "slave-priority", "0");
    json_t *d = merge(views);
    assert_true(json_is_true(json_object_get(d, "ok")));
    assert_line(d, "notes", "g: nobody can be promoted in it when its master dies (10.0.0.2:6379: priority 0; ");
    json_decref(d);
}

/* Of a shard: its slots, and a lease that the master has, or lacks; while a failover runs that goes without saying. */
static void leases(void **state)
{
    (void)state;
    json_t *views = three();
    for (size_t i = 0; i < 3; i++)
        set(master_of(views, i), "lease-held-ms", "120");
    set(master_of(views, 0), "lease-granted-ms", "200");
    json_t *d = merge(views), *g = json_array_get(json_object_get(d, "groups"), 0);
    assert_true(json_is_true(json_object_get(d, "ok")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(g, "master"), "lease_ms")), 120);
    json_decref(d);
    views = three();
    for (size_t i = 0; i < 3; i++)
        set(master_of(views, i), "lease-held-ms", "0");
    d = merge(views);
    assert_line(d, "problems", "g: master 10.0.0.1:6379 has no lease of a majority");
    json_decref(d);
    views = three();
    for (size_t i = 0; i < 3; i++) {
        set(master_of(views, i), "lease-held-ms", "0");
        set(master_of(views, i), "failover-state", "wait_promotion");
    }
    d = merge(views);
    assert_line(d, "problems", "g: a failover is in progress");
    assert_int_equal(json_array_size(json_object_get(d, "problems")), 1);
    json_decref(d);
}

static void make_unreachable(json_t *view, bool given)
{
    set(view, "error", "Connection refused");
    json_object_set_new(view, "id", json_string(""));
    json_object_set_new(view, "given", json_boolean(given));
    json_object_clear(json_object_get(view, "groups"));
}

static void unreachable_supervisors(void **state)
{
    (void)state;
    json_t *views = three();
    make_unreachable(json_array_get(views, 2), true);
    json_t *d = merge(views);
    assert_line(d, "problems", "supervisor 10.0.1.3:26379 cannot be asked: Connection refused");
    assert_int_equal(json_array_size(json_object_get(d, "problems")), 1);
    const json_t *seat = json_array_get(json_object_get(merged_group(d, 0), "supervisors"), 2);
    assert_string_equal(text(seat, "id"), ID_C); /* the others know it */
    assert_string_equal(text(seat, "state"), "unknown");
    assert_true(json_is_null(json_object_get(seat, "says")));
    json_decref(d);

    views = three(); /* found only, and well for the others: it may just be out of reach from here */
    make_unreachable(json_array_get(views, 2), false);
    d = merge(views);
    assert_true(json_is_true(json_object_get(d, "ok")));
    assert_line(d, "notes", "supervisor 10.0.1.3:26379 cannot be asked: Connection refused");
    json_decref(d);

    views = three(); /* and down for one of the others */
    make_unreachable(json_array_get(views, 2), false);
    set(peer_of(views, 1, 1), "flags", "s_down,sentinel,disconnected");
    d = merge(views);
    assert_line(d, "problems", "g: supervisor 10.0.1.3:26379 is s_down for 1 of 2 supervisors: not connected");
    json_decref(d);
}

static void peers_that_do_not_know_each_other(void **state)
{
    (void)state;
    json_t *views = three();
    json_array_remove(json_object_get(group_of(views, 0), "supervisors"), 1);
    json_t *d = merge(views);
    assert_line(d, "problems", "g: supervisor 10.0.1.1:26379 does not know supervisor 10.0.1.3:26379");
    assert_int_equal(json_array_size(json_object_get(d, "problems")), 1);
    json_decref(d);

    views = three(); /* one of them no longer watches the group */
    json_object_clear(json_object_get(json_array_get(views, 2), "groups"));
    d = merge(views);
    assert_line(d, "problems", "g: supervisor 10.0.1.3:26379 does not watch this group, but others count on it");
    assert_int_equal(number(merged_group(d, 0), "watched_by"), 2);
    json_decref(d);
}

static void no_quorum(void **state)
{
    (void)state;
    json_t *views = three();
    set(group_of(views, 0), "quorum_reply", "NOQUORUM 1 usable Sentinels. Not enough");
    json_object_set_new(group_of(views, 0), "quorum_ok", json_false());
    json_t *d = merge(views);
    assert_line(d, "problems", "g: supervisor 10.0.1.1:26379: NOQUORUM 1 usable Sentinels. Not enough");
    assert_int_equal(number(merged_group(d, 0), "usable_supervisors"), 1);
    json_decref(d);
}

static void wanted_groups(void **state)
{
    (void)state;
    static const char *const names[] = {"g", "h"};
    json_t *views = three();
    json_t *d = status_merge(views, names, 2);
    assert_line(d, "problems", "h: no supervisor that answers watches a group of this name");
    assert_int_equal(json_array_size(json_object_get(d, "problems")), 1);
    json_decref(d);
    json_decref(views);
}

static void groups_are_sorted_by_name(void **state)
{
    (void)state;
    json_t *views = three();
    json_t *groups = json_object_get(json_array_get(views, 0), "groups");
    json_object_set(groups, "b", json_object_get(groups, "g"));
    json_object_set(groups, "a", json_object_get(groups, "g"));
    json_t *d = merge(views);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(text(merged_group(d, i), "name")[0], "abg"[i]);
    json_decref(d);
}

static void nobody_at_all(void **state)
{
    (void)state;
    json_t *views = three();
    for (size_t i = 0; i < 3; i++)
        make_unreachable(json_array_get(views, i), true);
    json_t *d = merge(views);
    assert_int_equal(json_array_size(json_object_get(d, "problems")), 3);
    assert_int_equal(json_array_size(json_object_get(d, "groups")), 0);
    json_decref(d);
}

/* Takes a random member away, or makes nonsense of it. */
static void damage(json_t *at, struct rng *r, int depth)
{
    size_t n = json_is_object(at) ? json_object_size(at) : json_is_array(at) ? json_array_size(at) : 0;
    if (n == 0)
        return;
    size_t pick = (size_t)rng_below(r, n);
    bool here = depth == 0 || rng_below(r, 4) == 0;
    if (json_is_array(at)) {
        if (here && depth < 4)
            json_array_remove(at, pick);
        else
            damage(json_array_get(at, pick), r, depth - 1);
        return;
    }
    void *it = json_object_iter(at);
    while (pick-- > 0)
        it = json_object_iter_next(at, it);
    if (!here || json_is_object(json_object_iter_value(it)) || json_is_array(json_object_iter_value(it)))
        damage(json_object_iter_value(it), r, depth - 1);
    else if (json_is_string(json_object_iter_value(it)))
        json_object_iter_set_new(at, it, json_string(rng_below(r, 2) ? "" : "-9,\x1b[31m\xc3\xa4,s_down"));
}

static void damaged_views(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 11);
    for (int i = 0; i < 3000; i++) {
        json_t *views = three();
        for (uint64_t k = rng_below(&r, 12) + 1; k > 0; k--)
            damage(views, &r, 6);
        json_t *d = merge(views);
        assert_true(json_is_object(d));
        char *dump = json_dumps(d, 0);
        assert_non_null(dump);
        free(dump);
        json_decref(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wrong),
        cmocka_unit_test(lag_counts_what_the_replica_has_for_sure),
        cmocka_unit_test(lag_is_never_taken_from_another_masters_info),
        cmocka_unit_test(one_supervisor_holds_the_master_for_down),
        cmocka_unit_test(o_down_counts_more_than_s_down),
        cmocka_unit_test(a_failover_is_a_state),
        cmocka_unit_test(the_supervisors_own_reason_comes_first),
        cmocka_unit_test(reasons),
        cmocka_unit_test(not_connected_counts_when_nobody_is),
        cmocka_unit_test(disagreement),
        cmocka_unit_test(replicas_of_all_views),
        cmocka_unit_test(replicas_that_are_up_and_of_no_use),
        cmocka_unit_test(no_replica_is_a_note),
        cmocka_unit_test(nobody_to_promote_is_a_note),
        cmocka_unit_test(leases),
        cmocka_unit_test(unreachable_supervisors),
        cmocka_unit_test(peers_that_do_not_know_each_other),
        cmocka_unit_test(no_quorum),
        cmocka_unit_test(wanted_groups),
        cmocka_unit_test(groups_are_sorted_by_name),
        cmocka_unit_test(nobody_at_all),
        cmocka_unit_test(damaged_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
