/* What commands print for programs: --output json. */
#ifndef NODECTL_OUTPUT_H
#define NODECTL_OUTPUT_H

#include "common/base/bytes.h"
#include "nodectl/command.h"

#include <jansson.h>

/* The row of a command's options, for those that ask nobody (ASKING_OPTIONS has it too). */
#define OUTPUT_OPTION                                               \
    {                                                               \
        "--output", "-o", "FORMAT", "table or json (default table)" \
    }

/* Reads --output. EXIT_OK, or EXIT_USAGE with the reason on standard error. */
int output_format(const struct command_call *call, bool *json);

void output_json(const json_t *document); /* on standard output */
json_t *output_lines(struct slice text);  /* an array with a string for each line */
void output_problems(struct slice text);  /* {"problems": [...]}, where a file is wrong */

#endif
