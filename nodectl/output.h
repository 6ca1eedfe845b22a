/* What commands print: tables for people, one document for programs. */
#ifndef NODECTL_OUTPUT_H
#define NODECTL_OUTPUT_H

#include "common/base/bytes.h"
#include "nodectl/command.h"

#include <jansson.h>

enum output_format {
    OUTPUT_TABLE,
    OUTPUT_WIDE, /* a table with more columns; a command without more prints its table */
    OUTPUT_JSON,
    OUTPUT_YAML,
};

/* The row of a command's options, for those that ask nobody (ASKING_OPTIONS has it too). */
#define OUTPUT_OPTION                                                           \
    {                                                                           \
        "--output", "-o", "FORMAT", "table, wide, json or yaml (default table)" \
    }

/* Reads --output. EXIT_OK, or EXIT_USAGE with the reason on standard error. */
int output_format(const struct command_call *call, enum output_format *format);
/* Whether standard output holds one document, and all that is for people goes to standard error. */
bool output_is_document(enum output_format format);

void output_document(enum output_format format, const json_t *document); /* on standard output */
/* For who writes a document piece by piece: it has begun. */
void output_begins(void);
/* A command ended without success: {"ok": false, "failure": text} where --output asks for a document and none has
 * begun; so there is exactly one, however the command ends. */
void output_failure(const struct command_call *call, struct slice text);
/* One of an unending row of documents (--follow): a line of JSON, or YAML begun by "---". */
void output_document_of_many(enum output_format format, const json_t *document);
json_t *output_lines(struct slice text);                            /* an array with a string for each line */
void output_problems(enum output_format format, struct slice text); /* {"problems": [...]}, where a file is wrong */

#endif
