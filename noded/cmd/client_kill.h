/* CLIENT KILL. */
#ifndef CMD_CLIENT_KILL_H
#define CMD_CLIENT_KILL_H

#include "noded/cmd/command.h"

void nd_client_kill(struct nd_call *c);

#endif
