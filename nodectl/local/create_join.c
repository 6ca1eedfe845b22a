/* A cluster of nodes that somebody else has started: nothing but what redis-cli --cluster create does is done, and said
 * what supervisors need to watch it. */
#include "nodectl/local/create.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/cluster/form.h"
#include "nodectl/local/conf_text.h"
#include "nodectl/local/registry.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <stdlib.h>
#include <string.h>

#define BUS 10000

struct join {
    struct create *create;
    struct form form;
    struct hosts hosts;
    struct placement_node *places;
    struct form_node *v; /* until the form has it */
    size_t n;
};

/* ---- who they are ---- */

/* "host:port" or "host:port@busport", as CLUSTER NODES has it. */
static bool read_node(struct join *j, struct slice word, struct buf *why)
{
    struct slice rest = word, address = slice_cut(&rest, '@');
    struct form_node node = {0};
    int64_t bus = 0;
    if (!addr_parse(address, &node.addr) || (rest.p != NULL && !text_range(rest, 1, 65535, &bus))) {
        buf_printf(why, "--nodes: '%.*s' is not host:port or host:port@busport (several are separated by commas)",
                   (int)word.n, word.n > 0 ? word.p : "");
        return false;
    }
    node.bus_port = bus > 0 ? (int)bus : node.addr.port + BUS;
    for (size_t i = 0; i < j->n; i++)
        if (addr_eq(&j->v[i].addr, &node.addr)) {
            buf_printf(why, "--nodes names %.*s twice", (int)address.n, address.p);
            return false;
        }
    j->v = mem_array(j->v, j->n + 1, sizeof *j->v);
    j->v[j->n++] = node;
    return true;
}

static size_t host_of(const struct join *j, const char *host)
{
    size_t i = 0;
    while (i < j->hosts.n && strcmp(j->hosts.v[i].name, host) != 0)
        i++;
    return i;
}

/* Without --hosts each host of a node is a zone of its own. */
static bool read_hosts(struct join *j, struct buf *why)
{
    const char *text = j->create->wish.hosts;
    if (text != NULL && !hosts_read(&j->hosts, text, why))
        return false;
    for (size_t i = 0; i < j->n; i++) {
        const char *host = j->v[i].addr.host;
        if (host_of(j, host) < j->hosts.n)
            continue;
        if (text != NULL) {
            buf_printf(why, "--hosts does not name %s, where one of --nodes is", host);
            return false;
        }
        j->hosts.v = mem_grow(j->hosts.v, j->hosts.n, &j->hosts.cap, sizeof *j->hosts.v);
        j->hosts.v[j->hosts.n++] = (struct placement_host){mem_strdup(host), mem_strdup("")};
    }
    return true;
}

static bool place(struct join *j, struct buf *why)
{
    struct create_wish *w = &j->create->wish;
    size_t shards = (size_t)w->shards, of_one = 1 + (size_t)w->replicas;
    if (command_value(j->create->call, "--shards") == NULL)
        shards = j->n / of_one;
    if (shards == 0 || j->n != shards * of_one) {
        buf_printf(why, "%zu nodes are no %zu shards of a master and %d replicas each: that takes %zu", j->n,
                   shards > 0 ? shards : 1, w->replicas, (shards > 0 ? shards : 1) * of_one);
        return false;
    }
    w->shards = (int)shards;
    j->places = mem_zalloc((j->n + 1) * sizeof *j->places);
    for (size_t i = 0; i < j->n; i++)
        j->places[i].host = host_of(j, j->v[i].addr.host);
    if (!placement_deal(j->hosts.v, j->hosts.n, j->places, j->n, shards, why))
        return false;
    for (size_t i = 0; i < j->n; i++) {
        j->v[i].shard = j->places[i].shard;
        j->v[i].master = j->places[i].master;
    }
    return true;
}

static bool read_all(struct join *j, struct buf *why)
{
    bool ok = true;
    for (struct slice rest = slice_of(j->create->wish.nodes); rest.p != NULL && ok;)
        ok = read_node(j, slice_trim(slice_cut(&rest, ',')), why);
    return ok && read_hosts(j, why) && place(j, why);
}

static bool read_supervisors(struct join *j, struct buf *why)
{
    struct conf_addresses *to = &j->create->asking.targets.supervisors;
    const char *text = j->create->wish.listed;
    for (struct slice rest = slice_of(text != NULL ? text : ""); rest.n > 0;) {
        struct slice word = slice_trim(slice_cut(&rest, ','));
        to->v = mem_array(to->v, to->n + 1, sizeof *to->v);
        if (!addr_parse(word, &to->v[to->n])) {
            buf_printf(why, "--supervisor: '%.*s' is not host:port (several are separated by commas)", (int)word.n,
                       word.n > 0 ? word.p : "");
            return false;
        }
        to->n++;
    }
    return true;
}

/* ---- what there is ---- */

/* A fleet of that name that is another one's is not overwritten; this one's own record is left as it is. */
static bool look_at_record(struct join *j, struct buf *why)
{
    struct create *c = j->create;
    struct targets found;
    bool ok = registry_find(c->registry, c->wish.name, &found, why), same = true;
    for (size_t i = 0; ok && found.fleet != NULL && i < j->n; i++) {
        bool known = false;
        for (size_t k = 0; k < found.seeds.n; k++)
            known = known || addr_eq(&found.seeds.v[k], &j->form.v[i].addr);
        same = same && known;
    }
    c->recorded = ok && found.fleet != NULL;
    if (ok && !same) {
        buf_printf(why, "fleet %s is recorded in %s already, with other nodes: give another name", c->wish.name,
                   c->registry);
        ok = false;
    }
    targets_free(&found);
    return ok;
}

