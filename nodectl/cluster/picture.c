#include "nodectl/cluster/picture.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/reply_json.h"

#include <stdlib.h>
#include <string.h>

enum { NODES, SERVER, DATABASES, QUESTIONS };

/* ---- nodes ---- */

struct picture_node *picture_by_id(const struct picture *p, const char *id)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].id, id) == 0)
            return &p->v[i];
    return NULL;
}

struct fleet_member *picture_member(const struct picture *p, const char *id)
{
    const struct picture_node *n = picture_by_id(p, id);
    return n != NULL ? n->member : NULL;
}

static struct picture_node *node_of(struct picture *p, const char *id)
{
    struct picture_node *n = picture_by_id(p, id);
    if (n != NULL)
        return n;
    p->v = mem_grow(p->v, p->n, &p->cap, sizeof *p->v);
    n = &p->v[p->n++];
    *n = (struct picture_node){.databases = 1};
    memcpy(n->id, id, sizeof n->id);
    return n;
}

static void forget_nodes(struct picture *p)
{
    for (size_t i = 0; i < p->n; i++) {
        sn_nodes_free(&p->v[i].view);
        free(p->v[i].open);
    }
    p->n = 0;
}

/* ---- asking ---- */

static void ask_node(const struct picture *p, struct fleet_member *m)
{
    static const char *const nodes[] = {"CLUSTER", "NODES"}, *const server[] = {"INFO", "server"},
                             *const databases[] = {"CONFIG", "GET", "cluster-databases"};
    if (m->fd < 0)
        asking_login_node(p->asking, m);
    fleet_ask(m, 2, nodes);
    fleet_ask(m, 2, server);
    fleet_ask(m, 3, databases);
}

/* "[93->-id]" and "[77-<-id]", which the node itself alone tells of. */
static void read_open(struct picture_node *n, struct slice text)
{
    size_t cap = 0;
    struct slice line = {NULL, 0};
    while (text.n > 0 && (line.n == 0 || memmem(line.p, line.n, "myself", 6) == NULL))
        line = slice_cut_line(&text);
    for (struct slice word; line.n > 0;) {
        word = slice_cut(&line, ' ');
        if (word.n < 6 || word.p[0] != '[' || word.p[word.n - 1] != ']')
            continue;
        struct slice rest = {word.p + 1, word.n - 2}, number = slice_cut(&rest, '-');
        int64_t slot;
        bool importing = rest.n > 0 && rest.p[0] == '<';
        struct picture_open open = {.importing = importing};
        if (rest.n < 2 || !text_range(number, 0, SN_SLOTS - 1, &slot) ||
            !runid_parse((struct slice){rest.p + 2, rest.n - 2}, open.other))
            continue;
        open.slot = (uint16_t)slot;
        n->open = mem_grow(n->open, n->nopen, &cap, sizeof *n->open);
        n->open[n->nopen++] = open;
    }
}

static void read_server(struct picture_node *n, const redisReply *server, const redisReply *databases)
{
    struct slice text = server->type == REDIS_REPLY_STRING ? (struct slice){server->str, (size_t)server->len}
                                                           : (struct slice){NULL, 0};
    int64_t many = 1;
    while (text.n > 0) {
        struct slice value = slice_cut_line(&text), name = slice_cut(&value, ':');
        if (slice_is(name, "server_name")) {
            n->noded = slice_is(value, "noded");
            n->valkey = slice_is(value, "valkey");
        } else if ((slice_is(name, "redis_version") || slice_is(name, "valkey_version")) &&
                   value.n < sizeof n->version) {
            memset(n->version, 0, sizeof n->version); /* the last of the two */
            memcpy(n->version, value.p, value.n);
        }
    }
    if (databases->type == REDIS_REPLY_ARRAY && databases->elements == 2 &&
        databases->element[1]->type == REDIS_REPLY_STRING &&
        text_range(slice_of(databases->element[1]->str), 1, INT32_MAX, &many))
        n->databases = many;
}

bool picture_migrates(const struct picture_node *n)
{
    struct slice major = slice_of(n->version);
    int64_t number = 0;
    major = slice_cut(&major, '.');
    return n->noded || (n->valkey && text_range(major, 9, INT32_MAX, &number));
}

