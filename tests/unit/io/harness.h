/* What the tests of common/io share: a loop with a deadline, and a server whose every byte the test decides. */
#ifndef TEST_IO_HARNESS_H
#define TEST_IO_HARNESS_H

#include "common/base/addr.h"
#include "common/base/bytes.h"
#include "common/io/listener.h"
#include "common/io/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

extern struct io_loop *loop;

/* Setup and teardown of a test: a loop, and no descriptor more at the end than at the start. */
int harness_start(void **state);
int harness_end(void **state);

/* Runs turns until *condition is at least `wanted`; fails the test after 10 seconds. */
void harness_wait(const int *condition, int wanted);
/* Runs the loop for a while: to see that something does not happen. */
void harness_run_ms(int ms);

/* Accepts on a free port of 127.0.0.1 and reads what comes. Plain nonblocking sockets: only the tested side uses
 * streams and links. */
#define SERVER_CLIENTS_MAX 64
struct server {
    struct io_listener *listener;
    struct addr addr;
    int fds[SERVER_CLIENTS_MAX]; /* -1: closed by server_close() */
    int clients;                 /* accepted so far */
    struct buf got;              /* everything that came, of all clients */
    int got_bytes;
    int ended; /* clients that closed */
    bool deaf; /* does not read */
    void *watchers[SERVER_CLIENTS_MAX];
};

void server_start(struct server *s);
void server_stop(struct server *s);
void server_send(struct server *s, int client, const void *p, size_t n); /* all of it; the client must take it */
void server_sends(struct server *s, int client, const char *text);
void server_close(struct server *s, int client);
void server_reset(struct server *s, int client); /* the client sees a connection reset */

/* A port of 127.0.0.1 that nobody listens on, held for the test so that nobody else gets it. The test closes *fd. */
struct addr unused_port(int *fd);

#endif
