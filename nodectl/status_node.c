#include "nodectl/status_node.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"

#include <stdlib.h>
#include <string.h>

void add_line(json_t *list, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    json_array_append_new(list, json_text(text.p, text.n));
    buf_free(&text);
}

char *down_reason(const json_t *map, const char *expected_role)
{
    struct buf why = {0};
    const char *told = field_text(map, "down-reason"), *role = field_text(map, "role-reported");
    int64_t ok_ms = field_number(map, "last-ok-ping-reply", -1);
    if (told[0] != '\0')
        buf_puts(&why, told);
    else if (field_has(map, "flags", "disconnected"))
        buf_puts(&why, "not connected");
    else if (role[0] != '\0' && strcmp(role, expected_role) != 0)
        buf_printf(&why, "it reports the role %s", role);
    else
        buf_puts(&why, "it does not answer");
    if (ok_ms >= 0)
        buf_printf(&why, ", last good answer to PING %.1f s ago", (double)ok_ms / 1000);
    char *text = slice_dup(buf_slice(&why));
    buf_free(&why);
    return text;
}

static void address_of(const json_t *map, char out[ADDR_TEXT_MAX])
{
    struct addr a;
    out[0] = '\0';
    if (field_addr(map, "ip", "port", &a))
        addr_text(&a, out);
}

/* The map of that process in one view: the master's or a replica's. NULL: this supervisor does not know it. */
static const json_t *find_map(const struct sight *s, const char *address)
{
    char text[ADDR_TEXT_MAX];
    const json_t *master = json_object_get(s->group, "master");
    address_of(master, text);
    if (strcmp(text, address) == 0)
        return master;
    size_t i;
    const json_t *replica;
    json_array_foreach(json_object_get(s->group, "replicas"), i, replica)
    {
        address_of(replica, text);
        if (strcmp(text, address) == 0)
            return replica;
    }
    return NULL;
}

/* Lower is nearer to the truth. A supervisor that has just begun anew with this process (after a failover, say) has no
 * link yet and counts the time from its beginning, which says nothing. */
static int64_t doubt(const json_t *map)
{
    int64_t age = field_number(map, "last-ok-ping-reply", INT64_MAX / 2);
    return field_has(map, "flags", "disconnected") ? INT64_MAX / 2 + age / 2 : age / 2;
}

/* The map of whoever has a link to it and had a good answer last. */
static const json_t *best_map(const struct sights *s, const char *address)
{
    const json_t *best = NULL;
    int64_t best_doubt = INT64_MAX;
    for (size_t i = 0; i < s->n; i++) {
        const json_t *map = find_map(&s->v[i], address);
        if (map != NULL && (best == NULL || doubt(map) < best_doubt)) {
            best = map;
            best_doubt = doubt(map);
        }
    }
    return best;
}

json_t *number_or_null(int64_t n)
{
    return n >= 0 ? json_integer(n) : json_null();
}

static json_t *words(const char *text)
{
    json_t *list = json_array();
    struct slice rest = slice_of(text);
    while (rest.n > 0) {
        struct slice word = slice_cut(&rest, ',');
        json_array_append_new(list, json_text(word.p, word.n));
    }
    return list;
}

/* What masters and replicas have in common. *bad_map: of the first supervisor that holds it for down, else NULL. */
static json_t *common_fields(const struct sights *s, const char *address, const json_t *map, const json_t **bad_map)
{
    const char *state = "ok";
    json_t *down_by = json_array();
    *bad_map = NULL;
    for (size_t i = 0; i < s->n; i++) {
        const json_t *seen = find_map(&s->v[i], address);
        bool o_down = seen != NULL && field_has(seen, "flags", "o_down");
        if (!o_down && (seen == NULL || !field_has(seen, "flags", "s_down")))
            continue;
        json_array_append_new(down_by, json_string(s->v[i].by));
        if (*bad_map == NULL)
            *bad_map = seen;
        if (o_down || strcmp(state, "o_down") != 0)
            state = o_down ? "o_down" : "s_down";
    }
    bool connected = !field_has(map, "flags", "disconnected");
    if (*bad_map == NULL && !connected)
        state = "disconnected";
    const json_t *from = *bad_map != NULL ? *bad_map : map;
    return json_pack("{s:s, s:s, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:n}", "address", address, "run_id",
                     field_text(map, "runid"), "flags", words(field_text(from, "flags")), "state", state, "connected",
                     connected, "last_ok_ping_ms", number_or_null(field_number(map, "last-ok-ping-reply", -1)),
                     "info_age_ms", number_or_null(field_number(map, "info-refresh", -1)), "down_ms",
                     number_or_null(field_number(from, "s-down-time", -1)), "seen_down_by", down_by, "why");
}

