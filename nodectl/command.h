/* The command tree of nodectl: a command is a row, and its help is made from the row. */
#ifndef NODECTL_COMMAND_H
#define NODECTL_COMMAND_H

#include <stddef.h>

#define COMMAND_OPTIONS_MAX 24

/* Exit codes of every command. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* the command was understood and did not succeed */
    EXIT_USAGE = 2,  /* the command line or a file that it names is wrong */
};

struct command_option {
    const char *name;     /* "--to" */
    const char *letter;   /* "-o", or NULL */
    const char *argument; /* "FORMAT"; NULL: the option takes none */
    const char *help;
};

struct command;

struct command_call {
    const struct command *command;
    /* By row of command->options: NULL when absent, the argument, or "" for an option without one. */
    const char *values[COMMAND_OPTIONS_MAX];
    int argc; /* what is not an option */
    char **argv;
};

struct command {
    const char *name;
    const char *arguments;                       /* as in the help: "FILE"; "" for none */
    const char *summary;                         /* one line */
    const char *text;                            /* paragraphs below the summary, or NULL */
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

/* Writes "nodectl NAME: text" to standard error. Returns code, so that a command can end with it. */
int command_fail(const struct command_call *call, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
