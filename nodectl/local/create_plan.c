/* What an operator is shown before a fleet is made: its steps, who comes where, and what it would not survive. */
#include "nodectl/local/create.h"

#include "nodectl/local/conf_text.h"
#include "nodectl/local/run.h"

#include <string.h>

#define SHARDS_SHOWN 24 /* -o json has all */

static bool has_hosts(const struct layout *l)
{
    for (size_t i = 1; i < l->n; i++)
        if (strcmp(l->v[i].addr.host, l->v[0].addr.host) != 0)
            return true;
    return false;
}

static void put_range(struct buf *out, const struct layout *l, bool supervisors)
{
    const struct layout_member *first = NULL, *last = NULL;
    char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].supervisor == supervisors) {
            first = first == NULL ? &l->v[i] : first;
            last = &l->v[i];
        }
    if (first == NULL || has_hosts(l)) /* tell_places() has them */
        return;
    buf_printf(out, " (%s%s%s)", addr_text(&first->addr, a), first == last ? "" : " to ",
               first == last ? "" : addr_text(&last->addr, b));
}

/* ---- who comes where ---- */

static void put_member(struct buf *out, const struct layout_member *m, const char *before)
{
    char text[ADDR_TEXT_MAX];
    buf_printf(out, "%s%s%s", before, m->master ? "master " : "", addr_text(&m->addr, text));
    if (m->zone[0] != '\0')
        buf_printf(out, " (%s)", m->zone);
}

/* The members of a shard, or with 0 the supervisors. */
static void tell_group(struct create *c, int shard)
{
    const struct layout *l = &c->layout;
    struct buf line = {0};
    for (int master = 1; master >= 0; master--)
        for (size_t i = 0; i < l->n; i++)
            if (l->v[i].shard == shard && l->v[i].supervisor == (shard == 0) && l->v[i].master == (master == 1))
                put_member(&line, &l->v[i], line.n == 0 ? "" : ", ");
    if (line.n > 0 && shard > 0)
        change_about(&c->change, "shard %d: %s", shard, buf_str(&line));
    else if (line.n > 0)
        change_about(&c->change, "supervisors: %s", buf_str(&line));
    buf_free(&line);
}

static void tell_places(struct create *c)
{
    const struct layout *l = &c->layout;
    if (!has_hosts(l))
        return;
    for (int shard = 1; shard <= l->shards && shard <= SHARDS_SHOWN; shard++)
        tell_group(c, shard);
    if (l->shards > SHARDS_SHOWN)
        change_about(&c->change, "... and %d shards more: -o json names all", l->shards - SHARDS_SHOWN);
    tell_group(c, 0);
}

/* ---- what it would not survive ---- */

static const char *place_of(const struct layout_member *m, bool zone)
{
    return zone ? m->zone : m->addr.host;
}

/* A host, or a zone, with so many supervisors that the rest is no majority. */
static void warn_of_places(struct create *c, bool zone)
{
    const struct layout *l = &c->layout;
    size_t n = layout_count(l, true);
    for (size_t i = 0; i < l->n; i++) {
        size_t there = 0;
        bool first = l->v[i].supervisor && place_of(&l->v[i], zone)[0] != '\0';
        for (size_t k = 0; first && k < l->n; k++) {
            bool same = l->v[k].supervisor && strcmp(place_of(&l->v[k], zone), place_of(&l->v[i], zone)) == 0;
            first = !same || k >= i;
            there += same;
        }
        if (first && n >= 3 && n - there <= n / 2)
            change_warn(
                &c->change,
                "%zu of %zu supervisors are in %s %s: when it is lost, nothing fails over and no write is taken "
                "anywhere. They want three places at least",
                there, n, zone ? "zone" : "host", place_of(&l->v[i], zone));
    }
}

static void warn_of_few(struct create *c)
{
    size_t n = layout_count(&c->layout, true);
    if (n == 1 || n == 2)
        change_warn(&c->change, "%zu supervisor%s survive%s no loss: when one is lost, nothing is failed over", n,
                    n == 1 ? "" : "s", n == 1 ? "s" : "");
    if (has_hosts(&c->layout))
        warn_of_places(c, false);
    if (has_hosts(&c->layout))
        warn_of_places(c, true);
}

static void warn(struct create *c)
{
    const struct layout *l = &c->layout;
    size_t elsewhere = 0, open = 0;
    for (size_t i = 0; i < l->n; i++) {
        elsewhere += !layout_is_here(&l->v[i]);
        open += !conf_is_loopback(l->v[i].addr.host);
    }
    if (elsewhere > 0)
        change_warn(&c->change, "%zu processes are of other hosts, and have to be started there", elsewhere);
    if (open > 0 && (c->asking.node_password[0] == '\0' || c->asking.password[0] == '\0'))
        change_warn(&c->change, "there is no password: whoever reaches the addresses may do everything. See "
                                "--node-password-file and --password-file");
    warn_of_few(c);
}

void create_tell_plan(struct create *c)
{
    const struct layout *l = &c->layout;
    const char *by = l->runner == RUN_BY_NODECTL ? "" : ", and units of systemd";
    size_t nodes = layout_count(l, false), supervisors = layout_count(l, true);
    struct buf at = {0};
    change_step(&c->change, "make %s, and record fleet %s in %s", l->dir, l->name, c->registry);
    change_step(&c->change, "write the configurations of %zu node%s and %zu supervisor%s%s", nodes, PLURAL(nodes),
                supervisors, PLURAL(supervisors), by);
    put_range(&at, l, false);
    change_step(&c->change, "start %zu node%s%s", nodes, PLURAL(nodes), buf_str(&at));
    change_step(&c->change, "make the cluster: 16384 slots over %d shard%s, %d replica%s each", l->shards,
                PLURAL(l->shards), l->replicas, PLURAL(l->replicas));
    buf_clear(&at);
    put_range(&at, l, true);
    change_step(&c->change, "start %zu supervisor%s%s", supervisors, PLURAL(supervisors), buf_str(&at));
    change_step(&c->change,
                supervisors > 0 ? "wait until all is well and every master has its lease" : "note that it is complete");
    buf_free(&at);
    tell_places(c);
    warn(c);
}
