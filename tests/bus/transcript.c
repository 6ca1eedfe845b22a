/* A world written down: the last lines of what happened, for the eyes of whoever looks for a fault. */
#include "tests/bus/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define LINES 600

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
    buf_printf(&b, "%11.6f %-8s ", (double)w->time.now_us / 1e6, who);
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

static char *next_name(void)
{
    static char names[8][24];
    static unsigned next;
    return names[next++ % 8];
}

const char *node_name(int index)
{
    char *name = next_name();
    snprintf(name, 24, "n%d", index + 1);
    return name;
}

/* A node's name, with a mark when the id is one that it had before; of unknown ids their first digits. */
const char *id_name(struct world *w, const struct cl_id *id)
{
    char *name = next_name(), text[CL_ID_DIGITS + 1];
    const struct node *n = node_of_id(w, id);
    if (cl_id_is_none(id))
        snprintf(name, 24, "nobody");
    else if (n != NULL)
        snprintf(name, 24, "n%d", n->index + 1);
    else
        snprintf(name, 24, "%s%.8s", check_id(w, id) >= 0 ? "former " : "", cl_id_text(id, text));
    return name;
}

/* The first digits of its name. */
static const char *job_name(const struct cl_id *job)
{
    char *name = next_name(), text[CL_ID_DIGITS + 1];
    snprintf(name, 24, "%.6s", cl_id_text(job, text));
    return name;
}

static int slots_of(const uint8_t *map)
{
    int count = 0;
    for (int i = 0; i < CL_SLOTS; i++)
        count += cl_bit(map, i);
    return count;
}

static void put_flags(struct buf *b, unsigned flags)
{
    static const char *const names[] = {"master", "replica", "pfail", "fail",       "myself",    "handshake",
                                        "noaddr", "meet",    "to",    "nofailover", "extensions"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags >> i & 1 && i != 4 && i != 10 && i != 8)
            buf_printf(b, " %s", names[i]);
}

/* What a message says, in one line. */
static void put_message(struct world *w, struct buf *b, struct slice bytes)
{
    struct cl_message m;
    const char *why = "";
    if (cl_wire_read(bytes.p, bytes.n, &m, &why) != CL_READ_OK) {
        buf_printf(b, "%zu bytes: %s", bytes.n, why);
        return;
    }
    const struct cl_header *h = &m.head;
    buf_printf(b, "%s of %s, epochs %llu/%llu, %d slots,", cl_wire_type_name(h->type), id_name(w, &h->sender),
               (unsigned long long)h->config_epoch, (unsigned long long)h->current_epoch, slots_of(h->slots));
    put_flags(b, h->flags);
    if (!cl_id_is_none(&h->master))
        buf_printf(b, " of %s", id_name(w, &h->master));
    buf_printf(b, ", offset %llu%s", (unsigned long long)h->offset, h->ok ? "" : ", not ok");
    if (h->type == CL_FAIL)
        buf_printf(b, ": about %s", id_name(w, &m.node));
    if (h->type == CL_UPDATE)
        buf_printf(b, ": %s has %d slots at %llu", id_name(w, &m.node), slots_of(m.slots), (unsigned long long)m.epoch);
    struct cl_gossip g;
    for (size_t i = 0; i < h->gossip; i++)
        if (cl_wire_gossip(&m, i, &g) && (g.flags & (CL_PFAIL | CL_FAILED)) != 0) {
            buf_printf(b, "; %s is", id_name(w, &g.id));
            put_flags(b, g.flags);
        }
}

