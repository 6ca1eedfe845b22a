#include "nodectl/supervisor/change_list.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "nodectl/drill/listening.h"
#include "nodectl/local/conf_text.h"
#include "nodectl/local/registry.h"
#include "nodectl/local/replace_file.h"
#include "nodectl/local/single.h"
#include "nodectl/supervisor/list_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX ((size_t)1 << 20)

static struct layout_member *member_at(struct layout *l, const struct addr *a)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].supervisor && addr_eq(&l->v[i].addr, a))
            return &l->v[i];
    return NULL;
}

bool change_local_can(const struct change_list *c)
{
    struct layout *l = (struct layout *)&c->layout;
    for (size_t i = 0; i < c->wanted.n; i++) {
        const struct layout_member *m = member_at(l, &c->wanted.v[i]);
        bool is_new = c->adds && addr_eq(&c->wanted.v[i], &c->who);
        if (m != NULL ? !layout_is_here(m) : !is_new || !listening_is_our_address(&c->wanted.v[i]))
            return false;
    }
    return true;
}

/* ---- files ---- */

static bool write_list(const struct change_list *c, const struct layout_member *m, struct buf *why)
{
    char *conf = layout_conf(&c->layout, m);
    struct buf text = {0}, out = {0};
    bool ok = io_file_read(conf, FILE_MAX, &text, why);
    if (ok && !list_text_replace(buf_slice(&text), c->wanted.v, c->wanted.n, &out)) {
        buf_printf(why,
                   "the setting supervisors in %s cannot be replaced: write it by hand, then give the command again",
                   conf);
        ok = false;
    }
    ok = ok && replace_file(conf, buf_slice(&out), 0600, why);
    buf_free(&text);
    buf_free(&out);
    free(conf);
    return ok;
}

static struct layout_member *new_member(struct change_list *c)
{
    struct layout_member *m = member_at(&c->layout, &c->who);
    if (m != NULL)
        return m;
    m = layout_add(&c->layout, true, &c->who);
    snprintf(m->folder, sizeof m->folder, "supervisor-%d", c->who.port);
    return m;
}

/* The configuration of a new one: that of a fleet that has it already. It is in fleet.json before it runs, so that
 * fleet stop and destroy find it whatever becomes of the rest. */
static bool write_member(struct change_list *c, const struct layout_member *m, struct buf *why)
{
    char *state = layout_path(&c->layout, m, "state"), *conf = layout_conf(&c->layout, m);
    struct buf text = {0};
    conf_text_supervisor(&text, &c->layout, m, c->asking.password, c->asking.node_password);
    bool ok = layout_save(&c->layout, why) && make_folders(state, 0700, why) &&
              (access(conf, F_OK) == 0 ? write_list(c, m, why) : replace_file(conf, buf_slice(&text), 0600, why));
    buf_free(&text);
    free(state);
    free(conf);
    return ok;
}

/* ---- the record ---- */

static bool record(struct change_list *c, struct buf *why)
{
    struct targets t;
    char *path = registry_path(command_value(c->call, "--config"));
    struct layout_member *gone = c->adds ? NULL : member_at(&c->layout, &c->who);
    c->layout.supervisors = (int)c->wanted.n;
    bool ok = gone != NULL ? single_forget(&c->layout, gone, why) : layout_save(&c->layout, why);
    if (ok && path != NULL && access(path, F_OK) == 0) {
        ok = registry_find(path, c->layout.name, &t, why);
        if (ok && t.fleet != NULL) {
            conf_addresses_free(&t.supervisors);
            t.supervisors.v = mem_array(NULL, c->wanted.n, sizeof *t.supervisors.v);
            memcpy(t.supervisors.v, c->wanted.v, c->wanted.n * sizeof *t.supervisors.v);
            t.supervisors.n = c->wanted.n;
            ok = registry_remove(path, c->layout.name, why) && registry_add(path, &t, why);
        }
        targets_free(&t);
    }
    free(path);
    return ok;
}

bool change_local_act(struct change_list *c, enum list_step what, const struct addr *at, struct buf *why)
{
    struct layout *l = &c->layout;
    struct layout_member *m = what == LIST_START ? new_member(c) : member_at(l, at);
    int ms = c->limit_ms;
    switch (what) {
    case LIST_START: return write_member(c, m, why) && single_stop(l, m, ms, why) && single_start(l, m, ms, why);
    case LIST_RESTART: return write_list(c, m, why) && single_stop(l, m, ms, why) && single_start(l, m, ms, why);
    case LIST_STOP: return m == NULL || single_stop(l, m, ms, why);
    case LIST_RECORD: return record(c, why);
    case LIST_AGREE: break;
    }
    return true;
}
