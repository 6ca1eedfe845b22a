#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"

#define RING 256

struct lease_lab lease;

/* What events on their way point to. */
static struct sn_lease_told told_ring[RING];
static struct sn_opinion opinion_ring[RING];
static char name_ring[RING][32];
static size_t at;

static const char *const peer_ids[PEERS] = {"00000000000000000000000000000000000000b1",
                                            "ffffffffffffffffffffffffffffffffffffffb2"};

static int node_of(int port)
{
    for (int k = 0; k < LAB_NODES; k++)
        if (lab.nodes[k].port == port)
            return lab.nodes[k].reads_as;
    return -1;
}

static int peer_of(const struct addr *a)
{
    return strcmp(a->host, "10.0.0.8") == 0 ? 0 : strcmp(a->host, "10.0.0.9") == 0 ? 1 : -1;
}

static bool is_there(const struct addr *a)
{
    int k = peer_of(a);
    return k >= 0 && lease.peers[k].up;
}

/* ---- nodes ---- */

static uint64_t view_of(int k)
{
    struct buf text = {0};
    struct sn_nodes nodes;
    lab_put_nodes(&text, k);
    assert_true(sn_nodes_parse(&nodes, buf_slice(&text)));
    uint64_t view = sn_nodes_view(&nodes);
    sn_nodes_free(&nodes);
    buf_free(&text);
    return view;
}

static const struct sn_lease_told *tell(int k)
{
    const struct lab_node *n = &lab.nodes[k];
    const struct lease_node *l = &lease.nodes[k];
    struct sn_lease_told *t = &told_ring[at++ % RING];
    *t = (struct sn_lease_told){.role = n->master >= 0 ? SN_ROLE_REPLICA : SN_ROLE_MASTER,
                                .config_epoch = n->master >= 0 ? lab.nodes[n->master].epoch : n->epoch,
                                .link_up = n->master >= 0 && lab.nodes[n->master].alive && !l->guarded,
                                .link_ms = l->guarded ? 600000 : 0,
                                .offset = n->offset,
                                .priority = 100,
                                .keys = l->empty || l->emptied ? 0 : 7,
                                .generation = l->lease_ms >= 0,
                                .version = l->lease_ms >= 0 ? l->version : 0,
                                .lease_ms = l->lease_ms,
                                .state_known = !l->in_the_dark,
                                .view = lease.views ? view_of(k) : 0,
                                .mapping_epoch = l->mapping,
                                .swap_prepared = l->prepared,
                                .swap_ballot = l->ballot,
                                .swap_request = l->request,
                                .swap_a = 1,
                                .swap_b = 2,
                                .migrating = l->migrating,
                                .wants_epoch = l->wants_epoch,
                                .incarnation = l->incarnation,
                                .clock_us = lab.now_us + l->clock_us};
    memcpy(t->node, n->id, sizeof t->node);
    if (n->master >= 0)
        memcpy(t->master, lab.nodes[n->master].id, sizeof t->master);
    memset(t->replid, '1', RUNID_LEN);
    return t;
}

static void answer_lease(const struct sn_effect *fx, int k)
{
    struct lease_node *l = &lease.nodes[k];
    struct sn_event e = {.link = fx->link, .command = fx->command};
    if (fx->command == SN_CMD_LEASE) {
        l->asked++;
        l->granted += fx->stamp.incarnation != 0;
        l->epoch = fx->epoch;
        l->stamp = fx->stamp;
    }
    if (!lab.nodes[k].alive || l->deaf || (l->no_return && fx->command == SN_CMD_LEASE_RETURN))
        return;
    bool is_stale = l->stale && strtoull(fx->text, NULL, 10) <= l->version;
    if (l->error || is_stale) {
        e.kind = SN_EV_ACK;
        lab_push(&e, l->error ? l->error : l->stale);
        return;
    }
    if (fx->command == SN_CMD_LEASE_RETURN) {
        buf_printf(&lab.sent, "RETURN %d %llu\n", lab.nodes[k].port, (unsigned long long)fx->epoch);
        l->lease_ms = 0;
    }
    e.kind = SN_EV_LEASE;
    e.told = tell(k);
    lab_push(&e, NULL);
}

