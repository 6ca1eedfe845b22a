/* A world written down: the last lines of what happened, for the eyes of whoever looks for a fault. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define LINES 500

struct record {
    char *line[LINES];
    size_t n;
    bool at_once;
};

struct record *record_new(bool at_once)
{
    struct record *r = mem_zalloc(sizeof *r);
    r->at_once = at_once;
    return r;
}

void record_free(struct record *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < LINES; i++)
        free(r->line[i]);
    free(r);
}

void record_print(const struct record *r)
{
    if (r->at_once)
        return;
    size_t from = r->n > LINES ? r->n - LINES : 0;
    for (size_t i = from; i < r->n; i++)
        printf("%s\n", r->line[i % LINES]);
}

void record_line(struct world *w, const char *who, const char *fmt, ...)
{
    struct record *r = w->record;
    struct buf b = {0};
    buf_printf(&b, "%11.6f %-8s ", (double)w->now_us / 1e6, who);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    free(r->line[r->n % LINES]);
    r->line[r->n++ % LINES] = mem_strdup(buf_str(&b));
    if (r->at_once)
        printf("%s\n", buf_str(&b));
    buf_free(&b);
}

const char *end_name(const struct world *w, int end)
{
    static char names[8][16];
    static unsigned next;
    char *name = names[next++ % 8];
    if (end_is_super(end)) {
        snprintf(name, sizeof names[0], "s%d", end + 1);
    } else {
        const struct node *n = &w->nodes[end - MAX_SUPERS];
        snprintf(name, sizeof names[0], "%s.n%d", w->groups[n->group].name, n->index - w->groups[n->group].first + 1);
    }
    return name;
}

const char *addr_name(const struct world *w, const struct addr *a)
{
    for (int i = 0; i < w->nnodes; i++)
        if (addr_eq(&w->nodes[i].addr, a))
            return end_name(w, end_of_node(i));
    for (int i = 0; i < w->plan.supers; i++)
        if (addr_eq(&w->supers[i].addr, a))
            return end_name(w, i);
    return a->host[0] == '\0' ? "nobody" : a->host;
}

const char *command_name(enum sn_command c)
{
    static const char *const names[] = {
        [SN_CMD_PING] = "PING",
        [SN_CMD_INFO] = "INFO",
        [SN_CMD_HELLO] = "HELLO",
        [SN_CMD_REPLICAOF] = "REPLICAOF",
        [SN_CMD_SCRIPT_KILL] = "SCRIPT KILL",
        [SN_CMD_FAILOVER] = "FAILOVER",
        [SN_CMD_FAILOVER_ABORT] = "FAILOVER ABORT",
        [SN_CMD_PAUSE] = "PAUSE",
        [SN_CMD_UNPAUSE] = "UNPAUSE",
        [SN_CMD_PROBE] = "PROBE",
        [SN_CMD_ASK] = "ASK",
        [SN_CMD_BALLOT] = "BALLOT",
    };
    return names[c];
}

static const char *id_name(const struct world *w, const char *id)
{
    for (int i = 0; i < w->plan.supers; i++) {
        if (strcmp(w->supers[i].id, id) == 0)
            return end_name(w, i);
        for (size_t k = 0; k < w->supers[i].nformer; k++)
            if (strcmp(w->supers[i].former[k], id) == 0)
                return end_name(w, i);
    }
    return id[0] == '\0' ? "*" : id;
}

static void put_ballots(const struct world *w, struct buf *b, const struct sn_ballot *v, size_t n)
{
    static const char *const verbs[] = {[SN_BALLOT_DOWN] = "down",
                                        [SN_BALLOT_UP] = "up",
                                        [SN_BALLOT_VOTE] = "vote",
                                        [SN_BALLOT_CANCEL] = "cancel",
                                        [SN_BALLOT_RETURNED] = "returned"};
    for (size_t i = 0; i < n; i++) {
        buf_printf(b, " %s(%s %s", verbs[v[i].verb], v[i].group != NULL ? v[i].group : "-", addr_name(w, &v[i].master));
        if (v[i].verb == SN_BALLOT_VOTE || v[i].verb == SN_BALLOT_CANCEL)
            buf_printf(b, " epoch %llu", (unsigned long long)v[i].epoch);
        if (v[i].verb == SN_BALLOT_VOTE)
            buf_printf(b, " for %s", addr_name(w, &v[i].candidate));
        buf_puts(b, ")");
    }
}

static void put_opinions(const struct world *w, struct buf *b, const struct sn_opinion *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, " (%s %s %s, vote %s epoch %llu)", v[i].group != NULL ? v[i].group : "-",
                   addr_name(w, &v[i].master), v[i].down ? "down" : "up", id_name(w, v[i].leader),
                   (unsigned long long)v[i].leader_epoch);
}

static const char *other_end(const struct world *w, const struct super *s, sn_link id)
{
    const struct link *l = id < s->cap_links ? s->links[id] : NULL;
    return l != NULL ? end_name(w, l->server) : "?";
}

static void put_info(const struct world *w, struct buf *b, const struct sn_info *i)
{
    buf_printf(b, " run %.4s %s", i->run_id, i->role == SN_ROLE_MASTER ? "master" : "replica");
    if (i->role == SN_ROLE_REPLICA)
        buf_printf(b, " of %s, link %s", addr_name(w, &i->master), i->master_link_up ? "up" : "down");
    buf_printf(b, ", %lld keys, offset %lld of %.4s%s%s", (long long)i->keys, (long long)i->repl_offset, i->replid,
               i->loading ? ", loading" : "", i->failover_running ? ", failover runs" : "");
}

static void put_reload(const struct world *w, struct buf *b, const struct sn_reload *r)
{
    for (size_t i = 0; i < r->nremove; i++)
        buf_printf(b, " without %s;", r->remove[i]);
    for (size_t i = 0; i < r->nadd; i++)
        buf_printf(b, " %s at %s;", r->add[i].name, addr_name(w, &r->add[i].master));
    for (size_t i = 0; i < r->nset; i++)
        for (size_t k = 0; k < r->set[i].n; k++)
            buf_printf(b, " %s %s %s;", r->set[i].group, r->set[i].words[k].option, r->set[i].words[k].value);
}

static void put_request(const struct world *w, struct buf *b, const struct sn_event *e)
{
    int n = (int)e->group.n;
    const char *group = e->group.n > 0 ? e->group.p : "";
    switch (e->kind) {
    case SN_EV_VERDICT:
        buf_printf(b, "hook: %s to %.*s in epoch %llu", e->ok ? "yes" : "no", n, group, (unsigned long long)e->epoch);
        break;
    case SN_EV_HOOKS: buf_printf(b, "hooks: they %s asked", e->ok ? "are" : "are not"); break;
    case SN_EV_MONITOR:
        buf_printf(b, "operator: MONITOR %.*s %s %lld", n, group, addr_name(w, &e->addr), (long long)e->number);
        break;
    case SN_EV_PAUSE: buf_printf(b, "operator: PAUSE %.*s %lld", n, group, (long long)e->number); break;
    case SN_EV_RESUME: buf_printf(b, "operator: RESUME %.*s", n, group); break;
    case SN_EV_REMOVE: buf_printf(b, "operator: REMOVE %.*s", n, group); break;
    case SN_EV_SET:
        buf_printf(b, "operator: SET %.*s", n, group);
        for (size_t i = 0; i < e->count; i++)
            buf_printf(b, " %.*s", (int)e->argv[i].n, e->argv[i].p);
        break;
    case SN_EV_RELOAD:
        buf_puts(b, "operator: reads the file again:");
        put_reload(w, b, e->reload);
        break;
    case SN_EV_RESET: buf_puts(b, "operator: RESET"); break;
    case SN_EV_SIMULATE: buf_printf(b, "operator: SIMULATE-FAILURE %lld", (long long)e->number); break;
    default: buf_printf(b, "operator: request of kind %d", e->kind); break;
    }
}

void record_event(struct world *w, const struct super *s, const struct sn_event *e)
{
    /* Nothing is learnt from every heartbeat. */
    if (e->kind == SN_EV_TICK || (e->kind == SN_EV_PONG && e->pong == SN_PONG_OK) ||
        (e->kind == SN_EV_ACK && e->command == SN_CMD_HELLO && e->ok))
        return;
    static const char *const pongs[] = {"PONG", "LOADING", "MASTERDOWN", "BUSY", "AUTH", "ERROR"};
    struct buf b = {0};
    buf_puts(&b, "<- ");
    switch (e->kind) {
    case SN_EV_LINK_UP:
        buf_printf(&b, "%s: link %llu up", other_end(w, s, e->link), (unsigned long long)e->link);
        break;
    case SN_EV_LINK_DOWN:
        buf_printf(&b, "%s: link %llu down, %s", other_end(w, s, e->link), (unsigned long long)e->link,
                   sn_down_why_name(e->why));
        break;
    case SN_EV_PONG: buf_printf(&b, "%s: %s", other_end(w, s, e->link), pongs[e->pong]); break;
    case SN_EV_INFO:
        buf_printf(&b, "%s: INFO", other_end(w, s, e->link));
        put_info(w, &b, e->info);
        break;
    case SN_EV_HELLO: buf_printf(&b, "hello %.*s", (int)e->text.n, e->text.p); break;
    case SN_EV_ACK:
        buf_printf(&b, "%s: %s %s", other_end(w, s, e->link), command_name(e->command), e->ok ? "OK" : "ERR");
        break;
    case SN_EV_PROBED:
        buf_printf(&b, "%s: is %s", other_end(w, s, e->link), e->ok ? "one of ours" : "a stock sentinel");
        break;
    case SN_EV_OPINIONS:
        buf_printf(&b, "%s answers", other_end(w, s, e->link));
        put_opinions(w, &b, e->opinions, e->count);
        break;
    case SN_EV_BALLOTS:
        buf_printf(&b, "%.4s asks (epoch %llu%s)", e->text.n > 0 ? e->text.p : "*   ", (unsigned long long)e->epoch,
                   e->stock ? ", stock form" : "");
        put_ballots(w, &b, e->ballots, e->count);
        break;
    case SN_EV_PERSISTED: buf_printf(&b, "disk: persisted %llu", (unsigned long long)e->seq); break;
    case SN_EV_PERSIST_FAILED: buf_printf(&b, "disk: failed %llu", (unsigned long long)e->seq); break;
    case SN_EV_FAILOVER:
        buf_printf(&b, "operator: FAILOVER %.*s%s", (int)e->group.n, e->group.p, e->coordinated ? " COORDINATED" : "");
        break;
    default: put_request(w, &b, e); break;
    }
    record_line(w, end_name(w, s->index), "%s", buf_str(&b));
    buf_free(&b);
}

