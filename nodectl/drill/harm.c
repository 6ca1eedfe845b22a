#include "nodectl/drill/harm.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "nodectl/drill/outside.h"
#include "nodectl/drill/survey.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_MS 30000
#define END_MS 10000        /* a process that got SIGKILL is gone by then */
#define NEW_MASTER_MS 30000 /* a master that was killed stays away for so long, if there is no new one before */
#define LOOK_MS 25

/* ---- what can be done ---- */

static bool refuse_cut(const struct harm *h, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    buf_printf(
        why,
        "cutting off %s needs commands of yours, as no signal does what a cut does. In the file of your drills:\n"
        "  drills = ( { name = \"cut\"; kind = \"%s\";\n"
        "    harm_command = \"ssh root@$NODECTL_DRILL_HOST nft -f /etc/nftables/drill.nft\";\n"
        "    heal_command = \"echo 'add table inet drill; delete table inet drill' | ssh root@$NODECTL_DRILL_HOST nft "
        "-f -\";\n"
        "  } );\n"
        "The sample drill.nft has rules for that",
        addr_text(&h->at, text), drill_kind_name(h->kind));
    return false;
}

static bool refuse_remote(const struct harm *h, const char *reason, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    buf_printf(why,
               "%s gets no signal from here: %s. Run the drill there, or give it harm_command and heal_command in the "
               "file of your drills (kind = \"%s\")",
               addr_text(&h->at, text), reason, drill_kind_name(h->kind));
    return false;
}

static bool find_process(struct harm *h, struct buf *why)
{
    struct survey_node node;
    struct buf reason = {0};
    bool ok = survey_node(h->asking, h->order, &h->at, h->of_supervisor, &node, &reason);
    enum process_found found = PROCESS_REFUSED;
    if (ok)
        found = process_find(&h->process, &h->at, node.process_id, &reason);
    if (found == PROCESS_HERE && h->deed != DEED_STOP &&
        !process_can_start_again(&h->process, node.config_file, &reason))
        found = PROCESS_REFUSED;
    if (found == PROCESS_HERE)
        h->way = h->process.unit.name != NULL ? HARM_UNIT : HARM_SIGNAL;
    else if (found == PROCESS_ELSEWHERE)
        refuse_remote(h, buf_str(&reason), why);
    else
        buf_printf(why, "%s", buf_str(&reason));
    buf_free(&reason);
    return found == PROCESS_HERE;
}

/* The order may name a node that this kind is not about. */
static bool fits_named(const struct harm *h, struct buf *why)
{
    const struct drill_target *t = h->target;
    bool switched = h->deed == DEED_SWITCH && t->part == PART_REPLICA; /* to that one */
    if (!t->named || t->part == h->part || switched)
        return true;
    buf_printf(why, "%s is a %s, and %s is done to a %s", h->order->node, drill_part_name(t->part),
               drill_kind_name(h->kind), drill_part_name(h->part));
    return false;
}

static bool find_victim(struct harm *h, struct buf *why)
{
    const struct drill_target *t = h->target;
    char text[ADDR_TEXT_MAX];
    if (h->part == PART_REPLICA && t->shard.drawn == 0) {
        buf_printf(why, "no replica of %s is up and in step", addr_text(&t->shard.nodes[0], text));
        return false;
    }
    if (h->of_supervisor && t->nsupervisors == 0) {
        buf_puts(why, "no supervisor answers");
        return false;
    }
    h->at = h->of_supervisor ? t->supervisors[t->drawn] : t->shard.nodes[h->part == PART_REPLICA ? t->shard.drawn : 0];
    return true;
}

