#include "nodectl/slots/survey.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/info.h"
#include "nodectl/reply_json.h"
#include "nodectl/slots/ask.h"

#include <stdlib.h>
#include <string.h>

enum { INFO_CLUSTER, INFO_REPLICATION, NOW, FUNCTIONS, JOBS, MAPPING };

static void copy(char *to, size_t cap, struct slice text)
{
    size_t n = text.n < cap - 1 ? text.n : cap - 1;
    if (n > 0)
        memcpy(to, text.p, n);
    to[n] = '\0';
}

static void read_mapping(struct survey_of *o, const redisReply *r)
{
    for (size_t i = 0; r != NULL && r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2) {
        struct slice name = reply_text(r->element[i]);
        if (slice_is(name, "epoch") && r->element[i + 1]->type == REDIS_REPLY_INTEGER) {
            o->mapping_epoch = r->element[i + 1]->integer;
            o->mapped = true;
        } else if (slice_is(name, "state")) {
            copy(o->mapping_state, sizeof o->mapping_state, reply_text(r->element[i + 1]));
        }
    }
}

/* The digest does not depend on their order. */
static void read_functions(struct survey_of *o, const redisReply *r)
{
    o->functions = r != NULL && r->type == REDIS_REPLY_ARRAY ? (int64_t)r->elements : -1;
    for (int64_t i = 0; i < o->functions; i++) {
        const redisReply *row = r->element[i];
        unsigned char one[SHA1_BYTES];
        if (row->type != REDIS_REPLY_ARRAY || row->elements < 2) /* "library_name", its name, ... */
            continue;
        sha1(reply_text(row->element[1]), one);
        for (size_t k = 0; k < sizeof one; k++)
            o->functions_digest[k] ^= one[k];
    }
}

static void read_node(struct survey_of *o, const struct picture_node *n)
{
    const struct fleet_member *m = n->member;
    struct slice info = reply_text(ask_answer(m, INFO_CLUSTER)), state = info_field(info, "cluster_state");
    const redisReply *now = ask_answer(m, NOW);
    *o = (struct survey_of){.state_ok = state.n == 0 || slice_is(state, "ok"),
                            .supervised = info_number(info, "cluster_supervised", 0),
                            .lease_ms = info_number(info, "cluster_lease_ms", -1)};
    copy(o->link, sizeof o->link, info_field(reply_text(ask_answer(m, INFO_REPLICATION)), "master_link_status"));
    if (now != NULL && now->type == REDIS_REPLY_ARRAY && now->elements == 2 &&
        !text_range(reply_text(now->element[0]), 0, INT64_MAX, &o->now_s))
        o->now_s = 0;
    read_functions(o, n->noded ? NULL : ask_answer(m, FUNCTIONS));
    if (picture_migrates(n))
        slot_jobs_read(&o->jobs, ask_answer(m, JOBS));
    if (n->noded)
        read_mapping(o, ask_answer(m, MAPPING));
}

static void ask_all(struct survey *s, struct picture *p)
{
    fleet_forget(&p->fleet);
    for (size_t i = 0; i < p->n; i++) {
        if (!p->v[i].answers)
            continue;
        ask_words(p->v[i].member, "CLUSTER INFO");
        ask_words(p->v[i].member, "INFO replication");
        ask_words(p->v[i].member, "TIME");
        ask_words(p->v[i].member, p->v[i].noded ? "PING" : "FUNCTION LIST"); /* noded has none */
        if (picture_migrates(&p->v[i]))
            ask_words(p->v[i].member, "CLUSTER GETSLOTMIGRATIONS");
        if (p->v[i].noded)
            ask_words(p->v[i].member, "CLUSTER DBMAP");
    }
    fleet_run(&p->fleet);
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].answers)
            read_node(&s->v[i], &p->v[i]);
    fleet_forget(&p->fleet);
}

/* Slots that a master is asked about first: its own, which tell whether it has keys of others at all, and those that
 * are open or nobody's. */
static void choose_slots(struct key_counts *c, const struct picture *p, size_t node, const struct slot_set *open)
{
    memcpy(c->id, p->v[node].id, sizeof(runid));
    for (unsigned slot = 0; slot < SN_SLOTS; slot++)
        if (p->owner[slot] < 0 || p->owner[slot] == (int16_t)node || slot_set_has(open, slot))
            slot_set_add(&c->of, slot);
}

static int64_t counted(const struct key_counts *c)
{
    int64_t sum = 0;
    for (unsigned slot = 0; slot < SN_SLOTS; slot++)
        sum += c->keys[slot];
    return sum;
}