static void put_command(struct world *w, struct buf *b, const struct cl_command *c)
{
    static const char *const verbs[] = {
        [CL_MEET_NODE] = "MEET",
        [CL_FORGET] = "FORGET",
        [CL_ADDSLOTS] = "ADDSLOTS",
        [CL_DELSLOTS] = "DELSLOTS",
        [CL_FLUSHSLOTS] = "FLUSHSLOTS",
        [CL_SETSLOT_MIGRATING] = "SETSLOT MIGRATING",
        [CL_SETSLOT_IMPORTING] = "SETSLOT IMPORTING",
        [CL_SETSLOT_STABLE] = "SETSLOT STABLE",
        [CL_SETSLOT_NODE] = "SETSLOT NODE",
        [CL_REPLICATE] = "REPLICATE",
        [CL_FAILOVER] = "FAILOVER",
        [CL_RESET] = "RESET",
        [CL_BUMPEPOCH] = "BUMPEPOCH",
        [CL_SET_CONFIG_EPOCH] = "SET-CONFIG-EPOCH",
        [CL_SAVECONFIG] = "SAVECONFIG",
        [CL_MIGRATE_SLOTS] = "MIGRATESLOTS",
        [CL_CANCEL_MIGRATIONS] = "CANCELSLOTMIGRATIONS",
        [CL_DBMAP_PREPARE] = "DBMAP PREPARE",
        [CL_DBMAP_APPLY] = "DBMAP APPLY",
        [CL_DBMAP_ABORT] = "DBMAP ABORT",
        [CL_DBMAP_DONE] = "DBMAP DONE",
        [CL_SWAP_WISH] = "SWAPDB",
        [CL_LEASE] = "LEASE",
        [CL_TAKEOVER] = "TAKEOVER",
        [CL_RELEASE] = "RELEASE",
        [CL_FREEZE] = "FREEZESLOTMIGRATIONS",
    };
    struct cl_id id;
    _Static_assert(sizeof verbs / sizeof *verbs == CL_FREEZE + 1, "a verb has no name");
    buf_printf(b, " %s", verbs[c->verb]);
    if (cl_id_parse(c->node, &id))
        buf_printf(b, " %s", id_name(w, &id));
    buf_printf(b, " %.*s%s%s%s", (int)c->ip.n, c->ip.n > 0 ? c->ip.p : "", c->force ? " force" : "",
               c->takeover ? " takeover" : "", c->hard ? " hard" : "");
    if (c->verb >= CL_DBMAP_PREPARE && c->verb <= CL_SWAP_WISH)
        buf_printf(b, "%lld (%d, %d)", (long long)c->number, c->database_a, c->database_b);
}

void record_event(struct world *w, const struct node *n, const struct cl_event *e)
{
    static const char *const names[] = {[CL_EV_TIME] = "time",
                                        [CL_EV_LINK_UP] = "link up",
                                        [CL_EV_LINK_DOWN] = "link down",
                                        [CL_EV_ACCEPTED] = "accepted",
                                        [CL_EV_MESSAGE] = "hears",
                                        [CL_EV_PERSISTED] = "persisted",
                                        [CL_EV_PERSIST_FAILED] = "persist failed",
                                        [CL_EV_COMMAND] = "command",
                                        [CL_EV_SETTINGS] = "settings",
                                        [CL_EV_JOB] = "job",
                                        [CL_EV_SLOT_KEYS] = "keys",
                                        [CL_EV_PUBLISH] = "publish"};
    static const char *const news[] = {[CL_JOB_IS_SNAPSHOTTING] = "snapshotting",
                                       [CL_JOB_IS_STREAMING] = "streaming",
                                       [CL_JOB_IS_NEAR] = "near",
                                       [CL_JOB_IS_DRAINED] = "drained",
                                       [CL_JOB_IS_ASKED] = "asked",
                                       [CL_JOB_IS_GRANTED] = "granted",
                                       [CL_JOB_IS_LOST] = "lost"};
    struct buf b = {0};
    if (e->kind == CL_EV_TIME)
        return;
    buf_printf(&b, "<- %s", names[e->kind]);
    if (e->kind == CL_EV_LINK_UP || e->kind == CL_EV_LINK_DOWN || e->kind == CL_EV_ACCEPTED)
        buf_printf(&b, " %s%llu, %s", (e->link & CL_INCOMING) != 0 ? "in" : "out",
                   (unsigned long long)(e->link & ~CL_INCOMING), e->ip);
    if (e->kind == CL_EV_MESSAGE) {
        buf_puts(&b, " ");
        put_message(w, &b, e->bytes);
    }
    if (e->kind == CL_EV_PERSISTED || e->kind == CL_EV_PERSIST_FAILED)
        buf_printf(&b, " %llu", (unsigned long long)e->seq);
    if (e->kind == CL_EV_COMMAND)
        put_command(w, &b, e->command);
    if (e->kind == CL_EV_JOB)
        buf_printf(&b, " %s is %s %llu %.*s", job_name(&e->job), news[e->news], (unsigned long long)e->seq,
                   (int)e->bytes.n, e->bytes.n > 0 ? e->bytes.p : "");
    record_line(w, node_name(n->index), "%s", buf_str(&b));
    buf_free(&b);
}

