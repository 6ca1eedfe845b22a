#include "tests/virtual/net.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum packet_kind {
    PACKET_SYN,
    PACKET_ACCEPT, /* the SYN, once the kernel has answered it, on its way to the process */
    PACKET_SYN_ACK,
    PACKET_LETTER,
    PACKET_FIN,    /* the other end closed, or never listened */
    PACKET_TIMEOUT /* the client's own patience with a SYN */
};

struct packet {
    struct happening h; /* first */
    struct net *net;
    struct conn *conn;
    enum way way;
    enum packet_kind kind;
    enum net_down why;
    bool copy;
    uint64_t number; /* in the order sent between these two ends */
    struct letter *letter;
    struct packet *next;
};

void letter_release(struct letter *l)
{
    if (l != NULL && --l->refs == 0)
        l->free(l);
}

bool net_open(const struct net *n, int a, int b)
{
    return n->cut[a][b] == 0 && n->cut[b][a] == 0;
}

static int64_t delay(struct net *n)
{
    int64_t d = n->delay_us + (int64_t)rng_below(n->rng, (uint64_t)n->delay_us + 1);
    if (n->weather.extra_us > 0 && rng_below(n->rng, 4) == 0) {
        n->delayed++;
        d += (int64_t)rng_below(n->rng, (uint64_t)n->weather.extra_us);
    }
    return d;
}

static int from_end(const struct conn *c, enum way way)
{
    return way == THERE ? c->client : c->server;
}

static int to_end(const struct conn *c, enum way way)
{
    return way == THERE ? c->server : c->client;
}

static struct packet *packet(struct net *n, struct conn *c, enum way way, enum packet_kind kind)
{
    struct packet *p = n->spare;
    if (p != NULL) {
        n->spare = p->next;
        p->next = NULL;
    } else {
        p = mem_zalloc(sizeof *p);
        heap_node_init(&p->h.at);
        n->packets = mem_grow(n->packets, n->npackets, &n->cap_packets, sizeof *n->packets);
        n->packets[n->npackets++] = p;
    }
    p->net = n;
    p->conn = c;
    p->way = way;
    p->kind = kind;
    p->why = NET_CLOSED;
    return p;
}

static void packet_free(struct packet *p)
{
    letter_release(p->letter);
    p->letter = NULL;
    p->number = 0;
    p->copy = false;
    p->next = p->net->spare;
    p->net->spare = p;
}

static void arrive(struct world *w, struct happening *h);

static void schedule(struct net *n, struct packet *p, int64_t delay_us)
{
    struct conn *c = p->conn;
    int64_t at = n->time->now_us + delay_us;
    if (at < c->ready_us[p->way])
        at = c->ready_us[p->way];
    c->ready_us[p->way] = at;
    happen(n->time, &p->h, at, arrive);
}

static void hold(struct packet *p)
{
    struct conn *c = p->conn;
    if (c->held[p->way] == NULL)
        c->held_last[p->way] = &c->held[p->way];
    p->next = NULL;
    *c->held_last[p->way] = p;
    c->held_last[p->way] = &p->next;
}

/* How much later a lost message arrives when it is sent again, or -1: the connection does not survive it. */
static int64_t lost(struct net *n, const struct packet *p)
{
    if (n->weather.loss_ppm == 0 || !rng_chance(n->rng, n->weather.loss_ppm))
        return 0;
    n->lost++;
    if (rng_below(n->rng, 6) == 0 && p->kind == PACKET_LETTER)
        return -1;
    return MS(200) << rng_below(n->rng, 4);
}

/* Some box on the way delivers the bytes of a request twice, the second time out of order. */
static void maybe_double(struct net *n, const struct packet *p)
{
    if (n->weather.copy_ppm == 0 || p->letter == NULL || !p->letter->may_double ||
        !rng_chance(n->rng, n->weather.copy_ppm))
        return;
    n->doubled++;
    struct packet *copy = packet(n, p->conn, p->way, PACKET_LETTER);
    copy->copy = true;
    copy->number = p->number;
    copy->letter = p->letter;
    copy->letter->refs++;
    happen(n->time, &copy->h, n->time->now_us + delay(n) + (int64_t)rng_below(n->rng, (uint64_t)SECONDS(3)), arrive);
}

