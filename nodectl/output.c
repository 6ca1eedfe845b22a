#include "nodectl/output.h"

#include "nodectl/reply_json.h"
#include "nodectl/yaml.h"

#include <stdio.h>
#include <string.h>

static const char *const formats[] = {
    [OUTPUT_TABLE] = "table",
    [OUTPUT_WIDE] = "wide",
    [OUTPUT_JSON] = "json",
    [OUTPUT_YAML] = "yaml",
};

static bool begun; /* standard output has a document, or the beginning of one */

/* false: --output has another word. */
static bool find_format(const struct command_call *call, enum output_format *format)
{
    const char *text = command_value(call, "--output");
    *format = OUTPUT_TABLE;
    for (size_t i = 0; text != NULL && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(text, formats[i]) == 0) {
            *format = (enum output_format)i;
            return true;
        }
    return text == NULL;
}

int output_format(const struct command_call *call, enum output_format *format)
{
    const char *text = command_value(call, "--output");
    if (find_format(call, format))
        return EXIT_OK;
    return command_fail(call, EXIT_USAGE, "--output is '%s', but must be table, wide, json or yaml", text);
}

bool output_is_document(enum output_format format)
{
    return format == OUTPUT_JSON || format == OUTPUT_YAML;
}

void output_begins(void)
{
    begun = true;
}

void output_failure(const struct command_call *call, struct slice text)
{
    enum output_format format;
    if (begun || !find_format(call, &format) || !output_is_document(format))
        return;
    json_t *o = json_object();
    json_object_set_new(o, "ok", json_false());
    json_object_set_new(o, "failure", json_text(text.p, text.n));
    output_document(format, o);
    json_decref(o);
}

void output_document(enum output_format format, const json_t *document)
{
    output_begins();
    if (format == OUTPUT_YAML) {
        yaml_write(document, stdout);
        return;
    }
    json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fputc('\n', stdout);
}

void output_document_of_many(enum output_format format, const json_t *document)
{
    output_begins();
    if (format == OUTPUT_YAML) {
        fputs("---\n", stdout);
        yaml_write(document, stdout);
        return;
    }
    json_dumpf(document, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
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

void output_problems(enum output_format format, struct slice text)
{
    json_t *o = json_object();
    json_object_set_new(o, "problems", output_lines(text));
    output_document(format, o);
    json_decref(o);
}
