/* The command line: noded [FILE] [--option value ...], options under redis.conf's names. */
#ifndef SHELL_ARGUMENTS_H
#define SHELL_ARGUMENTS_H

#include "noded/cmd/settings.h"

struct argument {
    struct slice name; /* without the dashes */
    size_t first, n;   /* its values: argv[first] and on; with "--name=value" first is the word itself */
    bool inline_value;
};

struct arguments {
    const char *file; /* NULL none, "-" standard input */
    bool help, version, check;
    struct argument *options;
    size_t count;
    char **argv;
};

/* false: the reason is appended to error. */
bool arguments_read(int argc, char **argv, struct arguments *out, struct buf *error);
/* Sets in config what the options say, in their order. false: error has a line for each that is wrong. */
bool arguments_apply(const struct arguments *a, struct nd_config *config, struct buf *error);
void arguments_free(struct arguments *a);

void arguments_help(struct buf *out); /* usage, and every setting with its values, default and meaning */

#endif
