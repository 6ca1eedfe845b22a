/* The processes that a command talks to: all are connected and asked side by side, and nobody is waited for longer than
 * the fleet's timeout. Who fails is left out from then on, and its error says why. */
#ifndef NODECTL_FLEET_H
#define NODECTL_FLEET_H

#include "common/base/addr.h"
#include "common/base/bytes.h"

#include <hiredis/hiredis.h>

struct lookup;

struct fleet_member {
    struct addr addr;        /* as given, or as another supervisor told it */
    bool given;              /* named by the operator; false: found through another one */
    char *error;             /* NULL while it answers; else a clause without a full stop; owned */
    redisReply **replies;    /* in the order of the questions; owned, until fleet_forget() */
    size_t nreplies, wanted; /* answers got, and questions put, since fleet_forget() */
    /* The rest is fleet.c's. */
    size_t cap_replies;
    struct lookup *found; /* what the name stands for; NULL before it is looked up */
    size_t next;          /* which of its addresses is tried when this attempt fails */
    int fd;               /* -1: not connected */
    bool connected;       /* false: the attempt is under way */
    redisReader *reader;
    struct buf to_send;
    size_t received; /* bytes since fleet_forget() */
};

struct fleet {
    struct fleet_member **members;
    size_t n, cap;
    int timeout_ms; /* of each fleet_run() */
};

void fleet_init(struct fleet *f, int timeout_ms);
void fleet_free(struct fleet *f);

/* The member with that address: a new one, or the one that is there already (then *added is false). */
struct fleet_member *fleet_add(struct fleet *f, const struct addr *a, bool given, bool *added);

/* Puts a question; nothing is sent before fleet_run(). Ignored for a member with an error. */
void fleet_ask(struct fleet_member *m, int argc, const char *const *argv);
void fleet_ask_slices(struct fleet_member *m, size_t argc, const struct slice *argv); /* of any bytes */
/* Connects whoever was asked and is not connected yet, and waits for the answers to all questions. Afterwards every
 * member has all of its answers or an error. */
void fleet_run(struct fleet *f);
/* Waits for a message that nobody asked for (of a subscription), from any member, for at most timeout_ms. Returns whom
 * it came from and stores it in *message, which the caller frees; NULL: none came in time, or no member is left. A
 * member whose connection ends gets its error. */
struct fleet_member *fleet_listen(struct fleet *f, int timeout_ms, redisReply **message);
/* Frees the answers, so that the next questions count from 0. */
void fleet_forget(struct fleet *f);

/* The last answer since fleet_forget(); NULL: there is none, or the member has an error. */
const redisReply *fleet_answer(const struct fleet_member *m);
/* The member at "host:port", or NULL. */
struct fleet_member *fleet_at(const struct fleet *f, const char *address);
/* The clock of all waiting, in milliseconds. It never goes back. */
int64_t fleet_now_ms(void);

/* Takes the error away, so that the next question connects again. Its answers and questions are forgotten. */
void fleet_retry(struct fleet_member *m);
/* Ends the connection for a reason that the caller found in an answer. The answers stay. */
void fleet_fail(struct fleet_member *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
