#include "noded/cmd/pause.h"

#include "common/base/mem.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/multi.h"
#include "noded/cmd/transaction.h"

#include <assert.h>
#include <stdlib.h>

#define KEYS_AT_ONCE 64

void nd_postpone(struct nd_session *s)
{
    if ((s->flags & ND_S_POSTPONED) != 0)
        return;
    s->flags |= ND_S_POSTPONED;
    s->e->postponed++;
}

void nd_waits_no_longer(struct nd_session *s)
{
    if ((s->flags & ND_S_POSTPONED) == 0)
        return;
    s->flags &= ~(uint32_t)ND_S_POSTPONED;
    s->e->postponed--;
}

void nd_resume_postponed(struct nd_engine *e)
{
    for (struct nd_session *s = e->sessions; s != NULL && e->postponed > 0; s = s->next) {
        if ((s->flags & ND_S_POSTPONED) == 0)
            continue;
        nd_waits_no_longer(s);
        e->host.resume(e->host.owner, s);
    }
}

void nd_pause(struct nd_engine *e, int64_t until_ms, bool all)
{
    bool already = e->pause_until_ms > e->now_ms;
    e->pause_all = all || (already && e->pause_all);
    if (!already || until_ms > e->pause_until_ms)
        e->pause_until_ms = until_ms;
}

void nd_unpause(struct nd_engine *e)
{
    e->pause_until_ms = 0;
    e->pause_all = false;
    nd_resume_postponed(e);
}

void nd_hold_writes(struct nd_engine *e, enum nd_holder who, bool held)
{
    if (held)
        e->writes_held |= who;
    else
        e->writes_held &= ~(uint32_t)who;
    if (e->writes_held == 0)
        nd_resume_postponed(e);
}

/* The values of the map are counts: as pointers, because no more than that is needed. */
static uintptr_t lock_count(const struct nd_engine *e, struct slice key)
{
    return (uintptr_t)map_get(&e->locked, key);
}

void nd_lock_key(struct nd_engine *e, struct slice key)
{
    map_put(&e->locked, key, (void *)(lock_count(e, key) + 1));
}

void nd_unlock_key(struct nd_engine *e, struct slice key)
{
    uintptr_t count = lock_count(e, key);
    assert(count > 0);
    if (count > 1) {
        map_put(&e->locked, key, (void *)(count - 1));
        return;
    }
    map_del(&e->locked, key);
    nd_resume_postponed(e);
}

bool nd_names_locked_key(const struct nd_engine *e, const struct nd_command *cmd, const struct slice *argv, size_t argc)
{
    int few[KEYS_AT_ONCE];
    int *at = few;
    int n = nd_command_keys(cmd, argv, argc, few, KEYS_AT_ONCE);
    if (n > KEYS_AT_ONCE) {
        at = mem_array(NULL, (size_t)n, sizeof *at);
        n = nd_command_keys(cmd, argv, argc, at, n);
    }
    bool locked = n <= 0 && (cmd->flags & ND_WRITE) != 0;
    for (int i = 0; i < n && !locked; i++)
        locked = lock_count(e, argv[at[i]]) > 0;
    if (at != few)
        free(at);
    return locked;
}

static bool waits_for_key(const struct nd_call *c)
{
    const struct nd_session *s = c->s;
    if (c->cmd->run == nd_exec_command) {
        for (size_t i = 0; s->multi != NULL && i < s->multi->n; i++) {
            const struct nd_queued *q = &s->multi->v[i];
            if (nd_names_locked_key(c->e, q->row->cmd, q->argv, q->argc))
                return true;
        }
        return false;
    }
    bool only_queued = (s->flags & ND_S_MULTI) != 0 && (c->cmd->flags & ND_RUNS_IN_MULTI) == 0;
    return !only_queued && nd_names_locked_key(c->e, c->cmd, c->argv, c->argc);
}

bool nd_must_wait(struct nd_call *c, uint32_t flags)
{
    struct nd_engine *e = c->e;
    struct nd_session *s = c->s;
    if (s->kind != ND_CLIENT)
        return false;
    bool writes = (flags & (ND_WRITE | ND_MAY_REPLICATE)) != 0;
    if (!writes && ((s->flags & ND_S_SUPERVISOR) != 0 || c->cmd->run == nd_cluster_lease))
        return false; /* it is what leases and planned switches are made of */
    bool paused = nd_paused(e) && (e->pause_all || writes);
    if (!paused && (e->locked.used == 0 || !waits_for_key(c)))
        return false;
    nd_postpone(s);
    return true;
}
