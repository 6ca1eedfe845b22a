#include "sentineld/shell/hooks_event.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct hook_event *hook_event_new(const char *name, const char *level, const char *payload, const char *group)
{
    struct hook_event *e = mem_zalloc(sizeof *e);
    e->name = mem_strdup(name);
    e->level = mem_strdup(level);
    e->payload = mem_strdup(payload);
    e->group = group != NULL ? mem_strdup(group) : NULL;
    e->refs = 1;
    return e;
}

struct hook_event *hook_event_share(struct hook_event *e)
{
    e->refs++;
    return e;
}

void hook_event_drop(struct hook_event *e)
{
    if (e == NULL || --e->refs > 0)
        return;
    free(e->name);
    free(e->level);
    free(e->payload);
    free(e->group);
    free(e);
}

/* ---- the payload, in the words of the Sentinel protocol ---- */

/* "host port" from the front of *rest. false: *rest is as it was. */
static bool take_addr(struct slice *rest, struct addr *out)
{
    struct slice tail = *rest;
    struct slice host = slice_cut(&tail, ' '), port = slice_cut(&tail, ' ');
    int64_t number;
    if (!text_range(port, 0, 65535, &number) || !addr_set(out, host, number))
        return false;
    *rest = tail;
    return true;
}

static bool is_type(struct slice word)
{
    return slice_is(word, "master") || slice_is(word, "slave") || slice_is(word, "sentinel");
}

/* "<type> <name> <host> <port>[ @ <group> <host> <port>][ <detail>]" */
static void read_instance(struct slice rest, struct hook_facts *f)
{
    struct slice type = slice_cut(&rest, ' '), name = slice_cut(&rest, ' ');
    if (!is_type(type) || name.n == 0 || !take_addr(&rest, &f->address))
        return;
    f->type = type;
    f->name = name;
    f->detail = rest;
    struct slice tail = rest;
    if (slice_is(slice_cut(&tail, ' '), "@")) {
        slice_cut(&tail, ' ');
        if (take_addr(&tail, &f->master))
            f->detail = tail;
    } else if (slice_is(type, "master")) {
        f->master = f->address;
    }
}

void hook_event_facts(const struct hook_event *e, struct hook_facts *out)
{
    *out = (struct hook_facts){.detail = slice_of(e->payload)};
    struct slice rest = slice_of(e->payload);
    if (strcmp(e->name, "+switch-master") == 0 || strcmp(e->name, HOOK_PRE_FAILOVER) == 0) {
        slice_cut(&rest, ' ');
        if (take_addr(&rest, &out->from) && take_addr(&rest, &out->to))
            out->detail = rest;
        return;
    }
    read_instance(rest, out);
}

/* ---- JSON ---- */

/* Payloads hold bytes from outside; what is not UTF-8 becomes '?'. */
static json_t *text(struct slice s)
{
    json_t *v = json_stringn(s.n > 0 ? s.p : "", s.n);
    if (v != NULL)
        return v;
    char *copy = slice_dup(s);
    for (char *p = copy; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    v = json_string(copy);
    free(copy);
    return v;
}

static void put(json_t *o, const char *name, json_t *value)
{
    json_object_set_new(o, name, value != NULL ? value : json_null());
}

static json_t *address(const struct addr *a)
{
    json_t *o = json_object();
    put(o, "host", text(slice_of(a->host)));
    put(o, "port", json_integer(a->port));
    return o;
}

static void put_address(json_t *o, const char *name, const struct addr *a)
{
    if (a->host[0] != '\0')
        put(o, name, address(a));
}

static void time_text(int64_t wall_ms, char *out, size_t size)
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm parts;
    char whole[32];
    gmtime_r(&s, &parts);
    strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out, size, "%s.%03dZ", whole, (int)(wall_ms % 1000));
}

static void event_id(const struct hook_event *e, char *out, size_t size)
{
    snprintf(out, size, "%s-%" PRId64 "-%" PRIu64, e->supervisor, e->started_ms, e->number);
}

static void put_facts(json_t *o, const struct hook_event *e)
{
    struct hook_facts f;
    hook_event_facts(e, &f);
    if (f.type.n > 0) {
        json_t *instance = json_object();
        put(instance, "type", text(f.type));
        put(instance, "name", text(f.name));
        put(instance, "host", text(slice_of(f.address.host)));
        put(instance, "port", json_integer(f.address.port));
        put(o, "instance", instance);
    }
    put_address(o, "master", &f.master);
    put_address(o, "from", &f.from);
    put_address(o, "to", &f.to);
    put(o, "detail", text(f.detail));
}

