/* The network as TCP shows it: bytes of one connection arrive in order or not at all; what is lost is sent again,
 * later; across connections nothing is in order, so the last bytes of an old one may come after the first of its
 * successor. */
#include "tests/sim/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

int end_of_super(int i)
{
    return i;
}

int end_of_node(int i)
{
    return MAX_SUPERS + i;
}

bool end_is_super(int end)
{
    return end < MAX_SUPERS;
}

bool net_open(const struct world *w, int a, int b)
{
    return w->cut[a][b] == 0 && w->cut[b][a] == 0;
}

int64_t net_delay(struct world *w)
{
    int64_t base = w->plan.delay_us;
    int64_t d = base + (int64_t)rng_below(&w->rng, (uint64_t)base + 1);
    if (w->weather.extra_us > 0 && rng_below(&w->rng, 4) == 0) {
        w->counts[COUNT_DELAY]++;
        d += (int64_t)rng_below(&w->rng, (uint64_t)w->weather.extra_us);
    }
    return d;
}

static int from_end(const struct packet *p)
{
    return p->way == THERE ? p->link->client : p->link->server;
}

static int to_end(const struct packet *p)
{
    return p->way == THERE ? p->link->server : p->link->client;
}

struct packet *net_packet(struct world *w, struct link *l, enum way way, enum packet_kind kind)
{
    struct packet *p = w->spare;
    if (p != NULL) {
        w->spare = p->next;
        p->next = NULL;
    } else {
        p = mem_zalloc(sizeof *p);
        w->packets = mem_grow(w->packets, w->npackets, &w->cap_packets, sizeof *w->packets);
        w->packets[w->npackets++] = p;
    }
    p->link = l;
    p->way = way;
    p->kind = kind;
    p->said = ++w->said;
    return p;
}

static void empty(struct packet *p)
{
    if (p->info != NULL)
        sn_info_free(p->info);
    free(p->info);
    sn_effect_free(&p->fx);
}

void net_free(struct world *w, struct packet *p)
{
    empty(p);
    struct heap_node at = p->h.at;
    *p = (struct packet){.next = w->spare};
    p->h.at = at;
    w->spare = p;
}

void net_end(struct world *w)
{
    for (size_t i = 0; i < w->npackets; i++) {
        empty(w->packets[i]);
        free(w->packets[i]);
    }
    free(w->packets);
}

static bool host_is_down(const struct world *w, int end)
{
    return end_is_super(end) ? w->supers[end].host_down : w->nodes[end - MAX_SUPERS].host_down;
}

/* A request for a connection that its server does not know (any more). */
static void refuse(struct world *w, struct link *l, enum sn_down_why why)
{
    struct packet *fin = net_packet(w, l, BACK, PACKET_FIN);
    fin->why = why;
    net_send(w, fin);
}

void net_server_lost(struct world *w, struct link *l)
{
    l->server_open = false;
    if (!l->subscribe || end_is_super(l->server))
        return;
    struct node *n = &w->nodes[l->server - MAX_SUPERS];
    for (size_t i = 0; i < n->nsubs; i++)
        if (n->subs[i] == l) {
            n->subs[i] = n->subs[--n->nsubs];
            break;
        }
}

static void arrive(struct world *w, struct happening *h);

/* The client's kernel tries for a while to reach a machine that does not answer. */
static void wait_in_vain(struct world *w, struct link *l)
{
    struct packet *patience = net_packet(w, l, BACK, PACKET_TIMEOUT);
    patience->why = SN_WHY_TIMEOUT;
    happen(w, &patience->h, w->now_us + rng_range(&w->rng, SECONDS(1), SECONDS(2)), arrive);
}

