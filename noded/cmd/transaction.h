/* MULTI, EXEC, DISCARD, WATCH, UNWATCH. */
#ifndef CMD_TRANSACTION_H
#define CMD_TRANSACTION_H

#include "noded/cmd/call.h"

void nd_exec_command(struct nd_call *c); /* the checks before a command look inside of it */

#endif
