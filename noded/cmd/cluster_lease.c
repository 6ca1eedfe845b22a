/* CLUSTER LEASE and its like, and what a lease means to commands: without one a supervised node executes no write of a
 * client, and writes nothing by itself (SAFETY, sections 1 and 3). */
#include "noded/cmd/cluster_rows.h"

#include "common/base/text.h"
#include "noded/cluster/describe.h"
#include "noded/cluster/handover.h"
#include "noded/cluster/lease.h"
#include "noded/cmd/block.h"
#include "noded/cmd/multi.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/transaction.h"

#include <inttypes.h>

#define LINEAGE_MAX 64  /* nodes that one TAKEOVER may name */
#define GRACE_US 500000 /* the next master's claim is there within some 10 ms, or something is wrong */

/* ---- the lease ---- */

bool nd_lease_lasts(const struct nd_engine *e)
{
    return e->host.clock_us(e->host.owner) < e->lease_until_us;
}

static bool writes(const struct nd_call *c)
{
    const struct nd_session *s = c->s;
    uint32_t flags = c->row->flags;
    if (c->cmd->run == nd_exec_command && s->multi != NULL)
        flags |= s->multi->flags;
    return (flags & ND_WRITE) != 0 && (s->flags & ND_S_IMPORT) == 0;
}

/* What stands between this node and its lease, for people. */
static void put_shortage(const struct nd_engine *e, int64_t now_us, struct buf *out)
{
    struct cl_lease_state l;
    cl_lease_state(e->cluster->core, now_us, &l);
    buf_printf(out, "%d of %d grants that it needs from its %d supervisors", l.grants, l.needed, l.supervisors);
}

enum nd_gate nd_lease_gate(struct nd_call *c)
{
    struct nd_engine *e = c->e;
    if (!writes(c) || nd_watch_start(e, c->s) < e->lease_until_us)
        return ND_GATE_OPEN;
    bool waits = e->now_us < e->lease_grace_us;
    struct buf text = {0};
    e->stopwatch = NULL; /* nothing ran whose end the next command could begin at */
    if (waits) {
        nd_postpone(c->s);
        return ND_GATE_POSTPONED;
    }
    buf_puts(&text, "CLUSTERDOWN This master holds no lease: ");
    put_shortage(e, e->now_us, &text);
    nd_cluster_refuse(c, buf_str(&text));
    buf_free(&text);
    return ND_GATE_REFUSED;
}

void nd_lease_grace_ends(struct nd_engine *e)
{
    e->lease_grace_us = 0;
    nd_resume_postponed(e);
}

static void tell_loss(struct nd_cluster *cl, int64_t now_us, struct buf *line)
{
    buf_puts(line, cl->leased ? "This master's lease has ended: " : "This master holds no lease yet: ");
    put_shortage(cl->e, now_us, line);
    buf_puts(line, "; writes are refused");
}

static void tell_return(struct nd_cluster *cl, int64_t now_us, struct buf *line)
{
    struct cl_lease_state l;
    cl_lease_state(cl->core, now_us, &l);
    buf_printf(line, "This master holds a lease: grants of %d of its %d supervisors; writes are taken", l.grants,
               l.supervisors);
}

/* A replica has none and needs none. */
static void tell_change(struct nd_cluster *cl, bool leased, int64_t now_us)
{
    const struct nd_host *host = &cl->e->host;
    bool master = cl_is_master(cl->core), told = leased || !master;
    struct buf line = {0};
    if (told != cl->lease_told) {
        if (!told)
            tell_loss(cl, now_us, &line);
        else if (master && cl->e->lease_until_us != INT64_MAX)
            tell_return(cl, now_us, &line);
    }
    cl->lease_told = told;
    cl->leased = master && leased;
    if (line.n > 0)
        host->log(host->owner, told ? ND_LOG_NOTICE : ND_LOG_WARNING, buf_str(&line));
    buf_free(&line);
}