/* Says that it is down, and why, if it is. */
static bool judge_down(const struct sights *s, json_t *node, const json_t *map, const json_t *bad_map, const char *part,
                       const char *role, json_t *problems)
{
    const char *state = field_text(node, "state"), *address = field_text(node, "address");
    if (strcmp(state, "ok") == 0)
        return false;
    char *why = down_reason(bad_map != NULL ? bad_map : map, role);
    size_t by = json_array_size(json_object_get(node, "seen_down_by"));
    if (bad_map != NULL)
        add_line(problems, "%s: %s %s is %s for %zu of %zu supervisors: %s", s->name, part, address, state, by, s->n,
                 why);
    else
        add_line(problems, "%s: %s %s: %s", s->name, part, address, why);
    json_object_set_new(node, "why", json_text(why, strlen(why)));
    free(why);
    return true;
}

/* The INFO of this master; NULL when the reporter's is of another one, which it still calls the master while it
 * promotes this. */
static const json_t *info_of(const struct sights *s, const char *master)
{
    char text[ADDR_TEXT_MAX];
    const json_t *group = s->v[s->reporter].group;
    address_of(json_object_get(group, "master"), text);
    return strcmp(text, master) == 0 ? json_object_get(group, "info") : NULL;
}

json_t *status_master(const struct sights *s, const char *address, json_t *problems)
{
    const json_t *map = best_map(s, address), *bad_map;
    const json_t *info = info_of(s, address);
    if (map == NULL) /* promoted so lately that nobody has its map yet */
        map = json_object_get(s->v[s->reporter].group, "master");
    json_t *node = common_fields(s, address, map, &bad_map);
    judge_down(s, node, map, bad_map, "master", "master", problems);
    json_t *offset = json_object_get(info, "offset"), *age = json_object_get(info, "age_ms");
    json_object_set(node, "offset", offset != NULL ? offset : json_null());
    json_object_set(node, "offset_age_ms", age != NULL ? age : json_null());
    static const char *const told[] = {"ops_per_s", "used_memory"};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        json_t *value = json_object_get(info, told[i]);
        json_object_set_new(node, told[i], value != NULL ? json_incref(value) : json_null());
    }
    json_object_set_new(node, "lease_ms", number_or_null(field_number(map, "lease-held-ms", -1)));
    json_object_set_new(node, "lease_grants", number_or_null(field_number(map, "lease-grants", -1)));
    return node;
}

/* How far the replica is behind the master's offset of its last INFO. The replica has at least what it told last,
 * and what the master's INFO says that it acknowledged (once a second). */
static void add_lag(const struct sights *s, json_t *node, const char *master)
{
    const json_t *info = info_of(s, master), *line;
    size_t i;
    json_object_set_new(node, "lag_bytes", json_null());
    json_object_set_new(node, "lag_s", json_null());
    json_array_foreach(json_object_get(info, "replicas"), i, line)
    {
        if (strcmp(field_text(line, "address"), field_text(node, "address")) != 0)
            continue;
        int64_t goal = json_integer_value(json_object_get(info, "offset"));
        int64_t acknowledged = json_integer_value(json_object_get(line, "offset"));
        int64_t own = json_integer_value(json_object_get(node, "offset"));
        int64_t has = own > acknowledged ? own : acknowledged;
        if (has >= 0 && goal >= 0)
            json_object_set_new(node, "lag_bytes", json_integer(goal > has ? goal - has : 0));
        json_object_set_new(node, "lag_s", number_or_null(json_integer_value(json_object_get(line, "lag_s"))));
        return;
    }
}

