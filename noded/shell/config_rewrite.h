/* CONFIG REWRITE: the file as it would have to be to start the node with its present settings. */
#ifndef SHELL_CONFIG_REWRITE_H
#define SHELL_CONFIG_REWRITE_H

#include "noded/cmd/settings.h"

/* Comments, order, spelling and what has not changed stay as they are; changed values are put in their place; settings
 * that the file does not name and that are not at their default follow at the end. The file is replaced whole, or, with
 * the reason in why, left as it was. A setting of an included file is not written: when it has changed that is an
 * error. In cluster mode replicaof is taken out: nodes.conf says whom the node follows. */
bool config_rewrite(const char *path, const struct nd_config *config, struct buf *why);
/* The text alone; false: the reason is in why. */
bool config_rewrite_text(const char *path, struct slice old, const struct nd_config *config, struct buf *out,
                         struct buf *why);

#endif