static void transmit(struct net *n, struct packet *p)
{
    struct conn *c = p->conn;
    int from = from_end(c, p->way), to = to_end(c, p->way);
    p->number = ++n->sent[from][to];
    if (n->cut[from][to] != 0 || c->held[p->way] != NULL || c->hung) {
        hold(p);
        return;
    }
    int64_t later = lost(n, p);
    if (later < 0) {
        n->resets++;
        packet_free(p);
        net_reset(n, c);
        return;
    }
    maybe_double(n, p);
    schedule(n, p, delay(n) + later);
}

/* The end that something of that way should have reached does not know the connection: the other is told. */
static void refuse(struct net *n, struct conn *c, enum way way, enum net_down why)
{
    struct packet *fin = packet(n, c, way == THERE ? BACK : THERE, PACKET_FIN);
    fin->why = why;
    transmit(n, fin);
}

void net_send(struct net *n, struct conn *c, enum way way, struct letter *l)
{
    struct packet *p = packet(n, c, way, PACKET_LETTER);
    p->letter = l;
    transmit(n, p);
}

void net_reset(struct net *n, struct conn *c)
{
    c->hung = false;
    for (int way = THERE; way <= BACK; way++) {
        struct packet *fin = packet(n, c, (enum way)way, PACKET_FIN);
        fin->number = ++n->sent[from_end(c, (enum way)way)][to_end(c, (enum way)way)];
        schedule(n, fin, delay(n));
    }
}

void net_hang(struct conn *c)
{
    c->hung = true;
}

struct conn *net_some_conn(struct net *n)
{
    for (int tries = 0; tries < 50 && n->nconns > 0; tries++) {
        struct conn *c = n->conns[rng_below(n->rng, n->nconns)];
        if (c->client_open && c->server_open && !c->hung)
            return c;
    }
    return NULL;
}

static void send_again(struct net *n, struct conn *c, enum way way)
{
    struct packet *p = c->held[way];
    c->held[way] = NULL;
    /* The sender has been trying, more and more seldom. */
    int64_t wait = (int64_t)rng_below(n->rng, (uint64_t)SECONDS(1));
    for (struct packet *next; p != NULL; p = next) {
        next = p->next;
        p->next = NULL;
        schedule(n, p, wait + delay(n));
    }
}

static void forget_held(struct conn *c, enum way way)
{
    for (struct packet *p = c->held[way], *next; p != NULL; p = next) {
        next = p->next;
        packet_free(p);
    }
    c->held[way] = NULL;
}

void net_cut(struct net *n, int from, int to)
{
    n->cut[from][to]++;
}

void net_mend(struct net *n, int from, int to)
{
    if (--n->cut[from][to] != 0)
        return;
    for (size_t i = 0; i < n->nconns; i++) {
        struct conn *c = n->conns[i];
        for (int way = THERE; way <= BACK; way++)
            if (c->held[way] != NULL && !c->hung && from_end(c, (enum way)way) == from &&
                to_end(c, (enum way)way) == to)
                send_again(n, c, (enum way)way);
    }
}

/* The client's kernel tries for a while to reach a machine that does not answer. */
static void wait_in_vain(struct net *n, struct conn *c)
{
    struct packet *patience = packet(n, c, BACK, PACKET_TIMEOUT);
    patience->why = NET_TIMEOUT;
    happen(n->time, &patience->h, n->time->now_us + rng_range(n->rng, SECONDS(1), SECONDS(4)), arrive);
}

struct conn *net_connect(struct net *n, int client, int server, int kind, uint64_t ours)
{
    struct conn *c = mem_zalloc(sizeof *c);
    n->conns = mem_grow(n->conns, n->nconns, &n->cap_conns, sizeof *n->conns);
    n->conns[n->nconns++] = c;
    *c = (struct conn){.client = client, .server = server >= 0 ? server : client, .kind = kind, .ours = ours};
    c->client_open = true;
    bool off = server >= 0 && n->calls->off(n->world, server);
    if (server < 0 || off || !net_open(n, client, server))
        wait_in_vain(n, c);
    if (server >= 0 && !off)
        transmit(n, packet(n, c, THERE, PACKET_SYN));
    return c;
}

void net_close(struct net *n, struct conn *c, bool client)
{
    enum way way = client ? THERE : BACK;
    *(client ? &c->client_open : &c->server_open) = false;
    forget_held(c, way);
    if (c->server != c->client)
        transmit(n, packet(n, c, way, PACKET_FIN));
}

static void note_order(struct net *n, const struct packet *p)
{
    uint64_t *last = &n->delivered[from_end(p->conn, p->way)][to_end(p->conn, p->way)];
    if (p->number == 0)
        return;
    if (p->number < *last)
        n->reordered++;
    else
        *last = p->number;
    if (p->kind == PACKET_LETTER && p->way == THERE && !p->copy && !p->conn->client_open)
        n->late++;
}