bool nd_lease_look(struct nd_cluster *cl)
{
    struct nd_engine *e = cl->e;
    int64_t before_us = e->lease_until_us, until_us = cl_lease_until(cl->core);
    if (before_us == INT64_MAX && until_us == INT64_MAX) {
        cl->leased = cl->lease_told = true;
        return false;
    }
    int64_t now_us = e->host.clock_us(e->host.owner);
    bool begun = now_us >= before_us && now_us < until_us;
    e->lease_until_us = until_us;
    e->lease_term += begun;
    tell_change(cl, now_us < until_us, now_us);
    return begun;
}

/* ---- what is said of it ---- */

void nd_lease_info(const struct nd_engine *e, struct buf *out)
{
    struct cl_lease_state l;
    int64_t now_us = e->host.clock_us(e->host.owner);
    cl_lease_state(e->cluster->core, now_us, &l);
    int64_t left_ms = l.until_us > now_us ? (l.until_us - now_us) / 1000 : 0;
    buf_printf(out,
               "cluster_supervised:%" PRIu64 "\r\ncluster_supervisors:%d\r\ncluster_lease_ms:%" PRId64
               "\r\ncluster_lease_grants:%d\r\n",
               l.supervised ? l.generation : 0, l.supervised ? l.supervisors : 0, l.supervised ? left_ms : -1,
               l.supervised ? l.grants : 0);
}

static int64_t live_jobs(const struct cl_core *core)
{
    struct cl_job_row row;
    int64_t n = 0;
    for (size_t it = 0; cl_next_job(core, &it, &row);)
        n += row.state < CL_JOB_SUCCESS;
    return n;
}

static int64_t keys_in_all(const struct nd_engine *e)
{
    size_t n = 0;
    for (int i = 0; i < e->keys.db_count; i++) {
        const struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        n += db != NULL ? nd_db_count(db) : 0;
    }
    return (int64_t)n;
}

static void put_member(struct reply *r, const struct cl_core *core, const struct cl_lease_state *l)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_id id = cl_my_id(core);
    struct cl_member me = {.id = id};
    cl_find_member(core, slice_of(cl_id_text(&id, text)), &me);
    nd_cluster_put_id(r, "node", &me.id);
    nd_cluster_put_id(r, "shard", &me.shard);
    nd_cluster_put_text(r, "role", me.is_master ? "master" : "replica");
    nd_cluster_put_number(r, "config_epoch", (int64_t)l->config_epoch);
    nd_cluster_put_number(r, "current_epoch", (int64_t)l->current_epoch);
    nd_cluster_put_id(r, "master", &me.master);
    nd_cluster_put_number(r, "slots", me.slots);
}

static void put_data(struct reply *r, const struct nd_engine *e, bool is_master)
{
    const struct nd_cluster_host *host = &e->cluster->host;
    struct nd_cluster_data data = {.replid = ""};
    if (host->data != NULL)
        host->data(host->owner, &data);
    nd_cluster_put_text(r, "link", is_master ? "none" : data.link_up ? "up" : "down");
    nd_cluster_put_number(r, "link_ms", is_master ? 0 : data.link_ms);
    nd_cluster_put_text(r, "replid", data.replid);
    nd_cluster_put_number(r, "offset", e->stream_offset != NULL ? *e->stream_offset : 0);
    nd_cluster_put_number(r, "priority", e->config.replica_priority);
    nd_cluster_put_number(r, "loading", e->loading);
    nd_cluster_put_number(r, "keys", keys_in_all(e));
    nd_cluster_put_number(r, "mapping_epoch", (int64_t)e->keys.mapping_epoch);
}

