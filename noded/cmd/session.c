#include "noded/cmd/session.h"

#include "common/base/mem.h"
#include "noded/cmd/block.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/extension.h"
#include "noded/cmd/monitor.h"
#include "noded/cmd/multi.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/pubsub.h"
#include "noded/cmd/watch.h"

#include <stdlib.h>

struct nd_session *nd_session_new(struct nd_engine *e, enum nd_session_kind kind, struct buf *out, void *shell)
{
    struct nd_session *s = mem_zalloc(sizeof *s);
    *s = (struct nd_session){
        .e = e,
        .kind = kind,
        .db = nd_keyspace_db(&e->keys, 0),
        .r = {.out = out, .proto = 2},
        .fd = -1,
        .created_ms = e->now_ms,
        .active_ms = e->now_ms,
        .shell = shell,
    };
    if (kind == ND_CLIENT)
        s->id = e->next_session++;
    const char *password = e->config.requirepass;
    if (kind != ND_CLIENT || password == NULL || password[0] == '\0')
        s->flags |= ND_S_AUTHENTICATED;
    map_init(&s->channels, e->locked.seed[0], e->locked.seed[1]);
    map_init(&s->patterns, e->locked.seed[0], e->locked.seed[1]);
    map_init(&s->shard_channels, e->locked.seed[0], e->locked.seed[1]);
    s->prev = e->sessions_last;
    if (s->prev != NULL)
        s->prev->next = s;
    else
        e->sessions = s;
    e->sessions_last = s;
    e->session_count[kind]++;
    return s;
}

void nd_session_free(struct nd_session *s)
{
    struct nd_engine *e = s->e;
    const struct nd_extension *more = e->host.extension;
    if (more != NULL && more->session_gone != NULL)
        more->session_gone(s);
    nd_wait_drop(s);
    nd_waits_no_longer(s);
    nd_monitor_stop(s);
    nd_multi_discard(s);
    nd_unsubscribe_all(s);
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        e->sessions = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    else
        e->sessions_last = s->prev;
    e->session_count[s->kind]--;
    if (e->stopwatch == s)
        e->stopwatch = NULL;
    free(s->name);
    free(s->lib_name);
    free(s->lib_ver);
    free(s);
}

void nd_session_become(struct nd_session *s, enum nd_session_kind kind)
{
    s->e->session_count[s->kind]--;
    s->kind = kind;
    s->e->session_count[kind]++;
}
