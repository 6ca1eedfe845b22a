/* The network as TCP shows it: bytes of one connection arrive in order or not at all; what is lost is sent again,
 * later; across connections nothing is in order, so the last bytes of an old one may come after the first of its
 * successor. */
#include "tests/bus/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define BUS_PORT_OFFSET 10000
#define LOCAL_LINK(link) ((link) & ~CL_INCOMING)

bool net_open(const struct world *w, int a, int b)
{
    return w->cut[a][b] == 0 && w->cut[b][a] == 0;
}

static int64_t delay(struct world *w)
{
    int64_t base = w->plan.delay_us;
    int64_t d = base + (int64_t)rng_below(&w->rng, (uint64_t)base + 1);
    if (w->weather.extra_us > 0 && rng_below(&w->rng, 4) == 0) {
        w->counts[COUNT_DELAY]++;
        d += (int64_t)rng_below(&w->rng, (uint64_t)w->weather.extra_us);
    }
    return d;
}

static int from_end(const struct conn *l, enum way way)
{
    return way == THERE ? l->client : l->server;
}

static int to_end(const struct conn *l, enum way way)
{
    return way == THERE ? l->server : l->client;
}

static struct packet *packet(struct world *w, struct conn *l, enum way way, enum packet_kind kind)
{
    struct packet *p = w->spare;
    if (p != NULL) {
        w->spare = p->next;
        p->next = NULL;
    } else {
        p = mem_zalloc(sizeof *p);
        heap_node_init(&p->h.at);
        w->packets = mem_grow(w->packets, w->npackets, &w->cap_packets, sizeof *w->packets);
        w->packets[w->npackets++] = p;
    }
    p->conn = l;
    p->way = way;
    p->kind = kind;
    return p;
}

static void packet_free(struct world *w, struct packet *p)
{
    cl_bytes_release(p->bytes);
    p->bytes = NULL;
    p->number = 0;
    p->next = w->spare;
    w->spare = p;
}

static void arrive(struct world *w, struct happening *h);

static void schedule(struct world *w, struct packet *p, int64_t delay_us)
{
    struct conn *l = p->conn;
    int64_t at = w->time.now_us + delay_us;
    if (at < l->ready_us[p->way])
        at = l->ready_us[p->way];
    l->ready_us[p->way] = at;
    happen(&w->time, &p->h, at, arrive);
}

static void hold(struct packet *p)
{
    struct conn *l = p->conn;
    if (l->held[p->way] == NULL)
        l->held_last[p->way] = &l->held[p->way];
    p->next = NULL;
    *l->held_last[p->way] = p;
    l->held_last[p->way] = &p->next;
}

/* How much later a lost message arrives when it is sent again, or -1: the connection does not survive it. */
static int64_t lost(struct world *w, const struct packet *p)
{
    if (w->weather.loss_ppm == 0 || !rng_chance(&w->rng, w->weather.loss_ppm))
        return 0;
    w->counts[COUNT_LOSS]++;
    if (rng_below(&w->rng, 6) == 0 && p->kind == PACKET_MESSAGE)
        return -1;
    return MS(200) << rng_below(&w->rng, 4);
}

static void refuse(struct world *w, struct conn *l, enum way way);

static void send(struct world *w, struct packet *p)
{
    struct conn *l = p->conn;
    int from = from_end(l, p->way), to = to_end(l, p->way);
    p->number = ++w->sent[from][to];
    if (w->cut[from][to] != 0 || l->held[p->way] != NULL || l->hung) {
        hold(p);
        return;
    }
    int64_t later = lost(w, p);
    if (later < 0) {
        w->counts[COUNT_RESET]++;
        packet_free(w, p);
        net_reset(w, l);
        return;
    }
    schedule(w, p, delay(w) + later);
}

/* The end that something of that way should have reached does not know the connection: the other is told. */
static void refuse(struct world *w, struct conn *l, enum way way)
{
    send(w, packet(w, l, way == THERE ? BACK : THERE, PACKET_FIN));
}

void net_reset(struct world *w, struct conn *l)
{
    l->hung = false;
    for (int way = THERE; way <= BACK; way++) {
        struct packet *fin = packet(w, l, (enum way)way, PACKET_FIN);
        fin->number = ++w->sent[from_end(l, (enum way)way)][to_end(l, (enum way)way)];
        schedule(w, fin, delay(w));
    }
}

static void send_again(struct world *w, struct conn *l, enum way way)
{
    struct packet *p = l->held[way];
    l->held[way] = NULL;
    /* The sender has been trying, more and more seldom. */
    int64_t wait = (int64_t)rng_below(&w->rng, (uint64_t)SECONDS(1));
    for (struct packet *next; p != NULL; p = next) {
        next = p->next;
        p->next = NULL;
        schedule(w, p, wait + delay(w));
    }
}

static void forget_held(struct world *w, struct conn *l, enum way way)
{
    for (struct packet *p = l->held[way], *next; p != NULL; p = next) {
        next = p->next;
        packet_free(w, p);
    }
    l->held[way] = NULL;
}

