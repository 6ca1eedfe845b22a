#include "tests/unit/core/fleet_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"

#define QUEUE_MAX 4096

struct lab lab;

/* What is on its way to a core, in the order in which it was sent. */
static struct lab_letter queue[QUEUE_MAX];
static size_t head, tail;

static const char *const ids[LAB_NODES] = {
    "4b079c184c2cb382ecbc55624b3cddfe3db9bdae", "e936e9bfd524190f594653fadeaeae9f2ea82da7",
    "144649a3e0bad1ac5387148f7b12cfbf38edbf5e", "2310d2c1122cf79d36b9acf730d1222b0951a3bb",
    "23a4c6f035dd665a52c8c70686cc1d1e244e5c09", "66ac9f9ca9f872619843ba7c920241bb5d1048b1",
    "77bc9f9ca9f872619843ba7c920241bb5d1048b1", "88cc9f9ca9f872619843ba7c920241bb5d1048b1",
};

void lab_model(void)
{
    static const int slots[3][2] = {{0, 5460}, {5461, 10922}, {10923, 16383}};
    for (int k = 0; k < LAB_NODES; k++) {
        bool there = k < 6;
        lab.nodes[k] = (struct lab_node){.id = ids[k],
                                         .port = 7001 + k,
                                         .alive = there,
                                         .listed = there,
                                         .first = -1,
                                         .master = there && k >= 3 ? k - 3 : -1,
                                         .reads_as = k,
                                         .offset = 100 + k};
        if (k < 3) {
            lab.nodes[k].first = slots[k][0];
            lab.nodes[k].last = slots[k][1];
            lab.nodes[k].epoch = (uint64_t)k + 1;
        }
    }
    lab.n = LAB_NODES;
}

struct lab_letter *lab_post(struct sn_core *to, const struct sn_event *e, const char *text)
{
    if (head == tail)
        head = tail = 0;
    if (tail == QUEUE_MAX && head > 0) {
        memmove(queue, queue + head, (tail - head) * sizeof *queue);
        tail -= head;
        head = 0;
    }
    assert_true(tail < QUEUE_MAX);
    struct lab_letter *l = &queue[tail++];
    *l = (struct lab_letter){.to = to, .e = *e, .text = text ? mem_strdup(text) : NULL};
    l->at_us = lab.now_us + LAB_MS(1);
    if (text)
        l->e.text = slice_of(l->text);
    return l;
}

void lab_letter_free(struct lab_letter *l)
{
    free(l->text);
    free(l->opinions);
    if (l->asked)
        sn_effect_free(l->asked);
    free(l->asked);
}

void lab_push(const struct sn_event *e, const char *text)
{
    lab_post(lab.core, e, text);
}

size_t lab_self(void)
{
    for (size_t k = 0; k < lab.ncores; k++)
        if (lab.cores[k] == lab.core)
            return k;
    return 0;
}

static int at_port(int port)
{
    for (int k = 0; k < (int)lab.n; k++)
        if (lab.nodes[k].port == port)
            return lab.nodes[k].reads_as;
    return -1;
}

static uint64_t epoch_of(const struct lab_node *n)
{
    return n->master >= 0 ? lab.nodes[n->master].epoch : n->epoch;
}

static void put_line(struct buf *b, int k, bool self)
{
    const struct lab_node *n = &lab.nodes[k];
    buf_printf(b, "%s 127.0.0.1:%d@%d %s%s%s%s %s 0 1795342164000 %llu %s", n->id, n->port, n->port + 10000,
               self ? "myself," : "", n->master >= 0 ? "slave" : "master", n->failed && !self ? ",fail" : "",
               n->no_failover ? ",nofailover" : "", n->master >= 0 ? lab.nodes[n->master].id : "-",
               (unsigned long long)epoch_of(n), self || n->alive ? "connected" : "disconnected");
    if (n->first >= 0)
        buf_printf(b, " %d-%d", n->first, n->last);
    buf_putc(b, '\n');
}

void lab_put_nodes(struct buf *b, int teller)
{
    const struct lab_node *t = &lab.nodes[teller];
    if (t->says) {
        buf_puts(b, t->says);
        return;
    }
    for (int k = 0; k < (int)lab.n; k++)
        if (k == teller || (!t->alone && lab.nodes[k].listed))
            put_line(b, k, k == teller);
}

