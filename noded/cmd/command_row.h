/* A row of the command table as COMMAND INFO and COMMAND DOCS show it. */
#ifndef CMD_COMMAND_ROW_H
#define CMD_COMMAND_ROW_H

#include "noded/cmd/call.h"

void nd_command_info(struct nd_call *c, const struct nd_command *cmd); /* a row of COMMAND INFO */
/* The map of COMMAND DOCS, without the name (command_docs.c). */
void nd_command_docs(struct nd_call *c, const struct nd_command *cmd);

/* ACL categories of a command, those that follow from its flags too; without the @. NULL behind the last. */
const char *nd_command_category(const struct nd_command *cmd, size_t index);
/* The flags of a spec: "RW UPDATE" as "RW", "update". */
void nd_keyspec_flags(struct nd_call *c, const char *flags);

/* What became of a command since it was there (command_history.c). */
struct nd_command_past {
    const char *name;             /* full */
    const char *deprecated_since; /* NULL: it is not */
    const char *replaced_by;
    const char *changes; /* "6.2.0: It takes a count.; 7.0.0: ..."; NULL: none */
    bool of_system;      /* for servers among themselves and their developers */
};
const struct nd_command_past *nd_command_past(const char *full_name); /* NULL: nothing */

#endif
