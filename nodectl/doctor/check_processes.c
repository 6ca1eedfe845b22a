/* Who answers, whose clock is off, who is of another version, who lets everybody in. */
#include "nodectl/doctor/checks.h"

#include "common/base/bytes.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_NOTE_MS 250
#define CLOCK_WARN_MS 2000

void check_reach(const json_t *facts, json_t *findings)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(facts, "supervisors"), i, one)
    {
        const char *error = field_text(one, "error");
        if (*error != '\0')
            doctor_change(doctor_finding(findings, FINDING_CRITICAL, "reach", field_text(one, "address"),
                                         "the supervisor cannot be asked: %s", error),
                          "start it, or remove it: nodectl supervisor remove %s", field_text(one, "address"));
    }
    json_array_foreach(json_object_get(facts, "nodes"), i, one)
    {
        const char *error = field_text(one, "error"), *refused = field_text(one, "config_error");
        if (*error != '\0')
            doctor_change(doctor_finding(findings, FINDING_CRITICAL, "reach", field_text(one, "address"),
                                         "the node cannot be asked: %s", error),
                          strncmp(error, "NOAUTH", 6) == 0 ? "give its password: --node-password-file FILE"
                                                           : "see why it is down: systemctl status, its log");
        else if (*refused != '\0')
            doctor_change(doctor_finding(findings, FINDING_NOTE, "reach", field_text(one, "address"),
                                         "it does not show its settings, so they are not checked: %s", refused),
                          "let the user run CONFIG GET, or ask as one who may: --node-user");
    }
}

/* ---- clocks ---- */

struct clock {
    const char *where;
    int64_t ahead_ms, error_ms;
};

static size_t add_clocks(const json_t *list, struct clock *v, size_t n)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_object_get(one, "clock_ms") != NULL)
            v[n++] = (struct clock){field_text(one, "address"), json_int(one, "clock_ms", 0),
                                    json_int(one, "clock_error_ms", 0)};
    }
    return n;
}

static int by_time(const void *a, const void *b)
{
    const struct clock *x = a, *y = b;
    return (x->ahead_ms > y->ahead_ms) - (x->ahead_ms < y->ahead_ms);
}

/* Against the middle one of all: most clocks are right. */
void check_clocks(const json_t *facts, json_t *findings)
{
    const json_t *supervisors = json_object_get(facts, "supervisors"), *nodes = json_object_get(facts, "nodes");
    struct clock *v = calloc(json_array_size(supervisors) + json_array_size(nodes) + 1, sizeof *v);
    size_t n = v != NULL ? add_clocks(nodes, v, add_clocks(supervisors, v, 0)) : 0;
    if (n > 0)
        qsort(v, n, sizeof *v, by_time);
    for (size_t i = 0; i < n; i++) {
        const struct clock *middle = &v[n / 2];
        int64_t off = v[i].ahead_ms - middle->ahead_ms, error = v[i].error_ms + middle->error_ms;
        int64_t sure = (off < 0 ? -off : off) - error;
        if (sure < CLOCK_NOTE_MS)
            continue;
        doctor_change(doctor_finding(findings, sure < CLOCK_WARN_MS ? FINDING_NOTE : FINDING_WARNING, "clocks",
                                     v[i].where,
                                     "its clock is %lld ms %s that of the others: keys expire at another time after a "
                                     "failover, and records do not fit together",
                                     (long long)(off < 0 ? -off : off), off < 0 ? "behind" : "ahead of"),
                      "synchronize it: chrony or systemd-timesyncd");
    }
    free(v);
}

/* ---- versions ---- */

static const char *version_of(const json_t *node)
{
    const json_t *info = doctor_info(node);
    const char *valkey = field_text(info, "valkey_version");
    return *valkey != '\0' ? valkey : field_text(info, "redis_version");
}

static bool same_line(const char *a, const char *b)
{
    struct slice x = slice_of(a), y = slice_of(b);
    bool same = slice_eq(slice_cut(&x, '.'), slice_cut(&y, '.'));
    struct slice minor = slice_cut(&x, '.');
    return same && slice_eq(minor, slice_cut(&y, '.'));
}

