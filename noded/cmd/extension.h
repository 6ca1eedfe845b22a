/* What the rooms above add to the engine: replication and persistence (noded/repl). An engine without them is whole,
 * and alone. */
#ifndef CMD_EXTENSION_H
#define CMD_EXTENSION_H

#include "noded/cmd/command.h"

struct nd_engine;
struct nd_info;
struct nd_session;

/* A subcommand of DEBUG. */
struct nd_debug_row {
    const char *name, *syntax, *text; /* lower case; NULL ends the rows */
    size_t min, max;                  /* arguments with DEBUG and the name; max 0: any number */
    nd_command_fn *run;
};

struct nd_extension {
    const struct nd_command *const *families;    /* arrays of rows as in families.h; ended by NULL */
    void (*info_persistence)(struct nd_info *i); /* sections of INFO, instead of the engine's own; NULL: those */
    void (*info_replication)(struct nd_info *i);
    const struct nd_debug_row *debug;           /* more subcommands of DEBUG; NULL: none */
    bool (*flushed)(struct nd_engine *e);       /* FLUSHALL has run; true: that is saved; NULL: nobody wants to know */
    void (*session_gone)(struct nd_session *s); /* it is about to be freed; NULL: nobody wants to know */
    nd_command_fn *syncslots;                   /* CLUSTER SYNCSLOTS; NULL: it is refused */
};

#endif