static void server_accept(struct world *w, struct link *l)
{
    bool super = end_is_super(l->server);
    const struct super *s = super ? &w->supers[l->server] : NULL;
    struct node *n = super ? NULL : &w->nodes[l->server - MAX_SUPERS];
    if (host_is_down(w, l->server) || w->cut[l->server][l->client] != 0)
        wait_in_vain(w, l);
    if (host_is_down(w, l->server))
        return;
    if (super ? s->core == NULL : !n->up) {
        refuse(w, l, SN_WHY_REFUSED);
        return;
    }
    l->server_open = true;
    l->server_life = super ? s->life : n->life;
    if (l->subscribe && !super) {
        n->subs = mem_grow(n->subs, n->nsubs, &n->cap_subs, sizeof *n->subs);
        n->subs[n->nsubs++] = l;
    }
    net_send(w, net_packet(w, l, BACK, PACKET_SYN_ACK));
}

static void note_order(struct world *w, struct packet *p)
{
    uint64_t *last = &w->delivered[from_end(p)][to_end(p)];
    if (p->number == 0)
        return;
    if (p->number < *last)
        w->counts[COUNT_REORDERED]++;
    else
        *last = p->number;
    if (p->kind == PACKET_REQUEST && !p->copy && !p->link->client_open) {
        w->counts[COUNT_LATE]++;
        if (p->fx.command == SN_CMD_REPLICAOF && p->fx.addr.host[0] == '\0')
            w->counts[COUNT_LATE_PROMOTE]++;
    }
}

static void arrive_there(struct world *w, struct packet *p)
{
    struct link *l = p->link;
    if (p->kind == PACKET_SYN) {
        server_accept(w, l);
        net_free(w, p);
        return;
    }
    if (!l->server_open) {
        if (p->kind == PACKET_REQUEST && l->client_open && !host_is_down(w, l->server))
            refuse(w, l, SN_WHY_CLOSED);
        net_free(w, p);
        return;
    }
    if (p->kind == PACKET_FIN) {
        net_server_lost(w, l);
        net_free(w, p);
        return;
    }
    if (end_is_super(l->server))
        super_asked(w, p);
    else
        node_received(w, p);
}

static bool asleep(struct world *w, struct packet *p)
{
    int to = to_end(p);
    /* A kernel accepts and closes connections for a process that is stopped; the process reads nothing. */
    if (p->way == THERE && p->kind != PACKET_REQUEST)
        return false;
    bool super = end_is_super(to);
    if (super ? !w->supers[to].stopped : !w->nodes[to - MAX_SUPERS].stopped)
        return false;
    inbox_put(super ? &w->supers[to].inbox : &w->nodes[to - MAX_SUPERS].inbox, &p->h);
    return true;
}

static void arrive(struct world *w, struct happening *h)
{
    struct packet *p = (struct packet *)h;
    if (asleep(w, p))
        return;
    note_order(w, p);
    if (p->way == THERE)
        arrive_there(w, p);
    else
        super_received(w, p);
}

static void schedule(struct world *w, struct packet *p, int64_t delay_us)
{
    struct link *l = p->link;
    int64_t at = w->now_us + delay_us;
    if (at < l->ready_us[p->way])
        at = l->ready_us[p->way];
    l->ready_us[p->way] = at;
    happen(w, &p->h, at, arrive);
}

static char *dup_or_null(const char *s)
{
    return s != NULL ? mem_strdup(s) : NULL;
}

static void copy_request(struct sn_effect *to, const struct sn_effect *from)
{
    *to = (struct sn_effect){.kind = from->kind,
                             .link = from->link,
                             .command = from->command,
                             .addr = from->addr,
                             .flag = from->flag,
                             .epoch = from->epoch,
                             .number = from->number,
                             .text = dup_or_null(from->text)};
    if (from->ballots == NULL)
        return;
    to->count = from->count;
    to->ballots = mem_array(NULL, from->count, sizeof *to->ballots);
    for (size_t i = 0; i < from->count; i++) {
        to->ballots[i] = from->ballots[i];
        to->ballots[i].group = dup_or_null(from->ballots[i].group);
    }
}

