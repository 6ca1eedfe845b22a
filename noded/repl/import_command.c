/* CLUSTER SYNCSLOTS. */
#include "noded/repl/import_state.h"

#include "common/base/text.h"
#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/multi.h"

#include <inttypes.h>
#include <string.h>

/* ---- arguments ---- */

/* Pairs <s> <e> from argument `from` to the end. NULL: they are slots, each at most once. */
static const char *read_ranges(const struct nd_call *c, size_t from, uint8_t *slots)
{
    memset(slots, 0, CL_SLOT_BYTES);
    if (from >= c->argc || (c->argc - from) % 2 != 0)
        return "ranges of slots are a first and a last one each";
    for (size_t i = from; i < c->argc; i += 2) {
        int64_t first, last;
        if (!text_range(c->argv[i], 0, CL_SLOTS - 1, &first) || !text_range(c->argv[i + 1], first, CL_SLOTS - 1, &last))
            return "invalid range of slots";
        for (int slot = (int)first; slot <= (int)last; slot++) {
            if (cl_bit(slots, slot))
                return "a slot is named twice";
            cl_bit_set(slots, slot);
        }
    }
    return NULL;
}

static bool bits_in_common(const uint8_t *a, const uint8_t *b)
{
    for (size_t i = 0; i < CL_SLOT_BYTES; i++)
        if ((a[i] & b[i]) != 0)
            return true;
    return false;
}

/* ---- ESTABLISH ---- */

struct establish {
    struct cl_id job, source, target;
    uint64_t epoch;
    int64_t databases;
    uint8_t slots[CL_SLOT_BYTES];
};

/* NULL: it was read. */
static const char *read_establish(const struct nd_call *c, struct establish *x)
{
    if (c->argc < 11 || !nd_arg_is(c, 8, "slotsrange"))
        return "CLUSTER SYNCSLOTS ESTABLISH <job> <source> <target> <mapping epoch> <databases> "
               "SLOTSRANGE <first> <last> ...";
    if (!cl_id_parse(c->argv[3], &x->job) || cl_id_is_none(&x->job))
        return "the job's name has to be 40 hexadecimal digits";
    if (!cl_id_parse(c->argv[4], &x->source) || cl_id_is_none(&x->source))
        return "the source's id has to be 40 hexadecimal digits";
    if (!cl_id_parse(c->argv[5], &x->target) || cl_id_is_none(&x->target))
        return "the target's id has to be 40 hexadecimal digits";
    if (!text_u64(c->argv[6], &x->epoch))
        return "the epoch of the mapping has to be a number";
    if (!text_range(c->argv[7], 1, INT32_MAX, &x->databases))
        return "the number of databases has to be 1 or more";
    return read_ranges(c, 9, x->slots);
}

/* NULL: this node is meant. An address may lead to another one than the source thinks, and it is the node of the name
 * that the cores ask about the outcome: slots that a third one took would have two owners. */
static const char *not_for_me(const struct nd_call *c, const struct establish *x, struct buf *text)
{
    char meant[CL_ID_DIGITS + 1], mine[CL_ID_DIGITS + 1];
    struct cl_id me = cl_my_id(c->e->cluster->core);
    if (cl_id_eq(&me, &x->target))
        return NULL;
    buf_printf(text, "ESTABLISH is for node %s, and this is node %s", cl_id_text(&x->target, meant),
               cl_id_text(&me, mine));
    return buf_str(text);
}

/* NULL: this node may take them. What depends on more than this node's data, the core says. */
static const char *not_now(const struct nd_call *c, const struct establish *x, struct buf *text)
{
    const struct nd_engine *e = c->e;
    const struct nd_imports *all = e->repl->imports;
    if (e->is_replica || !cl_is_master(e->cluster->core))
        return "this node is not a master";
    if (e->loading || e->async_loading)
        return "this node is loading its dataset";
    if (nd_cluster_one_database(e->cluster))
        return "this shard has a node that knows database 0 only";
    if (x->databases > e->keys.db_count)
        buf_printf(text, "the source has %" PRId64 " databases, this node has %d", x->databases, e->keys.db_count);
    else if (x->epoch != e->keys.mapping_epoch)
        buf_printf(text,
                   "the mapping of databases has epoch %" PRIu64 " at the source and epoch %" PRIu64 " at this node",
                   x->epoch, e->keys.mapping_epoch);
    for (const struct nd_import *m = all->first; m != NULL && text->n == 0; m = m->next) {
        if (cl_id_eq(&m->job, &x->job))
            buf_puts(text, "there is a job of this name already");
        else if (bits_in_common(m->slots, x->slots))
            buf_puts(text, "some of these slots are on their way to this node already");
    }
    return text->n > 0 ? buf_str(text) : NULL;
}

static void close_behind(struct nd_call *c)
{
    c->s->flags |= ND_S_CLOSING;
}

/* The client has gone before the core has answered. */
static void gone(void *what)
{
    struct nd_import *m = what;
    if (!m->refused)
        nd_import_news(m, CL_JOB_IS_LOST, 0, slice_of("the link to the source is closed"));
    nd_import_drop(m);
}

static void establish(struct nd_call *c)
{
    struct establish x;
    struct buf text = {0};
    const char *why = read_establish(c, &x);
    if (why == NULL)
        why = not_for_me(c, &x, &text);
    if (why == NULL)
        why = not_now(c, &x, &text);
    if (why == NULL && !nd_may_block(c))
        why = "ESTABLISH has to wait for the cluster, which isn't possible here";
    if (why != NULL) {
        nd_error(c, "ERR %s", why);
        close_behind(c);
        buf_free(&text);
        return;
    }
    struct nd_import *m = nd_import_new(c->e->repl->imports, c->s, &x.job);
    m->source = x.source;
    m->databases = (int)x.databases;
    memcpy(m->slots, x.slots, sizeof m->slots);
    nd_block_outside(c, gone, m);
    nd_import_news(m, CL_JOB_IS_ASKED, x.epoch, (struct slice){NULL, 0});
}

