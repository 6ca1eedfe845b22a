/* A supervisor's connections, and what comes over them, turned into the events of its core as the daemon's shell
 * does. */
#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "sentineld/core/state.h"

static void said_free(struct letter *l)
{
    sn_effect_free(&((struct said *)l)->fx);
    free(l);
}

static void reply_free(struct letter *l)
{
    struct reply *r = (struct reply *)l;
    struct sn_effect owner = {.kind = SN_FX_ANSWER_BALLOTS, .opinions = r->opinions, .count = r->nopinions};
    if (r->info != NULL)
        sn_info_free(r->info);
    free(r->info);
    free(r->told);
    free(r->text);
    sn_swap_word_free(r->swap);
    free(r->group);
    sn_effect_free(&owner);
    free(r);
}

struct reply *reply_new(enum sn_command command, bool ok)
{
    struct reply *r = mem_zalloc(sizeof *r);
    letter_init(&r->l, false, reply_free);
    r->command = command;
    r->ok = ok;
    return r;
}

static int end_at(struct world *w, const struct addr *a)
{
    const struct node *n = a->port == NODE_PORT ? node_at(w, a->host) : NULL;
    int i;
    if (n != NULL)
        return n->p.end;
    if (a->port != SENTINEL_PORT || sscanf(a->host, "10.0.1.%d", &i) != 1 || i < 1 || i > SUPERS_MAX)
        return -1;
    return i - 1;
}

void watcher_connect(struct world *w, struct super *s, const struct sn_effect *e)
{
    int end = end_at(w, &e->addr);
    enum conn_kind kind = e->subscribe ? CONN_SUB : end >= 0 && end_is_super(end) ? CONN_PEER : CONN_NODE;
    idmap_put(&s->watcher->links, e->link, net_connect(&w->net, s->p.end, end, kind, e->link));
}

void watcher_disconnect(struct world *w, struct super *s, sn_link id)
{
    struct conn *c = idmap_del(&s->watcher->links, id);
    if (c != NULL)
        net_close(&w->net, c, true);
}

void watcher_send(struct world *w, struct super *s, struct sn_effect *e)
{
    struct conn *c = idmap_get(&s->watcher->links, e->link);
    if (c == NULL || !c->connected)
        return;
    struct said *q = mem_zalloc(sizeof *q);
    letter_init(&q->l, true, said_free);
    q->fx = *e;
    *e = (struct sn_effect){.kind = SN_FX_SEND};
    net_send(&w->net, c, THERE, &q->l);
}

void watcher_up(struct world *w, struct super *s, struct conn *c)
{
    char host[32], own[32];
    snprintf(own, sizeof own, "10.0.1.%d", s->index + 1);
    snprintf(host, sizeof host, "10.0.1.%d", c->server + 1);
    struct sn_event e = {.kind = SN_EV_LINK_UP, .link = c->ours, .local_ip = own, .ip = host};
    if (!end_is_super(c->server))
        e.ip = w->nodes[c->server - SUPERS_MAX].ip;
    watcher_step(w, s, &e);
}

void watcher_down(struct world *w, struct super *s, struct conn *c, enum net_down why)
{
    static const enum sn_down_why reasons[] = {SN_WHY_REFUSED, SN_WHY_CLOSED, SN_WHY_TIMEOUT};
    struct sn_event e = {.kind = SN_EV_LINK_DOWN, .link = c->ours, .why = reasons[why]};
    idmap_del(&s->watcher->links, c->ours);
    watcher_step(w, s, &e);
}

void watcher_heard(struct world *w, struct super *s, const struct conn *c, struct reply *r)
{
    struct sn_event e = {.link = c->ours, .command = r->command, .ok = r->ok, .epoch = r->epoch};
    e.text = slice_of(r->text != NULL ? r->text : "");
    e.kind = SN_EV_ACK;
    if (r->pushed) {
        e.kind = SN_EV_HELLO;
    } else if (r->command == SN_CMD_PING) {
        e.kind = SN_EV_PONG;
        e.pong = r->pong;
    } else if (r->command == SN_CMD_INFO && r->info != NULL) {
        e.kind = SN_EV_INFO;
        e.info = r->info;
    } else if ((r->command == SN_CMD_LEASE || r->command == SN_CMD_LEASE_RETURN) && r->ok) {
        e.kind = SN_EV_LEASE;
        e.told = r->told;
    } else if (r->command == SN_CMD_NODES && r->ok) {
        e.kind = SN_EV_NODES;
    } else if (r->command == SN_CMD_PROBE) {
        e.kind = SN_EV_PROBED;
    } else if (r->command == SN_CMD_ASK || r->command == SN_CMD_BALLOT) {
        e.kind = SN_EV_OPINIONS;
        e.opinions = r->opinions;
        e.count = r->ok ? r->nopinions : 0;
        check_heard_votes(w, s, c->server, r->opinions, e.count);
    } else if (r->swap != NULL) {
        e.kind = SN_EV_SWAP_ANSWER;
        e.group = slice_of(r->group);
        e.swap = r->swap;
    }
    watcher_step(w, s, &e);
}

/* ---- as a server ---- */

/* IS-MASTER-DOWN-BY-ADDR ip port epoch runid|*: it has no other fields. */
static void plainly(const struct said *said, struct sn_event *e, struct sn_ballot *plain)
{
    const struct sn_ballot *b = said->fx.ballots;
    bool vote = b->verb == SN_BALLOT_VOTE;
    *plain = (struct sn_ballot){.verb = vote ? SN_BALLOT_VOTE : SN_BALLOT_DOWN, .down = true, .master = b->master};
    plain->epoch = vote ? b->epoch : said->fx.epoch;
    e->stock = true;
    e->ballots = plain;
    e->count = 1;
    e->epoch = plain->epoch;
    if (!vote)
        e->text = slice_of("");
}