/* A replica that is up may still be of no use: it does not follow, or follows somebody else. */
static void judge_link(const struct sights *s, const json_t *node, const json_t *map, const char *master,
                       json_t *problems)
{
    const char *address = field_text(node, "address"), *follows = field_text(node, "follows");
    const char *role = field_text(map, "role-reported");
    struct addr a, b;
    int64_t down_ms = field_number(map, "master-link-down-time", 0);
    bool comparable = addr_parse(slice_of(follows), &a) && addr_parse(slice_of(master), &b) && addr_is_ip(a.host) &&
                      addr_is_ip(b.host);
    if (role[0] != '\0' && strcmp(role, "slave") != 0)
        add_line(problems, "%s: replica %s reports the role %s", s->name, address, role);
    else if (comparable && !addr_eq(&a, &b))
        add_line(problems, "%s: replica %s follows %s instead of %s", s->name, address, follows, master);
    else if (strcmp(field_text(map, "master-link-status"), "ok") == 0)
        return;
    else if (*field_text(map, "master-sync-guarded") != '\0')
        add_line(problems,
                 "%s: replica %s does not follow: its master is empty, it is not, and no supervisor has seen that the "
                 "master was emptied. When the data of the replica may go, say to it: REPLICAOF ACCEPT %s",
                 s->name, address, field_text(map, "master-sync-guarded"));
    else if (down_ms > 0)
        add_line(problems, "%s: replica %s has had no link to its master for %.1f s", s->name, address,
                 (double)down_ms / 1000);
    else
        add_line(problems, "%s: replica %s has no link to its master", s->name, address);
}

static json_t *one_replica(const struct sights *s, const char *address, const char *master, json_t *problems)
{
    const json_t *bad_map, *map = best_map(s, address);
    char follows[ADDR_TEXT_MAX] = "";
    struct addr a;
    json_t *node = common_fields(s, address, map, &bad_map);
    if (field_addr(map, "master-host", "master-port", &a))
        addr_text(&a, follows);
    json_object_set_new(node, "priority", number_or_null(field_number(map, "slave-priority", -1)));
    json_object_set_new(node, "offset", number_or_null(field_number(map, "slave-repl-offset", -1)));
    json_object_set_new(node, "master_link", json_string(field_text(map, "master-link-status")));
    json_object_set_new(node, "master_link_down_ms", number_or_null(field_number(map, "master-link-down-time", -1)));
    if (*field_text(map, "master-sync-guarded") != '\0')
        json_object_set_new(node, "sync_guarded", json_string(field_text(map, "master-sync-guarded")));
    json_object_set_new(node, "follows", json_string(follows));
    json_object_set_new(node, "announced", json_boolean(field_number(map, "replica-announced", 1) != 0));
    add_lag(s, node, master);
    if (!judge_down(s, node, map, bad_map, "replica", "slave", problems))
        judge_link(s, node, map, master, problems);
    return node;
}

json_t *status_replicas(const struct sights *s, const char *master, json_t *problems)
{
    json_t *list = json_array(), *done = json_object();
    json_object_set_new(done, master, json_true());
    for (size_t k = 0; k < s->n; k++) {
        const struct sight *view = &s->v[(s->reporter + k) % s->n];
        size_t i;
        const json_t *replica;
        json_array_foreach(json_object_get(view->group, "replicas"), i, replica)
        {
            char address[ADDR_TEXT_MAX];
            address_of(replica, address);
            if (address[0] == '\0' || json_object_get(done, address) != NULL)
                continue;
            json_object_set_new(done, address, json_true());
            json_array_append_new(list, one_replica(s, address, master, problems));
        }
    }
    json_decref(done);
    return list;
}