void hook_event_json(const struct hook_event *e, unsigned attempt, struct buf *out)
{
    char when[64], id[128];
    json_t *o = json_object(), *supervisor = json_object();
    time_text(e->wall_ms, when, sizeof when);
    event_id(e, id, sizeof id);
    put(o, "event", text(slice_of(e->name)));
    put(o, "level", text(slice_of(e->level)));
    put(o, "payload", text(slice_of(e->payload)));
    put(o, "group", e->group != NULL ? text(slice_of(e->group)) : json_null());
    put_facts(o, e);
    put(o, "epoch", json_integer((json_int_t)e->config_epoch));
    put(o, "current_epoch", json_integer((json_int_t)e->current_epoch));
    put(o, "time_ms", json_integer(e->wall_ms));
    put(o, "time", json_string(when));
    put(supervisor, "id", json_string(e->supervisor));
    put(supervisor, "port", json_integer(e->port));
    put(o, "supervisor", supervisor);
    put(o, "event_id", json_string(id));
    put(o, "attempt", json_integer(attempt));
    put(o, "test", json_boolean(e->test));
    char *line = json_dumps(o, JSON_COMPACT);
    buf_puts(out, line);
    buf_putc(out, '\n');
    free(line);
    json_decref(o);
}

/* ---- variables ---- */

struct env {
    char **v;
    size_t n, cap;
};

/* A value ends at its first zero byte, and has none. */
static void set(struct env *env, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void set(struct env *env, const char *name, const char *fmt, ...)
{
    struct buf line = {.n = 0};
    va_list ap;
    buf_printf(&line, "SENTINELD_%s=", name);
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    env->v = mem_grow(env->v, env->n, &env->cap, sizeof *env->v);
    env->v[env->n++] = mem_strdup(buf_str(&line));
    buf_free(&line);
}

static void set_address(struct env *env, const char *host, const char *port, const struct addr *a)
{
    if (a->host[0] == '\0')
        return;
    set(env, host, "%s", a->host);
    set(env, port, "%d", a->port);
}

char **hook_event_env(const struct hook_event *e, unsigned attempt)
{
    struct env env = {.n = 0};
    struct hook_facts f;
    char id[128];
    hook_event_facts(e, &f);
    event_id(e, id, sizeof id);
    set(&env, "EVENT", "%s", e->name);
    set(&env, "LEVEL", "%s", e->level);
    set(&env, "PAYLOAD", "%s", e->payload);
    set(&env, "GROUP", "%s", e->group != NULL ? e->group : "");
    set(&env, "EPOCH", "%" PRIu64, e->config_epoch);
    set(&env, "CURRENT_EPOCH", "%" PRIu64, e->current_epoch);
    set(&env, "TIME_MS", "%" PRId64, e->wall_ms);
    set(&env, "SUPERVISOR_ID", "%s", e->supervisor);
    set(&env, "SUPERVISOR_PORT", "%d", e->port);
    set(&env, "EVENT_ID", "%s", id);
    set(&env, "ATTEMPT", "%u", attempt);
    set(&env, "TEST", "%d", e->test);
    set(&env, "DETAIL", "%.*s", (int)f.detail.n, f.detail.n > 0 ? f.detail.p : "");
    if (f.type.n > 0) {
        set(&env, "TYPE", "%.*s", (int)f.type.n, f.type.p);
        set(&env, "NAME", "%.*s", (int)f.name.n, f.name.p);
    }
    set_address(&env, "HOST", "PORT", &f.address);
    set_address(&env, "MASTER_HOST", "MASTER_PORT", &f.master);
    set_address(&env, "FROM_HOST", "FROM_PORT", &f.from);
    set_address(&env, "TO_HOST", "TO_PORT", &f.to);
    env.v = mem_grow(env.v, env.n, &env.cap, sizeof *env.v);
    env.v[env.n] = NULL;
    return env.v;
}

void hook_event_env_free(char **env)
{
    for (char **v = env; *v != NULL; v++)
        free(*v);
    free(env);
}

/* ---- made up ---- */

/* Events that stock publishes about a replica; all others are about the master. */
static bool is_of_replica(const char *name)
{
    static const char *const names[] = {"+slave",
                                        "+selected-slave",
                                        "+promoted-slave",
                                        "+convert-to-slave",
                                        "+fix-slave-config",
                                        "+slave-reconf-sent",
                                        "+slave-reconf-inprog",
                                        "+slave-reconf-done",
                                        "+failover-state-send-slaveof-noone",
                                        "+failover-state-wait-promotion",
                                        "+role-change",
                                        "-role-change"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

struct hook_event *hook_event_sample(const char *name, const char *group, const struct addr *master,
                                     const struct addr *replica)
{
    struct buf b = {.n = 0};
    char at[ADDR_TEXT_MAX];
    if (strcmp(name, "+switch-master") == 0 || strcmp(name, HOOK_PRE_FAILOVER) == 0)
        buf_printf(&b, "%s %s %d %s %d", group, master->host, master->port, replica->host, replica->port);
    else if (is_of_replica(name))
        buf_printf(&b, "slave %s %s %d @ %s %s %d", addr_text(replica, at), replica->host, replica->port, group,
                   master->host, master->port);
    else
        buf_printf(&b, "master %s %s %d%s", group, master->host, master->port,
                   strcmp(name, "+odown") == 0 ? " #quorum 2/2" : "");
    struct hook_event *e = hook_event_new(name, "warning", buf_str(&b), group);
    e->test = true;
    buf_free(&b);
    return e;
}
