/* The verbs of `nodectl supervisor`, a file each. */
#ifndef NODECTL_SUPERVISOR_VERBS_H
#define NODECTL_SUPERVISOR_VERBS_H

#include "nodectl/command.h"

extern const struct command supervisor_list;
extern const struct command supervisor_pause, supervisor_resume; /* pause.c */
extern const struct command supervisor_add, supervisor_remove;   /* change_list.c */
extern const struct command supervisor_quorum;
extern const struct command supervisor_availability;

#endif
