/* Manual pages, in the language of man(7), made from the command tree: one of the program, and one of each command
 * below it. */
#ifndef NODECTL_HELP_MAN_H
#define NODECTL_HELP_MAN_H

#include "common/base/bytes.h"
#include "nodectl/command.h"

struct man_shared {
    const struct command_option *options; /* told once, in the page of the program; ends with a row without name */
    const char *text;                     /* likewise: a part of the commands' texts */
};

/* The page of the program: nodectl(1). Short forms are the commands of the root that are in a family too. */
void man_program(struct buf *out, const struct command *root, const struct man_shared *shared);
/* The page of a command of the root, with all of its verbs: nodectl-fleet(1). */
void man_command(struct buf *out, const struct command *root, const struct command *c, const struct man_shared *shared);

#endif
