#include "noded/shell/migrate.h"

#include "common/base/mem.h"
#include "common/io/log.h"
#include "common/io/loop.h"
#include "common/io/resolve.h"
#include "common/resp/reply.h"
#include "noded/shell/node.h"

#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEEP_S 10.0
#define KEPT_MAX 64
#define READ_BYTES 16384
#define LINE_MAX_BYTES 65536             /* of one answer; they are +OK or an error */
#define TURN_BYTES ((size_t)1024 * 1024) /* sent in one turn of the loop: others want theirs too */
#define PRIORITY_TIMER (-2)              /* what has arrived is not late */
#define RESOLVER_THREADS 1
#define RESOLVER_WAITING_MAX 1024

/* What a link is doing. Login and database come first, and what they answer decides whether anything is sent at all. */
enum phase { RESOLVING, CONNECTING, LOGGING_IN, SENDING, IDLE };

struct link {
    struct link *next, **place;
    struct migrator *all;
    const struct nd_migrate_spec *spec; /* NULL while idle */
    enum phase phase;
    struct buf name; /* where to and as whom: links of one name can be used for each other */
    struct io_resolve *resolving;
    char (*ips)[IO_IP_MAX]; /* still to be tried, the next one first */
    size_t nips, ip;
    ev_io reader, writer; /* fd -1: not connected */
    ev_timer timer;       /* silence; while idle: how long it is kept */
    struct buf out, in;
    size_t sent, taken; /* of what is sent, and of in */
    size_t wanted;      /* answers to come in this phase */
    int64_t db;         /* selected there, when something is */
    uint64_t mapping;   /* ... in this mapping of databases, when it was said: */
    bool mapping_said, says_mapping;
    bool logged_in, selected, used_before, answered;
};

struct migrator {
    struct node *node;
    struct io_resolver *resolver; /* made when first needed */
    struct link *links;
    size_t kept;
};

static struct ev_loop *loop_of(const struct link *l)
{
    return io_loop_ev(l->all->node->loop);
}

static void resolve(struct link *l);
static bool read_answers(struct link *l);

/* ---- life ---- */

static void disconnect(struct link *l)
{
    if (l->reader.fd < 0)
        return;
    ev_io_stop(loop_of(l), &l->reader);
    ev_io_stop(loop_of(l), &l->writer);
    close(l->reader.fd);
    ev_io_set(&l->reader, -1, EV_READ);
    ev_io_set(&l->writer, -1, EV_WRITE);
}

static void free_link(struct link *l)
{
    *l->place = l->next;
    if (l->next != NULL)
        l->next->place = l->place;
    l->all->kept -= l->phase == IDLE;
    if (l->resolving != NULL)
        io_resolve_cancel(l->all->resolver, l->resolving);
    disconnect(l);
    ev_timer_stop(loop_of(l), &l->timer);
    buf_free(&l->name);
    buf_free(&l->out);
    buf_free(&l->in);
    free(l->ips);
    free(l);
}

static void start_timer(struct link *l, double seconds)
{
    ev_now_update(loop_of(l));
    l->timer.repeat = seconds;
    ev_timer_again(loop_of(l), &l->timer);
}

/* The link is free for the next keys, or goes. */
static void rest(struct link *l)
{
    struct migrator *all = l->all;
    l->spec = NULL;
    /* Bytes behind the last answer belong to nothing: such a connection is not used again. */
    if (l->reader.fd < 0 || l->taken != l->in.n || all->kept >= KEPT_MAX) {
        free_link(l);
        return;
    }
    l->phase = IDLE;
    l->used_before = true;
    all->kept++;
    start_timer(l, KEEP_S);
}

