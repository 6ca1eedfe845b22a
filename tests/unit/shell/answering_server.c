#include "tests/unit/shell/answering_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct answering_server server;

static const char *answer_to(const char *request)
{
    for (const struct answer *a = server.answers; a != NULL && a->request != NULL; a++)
        if (strncmp(request, a->request, strlen(a->request)) == 0)
            return a->reply;
    return strncmp(request, "SUBSCRIBE ", 10) == 0 ? "*3\r\n$9\r\nsubscribe\r\n$18\r\n__sentinel__:hello\r\n:1\r\n"
                                                   : "+OK\r\n";
}

static void on_data(void *owner, struct io_stream *s)
{
    size_t *at = owner;
    struct resp_request q;
    struct slice in;
    while ((in = io_stream_in(s)).n > 0 && resp_parse(server.parsers[*at], in.p, in.n, &q) == RESP_READY) {
        size_t start = server.requests.n;
        for (size_t i = 0; i < q.argc; i++) {
            buf_puts(&server.requests, i == 0 ? "" : " ");
            buf_put(&server.requests, q.argv[i].p, q.argv[i].n);
        }
        buf_str(&server.requests);
        buf_puts(io_stream_out(s), answer_to(server.requests.p + start));
        buf_putc(&server.requests, '\n');
        io_stream_drop(s, q.consumed);
    }
}

static void on_closed(void *owner, struct io_stream *s, enum io_stream_end why, const char *text)
{
    (void)s;
    (void)why;
    (void)text;
    server.streams[*(size_t *)owner] = NULL;
}

static const struct io_stream_events stream_events = {.data = on_data, .closed = on_closed};

static void on_accept(void *owner, int fd, const char *peer)
{
    static size_t places[8];
    (void)owner;
    (void)peer;
    assert_true(server.n < 8);
    size_t at = server.n++;
    places[at] = at;
    server.parsers[at] = resp_parser_new(&resp_limits_control);
    server.streams[at] = io_stream_new(server.loop, fd, NULL, &stream_events, &places[at]);
}

bool asked(const char *text)
{
    return strstr(buf_str(&server.requests), text) != NULL;
}

void server_start(const struct answer *answers)
{
    struct buf error = {.n = 0};
    struct addr any = {.host = "127.0.0.1"};
    memset(&server, 0, sizeof server);
    server.loop = io_loop_new();
    server.answers = answers;
    server.listener = io_listener_open(server.loop, &any, on_accept, NULL, &error);
    if (server.listener == NULL)
        fail_msg("%s", buf_str(&error));
}

void server_stop(void)
{
    for (size_t i = 0; i < server.n; i++) {
        io_stream_free(server.streams[i]);
        resp_parser_free(server.parsers[i]);
    }
    if (server.listener != NULL)
        io_listener_close(server.listener);
    io_loop_free(server.loop);
    buf_free(&server.requests);
}
