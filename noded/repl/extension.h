/* What replication and persistence add to the engine: their commands and their sections of INFO. */
#ifndef REPL_EXTENSION_H
#define REPL_EXTENSION_H

#include "noded/cmd/extension.h"

extern const struct nd_extension nd_repl_extension; /* for host.extension */

/* The families, each beside its functions. */
extern const struct nd_command nd_persist_commands[]; /* persist_command.c */
extern const struct nd_command nd_aof_commands[];     /* aof_command.c */
extern const struct nd_command nd_serve_commands[];   /* serve_command.c */
extern const struct nd_command nd_follow_commands[];  /* follow_command.c */

/* Subcommands of DEBUG, ended by a row without a name. */
extern const struct nd_debug_row nd_persist_debug[]; /* persist_debug.c */

/* Sections of INFO. */
void nd_persist_info(struct nd_info *i); /* persist_info.c */
void nd_serve_info(struct nd_info *i);   /* serve_info.c */

#endif