static void put_info(struct buf *b, int k)
{
    const struct lab_node *n = &lab.nodes[k];
    static const char *const line = "1111111111111111111111111111111111111111";
    buf_printf(b, "run_id:%.8s00000000000000000000000000000000\r\nrole:%s\r\n", n->id,
               n->master >= 0 ? "slave" : "master");
    if (n->master >= 0)
        buf_printf(b,
                   "master_host:127.0.0.1\r\nmaster_port:%d\r\nmaster_link_status:%s\r\nslave_repl_offset:%ld\r\n"
                   "slave_priority:100\r\n",
                   lab.nodes[n->master].port, lab.nodes[n->master].alive ? "up" : "down", n->offset);
    buf_printf(b, "master_replid:%s\r\nmaster_repl_offset:%ld\r\nmaster_failover_state:no-failover\r\n# Keyspace\r\n",
               line, n->offset);
}

static uint64_t greatest_epoch(void)
{
    uint64_t epoch = 0;
    for (size_t k = 0; k < lab.n; k++)
        epoch = lab.nodes[k].epoch > epoch ? lab.nodes[k].epoch : epoch;
    return epoch;
}

/* Takes the slots of its master, at an epoch of its own. */
static bool take_over(int k)
{
    struct lab_node *n = &lab.nodes[k];
    if (n->refuses || n->master < 0)
        return false;
    uint64_t epoch = n->takes_epoch ? n->takes_epoch : greatest_epoch() + 1;
    int from = n->master;
    n->first = lab.nodes[from].first;
    n->last = lab.nodes[from].last;
    n->epoch = epoch;
    n->master = -1;
    lab.nodes[from].first = -1;
    for (int j = 0; j < (int)lab.n; j++)
        if (lab.nodes[j].master == from && lab.nodes[j].alive && !lab.nodes[j].stubborn)
            lab.nodes[j].master = k;
    if (lab.nodes[from].alive)
        lab.nodes[from].master = k;
    return true;
}

static const char *name_of(enum sn_command c)
{
    switch (c) {
    case SN_CMD_TAKEOVER: return "TAKEOVER";
    case SN_CMD_CLUSTER_FAILOVER: return "CLUSTER-FAILOVER";
    case SN_CMD_REPLICATE: return "REPLICATE";
    case SN_CMD_BUMP_EPOCH: return "BUMPEPOCH";
    case SN_CMD_NO_FAILOVER: return "NO-FAILOVER";
    case SN_CMD_NODES: return "NODES";
    case SN_CMD_HELLO: return "HELLO";
    case SN_CMD_REPLICAOF: return "REPLICAOF";
    case SN_CMD_PAUSE: return "PAUSE";
    case SN_CMD_UNPAUSE: return "UNPAUSE";
    default: return NULL;
    }
}

static void ack(sn_link link, enum sn_command c, bool ok)
{
    struct sn_event e = {.kind = SN_EV_ACK, .link = link, .command = c, .ok = ok};
    lab_push(&e, ok ? "OK" : "ERR You should not do that");
}

static void on_send(struct sn_effect *fx)
{
    const struct sn_conn *conn = sn_conn_of(lab.core, fx->link);
    if (lab.on_send && lab.on_send(fx))
        return;
    if (!conn)
        return;
    if (conn->of == SN_CONN_PEER) {
        lab_peer_send(fx, conn->owner);
        return;
    }
    const struct sn_node *node = conn->owner;
    int k = at_port(node->addr.port);
    const char *name = name_of(fx->command);
    if (name)
        buf_printf(&lab.sent, "%s %d %s%s\n", name, node->addr.port, fx->text ? fx->text : "", fx->flag ? "yes" : "");
    if (k < 0 || !lab.nodes[k].alive || lab.cut[lab_self()][k])
        return;
    struct sn_event e = {.link = fx->link};
    struct buf text = {0};
    switch (fx->command) {
    case SN_CMD_PING:
        e.kind = SN_EV_PONG;
        lab_push(&e, NULL);
        break;
    case SN_CMD_INFO:
        e.kind = SN_EV_INFO;
        put_info(&text, k);
        lab_push(&e, buf_str(&text));
        break;
    case SN_CMD_NODES:
        e.kind = SN_EV_NODES;
        lab_put_nodes(&text, k);
        lab_push(&e, buf_str(&text));
        break;
    case SN_CMD_TAKEOVER:
    case SN_CMD_CLUSTER_FAILOVER: ack(fx->link, fx->command, take_over(k)); break;
    case SN_CMD_NO_FAILOVER:
        lab.nodes[k].no_failover = fx->flag;
        ack(fx->link, fx->command, true);
        break;
    case SN_CMD_BUMP_EPOCH: /* who has the greatest keeps it */
        lab.nodes[k].epoch = greatest_epoch() > lab.nodes[k].epoch ? greatest_epoch() + 1 : lab.nodes[k].epoch;
        ack(fx->link, fx->command, true);
        break;
    case SN_CMD_REPLICATE:
        for (int j = 0; j < (int)lab.n; j++)
            if (fx->text && strcmp(lab.nodes[j].id, fx->text) == 0)
                lab.nodes[k].master = j;
        ack(fx->link, fx->command, true);
        break;
    default: ack(fx->link, fx->command, true); break;
    }
    buf_free(&text);
}

