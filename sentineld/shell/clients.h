/* Whoever connects to us: clients, operators, monitoring, and other supervisors asking for our vote. Reads requests,
 * runs commands (command.h), and keeps the order of replies: a command whose answer comes later (ANSWER effects)
 * reserves its place, later ones go on, and what they reply leaves after it. */
#ifndef SHELL_CLIENTS_H
#define SHELL_CLIENTS_H

#include "common/base/bytes.h"
#include "sentineld/core/effect.h"

struct daemon;
struct clients;

/* Listens on every address of the configuration. NULL: *error says which address and why (static or in `text`). */
struct clients *clients_open(struct daemon *d, char *text, size_t text_size);
void clients_close(struct clients *all); /* writes what is buffered, as far as the sockets take it at once */

/* ANSWER and ANSWER_BALLOTS. A client that has gone meanwhile is no error. */
void clients_answer(struct clients *all, const struct sn_effect *e);

/* The same for an answer that `write` makes, in the protocol of who asked. It is not called when nobody waits. */
struct reply;
void clients_answer_by(struct clients *all, uint64_t token, void (*write)(struct reply *r, void *arg), void *arg);

/* To every subscriber of the channel or of a pattern that matches it. Returns how many got it. */
size_t clients_publish(struct clients *all, const char *channel, struct slice payload);

size_t clients_count(const struct clients *all);

/* The daemon has read its configuration again: users become those of the file with the run-time changes of `runtime`
 * (as merge() left them). Connections of users that are gone, or whose password is another one, are closed. */
struct state_options;
void clients_reload_users(struct clients *all, const struct state_options *runtime);

#endif
