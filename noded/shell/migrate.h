/* The way to other servers for MIGRATE: connections that are made when needed, kept for some seconds for the next keys, and
 * never waited for. */
#ifndef SHELL_MIGRATE_H
#define SHELL_MIGRATE_H

#include "noded/cmd/migrate.h"

struct node;
struct migrate;

struct migrate *migrate_new(struct node *n);
/* Closes all connections; what is under way is forgotten and its ends are not told. */
void migrate_free(struct migrate *m);

/* Sends what the spec asks for; the engine is told what comes of it, never from inside of this call. */
void migrate_start(struct migrate *m, const struct nd_migrate_spec *spec);

#endif
