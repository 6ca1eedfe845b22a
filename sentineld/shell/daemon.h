/* The daemon: the loop and everything that hangs on it. One thread runs the core and the clients; the writer of the
 * state and the name resolver have threads of their own.
 *
 * The way of the data: a socket, timer or disk gives an event -> daemon_step() -> sn_step() -> effects, done in order:
 * links.c (CONNECT, DISCONNECT, SEND), state.c (PERSIST), publish: pubsub.c and the log, scripts.c (SCRIPT), clients.c
 * (ANSWER). */
#ifndef SHELL_DAEMON_H
#define SHELL_DAEMON_H

#include "common/io/loop.h"
#include "common/io/resolve.h"
#include "sentineld/core/core.h"
#include "sentineld/core/state.h"
#include "sentineld/shell/drill_claims.h"

struct sentineld_config;

struct daemon {
    struct io_loop *loop;
    struct io_resolver *resolver;
    struct sentineld_config *config; /* as read from the file; owned */
    struct sn_core *core;
    struct links *links;         /* links.h: to nodes and peers */
    struct state *state;         /* state.h: SQLite and its writer */
    struct history *history;     /* history.h: what happened and why */
    struct scripts *scripts;     /* scripts.h: stock scripts */
    struct overrides *overrides; /* overrides.h: what differs from the file */
    struct reload *reload;       /* reload.h: the file is read again */
    struct hooks *hooks;         /* hooks.h: the operator's programs */
    struct users *users;         /* users.h: who may log in, and do what */
    struct clients *clients;     /* clients.h: whoever connects to us; with their subscriptions */
    struct notify *notify;       /* notify.h: the service manager; NULL: there is none */
    struct drill_claims drills;  /* that are under way */
    int port;                    /* the first one we listen on */
    int64_t started_us;
    int64_t started_wall_ms;
    const char *config_path; /* absolute */
    const char *start_dir;   /* where the daemon was started: relative paths of the file count from there */
    const char *executable;
    bool stopping;
    int exit_status;
    struct pump *pump; /* daemon.c: events that wait, and the timer */
};

/* Builds everything from the configuration, in the order in which things need each other; the working directory is the
 * state directory already. false: the reason is appended to error, and daemon_close() frees what was built. */
bool daemon_open(struct daemon *d, struct sentineld_config *config, struct buf *error);
bool daemon_close(struct daemon *d); /* false: a disk still holds a thread, so the process should end by _exit() */

/* daemon.c: the core has been made: takes its first effects, and arms the timer. */
void daemon_begin(struct daemon *d, struct sn_effects *first);
void daemon_end(struct daemon *d);

/* Gives the event the time, steps the core, does the effects, arms the one timer. An event that arises while effects
 * are being done waits in a queue until they are. May be called from any callback of the loop. */
void daemon_step(struct daemon *d, struct sn_event *e);

/* An event for everybody: to the log at its level, and to the channel of its name unless the level is debug. text may
 * be NULL. */
void daemon_publish(struct daemon *d, enum sn_level level, const char *name, const char *text);

/* Ends the loop in good order: answers written, state flushed. */
void daemon_stop(struct daemon *d, int exit_status);

#endif