static void question_free(struct question *q)
{
    for (size_t i = 0; i < q->fx.count; i++)
        free((void *)(uintptr_t)q->fx.ballots[i].group);
    free(q->fx.ballots);
    free(q);
}

static void ask_core(struct world *w, struct super *s, struct conn *c, struct said *said, bool copy)
{
    struct question *q = mem_zalloc(sizeof *q);
    struct sn_event e = {.kind = SN_EV_BALLOTS, .ballots = said->fx.ballots, .count = said->fx.count};
    *q = (struct question){.token = ++s->watcher->last_token, .conn = c, .command = said->fx.command, .copy = copy};
    q->next = s->watcher->questions;
    s->watcher->questions = q;
    bool stock = said->fx.command == SN_CMD_ASK;
    /* What the answers need of the questions: by epoch, in order; and, of stock ones, what they were about. */
    q->fx.count = said->fx.count;
    q->fx.ballots = mem_array(NULL, said->fx.count, sizeof *q->fx.ballots);
    for (size_t i = 0; i < said->fx.count; i++) {
        q->fx.ballots[i] = said->fx.ballots[i];
        q->fx.ballots[i].group = stock && said->fx.ballots[i].group != NULL ? mem_strdup(said->fx.ballots[i].group)
                                                                            : NULL;
    }
    e.token = q->token;
    e.text = slice_of(said->fx.text != NULL ? said->fx.text : "");
    e.epoch = said->fx.epoch;
    struct sn_ballot plain;
    if (stock)
        plainly(said, &e, &plain);
    watcher_step(w, s, &e);
}

static void ask_of_swap(struct world *w, struct super *s, struct conn *c, const struct said *said, bool copy)
{
    struct question *q = mem_zalloc(sizeof *q);
    struct sn_event e = {.kind = SN_EV_SWAP, .group = slice_of(said->fx.group), .swap = said->fx.swap};
    *q = (struct question){.token = ++s->watcher->last_token, .conn = c, .command = SN_CMD_SWAP, .copy = copy};
    q->next = s->watcher->questions;
    s->watcher->questions = q;
    e.token = q->token;
    e.text = slice_of(said->fx.text);
    e.epoch = said->fx.epoch;
    watcher_step(w, s, &e);
}

void watcher_asked(struct world *w, struct super *s, struct conn *c, struct said *q, bool copy)
{
    struct reply *r = NULL;
    struct sn_event hello = {.kind = SN_EV_HELLO, .text = slice_of(q->fx.text != NULL ? q->fx.text : "")};
    if (s->watcher->core == NULL)
        return;
    switch (q->fx.command) {
    case SN_CMD_PING: r = reply_new(SN_CMD_PING, true); break;
    case SN_CMD_HELLO:
        r = reply_new(SN_CMD_HELLO, true);
        watcher_step(w, s, &hello);
        break;
    case SN_CMD_PROBE:
        r = reply_new(SN_CMD_PROBE, true);
        r->text = mem_strdup(s->id);
        r->epoch = s->watcher->core->told_epoch;
        break;
    case SN_CMD_ASK:
    case SN_CMD_BALLOT: ask_core(w, s, c, q, copy); break;
    case SN_CMD_SWAP: ask_of_swap(w, s, c, q, copy); break;
    case SN_CMD_GIVE_UP:
    case SN_CMD_TAKE_ON: joint_asked(w, s, c, q, copy); break;
    default: violated(w, "shell", "a supervisor is asked command %d", (int)q->fx.command); break;
    }
    if (r != NULL && !copy && c->server_open)
        net_send(&w->net, c, BACK, &r->l);
    else if (r != NULL)
        letter_release(&r->l);
}

static void answer(struct world *w, struct super *s, const struct question *q, struct sn_effect *e)
{
    if (e->count != q->fx.count)
        violated(w, "shell", "%s answers %zu of %zu ballots", end_name(s->p.end), e->count, q->fx.count);
    if (q->copy || !q->conn->server_open || w->violation != NULL)
        return;
    struct reply *r = reply_new(q->command, true);
    r->opinions = e->opinions;
    r->nopinions = e->count;
    r->text = e->text;
    r->epoch = e->epoch;
    r->swap = e->swap;
    r->group = e->group;
    for (size_t i = 0; i < r->nopinions && i < q->fx.count; i++) {
        const struct sn_ballot *b = &q->fx.ballots[i];
        r->opinions[i].asked_epoch = b->verb == SN_BALLOT_VOTE ? b->epoch : 0;
        r->opinions[i].asked_us = b->asked_us;
        if (q->command != SN_CMD_ASK)
            continue;
        r->opinions[i].master = b->master;
        free((void *)(uintptr_t)r->opinions[i].group);
        r->opinions[i].group = b->group != NULL ? mem_strdup(b->group) : NULL;
    }
    e->opinions = NULL;
    e->count = 0;
    e->text = e->group = NULL;
    e->swap = NULL;
    net_send(&w->net, q->conn, BACK, &r->l);
}

void watcher_answers(struct world *w, struct super *s, struct sn_effect *e)
{
    for (struct question **at = &s->watcher->questions; *at != NULL; at = &(*at)->next) {
        struct question *q = *at;
        if (q->token != e->token)
            continue;
        *at = q->next;
        answer(w, s, q, e);
        question_free(q);
        return;
    }
    violated(w, "shell", "%s answers a question that nobody asked, or twice", end_name(s->p.end));
}

void watcher_forgets(struct super *s)
{
    while (s->watcher->questions != NULL) {
        struct question *q = s->watcher->questions;
        s->watcher->questions = q->next;
        question_free(q);
    }
}