/* The clock is read last, so that a grant that echoes it lasts as long as it can. */
static void put_lease(struct reply *r, const struct nd_engine *e, const struct cl_lease_state *l, int64_t now_us)
{
    const struct cl_core *core = e->cluster->core;
    int64_t left_ms = l->until_us > now_us ? (l->until_us - now_us) / 1000 : 0;
    nd_cluster_put_number(r, "supervised", l->supervised ? (int64_t)l->generation : 0);
    nd_cluster_put_number(r, "version", (int64_t)l->version);
    nd_cluster_put_number(r, "lease_ms", l->supervised ? left_ms : -1);
    nd_cluster_put_number(r, "grants", l->grants);
    nd_cluster_put_number(r, "state_known", cl_state_known(core));
    nd_cluster_put_number(r, "migrating", live_jobs(core));
    reply_bulks(r, "view");
    reply_bulkf(r, "%016" PRIx64, cl_view(core));
    nd_cluster_put_number(r, "wants_epoch", (int64_t)l->wants_epoch);
    reply_bulks(r, "incarnation");
    reply_bulkf(r, "%016" PRIx64, l->incarnation);
    nd_cluster_put_number(r, "clock", now_us);
}

/* What supervisors are to do about swaps of databases; nothing is said of it in quiet times. */
static size_t put_swap(struct reply *r, const struct cl_core *core)
{
    struct cl_swap_row swap;
    struct cl_wish_row wish;
    size_t n = 0;
    cl_swap(core, &swap);
    cl_wishes(core, &wish);
    if (swap.prepared) {
        nd_cluster_put_number(r, "swap_prepared", (int64_t)swap.epoch);
        n++;
    }
    if (swap.ballot > 0) { /* supervisors that have lost all that they knew stand above it */
        nd_cluster_put_number(r, "swap_ballot", (int64_t)swap.ballot);
        n++;
    }
    if (wish.request != 0) {
        nd_cluster_put_number(r, "swap_request", (int64_t)wish.request);
        nd_cluster_put_number(r, "swap_a", wish.a);
        nd_cluster_put_number(r, "swap_b", wish.b);
        n += 3;
    }
    if (wish.waits != 0) {
        nd_cluster_put_number(r, "swap_waits", (int64_t)wish.waits);
        n++;
    }
    return n;
}

static void put_all(struct nd_call *c)
{
    const struct nd_engine *e = c->e;
    const struct cl_core *core = e->cluster->core;
    struct cl_lease_state l;
    int64_t now_us = e->host.clock_us(e->host.owner);
    cl_lease_state(core, now_us, &l);
    size_t mark = reply_begin(c->r);
    put_member(c->r, core, &l);
    put_data(c->r, e, cl_is_master(core));
    size_t n = put_swap(c->r, core);
    put_lease(c->r, e, &l, now_us);
    reply_end_map(c->r, mark, 25 + n);
}

/* ---- arguments ---- */

static bool wrong(struct nd_call *c, const char *what)
{
    nd_error(c, "ERR Invalid %s", what);
    return false;
}

static bool epoch_arg(struct nd_call *c, size_t i, uint64_t *out)
{
    return text_u64(c->argv[i], out) || wrong(c, "epoch");
}

static bool speaker_arg(struct nd_call *c, size_t i, struct cl_speaker *out)
{
    return cl_speaker_parse(c->argv[i], out) ||
           wrong(c, "speaker: <version>:<position>:<address>,<address>,... is expected");
}

static bool read_ask(struct nd_call *c, struct cl_lease_ask *ask)
{
    ask->give_back = nd_arg_is(c, 2, "return");
    size_t at = ask->give_back ? 3 : 2;
    if (c->argc != 6 && (c->argc != 8 || ask->give_back)) {
        nd_subcommand_syntax(c);
        return false;
    }
    if (!cl_id_parse(c->argv[at], &ask->supervisor))
        return wrong(c, "id of a supervisor");
    if (!speaker_arg(c, at + 1, &ask->speaker) || !epoch_arg(c, 5, &ask->epoch))
        return false;
    if (!ask->give_back && !text_range(c->argv[4], 0, CL_LEASE_MS_MAX, &ask->ttl_ms))
        return wrong(c, "ttl: 0 to 3600000 milliseconds are expected");
    if (c->argc == 8 && !cl_stamp_parse(c->argv[6], c->argv[7], &ask->stamp))
        return wrong(c, "stamp: the incarnation and the clock of an answer are expected");
    return true;
}

