/* One connection and the set of all, as the commands see them. Owned by clients.c; clients.h is what the rest of the
 * daemon sees.
 *
 * Replies leave in the order of the requests. A command whose answer comes later takes a place in the client's queue;
 * what later commands reply, and messages of subscriptions, queue up behind it until the answer is there. */
#ifndef SHELL_CLIENT_H
#define SHELL_CLIENT_H

#include <ev.h>

#include "common/base/map.h"
#include "common/io/listener.h"
#include "common/io/stream.h"
#include "common/resp/reply.h"
#include "common/resp/request.h"
#include "sentineld/shell/config.h"
#include "sentineld/shell/daemon.h"
#include "sentineld/shell/users.h"

#define CLIENTS_MAX ((size_t)10000) /* fewer when the limit of open files is low, see clients_open() */
#define CLIENT_ADDR_MAX 80
#define CLIENT_OUT_MAX ((size_t)32 * 1024 * 1024) /* bytes not yet taken by the kernel, or queued behind an answer */
#define CLIENT_OUT_SOFT ((size_t)8 * 1024 * 1024) /* a subscriber may stay above this for CLIENT_OUT_SOFT_US */
#define CLIENT_OUT_SOFT_US ((int64_t)60 * 1000 * 1000)
#define CLIENT_STALL_US ((int64_t)60 * 1000 * 1000) /* to finish a request that was begun, or to authenticate */
#define CLIENT_WAITING_MAX 64                       /* requests whose answer is due later; then its input waits */
#define CLIENT_COMMANDS_PER_TURN 512                /* so that one long pipeline does not hold the loop */

struct acl_log;
struct command;
struct pubsub;
struct topic;
struct slot;

/* How a deferred answer is written. */
enum client_answer {
    CLIENT_ANSWER_PLAIN,   /* ANSWER: +OK, integer or error */
    CLIENT_ANSWER_CONFIG,  /* the same, to SENTINEL CONFIG SET: an OK means that the shell obeys it now */
    CLIENT_ANSWER_USERS,   /* to ACL DELUSER: OK means the number of users that were removed */
    CLIENT_ANSWER_OPINION, /* ANSWER_BALLOTS to IS-MASTER-DOWN-BY-ADDR */
    CLIENT_ANSWER_BALLOT,  /* ANSWER_BALLOTS to SENTINEL BALLOT */
    CLIENT_ANSWER_HISTORY, /* clients_answer_by(): of the history, of hooks that were tested */
};

enum client_reply_mode { CLIENT_REPLY_ON, CLIENT_REPLY_OFF, CLIENT_REPLY_SKIP, CLIENT_REPLY_SKIP_NEXT };

/* CLIENT TRACKING: there are no keys here, so nothing is ever invalidated; what a client asked for is remembered and
 * shown. */
struct client_tracking {
    bool on, bcast, optin, optout, noloop, caching;
    int64_t redirect; /* client id; 0: to itself */
    char **prefixes;
    size_t nprefixes;
};

struct client {
    struct clients *all;
    struct client *prev, *next;
    struct io_stream *stream; /* NULL once it is closed */
    struct resp_parser *parser;
    struct resp_limits limits; /* lower until it has authenticated */
    int64_t id;
    int fd;
    char addr[CLIENT_ADDR_MAX], laddr[CLIENT_ADDR_MAX];
    int proto;               /* 2 or 3 */
    const struct user *user; /* NULL: it was removed, and the connection ends */
    bool authenticated;
    char *name;               /* NULL: none */
    char *lib_name, *lib_ver; /* likewise */
    int64_t created_us, active_us;
    int64_t begun_us;           /* a request is not whole since then; 0: none is open */
    int64_t soft_us;            /* unsent output is above the soft limit since then; 0: it is not */
    const struct command *last; /* the last command, for CLIENT LIST */
    size_t last_bytes;
    enum client_reply_mode reply_mode;
    bool closing;       /* no further command is run */
    bool close_drained; /* to be closed when the last deferred answer has left */
    bool doomed;        /* to be freed at the end of the turn */
    bool held;          /* its input is not read: too many answers due, CLIENT PAUSE, or the backlog */
    bool in_backlog;    /* has input that waits for its turn */
    bool fenced;        /* a change of users is on its way to the disk: what it sends next must see it made */
    bool no_evict;
    struct client_tracking tracking;
    struct slot *first_slot, *last_slot;
    size_t waiting;                /* slots without an answer */
    size_t queued;                 /* bytes in slots */
    struct map channels, patterns; /* name -> topic; their cap is 0 before the first subscription */
    size_t subscribed_bytes;       /* of all names */
};

struct clients {
    struct daemon *d;
    struct io_loop *loop;
    struct io_listener **listeners;
    size_t nlisteners;
    struct client *first, *last; /* in order of arrival */
    size_t count, max;
    int64_t next_id;
    sn_token next_token;
    struct map waiting; /* token as 8 bytes -> slot */
    struct pubsub *pubsub;
    struct acl_log *acl_log;
    uint64_t seed[2];
    struct buf scratch;   /* the reply of the command that runs */
    ev_timer cron;        /* once a second: limits in time, rates */
    ev_timer backlog;     /* clients with input that waits for its turn */
    int64_t pause_end_us; /* CLIENT PAUSE ALL; 0: none */
    ev_timer pause;
    struct io_turn_end sweep; /* frees the doomed */
    int64_t total_connections, rejected_connections, total_commands, total_errors;
    int64_t net_input, net_output;
    int64_t rate_commands, rate_input, rate_output; /* of the last second */
    int64_t seen_commands, seen_input, seen_output; /* at its beginning */
};

/* A request that runs: what a command function gets. */
struct call {
    struct client *c;
    struct daemon *d;
    struct reply *r; /* what is written here is the reply, unless the call was deferred */
    const struct command *row;
    const struct slice *argv; /* all words; argv[0] is the command */
    size_t argc;
    bool deferred;
};

/* The answer comes later: returns the token for the event. Must be called before the event is given to the core, and
 * nothing may be written to call->r. */
sn_token client_defer(struct call *call, enum client_answer how);

/* Bytes that are no reply: messages of subscriptions. Keeps the order with what is queued. */
void client_push(struct client *c, const void *p, size_t n);

/* Ends the connection: after what was replied has left (when `after_output`) or at once. The struct stays valid until
 * the end of the turn. */
void client_close(struct client *c, bool after_output);

struct client *client_by_id(const struct clients *all, int64_t id);
bool client_is_subscriber(const struct client *c);
/* The line of CLIENT LIST, without its end of line. */
void client_describe(struct buf *out, const struct client *c, int64_t now_us);
size_t client_unsent(const struct client *c); /* bytes, queued ones included */
/* Holds back all requests of ordinary clients for so long; 0 ends it. */
void clients_pause(struct clients *all, int64_t ms);
bool clients_need_auth(const struct clients *all); /* the default user has a password, or is off */
void client_login(struct client *c, const struct user *user);
/* false: not allowed in a name. An empty one takes the name away. */
bool client_set_text(char **field, struct slice text);

#endif