void net_hang(struct world *w, struct conn *l)
{
    (void)w;
    l->hung = true;
}

struct conn *net_some_conn(struct world *w)
{
    for (int tries = 0; tries < 50 && w->nconns > 0; tries++) {
        struct conn *l = w->conns[rng_below(&w->rng, w->nconns)];
        if (l->client_open && l->server_open && !l->hung)
            return l;
    }
    return NULL;
}

void net_cut(struct world *w, int from, int to)
{
    w->cut[from][to]++;
}

void net_mend(struct world *w, int from, int to)
{
    if (--w->cut[from][to] != 0)
        return;
    for (size_t i = 0; i < w->nconns; i++) {
        struct conn *l = w->conns[i];
        for (int way = THERE; way <= BACK; way++)
            if (l->held[way] != NULL && !l->hung && from_end(l, (enum way)way) == from &&
                to_end(l, (enum way)way) == to)
                send_again(w, l, (enum way)way);
    }
}

/* The client's kernel tries for a while to reach a machine that does not answer. */
static void wait_in_vain(struct world *w, struct conn *l)
{
    struct packet *patience = packet(w, l, BACK, PACKET_TIMEOUT);
    happen(&w->time, &patience->h, w->time.now_us + rng_range(&w->rng, SECONDS(2), SECONDS(10)), arrive);
}

/* The address ends in the node's number, and has in its second part how often it has changed. */
static struct node *find_server(struct world *w, const char *ip, uint16_t port)
{
    int moves, high, low;
    if (port != 7000 + BUS_PORT_OFFSET || sscanf(ip, "10.%d.%d.%d", &moves, &high, &low) != 3)
        return NULL;
    int i = high * 256 + low - 1;
    if (i < 0 || i >= w->plan.nodes || strcmp(w->nodes[i].ip, ip) != 0)
        return NULL;
    return &w->nodes[i];
}

void net_connect(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct conn *l = mem_zalloc(sizeof *l);
    w->conns = mem_grow(w->conns, w->nconns, &w->cap_conns, sizeof *w->conns);
    w->conns[w->nconns++] = l;
    l->ours = e->link;
    l->client = l->server = n->index;
    l->client_open = true;
    n->connects++;
    if ((e->link & CL_INCOMING) != 0 || e->link <= n->last_out) {
        violated(w, "shell", "%s names a new link %llu, after %llu", node_name(n->index), (unsigned long long)e->link,
                 (unsigned long long)n->last_out);
        return;
    }
    n->last_out = e->link;
    idmap_put(&n->outs, e->link, l);
    const struct node *server = find_server(w, e->ip, e->port);
    if (server != NULL)
        l->server = server->index;
    if (server == NULL || server->host_down || !net_open(w, n->index, server->index))
        wait_in_vain(w, l);
    if (server != NULL && !server->host_down)
        send(w, packet(w, l, THERE, PACKET_SYN));
}

static void close_client(struct world *w, struct conn *l)
{
    idmap_del(&w->nodes[l->client].outs, l->ours);
    l->client_open = false;
}

static void close_server(struct world *w, struct conn *l)
{
    if (l->theirs != 0)
        idmap_del(&w->nodes[l->server].ins, LOCAL_LINK(l->theirs));
    l->server_open = false;
}

static struct conn *conn_of(const struct node *n, cl_link link)
{
    return (link & CL_INCOMING) != 0 ? idmap_get(&n->ins, LOCAL_LINK(link)) : idmap_get(&n->outs, link);
}

void net_disconnect(struct world *w, struct node *n, cl_link link)
{
    struct conn *l = conn_of(n, link);
    if (l == NULL)
        return;
    enum way way = (link & CL_INCOMING) != 0 ? BACK : THERE;
    if (way == THERE)
        close_client(w, l);
    else
        close_server(w, l);
    forget_held(w, l, way);
    if (l->server != l->client)
        send(w, packet(w, l, way, PACKET_FIN));
}

void net_message(struct world *w, struct node *n, struct cl_effect *e)
{
    struct conn *l = conn_of(n, e->link);
    bool incoming = (e->link & CL_INCOMING) != 0;
    if (l == NULL)
        return;
    if (!incoming && !l->connected) {
        violated(w, "shell", "%s sends on a link that is not up yet", node_name(n->index));
        return;
    }
    struct packet *p = packet(w, l, incoming ? BACK : THERE, PACKET_MESSAGE);
    p->bytes = e->bytes;
    e->bytes = NULL;
    send(w, p);
}

static void note_order(struct world *w, struct packet *p)
{
    uint64_t *last = &w->delivered[from_end(p->conn, p->way)][to_end(p->conn, p->way)];
    if (p->number == 0)
        return;
    if (p->number < *last)
        w->counts[COUNT_REORDERED]++;
    else
        *last = p->number;
}

