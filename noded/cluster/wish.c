/* Clients of a supervised cluster that want two databases swapped. A node decides nothing of that: it says what is
 * wanted in its answers to CLUSTER LEASE, some supervisor takes it up, and the client hears OK when every master has
 * it. A client is told nothing that may turn out otherwise: what nobody has prepared by the end of its time is
 * withdrawn for good. */
#include "noded/cluster/state.h"

#include "common/base/heap.h"
#include "common/base/mem.h"

#include <inttypes.h>
#include <string.h>

#define PATIENCE_US 10000000
#define WISHES_MAX 1024

void cl_wishes(const struct cl_core *c, struct cl_wish_row *out)
{
    *out = (struct cl_wish_row){.request = 0};
    for (size_t i = 0; i < c->nwishes; i++) {
        const struct cl_wish *w = &c->wishes[i];
        if (w->state == CL_WISH_NEW && out->request == 0) {
            out->request = w->request;
            out->a = w->a;
            out->b = w->b;
        }
        if (w->state == CL_WISH_APPLIED && (out->waits == 0 || w->version < out->waits))
            out->waits = w->version;
    }
}

static void wish(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (!c->supervised)
        FAIL_WITH(c, token, "SWAPDB is not allowed in cluster mode");
    if (!cl_has(c->me, CL_MASTER))
        FAIL_WITH(c, token, "This node is a replica: databases are swapped by masters");
    if (cl_shard_has_stock(c, NULL))
        FAIL_WITH(c, token, "A node in this shard knows database 0 only: no databases are swapped while it is there");
    if (c->nwishes == WISHES_MAX)
        FAIL_WITH(c, token, "%d swaps of databases wait for the supervisors already", WISHES_MAX);
    c->wishes = mem_grow(c->wishes, c->nwishes, &c->cap_wishes, sizeof *c->wishes);
    /* The number of a life that is over does not come again. */
    uint64_t request = (c->lease.incarnation + ++c->wished) & INT64_MAX;
    c->wishes[c->nwishes++] = (struct cl_wish){.token = token,
                                               .a = m->database_a,
                                               .b = m->database_b,
                                               .request = request != 0 ? request : INT64_MAX,
                                               .until_us = c->now_us + PATIENCE_US};
}

static void drop(struct cl_core *c, size_t i)
{
    memmove(&c->wishes[i], &c->wishes[i + 1], (c->nwishes - i - 1) * sizeof *c->wishes);
    c->nwishes--;
}

static void done(struct cl_core *c, uint64_t version)
{
    for (size_t i = c->nwishes; i-- > 0;)
        if (c->wishes[i].state == CL_WISH_APPLIED && c->wishes[i].version <= version) {
            cl_effect_answer(c->fx, c->wishes[i].token, true, "OK");
            drop(c, i);
        }
}

void cl_wish_command(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (m->verb == CL_SWAP_WISH) {
        wish(c, token, m);
        return;
    }
    done(c, (uint64_t)m->number);
    cl_effect_answer(c->fx, token, true, "OK");
}

bool cl_wish_prepared(struct cl_core *c, uint64_t request, uint64_t ballot)
{
    for (size_t i = 0; i < c->nwishes; i++) {
        struct cl_wish *w = &c->wishes[i];
        if (w->request != request || w->state == CL_WISH_APPLIED)
            continue;
        w->state = CL_WISH_PREPARED;
        w->ballot = ballot;
        return true;
    }
    return false;
}

void cl_wish_applied(struct cl_core *c, uint64_t ballot, uint64_t version)
{
    for (size_t i = 0; i < c->nwishes; i++)
        if (c->wishes[i].state == CL_WISH_PREPARED && c->wishes[i].ballot == ballot) {
            c->wishes[i].state = CL_WISH_APPLIED;
            c->wishes[i].version = version;
        }
}

void cl_wish_aborted(struct cl_core *c, uint64_t ballot, struct slice why)
{
    for (size_t i = c->nwishes; i-- > 0;)
        if (c->wishes[i].state == CL_WISH_PREPARED && c->wishes[i].ballot == ballot) {
            cl_effect_answer(c->fx, c->wishes[i].token, false,
                             "ERR The supervisors gave the swap up, and nothing has changed: %.*s", SHOWN(why));
            drop(c, i);
        }
}

static void give_up(struct cl_core *c, const struct cl_wish *w, const char *why)
{
    if (w->state == CL_WISH_NEW)
        cl_effect_answer(c->fx, w->token, false, "ERR %s: the swap is withdrawn, and nothing has changed", why);
    else if (w->state == CL_WISH_PREPARED)
        cl_effect_answer(
            c->fx, w->token, false,
            "ERR %s: the swap is prepared, and whether it will be made is not known here yet; CLUSTER DBMAP "
            "at this shard's master tells",
            why);
    else
        cl_effect_answer(c->fx, w->token, false,
                         "ERR %s: the swap is decided and made here (epoch %" PRIu64
                         "), but not known to be made on every master yet; CLUSTER DBMAP at each of them tells",
                         why, w->version);
}

void cl_wish_run(struct cl_core *c)
{
    bool asks = cl_has(c->me, CL_MASTER) && c->supervised;
    for (size_t i = c->nwishes; i-- > 0;) {
        const struct cl_wish *w = &c->wishes[i];
        if (asks && c->now_us < w->until_us)
            continue;
        const char *late = w->state == CL_WISH_NEW ? "No supervisor took it up within 10 seconds"
                                                   : "It was not over within 10 seconds";
        give_up(c, w, asks ? late : "This node is no supervised master any more");
        drop(c, i);
    }
}

int64_t cl_wish_deadline(const struct cl_core *c)
{
    int64_t at = HEAP_NEVER;
    for (size_t i = 0; i < c->nwishes; i++)
        if (c->wishes[i].until_us < at)
            at = c->wishes[i].until_us;
    return at;
}
