#include "sentineld/shell/cmd_sentinel.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "sentineld/shell/scripts.h"

/* ---- CONFIG: the daemon's own settings, a row each ---- */

static bool is_yes_or_no(struct slice v)
{
    return slice_ieq(v, "yes") || slice_ieq(v, "no");
}

static bool is_host_or_empty(struct slice v)
{
    struct addr a;
    return v.n == 0 || addr_set(&a, v, 1);
}

static bool is_port_or_zero(struct slice v)
{
    int64_t port;
    return text_range(v, 0, 65535, &port);
}

static bool is_text(struct slice v)
{
    return v.n == 0 || memchr(v.p, '\0', v.n) == NULL;
}

static bool is_level(struct slice v)
{
    enum io_log_level level;
    return io_log_level_parse(v, &level);
}

static const struct setting {
    const char *name;
    bool (*ok)(struct slice value);
    bool is_bool, is_number;
    size_t at; /* in struct sn_globals */
} settings[] = {
    {"resolve-hostnames", is_yes_or_no, true, false, offsetof(struct sn_globals, resolve_hostnames)},
    {"announce-hostnames", is_yes_or_no, true, false, offsetof(struct sn_globals, announce_hostnames)},
    {"announce-ip", is_host_or_empty, false, false, offsetof(struct sn_globals, announce_ip)},
    {"announce-port", is_port_or_zero, false, true, offsetof(struct sn_globals, announce_port)},
    {"sentinel-user", is_text, false, false, offsetof(struct sn_globals, user)},
    {"sentinel-pass", is_text, false, false, offsetof(struct sn_globals, pass)},
    {"loglevel", is_level, false, false, offsetof(struct sn_globals, loglevel)},
};
#define NSETTINGS (sizeof settings / sizeof settings[0])

static size_t find_setting(struct slice name)
{
    size_t i = 0;
    while (i < NSETTINGS && !slice_ieq(name, settings[i].name))
        i++;
    return i;
}

static void put_setting(struct reply *r, const struct sn_globals *g, const struct setting *s)
{
    const char *at = (const char *)g + s->at;
    reply_bulks(r, s->name);
    if (s->is_bool)
        reply_bulks(r, *(const bool *)at ? "yes" : "no");
    else if (s->is_number)
        reply_bulk_int(r, *(const int64_t *)at);
    else
        reply_bulks(r, *(char *const *)at);
}

static void config_get(struct call *call)
{
    size_t mark = reply_begin(call->r), n = 0;
    for (size_t k = 0; k < NSETTINGS; k++) {
        bool wanted = false;
        for (size_t i = 3; i < call->argc && !wanted; i++)
            wanted = text_glob(call->argv[i], slice_of(settings[k].name), true);
        if (wanted) {
            put_setting(call->r, &call->d->core->globals, &settings[k]);
            n++;
        }
    }
    reply_end_map(call->r, mark, n);
}

static void refuse_word(struct call *call, const char *before, struct slice word, const char *after)
{
    reply_error(call->r, "ERR %s '%.*s' %s", before, (int)(word.n < 128 ? word.n : 128), word.p, after);
}

/* All names first, then all values, and then all are set, or none. */
static bool check_config(struct call *call)
{
    bool seen[NSETTINGS] = {false};
    for (size_t i = 3; i < call->argc; i += 2) {
        size_t k = find_setting(call->argv[i]);
        if (k == NSETTINGS) {
            refuse_word(call, "Invalid argument", call->argv[i], "to SENTINEL CONFIG SET");
            return false;
        }
        if (seen[k]) {
            refuse_word(call, "Duplicate argument", call->argv[i], "to SENTINEL CONFIG SET");
            return false;
        }
        if (i + 1 == call->argc) {
            refuse_word(call, "Missing argument", call->argv[i], "value");
            return false;
        }
        seen[k] = true;
    }
    for (size_t i = 3; i < call->argc; i += 2) {
        const struct setting *s = &settings[find_setting(call->argv[i])];
        struct slice v = call->argv[i + 1];
        if (!s->ok(v)) {
            reply_error(call->r, "ERR Invalid value '%.*s' to SENTINEL CONFIG SET '%.*s'", (int)(v.n < 128 ? v.n : 128),
                        v.p, (int)call->argv[i].n, call->argv[i].p);
            return false;
        }
    }
    return true;
}