/* What the kernel of the server does with a SYN, even for a process that is stopped. */
static bool kernel_accepts(struct world *w, struct packet *p)
{
    struct conn *l = p->conn;
    if (w->nodes[l->server].core == NULL) {
        if (!w->nodes[l->server].host_down)
            refuse(w, l, THERE);
        return false;
    }
    l->server_open = true;
    send(w, packet(w, l, BACK, PACKET_SYN_ACK));
    p->kind = PACKET_ACCEPT;
    return true;
}

static void at_server(struct world *w, struct packet *p)
{
    struct conn *l = p->conn;
    struct node *n = &w->nodes[l->server];
    struct cl_event e = {.link = l->theirs, .local_ip = n->ip, .ip = w->nodes[l->client].ip};
    if (!l->server_open) {
        /* It died with the connection, or has closed it: the sender learns of it. */
        if (p->kind == PACKET_MESSAGE && l->client_open && !n->host_down)
            refuse(w, l, THERE);
        l->unanswered = l->unanswered || n->host_down;
        return;
    }
    switch (p->kind) {
    case PACKET_ACCEPT:
        l->theirs = ++n->last_in | CL_INCOMING;
        idmap_put(&n->ins, LOCAL_LINK(l->theirs), l);
        e.kind = CL_EV_ACCEPTED;
        e.link = l->theirs;
        break;
    case PACKET_MESSAGE:
        e.kind = CL_EV_MESSAGE;
        e.bytes = cl_bytes_slice(p->bytes);
        check_heard(w, n, l, e.bytes);
        break;
    default:
        close_server(w, l);
        if (l->theirs == 0) /* closed before the process has accepted it */
            return;
        e.kind = CL_EV_LINK_DOWN;
    }
    node_step(w, n, &e);
}

static void at_client(struct world *w, struct packet *p)
{
    struct conn *l = p->conn;
    struct node *n = &w->nodes[l->client];
    struct cl_event e = {.link = l->ours, .local_ip = n->ip, .ip = w->nodes[l->server].ip};
    if (!l->client_open) {
        if (p->kind == PACKET_MESSAGE && l->server_open && !n->host_down)
            refuse(w, l, BACK);
        l->unanswered = l->unanswered || n->host_down;
        return;
    }
    switch (p->kind) {
    case PACKET_SYN_ACK:
        l->connected = true;
        e.kind = CL_EV_LINK_UP;
        break;
    case PACKET_MESSAGE:
        e.kind = CL_EV_MESSAGE;
        e.bytes = cl_bytes_slice(p->bytes);
        check_heard(w, n, l, e.bytes);
        break;
    case PACKET_TIMEOUT:
        if (l->connected)
            return;
        close_client(w, l);
        e.kind = CL_EV_LINK_DOWN;
        break;
    default: close_client(w, l); e.kind = CL_EV_LINK_DOWN;
    }
    node_step(w, n, &e);
}

static void arrive(struct world *w, struct happening *h)
{
    struct packet *p = (struct packet *)h;
    struct conn *l = p->conn;
    struct node *to = &w->nodes[to_end(l, p->way)];
    if (l->hung && p->kind != PACKET_TIMEOUT) {
        hold(p);
        return;
    }
    if (p->kind == PACKET_SYN && !kernel_accepts(w, p)) {
        packet_free(w, p);
        return;
    }
    if (to->stopped) {
        inbox_put(&to->inbox, &p->h);
        return;
    }
    note_order(w, p);
    if (p->way == THERE)
        at_server(w, p);
    else
        at_client(w, p);
    packet_free(w, p);
}

void net_died(struct world *w, struct node *n, bool host)
{
    for (size_t i = 0; i < w->nconns; i++) {
        struct conn *l = w->conns[i];
        if (l->server == n->index && l->server_open) {
            close_server(w, l);
            if (!host && l->client != l->server)
                send(w, packet(w, l, BACK, PACKET_FIN));
        }
        if (l->client == n->index && l->client_open) {
            close_client(w, l);
            if (!host && l->client != l->server)
                send(w, packet(w, l, THERE, PACKET_FIN));
        }
        if (host && l->client == n->index)
            forget_held(w, l, THERE);
        if (host && l->server == n->index)
            forget_held(w, l, BACK);
    }
    n->last_out = n->last_in = 0;
}

void net_back(struct world *w, const struct node *n)
{
    for (size_t i = 0; i < w->nconns; i++) {
        struct conn *l = w->conns[i];
        if (!l->unanswered || (l->client != n->index && l->server != n->index))
            continue;
        l->unanswered = false;
        refuse(w, l, l->server == n->index ? THERE : BACK);
    }
}

void net_end(struct world *w)
{
    for (size_t i = 0; i < w->npackets; i++) {
        cl_bytes_release(w->packets[i]->bytes);
        free(w->packets[i]);
    }
    for (size_t i = 0; i < w->nconns; i++)
        free(w->conns[i]);
    free(w->packets);
    free(w->conns);
}
