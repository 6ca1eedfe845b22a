#include "common/io/link_pending.h"

#include "common/base/mem.h"

#include <stdlib.h>

void link_pending_init(struct link_pendings *p)
{
    *p = (struct link_pendings){.count = 0};
    p->last = &p->first;
}

static struct link_pending *make(struct link_pendings *p)
{
    for (size_t i = 0; i < LINK_PENDING_KEPT; i++) {
        if (p->own[i].used)
            continue;
        p->own[i] = (struct link_pending){.kept = true, .used = true};
        return &p->own[i];
    }
    return mem_zalloc(sizeof(struct link_pending));
}

void link_pending_add(struct link_pendings *p, io_reply_fn *fn, void *arg)
{
    struct link_pending *c = make(p);
    c->fn = fn;
    c->arg = arg;
    *p->last = c;
    p->last = &c->next;
    p->count++;
}

bool link_pending_take(struct link_pendings *p, io_reply_fn **fn, void **arg)
{
    struct link_pending *c = p->first;
    if (c == NULL)
        return false;
    p->first = c->next;
    if (p->first == NULL)
        p->last = &p->first;
    p->count--;
    *fn = c->fn;
    *arg = c->arg;
    if (c->kept)
        c->used = false;
    else
        free(c);
    return true;
}
