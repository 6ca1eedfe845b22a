#include "noded/shell/listen.h"

#include "common/base/mem.h"
#include "common/io/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listen {
    struct io_loop *loop;
    struct io_listener *tcp[ND_BINDS_MAX], *unix_socket;
    size_t n;
    char *bind; /* as it is listened on, to go back to */
    int port, backlog, keepalive_s;
    listen_accept_fn *accepted;
    void *owner;
};

static void on_tcp(void *owner, int fd, const char *peer)
{
    struct listen *l = owner;
    l->accepted(l->owner, fd, peer, false);
}

static void on_unix(void *owner, int fd, const char *peer)
{
    struct listen *l = owner;
    l->accepted(l->owner, fd, peer, true);
}

/* A protocol that this host has not got is no reason to refuse the rest: the default asks for IPv6 too. */
static bool may_miss(int why, bool optional)
{
    return why == EAFNOSUPPORT || why == EPFNOSUPPORT || why == EPROTONOSUPPORT || why == ENOPROTOOPT ||
           why == ESOCKTNOSUPPORT || (optional && why == EADDRNOTAVAIL);
}

/* One word of bind. false: it must be there and is not. */
static bool open_one(struct listen *l, struct slice word, struct buf *error)
{
    bool optional = word.n > 0 && word.p[0] == '-';
    if (optional) {
        word.p++;
        word.n--;
    }
    struct addr a = {.port = l->port};
    struct slice host = slice_is(word, "*") ? slice_of("0.0.0.0") : slice_is(word, "::*") ? slice_of("::") : word;
    if (host.n == 0 || host.n > ADDR_HOST_MAX) {
        if (!optional)
            buf_printf(error, "bind: \"%.*s\" is no address", (int)(word.n < 100 ? word.n : 100), word.p);
        return optional;
    }
    memcpy(a.host, host.p, host.n);
    a.host[host.n] = '\0';
    struct io_listener_options o = {.backlog = l->backlog, .keepalive_s = l->keepalive_s, .names = true};
    struct buf why = {0};
    struct io_listener *opened = io_listener_open_with(l->loop, &a, &o, on_tcp, l, &why);
    int number = errno;
    if (opened != NULL)
        l->tcp[l->n++] = opened;
    else if (!may_miss(number, optional))
        buf_puts(error, buf_str(&why));
    bool ok = opened != NULL || may_miss(number, optional);
    if (opened == NULL && ok)
        io_log(IO_VERBOSE, "Not listened on: %s", buf_str(&why));
    buf_free(&why);
    return ok;
}

static void close_tcp(struct listen *l)
{
    while (l->n > 0)
        io_listener_close(l->tcp[--l->n]);
}

static bool open_tcp(struct listen *l, const char *bind, struct buf *error)
{
    struct slice rest = slice_of(bind);
    while (l->port > 0 && rest.n > 0 && l->n < ND_BINDS_MAX) {
        if (!open_one(l, slice_cut(&rest, ' '), error)) {
            close_tcp(l);
            return false;
        }
    }
    return true;
}

static bool open_unix(struct listen *l, const struct nd_config *config, struct buf *error)
{
    if (config->unixsocket[0] == '\0')
        return true;
    struct io_listener_options o = {
        .backlog = l->backlog, .path = config->unixsocket, .permissions = (unsigned)config->unixsocketperm};
    l->unix_socket = io_listener_open_with(l->loop, NULL, &o, on_unix, l, error);
    return l->unix_socket != NULL;
}

struct listen *listen_open(struct io_loop *loop, const struct nd_config *config, listen_accept_fn *accepted,
                           void *owner, struct buf *error)
{
    struct listen *l = mem_zalloc(sizeof *l);
    *l = (struct listen){.loop = loop,
                         .bind = mem_strdup(config->bind),
                         .port = (int)config->port,
                         .backlog = (int)config->tcp_backlog,
                         .keepalive_s = (int)config->tcp_keepalive_s,
                         .accepted = accepted,
                         .owner = owner};
    if (open_tcp(l, l->bind, error) && open_unix(l, config, error))
        return l;
    listen_close(l);
    return NULL;
}

void listen_close(struct listen *l)
{
    if (l == NULL)
        return;
    close_tcp(l);
    io_listener_close(l->unix_socket);
    free(l->bind);
    free(l);
}

size_t listen_count(const struct listen *l)
{
    return l->n + (l->unix_socket != NULL);
}

/* The old sockets are closed first: 0.0.0.0 and one address of this host cannot be listened on together. */
bool listen_change(struct listen *l, const struct nd_config *config, struct buf *error)
{
    int old_port = l->port;
    close_tcp(l);
    l->port = (int)config->port;
    bool ok = open_tcp(l, config->bind, error);
    if (ok) {
        free(l->bind);
        l->bind = mem_strdup(config->bind);
        return true;
    }
    struct buf again = {0};
    l->port = old_port;
    if (!open_tcp(l, l->bind, &again))
        io_log(IO_WARNING, "The addresses listened on before are gone too: %s", buf_str(&again));
    buf_free(&again);
    return false;
}

void listen_set_keepalive(struct listen *l, int keepalive_s)
{
    l->keepalive_s = keepalive_s;
    for (size_t i = 0; i < l->n; i++)
        io_listener_set_keepalive(l->tcp[i], keepalive_s);
}
