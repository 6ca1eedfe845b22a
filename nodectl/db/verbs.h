/* The verbs of nodectl db; the rows of their tables are in cmd_db.c. */
#ifndef NODECTL_DB_VERBS_H
#define NODECTL_DB_VERBS_H

#include "nodectl/command.h"

int db_copy(const struct command_call *call);
int db_flush(const struct command_call *call);
int db_list(const struct command_call *call);
int db_scan(const struct command_call *call);
int db_swap(const struct command_call *call);

#endif