static void compare(json_t *findings, const char *what, const char *a, const char *at, const char *b, const char *bt,
                    bool *told)
{
    if (*told || *a == '\0' || *b == '\0' || strcmp(a, b) == 0)
        return;
    *told = true;
    doctor_change(doctor_finding(findings, same_line(a, b) ? FINDING_NOTE : FINDING_WARNING, "versions", bt,
                                 "%s of several versions run together: %s here, %s at %s", what, b, a, at),
                  "finish the upgrade: replicas first, then a switchover of each master");
}

void check_versions(const json_t *facts, json_t *findings)
{
    size_t i;
    const json_t *one, *first = NULL;
    bool nodes = false, supervisors = false, kinds = false;
    json_array_foreach(json_object_get(facts, "nodes"), i, one)
    {
        if (*version_of(one) == '\0')
            continue;
        first = first != NULL ? first : one;
        compare(findings, "nodes", version_of(first), field_text(first, "address"), version_of(one),
                field_text(one, "address"), &nodes);
    }
    first = NULL;
    json_array_foreach(json_object_get(facts, "supervisors"), i, one)
    {
        if (*field_text(one, "version") == '\0')
            continue;
        first = first != NULL ? first : one;
        if (strcmp(field_text(first, "kind"), field_text(one, "kind")) == 0) {
            compare(findings, "supervisors", field_text(first, "version"), field_text(first, "address"),
                    field_text(one, "version"), field_text(one, "address"), &supervisors);
        } else if (!kinds) {
            kinds = true;
            doctor_change(
                doctor_finding(findings, FINDING_NOTE, "versions", field_text(one, "address"),
                               "redis-sentinel and sentineld supervise together: there are no leases then, and a "
                               "redis-sentinel knows no pauses"),
                "replace the redis-sentinel by a sentineld: nodectl config convert");
        }
    }
}

/* ---- who may come in ---- */

static bool listens_to_all(const char *bind)
{
    struct slice rest = slice_of(bind);
    while (rest.n > 0) {
        struct slice word = slice_cut(&rest, ' ');
        if (slice_is(word, "*") || slice_is(word, "-::*") || slice_is(word, "0.0.0.0") || slice_is(word, "::"))
            return true;
    }
    return *bind == '\0';
}

static void check_login(const json_t *node, json_t *findings)
{
    const char *where = field_text(node, "address");
    bool told = json_object_size(json_object_get(node, "config")) > 0;
    bool required = *doctor_config(node, "requirepass") != '\0';
    bool unprotected = strcmp(doctor_config(node, "protected-mode"), "no") == 0 &&
                       listens_to_all(doctor_config(node, "bind"));
    if (json_yes(node, "open"))
        doctor_change(
            doctor_finding(findings, FINDING_CRITICAL, "passwords", where, "everybody who reaches it is let in"),
            "set requirepass and masterauth (or ACL users) on all nodes, or bind it to a private network");
    else if (told && !required && unprotected)
        doctor_change(
            doctor_finding(findings, FINDING_WARNING, "passwords", where,
                           "it listens on all addresses, with protected-mode off and without a password for the "
                           "default user"),
            "set requirepass and masterauth, or bind 127.0.0.1, or protected-mode yes");
    if (told && required && *doctor_config(node, "masterauth") == '\0')
        doctor_change(
            doctor_finding(findings, FINDING_WARNING, "passwords", where,
                           "it has a requirepass and no masterauth: after a failover it cannot follow the new master"),
            "CONFIG SET masterauth to the password of the other nodes");
}

void check_passwords(const json_t *facts, json_t *findings)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(facts, "nodes"), i, one)
    {
        check_login(one, findings);
    }
    json_array_foreach(json_object_get(facts, "supervisors"), i, one)
    {
        if (json_yes(one, "open"))
            doctor_change(
                doctor_finding(findings, FINDING_WARNING, "passwords", field_text(one, "address"),
                               "everybody who reaches this supervisor may order a failover"),
                "give sentineld users with passwords (users in sentineld.conf), or let it listen on a private "
                "network");
    }
}
