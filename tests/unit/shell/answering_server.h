/* A server in the test's own loop that answers as the test tells it to, and writes down what it was asked. */
#ifndef TEST_ANSWERING_SERVER_H
#define TEST_ANSWERING_SERVER_H

#include "common/io/listener.h"
#include "common/io/stream.h"
#include "common/resp/request.h"

struct answer {
    const char *request; /* how the request begins, words separated by blanks */
    const char *reply;
};

struct answering_server {
    struct io_loop *loop;
    struct io_listener *listener;
    struct io_stream *streams[8];
    struct resp_parser *parsers[8];
    size_t n;
    const struct answer *answers; /* the first that fits, else +OK */
    struct buf requests;          /* "WORD word word\n" */
};

extern struct answering_server server;

/* Listens on a free port of 127.0.0.1. Fails the test when that fails. */
void server_start(const struct answer *answers);
void server_stop(void); /* and frees the loop: everything else on it is closed before */
bool asked(const char *text);

#endif