static void put_effect(struct world *w, struct buf *b, const struct cl_effect *e)
{
    struct slice text = cl_effect_text(e);
    switch (e->kind) {
    case CL_FX_CONNECT: buf_printf(b, "connect out%llu, %s", (unsigned long long)e->link, e->ip); break;
    case CL_FX_DISCONNECT:
        buf_printf(b, "disconnect %s%llu", (e->link & CL_INCOMING) != 0 ? "in" : "out",
                   (unsigned long long)(e->link & ~CL_INCOMING));
        break;
    case CL_FX_SEND:
        buf_printf(b, "%s%llu ", (e->link & CL_INCOMING) != 0 ? "in" : "out",
                   (unsigned long long)(e->link & ~CL_INCOMING));
        put_message(w, b, text);
        break;
    case CL_FX_PERSIST: buf_printf(b, "persist %llu", (unsigned long long)e->seq); break;
    case CL_FX_FOLLOW: buf_printf(b, "FOLLOW %s %s", id_name(w, &e->node), e->ip); break;
    case CL_FX_PROMOTE: buf_puts(b, "PROMOTE"); break;
    case CL_FX_EMPTY: buf_puts(b, "EMPTY"); break;
    case CL_FX_DROP_SLOTS: buf_printf(b, "DROP %d slots", slots_of(cl_effect_slots(e))); break;
    case CL_FX_ANSWER: buf_printf(b, "answers %c%.*s", e->ok ? '+' : '-', (int)text.n, text.p); break;
    case CL_FX_STATE:
        buf_printf(b, "STATE %s %.*s", e->ok ? "ok" : "fail", (int)text.n, text.n > 0 ? text.p : "");
        break;
    case CL_FX_PAUSE: buf_printf(b, "PAUSE until %lld", (long long)e->until_us); break;
    case CL_FX_UNPAUSE: buf_puts(b, "UNPAUSE"); break;
    case CL_FX_PUBLISH: buf_puts(b, "PUBLISH"); break;
    case CL_FX_JOB_EXPORT:
        buf_printf(b, "EXPORT %s, %d slots, to %s %s", job_name(&e->job), slots_of(cl_effect_slots(e)),
                   id_name(w, &e->node), e->ip);
        break;
    case CL_FX_JOB_DRAIN: buf_printf(b, "DRAIN %s", job_name(&e->job)); break;
    case CL_FX_JOB_RESUME: buf_printf(b, "RESUME %s", job_name(&e->job)); break;
    case CL_FX_JOB_GRANT: buf_printf(b, "GRANT %s at %llu", job_name(&e->job), (unsigned long long)e->seq); break;
    case CL_FX_JOB_ACCEPT:
    case CL_FX_JOB_STOP:
        buf_printf(b, "%s %s, %s%.*s", e->kind == CL_FX_JOB_ACCEPT ? "ACCEPT" : "STOP", job_name(&e->job),
                   e->ok ? "ok" : "not ok: ", (int)text.n, text.n > 0 ? text.p : "");
        break;
    case CL_FX_SLOTS_SHOW: buf_printf(b, "SHOW %d slots", slots_of(cl_effect_slots(e))); break;
    case CL_FX_SLOTS_FORGET: buf_printf(b, "FORGET what came of %d slots", slots_of(cl_effect_slots(e))); break;
    case CL_FX_SWAPDB: buf_printf(b, "SWAPDB %d %d EPOCH %llu", e->a, e->b, (unsigned long long)e->seq); break;
    case CL_FX_SLOT_KEYS: buf_printf(b, "keys of slot %d, asked by %s", e->a, id_name(w, &e->node)); break;
    case CL_FX_LOG: buf_printf(b, "log: %.*s", (int)text.n, text.p); break;
    }
}

void record_effect(struct world *w, const struct node *n, const struct cl_effect *e)
{
    struct buf b = {0};
    buf_puts(&b, "-> ");
    put_effect(w, &b, e);
    record_line(w, node_name(n->index), "%s", buf_str(&b));
    buf_free(&b);
}