static void note_takeover(const struct sn_effect *fx, int k)
{
    buf_clear(&lease.takeover);
    buf_printf(&lease.takeover, "%d %llu %s", lab.nodes[k].port, (unsigned long long)fx->epoch, fx->text);
    for (char **v = fx->argv; v && *v; v++)
        buf_printf(&lease.takeover, " %s", *v);
    if (fx->flag)
        buf_puts(&lease.takeover, " FORCE");
    lab.nodes[k].takes_epoch = fx->epoch;
    lease.nodes[k].lease_ms = LEASE_MS;
}

static void answer_info(const struct sn_effect *fx, int k)
{
    const struct lab_node *n = &lab.nodes[k];
    const struct lease_node *l = &lease.nodes[k];
    struct buf b = {0};
    buf_printf(&b, "run_id:%.8s%032llx\r\nrole:%s\r\n", n->id, (unsigned long long)lease.nodes[k].incarnation,
               n->master >= 0 ? "slave" : "master");
    if (n->master >= 0)
        buf_printf(&b,
                   "master_host:127.0.0.1\r\nmaster_port:%d\r\nmaster_link_status:%s\r\nslave_repl_offset:%ld\r\n"
                   "slave_priority:100\r\n",
                   lab.nodes[n->master].port, lab.nodes[n->master].alive && !l->guarded ? "up" : "down", n->offset);
    if (l->guarded)
        buf_printf(&b, "master_sync_guarded:%s\r\n", l->guarded);
    if (l->word)
        buf_puts(&b, "dataset_emptied:1\r\n");
    buf_printf(&b, "master_replid:%040d\r\nmaster_repl_offset:%ld\r\n# Keyspace\r\n%s", l->empty ? 2 : 1, n->offset,
               l->empty || l->emptied ? "" : "db0:keys=7,expires=0,avg_ttl=0\r\n");
    struct sn_event e = {.kind = SN_EV_INFO, .link = fx->link};
    lab_push(&e, buf_str(&b));
    buf_free(&b);
}

static void answer_release(const struct sn_effect *fx, int k)
{
    struct lease_node *l = &lease.nodes[k];
    struct sn_event e = {.kind = SN_EV_ACK, .link = fx->link, .command = fx->command};
    buf_printf(&lab.sent, "RELEASE %d %s\n", lab.nodes[k].port, fx->text);
    e.ok = l->freed++ == 0 || l->holds_on;
    if (lab.nodes[k].alive)
        lab_push(&e, e.ok ? "OK" : "ERR This node is not supervised");
}

static bool node_sent(const struct sn_effect *fx, const struct sn_conn *conn)
{
    int k = node_of(((const struct sn_node *)conn->owner)->addr.port);
    if (k < 0 || conn->of != SN_CONN_NODE)
        return false;
    if (fx->command == SN_CMD_TAKEOVER && fx->epoch)
        note_takeover(fx, k); /* and fleet_lab.c goes on */
    if (fx->command == SN_CMD_TAKEOVER && fx->epoch && lab.nodes[k].alive && lab.nodes[k].master < 0 &&
        lease.nodes[k].own_epoch) {
        buf_printf(&lab.sent, "TAKEOVER %d\n", lab.nodes[k].port); /* the master anew */
        lab.nodes[k].epoch = fx->epoch;
        struct sn_event e = {.kind = SN_EV_ACK, .link = fx->link, .command = fx->command, .ok = true};
        lab_push(&e, "OK");
        return true;
    }
    if (fx->command == SN_CMD_INFO && lab.nodes[k].alive) {
        answer_info(fx, k);
        return true;
    }
    if (fx->command == SN_CMD_ACCEPT && lab.nodes[k].alive) {
        buf_printf(&lab.sent, "ACCEPT %d %s\n", lab.nodes[k].port, fx->text);
        struct sn_event e = {.kind = SN_EV_ACK, .link = fx->link, .command = fx->command};
        e.ok = !lease.nodes[k].refuses_accept;
        lab_push(&e, e.ok ? "OK" : lease.nodes[k].refuses_accept);
        return true;
    }
    if (fx->command == SN_CMD_RELEASE) {
        answer_release(fx, k);
        return true;
    }
    if (fx->command == SN_CMD_FREEZE && lab.nodes[k].alive) {
        buf_printf(&lab.sent, "FREEZE %d %.8s\n", lab.nodes[k].port, fx->text);
        struct sn_event e = {.kind = SN_EV_ACK, .link = fx->link, .command = fx->command, .ok = true};
        lab_push(&e, "OK");
        return true;
    }
    if (fx->command != SN_CMD_LEASE && fx->command != SN_CMD_LEASE_RETURN)
        return false;
    answer_lease(fx, k);
    return true;
}

