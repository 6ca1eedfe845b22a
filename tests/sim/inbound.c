/* What reaches a supervisor, turned into the events of its core as the daemon's shell does. */
#include "tests/sim/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static void opinions(struct world *w, struct super *s, struct packet *p, struct sn_event *e)
{
    e->kind = SN_EV_OPINIONS;
    e->opinions = p->fx.opinions;
    e->count = p->ok ? p->fx.count : 0;
    if (p->ok)
        check_opinions(w, s, p);
}

static void reply(struct world *w, struct super *s, struct packet *p, struct sn_event *e)
{
    e->command = p->fx.command;
    e->text = slice_of(p->fx.text);
    e->epoch = p->fx.epoch;
    e->ok = p->ok;
    switch (p->fx.command) {
    case SN_CMD_PING:
        e->kind = SN_EV_PONG;
        e->pong = p->pong;
        break;
    case SN_CMD_INFO:
        e->kind = p->info != NULL ? SN_EV_INFO : SN_EV_ACK;
        e->ok = p->info != NULL;
        e->info = p->info;
        break;
    case SN_CMD_PROBE: e->kind = SN_EV_PROBED; break;
    case SN_CMD_ASK:
    case SN_CMD_BALLOT: opinions(w, s, p, e); break;
    default: e->kind = SN_EV_ACK; break;
    }
}

void super_received(struct world *w, struct packet *p)
{
    struct link *l = p->link;
    struct super *s = &w->supers[l->client];
    if (s->life != l->client_life || s->core == NULL || !l->client_open) {
        if (!s->host_down && p->kind != PACKET_TIMEOUT && p->kind != PACKET_FIN)
            net_server_lost(w, l); /* the machine resets a connection that nobody has open */
        net_free(w, p);
        return;
    }
    struct sn_event e = {.link = l->id};
    bool wanted = true;
    switch (p->kind) {
    case PACKET_SYN_ACK:
        l->connected = true;
        e.kind = SN_EV_LINK_UP;
        e.ip = end_is_super(l->server) ? w->supers[l->server].addr.host : w->nodes[l->server - MAX_SUPERS].addr.host;
        e.local_ip = s->addr.host;
        break;
    case PACKET_TIMEOUT:
        wanted = !l->connected;
        if (wanted)
            net_server_lost(w, l);
        /* fall through */
    case PACKET_FIN:
        e.kind = SN_EV_LINK_DOWN;
        e.why = p->why;
        if (wanted)
            l->client_open = false;
        break;
    case PACKET_PUSH:
        e.kind = SN_EV_HELLO;
        e.text = slice_of(p->fx.text);
        break;
    case PACKET_REPLY: reply(w, s, p, &e); break;
    case PACKET_SYN:
    case PACKET_REQUEST: wanted = false; break;
    }
    if (wanted)
        super_step(w, s, &e);
    net_free(w, p);
}

/* --- as a server --- */

static sn_token note_question(struct world *w, struct super *s, const struct packet *p, size_t count)
{
    struct asked *a = mem_zalloc(sizeof *a);
    a->came = ++w->said;
    a->token = ++s->last_token;
    a->link = p->link;
    a->command = p->fx.command;
    a->copy = p->copy;
    a->fx = p->fx;
    a->fx.count = count;
    a->next = s->asked;
    s->asked = a;
    return a->token;
}

static void ask_core(struct world *w, struct super *s, struct packet *p)
{
    bool stock = p->fx.command == SN_CMD_ASK;
    const struct sn_ballot *b = p->fx.ballots;
    note_question(w, s, p, p->fx.count);
    struct asked *a = s->asked;
    p->fx = (struct sn_effect){.kind = SN_FX_SEND, .command = a->command};
    struct sn_event e = {.kind = SN_EV_BALLOTS, .token = a->token, .stock = stock, .ballots = b, .count = a->fx.count};
    e.text = slice_of(a->fx.text);
    e.epoch = a->fx.epoch;
    struct sn_ballot plain;
    if (stock) {
        /* IS-MASTER-DOWN-BY-ADDR ip port epoch runid|*: it has no other fields. */
        bool vote = b->verb == SN_BALLOT_VOTE;
        plain = (struct sn_ballot){.verb = vote ? SN_BALLOT_VOTE : SN_BALLOT_DOWN,
                                   .down = true,
                                   .master = b->master,
                                   .epoch = vote ? b->epoch : a->fx.epoch};
        e.ballots = &plain;
        e.count = 1;
        e.epoch = plain.epoch;
        if (!vote)
            e.text = slice_of("");
    }
    check_ballots(w, s, p, e.ballots, e.count);
    super_step(w, s, &e);
}