static void on_connect(const struct sn_effect *fx)
{
    struct sn_event e = {.kind = SN_EV_LINK_UP, .link = fx->link, .ip = "127.0.0.1", .local_ip = "127.0.0.1"};
    int k = at_port(fx->addr.port);
    bool there = lab.is_there && lab.is_there(&fx->addr);
    if (lab_peer_connect(fx))
        return;
    if (k >= 0 && lab.cut[lab_self()][k]) {
        e.kind = SN_EV_LINK_DOWN;
        e.why = SN_WHY_TIMEOUT;
    } else if (!there && (k < 0 || !lab.nodes[k].alive)) {
        e.kind = SN_EV_LINK_DOWN;
        e.why = SN_WHY_REFUSED;
    }
    lab_push(&e, NULL);
}

static const char *record_name(enum sn_record_kind k)
{
    static const char *const names[] = {
        [SN_REC_META] = "META",   [SN_REC_GROUP] = "GROUP", [SN_REC_MEMBERS] = "MEMBERS", [SN_REC_OPTION] = "OPTION",
        [SN_REC_FLEET] = "FLEET", [SN_REC_SHARD] = "SHARD", [SN_REC_RENAME] = "RENAME",   [SN_REC_FILE] = "FILE",
        [SN_REC_LEASE] = "LEASE", [SN_REC_LIST] = "LIST",   [SN_REC_SWAP] = "SWAP"};
    return names[k];
}

static void on_persist(const struct sn_effect *fx)
{
    buf_clear(&lab.records);
    for (size_t k = 0; k < fx->count; k++) {
        const struct sn_record *r = &fx->records[k];
        buf_printf(&lab.records, "%s %s %s %s %s", record_name(r->kind), r->group ? r->group : "-",
                   r->fleet ? r->fleet : "-", r->value ? r->value : "-", r->monitored ? "monitored" : "gone");
        if (r->kind == SN_REC_LEASE)
            buf_printf(&lab.records, " %.8s %lld %s", r->grantee, (long long)r->lease_max_us,
                       r->lease_settled ? "settled" : "unsettled");
        if (r->kind == SN_REC_LIST)
            buf_printf(&lab.records, " %llu %s", (unsigned long long)r->epoch, r->joined ? "counted" : "uncounted");
        for (size_t j = 0; j < r->nnodes; j++)
            buf_printf(&lab.records, " %.8s:%d", r->nodes[j].id, r->nodes[j].addr.port);
        buf_putc(&lab.records, '\n');
    }
    lab.disk_seq = fx->seq;
    struct sn_event e = {.kind = lab.disk_fails ? SN_EV_PERSIST_FAILED : SN_EV_PERSISTED, .seq = fx->seq};
    if (!lab.disk_holds)
        lab_push(&e, lab.disk_fails ? "no space left on device" : NULL);
}

static void take(struct sn_effect *fx)
{
    switch (fx->kind) {
    case SN_FX_CONNECT: on_connect(fx); break;
    case SN_FX_SEND: on_send(fx); break;
    case SN_FX_PERSIST: on_persist(fx); break;
    case SN_FX_PUBLISH: buf_printf(&lab.events, "%s %s\n", fx->name, fx->text); break;
    case SN_FX_NOTE: buf_printf(&lab.notes, "%s %s\n", sn_note_kind_name(fx->note->kind), fx->group); break;
    case SN_FX_ANSWER:
    case SN_FX_ANSWER_SWAP:
    case SN_FX_ANSWER_BALLOTS:
        if (lab.ncores) {
            lab_peer_answer(fx);
            break;
        }
        if (lab.answer)
            sn_effect_free(lab.answer);
        free(lab.answer);
        lab.answer = mem_alloc(sizeof *lab.answer);
        *lab.answer = *fx;
        memset(fx, 0, sizeof *fx);
        break;
    default: break;
    }
}

