#include "tests/unit/cluster/leased.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void settled(struct leased *n);

static void step(struct leased *n, struct cl_event *e)
{
    e->now_us = n->now_us;
    e->unix_ms = n->now_us / 1000;
    e->facts = (struct cl_facts){.old_since_us = -1, .databases = 16, .boot_us = n->boot_us};
    cl_step(n->core, e, &n->fx);
    settled(n);
}

static void settled(struct leased *n)
{
    for (size_t i = 0; i < n->fx.n; i++) {
        struct slice text = cl_effect_text(&n->fx.v[i]);
        if (n->fx.v[i].kind == CL_FX_PERSIST) {
            buf_clear(&n->write);
            buf_put(&n->write, text.p, text.n);
            n->write_seq = n->fx.v[i].seq;
        } else if (n->fx.v[i].kind == CL_FX_ANSWER) {
            snprintf(n->answer, sizeof n->answer, "%.*s", (int)text.n, text.p);
            n->answered = true;
            n->answer_ok = n->fx.v[i].ok;
        }
    }
    cl_effects_clear(&n->fx);
    if (!n->slow)
        leased_written(n);
}

void leased_written(struct leased *n)
{
    if (n->write.n == 0)
        return;
    struct cl_event e = {.kind = CL_EV_PERSISTED, .seq = n->write_seq};
    buf_clear(&n->disk);
    buf_put(&n->disk, n->write.p, n->write.n);
    buf_clear(&n->write);
    step(n, &e);
}

static void start(struct leased *n)
{
    struct buf why = {NULL, 0, 0};
    struct cl_options o = {.seed = ++n->life, .settings = {.node_timeout_ms = 1000, .port = 7000, .bus_port = 17000}};
    n->core = cl_core_new(&o, n->now_us, 0);
    bool loaded = cl_core_load(n->core, buf_slice(&n->disk), &why);
    assert(loaded);
    (void)loaded;
    leased_pass(n, 0);
}

struct leased *leased_new(const char *supervised)
{
    struct leased *n = mem_zalloc(sizeof *n);
    n->now_us = 1000000;
    n->boot_us = 500000000;
    buf_printf(&n->disk,
               "%040d 127.0.0.1:7000@17000 myself,master - 0 0 %d connected 0-16383\nvars currentEpoch 5 "
               "lastVoteEpoch 0",
               7, LEASED_EPOCH);
    if (supervised[0] != '\0')
        buf_printf(&n->disk, " supervised %s", supervised);
    buf_putc(&n->disk, '\n');
    start(n);
    return n;
}

void leased_free(struct leased *n)
{
    cl_core_free(n->core);
    cl_effects_free(&n->fx);
    buf_free(&n->disk);
    buf_free(&n->write);
    free(n);
}

void leased_restart(struct leased *n)
{
    cl_core_free(n->core);
    buf_clear(&n->write);
    start(n);
}

void leased_pass(struct leased *n, int64_t us)
{
    /* In small steps: who is called too late holds itself for one that was stopped. */
    do {
        struct cl_event e = {.kind = CL_EV_TIME};
        int64_t part = us < 100000 ? us : 100000;
        n->now_us += part;
        n->boot_us += part;
        us -= part;
        step(n, &e);
    } while (us > 0);
}

bool leased_command(struct leased *n, const struct cl_command *command)
{
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = 1, .command = command};
    n->answered = false;
    step(n, &e);
    return n->answered && n->answer_ok;
}

struct cl_stamp leased_stamp(const struct leased *n)
{
    return (struct cl_stamp){leased_state(n).incarnation, n->boot_us};
}

bool leased_say(struct leased *n, struct said s)
{
    struct cl_lease_ask a = {.speaker = {s.version, s.position, slice_of(s.list)},
                             .ttl_ms = s.ttl_ms,
                             .epoch = s.epoch,
                             .stamp = s.stamp,
                             .give_back = s.give_back};
    return leased_command(n, &(struct cl_command){.verb = CL_LEASE, .lease = &a});
}

bool leased_grant(struct leased *n, int position, int64_t ttl_ms, uint64_t epoch)
{
    return leased_say(n, (struct said){.position = position,
                                       .ttl_ms = ttl_ms,
                                       .epoch = epoch,
                                       .stamp = leased_stamp(n),
                                       .version = 1,
                                       .list = LIST3});
}

bool leased_writes(const struct leased *n)
{
    return n->boot_us < cl_lease_until(n->core);
}

struct cl_lease_state leased_state(const struct leased *n)
{
    struct cl_lease_state s;
    cl_lease_state(n->core, n->boot_us, &s);
    return s;
}

bool leased_says(const struct leased *n, const char *supervised)
{
    char text[1500];
    struct buf all = {NULL, 0, 0};
    buf_put(&all, n->disk.p, n->disk.n);
    snprintf(text, sizeof text, " supervised %s", supervised);
    const char *at = strstr(buf_str(&all), text);
    char behind = at != NULL ? at[strlen(text)] : 'x';
    buf_free(&all);
    return behind == '\n' || behind == ' ';
}