void super_asked(struct world *w, struct packet *p)
{
    struct super *s = &w->supers[p->link->server];
    if (s->core == NULL) {
        net_free(w, p);
        return;
    }
    struct packet *answer = NULL;
    switch (p->fx.command) {
    case SN_CMD_PING: answer = net_answer(w, p); break;
    case SN_CMD_HELLO: {
        struct sn_event e = {.kind = SN_EV_HELLO, .text = slice_of(p->fx.text)};
        answer = net_answer(w, p);
        super_step(w, s, &e);
        break;
    }
    case SN_CMD_PROBE:
        answer = net_answer(w, p);
        if (answer != NULL && s->as_stock)
            answer->ok = false;
        else if (answer != NULL) {
            answer->fx.text = mem_strdup(s->id);
            answer->fx.epoch = s->core->told_epoch;
        }
        break;
    case SN_CMD_BALLOT:
    case SN_CMD_ASK: ask_core(w, s, p); break;
    default: violated(w, "shell", "a supervisor is asked %s", command_name(p->fx.command)); break;
    }
    if (answer != NULL)
        net_send(w, answer);
    net_free(w, p);
}

/* The asker knows what it asked: in which epoch for a vote, and, since a stock answer names nothing, about whom. */
static void complete(const struct asked *a, struct sn_effect *fx)
{
    for (size_t i = 0; i < fx->count && i < a->fx.count; i++) {
        const struct sn_ballot *b = &a->fx.ballots[i];
        struct sn_opinion *o = &fx->opinions[i];
        o->asked_epoch = b->verb == SN_BALLOT_VOTE ? b->epoch : 0;
        o->asked_us = b->asked_us;
        if (a->command != SN_CMD_ASK)
            continue;
        o->master = b->master;
        free((void *)(uintptr_t)o->group);
        o->group = b->group != NULL ? mem_strdup(b->group) : NULL;
    }
}

void super_answers(struct world *w, struct super *s, struct sn_effect *e)
{
    for (struct asked **at = &s->asked; *at != NULL; at = &(*at)->next) {
        struct asked *a = *at;
        if (a->token != e->token)
            continue;
        *at = a->next;
        struct packet question = {.link = a->link, .copy = a->copy, .fx.command = a->command};
        struct packet *p = net_answer(w, &question);
        bool voted = false;
        for (size_t i = 0; i < e->count; i++)
            voted = voted || (e->opinions[i].leader[0] != '\0' && runid_cmp(e->opinions[i].leader, s->id) != 0);
        if (voted && s->disk.crash_voted)
            disk_crash_soon(w, s, w->now_us + (int64_t)rng_below(&w->rng, 500));
        if (e->count != a->fx.count)
            violated(w, "shell", "s%d answers %zu of %zu ballots", s->index + 1, e->count, a->fx.count);
        if (p != NULL) {
            p->fx = *e;
            p->fx.command = a->command;
            p->said = a->came;
            *e = (struct sn_effect){.kind = SN_FX_ANSWER_BALLOTS};
            complete(a, &p->fx);
            net_send(w, p);
        }
        sn_effect_free(&a->fx);
        free(a);
        return;
    }
    violated(w, "shell", "s%d answers a question that nobody asked, or twice", s->index + 1);
}

/* A candidate whose own vote takes long to reach its disk asks for the others' late: a voter may have crashed and come
 * back since it gave its vote of that epoch to somebody else. Real candidates are seldom so late; this one is played,
 * in the stock form, and its answer goes nowhere. */
static void late_candidate(struct world *w, struct happening *h)
{
    struct super *s = (struct super *)((char *)h - offsetof(struct super, again));
    for (int i = 0; i < w->plan.groups && s->core != NULL && !s->stopped; i++) {
        const struct disk_group *d = &s->disk.groups[i];
        const struct forgotten *f = &s->forgotten[i];
        bool lost = f->epoch > d->vote_epoch;
        const char *leader = lost ? f->leader : d->vote_leader;
        const struct sn_group *g = sn_group_find(s->core, slice_of(w->groups[i].name));
        const struct super *late = &w->supers[(s->index + 1) % w->plan.supers];
        if (runid_cmp(late->id, leader) == 0)
            late = &w->supers[(s->index + 2) % w->plan.supers];
        if (g == NULL || leader[0] == '\0' || late == s || runid_cmp(late->id, leader) == 0)
            continue;
        w->counts[lost ? COUNT_WIPED_ASKED : COUNT_ASKED_AGAIN]++;
        struct sn_ballot b = {
            .verb = SN_BALLOT_VOTE, .master = sn_current_master(g), .epoch = lost ? f->epoch : d->vote_epoch};
        struct packet question = {.copy = true, .fx.command = SN_CMD_ASK};
        struct sn_event e = {.kind = SN_EV_BALLOTS, .stock = true, .ballots = &b, .count = 1, .epoch = b.epoch};
        e.text = slice_of(late->id);
        e.token = note_question(w, s, &question, 1);
        super_step(w, s, &e);
    }
}

void super_asked_again(struct world *w, struct super *s)
{
    /* One that has lost its vote may take its time until it votes again. */
    int64_t within = s->disk.joined ? MS(100) : rng_skewed(&w->rng, MS(10), SECONDS(6));
    happen(w, &s->again, w->now_us + (int64_t)rng_below(&w->rng, (uint64_t)within), late_candidate);
}

void super_forget_questions(struct super *s)
{
    while (s->asked != NULL) {
        struct asked *a = s->asked;
        s->asked = a->next;
        sn_effect_free(&a->fx);
        free(a);
    }
}
