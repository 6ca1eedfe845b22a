/* One connection of a canary: it never waits. Whoever owns it polls its descriptor, and puts what he asks and what for.
 * hiredis' reader underneath. */
#ifndef NODECTL_DRILL_WIRE_H
#define NODECTL_DRILL_WIRE_H

#include "common/base/addr.h"

#include <hiredis/hiredis.h>

#define WIRE_PENDING_MAX 8

struct wire {
    int fd; /* -1: closed */
    bool connected;
    struct addr addr;
    redisReader *reader;
    struct buf out;
    int pending[WIRE_PENDING_MAX]; /* what each answer that is to come is for, the oldest first */
    size_t npending;
    int64_t since_us; /* the connection is being made, or an answer is waited for, since then */
    char error[160];  /* why it was closed */
};

void wire_init(struct wire *w);
void wire_close(struct wire *w); /* error stays */

/* Begins to connect; a failure closes it, with error. Names are looked up, which may take its time. */
void wire_open(struct wire *w, const struct addr *a, int64_t now_us);
/* Puts a command; false: it is closed, or too many answers are waited for. Sent when the connection is there. */
bool wire_ask(struct wire *w, int what, int argc, const char *const *argv, int64_t now_us);
short wire_events(const struct wire *w); /* for poll() */
/* After poll(): connects, sends, receives. false: it is closed now, with error. */
bool wire_serve(struct wire *w, short events, int64_t now_us);
/* The next answer, and what it is for; the caller frees it. NULL: there is none, or the connection is closed now. */
redisReply *wire_answer(struct wire *w, int *what, int64_t now_us);

#endif
