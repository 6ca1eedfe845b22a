#include "noded/shell/node.h"

#include "common/io/clock.h"
#include "common/io/log.h"
#include "noded/repl/import.h"
#include "noded/repl/persist.h"
#include "noded/repl/repl.h"
#include "noded/shell/aof.h"
#include "noded/shell/child.h"
#include "noded/shell/bus.h"
#include "noded/shell/clients.h"
#include "noded/shell/listen.h"
#include "noded/shell/master_link.h"
#include "noded/shell/memory.h"
#include "noded/shell/migrate.h"
#include "noded/shell/rdb_file.h"
#include "noded/shell/reclaim.h"
#include "noded/shell/replica_out.h"
#include "noded/shell/slot_import.h"
#include "noded/shell/slot_link.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* The timer runs behind what has arrived in its turn: an answer that is here is not late. */
#define PRIORITY_TIMER (-2)

/* ---- time ---- */

void node_time(struct node *n)
{
    if (n->timed)
        return;
    n->timed = true;
    nd_engine_time(n->engine, io_wall_ms(), io_now_us());
    node_touch(n);
}

static void start_timer(struct node *n, int64_t wait_us)
{
    struct ev_loop *ev = io_loop_ev(n->loop);
    ev_timer_stop(ev, &n->timer);
    ev_now_update(ev); /* the wait counts from now, not from the start of the turn */
    ev_timer_set(&n->timer, wait_us > 0 ? (double)wait_us / 1e6 : 0., 0.);
    ev_timer_start(ev, &n->timer);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void arm(struct node *n)
{
    int64_t at_us = earlier(nd_engine_deadline(n->engine), nd_repl_deadline(n->repl));
    at_us = earlier(at_us, nd_persist_deadline(n->engine->persist));
    at_us = earlier(at_us, aof_deadline(n->aof));
    at_us = earlier(at_us, shutdown_deadline(n));
    if (at_us == n->armed_us && (at_us == HEAP_NEVER || ev_is_active(&n->timer)))
        return;
    n->armed_us = at_us;
    if (at_us == HEAP_NEVER)
        ev_timer_stop(io_loop_ev(n->loop), &n->timer);
    else
        start_timer(n, at_us - io_now_us());
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct node *n = w->data;
    int64_t early_us = n->armed_us - io_now_us();
    if (early_us > 0) { /* the two clocks differ a little */
        start_timer(n, early_us);
        return;
    }
    node_time(n);
    nd_engine_tick(n->engine);
    nd_repl_tick(n->repl);
    nd_persist_tick(n->engine->persist);
    aof_tick(n->aof);
    node_touch(n);
}

/* ---- turns ---- */

void node_touch(struct node *n)
{
    io_at_turn_end(n->loop, &n->turn_end);
}

/* Requests that had to wait come before answers leave: what they change goes into the same effects and the same system
 * calls. Sending closes clients, and that may let others go on. */
static void on_turn_end(struct io_turn_end *t)
{
    struct node *n = (struct node *)((char *)t - offsetof(struct node, turn_end));
    clients_run(n->clients);
    bus_turn(n->bus);
    nd_imports_turn_end(n->repl);
    nd_serve_turn_end(n->repl);
    aof_turn(n->aof);
    clients_send(n->clients);
    master_link_turn_end(n->master);
    shutdown_look(n);
    n->timed = false;
    arm(n);
}

void node_stop(struct node *n)
{
    n->ending = true;
    io_loop_stop(n->loop);
}

/* ---- opening and closing ---- */

static void on_accept(void *owner, int fd, const char *peer, bool on_unix)
{
    struct node *n = owner;
    clients_accept(n->clients, fd, peer, on_unix);
}

bool node_open(struct node *n, const struct nd_config *config, struct buf *error)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        buf_printf(error, "the system gives no random bytes: %s", strerror(errno));
        return false;
    }
    memory_count_thread();
    n->loop = io_loop_new();
    if (n->loop == NULL) {
        buf_puts(error, "the system gives no event mechanism (epoll) to this process");
        return false;
    }
    n->armed_us = HEAP_NEVER;
    n->turn_end.run = on_turn_end;
    n->start_us = io_now_us();
    ev_timer_init(&n->timer, on_timer, 0., 0.);
    ev_set_priority(&n->timer, PRIORITY_TIMER);
    n->timer.data = n;
    n->reclaim = reclaim_new();
    struct nd_host host = node_host(n);
    n->engine = nd_engine_new(&host, config, seed);
    nd_engine_time(n->engine, io_wall_ms(), io_now_us());
    n->child = child_open(n);
    struct nd_persist_host persist = {
        .owner = n, .start = child_start, .stop = child_stop, .save = rdb_file_save, .load = rdb_file_load};
    nd_persist_new(n->engine, &persist);
    n->aof = aof_open(n);
    n->repl = nd_repl_new(n->engine);
    struct nd_serve_host serve = replica_out_host(n);
    nd_serve_new(n->repl, &serve);
    n->master = master_link_open(n);
    struct nd_follow_host follow = master_link_host(n->master);
    nd_follow_new(n->repl, &follow);
    n->clients = clients_open(n);
    n->migrator = migrate_open(n);
    n->listen = listen_open(n->loop, &n->engine->config, on_accept, n, error);
    if (n->listen == NULL)
        return false;
    if (listen_count(n->listen) == 0) {
        buf_puts(error, "nowhere to listen: port is 0 or bind is empty, and there is no unixsocket");
        return false;
    }
    if (n->engine->config.cluster_enabled) {
        if ((n->bus = bus_open(n, error)) == NULL)
            return false;
        bus_take_role(n->bus);
        slot_import_open(n);
        n->slot_links = slot_links_open(n, bus_export_news, n->bus);
    }
    master_link_start(n->master);
    n->engine->stats.startup_memory = memory_used();
    node_touch(n);
    return true;
}

/* A great dataset takes seconds to free, and the system takes it back at once: only a sanitizer wants to see it freed.
 */
void node_close(struct node *n)
{
    listen_close(n->listen);
    aof_finish(n->aof);
    if (n->repl != NULL)
        slot_import_close(n);
    if (n->clients != NULL)
        clients_close(n->clients); /* their last answers still say what became of their writes */
    aof_close(n->aof);
    if (n->loop == NULL)
        return;
    migrate_close(n->migrator);
    slot_links_close(n->slot_links);
    bus_close(n->bus);
    if (n->repl != NULL)
        nd_follow_free(n->repl);
    master_link_close(n->master);
    ev_timer_stop(io_loop_ev(n->loop), &n->timer);
    io_turn_end_cancel(n->loop, &n->turn_end);
    rdb_load_stop(n);
    child_close(n->child);
    if (!memory_is_ours()) {
        nd_serve_free(n->repl);
        nd_repl_free(n->repl);
        if (n->engine != NULL)
            nd_persist_free(n->engine->persist);
        if (n->engine != NULL)
            nd_engine_free(n->engine);
        reclaim_free(n->reclaim);
    }
    io_loop_free(n->loop);
}
