/* Whom a command asks first: --supervisor and --seeds, else the fleet that --fleet or NODECTL_FLEET names in the
 * configuration file, else NODECTL_SUPERVISORS, else what the configuration file lists. */
#ifndef NODECTL_TARGETS_H
#define NODECTL_TARGETS_H

#include "common/io/conf.h"

struct targets_wish {
    const char *supervisors; /* the argument of --supervisor, or NULL */
    const char *seeds;       /* of --seeds */
    const char *fleet;       /* of --fleet */
    const char *config;      /* of --config; NULL: ~/.config/nodectl.conf and then /etc/nodectl.conf */
    bool even_wrong;         /* a fleet whose entry in the file is wrong is found, too */
};

struct targets {
    /* One of the two has an address at least, unless the entry is wrong. */
    struct conf_addresses supervisors, seeds;
    char *fleet; /* the name of the fleet, which is the name of its cluster; NULL: none was named, and the file has
                          none or several */
    char *dir;   /* where `fleet create` put it; NULL: it was not made by it */
    char *user, *node_user;                   /* at the supervisors and at the nodes; NULL */
    char *password_file, *node_password_file; /* their first line is the password; NULL */
    char *source;                             /* where they were named: "--supervisor", a variable, or a file's path */
    char *wrong;                              /* lines with what is wrong with its entry in the file; NULL: nothing */
};

/* false: nothing usable is named; `error` has lines that say what to do. targets_free() either way. */
bool targets_find(struct targets *t, const struct targets_wish *wish, struct buf *error);
void targets_free(struct targets *t);

/* Every fleet of that file (NULL: as for targets_find()), none where there is no file; source is its path in each, and
 * `wrong` has why an entry is not right. false: the file cannot be read; `error` has lines that say why. */
bool targets_all(const char *config, struct targets **list, size_t *n, struct buf *error);
void targets_free_all(struct targets *list, size_t n);

#endif
