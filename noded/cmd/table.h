/* The index of all command rows: found by name in a few nanoseconds, numbered, with full names. Built once by the
 * engine; constant from then on. */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include "noded/cmd/command.h"

#define ND_NAME_MAX 24 /* bytes of a command's or subcommand's name; longer words are no command */

/* A name in lower case as three words: names of one length differ in the words exactly when they differ. */
struct nd_name {
    uint64_t word[3];
    size_t n;
};

/* What the slots of a cluster have to do with a command. */
enum nd_keyed {
    ND_KEYED_NOT,   /* it runs anywhere */
    ND_KEYED_FIRST, /* its first argument is its one key */
    ND_KEYED_SOME   /* the specs say it, or the function, or the queue of a transaction */
};

struct nd_indexed {
    struct nd_name name;
    const struct nd_command *cmd;
    const struct nd_indexed *parent; /* of a subcommand; NULL */
    uint32_t flags;                  /* cmd's */
    int32_t arity;                   /* cmd's */
    uint32_t number;
    bool has_subs;
    enum nd_keyed keyed;
    char *full_name;
};

/* So many words can be this command. of_dataset: they come from a master's stream or from the log. */
static inline bool nd_arity_fits(const struct nd_indexed *row, size_t argc, bool of_dataset)
{
    if (row->arity < 0)
        return argc >= (size_t)-row->arity;
    bool longer = of_dataset && (row->flags & ND_LONGER_IN_STREAM) != 0;
    return argc == (size_t)row->arity || (longer && argc > (size_t)row->arity);
}

struct nd_commands;
struct nd_extension;
struct nd_commands *nd_commands_new(const struct nd_extension *more); /* NULL: only families.h */
void nd_commands_free(struct nd_commands *x);
/* As nd_command_find(). */
const struct nd_indexed *nd_commands_find(const struct nd_commands *x, const struct slice *argv, size_t argc,
                                          const struct nd_indexed **parent);
const struct nd_indexed *nd_commands_row(const struct nd_commands *x, const struct nd_command *cmd);

#endif
