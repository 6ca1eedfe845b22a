/* Names of clients, which HELLO and CLIENT SETNAME give. */
#ifndef CMD_CONNECTION_H
#define CMD_CONNECTION_H

#include "noded/cmd/call.h"
#include "noded/cmd/session.h"

#define ND_REDIS_VERSION "7.0.15" /* what clients are told: the version whose commands and answers these are */

/* Bytes from ! to ~ only, as they stand in CLIENT LIST; else the error is answered. */
bool nd_client_name_fits(struct nd_call *c, struct slice name);
void nd_client_set_name(struct nd_session *s, struct slice name); /* empty: none */

#endif
