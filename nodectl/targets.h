/* Which supervisors a command asks first: --supervisor, else NODECTL_SUPERVISORS, else the configuration file. */
#ifndef NODECTL_TARGETS_H
#define NODECTL_TARGETS_H

#include "common/io/conf.h"

struct targets {
    struct conf_addresses supervisors; /* at least one */
    char *source;                      /* where they were named: "--supervisor", a variable, or a file's path */
};

/* option: the argument of --supervisor, or NULL. config: the argument of --config, or NULL for
 * ~/.config/nodectl.conf and then /etc/nodectl.conf. false: nothing usable is named; `error` has lines that say what
 * to do. */
bool targets_find(struct targets *t, const char *option, const char *config, struct buf *error);
void targets_free(struct targets *t);

#endif