bool harm_prepare(struct harm *h, enum drill_kind kind, const struct asking *a, const struct drill_order *o,
                  const struct drill_target *t, struct buf *why)
{
    *h = (struct harm){.kind = kind, .asking = a, .order = o, .target = t, .process = {.fd = -1}, .guard_fd = -1};
    h->deed = drill_kind_deed(kind);
    h->part = drill_kind_part(kind);
    h->of_supervisor = h->part == PART_SUPERVISOR;
    if (!fits_named(h, why) || !find_victim(h, why))
        return false;
    if (h->of_supervisor && t->nsupervisors < 3) {
        buf_printf(why, "of %zu supervisors none can be missed; three are needed", t->nsupervisors);
        return false;
    }
    if (h->deed == DEED_SWITCH) {
        h->way = HARM_SWITCH;
        if (t->named && t->part == PART_REPLICA)
            h->to = t->shard.nodes[t->shard.drawn];
        return true;
    }
    if (o->harm_command != NULL) {
        h->way = HARM_COMMAND;
        return true;
    }
    return h->deed == DEED_CUT ? refuse_cut(h, why) : find_process(h, why);
}

void harm_describe(const struct harm *h, struct buf *what, struct buf *back)
{
    char text[ADDR_TEXT_MAX];
    switch (h->way) {
    case HARM_SWITCH:
        buf_puts(what, "a planned switch, by the supervisors");
        if (addr_is_set(&h->to))
            buf_printf(what, ", to %s", addr_text(&h->to, text));
        buf_puts(back, "nothing to bring back");
        return;
    case HARM_COMMAND:
        buf_printf(what, "your command: %s", h->order->harm_command);
        buf_printf(back, "your command: %s", h->order->heal_command);
        return;
    case HARM_UNIT:
    case HARM_SIGNAL:
        buf_printf(what, "%s to process %d of this host (%s)", h->deed == DEED_STOP ? "SIGSTOP" : "SIGKILL",
                   (int)h->process.pid, h->process.unit.name != NULL ? h->process.unit.name : h->process.words);
        if (h->deed == DEED_STOP)
            buf_puts(back, "SIGCONT");
        else if (h->way == HARM_UNIT)
            buf_printf(back, "systemctl start %s", h->process.unit.name);
        else
            buf_puts(back, "started again with the same arguments, environment, folder and user");
        return;
    }
}

/* ---- doing it ---- */

static bool run_command(const struct harm *h, const char *command, const char *action, struct buf *why)
{
    const char *names[] = {"ACTION", "NAME", "KIND", "GROUP", "HOST", "PORT", "PID"};
    char port[16], pid[16], *env[sizeof names / sizeof *names + 1] = {NULL};
    struct survey_node node = {0};
    struct buf output = {0}, ignored = {0};
    if (strcmp(action, "harm") == 0)
        (void)survey_node(h->asking, h->order, &h->at, h->of_supervisor, &node, &ignored);
    snprintf(port, sizeof port, "%d", h->at.port);
    snprintf(pid, sizeof pid, "%lld", (long long)node.process_id);
    const char *values[] = {action, h->order->name, drill_kind_name(h->kind), h->target->shard.name, h->at.host, port,
                            pid};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf one = {0};
        buf_printf(&one, "NODECTL_DRILL_%s=%s", names[i], values[i]);
        env[i] = mem_strdup(buf_str(&one));
        buf_free(&one);
    }
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    int code = outside_run(argv, (const char *const *)env, COMMAND_MS, &output);
    if (code != 0)
        buf_printf(why, "'%s' ended with status %d: %s", command, code, buf_str(&output));
    for (size_t i = 0; env[i] != NULL; i++)
        free(env[i]);
    buf_free(&output);
    buf_free(&ignored);
    return code == 0;
}

static bool run_systemctl(const char *verb, const struct harm *h, struct buf *why)
{
    struct buf output = {0};
    int code = unit_order(&h->process.unit, verb, COMMAND_MS, &output);
    if (code != 0)
        buf_printf(why, "systemctl %s %s ended with status %d: %s", verb, h->process.unit.name, code, buf_str(&output));
    buf_free(&output);
    return code == 0;
}

/* systemd would start a unit again by itself, before anybody has missed it: it is told that this one is to stay away.
 */
static bool kill_it(const struct harm *h, struct buf *why)
{
    if (!process_signal(&h->process, SIGKILL, why) || (h->way == HARM_UNIT && !run_systemctl("stop", h, why)))
        return false;
    bool ended = process_wait_end(&h->process, END_MS);
    if (!ended)
        buf_printf(why, "process %d got SIGKILL and has not ended in %d ms", (int)h->process.pid, END_MS);
    return ended;
}

