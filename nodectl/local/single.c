#include "nodectl/local/single.h"

#include "common/base/mem.h"
#include "nodectl/local/members.h"
#include "nodectl/local/registry.h"
#include "nodectl/local/units.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static bool *only(const struct layout *l, const struct layout_member *m)
{
    bool *chosen = mem_zalloc((l->n + 1) * sizeof *chosen);
    chosen[m - l->v] = true;
    return chosen;
}

static bool order_unit(const struct layout *l, const struct layout_member *m, enum units_order order, int limit_ms,
                       struct buf *why)
{
    bool *chosen = only(l, m), ok = units_order(l, chosen, order, limit_ms, why);
    free(chosen);
    return ok;
}

bool single_start(const struct layout *l, const struct layout_member *m, int limit_ms, struct buf *why)
{
    if (l->runner == RUN_BY_NODECTL)
        return member_start(l, m, why);
    return units_install(l, why) && order_unit(l, m, UNITS_START, limit_ms, why);
}

bool single_stop(const struct layout *l, const struct layout_member *m, int limit_ms, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    struct buf said = {0};
    struct member_process p = member_find(l, m);
    /* A unit that fails again and again has no process now and then, and a new one is no unit yet. */
    bool ok = l->runner != RUN_BY_NODECTL ? order_unit(l, m, UNITS_STOP, limit_ms, &said) || p.pid == 0
                                          : p.pid == 0 || member_signal(&p, SIGTERM, &said);
    if (!ok)
        buf_puts(why, buf_str(&said));
    buf_free(&said);
    if (ok && p.pid != 0 && !member_has_ended(&p, limit_ms)) {
        buf_printf(why, "%s %s (process %d) does not end", m->supervisor ? "supervisor" : "node",
                   addr_text(&m->addr, text), (int)p.pid);
        ok = false;
    }
    member_free(&p);
    return ok;
}

bool single_forget(struct layout *l, struct layout_member *m, struct buf *why)
{
    bool *chosen = only(l, m), ok = l->runner == RUN_BY_NODECTL || units_remove(l, chosen, why);
    free(chosen);
    if (!ok)
        return false;
    layout_leave(l, m->folder);
    free(m->zone);
    size_t behind = l->n - (size_t)(m - l->v) - 1;
    memmove(m, m + 1, behind * sizeof *m);
    l->n--;
    return layout_save(l, why);
}

bool single_record(const char *registry, const struct layout *l, struct buf *why)
{
    struct targets t = {.fleet = NULL};
    bool ok = registry == NULL || registry_find(registry, l->name, &t, why);
    if (ok && t.fleet != NULL && t.dir != NULL && strcmp(t.dir, l->dir) == 0) {
        conf_addresses_free(&t.seeds);
        t.seeds.v = mem_alloc((l->n + 1) * sizeof *t.seeds.v);
        for (size_t i = 0; i < l->n; i++)
            if (!l->v[i].supervisor)
                t.seeds.v[t.seeds.n++] = l->v[i].addr;
        /* One that names nobody would say less than the old one, and no command could be given to it. */
        if (t.seeds.n + t.supervisors.n > 0)
            ok = registry_remove(registry, l->name, why) && registry_add(registry, &t, why);
    }
    targets_free(&t);
    return ok;
}
