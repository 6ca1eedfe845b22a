#include "tests/unit/cmd/cluster_fixture.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct slice keep(char *out, size_t room, struct slice s)
{
    assert_true(s.n <= room);
    if (s.n > 0)
        memcpy(out, s.p, s.n);
    return (struct slice){out, s.n};
}

static void keep_takeover(struct world *w, const struct cl_takeover *t)
{
    assert_true(t->nfrom <= WORLD_MOVES && t->ngrants <= WORLD_MOVES);
    w->promotion = *t;
    memcpy(w->from, t->from, t->nfrom * sizeof *t->from);
    w->promotion.from = w->from;
    if (t->ngrants > 0)
        memcpy(w->grants, t->grants, t->ngrants * sizeof *t->grants);
    w->promotion.grants = w->grants;
    if (t->speaker != NULL) {
        w->speaker = *t->speaker;
        w->speaker.list = keep(w->list, sizeof w->list, t->speaker->list);
        w->promotion.speaker = &w->speaker;
    }
    w->asked.promotion = &w->promotion;
}

static void host_command(void *owner, cl_token token, const struct cl_command *command)
{
    struct world *w = owner;
    w->asked = *command;
    if (command->lease != NULL) {
        w->lease = *command->lease;
        w->lease.speaker.list = keep(w->list, sizeof w->list, command->lease->speaker.list);
        w->asked.lease = &w->lease;
    }
    if (command->promotion != NULL)
        keep_takeover(w, command->promotion);
    w->asked.node = keep(w->nodes[WORLD_MOVES], sizeof w->nodes[WORLD_MOVES], command->node);
    w->token = token;
    if (command->slots != NULL) {
        memcpy(w->slots, command->slots, sizeof w->slots);
        w->asked.slots = w->slots;
    }
    assert_true(command->nmoves <= WORLD_MOVES);
    for (size_t i = 0; i < command->nmoves; i++) {
        w->moves[i] = command->moves[i];
        w->moves[i].node = keep(w->nodes[i], sizeof w->nodes[i], command->moves[i].node);
    }
    w->asked.moves = command->nmoves > 0 ? w->moves : NULL;
}

static void host_publish(void *owner, struct slice channel, struct slice message, bool shard)
{
    struct world *w = owner;
    assert_true(channel.n > 0 && message.n > 0);
    w->published++;
    w->shard = shard;
}

static bool host_link_buffers(void *owner, cl_link link, size_t *used, size_t *allocated)
{
    (void)owner;
    (void)link;
    *used = *allocated = 0;
    return true;
}

static bool host_job_progress(void *owner, const struct cl_id *job, struct nd_job_progress *out)
{
    const struct world *w = owner;
    assert_false(cl_id_is_none(job));
    *out = w->progress;
    return w->progress.ack_ms != 0;
}

static void host_data(void *owner, struct nd_cluster_data *out)
{
    (void)owner;
    *out = (struct nd_cluster_data){.replid = "the history", .link_ms = 17};
}

static void host_flushed(void *owner)
{
    ((struct world *)owner)->flushed++;
}

static uint64_t host_links_over_limit(void *owner)
{
    (void)owner;
    return 3;
}

void world_step(struct world *w, struct cl_event e)
{
    uint64_t seq = 0;
    w->now_us += 1000;
    e.now_us = w->now_us;
    e.unix_ms = w->now_us / 1000;
    e.facts.old_since_us = -1;
    e.facts.has_keys = nd_cluster_has_keys(w->f->e);
    e.facts.mapping_epoch = w->f->e->keys.mapping_epoch;
    e.facts.databases = w->f->e->keys.db_count;
    e.facts.boot_us = w->f->mono_us;
    cl_step(w->core, &e, &w->fx);
    nd_cluster_changed(w->cl);
    for (size_t i = 0; i < w->fx.n; i++) {
        const struct cl_effect *fx = &w->fx.v[i];
        if (fx->kind == CL_FX_PERSIST)
            seq = fx->seq;
        else if (fx->kind == CL_FX_ANSWER)
            nd_cluster_answered(w->cl, fx->token, fx->ok, cl_effect_text(fx));
        else if (fx->kind == CL_FX_DROP_SLOTS)
            nd_cluster_drop_slots(w->f->e, cl_effect_slots(fx));
    }
    cl_effects_clear(&w->fx);
    if (seq != 0)
        world_step(w, (struct cl_event){.kind = CL_EV_PERSISTED, .seq = seq});
}

struct world *world_new(const char *file)
{
    struct world *w = mem_zalloc(sizeof *w);
    struct nd_config config;
    struct buf why = {0};
    nd_config_init(&config);
    config.cluster_enabled = true;
    w->f = fixture_new_with(&config);
    nd_config_free(&config);
    struct cl_options o = {.seed = 7, .settings = {.node_timeout_ms = 100000000, .port = 7000, .bus_port = 17000}};
    w->now_us = 1000000;
    w->core = cl_core_new(&o, w->now_us, 1000);
    if (!cl_core_load(w->core, slice_of(file), &why))
        fail_msg("%s", buf_str(&why));
    struct nd_cluster_host host = {
        .owner = w,
        .command = host_command,
        .publish = host_publish,
        .link_buffers = host_link_buffers,
        .links_over_limit = host_links_over_limit,
        .job_progress = host_job_progress,
        .data = host_data,
        .flushed = host_flushed,
    };
    w->cl = nd_cluster_new(w->f->e, w->core, &host);
    w->cl->started = true;
    for (int i = 0; i < 8; i++) { /* a master that was away waits before it writes */
        world_step(w, (struct cl_event){.kind = CL_EV_TIME});
        w->now_us += 1000000;
    }
    assert_true(cl_ok(w->core));
    return w;
}

void world_free(struct world *w)
{
    nd_cluster_free(w->cl);
    fixture_free(w->f);
    cl_core_free(w->core);
    cl_effects_free(&w->fx);
    free(w);
}

const char *world_ask(struct world *w, const char *command)
{
    struct client *c = &w->f->clients[0];
    assert_string_equal(client_run(c, command), "");
    assert_int_equal(c->ran, ND_BLOCKED);
    assert_true(w->token != 0);
    cl_token token = w->token;
    w->token = 0;
    world_step(w, (struct cl_event){.kind = CL_EV_COMMAND, .token = token, .command = &w->asked});
    return client_read(c);
}

void world_check(struct world *w, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = run(w->f, rows[i].command);
        if (strcmp(got, rows[i].answer) != 0)
            fail_msg("row %zu: %s answers %s, not %s", i, rows[i].command, got, rows[i].answer);
    }
}
