/* Where fleets are recorded: the list `fleets` of ~/.config/nodectl.conf. An entry is put in and taken out without
 * touching what else is in the file. */
#ifndef NODECTL_LOCAL_REGISTRY_H
#define NODECTL_LOCAL_REGISTRY_H

#include "nodectl/targets.h"

/* The file: the argument of --config, else ~/.config/nodectl.conf; NULL: neither is given, and HOME is not set. The
 * caller frees. */
char *registry_path(const char *config);

/* The record of that name, in *found (targets_free() either way). A file that does not exist has none. false: the file
 * cannot be read; the reason is appended to why. found->fleet is NULL where there is no such record. */
bool registry_find(const char *path, const char *name, struct targets *found, struct buf *why);

/* Both hold a lock against another nodectl, and change nothing when they fail; the reason, and what the operator can do
 * by hand, is appended to why. */
bool registry_add(const char *path, const struct targets *t, struct buf *why);
bool registry_remove(const char *path, const char *name, struct buf *why); /* one that is not there is right, too */

#endif
