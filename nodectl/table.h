/* Aligned columns on a terminal or in a file. Cells hold bytes from outside: whatever is not printable is shown as
 * '?'. */
#ifndef NODECTL_TABLE_H
#define NODECTL_TABLE_H

#include "common/base/bytes.h"

#include <stdbool.h>
#include <stdio.h>

enum paint { PAINT_NONE, PAINT_GOOD, PAINT_WARN, PAINT_BAD, PAINT_HEAD };

struct table;

/* Titles: a NULL-terminated list; they must outlive the table. A title that begins with '~' (which is not shown) is
 * that of a column that is left out where the terminal is too narrow for all. */
struct table *table_new(const char *const *titles);
void table_free(struct table *t);
/* Adds a cell; a row is full when each column has one. */
void table_cell(struct table *t, enum paint paint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Every line begins with `indent`. On a terminal that is too narrow, columns are left out in which nothing stands, then
 * those marked so; where that is not enough, each row becomes a block with a line for each cell. */
void table_print(const struct table *t, FILE *out, const char *indent, bool colour);

/* Whether to write colours to this file: a terminal, NO_COLOR not set, TERM not "dumb". */
bool colour_wanted(FILE *out);
/* Text without what a terminal would obey, in a colour or without. */
void print_painted(FILE *out, bool colour, enum paint paint, const char *text);
/* The same as a line. */
void print_line(FILE *out, bool colour, enum paint paint, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Line for line, each behind `indent`. */
void print_lines(FILE *out, const char *indent, struct slice text);

#endif
