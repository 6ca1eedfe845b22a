/* What a replica is sent behind the answers to it: the file of a snapshot, and the stream, from where it stands in the
 * backlog. While a child process has its socket nothing is sent here. Inside noded/shell. */
#ifndef SHELL_REPLICA_OUT_H
#define SHELL_REPLICA_OUT_H

#include "noded/repl/serve.h"

struct client;
struct node;

struct nd_serve_host replica_out_host(struct node *n);

bool replica_out_is_lent(const struct client *c); /* a child has the socket */
/* Sends what the socket takes, at most about `most` bytes, when nothing else of the client is unsent. false: writing
 * failed. */
bool replica_out_send(struct client *c, size_t most);
bool replica_out_waits(const struct client *c);    /* there is more to be sent now */
size_t replica_out_unread(const struct client *c); /* bytes of the stream that it has not taken */
void replica_out_free(struct client *c);           /* before the socket is closed */

#endif
