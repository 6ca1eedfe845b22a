#include "sentineld/shell/cmd_sentinel.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/io/process.h"
#include "sentineld/shell/clients.h"
#include "sentineld/shell/hooks.h"
#include "sentineld/shell/hooks_event.h"
#include "sentineld/shell/hooks_run.h"

/* SENTINEL HOOK LIST and TEST. */

static void put_words(struct reply *r, const char *name, const struct conf_strings *words)
{
    reply_bulks(r, name);
    reply_array(r, words->n);
    for (size_t i = 0; i < words->n; i++)
        reply_bulks(r, words->v[i]);
}

static void put_number(struct reply *r, const char *name, int64_t n)
{
    reply_bulks(r, name);
    reply_bulk_int(r, n);
}

static void put_hook(struct reply *r, const struct hook_view *v)
{
    const struct config_hook *h = v->hook;
    reply_map(r, 13);
    put_words(r, "on", &h->on);
    put_words(r, "run", &h->run);
    reply_bulks(r, "group");
    reply_bulks(r, h->group != NULL ? h->group : "*");
    put_number(r, "timeout-ms", h->timeout_ms);
    put_number(r, "retries", h->retries);
    put_number(r, "retry-delay-ms", h->retry_delay_ms);
    reply_bulks(r, "veto");
    reply_bulks(r, !h->veto ? "no" : h->on_error == CONFIG_ON_ERROR_ABORT ? "yes, abort on error" : "yes");
    reply_bulks(r, "state");
    reply_bulks(r, v->retired ? "no longer configured" : "active");
    put_number(r, "running", (int64_t)v->running);
    put_number(r, "waiting", (int64_t)v->waiting);
    put_number(r, "runs", (int64_t)v->runs);
    put_number(r, "failures", (int64_t)v->failures);
    put_number(r, "dropped", (int64_t)v->dropped);
}

static void list(struct call *call)
{
    struct hook_view v;
    size_t mark = reply_begin(call->r), n = 0;
    while (hooks_view(call->d->hooks, n, &v)) {
        put_hook(call->r, &v);
        n++;
    }
    reply_end_array(call->r, mark, n);
}

/* ---- TEST ---- */

struct result {
    char *program, *outcome, *output;
    int64_t code, took_us;
};

struct test {
    struct daemon *d;
    sn_token token;
    struct result *v;
    size_t n;
};

static void put_results(struct reply *r, void *arg)
{
    const struct test *t = arg;
    reply_array(r, t->n);
    for (size_t i = 0; i < t->n; i++) {
        const struct result *one = &t->v[i];
        reply_map(r, 5);
        reply_bulks(r, "run");
        reply_bulks(r, one->program);
        reply_bulks(r, "result");
        reply_bulks(r, one->outcome);
        put_number(r, "exit-status", one->code);
        put_number(r, "time-us", one->took_us);
        reply_bulks(r, "output");
        reply_bulks(r, one->output);
    }
}

static void answer(struct test *t)
{
    if (t->d->clients != NULL)
        clients_answer_by(t->d->clients, t->token, put_results, t);
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].program);
        free(t->v[i].outcome);
        free(t->v[i].output);
    }
    free(t->v);
    free(t);
}

static void ended(void *arg, const struct config_hook *hook, const struct io_process_exit *end, const char *error,
                  int64_t took_us)
{
    struct test *t = arg;
    if (hook == NULL) {
        answer(t);
        return;
    }
    struct buf how = {.n = 0};
    if (end != NULL)
        hook_outcome(&how, end, hook->timeout_ms);
    else
        buf_puts(&how, error);
    t->v = mem_array(t->v, t->n + 1, sizeof *t->v);
    t->v[t->n++] = (struct result){.program = mem_strdup(hook->run.v[0]),
                                   .outcome = mem_strdup(buf_str(&how)),
                                   .output = end != NULL ? slice_dup(end->output) : mem_strdup(""),
                                   .code = end != NULL ? end->code : -1,
                                   .took_us = took_us};
    buf_free(&how);
}

static struct hook_event *sample(const struct daemon *d, const char *event, const struct sn_group *g)
{
    struct addr master, replica;
    addr_set(&master, slice_of("127.0.0.1"), 6379);
    addr_set(&replica, slice_of("127.0.0.1"), 6380);
    if (g != NULL) {
        master = sn_current_master(g);
        for (size_t i = 0; i < g->ninsts; i++)
            if (g->insts[i] != g->master && g->insts[i]->listed)
                replica = sn_shown_addr(d->core, g->insts[i]->node);
    }
    return hook_event_sample(event, g != NULL ? g->name : "mymaster", &master, &replica);
}

static void run_test(struct call *call)
{
    struct daemon *d = call->d;
    struct sn_group *g = d->core->ngroups > 0 ? d->core->groups[0] : NULL;
    struct slice event = slice_of("+switch-master");
    for (size_t i = 3; i + 1 < call->argc; i += 2) {
        if (slice_ieq(call->argv[i], "event")) {
            event = call->argv[i + 1];
        } else if (slice_ieq(call->argv[i], "group")) {
            g = sn_group_find(d->core, call->argv[i + 1]);
            if (g == NULL) {
                reply_error(call->r, "ERR No such master with that name");
                return;
            }
        } else {
            command_syntax_error(call);
            return;
        }
    }
    if (call->argc % 2 == 0) {
        command_syntax_error(call);
        return;
    }
    char *name = slice_dup(event);
    struct test *t = mem_zalloc(sizeof *t);
    t->d = d;
    t->token = client_defer(call, CLIENT_ANSWER_HISTORY);
    hooks_test(d->hooks, sample(d, name, g), ended, t);
    free(name);
}

void cmd_sentinel_hook(struct call *call)
{
    if (slice_ieq(call->argv[2], "list") && call->argc == 3)
        list(call);
    else if (slice_ieq(call->argv[2], "test"))
        run_test(call);
    else
        command_syntax_error(call);
}