/* The view of whoever answered at this connection; what it says of itself counts. */
static void read_answers(struct picture *p, struct fleet_member *m)
{
    struct sn_nodes view = {.nlines = 0};
    const redisReply *const *r = (const redisReply *const *)m->replies + (m->nreplies - QUESTIONS);
    if (r[NODES]->type == REDIS_REPLY_ERROR) {
        fleet_fail(m, "%s", r[NODES]->str);
        return;
    }
    if (r[NODES]->type != REDIS_REPLY_STRING ||
        !sn_nodes_parse(&view, (struct slice){r[NODES]->str, (size_t)r[NODES]->len})) {
        fleet_fail(m, "its CLUSTER NODES cannot be read");
        return;
    }
    const struct sn_nodes_line *self = &view.lines[view.self];
    struct picture_node *n = node_of(p, self->id);
    if (n->answers) { /* reached by two addresses: one is enough */
        sn_nodes_free(&view);
        return;
    }
    n->member = m;
    n->answers = true;
    n->view = view;
    read_open(n, (struct slice){r[NODES]->str, (size_t)r[NODES]->len});
    read_server(n, r[SERVER], r[DATABASES]);
}

/* Where the line's node is, as seen from the teller: one that does not know its own address is where it was asked. */
static bool address_of(const struct sn_nodes_line *line, const struct fleet_member *teller, struct addr *out)
{
    *out = line->addr;
    if (out->host[0] == '\0' && out->port != 0)
        memcpy(out->host, teller->addr.host, sizeof out->host);
    return out->port != 0 && !(line->flags & (SN_NODES_NOADDR | SN_NODES_HANDSHAKE));
}

/* Connections to all that are named and were not asked yet. Returns how many are new. */
static size_t add_named(struct picture *p)
{
    size_t new = 0;
    for (size_t i = 0; i < p->n; i++) {
        for (size_t j = 0; p->v[i].answers && j < p->v[i].view.nlines; j++) {
            const struct sn_nodes_line *line = &p->v[i].view.lines[j];
            const struct picture_node *known = picture_by_id(p, line->id);
            struct addr a;
            bool added = false;
            if ((known == NULL || !known->answers) && address_of(line, p->v[i].member, &a))
                fleet_add(&p->fleet, &a, false, &added);
            new += added;
        }
    }
    return new;
}

/* ---- what they agree on ---- */

static void take_line(struct picture_node *n, const struct sn_nodes_line *line, struct picture *p,
                      const struct fleet_member *teller)
{
    bool added;
    n->master = line->flags & SN_NODES_MASTER;
    memcpy(n->master_id, line->master, sizeof n->master_id);
    memcpy(n->shard, line->shard, sizeof n->shard);
    n->epoch = line->epoch;
    n->nslots = line->nslots;
    if (address_of(line, teller, &n->addr) && n->member == NULL)
        n->member = fleet_add(&p->fleet, &n->addr, false, &added);
}

/* Those that do not answer, as the others have them: by the teller with the newest word. */
static void take_silent(struct picture *p)
{
    size_t tellers = p->n;
    for (size_t i = 0; i < tellers; i++) {
        for (size_t j = 0; p->v[i].answers && j < p->v[i].view.nlines; j++) {
            const struct sn_nodes_line *line = &p->v[i].view.lines[j];
            if (line->flags & SN_NODES_HANDSHAKE)
                continue;
            struct picture_node *n = node_of(p, line->id);
            if (!n->answers && (n->addr.port == 0 || line->epoch > n->epoch))
                take_line(n, line, p, p->v[i].member);
        }
    }
}

static void count_failing(struct picture *p, struct picture_node *n)
{
    size_t fail = 0, tell = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct sn_nodes_line *line = p->v[i].answers ? sn_nodes_find(&p->v[i].view, n->id) : NULL;
        if (line == NULL || &p->v[i] == n)
            continue;
        tell++;
        fail += (line->flags & SN_NODES_FAIL) != 0;
    }
    n->fails = fail > 0 && (!n->answers || 2 * fail > tell);
}

static void claim(struct picture *p, size_t node, const struct sn_nodes *view, const struct sn_nodes_line *line)
{
    for (size_t r = line->range; r < line->range + line->nranges; r++)
        for (size_t s = view->ranges[r].first; s <= view->ranges[r].last; s++)
            if (p->owner[s] < 0 || p->v[p->owner[s]].epoch < line->epoch)
                p->owner[s] = (int16_t)node;
}