void lab_step(struct sn_event *e)
{
    e->now_us = lab.now_us;
    sn_step(lab.core, e, &lab.fx);
    struct sn_effects fx = lab.fx;
    memset(&lab.fx, 0, sizeof lab.fx);
    for (size_t k = 0; k < fx.n; k++)
        take(&fx.v[k]);
    sn_effects_free(&fx);
}

static void deliver(void)
{
    struct lab_letter l = queue[head++];
    struct sn_info info;
    sn_info_init(&info);
    if (l.e.kind == SN_EV_INFO) {
        assert_true(sn_info_parse(&info, l.e.text));
        l.e.info = &info;
    }
    lab.core = l.to;
    lab_step(&l.e);
    sn_info_free(&info);
    lab_letter_free(&l);
}

static struct sn_core *earliest(int64_t *at)
{
    struct sn_core *c = lab.core;
    *at = sn_deadline(c);
    for (size_t k = 0; k < lab.ncores; k++)
        if (sn_deadline(lab.cores[k]) < *at) {
            c = lab.cores[k];
            *at = sn_deadline(c);
        }
    return c;
}

void lab_run(int64_t ms)
{
    int64_t end = lab.now_us + LAB_MS(ms);
    for (;;) {
        int64_t at;
        struct sn_core *c = earliest(&at);
        bool letter = head < tail && queue[head].at_us <= at;
        if (letter)
            at = queue[head].at_us;
        if (at > end)
            break;
        if (at > lab.now_us)
            lab.now_us = at;
        if (letter) {
            deliver();
        } else {
            struct sn_event tick = {.kind = SN_EV_TICK};
            lab.core = c;
            lab_step(&tick);
        }
    }
    lab.now_us = end;
}

static void break_links(int port)
{
    const struct sn_node *n = sn_node_find(lab.core, "127.0.0.1", port);
    sn_link links[2] = {n ? n->cmd.link : 0, n ? n->sub.link : 0};
    for (int k = 0; k < 2; k++) {
        struct sn_event e = {.kind = SN_EV_LINK_DOWN, .link = links[k], .why = SN_WHY_CLOSED};
        if (links[k])
            lab_step(&e);
    }
}

void lab_notice(size_t core, int node)
{
    lab.core = lab.cores[core];
    break_links(lab.nodes[node].port);
}

void lab_kill(int node)
{
    lab.nodes[node].alive = false;
    for (size_t k = 0; k < lab.ncores; k++) {
        lab.core = lab.cores[k];
        break_links(lab.nodes[node].port);
    }
    if (!lab.ncores)
        break_links(lab.nodes[node].port);
}

void lab_start(int node)
{
    lab.nodes[node].alive = true;
}

size_t lab_count(const struct buf *log, const char *part)
{
    struct slice rest = buf_slice(log);
    size_t n = 0;
    while (rest.n) {
        struct slice line = slice_cut(&rest, '\n');
        char *text = slice_dup(line);
        n += strstr(text, part) != NULL;
        free(text);
    }
    return n;
}

void lab_forget_logs(void)
{
    buf_clear(&lab.events);
    buf_clear(&lab.sent);
    buf_clear(&lab.notes);
    buf_clear(&lab.records);
}

const struct sn_group *lab_shard(const char *digits)
{
    char name[64];
    snprintf(name, sizeof name, "orders/%s", digits);
    return sn_group_find(lab.core, slice_of(name));
}

int lab_master(const struct sn_group *g)
{
    return g ? g->master->node->addr.port : 0;
}

bool lab_has(const struct sn_group *g, int port)
{
    for (size_t k = 0; g && k < g->ninsts; k++)
        if (g->insts[k]->node->addr.port == port)
            return true;
    return false;
}

bool lab_is_down(const struct sn_group *g, int port)
{
    for (size_t k = 0; g && k < g->ninsts; k++)
        if (g->insts[k]->node->addr.port == port)
            return g->insts[k]->s_down;
    return true;
}

static const char *const core_ids[LAB_CORES] = {LAB_ID, "1123456789abcdef0123456789abcdef01234567",
                                                "2123456789abcdef0123456789abcdef01234567"};

