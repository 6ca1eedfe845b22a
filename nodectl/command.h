/* The command tree of nodectl: a command is a row, and its help is made from the row. */
#ifndef NODECTL_COMMAND_H
#define NODECTL_COMMAND_H

#include "common/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

#define COMMAND_OPTIONS_MAX 40

/* Exit codes of every command. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* the command was understood and did not succeed */
    EXIT_USAGE = 2,  /* the command line or a file that it names is wrong */
};

struct command_option {
    const char *name;   /* "--to" */
    const char *letter; /* "-o", or NULL */
    /* "FORMAT"; NULL: the option takes none. What can stand there is proposed by the shell where the name says it
     * (nodectl/help/complete.c): FILE, DIR, SHARD, NODE, FLEET, or the words themselves, "on|off". */
    const char *argument;
    const char *help;
};

struct command;

struct command_call {
    const struct command *command;
    char path[64]; /* as it was called, without the program's name: "drill run" */
    /* By row of command->options: NULL when absent, the argument, or "" for an option without one. */
    const char *values[COMMAND_OPTIONS_MAX];
    int argc; /* what is not an option */
    char **argv;
};

struct command {
    const char *name;                            /* beginning with '_': for programs, and not in any help */
    const char *arguments;                       /* as in the help: "FILE [SHARD...]"; "" for none */
    const char *summary;                         /* one line */
    const char *text;                            /* paragraphs below the summary, or NULL; indented lines stay so */
    const struct command_option *options;        /* ends with a row without name; may be NULL */
    const struct command *const *commands;       /* its subcommands, ends with NULL; then run is NULL */
    int min_args, max_args;                      /* max_args -1: any number */
    int (*run)(const struct command_call *call); /* returns the exit code */
};

/* Finds the command in the tree, parses its options, and runs it. --help (anywhere), `help COMMAND...` and --version
 * are served here. argv[0] is the program's name. Returns the exit code. */
int command_main(const struct command *root, int argc, char **argv);

/* The value of an option by name; NULL when it was not given. */
const char *command_value(const struct command_call *call, const char *option);

bool command_is_hidden(const struct command *c);
/* The family that a command of the root stands in too, by the same row: then it is a short form. NULL: it is none. */
const struct command *command_family(const struct command *root, const struct command *c);

/* Writes "nodectl NAME: text" to standard error. Returns code, so that a command can end with it. */
int command_fail(const struct command_call *call, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Lines with words of others in them: each is written behind "nodectl NAME: ", without what a terminal would obey. */
void command_fail_lines(const struct command_call *call, struct slice lines);

#endif
