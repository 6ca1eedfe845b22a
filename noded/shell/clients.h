/* All clients of the node. */
#ifndef SHELL_CLIENTS_H
#define SHELL_CLIENTS_H

#include "noded/cmd/engine.h"

struct node;
struct client;
struct clients;

struct clients *clients_open(struct node *node);
void clients_close(struct clients *all); /* answers that are written are sent as far as the kernel takes them */

/* A connection; it may be refused: too many clients, protected mode. */
void clients_accept(struct clients *all, int fd, const char *peer, bool on_unix);
/* The end of a turn: kept requests of resumed clients run, then answers leave. */
void clients_run(struct clients *all);
void clients_send(struct clients *all);

/* Answers that wait for the disk, see aof_answers(). A flush of all that is written begins: whoever waits for one waits
 * for this one. It has ended: answers that waited for it may leave; or failed: they wait for another. */
void clients_flush_begins(struct clients *all);
void clients_flush_ended(struct clients *all, bool ok);
void clients_hold_nothing(struct clients *all); /* all may leave */
/* What those tell of who wait for a flush that has not begun could not be written: they become errors. */
void clients_unsaved(struct clients *all);
/* Settings that concern clients have changed. */
void clients_settings(struct clients *all);

/* What the engine asks for, see struct nd_host. */
void clients_wake(struct clients *all, struct nd_session *s);
void clients_resume(struct clients *all, struct nd_session *s);
void clients_kill(struct clients *all, struct nd_session *s, const char *why);
void clients_buffers(struct clients *all, const struct nd_session *s, struct nd_client_buffers *out);
size_t clients_memory(const struct clients *all); /* of the buffers of normal clients */
size_t clients_memory_replicas(const struct clients *all);

#endif