static struct sn_core *new_core(const struct lab_options *o, size_t self)
{
    struct addr others[LAB_CORES];
    char nothing[] = "", ip[] = "10.0.0.7";
    struct sn_core_options c = {.port = 26379, .joined = !o->empty_state, .id_drawn = o->empty_state};
    for (size_t k = 0; k < LAB_CORES; k++) {
        char host[16];
        snprintf(host, sizeof host, "10.0.0.%zu", 7 + k);
        if (k != self)
            addr_set(&others[c.ndeclared++], slice_of(host), 26379);
    }
    ip[7] = (char)('7' + self);
    c.seed = 7 + self;
    c.current_epoch = o->epoch;
    c.globals = (struct sn_globals){
        .announce_ip = lab.ncores ? ip : nothing, .user = nothing, .pass = nothing, .loglevel = nothing};
    sn_params_default(&c.params);
    memcpy(c.id, core_ids[self], sizeof c.id);
    c.declared = others;
    if (!o->declared)
        c.ndeclared = 0;
    c.list = o->list;
    return sn_core_new(&c, lab.now_us);
}

struct sn_core *lab_new_core(const struct lab_options *o)
{
    return new_core(o, 0);
}

static void add_fleet(int64_t quorum, const struct lab_options *o)
{
    struct sn_settings set;
    struct addr seed;
    sn_settings_init(&set);
    set.quorum = quorum;
    set.down_after_ms = 500;
    addr_set(&seed, slice_of("127.0.0.1"), 7001);
    struct sn_core_fleet f = {.name = "orders", .settings = &set, .lease_ms = o->lease_ms, .seeds = &seed, .nseeds = 1};
    f.swap = o->swap;
    f.swap_lists = o->swap_lists;
    assert_true(sn_core_add_fleet(lab.core, &f, lab.now_us, &lab.fx));
    sn_settings_free(&set);
    struct sn_event tick = {.kind = SN_EV_TICK};
    lab_step(&tick);
}

void lab_begin(const struct lab_options *o)
{
    memset(&lab, 0, sizeof lab);
    head = tail = 0;
    lab_model();
    lab.now_us = LAB_MS(1000);
    lab.core = lab_new_core(o);
    if (!o->no_fleet)
        add_fleet(o->quorum ? o->quorum : 1, o);
}

uint64_t lab_hash(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static runid drawn[LAB_NODES_MAX];

void lab_begin_three(size_t shards)
{
    assert_true(2 * shards <= LAB_NODES_MAX);
    memset(&lab, 0, sizeof lab);
    head = tail = 0;
    lab.now_us = LAB_MS(1000);
    lab.n = 2 * shards;
    for (size_t k = 0; k < lab.n; k++) {
        bool master = k < shards;
        size_t s = master ? k : k - shards;
        snprintf(drawn[k], sizeof drawn[k], "%016llx%024zu", (unsigned long long)lab_hash(k + 1), k);
        lab.nodes[k] = (struct lab_node){.id = drawn[k],
                                         .port = 7001 + (int)k,
                                         .alive = true,
                                         .listed = true,
                                         .first = -1,
                                         .master = master ? -1 : (int)s,
                                         .reads_as = (int)k};
        if (!master)
            continue;
        lab.nodes[k].first = (int)(s * SN_SLOTS / shards);
        lab.nodes[k].last = (int)((s + 1) * SN_SLOTS / shards) - 1;
        lab.nodes[k].epoch = s + 1;
    }
    lab.ncores = LAB_CORES;
    for (size_t k = 0; k < LAB_CORES; k++)
        lab.cores[k] = new_core(&(struct lab_options){.declared = true}, k);
    for (size_t k = 0; k < LAB_CORES; k++) {
        lab.core = lab.cores[k];
        add_fleet(2, &(struct lab_options){.lease_ms = 0});
    }
}

int lab_end(void **state)
{
    (void)state;
    while (head < tail)
        lab_letter_free(&queue[head++]);
    lab_peers_end();
    sn_effects_free(&lab.fx);
    for (size_t k = 0; k < lab.ncores; k++)
        sn_core_free(lab.cores[k]);
    if (!lab.ncores)
        sn_core_free(lab.core);
    if (lab.answer)
        sn_effect_free(lab.answer);
    free(lab.answer);
    buf_free(&lab.events);
    buf_free(&lab.sent);
    buf_free(&lab.records);
    buf_free(&lab.notes);
    return 0;
}
