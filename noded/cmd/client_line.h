/* A client in one line, as CLIENT LIST and CLIENT INFO show it. */
#ifndef CMD_CLIENT_LINE_H
#define CMD_CLIENT_LINE_H

#include "noded/cmd/engine.h"

/* Appends the line with its end. */
void nd_client_line(const struct nd_session *s, struct buf *out);

/* Types as CLIENT LIST, CLIENT KILL and client-output-buffer-limit name them. */
enum nd_client_type { ND_TYPE_NORMAL, ND_TYPE_REPLICA, ND_TYPE_PUBSUB, ND_TYPE_MASTER, ND_TYPE_UNKNOWN };
enum nd_client_type nd_client_type(const struct nd_session *s);
enum nd_client_type nd_client_type_named(struct slice name);

#endif