void nd_cluster_lease(struct nd_call *c)
{
    struct cl_lease_ask ask = {.ttl_ms = 0};
    struct cl_command command = {.verb = CL_LEASE, .lease = &ask};
    enum nd_cluster_answer answer = nd_cluster_take_answer(c);
    if (answer == ND_CLUSTER_NO && nd_arg_is(c, 2, "return") && c->e->lease_grace_us != 0)
        nd_lease_grace_ends(c->e);
    if (answer == ND_CLUSTER_YES)
        put_all(c);
    if (answer != ND_CLUSTER_NOT_YET || !nd_cluster_on(c) || !read_ask(c, &ask))
        return;
    c->s->flags |= ND_S_SUPERVISOR;
    if (ask.give_back) /* it is over before the disk has it, and the answer comes */
        c->e->lease_grace_us = c->e->now_us + GRACE_US;
    if (c->e->cluster->started)
        nd_cluster_ask(c, &command);
    else
        put_all(c); /* the dataset is loaded: nothing is granted yet, and nothing waits for that */
}

/* An operator's word, or that of one supervisor: a majority of theirs counts. */
void nd_cluster_release(struct nd_call *c)
{
    struct cl_lease_ask word = {.ttl_ms = 0};
    struct cl_command command = {.verb = CL_RELEASE, .lease = c->argc == 4 ? &word : NULL};
    if (nd_cluster_reply(c) || !nd_cluster_on(c))
        return;
    if (c->argc != 2 && c->argc != 4)
        nd_subcommand_syntax(c);
    else if (c->argc == 4 && !cl_id_parse(c->argv[2], &word.supervisor))
        wrong(c, "id of a supervisor");
    else if (c->argc == 2 || speaker_arg(c, 3, &word.speaker))
        nd_cluster_ask(c, &command);
}

/* ---- TAKEOVER ---- */

struct takeover {
    struct cl_takeover asked;
    struct cl_id from[LINEAGE_MAX];
    struct cl_speaker speaker;
    struct cl_grant grants[CL_SUPERVISORS_MAX];
};

static bool read_lineage(struct nd_call *c, struct slice ids, struct takeover *t)
{
    size_t n = 0;
    for (; ids.p != NULL; n++)
        if (n == LINEAGE_MAX || !cl_id_parse(slice_cut(&ids, ','), &t->from[n]))
            return wrong(c, "lineage: up to 64 ids of nodes are expected, with commas between them");
    t->asked.from = t->from;
    t->asked.nfrom = n;
    return true;
}

static bool read_grants(struct nd_call *c, size_t at, struct takeover *t)
{
    if (!speaker_arg(c, at, &t->speaker))
        return false;
    t->asked.speaker = &t->speaker;
    t->asked.grants = t->grants;
    for (at++; at < c->argc; at++) {
        size_t n = t->asked.ngrants;
        if (n == CL_SUPERVISORS_MAX || !cl_grant_parse(c->argv[at], &t->grants[n]))
            return wrong(c, "grant: <position>/<incarnation>/<clock-us>/<ttl-ms>/<wait-ms> is expected");
        t->asked.ngrants++;
    }
    return true;
}

void nd_cluster_takeover(struct nd_call *c)
{
    struct takeover t = {.asked = {.epoch = 0}};
    struct cl_command command = {.verb = CL_TAKEOVER, .promotion = &t.asked};
    size_t at = nd_arg_is(c, 7, "force") ? 8 : 7;
    bool granted = c->argc > at;
    t.asked.force = at == 8;
    if (c->argc < 7 || !nd_arg_is(c, 3, "epoch") || !nd_arg_is(c, 5, "from") ||
        (granted && (!nd_arg_is(c, at, "grants") || c->argc < at + 3))) {
        nd_syntax_error(c);
        return;
    }
    if (epoch_arg(c, 4, &t.asked.epoch) && read_lineage(c, c->argv[6], &t) && (!granted || read_grants(c, at + 1, &t)))
        nd_cluster_ask(c, &command);
}
