/* The verbs of nodectl import; the rows of their tables are in cmd_import.c. */
#ifndef NODECTL_IMPORT_VERBS_H
#define NODECTL_IMPORT_VERBS_H

#include "nodectl/command.h"

int import_file(const struct command_call *call);
int import_from(const struct command_call *call);

#endif
