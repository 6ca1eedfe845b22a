#include "nodectl/node/grow.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "nodectl/local/conf_text.h"
#include "nodectl/local/members.h"
#include "nodectl/local/ports.h"
#include "nodectl/local/registry.h"
#include "nodectl/local/replace_file.h"
#include "nodectl/local/single.h"
#include "nodectl/node/answers.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUS 10000 /* the port of the bus is so much above the other */
#define PORT_MAX 65535
#define ANSWER_MS 20000
#define LOOK_MS 10
#define CONF_BYTES_MAX ((size_t)4 << 20)

static bool load(const struct node_work *w, struct layout *l, struct buf *why)
{
    const char *dir = w->asking.targets.dir;
    *l = (struct layout){.n = 0};
    if (dir == NULL) {
        buf_puts(why,
                 "this fleet was not made by fleet create on this host, so a node has to be started first, and named");
        return false;
    }
    return layout_load(l, dir, why);
}

bool grow_can(const struct node_work *w, struct buf *why)
{
    struct layout l;
    bool can = load(w, &l, why);
    layout_free(&l);
    return can;
}

static bool is_known(const struct picture *p, const struct addr *a)
{
    for (size_t i = 0; i < p->n; i++)
        if (addr_eq(&p->v[i].addr, a))
            return true;
    return false;
}

/* One that is left over, or NULL. */
static struct layout_member *left_over(struct layout *l, const struct picture *p)
{
    for (size_t i = 0; i < l->n; i++)
        if (!l->v[i].supervisor && layout_is_here(&l->v[i]) && !is_known(p, &l->v[i].addr))
            return &l->v[i];
    return NULL;
}

static void name_folder(struct layout_member *m)
{
    snprintf(m->folder, sizeof m->folder, "node-%d", m->addr.port);
}

/* A node that was removed leaves its folder behind. */
static bool was_used(const struct layout *l, int port)
{
    struct layout_member m = {.addr = {.port = port}};
    name_folder(&m);
    char *path = layout_path(l, &m, "");
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* Beside the first of this host, at the next ports that nobody has. */
static struct layout_member *make_member(struct layout *l, struct ports *held, struct buf *why)
{
    const struct layout_member *first = NULL;
    int port = 0;
    for (size_t i = 0; i < l->n; i++) {
        first = first == NULL && !l->v[i].supervisor && layout_is_here(&l->v[i]) ? &l->v[i] : first;
        port = !l->v[i].supervisor && l->v[i].addr.port > port ? l->v[i].addr.port : port;
    }
    if (first == NULL) {
        buf_puts(why, "no node of this fleet is of this host");
        return NULL;
    }
    struct addr a = first->addr;
    do {
        a.port = ++port;
    } while (a.port + BUS <= PORT_MAX && (was_used(l, a.port) || !ports_hold_free(held, a.host, a.port, BUS)));
    if (a.port + BUS > PORT_MAX) {
        buf_printf(why, "%s has no ports left", a.host);
        return NULL;
    }
    struct layout_member *m = layout_add(l, false, &a);
    name_folder(m);
    m->bus_port = a.port + BUS;
    return m;
}

/* Its configuration: what it has, or a new one, with these settings. */
static bool conf_of(const struct node_work *w, const struct layout *l, const struct layout_member *m,
                    const struct fixed_settings *wished, struct buf *out, struct buf *why)
{
    char *conf = layout_conf(l, m);
    struct buf text = {0};
    bool ok = true;
    if (access(conf, F_OK) == 0)
        ok = io_file_read(conf, CONF_BYTES_MAX, &text, why);
    else
        conf_text_node(&text, l, m, w->asking.node_password);
    ok = ok && edit_text(conf, buf_slice(&text), wished, out, why);
    buf_free(&text);
    free(conf);
    return ok;
}

static bool write_files(const struct node_work *w, const struct layout *l, const struct layout_member *m,
                        const struct fixed_settings *wished, struct buf *why)
{
    char *folder = layout_path(l, m, ""), *conf = layout_conf(l, m), *registry;
    struct buf text = {0};
    registry = registry_path(command_value(w->call, "--config"));
    bool ok = conf_of(w, l, m, wished, &text, why) && make_folders(folder, 0700, why) &&
              replace_file(conf, buf_slice(&text), 0600, why) && layout_save(l, why) && single_record(registry, l, why);
    buf_free(&text);
    free(folder);
    free(conf);
    free(registry);
    return ok;
}

/* ... and has read what it has; before, it does not hear of other nodes. */
static bool answers(const struct node_work *w, const struct addr *a)
{
    struct fleet f;
    bool added;
    fleet_init(&f, w->asking.timeout_ms);
    struct fleet_member *m = fleet_add(&f, a, true, &added);
    (void)asking_login_node(&w->asking, m);
    fleet_ask(m, 1, (const char *[]){"INFO"});
    fleet_run(&f);
    const redisReply *r = fleet_answer(m);
    bool told = r != NULL && r->type == REDIS_REPLY_STRING && answer_number(r->str, "loading", 1) == 0;
    fleet_free(&f);
    return told;
}

static bool start(const struct node_work *w, const struct layout *l, const struct layout_member *m, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    /* One that is left over may run, with other settings. */
    if (!single_stop(l, m, ANSWER_MS, why) || !single_start(l, m, ANSWER_MS, why))
        return false;
    for (int64_t end_ms = fleet_now_ms() + ANSWER_MS; fleet_now_ms() < end_ms; poll(NULL, 0, LOOK_MS))
        if (answers(w, &m->addr))
            return true;
    buf_printf(why, "%s was started and does not answer. The end of its log:\n", addr_text(&m->addr, text));
    member_log_tail(l, m, why);
    return false;
}

/* A replica with fewer databases than its master could not follow. */
static bool add_databases(const struct picture *p, struct fixed_settings *f, char text[24], struct buf *why)
{
    int64_t most = 1;
    for (size_t i = 0; i < p->n; i++)
        most = p->v[i].databases > most ? p->v[i].databases : most;
    snprintf(text, 24, "%lld", (long long)most);
    return f->databases > 0 || fixed_add(f, fixed_row("cluster-databases"), text, why);
}

static bool grow(struct node_work *w, struct layout *l, const struct fixed_settings *wished, struct addr *out,
                 struct buf *why)
{
    struct ports held = {.n = 0};
    struct layout_member *m = left_over(l, &w->picture);
    if (m == NULL)
        m = make_member(l, &held, why);
    char text[24];
    struct fixed_settings all = {.databases = wished->databases};
    all.v = mem_array(NULL, wished->n + 1, sizeof *all.v);
    for (; all.n < wished->n; all.n++)
        all.v[all.n] = wished->v[all.n];
    bool ok = m != NULL && add_databases(&w->picture, &all, text, why) && write_files(w, l, m, &all, why);
    free(all.v);
    ports_free(&held);
    ok = ok && start(w, l, m, why);
    if (ok)
        *out = m->addr;
    return ok;
}

bool grow_node(struct node_work *w, const struct fixed_settings *wished, struct addr *out, struct buf *why)
{
    struct layout l;
    bool ok = load(w, &l, why);
    int lock = ok ? layout_lock(&l, why) : -1;
    if (lock >= 0) {
        /* Another nodectl may have changed it until now. */
        layout_free(&l);
        ok = load(w, &l, why) && grow(w, &l, wished, out, why);
        close(lock);
    }
    layout_free(&l);
    return ok && lock >= 0;
}
