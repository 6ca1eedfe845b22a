/* What supervisors ask of nodes, and the answers: as the shell of a node makes them from its core. */
#include "noded/cluster/describe.h"
#include "noded/cluster/handover.h"
#include "noded/cluster/state.h"
#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static void put_id(runid out, const struct cl_id *id)
{
    if (cl_id_is_none(id))
        out[0] = '\0';
    else
        cl_id_text(id, out);
}

static void put_swap(const struct node *n, struct sn_lease_told *t)
{
    struct cl_swap_row swap;
    struct cl_wish_row wish;
    cl_swap(n->core, &swap);
    cl_wishes(n->core, &wish);
    t->mapping_epoch = n->data.set.mapping;
    t->swap_prepared = swap.prepared ? swap.epoch : 0;
    t->swap_ballot = swap.ballot;
    t->swap_request = wish.request;
    t->swap_a = wish.a;
    t->swap_b = wish.b;
    t->swap_waits = wish.waits;
}

/* The clock is read last, as the shell does it. */
void ask_told(const struct world *w, const struct node *n, struct sn_lease_told *t)
{
    struct cl_lease_state l;
    const struct cl_node *me = n->core->me;
    const struct data *d = &n->data;
    int64_t now_us = process_clock(w, &n->p);
    cl_lease_state(n->core, now_us, &l);
    *t = (struct sn_lease_told){.view = cl_view(n->core),
                                .role = cl_is_master(n->core) ? SN_ROLE_MASTER : SN_ROLE_REPLICA,
                                .config_epoch = l.config_epoch,
                                .current_epoch = l.current_epoch,
                                .slots = me->nslots,
                                .link_up = d->master != -1 && d->repl == REPL_UP,
                                .offset = d->set.offset,
                                .priority = 100,
                                .keys = d->set.offset > 0,
                                .loading = d->loading,
                                .generation = l.supervised ? l.generation : 0,
                                .version = l.version,
                                .grants = l.grants,
                                .state_known = cl_state_known(n->core),
                                .wants_epoch = l.wants_epoch,
                                .migrating = (int64_t)n->core->live_jobs,
                                .incarnation = l.incarnation,
                                .clock_us = now_us};
    t->lease_ms = !l.supervised ? -1 : l.until_us > now_us ? (l.until_us - now_us) / 1000 : 0;
    put_swap(n, t);
    if (d->replid != 0)
        snprintf(t->replid, sizeof t->replid, "%040llx", (unsigned long long)d->replid);
    put_id(t->node, &me->id);
    put_id(t->shard, &me->shard);
    if (me->master != NULL)
        put_id(t->master, &me->master->id);
}

void ask_answered(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct asked *a = e->token != 0 ? idmap_del(&n->asked, e->token) : NULL;
    if (e->token == 0)
        return;
    if (a == NULL) {
        violated(w, "answers", "%s answers what nobody has asked, or twice", end_name(n->p.end));
        return;
    }
    struct slice text = cl_effect_text(e);
    swap_node_answers(w, n, e);
    if (a->conn == NULL && !e->ok)
        RECORD(w, end_name(n->p.end), "  refuses: %.*s", (int)text.n, text.p);
    bool heard = a->conn != NULL && !a->copy && a->conn->server_open;
    if (heard && a->of_core) {
        serve_answered(w, n, a, e->ok, text);
    } else if (heard) {
        struct told *t = mem_zalloc(sizeof *t);
        letter_init(&t->l, false, letter_free_plain);
        t->verb = a->ask.verb;
        t->asked_us = a->ask.asked_us;
        t->epoch = a->ask.epoch;
        t->ok = e->ok;
        if (!e->ok)
            snprintf(t->error, sizeof t->error, "%.*s", (int)text.n, text.p);
        ask_told(w, n, &t->told);
        net_send(&w->net, a->conn, BACK, &t->l);
    }
    free(a);
}

static cl_token remember(struct node *n, struct conn *c, const struct ask *ask, bool copy)
{
    struct asked *a = mem_zalloc(sizeof *a);
    *a = (struct asked){.token = ++n->last_token, .conn = c, .copy = copy};
    a->ask.verb = ask->verb;
    a->ask.asked_us = ask->asked_us;
    a->ask.epoch = ask->epoch;
    idmap_put(&n->asked, a->token, a);
    return a->token;
}

void ask_arrived(struct world *w, struct node *n, struct conn *c, const struct ask *a, bool copy)
{
    struct cl_speaker speaker = {.version = a->version, .position = a->position, .list = slice_of(a->list)};
    struct cl_lease_ask lease = {.speaker = speaker,
                                 .ttl_ms = a->ttl_ms,
                                 .epoch = a->epoch,
                                 .stamp = a->stamp,
                                 .give_back = a->verb == ASK_RETURN};
    struct cl_takeover takeover = {.epoch = a->epoch,
                                   .from = a->from,
                                   .nfrom = a->nfrom,
                                   .speaker = &speaker,
                                   .grants = a->grants,
                                   .ngrants = a->ngrants};
    struct cl_command command = {
        .verb = a->verb == ASK_TAKEOVER ? CL_TAKEOVER : CL_LEASE, .lease = &lease, .promotion = &takeover};
    if (a->verb == ASK_TAKEOVER)
        check_given(w, n, a->epoch);
    struct cl_event e = {.kind = CL_EV_COMMAND, .command = &command};
    if (n->core == NULL)
        return;
    e.token = remember(n, c, a, copy);
    w->counts[COUNT_PROBES] += a->verb == ASK_LEASE;
    if (a->verb != ASK_LEASE)
        RECORD(w, end_name(n->p.end), "hears %s epoch %llu from %s%s", a->verb == ASK_RETURN ? "RETURN" : "TAKEOVER",
               (unsigned long long)a->epoch, end_name(a->super), copy ? ", a second time" : "");
    if (a->verb == ASK_LEASE && a->ttl_ms > 0 && a->stamp.clock_us + a->ttl_ms * 990 <= process_clock(w, &n->p))
        w->counts[COUNT_GRANTS_VOID]++;
    node_step(w, n, &e);
}

void ask_conn_closed(struct node *n, const struct conn *c)
{
    struct asked *a;
    for (size_t it = 0; (a = idmap_next(&n->asked, &it)) != NULL;)
        if (a->conn == c)
            a->copy = true; /* the answer goes nowhere */
}

void ask_forget(struct node *n)
{
    struct asked *a;
    for (size_t it = 0; (a = idmap_next(&n->asked, &it)) != NULL;)
        free(a);
    idmap_free(&n->asked);
}
