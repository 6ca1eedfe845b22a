#include "nodectl/local/run.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/drill/listening.h"
#include "nodectl/interrupt.h"
#include "nodectl/local/members.h"
#include "nodectl/local/units.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 5
#define DEAD_MS 50      /* how often is looked who has ended */
#define KILLED_MS 10000 /* what the kernel gets to end a killed process */

/* Those that an order is about, by the layout's order. */
struct chosen {
    bool *v;
    size_t n;
};

/* ---- who is meant ---- */

/* What each node of this host says that it is: "master", "slave", or nothing. */
static void ask_roles(const struct layout *l, const struct asking *a, bool *master)
{
    static const char *const role[] = {"ROLE"};
    struct fleet f;
    fleet_init(&f, a->timeout_ms);
    for (size_t i = 0; i < l->n; i++) {
        bool added;
        if (l->v[i].supervisor || !layout_is_here(&l->v[i]))
            continue;
        struct fleet_member *m = fleet_add(&f, &l->v[i].addr, true, &added);
        asking_login_node(a, m);
        fleet_ask(m, 1, role);
    }
    fleet_run(&f);
    for (size_t i = 0, k = 0; i < l->n; i++) {
        master[i] = l->v[i].master;
        if (l->v[i].supervisor || !layout_is_here(&l->v[i]))
            continue;
        const redisReply *r = fleet_answer(f.members[k++]);
        if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements > 0 && r->element[0]->type == REDIS_REPLY_STRING)
            master[i] = strcmp(r->element[0]->str, "master") == 0;
    }
    fleet_free(&f);
}

static struct chosen choose(const struct layout *l, const struct asking *a, enum run_class class)
{
    struct chosen c = {.v = mem_zalloc((l->n + 1) * sizeof *c.v)};
    bool *master = mem_zalloc((l->n + 1) * sizeof *master), roles = class == RUN_MASTERS || class == RUN_REPLICAS;
    if (roles)
        ask_roles(l, a, master);
    for (size_t i = 0; i < l->n; i++) {
        const struct layout_member *m = &l->v[i];
        bool meant = class == RUN_SUPERVISORS ? m->supervisor
                                              : !m->supervisor && (!roles || master[i] == (class == RUN_MASTERS));
        c.v[i] = meant && layout_is_here(m);
        c.n += c.v[i];
    }
    free(master);
    return c;
}

struct run_count run_count(const struct layout *l, const struct asking *a, enum run_class class)
{
    struct chosen c = choose(l, a, class);
    struct member_process *list = members_find(l);
    struct run_count count = {.here = c.n};
    for (size_t i = 0; i < l->n; i++)
        count.running += c.v[i] && list[i].pid != 0;
    members_free(list, l);
    free(c.v);
    return count;
}

static void put_member(struct buf *out, const struct layout_member *m)
{
    char text[ADDR_TEXT_MAX];
    buf_printf(out, "%s %s", m->supervisor ? "supervisor" : "node", addr_text(&m->addr, text));
}

/* ---- starting ---- */

static bool start_all(const struct layout *l, const struct chosen *c, struct buf *why)
{
    struct member_process *list = members_find(l);
    bool ok = true;
    for (size_t i = 0; i < l->n && ok; i++) {
        if (!c->v[i] || list[i].pid != 0)
            continue;
        ok = member_start(l, &l->v[i], why);
        if (!ok)
            buf_puts(why, "\nwhat was started runs on");
    }
    members_free(list, l);
    return ok;
}

/* What INFO says of its own process; 0: nothing. */
static int64_t process_in(const redisReply *r)
{
    struct slice text = r->type == REDIS_REPLY_STRING ? (struct slice){r->str, r->len} : (struct slice){NULL, 0};
    int64_t pid = 0;
    while (text.n > 0) {
        struct slice value = slice_cut_line(&text), name = slice_cut(&value, ':');
        if (slice_is(name, "process_id") && text_i64(value, &pid))
            return pid;
    }
    return 0;
}

/* Another program that has the port may answer as well: what counts is that the member's own process does. An error
 * tells nothing of that, so the system is asked who listens. */
static bool has_answered(const struct fleet_member *m, const struct member_process *p, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    const redisReply *r = p->pid != 0 ? fleet_answer(m) : NULL;
    if (r == NULL || r->type != REDIS_REPLY_ERROR)
        return r != NULL && process_in(r) == p->pid;
    if (!listening_is_of(p->pid, &m->addr))
        return false;
    if (strncmp(r->str, "NOAUTH", 6) == 0 || strncmp(r->str, "WRONGPASS", 9) == 0 || strncmp(r->str, "NOPERM", 6) == 0)
        buf_printf(why, "%s runs, but refuses us: %s\n", addr_text(&m->addr, text), r->str);
    return true;
}

/* One that is not there any more has said why in its log. */
static bool one_has_ended(const struct layout *l, const struct chosen *c, const bool *answered, struct buf *why)
{
    struct member_process *list = members_find(l);
    bool ended = false;
    for (size_t i = 0; i < l->n && !ended; i++) {
        ended = c->v[i] && !answered[i] && list[i].pid == 0 && l->runner == RUN_BY_NODECTL;
        if (ended) {
            put_member(why, &l->v[i]);
            buf_puts(why, " ended at once; ");
            member_log_tail(l, &l->v[i], why);
        }
    }
    members_free(list, l);
    return ended;
}

