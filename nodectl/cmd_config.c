/* nodectl config ... */
#include "common/io/conf.h"
#include "nodectl/convert.h"
#include "nodectl/output.h"
#include "nodectl/reply_json.h"
#include "nodectl/tree.h"

#include <stdio.h>
#include <string.h>

static bool names_sentinel(const struct directives *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (directive_is(&d->v[i], 0, "sentinel"))
            return true;
    }
    return false;
}

/* program: NULL when it could not be converted. */
static void print_converted(enum output_format format, struct convert *c, const char *program)
{
    json_t *o = json_object();
    json_object_set_new(o, "converted", json_boolean(program != NULL));
    json_object_set_new(o, "program", program != NULL ? json_string(program) : json_null());
    json_object_set_new(o, "text", program != NULL ? json_text(c->out.p, c->out.n) : json_null());
    json_object_set_new(o, "left_out", output_lines(buf_slice(&c->left)));
    json_object_set_new(o, "errors", output_lines(buf_slice(&c->errors)));
    output_document(format, o);
    json_decref(o);
}

static int convert(const struct command_call *call)
{
    struct convert c = {{0}, {0}, {0}, {0}};
    enum output_format format;
    if (output_format(call, &format) != EXIT_OK)
        return EXIT_USAGE;
    const char *to = command_value(call, "--to");
    if (to != NULL && strcmp(to, "sentineld") != 0 && strcmp(to, "noded") != 0)
        return command_fail(call, EXIT_USAGE, "--to takes sentineld or noded, not '%s'", to);
    if (directives_read(&c.in, call->argv[0], &c.errors)) {
        if (to == NULL)
            to = names_sentinel(&c.in) ? "sentineld" : "noded";
        if (strcmp(to, "sentineld") == 0)
            convert_to_sentineld(&c);
        else
            convert_to_noded(&c);
    }
    bool ok = c.errors.n == 0;
    fputs(buf_str(&c.left), stderr);
    fputs(buf_str(&c.errors), stderr);
    if (output_is_document(format))
        print_converted(format, &c, ok ? to : NULL);
    else if (ok)
        fputs(buf_str(&c.out), stdout);
    if (!ok)
        fprintf(stderr, "nodectl config convert: nothing is printed, because of the %s above\n",
                memchr(c.errors.p, '\n', c.errors.n - 1) != NULL ? "errors" : "error");
    convert_free(&c);
    return ok ? EXIT_OK : EXIT_USAGE;
}

static const struct command_option convert_options[] = {
    {"--to", NULL, "PROGRAM", "sentineld or noded; without it the file decides"},
    OUTPUT_OPTION,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_convert = {
    .name = "convert",
    .arguments = "FILE",
    .summary = "Turn a configuration file of Redis into one of sentineld or noded.",
    .text =
        "Prints the new file, and nothing else, on standard output. A file with a 'sentinel' directive becomes a\n"
        "sentineld.conf, any other a noded.conf. A sentinel.conf keeps its id, epochs, and known replicas and "
        "sentinels.\n"
        "Every line that cannot be carried over is named on standard error.\n"
        "\n"
        "Example:\n"
        "  nodectl config convert /etc/redis/sentinel.conf > sentineld.conf\n"
        "\n"
        "Exit status: 0 converted; 2 the file cannot be read or Redis itself would refuse it, or the command line is\n"
        "wrong.",
    .options = convert_options,
    .min_args = 1,
    .max_args = 1,
    .run = convert,
};

static const struct command *const commands[] = {&command_config_check, &command_convert, &command_config_diff, NULL};

const struct command command_config = {
    .name = "config",
    .summary = "Work with configuration files.",
    .commands = commands,
};
