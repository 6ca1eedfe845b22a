/* A row of the command table as COMMAND INFO and COMMAND DOCS show it. */
#ifndef CMD_COMMAND_ROW_H
#define CMD_COMMAND_ROW_H

#include "noded/cmd/call.h"

void nd_command_info(struct nd_call *c, const struct nd_command *cmd); /* a row of COMMAND INFO */
void nd_command_docs(struct nd_call *c, const struct nd_command *cmd); /* the map of COMMAND DOCS, without the name */

/* ACL categories of a command, those that follow from its flags too; without the @. NULL behind the last. */
const char *nd_command_category(const struct nd_command *cmd, size_t index);
/* The flags of a spec: "RW UPDATE" as "RW", "update". */
void nd_keyspec_flags(struct nd_call *c, const char *flags);

#endif
