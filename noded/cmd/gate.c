#include "noded/cmd/run.h"

#include "noded/cmd/cluster.h"
#include "noded/cmd/evict.h"
#include "noded/cmd/multi.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/transaction.h"

#include <string.h>

void nd_refuse(struct nd_call *c, const char *fmt, ...)
{
    struct nd_session *s = c->s;
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (c->row != NULL && c->cmd != NULL)
        c->e->stats.by_command[c->row->number].rejected++;
    if ((s->flags & ND_S_MULTI) != 0)
        s->flags |= ND_S_DIRTY_EXEC;
    const char *words = buf_str(&text);
    if (c->cmd != NULL && c->cmd->run == nd_exec_command) {
        nd_multi_discard(s);
        nd_error(c, "EXECABORT Transaction discarded because of: %s",
                 strncmp(words, "ERR ", 4) == 0 ? words + 4 : words);
    } else {
        nd_error(c, "%s", words);
    }
    buf_free(&text);
}

/* The flags that count for EXEC are those of what it would run. */
static uint32_t flags_that_count(const struct nd_call *c)
{
    uint32_t flags = c->row->flags;
    if (c->cmd->run == nd_exec_command && c->s->multi != NULL)
        flags |= c->s->multi->flags & (ND_WRITE | ND_DENYOOM | ND_MAY_REPLICATE);
    return flags;
}

static bool refused_out_of_memory(struct nd_call *c, uint32_t flags)
{
    const struct nd_engine *e = c->e;
    if (e->config.maxmemory == 0 || c->s->kind == ND_MASTER || (c->s->flags & ND_S_IMPORT) != 0 ||
        (e->is_replica && e->config.replica_ignore_maxmemory) || nd_evict(c->e))
        return false;
    /* Queueing takes memory too. */
    bool queued = (c->s->flags & ND_S_MULTI) != 0 && (flags & ND_RUNS_IN_MULTI) == 0;
    if ((flags & ND_DENYOOM) == 0 && !queued)
        return false;
    nd_refuse(c, "OOM command not allowed when used memory > 'maxmemory'.");
    return true;
}

/* Writes that could not be kept safe are not taken. PING tells it too, so that whoever watches sees it. */
static bool refused_unsafe(struct nd_call *c, uint32_t flags)
{
    const struct nd_engine *e = c->e;
    bool writes = (flags & ND_WRITE) != 0;
    if (e->guards == 0 || e->is_replica || c->s->kind == ND_MASTER)
        return false;
    if ((e->guards & (ND_GUARD_SNAPSHOT_FAILED | ND_GUARD_AOF_FAILED)) != 0 &&
        (writes || strcmp(c->cmd->name, "ping") == 0)) {
        if ((e->guards & ND_GUARD_SNAPSHOT_FAILED) != 0)
            nd_refuse(c, "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
                         "disk. Commands that may modify the data set are disabled, because this instance is "
                         "configured to report errors during writes if RDB snapshotting fails "
                         "(stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB "
                         "error.");
        else
            nd_refuse(c, "MISCONF Errors writing to the AOF file: %s", e->guard_reason);
        return true;
    }
    if ((e->guards & ND_GUARD_FEW_REPLICAS) != 0 && writes) {
        nd_refuse(c, "NOREPLICAS Not enough good replicas to write.");
        return true;
    }
    return false;
}

static bool refused_for_state(struct nd_call *c, uint32_t flags)
{
    const struct nd_engine *e = c->e;
    const struct nd_session *s = c->s;
    if (e->is_replica && e->config.replica_read_only && s->kind != ND_MASTER && (flags & ND_WRITE) != 0) {
        nd_refuse(c, "READONLY You can't write against a read only replica.");
        return true;
    }
    if (nd_session_subscribed(s) && s->r.proto < 3 && (flags & ND_SUBSCRIBED) == 0) {
        nd_refuse(c,
                  "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
                  "this context",
                  c->row->full_name);
        return true;
    }
    if ((e->guards & ND_GUARD_STALE) != 0 && e->is_replica && s->kind != ND_MASTER && (flags & ND_STALE) == 0) {
        nd_refuse(c, "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");
        return true;
    }
    bool waits = (e->loading && (flags & ND_LOADING) == 0) || (e->async_loading && (flags & ND_NO_ASYNC_LOADING) != 0);
    if (waits && s->kind == ND_CLIENT) {
        nd_refuse(c, "LOADING Redis is loading the dataset in memory");
        return true;
    }
    if ((s->kind == ND_REPLICA || (s->flags & ND_S_MONITOR) != 0) &&
        (flags & (ND_MAY_REPLICATE | ND_WRITE | ND_READONLY)) != 0) {
        nd_refuse(c, "ERR Replica can't interact with the keyspace");
        return true;
    }
    return false;
}

static bool needs_password(const struct nd_session *s, uint32_t flags)
{
    const char *password = s->e->config.requirepass;
    return (s->flags & ND_S_AUTHENTICATED) == 0 && (flags & ND_NO_AUTH) == 0 && password != NULL && password[0] != '\0';
}

enum nd_gate nd_gate(struct nd_call *c)
{
    struct nd_session *s = c->s;
    if (s->kind == ND_INNER)
        return ND_GATE_OPEN;
    nd_waits_no_longer(s);
    uint32_t flags = flags_that_count(c);
    if (s->kind == ND_CLIENT && needs_password(s, flags)) {
        nd_refuse(c, "NOAUTH Authentication required.");
        return ND_GATE_REFUSED;
    }
    if ((s->flags & ND_S_MULTI) != 0 && (flags & ND_NO_MULTI) != 0) {
        nd_refuse(c, "ERR Command not allowed inside a transaction");
        return ND_GATE_REFUSED;
    }
    enum nd_gate cluster = nd_cluster_concerned(c) ? nd_cluster_gate(c) : ND_GATE_OPEN;
    if (cluster != ND_GATE_OPEN)
        return cluster;
    if (refused_out_of_memory(c, flags) || refused_unsafe(c, flags) || refused_for_state(c, flags))
        return ND_GATE_REFUSED;
    if (nd_must_wait(c, flags))
        return ND_GATE_POSTPONED;
    if ((s->flags & ND_S_MULTI) != 0 && (flags & ND_RUNS_IN_MULTI) == 0) {
        nd_multi_queue(c);
        return ND_GATE_QUEUED;
    }
    return ND_GATE_OPEN;
}
