#include "nodectl/node/retire.h"

#include "nodectl/local/registry.h"
#include "nodectl/local/single.h"

#include <stdlib.h>
#include <unistd.h>

#define END_MS 60000 /* it may write its data first */

static struct layout_member *node_at(struct layout *l, const struct addr *a)
{
    for (size_t i = 0; i < l->n; i++)
        if (!l->v[i].supervisor && addr_eq(&l->v[i].addr, a) && layout_is_here(&l->v[i]))
            return &l->v[i];
    return NULL;
}

bool retire_is_ours(const struct node_work *w, const struct addr *a, struct buf *folder)
{
    const char *dir = w->asking.targets.dir;
    struct layout l = {.n = 0};
    struct buf ignored = {0};
    const struct layout_member *m = NULL;
    if (dir != NULL && layout_is_there(dir) && layout_load(&l, dir, &ignored))
        m = node_at(&l, a);
    if (m != NULL)
        buf_printf(folder, "%s/%s", l.dir, m->folder);
    buf_free(&ignored);
    layout_free(&l);
    return m != NULL;
}

static bool take_out(struct node_work *w, struct layout *l, const struct addr *a)
{
    struct layout_member *m = node_at(l, a);
    char *registry = registry_path(command_value(w->call, "--config"));
    bool ok = m == NULL || (single_stop(l, m, END_MS, &w->why) && single_forget(l, m, &w->why));
    ok = ok && single_record(registry, l, &w->why);
    free(registry);
    return ok;
}

bool retire(struct node_work *w, void *what)
{
    const struct leave *leave = what;
    struct layout l;
    bool ok = layout_load(&l, w->asking.targets.dir, &w->why);
    int lock = ok ? layout_lock(&l, &w->why) : -1;
    if (lock >= 0) {
        /* Another nodectl may have changed it until now. */
        layout_free(&l);
        ok = layout_load(&l, w->asking.targets.dir, &w->why) && take_out(w, &l, &leave->addr);
        close(lock);
    }
    layout_free(&l);
    return ok && lock >= 0;
}
