#include "noded/cmd/multi.h"

#include "common/base/mem.h"
#include "noded/cmd/watch.h"

#include <stdlib.h>
#include <string.h>

void nd_multi_queue(struct nd_call *c)
{
    struct nd_session *s = c->s;
    reply_status(c->r, "QUEUED");
    /* What is doomed need not be kept. */
    if ((s->flags & (ND_S_DIRTY_CAS | ND_S_DIRTY_EXEC)) != 0)
        return;
    if (s->multi == NULL)
        s->multi = mem_zalloc(sizeof *s->multi);
    struct nd_multi *m = s->multi;
    size_t bytes = c->argc * sizeof(struct slice);
    for (size_t i = 0; i < c->argc; i++)
        bytes += c->argv[i].n;
    struct slice *argv = mem_alloc(bytes);
    char *at = (char *)(argv + c->argc);
    for (size_t i = 0; i < c->argc; i++) {
        if (c->argv[i].n > 0)
            memcpy(at, c->argv[i].p, c->argv[i].n);
        argv[i] = (struct slice){.p = at, .n = c->argv[i].n};
        at += c->argv[i].n;
    }
    m->v = mem_grow(m->v, m->n, &m->cap, sizeof *m->v);
    m->v[m->n++] = (struct nd_queued){.row = c->row, .argc = c->argc, .argv = argv};
    m->flags |= c->row->flags;
    m->memory += bytes + sizeof *m->v;
}

void nd_multi_free(struct nd_multi *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->n; i++)
        free(m->v[i].argv);
    free(m->v);
    free(m);
}

void nd_multi_discard(struct nd_session *s)
{
    nd_multi_free(s->multi);
    s->multi = NULL;
    s->flags &= ~(uint32_t)(ND_S_MULTI | ND_S_DIRTY_CAS | ND_S_DIRTY_EXEC);
    nd_unwatch_all(s);
}