/* Some box on the way delivers the bytes of a request twice, the second time out of order. */
static void maybe_double(struct world *w, struct packet *p)
{
    if (w->weather.copy_ppm == 0 || p->kind != PACKET_REQUEST || !rng_chance(&w->rng, w->weather.copy_ppm))
        return;
    w->counts[COUNT_DOUBLED]++;
    struct packet *copy = net_packet(w, p->link, THERE, PACKET_REQUEST);
    copy->copy = true;
    copy->number = p->number;
    copy->said = p->said;
    copy_request(&copy->fx, &p->fx);
    happen(w, &copy->h, w->now_us + net_delay(w) + (int64_t)rng_below(&w->rng, (uint64_t)SECONDS(3)), arrive);
}

/* Returns how much later a lost message arrives when it is sent again, or -1: the connection does not survive it. */
static int64_t lost(struct world *w, const struct packet *p)
{
    if (w->weather.loss_ppm == 0 || !rng_chance(&w->rng, w->weather.loss_ppm))
        return 0;
    w->counts[COUNT_LOSS]++;
    if (rng_below(&w->rng, 6) == 0 && p->kind != PACKET_FIN && p->kind != PACKET_SYN && p->kind != PACKET_SYN_ACK)
        return -1;
    return MS(200) << rng_below(&w->rng, 4);
}

static void hold(struct packet *p)
{
    struct link *l = p->link;
    if (l->held[p->way] == NULL)
        l->held_last[p->way] = &l->held[p->way];
    p->next = NULL;
    *l->held_last[p->way] = p;
    l->held_last[p->way] = &p->next;
}

void net_send(struct world *w, struct packet *p)
{
    struct link *l = p->link;
    p->number = ++w->sent[from_end(p)][to_end(p)];
    if (w->cut[from_end(p)][to_end(p)] != 0 || l->held[p->way] != NULL) {
        hold(p);
        return;
    }
    int64_t later = lost(w, p);
    if (later < 0) {
        w->counts[COUNT_RESET]++;
        net_server_lost(w, l);
        refuse(w, l, SN_WHY_CLOSED);
        net_free(w, p);
        return;
    }
    maybe_double(w, p);
    schedule(w, p, net_delay(w) + later);
}

void net_cut(struct world *w, int from, int to)
{
    w->cut[from][to]++;
}

static void send_again(struct world *w, struct link *l, enum way way)
{
    struct packet *p = l->held[way];
    l->held[way] = NULL;
    /* The sender has been trying, more and more seldom. */
    int64_t wait = (int64_t)rng_below(&w->rng, (uint64_t)SECONDS(1));
    for (struct packet *next; p != NULL; p = next) {
        next = p->next;
        p->next = NULL;
        schedule(w, p, wait + net_delay(w));
    }
}

void net_mend(struct world *w, int from, int to)
{
    if (--w->cut[from][to] != 0)
        return;
    for (size_t i = 0; i < w->nlinks; i++) {
        struct link *l = w->links[i];
        if (l->held[THERE] != NULL && l->client == from && l->server == to)
            send_again(w, l, THERE);
        if (l->held[BACK] != NULL && l->server == from && l->client == to)
            send_again(w, l, BACK);
    }
}

static int find_server(struct world *w, const struct addr *a)
{
    const struct node *n = node_at(w, a);
    if (n != NULL)
        return end_of_node(n->index);
    for (int i = 0; i < w->plan.supers; i++)
        if (addr_eq(&w->supers[i].addr, a))
            return end_of_super(i);
    return -1;
}

