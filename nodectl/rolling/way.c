#include "nodectl/rolling/way.h"

#include "common/base/mem.h"
#include "nodectl/drill/outside.h"
#include "nodectl/drill/process.h"
#include "nodectl/interrupt.h"
#include "nodectl/node/answers.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define END_MS 60000 /* a node may write its data first */
#define COMMAND_MS 120000
#define UP_MS 600000  /* ... and read it at the start */
#define ENDED_MS 3000 /* one that goes to the background ends its first process, and answers then */
#define LOOK_MS 20

/* ---- asking ---- */

/* INFO of the server; false: it does not answer. */
static bool read_info(const struct asking *a, const struct way *w, struct buf *info, struct buf *why)
{
    struct fleet f;
    bool added, told;
    fleet_init(&f, a->timeout_ms);
    struct fleet_member *m = fleet_add(&f, &w->addr, true, &added);
    (void)(w->supervisor ? asking_login(a, m) : asking_login_node(a, m));
    fleet_ask(m, 1, (const char *[]){"INFO"});
    fleet_run(&f);
    const redisReply *r = fleet_answer(m);
    told = r != NULL && r->type == REDIS_REPLY_STRING;
    if (told)
        buf_put(info, r->str, (size_t)r->len);
    else
        buf_puts(why, m->error != NULL ? m->error : r != NULL && r->str != NULL ? r->str : "no answer");
    fleet_free(&f);
    return told;
}

static bool look(struct way *w, const struct asking *a, struct buf *why)
{
    struct buf info = {0};
    bool told = read_info(a, w, &info, why);
    if (told) {
        const char *text = buf_str(&info);
        w->process_id = answer_number(text, "process_id", 0);
        w->uptime_s = answer_number(text, "uptime_in_seconds", 0);
        (void)answer_field(text, "run_id", w->run_id, sizeof w->run_id);
        (void)answer_field(text, "config_file", w->config, sizeof w->config);
    }
    buf_free(&info);
    return told;
}

static bool find_process(const struct way *w, struct local_process *p, struct buf *why)
{
    enum process_found found = process_find(p, &w->addr, w->process_id, why);
    if (found != PROCESS_HERE)
        return false;
    if (process_can_start_again(p, w->config, why))
        return true;
    process_free(p);
    return false;
}

bool way_find(struct way *w, const struct asking *a, const struct addr *at, bool supervisor, const char *command,
              struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    struct local_process p = {.fd = -1};
    struct buf reason = {0};
    *w = (struct way){.addr = *at, .supervisor = supervisor};
    bool ok = look(w, a, &reason) && (command != NULL || find_process(w, &p, &reason));
    if (!ok)
        buf_printf(why, "%s can't be started again from here: %s%s", addr_text(at, text), buf_str(&reason),
                   command == NULL ? ". Give --command for servers of other hosts" : "");
    else if (command != NULL)
        snprintf(w->how, sizeof w->how, "your command");
    else if (p.unit.name != NULL)
        snprintf(w->how, sizeof w->how, "unit %.50s", p.unit.name);
    else
        snprintf(w->how, sizeof w->how, "process %d", (int)p.pid);
    process_free(&p);
    buf_free(&reason);
    return ok;
}

/* ---- doing it ---- */

static bool run_command(const struct way *w, const char *command, struct buf *why)
{
    char host[ADDR_HOST_MAX + 16], port[32];
    const char *role = w->supervisor ? "NODECTL_ROLE=supervisor" : "NODECTL_ROLE=node";
    const char *argv[] = {"/bin/sh", "-c", command, NULL}, *env[] = {host, port, role, NULL};
    snprintf(host, sizeof host, "NODECTL_HOST=%s", w->addr.host);
    snprintf(port, sizeof port, "NODECTL_PORT=%d", w->addr.port);
    struct buf output = {0};
    int code = outside_run(argv, env, COMMAND_MS, &output);
    if (code != 0)
        buf_printf(why, "'%s' ended with status %d: %s", command, code, buf_str(&output));
    buf_free(&output);
    return code == 0;
}

/* fd: of the new process, which is the caller's to close; -1: systemd has started it, and waited. */
static bool restart_process(const struct way *w, int *fd, struct buf *why)
{
    struct local_process p;
    bool ok = find_process(w, &p, why);
    if (!ok)
        return false;
    if (p.unit.name != NULL) {
        struct buf output = {0};
        int code = unit_order(&p.unit, "restart", COMMAND_MS, &output);
        ok = code == 0;
        if (!ok)
            buf_printf(why, "systemctl restart %s ended with status %d: %s", p.unit.name, code, buf_str(&output));
        buf_free(&output);
    } else {
        ok = process_signal(&p, SIGTERM, why);
        if (ok && !process_wait_end(&p, END_MS)) {
            buf_printf(why, "process %d got SIGTERM and has not ended in %d s", (int)p.pid, END_MS / 1000);
            ok = false;
        }
        ok = ok && process_start_again(&p, fd, why);
    }
    process_free(&p);
    return ok;
}

/* A supervisor keeps its run id, and in a container every process has the same number. */
static bool is_another(const struct way *w, const char *info)
{
    char run_id[48];
    (void)answer_field(info, "run_id", run_id, sizeof run_id);
    return strcmp(run_id, w->run_id) != 0 || answer_number(info, "process_id", 0) != w->process_id ||
           answer_number(info, "uptime_in_seconds", w->uptime_s) < w->uptime_s;
}

/* Another process answers, and has loaded its data. */
static bool is_up(const struct way *w, const struct asking *a, struct buf *why)
{
    struct buf info = {0};
    bool up = read_info(a, w, &info, why);
    if (up) {
        bool new = is_another(w, buf_str(&info));
        up = new &&answer_number(buf_str(&info), "loading", 0) == 0;
        buf_puts(why, !new ? "it is the same process still" : "it loads its data");
    }
    buf_free(&info);
    return up;
}

/* Looks for a moment; a process that is not known never does. */
static bool has_ended(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, LOOK_MS) == 1;
}

bool way_take(struct way *w, const struct asking *a, const char *command, struct buf *why)
{
    int64_t end_ms = fleet_now_ms() + UP_MS;
    struct buf reason = {0};
    bool up = false, ended = false;
    int fd = -1;
    char text[ADDR_TEXT_MAX];
    if (!look(w, a, why) || !(command != NULL ? run_command(w, command, why) : restart_process(w, &fd, why)))
        return false;
    /* What is half done is brought to its end, Ctrl-C or not. */
    while (!up && fleet_now_ms() < end_ms) {
        buf_clear(&reason);
        up = is_up(w, a, &reason);
        if (!up && !ended && has_ended(fd)) {
            ended = true;
            end_ms = fleet_now_ms() + ENDED_MS;
        } else if (ended) {
            poll(NULL, 0, LOOK_MS);
        }
    }
    addr_text(&w->addr, text);
    if (!up && ended)
        buf_printf(why, "%s was started again, and has ended (%s). Its log says why", text, buf_str(&reason));
    else if (!up)
        buf_printf(why, "%s was started again, and does not answer as it should after %d s: %s", text, UP_MS / 1000,
                   buf_str(&reason));
    if (fd >= 0)
        close(fd);
    buf_free(&reason);
    return up;
}
