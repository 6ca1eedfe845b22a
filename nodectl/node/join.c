#include "nodectl/node/join.h"

#include "common/base/text.h"
#include "nodectl/node/answers.h"
#include "nodectl/progress.h"

#include <string.h>

#define MEET_MS 30000
#define MEET_AGAIN_MS 300
#define AGREE_MS 60000
#define LINK_MS 60000 /* without a link to its master and without a dataset on its way */
#define BUS_PORT_OFFSET 10000

/* ---- looking at it ---- */

/* The line of CLUSTER NODES about the node itself: "<id> <host>:<port>@<bus port>[,<name>] <flags> ...". */
static bool read_own_line(struct join *j, struct slice text)
{
    while (text.n > 0) {
        struct slice line = slice_cut_line(&text), id = slice_cut(&line, ' '), place = slice_cut(&line, ' ');
        struct slice flags = slice_cut(&line, ' '), flag;
        int64_t port;
        bool self = false;
        while (flags.p != NULL && !self) {
            flag = slice_cut(&flags, ',');
            self = slice_is(flag, "myself");
        }
        if (!self || !runid_parse(id, j->id))
            continue;
        slice_cut(&place, '@');
        j->bus_port = text_range(slice_cut(&place, ','), 1, 65535, &port) ? (int)port : j->addr.port + BUS_PORT_OFFSET;
        return true;
    }
    return false;
}

static bool is_empty(const redisReply *info, const redisReply *nodes, struct buf *why)
{
    struct sn_nodes view = {0};
    bool parsed = sn_nodes_parse(&view, (struct slice){nodes->str, nodes->len});
    const char *refusal = NULL;
    if (!parsed)
        refusal = "its CLUSTER NODES can't be read";
    else if (view.nlines > 1)
        refusal =
            "it belongs to another cluster. Remove it there (nodectl node remove), or say CLUSTER RESET HARD to it";
    else if (view.lines[view.self].nslots > 0)
        refusal = "it has slots of its own. Is it a cluster by itself? CLUSTER RESET HARD makes a new node of it";
    else if (strstr(info->str, "\r\ndb") != NULL)
        refusal = "it holds keys, which would be deleted. Say FLUSHALL to it if nobody needs them";
    if (refusal != NULL)
        buf_puts(why, refusal);
    sn_nodes_free(&view);
    return refusal == NULL;
}

static bool read_answers(struct join *j, const struct fleet_member *m, size_t first, const struct picture *p,
                         struct buf *why)
{
    const redisReply *info = m->nreplies > first ? m->replies[first] : NULL;
    const redisReply *nodes = m->nreplies > first + 1 ? m->replies[first + 1] : NULL;
    if (m->error != NULL || info == NULL || nodes == NULL || info->type == REDIS_REPLY_ERROR || info->str == NULL) {
        buf_puts(why, m->error != NULL ? m->error : info != NULL && info->str != NULL ? info->str : "no answer");
        return false;
    }
    char name[16];
    j->noded = answer_field(info->str, "server_name", name, sizeof name) && strcmp(name, "noded") == 0;
    (void)answer_field(info->str, "redis_version", j->version, sizeof j->version);
    const redisReply *r = m->nreplies > first + 2 ? m->replies[first + 2] : NULL;
    if (j->noded && r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[1]->str != NULL)
        (void)text_range(slice_of(r->element[1]->str), 1, INT32_MAX, &j->databases);
    if (nodes->type == REDIS_REPLY_ERROR || nodes->str == NULL ||
        !read_own_line(j, (struct slice){nodes->str, nodes->len})) {
        buf_puts(why, "it is no node of a cluster: start it with --cluster-enabled yes");
        return false;
    }
    j->member = picture_by_id(p, j->id) != NULL;
    return j->member || is_empty(info, nodes, why);
}

bool join_look(struct node_work *w, struct join *j, const char *address)
{
    *j = (struct join){.bus_port = 0};
    if (!addr_parse(slice_of(address), &j->addr)) {
        buf_printf(&w->why, "'%s' is no host:port", address);
        return false;
    }
    struct fleet f;
    bool added;
    char text[ADDR_TEXT_MAX];
    struct buf why = {0};
    fleet_init(&f, w->asking.timeout_ms);
    struct fleet_member *m = fleet_add(&f, &j->addr, true, &added);
    size_t first = asking_login_node(&w->asking, m);
    fleet_ask(m, 1, (const char *[]){"INFO"});
    fleet_ask(m, 2, (const char *[]){"CLUSTER", "NODES"});
    fleet_ask(m, 3, (const char *[]){"CONFIG", "GET", "cluster-databases"});
    fleet_run(&f);
    bool ok = read_answers(j, m, first, &w->picture, &why);
    if (!ok)
        buf_printf(&w->why, "%s can't join: %s", addr_text(&j->addr, text), buf_str(&why));
    buf_free(&why);
    fleet_free(&f);
    return ok;
}