void net_connect(struct world *w, struct super *s, const struct sn_effect *e)
{
    struct link *l = mem_zalloc(sizeof *l);
    w->links = mem_grow(w->links, w->nlinks, &w->cap_links, sizeof *w->links);
    w->links[w->nlinks++] = l;
    l->id = e->link;
    l->client = end_of_super(s->index);
    l->client_life = s->life;
    l->subscribe = e->subscribe;
    l->client_open = true;
    l->server = find_server(w, &e->addr);
    if (e->link >= 1000000) {
        violated(w, "shell", "s%d names a connection %llu: the simulator counts on small numbers", s->index + 1,
                 (unsigned long long)e->link);
        return;
    }
    while (s->cap_links <= e->link) {
        size_t before = s->cap_links;
        s->links = mem_grow(s->links, s->cap_links, &s->cap_links, sizeof(struct link *));
        memset(&s->links[before], 0, (s->cap_links - before) * sizeof(struct link *));
    }
    if (s->links[e->link] != NULL)
        violated(w, "shell", "s%d uses the connection %llu again", s->index + 1, (unsigned long long)e->link);
    s->links[e->link] = l;
    if (l->server >= 0 && net_open(w, l->client, l->server) && !host_is_down(w, l->server)) {
        net_send(w, net_packet(w, l, THERE, PACKET_SYN));
    } else {
        wait_in_vain(w, l);
        if (l->server < 0)
            l->server = l->client; /* nobody has this address: the request is never answered */
    }
}

static struct link *link_of(struct super *s, sn_link id)
{
    return id < s->cap_links ? s->links[id] : NULL;
}

void net_disconnect(struct world *w, struct super *s, sn_link id)
{
    struct link *l = link_of(s, id);
    if (l == NULL || !l->client_open)
        return;
    l->client_open = false;
    /* A socket closed with unread bytes in it is reset: what it had not sent yet is gone. */
    if (l->held[THERE] != NULL && rng_below(&w->rng, 3) == 0) {
        for (struct packet *p = l->held[THERE], *next; p != NULL; p = next) {
            next = p->next;
            net_free(w, p);
        }
        l->held[THERE] = NULL;
    }
    if (l->server != l->client)
        net_send(w, net_packet(w, l, THERE, PACKET_FIN));
}

void net_request(struct world *w, struct super *s, struct sn_effect *e)
{
    struct link *l = link_of(s, e->link);
    if (l == NULL || !l->client_open || !l->connected)
        return;
    struct packet *p = net_packet(w, l, THERE, PACKET_REQUEST);
    p->fx = *e;
    *e = (struct sn_effect){.kind = SN_FX_SEND};
    net_send(w, p);
}

struct packet *net_answer(struct world *w, struct packet *question)
{
    struct link *l = question->link;
    if (question->copy || !l->server_open)
        return NULL;
    struct packet *p = net_packet(w, l, BACK, PACKET_REPLY);
    p->fx.command = question->fx.command;
    p->ok = true;
    return p;
}

void net_died(struct world *w, int end, bool host)
{
    for (size_t i = 0; i < w->nlinks; i++) {
        struct link *l = w->links[i];
        if (l->server == end && l->server_open) {
            net_server_lost(w, l);
            if (!host && l->client_open)
                refuse(w, l, SN_WHY_CLOSED);
        }
        if (l->client == end && l->client_open) {
            l->client_open = false;
            if (!host && l->server != l->client)
                net_send(w, net_packet(w, l, THERE, PACKET_FIN));
        }
        if (host && (l->client == end || l->server == end)) {
            enum way way = l->client == end ? THERE : BACK;
            for (struct packet *p = l->held[way], *next; p != NULL; p = next) {
                next = p->next;
                net_free(w, p);
            }
            l->held[way] = NULL;
        }
    }
}

void net_kill_clients(struct world *w, int node, const struct link *but)
{
    for (size_t i = 0; i < w->nlinks; i++) {
        struct link *l = w->links[i];
        if (l == but || l->server != end_of_node(node) || !l->server_open)
            continue;
        net_server_lost(w, l);
        if (l->client_open)
            refuse(w, l, SN_WHY_CLOSED);
    }
}

void net_unstick(struct world *w, int node)
{
    for (size_t i = 0; i < w->nlinks; i++) {
        struct link *l = w->links[i];
        if (l->server != end_of_node(node) || l->stuck == NULL)
            continue;
        struct packet *p = l->stuck;
        l->stuck = NULL;
        for (struct packet *next; p != NULL; p = next) {
            next = p->next;
            p->next = NULL;
            node_received(w, p);
        }
    }
}