/* ---- the plan and its steps ---- */

enum step { SLOTS, MEET, REPLICAS, RECORD, STEPS };

static void plan(struct join *j)
{
    struct change *c = &j->create->change;
    const struct create_wish *w = &j->create->wish;
    change_step(c, "deal 16384 slots out to %d masters", w->shards);
    change_step(c, "let %zu nodes meet", j->n);
    change_step(c, "send %d replicas to each master, and wait until they have its data", w->replicas);
    change_step(c, "record fleet %s in %s", w->name, j->create->registry);
    for (size_t i = 0; i < j->n; i++) {
        char text[ADDR_TEXT_MAX];
        const struct form_node *n = &j->form.v[i];
        change_warn(c, "shard %zu: %s %s", n->shard + 1, n->master ? "master " : "replica", addr_text(&n->addr, text));
    }
    if (j->hosts.n == 1 && j->n > 1)
        change_warn(c, "all nodes are on one host, %s", j->hosts.v[0].name);
}

static bool record(struct join *j, struct buf *why)
{
    struct targets *t = &j->create->asking.targets;
    t->fleet = mem_strdup(j->create->wish.name);
    t->seeds.v = mem_alloc((j->n + 1) * sizeof *t->seeds.v);
    for (size_t i = 0; i < j->n; i++)
        t->seeds.v[t->seeds.n++] = j->form.v[i].addr;
    return registry_add(j->create->registry, t, why);
}

static bool do_step(struct join *j, enum step step, struct buf *why)
{
    int left_ms = create_left_ms(j->create);
    switch (step) {
    case SLOTS: return form_give_slots(&j->form, why);
    case MEET: return form_meet(&j->form, left_ms, why);
    case REPLICAS: return form_replicate(&j->form, left_ms, why);
    case RECORD:
    case STEPS: break;
    }
    return record(j, why);
}

static void do_steps(struct join *j)
{
    struct change *c = &j->create->change;
    struct buf why = {0};
    bool done = form_is_done(&j->form);
    for (int step = SLOTS; step < STEPS; step++) {
        if (step == RECORD ? j->create->recorded : done) {
            change_skipped(c, (size_t)step);
            continue;
        }
        if (!change_now(c, (size_t)step))
            break;
        if (!do_step(j, (enum step)step, &why)) {
            change_failed(c, "%s", buf_str(&why));
            break;
        }
        change_did(c, (size_t)step);
    }
    buf_free(&why);
}

/* ---- afterwards ---- */

static void put_supervision(const struct join *j, struct buf *out)
{
    struct addr *seeds = mem_alloc((j->n + 1) * sizeof *seeds);
    for (size_t i = 0; i < j->n; i++)
        seeds[i] = j->form.v[i].addr;
    conf_text_cluster(out, j->create->wish.name, seeds, j->n, j->create->wish.down_after_ms, "");
    free(seeds);
}

static json_t *document(const struct join *j)
{
    json_t *nodes = json_array();
    struct buf text = {0};
    put_supervision(j, &text);
    for (size_t i = 0; i < j->n; i++) {
        const struct form_node *n = &j->form.v[i];
        json_array_append_new(nodes, json_pack("{s:o, s:i, s:s}", "address", json_addr(&n->addr), "shard",
                                               (int)n->shard + 1, "role", n->master ? "master" : "replica"));
    }
    json_t *o = json_pack("{s:s, s:o, s:i, s:o}", "fleet", j->create->wish.name, "nodes", nodes, "shards",
                          j->create->wish.shards, "for_sentineld_conf", json_text(text.p, text.n));
    buf_free(&text);
    return o;
}

static void tell_supervision(const struct join *j)
{
    struct buf text = {0};
    const struct create *c = j->create;
    if (c->asking.document || c->change.failure.n > 0 || !c->change.agreed)
        return;
    put_supervision(j, &text);
    printf("Fleet %s is made. For its supervisors put this into each sentineld.conf, and reload them:\n", c->wish.name);
    print_lines(stdout, "  ", buf_slice(&text));
    buf_free(&text);
}

static int perform(struct join *j)
{
    struct create *c = j->create;
    struct buf why = {0}, title = {0};
    bool waits;
    form_init(&j->form, &c->asking, j->v, j->n, (size_t)c->wish.shards);
    j->v = NULL;
    bool ok = look_at_record(j, &why) && form_look(&j->form, &waits, &why) &&
              (form_is_done(&j->form) || form_is_fit(&j->form, &why));
    if (!ok)
        command_fail_lines(c->call, buf_slice(&why));
    int code = ok ? change_begin(&c->change, c->call, &c->asking) : EXIT_FAILED;
    if (code == EXIT_OK) {
        plan(j);
        buf_printf(&title, "Creation of fleet %s out of %zu nodes", c->wish.name, j->n);
        if (change_agreed(&c->change, buf_str(&title), "Make it now?"))
            do_steps(j);
        tell_supervision(j);
        code = change_end(&c->change, document(j));
    }
    buf_free(&why);
    buf_free(&title);
    return code;
}

int create_joined(struct create *c)
{
    struct join j = {.create = c};
    struct buf why = {0};
    bool right = read_all(&j, &why) && read_supervisors(&j, &why);
    int code = right ? perform(&j) : command_fail(c->call, EXIT_USAGE, "%s", buf_str(&why));
    form_free(&j.form);
    hosts_free(&j.hosts);
    free(j.places);
    free(j.v);
    buf_free(&why);
    return code;
}
