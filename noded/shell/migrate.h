/* The way to other servers for MIGRATE: connections that are made when needed, kept for some seconds for the next keys,
 * and never waited for. */
#ifndef SHELL_MIGRATE_H
#define SHELL_MIGRATE_H

#include "noded/cmd/migrate.h"

struct node;
struct migrator;

struct migrator *migrate_open(struct node *n);
/* Closes all connections; what is under way is forgotten and its ends are not told. NULL is allowed. */
void migrate_close(struct migrator *m);

/* Sends what the spec asks for; the engine is told what comes of it, never from inside of this call. */
void migrate_start(struct migrator *m, const struct nd_migrate_spec *spec);
size_t migrate_cached(const struct migrator *m); /* connections that are kept for the next keys */

#endif