static void put_record(const struct world *w, struct buf *b, const struct sn_record *r)
{
    if (r->kind == SN_REC_META)
        buf_printf(b, " epoch %llu%s;", (unsigned long long)r->epoch, r->joined ? " joined" : "");
    else if (r->kind == SN_REC_GROUP && !r->monitored)
        buf_printf(b, " %s removed;", r->group);
    else if (r->kind == SN_REC_OPTION || r->kind == SN_REC_FILE)
        buf_printf(b, " %s %s %s;", r->group, r->option, r->value != NULL ? r->value : "gone");
    else if (r->kind == SN_REC_GROUP)
        buf_printf(b, " %s master %s config %llu vote %s epoch %llu;", r->group, addr_name(w, &r->master),
                   (unsigned long long)r->config_epoch, id_name(w, r->vote_leader), (unsigned long long)r->vote_epoch);
    else if (r->kind == SN_REC_MEMBERS)
        buf_printf(b, " %s: %zu replicas, %zu peers;", r->group, r->nreplicas, r->npeers);
}

static void put_send(const struct world *w, const struct super *s, struct buf *b, const struct sn_effect *e)
{
    buf_printf(b, "%s %s", other_end(w, s, e->link), command_name(e->command));
    if (e->command == SN_CMD_REPLICAOF || e->command == SN_CMD_FAILOVER)
        buf_printf(b, " %s", addr_name(w, &e->addr));
    if (e->command == SN_CMD_HELLO)
        buf_printf(b, " %s", e->text);
    if (e->command == SN_CMD_PAUSE || e->command == SN_CMD_FAILOVER)
        buf_printf(b, " %lld ms", (long long)e->number);
    put_ballots(w, b, e->ballots, e->ballots != NULL ? e->count : 0);
}