/* Of those that have more keys than were counted, all other slots. */
static bool count_rest(struct key_counts *counts, size_t n, struct picture *p, struct buf *why)
{
    struct key_counts *rest = keys_new(n);
    size_t *of = mem_array(NULL, n + 1, sizeof *of), more = 0;
    for (size_t i = 0; i < n; i++) {
        if (counted(&counts[i]) >= counts[i].all)
            continue;
        memcpy(rest[more].id, counts[i].id, sizeof(runid));
        for (unsigned slot = 0; slot < SN_SLOTS; slot++)
            if (!slot_set_has(&counts[i].of, slot))
                slot_set_add(&rest[more].of, slot);
        of[more++] = i;
    }
    bool ok = more == 0 || keys_count(p, rest, more, why);
    for (size_t i = 0; ok && i < more; i++)
        for (unsigned slot = 0; slot < SN_SLOTS; slot++)
            if (slot_set_has(&rest[i].of, slot))
                counts[of[i]].keys[slot] = rest[i].keys[slot];
    free(rest);
    free(of);
    return ok;
}

static bool count_keys(struct survey *s, struct picture *p, struct buf *why)
{
    struct slot_set open = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        for (size_t o = 0; o < p->v[i].nopen; o++)
            slot_set_add(&open, p->v[i].open[o].slot);
    s->counts = keys_new(p->n);
    for (size_t i = 0; i < p->n; i++) {
        if (!p->v[i].answers || !p->v[i].master)
            continue;
        s->v[i].keys = &s->counts[n];
        choose_slots(&s->counts[n++], p, i, &open);
    }
    return keys_count(p, s->counts, n, why) && count_rest(s->counts, n, p, why);
}

static void find_strays(struct survey *s, const struct picture *p)
{
    size_t cap = 0;
    for (size_t i = 0; i < p->n; i++) {
        for (size_t l = 0; p->v[i].answers && l < p->v[i].view.nlines; l++) {
            const struct sn_nodes_line *line = &p->v[i].view.lines[l];
            if ((line->flags & SN_NODES_HANDSHAKE) == 0 || line->addr.port == 0 || line->addr.host[0] == '\0')
                continue;
            s->strays = mem_grow(s->strays, s->nstrays, &cap, sizeof *s->strays);
            s->strays[s->nstrays] = (struct survey_stray){.by = i, .addr = line->addr};
            memcpy(s->strays[s->nstrays++].id, line->id, sizeof(runid));
        }
    }
}

/* Any answer will do, an error too. They are no nodes of the picture, so they have connections of their own. */
static void ask_strays(struct survey *s, const struct picture *p)
{
    struct fleet f;
    bool added;
    struct fleet_member **of = mem_array(NULL, s->nstrays + 1, sizeof *of);
    fleet_init(&f, p->fleet.timeout_ms);
    for (size_t i = 0; i < s->nstrays; i++) {
        of[i] = fleet_add(&f, &s->strays[i].addr, true, &added);
        if (added)
            fleet_ask(of[i], 1, (const char *[]){"PING"});
    }
    fleet_run(&f);
    for (size_t i = 0; i < s->nstrays; i++)
        s->strays[i].answers = of[i]->error == NULL;
    fleet_free(&f);
    free(of);
}

/* Keys of databases that are about to be swapped are not counted before that is over. Returns false. */
static bool is_held(const struct survey *s, const struct picture *p, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < s->n; i++)
        if (p->v[i].master && strcmp(s->v[i].mapping_state, "prepared") == 0)
            buf_printf(why, "; %s holds two databases until their swap is over, see `nodectl doctor`",
                       addr_text(&p->v[i].addr, text));
    return false;
}

bool survey_take(struct survey *s, struct picture *p, struct buf *why)
{
    *s = (struct survey){.v = mem_zalloc((p->n + 1) * sizeof *s->v), .n = p->n};
    ask_all(s, p);
    find_strays(s, p);
    if (s->nstrays > 0)
        ask_strays(s, p);
    return count_keys(s, p, why) || is_held(s, p, why);
}

void survey_free(struct survey *s)
{
    for (size_t i = 0; i < s->n; i++)
        slot_jobs_free(&s->v[i].jobs);
    free(s->v);
    free(s->strays);
    free(s->counts);
    *s = (struct survey){0};
}

int64_t survey_keys(const struct survey *s, size_t node, unsigned slot)
{
    return s->v[node].keys != NULL ? s->v[node].keys->keys[slot] : 0;
}
