/* Connections: requests go out in pieces as large as the socket takes, answers are matched in their order. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/bench/load/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)

/* ---- requests ---- */

static void put_bulk(struct buf *out, const char *p, size_t n)
{
    buf_printf(out, "$%zu\r\n", n);
    buf_put(out, p, n);
    buf_puts(out, "\r\n");
}

static void put_request(struct load *l, struct buf *out, const struct load_request *r)
{
    char key[LOAD_TAG + 16];
    const char *tag = l->tags[r->slot];
    size_t n = r->kind == LOAD_SET ? (size_t)snprintf(key, sizeof key, "%s:%u", tag, r->number)
                                   : (size_t)snprintf(key, sizeof key, "%scount", tag);
    buf_puts(out, r->kind == LOAD_SET ? "*3\r\n$3\r\nSET\r\n" : "*2\r\n");
    if (r->kind != LOAD_SET)
        buf_puts(out, r->kind == LOAD_COUNT ? "$4\r\nINCR\r\n" : "$3\r\nGET\r\n");
    put_bulk(out, key, n);
    if (r->kind == LOAD_SET)
        put_bulk(out, l->value + (r->number * 31 + r->slot) % l->o.bytes, l->o.bytes);
}

static void push(struct load_link *k, struct load_request r)
{
    if (k->n == k->cap) {
        size_t cap = k->cap > 0 ? 2 * k->cap : 1024;
        struct load_request *more = mem_array(NULL, cap, sizeof *more);
        for (size_t i = 0; i < k->n; i++)
            more[i] = k->waiting[(k->first + i) % k->cap];
        free(k->waiting);
        k->waiting = more;
        k->first = 0;
        k->cap = cap;
    }
    k->waiting[(k->first + k->n++) % k->cap] = r;
}

static struct load_request pop(struct load_link *k)
{
    struct load_request r = k->waiting[k->first];
    k->first = (k->first + 1) % k->cap;
    k->n--;
    return r;
}

void load_ask(struct load *l, struct load_request r)
{
    struct load_link *k = &l->links[l->owners[r.slot] * l->o.databases + r.db];
    put_request(l, &k->out, &r);
    push(k, r);
    l->outstanding++;
}

void load_flush(struct load *l, struct load_link *k)
{
    (void)l;
    while (k->out.n > 0) {
        ssize_t n = send(k->fd, k->out.p, k->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno != EINTR)
            load_fail("sending");
        if (n > 0)
            buf_drop(&k->out, (size_t)n);
    }
}

/* ---- answers ---- */

static void complain(struct load *l, struct slice line)
{
    if (l->errors++ == 0)
        snprintf(l->error, sizeof l->error, "%.*s", (int)line.n, line.p);
}

/* MOVED <slot> <ip>:<port>. false: it is another error. */
static bool follow(struct load *l, struct load_request r, struct slice line)
{
    struct slice words = line;
    int64_t port;
    if (!slice_is(slice_cut(&words, ' '), "-MOVED"))
        return false;
    slice_cut(&words, ' ');
    slice_cut(&words, ':');
    if (!text_i64(words, &port))
        return false;
    int node = 0;
    while (node < l->o.nodes && l->o.ports[node] != port)
        node++;
    if (node == l->o.nodes)
        return false;
    l->owners[r.slot] = (uint8_t)node;
    l->moved++;
    load_ask(l, r);
    return true;
}

static void answered(struct load *l, struct load_link *k, struct slice line, struct slice bulk)
{
    struct load_request r = pop(k);
    l->outstanding--;
    if (line.p[0] == '-') {
        if (!follow(l, r, line))
            complain(l, line);
        return;
    }
    uint32_t *count = &l->counts[(size_t)r.slot * (size_t)l->o.databases + r.db];
    int64_t had = 0;
    if (r.kind == LOAD_READ)
        l->wrong += !text_i64(bulk, &had) || had != *count;
    else
        times_add(&l->times, load_now_us() - r.due_us);
    if (r.kind == LOAD_COUNT)
        (*count)++;
}

/* The length of the first answer, 0: it is not whole. */
static size_t cut_answer(const struct buf *in, size_t from, struct slice *line, struct slice *bulk)
{
    const char *at = in->p + from, *end = memchr(at, '\n', in->n - from);
    int64_t length = -1;
    *bulk = (struct slice){NULL, 0};
    if (end == NULL)
        return 0;
    *line = (struct slice){at, (size_t)(end - at) - 1};
    size_t n = line->n + 2;
    if (at[0] != '$' || !text_i64((struct slice){at + 1, line->n - 1}, &length) || length < 0)
        return n;
    if (in->n - from < n + (size_t)length + 2)
        return 0;
    *bulk = (struct slice){at + n, (size_t)length};
    return n + (size_t)length + 2;
}

void load_read(struct load *l, struct load_link *k)
{
    buf_reserve(&k->in, READ_BYTES);
    ssize_t got = recv(k->fd, k->in.p + k->in.n, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        load_fail(got == 0 ? "a node has closed the connection" : "receiving");
    k->in.n += (size_t)got;
    struct slice line, bulk;
    size_t done = 0, n;
    while (done < k->in.n && (n = cut_answer(&k->in, done, &line, &bulk)) > 0) {
        if (k->n == 0)
            load_fail("a node answers what was not asked");
        answered(l, k, line, bulk);
        done += n;
    }
    buf_drop(&k->in, done);
}

/* ---- opening ---- */

static int open_link(int port, int db)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        load_fail("connecting");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char text[64];
    int n = snprintf(text, sizeof text, "SELECT %d\r\n", db);
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n || recv(fd, text, 5, MSG_WAITALL) != 5 || text[0] != '+')
        load_fail("selecting a database");
    return fd;
}

void load_open(struct load *l)
{
    size_t n = (size_t)l->o.nodes * (size_t)l->o.databases;
    l->links = mem_zalloc(n * sizeof *l->links);
    for (size_t i = 0; i < n; i++) {
        l->links[i].db = (int)i % l->o.databases;
        l->links[i].fd = open_link(l->o.ports[i / (size_t)l->o.databases], l->links[i].db);
    }
}

void load_close(struct load *l)
{
    for (size_t i = 0; i < (size_t)l->o.nodes * (size_t)l->o.databases; i++) {
        close(l->links[i].fd);
        buf_free(&l->links[i].in);
        buf_free(&l->links[i].out);
        free(l->links[i].waiting);
    }
    free(l->links);
}
