#include "nodectl/supervisor/change_list.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "nodectl/drill/listening.h"
#include "nodectl/local/conf_text.h"
#include "nodectl/local/members.h"
#include "nodectl/local/registry.h"
#include "nodectl/local/registry_text.h"
#include "nodectl/local/replace_file.h"
#include "nodectl/local/single.h"
#include "nodectl/supervisor/list_text.h"

#include <libconfig.h>
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

bool change_local_has(const struct change_list *c, const struct addr *at)
{
    struct layout_member *m = member_at((struct layout *)&c->layout, at);
    char *conf = m != NULL ? layout_conf(&c->layout, m) : NULL;
    struct buf text = {0}, out = {0}, why = {0};
    bool has = conf != NULL && io_file_read(conf, FILE_MAX, &text, &why) &&
               list_text_replace(buf_slice(&text), c->wanted.v, c->wanted.n, &out) &&
               slice_eq(buf_slice(&text), buf_slice(&out));
    buf_free(&text);
    buf_free(&out);
    buf_free(&why);
    free(conf);
    return has;
}

bool change_local_runs(const struct change_list *c, const struct addr *at)
{
    struct layout_member *m = member_at((struct layout *)&c->layout, at);
    struct member_process p = {.fd = -1};
    if (m != NULL)
        p = member_find(&c->layout, m);
    bool runs = p.pid != 0;
    member_free(&p);
    return runs;
}

bool change_local_ended(const struct change_list *c, const struct addr *at, struct buf *why)
{
    struct layout_member *m = member_at((struct layout *)&c->layout, at);
    char text[ADDR_TEXT_MAX];
    if (c->layout.runner != RUN_BY_NODECTL || m == NULL || change_local_runs(c, at))
        return false;
    buf_printf(why, "supervisor %s was started and has ended; ", addr_text(at, text));
    member_log_tail(&c->layout, m, why);
    return true;
}

/* Of a fleet over several hosts each one's folders are below its address. */
static struct layout_member *new_member(struct change_list *c)
{
    struct layout_member *m = member_at(&c->layout, &c->who);
    bool many = c->layout.n > 0 && strchr(c->layout.v[0].folder, '/') != NULL;
    if (m != NULL)
        return m;
    m = layout_add(&c->layout, true, &c->who);
    snprintf(m->folder, sizeof m->folder, "%s%ssupervisor-%d", many ? c->who.host : "", many ? "/" : "", c->who.port);
    return m;
}

static void add_entry(struct slice of_other, const char *name, struct buf *text)
{
    struct buf entry = {0}, more = {0};
    if (registry_text_entry(of_other, "clusters", name, &entry) &&
        registry_text_add_to(buf_slice(text), "clusters", buf_slice(&entry), &more)) {
        buf_free(text);
        *text = more;
        more = (struct buf){0};
    }
    buf_free(&entry);
    buf_free(&more);
}

/* What the others watch beside the fleet's own cluster (cluster adopt --seeds), the new one watches too. */
static void add_other_clusters(const struct change_list *c, const struct layout_member *m, struct buf *text)
{
    struct buf other = {0}, why = {0};
    const struct layout_member *from = NULL;
    for (size_t i = 0; i < c->layout.n && from == NULL; i++)
        if (c->layout.v[i].supervisor && &c->layout.v[i] != m)
            from = &c->layout.v[i];
    char *conf = from != NULL ? layout_conf(&c->layout, from) : NULL;
    config_t read;
    config_init(&read);
    if (conf != NULL && io_file_read(conf, FILE_MAX, &other, &why) &&
        config_read_string(&read, buf_str(&other)) == CONFIG_TRUE) {
        const config_setting_t *list = config_lookup(&read, "clusters");
        const char *name;
        for (int i = 0; list != NULL && i < config_setting_length(list); i++)
            if (config_setting_lookup_string(config_setting_get_elem(list, (unsigned)i), "name", &name) ==
                    CONFIG_TRUE &&
                strcmp(name, c->layout.name) != 0)
                add_entry(buf_slice(&other), name, text);
    }
    config_destroy(&read);
    free(conf);
    buf_free(&other);
    buf_free(&why);
}

/* The configuration of a new one: that of a fleet that has it already. It is in fleet.json before it runs, so that
 * fleet stop and destroy find it whatever becomes of the rest. */
static bool write_member(struct change_list *c, const struct layout_member *m, struct buf *why)
{
    char *state = layout_path(&c->layout, m, "state"), *conf = layout_conf(&c->layout, m);
    struct buf text = {0};
    conf_text_supervisor(&text, &c->layout, m, c->asking.password, c->asking.node_password);
    add_other_clusters(c, m, &text);
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
    if (c->adds)
        (void)new_member(c);
    c->layout.supervisors = (int)c->wanted.n;
    bool ok = gone == NULL || single_forget(&c->layout, gone, why);
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
    c->layout.changing = LAYOUT_SETTLED;
    return ok && layout_save(&c->layout, why);
}

bool change_local_begin(struct change_list *c, struct buf *why)
{
    c->layout.changing = c->adds ? LAYOUT_ADDS : LAYOUT_REMOVES;
    c->layout.changing_who = c->who;
    return layout_save(&c->layout, why);
}

bool change_local_undo(struct change_list *c, struct buf *why)
{
    struct layout_member *m = member_at(&c->layout, &c->who);
    for (size_t i = 0; i < c->wanted.n; i++)
        if (!addr_eq(&c->wanted.v[i], &c->who) && change_local_has(c, &c->wanted.v[i]))
            return false;
    c->layout.changing = LAYOUT_SETTLED;
    return m != NULL && single_stop(&c->layout, m, c->limit_ms, why) && single_forget(&c->layout, m, why);
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