bool join_fits(struct node_work *w, const struct join *j)
{
    const struct picture_node *n = j->member ? picture_by_id(&w->picture, j->id) : NULL;
    const struct picture_node *master = picture_by_id(&w->picture, j->master);
    char text[ADDR_TEXT_MAX];
    const char *refusal = NULL;
    if (master != NULL && j->databases > 0 && j->databases < master->databases) {
        buf_printf(
            &w->why,
            "%s has %lld databases, and the master %lld: it could not follow. Start it with --cluster-databases %lld",
            addr_text(&j->addr, text), (long long)j->databases, (long long)master->databases,
            (long long)master->databases);
        return false;
    }
    if (n == NULL)
        return true;
    if (n->nslots > 0)
        refusal = "has slots of this cluster already";
    else if (!n->master && runid_cmp(n->master_id, j->master) != 0)
        refusal = "is a replica of another master of this cluster already";
    if (refusal != NULL)
        buf_printf(&w->why, "%s %s", node_text(n, text), refusal);
    return refusal == NULL;
}

/* ---- steps ---- */

/* Whether the two list each other by their names. */
static bool have_met(const struct join *j, const struct picture_node *n, const struct picture_node *me)
{
    const struct sn_nodes_line *l = sn_nodes_find(&n->view, j->id);
    return me != NULL && me->answers && l != NULL && !(l->flags & SN_NODES_HANDSHAKE) &&
           sn_nodes_find(&me->view, n->id) != NULL;
}

/* Each node meets it, or who was not told would hear of it by gossip only, within half of the node timeout. Meetings
 * that cross each other may come to nothing, so they are arranged again. */
static bool all_know(struct node_work *w, void *what, struct buf *why)
{
    struct join *j = what;
    struct picture *p = &w->picture;
    char text[ADDR_TEXT_MAX];
    const struct picture_node *me = picture_by_id(p, j->id);
    bool again = fleet_now_ms() - j->met_ms >= MEET_AGAIN_MS;
    size_t missing = 0, others = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct picture_node *n = &p->v[i];
        if (!n->answers || n == me)
            continue;
        others++;
        if (have_met(j, n, me))
            continue;
        buf_clear(why);
        if (!again || picture_askf(p, n, why, "CLUSTER MEET %s %d %d", j->ip, j->addr.port, j->bus_port) != NULL)
            buf_printf(why, "%s has not met it yet", node_text(n, text));
        missing++;
    }
    if (again)
        j->met_ms = fleet_now_ms();
    if (others == 0)
        buf_puts(why, "no other node of the cluster answers");
    return others > 0 && missing == 0;
}

bool join_meet(struct node_work *w, void *what)
{
    struct join *j = what;
    j->met_ms = fleet_now_ms() - MEET_AGAIN_MS;
    return answer_ip(&j->addr, w->asking.timeout_ms, j->ip, &w->why) && node_wait(w, MEET_MS, all_know, j);
}

static bool follows(struct node_work *w, void *what, struct buf *why)
{
    const struct join *j = what;
    struct picture_node *n = picture_by_id(&w->picture, j->id);
    if (n != NULL && n->answers && !n->master && runid_cmp(n->master_id, j->master) == 0)
        return true;
    /* It is refused as long as the master is not known there as one. */
    return n != NULL && n->answers && picture_askf(&w->picture, n, why, "CLUSTER REPLICATE %s", j->master) != NULL;
}

bool join_replicate(struct node_work *w, void *what)
{
    return node_wait(w, MEET_MS, follows, what);
}

/* ---- its data ---- */

struct sync {
    struct join *join;
    struct progress bar;
    bool drawn;
    int64_t moved_ms; /* when there was progress last */
    int64_t left;
};

static bool is_in_step(struct node_work *w, void *what, struct buf *why)
{
    struct sync *s = what;
    struct picture_node *n = picture_by_id(&w->picture, s->join->id);
    const redisReply *r = n != NULL ? picture_askf(&w->picture, n, why, "INFO replication") : NULL;
    if (r == NULL || r->str == NULL)
        return false;
    char link[16] = "";
    (void)answer_field(r->str, "master_link_status", link, sizeof link);
    if (strcmp(link, "up") == 0)
        return true;
    int64_t left = answer_number(r->str, "master_sync_left_bytes", -1);
    int64_t total = answer_number(r->str, "master_sync_total_bytes", 0);
    if (left >= 0 && left != s->left) {
        s->left = left;
        s->moved_ms = fleet_now_ms();
        if (!s->drawn)
            progress_begin(&s->bar, "copying the dataset", "bytes", total > 0 ? total : 0);
        s->drawn = true;
        progress_at(&s->bar, answer_number(r->str, "master_sync_read_bytes", 0));
    }
    buf_puts(why, "it has not got the dataset of its master yet");
    return false;
}

/* A big dataset takes its time: only standing still is a failure. */
static bool wait_in_step(struct node_work *w, struct join *j)
{
    struct sync s = {.join = j, .left = -1, .moved_ms = fleet_now_ms()};
    bool there = false;
    do {
        there = node_wait(w, 1000, is_in_step, &s);
    } while (!there && !interrupted() && fleet_now_ms() - s.moved_ms < LINK_MS);
    if (s.drawn)
        progress_end(&s.bar);
    return there;
}

static bool all_agree(struct node_work *w, void *what, struct buf *why)
{
    const struct join *j = what;
    /* A master without slots is no shard to its supervisors. */
    const struct picture_node *master = picture_by_id(&w->picture, j->master);
    return node_all_agree(&w->picture, why) && supervision_count(&w->by, w->picture.n, why) &&
           (master == NULL || master->nslots == 0 || supervision_replica(&w->by, j->id, j->master, why));
}

bool join_wait(struct node_work *w, void *what)
{
    struct join *j = what;
    return (j->master[0] == '\0' || wait_in_step(w, j)) && node_wait(w, AGREE_MS, all_agree, j);
}
