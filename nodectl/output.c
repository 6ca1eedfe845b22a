#include "nodectl/output.h"

#include "nodectl/reply_json.h"

#include <stdio.h>
#include <string.h>

int output_format(const struct command_call *call, bool *json)
{
    const char *format = command_value(call, "--output");
    *json = format != NULL && strcmp(format, "json") == 0;
    if (format == NULL || *json || strcmp(format, "table") == 0)
        return EXIT_OK;
    return command_fail(call, EXIT_USAGE, "--output is '%s', but must be table or json", format);
}

void output_json(const json_t *document)
{
    json_dumpf(document, stdout, JSON_INDENT(2));
    fputc('\n', stdout);
}

json_t *output_lines(struct slice text)
{
    json_t *list = json_array();
    while (text.n > 0) {
        struct slice line = slice_cut(&text, '\n');
        json_array_append_new(list, json_text(line.p, line.n));
    }
    return list;
}

void output_problems(struct slice text)
{
    json_t *o = json_object();
    json_object_set_new(o, "problems", output_lines(text));
    output_json(o);
    json_decref(o);
}
