#include "sentineld/core/inner.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct sn_effect *sn_emit(struct sn_core *c, enum sn_effect_kind kind)
{
    struct sn_effects *out = c->out;
    out->v = mem_grow(out->v, out->n, &out->cap, sizeof *out->v);
    struct sn_effect *e = &out->v[out->n++];
    memset(e, 0, offsetof(struct sn_effect, addr));
    e->addr.host[0] = '\0';
    e->addr.port = 0;
    e->kind = kind;
    return e;
}

/* Stock gives events of the warning level to the notification script when they are tied to a master. */
static void notification_script(struct sn_group *g, const char *event, const char *text)
{
    if (!*g->set.notification_script)
        return;
    struct sn_effect *e = sn_emit(g->core, SN_FX_SCRIPT);
    e->group = mem_strdup(g->name);
    e->argv = mem_zalloc(4 * sizeof *e->argv);
    e->argv[0] = mem_strdup(g->set.notification_script);
    e->argv[1] = mem_strdup(event);
    e->argv[2] = mem_strdup(text);
}

static void publish(struct sn_core *c, struct sn_group *g, enum sn_level l, const char *event, struct buf *text)
{
    struct sn_effect *e = sn_emit(c, SN_FX_PUBLISH);
    e->level = l;
    e->name = event;
    e->text = mem_strdup(buf_str(text));
    e->group = g ? mem_strdup(g->name) : NULL;
    if (g && l == SN_LOG_WARNING)
        notification_script(g, event, buf_str(text));
    buf_free(text);
}

static void put_addr(struct buf *b, const struct addr *a)
{
    buf_printf(b, "%s %d", a->host, a->port);
}

static void put_master(struct buf *b, const struct sn_group *g)
{
    struct addr a = sn_shown_addr(g->core, g->master->node);
    buf_printf(b, "%s ", g->name);
    put_addr(b, &a);
}

static void put_more(struct buf *b, const char *more, va_list ap)
{
    if (!more)
        return;
    buf_putc(b, ' ');
    buf_vprintf(b, more, ap);
}

void sn_publish_inst(struct sn_inst *i, enum sn_level l, const char *event, const char *more, ...)
{
    struct buf b = {0};
    if (sn_is_master(i)) {
        buf_puts(&b, "master ");
        put_master(&b, i->group);
    } else {
        struct addr a = sn_shown_addr(i->group->core, i->node);
        char name[ADDR_TEXT_MAX];
        buf_printf(&b, "slave %s ", addr_text(&a, name));
        put_addr(&b, &a);
        buf_puts(&b, " @ ");
        put_master(&b, i->group);
    }
    va_list ap;
    va_start(ap, more);
    put_more(&b, more, ap);
    va_end(ap);
    publish(i->group->core, i->group, l, event, &b);
}

void sn_publish_seat(struct sn_seat *s, enum sn_level l, const char *event, const char *more, ...)
{
    struct buf b = {0};
    buf_printf(&b, "sentinel %s ", s->peer->id);
    put_addr(&b, &s->peer->addr);
    buf_puts(&b, " @ ");
    put_master(&b, s->group);
    va_list ap;
    va_start(ap, more);
    put_more(&b, more, ap);
    va_end(ap);
    publish(s->group->core, s->group, l, event, &b);
}

void sn_publish_group(struct sn_group *g, enum sn_level l, const char *event, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    publish(g->core, g, l, event, &b);
}

void sn_publish_core(struct sn_core *c, enum sn_level l, const char *event, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    publish(c, NULL, l, event, &b);
}

void sn_reconfig_script(struct sn_group *g, const char *role, const struct addr *from, const struct addr *to)
{
    if (!*g->set.client_reconfig_script)
        return;
    char from_port[12], to_port[12];
    snprintf(from_port, sizeof from_port, "%d", from->port);
    snprintf(to_port, sizeof to_port, "%d", to->port);
    const char *const words[] = {
        g->set.client_reconfig_script, g->name, role, "start", from->host, from_port, to->host, to_port};
    struct sn_effect *e = sn_emit(g->core, SN_FX_SCRIPT);
    e->group = mem_strdup(g->name);
    e->argv = mem_zalloc((sizeof words / sizeof *words + 1) * sizeof *e->argv);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        e->argv[i] = mem_strdup(words[i]);
}