static void find_owners(struct picture *p)
{
    for (size_t s = 0; s < SN_SLOTS; s++)
        p->owner[s] = -1;
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].answers) {
            claim(p, i, &p->v[i].view, &p->v[i].view.lines[p->v[i].view.self]);
            continue;
        }
        for (size_t t = 0; t < p->n; t++) {
            const struct sn_nodes_line *line = p->v[t].answers ? sn_nodes_find(&p->v[t].view, p->v[i].id) : NULL;
            if (line != NULL)
                claim(p, i, &p->v[t].view, line);
        }
    }
    p->covered = 0;
    for (size_t s = 0; s < SN_SLOTS; s++)
        p->covered += p->owner[s] >= 0;
}

/* A node that was named to us, is alone, and is listed by nobody: a seed that has left the cluster. */
static bool is_stranger(const struct picture *p, const struct picture_node *n)
{
    bool cluster = false;
    if (n->view.nlines != 1 || n->view.lines[n->view.self].nslots > 0)
        return false;
    for (size_t i = 0; i < p->n; i++) {
        if (&p->v[i] == n)
            continue;
        if (sn_nodes_find(&p->v[i].view, n->id) != NULL)
            return false;
        cluster = cluster || p->v[i].view.lines[p->v[i].view.self].nslots > 0;
    }
    return cluster;
}

static void leave_strangers_out(struct picture *p)
{
    for (size_t i = p->n; i-- > 0;) {
        if (!is_stranger(p, &p->v[i]))
            continue;
        sn_nodes_free(&p->v[i].view);
        free(p->v[i].open);
        memmove(&p->v[i], &p->v[i + 1], (p->n - i - 1) * sizeof *p->v);
        p->n--;
    }
}

static void merge(struct picture *p)
{
    leave_strangers_out(p);
    for (size_t i = 0; i < p->n; i++)
        take_line(&p->v[i], &p->v[i].view.lines[p->v[i].view.self], p, p->v[i].member);
    take_silent(p);
    for (size_t i = 0; i < p->n; i++)
        count_failing(p, &p->v[i]);
    find_owners(p);
}

/* ---- looking ---- */

/* Asks everyone in the fleet, and then whom they name, until nobody is new. */
static bool look(struct picture *p, struct buf *why)
{
    size_t asked = 0;
    forget_nodes(p);
    fleet_forget(&p->fleet);
    do {
        size_t from = asked;
        for (; asked < p->fleet.n; asked++)
            ask_node(p, p->fleet.members[asked]);
        fleet_run(&p->fleet);
        for (size_t i = from; i < asked; i++)
            if (p->fleet.members[i]->error == NULL)
                read_answers(p, p->fleet.members[i]);
    } while (add_named(p) > 0);
    if (p->n > 0) {
        merge(p);
        return true;
    }
    for (size_t i = 0; i < p->fleet.n; i++) {
        char text[ADDR_TEXT_MAX];
        buf_printf(why, "%s: %s\n", addr_text(&p->fleet.members[i]->addr, text), p->fleet.members[i]->error);
    }
    return false;
}

static bool add_all(struct picture *p, const struct addr *list, size_t n)
{
    bool added;
    for (size_t i = 0; i < n; i++)
        fleet_add(&p->fleet, &list[i], true, &added);
    return n > 0;
}

bool picture_take(struct picture *p, const struct asking *a, struct buf *why)
{
    *p = (struct picture){.asking = a};
    fleet_init(&p->fleet, a->timeout_ms);
    if (add_all(p, a->targets.seeds.v, a->targets.seeds.n) && look(p, why))
        return true;
    struct conf_addresses masters = {0};
    bool told = picture_seeds(a, &masters, why) && add_all(p, masters.v, masters.n) && look(p, why);
    conf_addresses_free(&masters);
    return told;
}

bool picture_again(struct picture *p, struct buf *why)
{
    for (size_t i = 0; i < p->fleet.n; i++)
        if (p->fleet.members[i]->error != NULL)
            fleet_retry(p->fleet.members[i]);
    return look(p, why);
}

void picture_free(struct picture *p)
{
    forget_nodes(p);
    free(p->v);
    fleet_free(&p->fleet);
    *p = (struct picture){0};
}