static void end(struct link *l, enum nd_migrate_end how)
{
    struct nd_migration *migration = l->spec->migration;
    struct node *node = l->all->node;
    static const char *const names[] = {
        [ND_MIGRATE_NO_CONNECT] = "no connection",
        [ND_MIGRATE_NO_WRITE] = "it takes nothing",
        [ND_MIGRATE_NO_READ] = "no answer",
    };
    if (how != ND_MIGRATE_DONE) {
        io_log(IO_NOTICE, "MIGRATE of %zu keys to %s:%d failed: %s", l->spec->count, l->spec->host, l->spec->port,
               names[how]);
        disconnect(l);
    }
    rest(l);
    node_time(node);
    nd_migrate_ended(migration, how);
    node_touch(node);
}

/* A connection that was kept may have been closed by the other side meanwhile: as long as nothing has come back, all is
 * said once more on a new one. */
static void fail(struct link *l, enum nd_migrate_end how)
{
    if (l->used_before && !l->answered) {
        l->used_before = false;
        disconnect(l);
        resolve(l);
        return;
    }
    end(l, how);
}

/* ---- sending ---- */

static void put_login(struct link *l)
{
    struct reply r = {.out = &l->out, .proto = 2};
    const struct nd_migrate_spec *spec = l->spec;
    l->wanted = 0;
    if (spec->password.p != NULL && !l->logged_in) {
        reply_array(&r, spec->user.p != NULL ? 3 : 2);
        reply_bulks(&r, "AUTH");
        if (spec->user.p != NULL)
            reply_bulk(&r, spec->user.p, spec->user.n);
        reply_bulk(&r, spec->password.p, spec->password.n);
        l->wanted++;
    }
    if (!l->selected || l->db != spec->db) {
        reply_array(&r, 2);
        reply_bulks(&r, "SELECT");
        reply_bulk_int(&r, spec->db);
        l->wanted++;
    }
    l->says_mapping = spec->node[0] != '\0' && (!l->mapping_said || l->mapping != spec->mapping_epoch);
    if (l->says_mapping) {
        reply_array(&r, 5);
        reply_bulks(&r, "CLUSTER");
        reply_bulks(&r, "DBMAP");
        reply_bulks(&r, "FROM");
        reply_bulks(&r, spec->node);
        reply_bulk_int(&r, (int64_t)spec->mapping_epoch);
        l->wanted++;
    }
}

/* What is to be sent in this phase. */
static struct slice said(const struct link *l)
{
    return l->phase == SENDING ? l->spec->requests : buf_slice(&l->out);
}

/* false: the link has ended, or begins anew. */
static bool flush(struct link *l)
{
    struct slice what = said(l);
    for (size_t from = l->sent; l->sent < what.n && l->sent - from < TURN_BYTES;) {
        size_t some = what.n - l->sent < TURN_BYTES ? what.n - l->sent : TURN_BYTES;
        ssize_t n = send(l->writer.fd, what.p + l->sent, some, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            /* What it said before it went away still counts: whom it took what from, or why it turned us away. */
            if (read_answers(l))
                fail(l, ND_MIGRATE_NO_WRITE);
            return false;
        }
        l->sent += (size_t)n;
        ev_timer_again(loop_of(l), &l->timer);
    }
    if (l->sent < what.n)
        ev_io_start(loop_of(l), &l->writer);
    else
        ev_io_stop(loop_of(l), &l->writer);
    return true;
}

/* Connected, or all answers of a phase are here: the next one. false: as flush(). */
static bool go_on(struct link *l)
{
    if (l->phase == CONNECTING) {
        l->phase = LOGGING_IN;
        buf_clear(&l->out);
        buf_clear(&l->in);
        l->sent = l->taken = 0;
        put_login(l);
        if (l->wanted > 0)
            return flush(l);
    }
    if (l->phase == LOGGING_IN) {
        l->logged_in = l->selected = true;
        l->db = l->spec->db;
        l->mapping_said = l->mapping_said || l->says_mapping;
        l->mapping = l->spec->mapping_epoch;
        l->phase = SENDING;
        l->sent = 0;
        l->wanted = l->spec->count;
        return flush(l);
    }
    end(l, ND_MIGRATE_DONE);
    return false;
}

/* ---- answers ---- */

