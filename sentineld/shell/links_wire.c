/* What is said over a link and what comes back: SEND effects to commands, replies to events. */
#include "sentineld/shell/links_inner.h"

#include "common/base/mem.h"
#include "sentineld/shell/wire_lease.h"
#include "sentineld/shell/wire_swap.h"

#include <stdlib.h>
#include <string.h>

/* A command that waits for its reply. */
struct sent {
    enum sn_command command;
    struct sn_opinion *asked; /* of ASK and BALLOT: group and master of each, to be completed by the answer */
    size_t n;
};

/* For commands of which nothing more is to be remembered: most of them, hundreds a second. */
static const struct sent plain[] = {
    [SN_CMD_PING] = {.command = SN_CMD_PING},
    [SN_CMD_INFO] = {.command = SN_CMD_INFO},
    [SN_CMD_HELLO] = {.command = SN_CMD_HELLO},
    [SN_CMD_REPLICAOF] = {.command = SN_CMD_REPLICAOF},
    [SN_CMD_ACCEPT] = {.command = SN_CMD_ACCEPT},
    [SN_CMD_SCRIPT_KILL] = {.command = SN_CMD_SCRIPT_KILL},
    [SN_CMD_FAILOVER] = {.command = SN_CMD_FAILOVER},
    [SN_CMD_FAILOVER_ABORT] = {.command = SN_CMD_FAILOVER_ABORT},
    [SN_CMD_PAUSE] = {.command = SN_CMD_PAUSE},
    [SN_CMD_UNPAUSE] = {.command = SN_CMD_UNPAUSE},
    [SN_CMD_NODES] = {.command = SN_CMD_NODES},
    [SN_CMD_TAKEOVER] = {.command = SN_CMD_TAKEOVER},
    [SN_CMD_CLUSTER_FAILOVER] = {.command = SN_CMD_CLUSTER_FAILOVER},
    [SN_CMD_REPLICATE] = {.command = SN_CMD_REPLICATE},
    [SN_CMD_BUMP_EPOCH] = {.command = SN_CMD_BUMP_EPOCH},
    [SN_CMD_FREEZE] = {.command = SN_CMD_FREEZE},
    [SN_CMD_NO_FAILOVER] = {.command = SN_CMD_NO_FAILOVER},
    [SN_CMD_LEASE] = {.command = SN_CMD_LEASE},
    [SN_CMD_LEASE_RETURN] = {.command = SN_CMD_LEASE_RETURN},
    [SN_CMD_RELEASE] = {.command = SN_CMD_RELEASE},
    [SN_CMD_DBMAP_PREPARE] = {.command = SN_CMD_DBMAP_PREPARE},
    [SN_CMD_DBMAP_APPLY] = {.command = SN_CMD_DBMAP_APPLY},
    [SN_CMD_DBMAP_ABORT] = {.command = SN_CMD_DBMAP_ABORT},
    [SN_CMD_DBMAP_DONE] = {.command = SN_CMD_DBMAP_DONE},
    [SN_CMD_SWAP] = {.command = SN_CMD_SWAP},
    [SN_CMD_PROBE] = {.command = SN_CMD_PROBE},
    [SN_CMD_GIVE_UP] = {.command = SN_CMD_GIVE_UP},
    [SN_CMD_TAKE_ON] = {.command = SN_CMD_TAKE_ON},
};

/* The steps of the reconfiguration transaction, reference section 7. */
enum { STEP_REPLICAOF, STEP_REWRITE, STEP_KILL_NORMAL, STEP_KILL_PUBSUB, STEPS };

struct transaction {
    struct addr master;     /* host "": NO ONE */
    bool without[STEPS];    /* refused when they were queued: the server has not got them, or we may not use them */
    int sent[STEPS], nsent; /* the steps of this try, in order */
    int answered;           /* of them */
    bool again;
};

static void free_sent(struct sent *s)
{
    if (s->asked == NULL)
        return; /* a plain one */
    for (size_t i = 0; i < s->n; i++)
        free((void *)(uintptr_t)s->asked[i].group);
    free(s->asked);
    free(s);
}

static struct slice error_text(const redisReply *r)
{
    return r->type == REDIS_REPLY_ERROR ? (struct slice){r->str, r->len} : (struct slice){NULL, 0};
}