/* ---- peers ---- */

static void opinion(const struct sn_ballot *b, int k, struct sn_opinion *o)
{
    const struct lease_peer *p = &lease.peers[k];
    char *name = name_ring[at++ % RING];
    snprintf(name, sizeof name_ring[0], "%s", b->group);
    *o = (struct sn_opinion){.group = name, .master = b->master, .down = p->says_down, .asked_us = b->asked_us};
    if (b->verb != SN_BALLOT_VOTE && b->verb != SN_BALLOT_RETURNED)
        return;
    o->asked_epoch = b->verb == SN_BALLOT_VOTE ? b->epoch : 0;
    if (!p->votes)
        return;
    memcpy(o->leader, LAB_ID, sizeof o->leader);
    o->leader_epoch = b->epoch;
    snprintf(o->grant, sizeof o->grant, "%d/%016x/%d/%d/%d", k + 1, 5, 6, LEASE_MS, b->verb == SN_BALLOT_VOTE ? 77 : 0);
}

static void answer_ballots(const struct sn_effect *fx, int k)
{
    static const char *const verbs[] = {[SN_BALLOT_DOWN] = "DOWN",
                                        [SN_BALLOT_UP] = "UP",
                                        [SN_BALLOT_VOTE] = "VOTE",
                                        [SN_BALLOT_CANCEL] = "CANCEL",
                                        [SN_BALLOT_RETURNED] = "RETURNED"};
    size_t first = at % RING + fx->count > RING ? 0 : at % RING;
    struct sn_event e = {.kind = SN_EV_OPINIONS, .link = fx->link, .opinions = &opinion_ring[first]};
    for (size_t j = 0; j < fx->count; j++) {
        const struct sn_ballot *b = &fx->ballots[j];
        buf_printf(&lab.sent, "%s peer%d %llu %d\n", verbs[b->verb], k, (unsigned long long)b->epoch,
                   b->candidate.port);
        opinion(b, k, &opinion_ring[first + j]);
    }
    e.count = fx->count;
    at = first + fx->count;
    if (!lease.peers[k].silent)
        lab_push(&e, NULL);
}

static bool peer_sent(const struct sn_effect *fx, const struct sn_conn *conn)
{
    int k = peer_of(&((const struct sn_peer *)conn->owner)->addr);
    struct sn_event e = {.link = fx->link, .command = fx->command, .ok = true};
    if (k < 0 || !lease.peers[k].up)
        return true;
    switch (fx->command) {
    case SN_CMD_PING:
        e.kind = SN_EV_PONG;
        lab_push(&e, NULL);
        break;
    case SN_CMD_PROBE:
        e.kind = SN_EV_PROBED;
        lab_push(&e, peer_ids[k]);
        break;
    case SN_CMD_BALLOT: answer_ballots(fx, k); break;
    case SN_CMD_GIVE_UP:
    case SN_CMD_TAKE_ON:
        buf_printf(&lab.sent, "%s peer%d %s\n", fx->command == SN_CMD_GIVE_UP ? "GIVE-UP" : "TAKE-ON", k, fx->text);
        e.kind = SN_EV_ACK;
        e.ok = !lease.peers[k].refuses;
        lab_push(&e, e.ok ? "OK" : lease.peers[k].refuses);
        break;
    default:
        e.kind = SN_EV_ACK;
        lab_push(&e, "OK");
        break;
    }
    return true;
}