/* false: as flush(). */
static bool take_answer(struct link *l, struct slice line)
{
    bool error = line.n > 0 && line.p[0] == '-';
    /* Who answers what was not even sent says nothing true: it is not believed, and not talked to again. */
    bool too_early = l->wanted == 1 && l->sent < said(l).n && !error;
    if (line.n == 0 || (!error && line.p[0] != '+') || l->wanted == 0 || too_early) {
        end(l, ND_MIGRATE_NO_READ);
        return false;
    }
    ev_timer_again(loop_of(l), &l->timer);
    struct slice text = error ? (struct slice){line.p + 1, line.n - 1} : (struct slice){NULL, 0};
    l->wanted--;
    l->answered = true;
    /* A server of another kind knows no mapping, and has none. It is said last. */
    bool unknown = error && l->phase == LOGGING_IN && l->says_mapping && l->wanted == 0;
    if (l->phase == SENDING) {
        nd_migrate_answered(l->spec->migration, text);
    } else if (error && !unknown) {
        nd_migrate_refused(l->spec->migration, text);
        disconnect(l);
        end(l, ND_MIGRATE_DONE);
        return false;
    }
    if (l->wanted > 0)
        return true;
    if (l->sent == said(l).n)
        return go_on(l);
    disconnect(l); /* an error that did not wait for the rest of the request: nobody wants to hear it */
    end(l, ND_MIGRATE_DONE);
    return false;
}

/* false: as flush(). */
static bool take_answers(struct link *l)
{
    const char *nl;
    while (l->taken < l->in.n && (nl = memchr(l->in.p + l->taken, '\n', l->in.n - l->taken)) != NULL) {
        const char *from = l->in.p + l->taken;
        size_t n = (size_t)(nl - from);
        l->taken += n + 1;
        if (n > 0 && from[n - 1] == '\r')
            n--;
        if (!take_answer(l, (struct slice){from, n}))
            return false;
    }
    buf_drop(&l->in, l->taken);
    l->taken = 0;
    if (l->in.n <= LINE_MAX_BYTES)
        return true;
    end(l, ND_MIGRATE_NO_READ);
    return false;
}

/* All that is there. false: as flush(). */
static bool read_answers(struct link *l)
{
    for (;;) {
        buf_reserve(&l->in, READ_BYTES);
        ssize_t n = recv(l->reader.fd, l->in.p + l->in.n, READ_BYTES, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0) {
            fail(l, l->sent >= said(l).n ? ND_MIGRATE_NO_READ : ND_MIGRATE_NO_WRITE);
            return false;
        }
        l->in.n += (size_t)n;
        if (!take_answers(l))
            return false;
    }
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct link *l = w->data;
    if (l->phase == IDLE) /* closed, or nobody asked */
        free_link(l);
    else
        read_answers(l);
}

/* ---- connecting ---- */

static bool connect_next(struct link *l)
{
    while (l->ip < l->nips) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *ai = NULL;
        char port[16];
        snprintf(port, sizeof port, "%d", l->spec->port);
        if (getaddrinfo(l->ips[l->ip++], port, &hints, &ai) != 0)
            continue;
        int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
        bool ok = fd >= 0 && (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 || errno == EINPROGRESS);
        freeaddrinfo(ai);
        if (ok) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            ev_io_set(&l->reader, fd, EV_READ);
            ev_io_set(&l->writer, fd, EV_WRITE);
            ev_io_start(loop_of(l), &l->writer);
            return true;
        }
        if (fd >= 0)
            close(fd);
    }
    return false;
}

static void connected(struct link *l)
{
    int why = 0;
    socklen_t n = sizeof why;
    if (getsockopt(l->writer.fd, SOL_SOCKET, SO_ERROR, &why, &n) == 0 && why == 0) {
        ev_io_stop(loop_of(l), &l->writer);
        ev_io_start(loop_of(l), &l->reader);
        if (!l->used_before) {
            l->selected = l->logged_in = l->mapping_said = false;
        }
        go_on(l);
        return;
    }
    disconnect(l);
    if (!connect_next(l))
        end(l, ND_MIGRATE_NO_WRITE);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct link *l = w->data;
    if (l->phase == CONNECTING)
        connected(l);
    else
        flush(l);
}