void record_effect(struct world *w, const struct super *s, const struct sn_effect *e)
{
    if (e->kind == SN_FX_SEND && (e->command == SN_CMD_PING || e->command == SN_CMD_INFO))
        return;
    struct buf b = {0};
    buf_puts(&b, "-> ");
    switch (e->kind) {
    case SN_FX_CONNECT:
        buf_printf(&b, "%s connect as %llu%s", addr_name(w, &e->addr), (unsigned long long)e->link,
                   e->subscribe ? " (subscription)" : "");
        break;
    case SN_FX_DISCONNECT:
        buf_printf(&b, "%s disconnect %llu", other_end(w, s, e->link), (unsigned long long)e->link);
        break;
    case SN_FX_SEND: put_send(w, s, &b, e); break;
    case SN_FX_PERSIST:
        buf_printf(&b, "disk %llu:", (unsigned long long)e->seq);
        for (size_t i = 0; i < e->count; i++)
            put_record(w, &b, &e->records[i]);
        break;
    case SN_FX_PUBLISH: buf_printf(&b, "%s %s", e->name, e->text != NULL ? e->text : ""); break;
    case SN_FX_ANSWER: buf_printf(&b, "operator: %s", e->answer == SN_ANSWER_ERROR ? e->text : "OK"); break;
    case SN_FX_ANSWER_BALLOTS:
        buf_puts(&b, "answers");
        put_opinions(w, &b, e->opinions, e->count);
        break;
    case SN_FX_SCRIPT: buf_puts(&b, "script"); break;
    case SN_FX_VETO: buf_printf(&b, "asks its hook: %s, %lld ms", e->text, (long long)e->number); break;
    case SN_FX_NOTE: buf_printf(&b, "notes %s", sn_note_kind_name(e->note->kind)); break;
    case SN_FX_EXIT: buf_puts(&b, "exit"); break;
    default: buf_printf(&b, "effect of kind %d", e->kind); break;
    }
    record_line(w, end_name(w, s->index), "%s", buf_str(&b));
    buf_free(&b);
}