static bool on_send(const struct sn_effect *fx)
{
    const struct sn_conn *conn = sn_conn_of(lab.core, fx->link);
    if (!conn)
        return false;
    return conn->of == SN_CONN_PEER ? peer_sent(fx, conn) : node_sent(fx, conn);
}

/* ---- the test's side ---- */

void lease_begin(const struct lease_begin *o)
{
    memset(&lease, 0, sizeof lease);
    at = 0;
    lease.views = o->views;
    for (int k = 0; k < LAB_NODES; k++)
        lease.nodes[k] = (struct lease_node){.incarnation = 100 + (uint64_t)k,
                                             .clock_us = LAB_MS(5000000) * (k + 1),
                                             .lease_ms = o->supervised ? LEASE_MS : -1,
                                             .version = 1,
                                             .own_epoch = true};
    for (int k = 0; k < PEERS; k++)
        lease.peers[k] = (struct lease_peer){.up = true, .votes = true};
    const struct lab_options options = {.declared = true,
                                        .quorum = 2,
                                        .empty_state = o->empty_state,
                                        .no_fleet = o->no_fleet,
                                        .lease_ms = LEASE_MS,
                                        .swap = o->swap,
                                        .swap_lists = o->swap_lists,
                                        .list = {.text = LEASE_LIST, .version = o->version, .counted = o->counted}};
    lab_begin(&options);
    lab.on_send = on_send;
    lab.is_there = is_there;
}

void lease_adopted(void)
{
    lease_begin(&(struct lease_begin){.supervised = true, .version = 1, .counted = true});
    lab_run(1000);
    lease_forget();
    assert_int_equal(lease_first()->config_epoch, 1);
}

const struct sn_group *lease_first(void)
{
    return lab_shard(FIRST);
}

int lease_end(void **state)
{
    buf_free(&lease.takeover);
    return lab_end(state);
}

void lease_peers_see(bool down)
{
    for (int k = 0; k < PEERS; k++)
        lease.peers[k].says_down = down;
}

void lease_forget(void)
{
    for (int k = 0; k < LAB_NODES; k++)
        lease.nodes[k].asked = lease.nodes[k].granted = 0;
    lab_forget_logs();
}

void lease_ballot(int peer, enum sn_ballot_verb verb, uint64_t epoch, int candidate)
{
    const struct sn_group *g = lease_first();
    struct sn_ballot b = {.verb = verb, .group = g->name, .master = g->master->node->addr, .epoch = epoch};
    addr_set(&b.candidate, slice_of("127.0.0.1"), lab.nodes[candidate].port);
    if (lab.answer) {
        sn_effect_free(lab.answer);
        free(lab.answer);
        lab.answer = NULL;
    }
    struct sn_event e = {.kind = SN_EV_BALLOTS, .token = 9, .text = slice_of(peer_ids[peer]), .epoch = epoch};
    e.ballots = &b;
    e.count = 1;
    lab_step(&e);
}

const struct sn_opinion *lease_answer(void)
{
    return lab.answer && lab.answer->kind == SN_FX_ANSWER_BALLOTS ? &lab.answer->opinions[0] : NULL;
}

int64_t lease_number(const char *grant, int field)
{
    for (int k = 0; k < field; k++) {
        grant = strchr(grant, '/');
        assert_non_null(grant);
        grant++;
    }
    return strtoll(grant, NULL, field == 1 ? 16 : 10);
}

void lease_disk(bool ok)
{
    struct sn_event e = {.kind = ok ? SN_EV_PERSISTED : SN_EV_PERSIST_FAILED, .seq = lab.disk_seq};
    e.text = slice_of("no space left on device");
    lab_step(&e);
}

void lease_restart_node(int k, bool empty)
{
    lab_kill(k);
    lease.nodes[k].incarnation += 1000;
    lease.nodes[k].empty = empty;
    lease.nodes[k].lease_ms = 0;
    lab_start(k);
}
