/* The verbs of nodectl backup; the rows of their tables are in cmd_backup.c. */
#ifndef NODECTL_BACKUP_VERBS_H
#define NODECTL_BACKUP_VERBS_H

#include "nodectl/command.h"

int backup_create(const struct command_call *call);
int backup_list(const struct command_call *call);
int backup_restore(const struct command_call *call);
int backup_verify(const struct command_call *call);

#endif