static void on_resolved(void *owner, const struct io_resolved *answer)
{
    struct link *l = owner;
    l->resolving = NULL;
    if (answer->error != NULL) {
        end(l, ND_MIGRATE_NO_CONNECT);
        return;
    }
    l->phase = CONNECTING;
    l->nips = answer->n;
    l->ip = 0;
    l->ips = mem_array(l->ips, answer->n, sizeof *l->ips);
    memcpy(l->ips, answer->ips, answer->n * sizeof *l->ips);
    if (!connect_next(l))
        end(l, ND_MIGRATE_NO_WRITE);
}

static void resolve(struct link *l)
{
    struct migrator *all = l->all;
    if (all->resolver == NULL)
        all->resolver = io_resolver_new(all->node->loop, RESOLVER_THREADS, RESOLVER_WAITING_MAX);
    l->phase = RESOLVING;
    l->resolving = io_resolve(all->resolver, l->spec->host, on_resolved, l);
}

static void on_silence(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct link *l = w->data;
    if (l->phase == IDLE) {
        free_link(l);
        return;
    }
    if (l->resolving != NULL) {
        io_resolve_cancel(l->all->resolver, l->resolving);
        l->resolving = NULL;
    }
    if (l->phase == RESOLVING || l->phase == CONNECTING)
        end(l, ND_MIGRATE_NO_CONNECT);
    else
        end(l, l->sent < said(l).n ? ND_MIGRATE_NO_WRITE : ND_MIGRATE_NO_READ);
}

/* ---- asked by the engine ---- */

static void put_name(struct buf *out, const struct nd_migrate_spec *spec)
{
    buf_printf(out, "%d %zu %zu %s ", spec->port, spec->user.n, spec->password.n, spec->host);
    buf_put(out, spec->user.p, spec->user.n);
    buf_put(out, spec->password.p, spec->password.n);
}

static struct link *kept_link(struct migrator *m, struct slice name)
{
    for (struct link *l = m->links; l != NULL; l = l->next) {
        if (l->phase == IDLE && slice_eq(buf_slice(&l->name), name))
            return l;
    }
    return NULL;
}

static struct link *new_link(struct migrator *m)
{
    struct link *l = mem_zalloc(sizeof *l);
    l->all = m;
    l->next = m->links;
    l->place = &m->links;
    if (l->next != NULL)
        l->next->place = &l->next;
    m->links = l;
    ev_io_init(&l->reader, on_readable, -1, EV_READ);
    ev_io_init(&l->writer, on_writable, -1, EV_WRITE);
    ev_timer_init(&l->timer, on_silence, 0., 0.);
    ev_set_priority(&l->timer, PRIORITY_TIMER);
    l->reader.data = l->writer.data = l->timer.data = l;
    return l;
}

void migrate_start(struct migrator *m, const struct nd_migrate_spec *spec)
{
    struct buf name = {0};
    put_name(&name, spec);
    struct link *l = kept_link(m, buf_slice(&name));
    bool kept = l != NULL;
    if (!kept) {
        l = new_link(m);
        l->name = name;
    } else {
        buf_free(&name);
        m->kept--;
    }
    l->spec = spec;
    l->answered = false;
    start_timer(l, (double)spec->timeout_ms / 1000.);
    if (!kept) {
        resolve(l);
        return;
    }
    /* Connected already: it goes on as if it had just been, in a later step of the loop. */
    l->phase = CONNECTING;
    ev_io_start(loop_of(l), &l->writer);
}

size_t migrate_cached(const struct migrator *m)
{
    return m->kept;
}

struct migrator *migrate_open(struct node *n)
{
    struct migrator *m = mem_zalloc(sizeof *m);
    m->node = n;
    return m;
}

void migrate_close(struct migrator *m)
{
    if (m == NULL)
        return;
    while (m->links != NULL)
        free_link(m->links);
    io_resolver_free(m->resolver);
    free(m);
}