bool harm_do(struct harm *h, struct buf *why)
{
    h->done = true; /* what is half done is undone too */
    if (h->way == HARM_COMMAND)
        return h->whole = run_command(h, h->order->harm_command, "harm", why);
    if (h->way == HARM_SWITCH)
        return survey_switch(h->asking, h->target->supervisors, h->target->nsupervisors, h->target->shard.name,
                             addr_is_set(&h->to) ? &h->to : NULL, why);
    return h->deed == DEED_STOP ? process_signal(&h->process, SIGSTOP, why) : kill_it(h, why);
}

static bool is_up(const struct harm *h)
{
    struct survey_node node;
    struct buf ignored = {0};
    bool up = survey_node(h->asking, h->order, &h->at, h->of_supervisor, &node, &ignored);
    buf_free(&ignored);
    return up;
}

bool harm_must_wait(const struct harm *h)
{
    bool killed = h->way == HARM_COMMAND ? h->whole : process_wait_end(&h->process, 0);
    return h->done && h->deed == DEED_KILL && h->part == PART_MASTER && killed;
}

/* A master that is started again before there is a new one may come back without its data, and its replicas would
 * follow it into that. An outage that lasts is the smaller harm. */
static void wait_new_master(const struct harm *h)
{
    const struct drill_target *t = h->target;
    int64_t until_us = io_now_us() + (int64_t)NEW_MASTER_MS * 1000;
    struct addr now;
    while (io_now_us() < until_us &&
           (!survey_master(h->asking, t->supervisors, t->nsupervisors, t->shard.name, &now) || addr_eq(&now, &h->at)))
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
}

/* Somebody else, who watches over it, may have been faster. */
static bool start_again(const struct harm *h, struct buf *why)
{
    if (!process_wait_end(&h->process, 0) || is_up(h))
        return true;
    return h->way == HARM_UNIT ? run_systemctl("start", h, why) : process_start_again(&h->process, NULL, why);
}

/* A watchdog may have ended what stood still: systemd starts a unit again, and another process has its watcher. */
static bool continue_it(const struct harm *h, struct buf *why)
{
    if (!process_wait_end(&h->process, 0))
        return process_signal(&h->process, SIGCONT, why);
    if (is_up(h) || h->way == HARM_UNIT)
        return start_again(h, why);
    buf_printf(why, "process %d was ended while it was stopped, and not by this drill: start it", (int)h->process.pid);
    return false;
}

bool harm_undo(struct harm *h, struct buf *why)
{
    bool ok = true;
    if (harm_must_wait(h))
        wait_new_master(h);
    if (!h->done || h->way == HARM_SWITCH)
        ok = true;
    else if (h->way == HARM_COMMAND)
        ok = run_command(h, h->order->heal_command, "heal", why);
    else if (h->deed == DEED_STOP)
        ok = continue_it(h, why);
    else
        ok = start_again(h, why);
    h->done = h->done && !ok;
    return ok;
}

/* ---- should this process die ---- */

static _Noreturn void stand_guard(struct harm *h, int end)
{
    char byte;
    struct buf why = {0};
    sigset_t none;
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (read(end, &byte, 1) == 0) {
        h->done = true;
        harm_undo(h, &why);
        if (h->claim != NULL)
            claim_end(h->claim);
    }
    _exit(0);
}

void harm_guard(struct harm *h)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    h->guard = fork();
    if (h->guard == 0) {
        close(ends[1]);
        stand_guard(h, ends[0]);
    }
    close(ends[0]);
    h->guard_fd = ends[1];
    if (h->guard < 0) {
        close(ends[1]);
        h->guard_fd = -1;
    }
}

void harm_free(struct harm *h)
{
    if (h->guard_fd >= 0) {
        (void)!write(h->guard_fd, "", 1); /* if it is gone it needs no word */
        close(h->guard_fd);
        (void)waitpid(h->guard, NULL, 0);
    }
    process_free(&h->process);
    h->guard_fd = -1;
}
