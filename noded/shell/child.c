#include "noded/shell/child.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "noded/repl/rdb_write.h"
#include "noded/shell/node.h"
#include "noded/shell/rdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    struct node *n;
    pid_t pid; /* 0: none lives */
    int pipe;
    ev_io notes;
    ev_child end;
    char *path; /* of its file; NULL: it writes to descriptors */
    bool *got;
    size_t got_n;
    struct child_note last; /* CHILD_END, when it came */
    bool told;              /* it did */
};

/* ---- its end ---- */

/* Nothing of a child that did not end well is left. */
static void remove_temp(const struct child *c)
{
    struct buf name = {0};
    if (c->path == NULL)
        return;
    rdb_temp_name(c->path, c->pid, &name);
    if (unlink(buf_str(&name)) != 0 && errno != ENOENT)
        io_log(IO_WARNING, "%s cannot be removed: %s", buf_str(&name), strerror(errno));
    buf_free(&name);
}

static void put_down(struct child *c)
{
    struct ev_loop *ev = io_loop_ev(c->n->loop);
    ev_io_stop(ev, &c->notes);
    ev_child_stop(ev, &c->end);
    close(c->pipe);
    free(c->path);
    free(c->got);
    c->path = NULL;
    c->got = NULL;
    c->pid = 0;
}

static void take(struct child *c, const struct child_note *note)
{
    if (note->kind == CHILD_PROGRESS) {
        nd_persist_child_progress(c->n->engine->persist, note->keys, note->cow_bytes);
    } else if (note->kind == CHILD_GOT && note->number < c->got_n) {
        c->got[note->number] = true;
    } else if (note->kind == CHILD_END) {
        c->last = *note;
        c->last.why[sizeof c->last.why - 1] = '\0';
        c->told = true;
    }
}

/* A note is written in one piece, so it is read in one piece. */
static void read_notes(struct child *c)
{
    struct child_note note;
    ssize_t k;
    do {
        k = read(c->pipe, &note, sizeof note);
        if (k == (ssize_t)sizeof note)
            take(c, &note);
    } while (k == (ssize_t)sizeof note || (k < 0 && errno == EINTR));
    if (k == 0) /* no more will come; its end is told by the system */
        ev_io_stop(io_loop_ev(c->n->loop), &c->notes);
}

static void on_notes(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct child *c = w->data;
    node_time(c->n);
    read_notes(c);
    node_touch(c->n);
}

static void ended(struct child *c, int status)
{
    char why[sizeof c->last.why];
    read_notes(c);
    bool ok = c->told && c->last.ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "the child process was killed by signal %d", WTERMSIG(status));
    else
        snprintf(why, sizeof why, "%s", c->told ? c->last.why : "the child process has ended without a word");
    if (!ok)
        remove_temp(c);
    /* The next child may be begun before this returns. */
    bool *got = c->got;
    struct nd_child_end end = {.ok = ok, .why = why, .got = got};
    if (c->told) {
        end.cow_bytes = c->last.cow_bytes;
        end.keys = (uint64_t)c->last.keys;
        end.bytes = c->last.bytes;
    }
    c->got = NULL;
    put_down(c);
    nd_persist_child_ended(c->n->engine->persist, &end);
    free(got);
    node_touch(c->n);
}

static void on_end(struct ev_loop *ev, ev_child *w, int events)
{
    (void)ev;
    (void)events;
    struct child *c = w->data;
    node_time(c->n);
    ended(c, w->rstatus);
}

void child_await_end(struct child *c)
{
    int status = 0;
    if (c->pid == 0)
        return;
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {}
    ended(c, status);
}

/* ---- its beginning ---- */

struct child *child_open(struct node *n)
{
    struct child *c = mem_zalloc(sizeof *c);
    c->n = n;
    ev_init(&c->notes, on_notes);
    ev_init(&c->end, on_end);
    c->notes.data = c->end.data = c;
    ev_set_priority(&c->end, IO_PRIORITY_PROCESS);
    return c;
}

static void watch(struct child *c)
{
    struct ev_loop *ev = io_loop_ev(c->n->loop);
    ev_io_set(&c->notes, c->pipe, EV_READ);
    ev_io_start(ev, &c->notes);
    ev_child_set(&c->end, c->pid, 0);
    ev_child_start(ev, &c->end);
}

bool child_start(void *owner, const struct nd_child_spec *spec, int64_t *fork_us, struct buf *why)
{
    struct node *n = owner;
    struct child *c = n->child;
    struct nd_rdb_facts facts;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        buf_printf(why, "no pipe: %s", strerror(errno));
        return false;
    }
    nd_rdb_facts_now(n->engine, &facts);
    if (spec->kind == ND_CHILD_REWRITE) {
        facts.aof_base = true;
        facts.as_requests = spec->as_requests;
        facts.stamp_s = n->engine->config.aof_timestamp_enabled ? n->engine->now_ms / 1000 : 0;
        facts.repl_id = NULL;
    }
    struct child_work work = {
        .spec = spec,
        .keys = &n->engine->keys,
        .facts = &facts,
        .timeout_ms = n->engine->config.repl_timeout_s * 1000,
        .pipe = ends[1],
        .parent = getpid(),
    };
    int64_t began_us = io_now_us();
    pid_t pid = fork();
    if (pid == 0)
        child_run(&work);
    *fork_us = io_now_us() - began_us;
    int error = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        buf_printf(why, "no process: %s", strerror(error));
        return false;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    c->pid = pid;
    c->pipe = ends[0];
    c->told = false;
    c->path = spec->path != NULL ? mem_strdup(spec->path) : NULL;
    c->got_n = spec->path == NULL ? spec->fd_count : 0;
    c->got = spec->path == NULL ? mem_zalloc(spec->fd_count * sizeof *c->got) : NULL;
    watch(c);
    return true;
}

void child_stop(void *owner)
{
    struct node *n = owner;
    if (n->child->pid != 0)
        kill(n->child->pid, SIGKILL);
}

void child_close(struct child *c)
{
    if (c == NULL)
        return;
    if (c->pid != 0) {
        kill(c->pid, SIGKILL);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {}
        remove_temp(c);
        put_down(c);
    }
    free(c);
}