void cmd_sentinel_config(struct call *call)
{
    if (slice_ieq(call->argv[2], "get") && call->argc >= 4) {
        config_get(call);
    } else if (slice_ieq(call->argv[2], "set") && call->argc >= 5) {
        if (!check_config(call))
            return;
        struct sn_event e = {.kind = SN_EV_CONFIG_SET, .argv = call->argv + 3, .count = call->argc - 3};
        e.token = client_defer(call, CLIENT_ANSWER_CONFIG);
        daemon_step(call->d, &e);
    } else {
        reply_error(call->r, "ERR Only SENTINEL CONFIG GET <option> / SET <option> <value> are supported.");
    }
}

void cmd_config_applied(struct daemon *d)
{
    enum io_log_level level;
    if (io_log_level_parse(slice_of(d->core->globals.loglevel), &level))
        io_log_set_level(level);
}

/* ---- DEBUG: the timers ---- */

static void put_timer(struct reply *r, const char *name, int64_t ms)
{
    char *upper = mem_strdup(name);
    for (char *p = upper; *p != '\0'; p++)
        *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    reply_bulks(r, upper);
    free(upper);
    reply_bulk_int(r, ms);
}

static void show_timers(struct call *call)
{
    const struct sn_params *p = &call->d->core->params;
    size_t mark = reply_begin(call->r), n = 0;
#define X(name, field, value, min) put_timer(call->r, name, p->field), n++;
    SN_PARAMS(X)
#undef X
    reply_end_map(call->r, mark, n);
}

void cmd_sentinel_debug(struct call *call)
{
    if (call->argc == 2) {
        show_timers(call);
        return;
    }
    /* A name without its value at the end: the core is given whole pairs only. */
    struct slice last = call->argv[call->argc - 1];
    if (call->argc % 2 != 0) {
        reply_error(call->r, "ERR Unknown option or number of arguments for SENTINEL DEBUG '%.*s'",
                    (int)(last.n < 128 ? last.n : 128), last.p);
        return;
    }
    struct sn_event e = {.kind = SN_EV_DEBUG, .argv = call->argv + 2, .count = call->argc - 2};
    e.token = client_defer(call, CLIENT_ANSWER_PLAIN);
    daemon_step(call->d, &e);
}

/* ---- SIMULATE-FAILURE ---- */

void cmd_sentinel_simulate(struct call *call)
{
    static const struct {
        const char *name;
        enum sn_crash crash;
    } crashes[] = {
        {"crash-after-election", SN_CRASH_AFTER_ELECTION},
        {"crash-after-promotion", SN_CRASH_AFTER_PROMOTION},
        {"crash-after-swap-begin", SN_CRASH_AFTER_SWAP_BEGIN},
        {"crash-after-swap-prepare", SN_CRASH_AFTER_SWAP_PREPARE},
        {"crash-after-swap-commit", SN_CRASH_AFTER_SWAP_COMMIT},
    };
    size_t n = sizeof crashes / sizeof crashes[0], of_stock = 2; /* clients know these from HELP */
    struct sn_event e = {.kind = SN_EV_SIMULATE};
    for (size_t i = 2; i < call->argc; i++) {
        size_t k = 0;
        while (k < n && !slice_ieq(call->argv[i], crashes[k].name))
            k++;
        if (k < n) {
            e.number |= crashes[k].crash;
        } else if (slice_ieq(call->argv[i], "help")) {
            reply_array(call->r, of_stock);
            for (k = 0; k < of_stock; k++)
                reply_bulks(call->r, crashes[k].name);
            return;
        } else {
            reply_error(call->r, "ERR Unknown failure simulation specified");
            return;
        }
    }
    e.token = client_defer(call, CLIENT_ANSWER_PLAIN);
    daemon_step(call->d, &e);
}

/* ---- PENDING-SCRIPTS ---- */

static void put_script(struct reply *r, const struct script_view *v)
{
    size_t argc = 0;
    while (v->argv[argc] != NULL)
        argc++;
    reply_map(r, 5);
    reply_bulks(r, "argv");
    reply_array(r, argc);
    for (size_t i = 0; i < argc; i++)
        reply_bulks(r, v->argv[i]);
    reply_bulks(r, "flags");
    reply_bulks(r, v->running ? "running" : "scheduled");
    reply_bulks(r, "pid");
    reply_bulk_int(r, v->running ? v->pid : 0);
    reply_bulks(r, v->running ? "run-time" : "run-delay");
    reply_bulk_int(r, v->running ? v->run_time_ms : v->run_delay_ms);
    reply_bulks(r, "retry-num");
    reply_bulk_int(r, v->retries);
}

void cmd_sentinel_pending_scripts(struct call *call)
{
    struct script_view v;
    size_t mark = reply_begin(call->r), n = 0;
    while (scripts_view(call->d->scripts, n, &v)) {
        put_script(call->r, &v);
        n++;
    }
    reply_end_array(call->r, mark, n);
}
