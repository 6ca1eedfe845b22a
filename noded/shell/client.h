/* One connection: its socket, its input, its answers. Inside noded/shell; others see clients.h.
 *
 * Input is read into one buffer that all clients share, and requests run right there; only what is left of a request
 * that is not whole, or of a client that has to wait, is copied into memory of its own. Answers are written into a
 * buffer that a client has only while it has answers; what is full is put in line behind it, and all of it leaves in
 * one system call at the end of the turn. */
#ifndef SHELL_CLIENT_H
#define SHELL_CLIENT_H

#include "common/resp/request.h"
#include "noded/cmd/engine.h"
#include "noded/shell/clients.h"

#include <ev.h>

enum {
    CLIENT_BLOCKED = 1 << 0,   /* gets no request until it is resumed */
    CLIENT_POSTPONED = 1 << 1, /* the same; the request stands first in its input */
    CLIENT_CLOSING = 1 << 2,   /* closed when its answers are sent; nothing more is read */
    CLIENT_DYING = 1 << 3,     /* closed at the end of the turn; answers are dropped */
    CLIENT_WROTE = 1 << 4,     /* its requests left effects since its answers were looked at last */
    CLIENT_LEASED = 1 << 5,    /* among its unsent answers are some to writes under a lease: that of lease_term */
    CLIENT_AMIDST = 1 << 6,    /* of the answer that stands first a part may be sent */
    CLIENT_WAITS = CLIENT_BLOCKED | CLIENT_POSTPONED | CLIENT_CLOSING | CLIENT_DYING
};

struct replica_out; /* replica_out.c */

/* A place in a queue of the turn. */
struct client_link {
    struct client *next, **place; /* place NULL: not in the queue */
};

struct client_chunk {
    struct client_chunk *next;
    struct buf bytes;
};

struct client {
    struct clients *all;
    struct nd_session *session;
    struct ev_io reader, writer;
    unsigned flags;
    struct resp_parser *parser; /* in the middle of a request; else NULL */
    struct buf in;              /* what could not be run yet */
    size_t in_used;             /* bytes at its front that are done with */
    struct buf out;             /* the session writes here */
    struct client_chunk *chain, **chain_end;
    size_t chain_bytes, chain_count;
    size_t sent; /* bytes of what stands first (chain, else out) that are sent */
    struct client_link to_run, to_send, run_later;
    /* Answers that wait for the disk (append-only file): of the unsent bytes the first `free` may leave, those behind
     * wait for the flush under way, and the rest for one that has not begun. Only while `held` is in its queue. */
    struct client_link held;
    size_t free, in_flight, later;
    uint64_t lease_term;
    struct replica_out *replica; /* NULL: nothing but answers was ever sent to it */
    int64_t over_soft_since_ms;  /* 0: its output is within the soft limit */
    int64_t closing_since_ms;
    size_t counted; /* bytes of buffers, as summed in all->memory[] */
    int counted_class;
    bool counted_evictable;
};

struct clients {
    struct node *node;
    struct nd_engine *engine;
    struct ev_loop *ev;
    struct resp_parser *parser; /* for every request that is whole in what was read */
    struct resp_limits limits, limits_unauthenticated;
    char *shared; /* what was read last */
    struct client *first_to_run, **last_to_run, *first_to_send, **last_to_send, *first_held, **last_held;
    struct client *first_later, **last_later; /* they run on in the next turn */
    struct ev_timer next_turn;
    struct buf *spare; /* empty output buffers */
    size_t spare_count;
    size_t count;
    size_t memory[ND_CLASSES];
    size_t evictable;          /* of that, what counts against maxmemory-clients */
    size_t over_soft, closing; /* clients to be looked after */
    struct ev_timer housekeeping;
};

#define CLIENT_OUT_BYTES ((size_t)16 * 1024) /* of an output buffer that is used again */

/* client.c */
struct client *client_new(struct clients *all, int fd, const char *peer, bool on_unix);
void client_free(struct client *c); /* at once, unsent answers too */
/* Runs what can be run of its own input. */
void client_run_kept(struct client *c);

/* client_out.c */
void client_take_buffer(struct client *c); /* before a request may write */
/* Closes it when its output has passed a limit of its class. Also puts a full buffer in line. */
void client_check_output(struct client *c);
bool client_flush(struct client *c); /* false: it was freed */
/* Its answers leave now, not at the end of the turn. false: not all of them could. */
bool client_send_now(struct client *c);
size_t client_unsent(const struct client *c);
void client_unhold(struct client *c); /* it is in no queue of those that wait for the disk */
void client_free_output(struct client *c);

/* client_unsaved.c */
/* The last n unsent bytes are whole answers: in place of each comes an error, because what it tells of is not saved.
 * Returns how many bytes they are now. */
size_t client_unsaved(struct client *c, size_t n);
/* It wrote under the lease that there is now, or will be found not to have (client_lease_is_over()). */
void client_wrote_leased(struct client *c);
/* The lease that its answered writes were executed under has ended, by a fresh clock: they must not say that all is
 * well. All unsent answers have become errors then; or it is killed, when a part of one is sent already. */
bool client_lease_is_over(struct client *c);

/* clients.c */
void clients_queue_run(struct client *c);
void clients_queue_later(struct client *c);
void clients_queue_send(struct client *c);
void clients_queue_held(struct client *c);
void client_unqueue(struct client *c);
void client_kill(struct client *c, const char *why); /* at the end of the turn; why NULL: nothing is logged */
void client_count(struct client *c);                 /* its buffers have changed */
void client_uncount(struct client *c);
int client_class(const struct client *c);

#endif