static size_t ask_silent(const struct layout *l, struct fleet *f, const struct asking *a, bool *answered,
                         struct fleet_member **of, struct buf *why)
{
    static const char *const info[] = {"INFO", "server"};
    size_t silent = 0;
    fleet_forget(f);
    for (size_t i = 0; i < l->n; i++) {
        if (of[i] == NULL || answered[i])
            continue;
        if (l->v[i].supervisor)
            asking_again(a, of[i]);
        else
            asking_again_node(a, of[i]);
        fleet_ask(of[i], 2, info);
    }
    fleet_run(f);
    struct member_process *list = members_find(l);
    for (size_t i = 0; i < l->n; i++) {
        if (of[i] == NULL || answered[i])
            continue;
        answered[i] = has_answered(of[i], &list[i], why);
        silent += !answered[i];
    }
    members_free(list, l);
    return silent;
}

static void put_silent(const struct layout *l, const bool *answered, struct fleet_member *const *of, int limit_ms,
                       struct buf *why)
{
    for (size_t i = 0; i < l->n; i++) {
        if (of[i] == NULL || answered[i])
            continue;
        put_member(why, &l->v[i]);
        buf_printf(why, " does not answer after %.1f s (%s); ", limit_ms / 1000.0,
                   of[i]->error != NULL ? of[i]->error : "another program answers at its address");
        member_log_tail(l, &l->v[i], why);
        return;
    }
}

static bool wait_answers(const struct layout *l, const struct chosen *c, const struct asking *a, int limit_ms,
                         struct buf *why)
{
    struct fleet f;
    int64_t now = fleet_now_ms(), deadline = now + limit_ms, look_ms = now + DEAD_MS;
    bool *answered = mem_zalloc((l->n + 1) * sizeof *answered), failed = false;
    struct fleet_member **of = mem_zalloc((l->n + 1) * sizeof(struct fleet_member *));
    fleet_init(&f, a->timeout_ms);
    for (size_t i = 0; i < l->n; i++) {
        bool added;
        of[i] = c->v[i] ? fleet_add(&f, &l->v[i].addr, true, &added) : NULL;
    }
    while (!failed && ask_silent(l, &f, a, answered, of, why) > 0) {
        now = fleet_now_ms();
        if (now >= look_ms) {
            failed = one_has_ended(l, c, answered, why);
            look_ms = now + DEAD_MS;
        }
        if (!failed && !interrupt_sleep(LOOK_MS)) {
            buf_puts(why, "interrupted; what was started runs on");
            failed = true;
        } else if (!failed && now >= deadline) {
            put_silent(l, answered, of, limit_ms, why);
            failed = true;
        }
    }
    fleet_free(&f);
    free(of);
    free(answered);
    return !failed && why->n == 0;
}

bool run_start(const struct layout *l, const struct asking *a, enum run_class class, int limit_ms, struct buf *why)
{
    struct chosen c = choose(l, a, class);
    bool ok = l->runner == RUN_BY_NODECTL ? start_all(l, &c, why) : units_order(l, c.v, UNITS_START, limit_ms, why);
    ok = ok && wait_answers(l, &c, a, limit_ms, why);
    free(c.v);
    return ok;
}

/* ---- ending ---- */

/* Waits for all of them until the same moment. Returns how many have not ended. */
static size_t wait_ends(const struct layout *l, const struct chosen *c, const struct member_process *list, int limit_ms)
{
    int64_t deadline = fleet_now_ms() + limit_ms;
    size_t left = 0;
    for (size_t i = 0; i < l->n; i++) {
        bool ended = !c->v[i] || list[i].pid == 0;
        while (!ended) {
            int64_t rest = deadline - fleet_now_ms();
            ended = member_has_ended(&list[i], rest > 0 ? (int)(rest < 100 ? rest : 100) : 0);
            if (!ended && (rest <= 0 || interrupted()))
                break;
        }
        left += !ended;
    }
    return left;
}

static bool signal_all(const struct layout *l, const struct chosen *c, const struct member_process *list, int sig,
                       struct buf *why)
{
    bool ok = true;
    for (size_t i = 0; i < l->n; i++)
        if (c->v[i] && list[i].pid != 0 && !member_signal(&list[i], sig, why))
            ok = false;
    return ok;
}

static void put_left(const struct layout *l, const struct chosen *c, const struct member_process *list, struct buf *why)
{
    bool first = true;
    for (size_t i = 0; i < l->n; i++) {
        if (!c->v[i] || member_has_ended(&list[i], 0))
            continue;
        buf_puts(why, first ? "" : ", ");
        put_member(why, &l->v[i]);
        buf_printf(why, " (process %d)", (int)list[i].pid);
        first = false;
    }
    buf_puts(why, interrupted() ? " had not ended yet"
                                : " did not end in time: give it more by --timeout, or kill by "
                                  "--force");
}

bool run_stop(const struct layout *l, const struct asking *a, enum run_class class, int limit_ms, bool force,
              struct buf *why)
{
    struct chosen c = choose(l, a, class);
    struct member_process *list = members_find(l);
    /* Under systemd some may have been started by hand. */
    bool ok = (l->runner == RUN_BY_NODECTL || units_order(l, c.v, UNITS_STOP, limit_ms, why)) &&
              signal_all(l, &c, list, SIGTERM, why);
    size_t left = ok ? wait_ends(l, &c, list, limit_ms) : 0;
    if (left > 0 && force && !interrupted()) {
        ok = signal_all(l, &c, list, SIGKILL, why);
        left = wait_ends(l, &c, list, KILLED_MS);
    }
    if (left > 0)
        put_left(l, &c, list, why);
    members_free(list, l);
    free(c.v);
    return ok && left == 0;
}