static bool starts_with(struct slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

static enum sn_pong pong_of(const redisReply *r)
{
    static const struct {
        const char *prefix;
        enum sn_pong pong;
    } errors[] = {
        {"LOADING", SN_PONG_LOADING}, {"MASTERDOWN", SN_PONG_MASTERDOWN}, {"BUSY", SN_PONG_BUSY},
        {"NOAUTH", SN_PONG_AUTH},     {"WRONGPASS", SN_PONG_AUTH},        {"NOPERM", SN_PONG_AUTH},
    };
    if (r->type == REDIS_REPLY_STATUS && slice_is((struct slice){r->str, r->len}, "PONG"))
        return SN_PONG_OK;
    struct slice text = error_text(r);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (starts_with(text, errors[i].prefix))
            return errors[i].pong;
    return SN_PONG_ERROR;
}

/* ---- replies ---- */

static void ack(struct link *l, enum sn_command command, bool ok, struct slice text)
{
    struct sn_event e = {.kind = SN_EV_ACK, .link = l->id, .command = command, .ok = ok, .text = text};
    daemon_step(l->all->d, &e);
}

static void got_info(struct link *l, const redisReply *r)
{
    struct slice text = {r->str, r->len};
    struct sn_info info;
    sn_info_init(&info);
    if (r->type != REDIS_REPLY_STRING || !sn_info_parse(&info, text)) {
        ack(l, SN_CMD_INFO, false, error_text(r)); /* the core asks again in time, and PING tells what is the matter */
    } else {
        link_keep_info(l, text);
        struct sn_event e = {.kind = SN_EV_INFO, .link = l->id, .info = &info};
        daemon_step(l->all->d, &e);
    }
    sn_info_free(&info);
}

static void got_nodes(struct link *l, const redisReply *r)
{
    if (r->type != REDIS_REPLY_STRING) {
        ack(l, SN_CMD_NODES, false, error_text(r));
        return;
    }
    struct sn_event e = {.kind = SN_EV_NODES, .link = l->id, .text = {r->str, r->len}};
    daemon_step(l->all->d, &e);
}

static void got_lease(struct link *l, enum sn_command command, const redisReply *r)
{
    struct sn_lease_told told;
    if (!wire_lease_answer(r, &told)) {
        ack(l, command, false, error_text(r));
        return;
    }
    struct sn_event e = {.kind = SN_EV_LEASE, .link = l->id, .command = command, .told = &told};
    daemon_step(l->all->d, &e);
}

static void got_probe(struct link *l, const redisReply *r)
{
    struct wire_answer answer;
    struct sn_event e = {.kind = SN_EV_PROBED, .link = l->id};
    e.ok = wire_ballot_answer(r, &answer);
    e.text = slice_of(answer.id);
    e.epoch = answer.epoch;
    daemon_step(l->all->d, &e);
    wire_answer_free(&answer);
}

static void got_opinions(struct link *l, struct sent *s, const redisReply *r)
{
    struct wire_answer answer;
    struct sn_event e = {.kind = SN_EV_OPINIONS, .link = l->id, .opinions = s->asked};
    bool ok = s->command == SN_CMD_ASK ? wire_ask_answer(r, &answer) : wire_ballot_answer(r, &answer);
    if (ok && answer.n == s->n) {
        for (size_t i = 0; i < s->n; i++) {
            s->asked[i].down = answer.opinions[i].down;
            s->asked[i].leader_epoch = answer.opinions[i].leader_epoch;
            memcpy(s->asked[i].leader, answer.opinions[i].leader, sizeof s->asked[i].leader);
            memcpy(s->asked[i].grant, answer.opinions[i].grant, sizeof s->asked[i].grant);
        }
        e.count = s->n;
        e.text = slice_of(answer.id);
        e.epoch = answer.epoch;
    }
    daemon_step(l->all->d, &e);
    wire_answer_free(&answer);
}

static void got_swap(struct link *l, const redisReply *r)
{
    struct wire_swap answer;
    if (!wire_swap_answer(r, &answer)) {
        ack(l, SN_CMD_SWAP, false, error_text(r));
        return;
    }
    struct sn_event e = {.kind = SN_EV_SWAP_ANSWER, .link = l->id, .group = answer.fleet, .swap = &answer.word};
    e.text = slice_of(answer.id);
    e.epoch = answer.epoch;
    daemon_step(l->all->d, &e);
}

/* What a node says to a step of a swap names the attempt. */
static void got_step(struct link *l, enum sn_command command, const redisReply *r)
{
    bool says = r->type == REDIS_REPLY_STATUS || r->type == REDIS_REPLY_ERROR;
    struct slice text = says ? (struct slice){r->str, r->len} : (struct slice){NULL, 0};
    ack(l, command, r->type == REDIS_REPLY_STATUS, text);
}

static void on_reply(void *owner, struct io_link *io, const redisReply *r, void *arg)
{
    (void)io;
    struct link *l = owner;
    struct sent *s = arg;
    if (r != NULL) { /* otherwise the link is down, which is told by itself */
        switch (s->command) {
        case SN_CMD_PING: {
            struct sn_event e = {.kind = SN_EV_PONG, .link = l->id, .pong = pong_of(r)};
            daemon_step(l->all->d, &e);
            break;
        }
        case SN_CMD_INFO: got_info(l, r); break;
        case SN_CMD_NODES: got_nodes(l, r); break;
        case SN_CMD_LEASE:
        case SN_CMD_LEASE_RETURN: got_lease(l, s->command, r); break;
        case SN_CMD_PROBE: got_probe(l, r); break;
        case SN_CMD_ASK:
        case SN_CMD_BALLOT: got_opinions(l, s, r); break;
        case SN_CMD_SWAP: got_swap(l, r); break;
        case SN_CMD_DBMAP_PREPARE:
        case SN_CMD_DBMAP_APPLY:
        case SN_CMD_DBMAP_ABORT:
        case SN_CMD_DBMAP_DONE: got_step(l, s->command, r); break;
        default: ack(l, s->command, r->type != REDIS_REPLY_ERROR, error_text(r)); break;
        }
    }
    free_sent(s);
}

/* ---- the reconfiguration transaction ---- */

static bool send_transaction(struct link *l, struct transaction *t);

static const char *name_of(const struct link *l, const char *command)
{
    const struct sn_settings *set = link_settings(l);
    return set == NULL ? command : sn_settings_command(set, command);
}

static void on_queued(void *owner, struct io_link *io, const redisReply *r, void *arg)
{
    (void)owner;
    (void)io;
    struct transaction *t = arg;
    if (t == NULL)
        return; /* the answer to MULTI: when that fails, so does EXEC */
    int step = t->sent[t->answered++];
    if (r == NULL || r->type != REDIS_REPLY_ERROR || step == STEP_REPLICAOF)
        return;
    t->without[step] = true;
    t->again = true;
}

static void on_exec(void *owner, struct io_link *io, const redisReply *r, void *arg)
{
    (void)io;
    struct link *l = owner;
    struct transaction *t = arg;
    if (r != NULL && r->type == REDIS_REPLY_ERROR && t->again && send_transaction(l, t))
        return;
    if (r != NULL) {
        bool ok = r->type == REDIS_REPLY_ARRAY && r->elements > 0 && r->element[0]->type != REDIS_REPLY_ERROR;
        const redisReply *why = r->type == REDIS_REPLY_ARRAY && r->elements > 0 ? r->element[0] : r;
        free(t);
        ack(l, SN_CMD_REPLICAOF, ok, error_text(why));
        return;
    }
    free(t);
}

/* Sends what was put together in the request of all links. */
static bool queue(struct link *l, io_reply_fn *fn, void *arg)
{
    struct wire_request *q = &l->all->request;
    bool ok = io_link_send(l->io, q->n, wire_argv(q), fn, arg);
    wire_request_clear(q);
    return ok;
}

static void step_words(const struct link *l, const struct transaction *t, int step, struct wire_request *q)
{
    switch (step) {
    case STEP_REPLICAOF:
        wire_word(q, name_of(l, "SLAVEOF"));
        wire_word(q, t->master.host[0] == '\0' ? "NO" : t->master.host);
        if (t->master.host[0] == '\0')
            wire_word(q, "ONE");
        else
            wire_number(q, t->master.port);
        break;
    case STEP_REWRITE:
        wire_word(q, name_of(l, "CONFIG"));
        wire_word(q, "REWRITE");
        break;
    default:
        wire_word(q, name_of(l, "CLIENT"));
        wire_word(q, "KILL");
        wire_word(q, "TYPE");
        wire_word(q, step == STEP_KILL_NORMAL ? "normal" : "pubsub");
        break;
    }
}

/* A server without CONFIG or CLIENT KILL refuses the whole transaction; the change of role must not fail by that, so it
 * is sent again without what was refused. false: the link takes nothing, and t is the caller's. */
static bool send_transaction(struct link *l, struct transaction *t)
{
    struct wire_request *q = &l->all->request;
    t->nsent = t->answered = 0;
    t->again = false;
    wire_word(q, name_of(l, "MULTI"));
    if (!queue(l, on_queued, NULL))
        return false;
    for (int step = 0; step < STEPS; step++) {
        if (t->without[step])
            continue;
        t->sent[t->nsent++] = step;
        step_words(l, t, step, q);
        queue(l, on_queued, t);
    }
    wire_word(q, name_of(l, "EXEC"));
    queue(l, on_exec, t);
    return true;
}

/* ---- commands ---- */

static void client_words(const struct link *l, const struct sn_effect *e, struct wire_request *q)
{
    wire_word(q, name_of(l, "CLIENT"));
    if (e->command == SN_CMD_UNPAUSE) {
        wire_word(q, "UNPAUSE");
        return;
    }
    wire_word(q, "PAUSE");
    wire_number(q, e->number);
    if (e->flag)
        wire_word(q, "WRITE");
}

static void failover_words(const struct link *l, const struct sn_effect *e, struct wire_request *q)
{
    wire_word(q, name_of(l, "FAILOVER"));
    if (e->command == SN_CMD_FAILOVER_ABORT) {
        wire_word(q, "ABORT");
        return;
    }
    wire_word(q, "TO");
    wire_word(q, e->addr.host);
    wire_number(q, e->addr.port);
    wire_word(q, "TIMEOUT");
    wire_number(q, e->number);
}

/* To a node of a cluster, where no command has another name. */
static void cluster_words(const struct sn_effect *e, struct wire_request *q)
{
    if (e->command == SN_CMD_NO_FAILOVER) {
        wire_word(q, "CONFIG");
        wire_word(q, "SET");
        wire_word(q, "cluster-replica-no-failover");
        wire_word(q, e->flag ? "yes" : "no");
        return;
    }
    if (e->command == SN_CMD_TAKEOVER && e->epoch != 0) {
        size_t n = 0;
        while (e->argv[n + 1] != NULL)
            n++;
        wire_takeover_request(q, e->epoch, e->text, e->flag, e->argv[0], e->argv + 1, n);
        return;
    }
    wire_word(q, "CLUSTER");
    switch (e->command) {
    case SN_CMD_NODES: wire_word(q, "NODES"); break;
    case SN_CMD_BUMP_EPOCH: wire_word(q, "BUMPEPOCH"); break;
    case SN_CMD_FREEZE:
        wire_word(q, "FREEZESLOTMIGRATIONS");
        wire_word(q, e->text);
        wire_number(q, e->number);
        break;
    case SN_CMD_REPLICATE:
        wire_word(q, "REPLICATE");
        wire_word(q, e->text);
        break;
    default:
        wire_word(q, "FAILOVER");
        if (e->command == SN_CMD_TAKEOVER)
            wire_word(q, "TAKEOVER");
    }
}

static const char *own_id(const struct link *l)
{
    return l->all->d->core->id;
}

static void words(const struct link *l, const struct sn_effect *e, struct wire_request *q)
{
    switch (e->command) {
    case SN_CMD_PING: wire_word(q, name_of(l, "PING")); break;
    case SN_CMD_INFO: wire_word(q, name_of(l, "INFO")); break;
    case SN_CMD_HELLO:
        wire_word(q, name_of(l, "PUBLISH"));
        wire_word(q, SN_HELLO_CHANNEL);
        wire_word(q, e->text);
        break;
    case SN_CMD_ACCEPT:
        wire_word(q, name_of(l, "SLAVEOF"));
        wire_word(q, "ACCEPT");
        wire_word(q, e->text);
        break;
    case SN_CMD_SCRIPT_KILL:
        wire_word(q, name_of(l, "SCRIPT"));
        wire_word(q, "KILL");
        break;
    case SN_CMD_FAILOVER:
    case SN_CMD_FAILOVER_ABORT: failover_words(l, e, q); break;
    case SN_CMD_PAUSE:
    case SN_CMD_UNPAUSE: client_words(l, e, q); break;
    case SN_CMD_NODES:
    case SN_CMD_TAKEOVER:
    case SN_CMD_CLUSTER_FAILOVER:
    case SN_CMD_REPLICATE:
    case SN_CMD_BUMP_EPOCH:
    case SN_CMD_FREEZE:
    case SN_CMD_NO_FAILOVER: cluster_words(e, q); break;
    case SN_CMD_LEASE: wire_lease_request(q, own_id(l), e->text, e->number, e->epoch, &e->stamp); break;
    case SN_CMD_LEASE_RETURN: wire_lease_return(q, own_id(l), e->text, e->epoch); break;
    case SN_CMD_RELEASE:
        wire_word(q, "CLUSTER");
        wire_word(q, "RELEASE");
        wire_word(q, own_id(l));
        wire_word(q, e->text);
        break;
    case SN_CMD_GIVE_UP:
    case SN_CMD_TAKE_ON:
        wire_word(q, "SENTINEL");
        wire_word(q, "CLUSTER");
        wire_word(q, e->command == SN_CMD_GIVE_UP ? "RELEASE" : "ADOPT");
        wire_word(q, e->text);
        wire_word(q, "ALONE");
        break;
    case SN_CMD_PROBE:
    case SN_CMD_BALLOT: wire_ballot_request(q, e->text, e->epoch, e->ballots, e->count); break;
    case SN_CMD_SWAP: wire_swap_request(q, e->text, e->epoch, e->group, e->swap); break;
    case SN_CMD_DBMAP_PREPARE:
    case SN_CMD_DBMAP_APPLY:
    case SN_CMD_DBMAP_ABORT:
    case SN_CMD_DBMAP_DONE:
        wire_word(q, "CLUSTER");
        wire_word(q, "DBMAP");
        for (size_t i = 0; e->argv[i] != NULL; i++)
            wire_word(q, e->argv[i]);
        break;
    case SN_CMD_ASK: wire_ask_request(q, e->text, e->epoch, e->ballots); break;
    case SN_CMD_REPLICAOF: break; /* link_say() */
    }
}

static struct sent *remember(const struct sn_effect *e)
{
    if (e->command != SN_CMD_ASK && e->command != SN_CMD_BALLOT)
        return (struct sent *)(uintptr_t)&plain[e->command]; /* only read, and never freed */
    struct sent *s = mem_zalloc(sizeof *s);
    s->command = e->command;
    s->n = e->count;
    s->asked = mem_array(NULL, s->n, sizeof *s->asked);
    for (size_t i = 0; i < s->n; i++) {
        const struct sn_ballot *b = &e->ballots[i];
        s->asked[i] = (struct sn_opinion){.group = b->group == NULL ? NULL : mem_strdup(b->group),
                                          .master = b->master,
                                          .asked_epoch = b->verb == SN_BALLOT_VOTE ? b->epoch : 0,
                                          .asked_us = b->asked_us};
    }
    return s;
}

void link_say(struct link *l, const struct sn_effect *e)
{
    if (e->command == SN_CMD_REPLICAOF) {
        struct transaction *t = mem_zalloc(sizeof *t);
        t->master = e->addr;
        if (!send_transaction(l, t))
            free(t);
        return;
    }
    struct wire_request *q = &l->all->request;
    struct sent *s = remember(e);
    if (e->command == SN_CMD_PING && strcmp(name_of(l, "PING"), "PING") == 0) {
        io_link_ping(l->io, on_reply, s);
        return;
    }
    words(l, e, q);
    if (!queue(l, on_reply, s))
        free_sent(s);
}

static void on_login(void *owner, struct io_link *io, const redisReply *r, void *arg)
{
    (void)io;
    (void)arg;
    struct link *l = owner;
    if (r == NULL || r->type != REDIS_REPLY_ERROR)
        return;
    struct sn_event e = {.kind = SN_EV_AUTH_FAILED, .link = l->id};
    daemon_step(l->all->d, &e);
}

void link_login(struct link *l)
{
    struct wire_request *q = &l->all->request;
    wire_word(q, name_of(l, "AUTH"));
    if (l->user[0] != '\0')
        wire_word(q, l->user);
    wire_word(q, l->pass);
    queue(l, on_login, NULL);
}