/* What the kernel of the server does with a SYN, even for a process that is stopped. */
static bool kernel_accepts(struct net *n, struct packet *p)
{
    struct conn *c = p->conn;
    if (!n->calls->runs(n->world, c->server)) {
        if (!n->calls->off(n->world, c->server))
            refuse(n, c, THERE, NET_REFUSED);
        return false;
    }
    c->server_open = true;
    transmit(n, packet(n, c, BACK, PACKET_SYN_ACK));
    p->kind = PACKET_ACCEPT;
    return true;
}

static void at_server(struct net *n, struct packet *p)
{
    struct conn *c = p->conn;
    bool off = n->calls->off(n->world, c->server);
    if (!c->server_open) {
        /* It died with the connection, or has closed it: the sender learns of it. */
        if (p->kind == PACKET_LETTER && c->client_open && !off && !p->copy)
            refuse(n, c, THERE, NET_CLOSED);
        c->unanswered = c->unanswered || off;
        return;
    }
    if (p->kind == PACKET_ACCEPT) {
        n->calls->accepted(n->world, c);
    } else if (p->kind == PACKET_LETTER) {
        if (c->theirs != 0)
            n->calls->got(n->world, c, false, p->letter, p->copy);
    } else {
        c->server_open = false;
        if (c->theirs != 0) /* else closed before the process has accepted it */
            n->calls->down(n->world, c, false, p->why);
    }
}

static void at_client(struct net *n, struct packet *p)
{
    struct conn *c = p->conn;
    bool off = n->calls->off(n->world, c->client);
    if (!c->client_open) {
        if (p->kind == PACKET_LETTER && c->server_open && !off)
            refuse(n, c, BACK, NET_CLOSED);
        c->unanswered = c->unanswered || off;
        return;
    }
    if (p->kind == PACKET_SYN_ACK) {
        c->connected = true;
        n->calls->up(n->world, c);
    } else if (p->kind == PACKET_LETTER) {
        n->calls->got(n->world, c, true, p->letter, p->copy);
    } else if (p->kind != PACKET_TIMEOUT || !c->connected) {
        c->client_open = false;
        n->calls->down(n->world, c, true, p->why);
    }
}

static void arrive(struct world *w, struct happening *h)
{
    struct packet *p = (struct packet *)h;
    struct net *n = p->net;
    struct conn *c = p->conn;
    if (c->hung && p->kind != PACKET_TIMEOUT) {
        hold(p);
        return;
    }
    if (p->kind == PACKET_SYN && !kernel_accepts(n, p)) {
        packet_free(p);
        return;
    }
    struct inbox *box = n->calls->inbox(w, to_end(c, p->way));
    if (box != NULL) {
        inbox_put(box, &p->h);
        return;
    }
    note_order(n, p);
    if (p->way == THERE)
        at_server(n, p);
    else
        at_client(n, p);
    packet_free(p);
}

void net_died(struct net *n, int end, bool host)
{
    for (size_t i = 0; i < n->nconns; i++) {
        struct conn *c = n->conns[i];
        if (c->server == end && c->server_open) {
            c->server_open = false;
            if (!host && c->client != c->server)
                transmit(n, packet(n, c, BACK, PACKET_FIN));
        }
        if (c->client == end && c->client_open) {
            c->client_open = false;
            if (!host && c->client != c->server)
                transmit(n, packet(n, c, THERE, PACKET_FIN));
        }
        if (host && c->client == end)
            forget_held(c, THERE);
        if (host && c->server == end) {
            forget_held(c, BACK);
            if (c->client_open && !c->connected) /* its answer to the SYN is lost with it */
                wait_in_vain(n, c);
        }
    }
}

void net_back(struct net *n, int end)
{
    for (size_t i = 0; i < n->nconns; i++) {
        struct conn *c = n->conns[i];
        if (!c->unanswered || (c->client != end && c->server != end))
            continue;
        c->unanswered = false;
        refuse(n, c, c->server == end ? THERE : BACK, NET_CLOSED);
    }
}

void net_free(struct net *n)
{
    for (size_t i = 0; i < n->npackets; i++) {
        letter_release(n->packets[i]->letter);
        free(n->packets[i]);
    }
    for (size_t i = 0; i < n->nconns; i++)
        free(n->conns[i]);
    free(n->packets);
    free(n->conns);
}
