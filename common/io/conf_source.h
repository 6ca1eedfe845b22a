/* The text of a configuration file with its @include lines replaced by what they name, and where each line came from.
 * libconfig gets one text, so that its line numbers can be told as file and line, also in an included file. Inside
 * common/io only. */
#ifndef IO_CONF_SOURCE_H
#define IO_CONF_SOURCE_H

#include "common/io/conf.h"

struct conf_source {
    struct buf text;
    char **files; /* the first is the file itself */
    size_t file_count;
    struct conf_line {
        size_t file;
        int line;
    } * lines; /* of text, the first at 0 */
    size_t line_count, line_cap;
    bool broken; /* the text is not whole: parsing it would only tell what follows from that */
};

/* Expands text, which was read from files[0] == name. Reports integers that libconfig would cut, unreadable includes,
 * NUL bytes. */
void conf_source_expand(struct conf_source *s, const char *name, struct slice text, struct conf_problems *problems);
void conf_source_free(struct conf_source *s);

/* Adds "file:line: " for a line of text (1-based) to out; only the file for 0 or a line that is not there. */
void conf_source_where(const struct conf_source *s, int line, struct buf *out);

#endif