/* The core has answered. */
static void established(struct nd_call *c, struct nd_import *m)
{
    struct nd_session *s = c->s;
    if (m->refused) {
        nd_error(c, "ERR %s", buf_str(&m->why));
        close_behind(c);
        nd_import_drop(m);
        return;
    }
    nd_ok(c);
    /* Nothing of these slots, which are another's and not open here, may be left from an earlier time as their owner,
     * or from a job that came to nothing. */
    nd_import_forget(m->all->r, m->slots);
    nd_slots_drop(m->all->r, m->slots);
    nd_multi_discard(s); /* keys that it watched */
    m->step = ND_IMPORT_SNAPSHOT;
    m->began = s->input;
    s->flags |= ND_S_IMPORT | ND_S_NO_EVICT;
    s->db = nd_keyspace_shadow(&c->e->keys, 0);
}

/* ---- on the link of a job ---- */

static void snapshot_end(struct nd_call *c, struct nd_import *m)
{
    if (c->argc != 3 || m->step != ND_IMPORT_SNAPSHOT) {
        nd_error(c, "ERR SNAPSHOT-END comes once, and alone");
        return;
    }
    m->step = ND_IMPORT_STREAMING;
    nd_import_news(m, CL_JOB_IS_STREAMING, nd_import_keys(c->e, m->slots), (struct slice){NULL, 0});
}

static void ask(struct nd_call *c, struct nd_import *m, bool drain)
{
    if (c->argc != 3)
        nd_error(c, "ERR FLUSH and DRAIN stand alone");
    else if (drain && m->step == ND_IMPORT_SNAPSHOT)
        nd_error(c, "ERR DRAIN comes behind SNAPSHOT-END");
    else if (!nd_import_ask(m, drain))
        nd_error(c, "ERR too many questions wait for an answer");
}

static void resume(struct nd_call *c, struct nd_import *m)
{
    if (c->argc != 3 || m->step < ND_IMPORT_STREAMING)
        nd_error(c, "ERR RESUME comes behind DRAIN, and alone");
    else
        nd_import_resume(m);
}

static void grant(struct nd_call *c, struct nd_import *m)
{
    uint64_t epoch;
    if (c->argc != 4 || !text_u64(c->argv[3], &epoch) || epoch == 0) {
        nd_error(c, "ERR GRANT names an epoch");
        return;
    }
    if (m->step != ND_IMPORT_DRAINED || m->nquestions > 0) {
        nd_error(c, "ERR GRANT comes behind an answered DRAIN");
        return;
    }
    m->step = ND_IMPORT_GRANTED;
    nd_import_news(m, CL_JOB_IS_GRANTED, epoch, (struct slice){NULL, 0});
}

static void give_up(struct nd_call *c, struct nd_import *m)
{
    struct buf why = {0};
    buf_puts(&why, "the source has given it up");
    if (c->argc > 3) {
        buf_puts(&why, ": ");
        text_quote(&why, c->argv[3], 200);
    }
    nd_import_fail(m, buf_str(&why));
    buf_free(&why);
}

static void on_link(struct nd_call *c, struct nd_import *m)
{
    if (nd_arg_is(c, 2, "snapshot-end"))
        snapshot_end(c, m);
    else if (nd_arg_is(c, 2, "flush"))
        ask(c, m, false);
    else if (nd_arg_is(c, 2, "drain"))
        ask(c, m, true);
    else if (nd_arg_is(c, 2, "resume"))
        resume(c, m);
    else if (nd_arg_is(c, 2, "grant"))
        grant(c, m);
    else if (nd_arg_is(c, 2, "abort"))
        give_up(c, m);
    else
        nd_error(c, "ERR unknown word on the link of a migration");
}

/* ---- of a master's stream, or of the log ---- */

typedef size_t here_fn(struct nd_engine *e, const uint8_t *slots);

/* NULL: it is another word. */
static here_fn *word_of_stream(const struct nd_call *c)
{
    if (nd_arg_is(c, 2, "show"))
        return nd_import_show_here;
    if (nd_arg_is(c, 2, "forget"))
        return nd_import_forget_here;
    return nd_arg_is(c, 2, "drop") ? nd_slots_drop_here : NULL;
}

static void obey(struct nd_call *c, here_fn *here)
{
    uint8_t slots[CL_SLOT_BYTES];
    const char *why = c->e->keys.shadows > 0 ? read_ranges(c, 3, slots) : "cluster mode is off";
    if (why != NULL) {
        nd_error(c, "ERR %s", why);
        return;
    }
    nd_dirty(c, (int64_t)here(c->e, slots));
    nd_ok(c);
}

void nd_syncslots_command(struct nd_call *c)
{
    struct nd_session *s = c->s;
    here_fn *here = s->kind == ND_MASTER ? word_of_stream(c) : NULL;
    if (c->ended != NULL)
        established(c, c->ended);
    else if (here != NULL)
        obey(c, here);
    else if (!nd_cluster_on(c))
        return;
    else if (s->import != NULL)
        on_link(c, s->import);
    else if (nd_arg_is(c, 2, "establish") && c->e->repl->imports != NULL)
        establish(c);
    else
        nd_error(c, "ERR CLUSTER SYNCSLOTS is for nodes that move slots");
}
