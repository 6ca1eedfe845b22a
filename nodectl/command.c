#include "nodectl/command.h"

#include "common/base/bytes.h"
#include "common/base/text.h"
#include "common/base/version.h"
#include "nodectl/output.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 4
#define NAMES_MAX 64

static struct buf failure; /* what command_fail() and command_fail_lines() have said */

/* The way from the root to a command. */
struct path {
    const struct command *at[DEPTH_MAX + 1];
    size_t n;
};

static const struct command *last(const struct path *p)
{
    return p->at[p->n - 1];
}

static void put_path(FILE *out, const struct path *p)
{
    for (size_t i = 0; i < p->n; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", p->at[i]->name);
}

static size_t option_width(const struct command_option *o)
{
    return strlen(o->name) + (o->letter != NULL ? strlen(o->letter) + 2 : 0) +
           (o->argument != NULL ? strlen(o->argument) + 1 : 0);
}

static void put_options(FILE *out, const struct command_option *options)
{
    size_t width = strlen("-h, --help");
    for (const struct command_option *o = options; o != NULL && o->name != NULL; o++)
        width = option_width(o) > width ? option_width(o) : width;
    fputs("\nOptions:\n", out);
    for (const struct command_option *o = options; o != NULL && o->name != NULL; o++) {
        fprintf(out, "  %s%s%s%s%s", o->letter != NULL ? o->letter : "", o->letter != NULL ? ", " : "", o->name,
                o->argument != NULL ? " " : "", o->argument != NULL ? o->argument : "");
        fprintf(out, "%*s  %s\n", (int)(width - option_width(o)), "", o->help);
    }
    fprintf(out, "  -h, --help%*s  show this text\n", (int)(width - strlen("-h, --help")), "");
}

bool command_is_hidden(const struct command *c)
{
    return c->name[0] == '_';
}

const struct command *command_family(const struct command *root, const struct command *c)
{
    for (size_t i = 0; c->commands == NULL && !command_is_hidden(c) && root->commands[i] != NULL; i++) {
        const struct command *family = root->commands[i];
        for (size_t k = 0; family->commands != NULL && family->commands[k] != NULL; k++)
            if (family->commands[k] == c)
                return family;
    }
    return NULL;
}

static size_t name_width(const struct command *in)
{
    size_t width = 0;
    for (size_t i = 0; in->commands[i] != NULL; i++) {
        size_t n = command_is_hidden(in->commands[i]) ? 0 : strlen(in->commands[i]->name);
        width = n > width ? n : width;
    }
    return width;
}

static void put_short_forms(FILE *out, const struct command *root)
{
    int width = (int)name_width(root);
    const char *title = "\nShort forms:\n";
    for (size_t i = 0; root->commands[i] != NULL; i++) {
        const struct command *c = root->commands[i], *family = command_family(root, c);
        if (family == NULL)
            continue;
        fprintf(out, "%s  %-*s  %s %s\n", title, width, c->name, family->name, c->name);
        title = "";
    }
}

static void put_commands(FILE *out, const struct path *p)
{
    const struct command *const *list = last(p)->commands;
    int width = (int)name_width(last(p));
    fputs("\nCommands:\n", out);
    for (size_t i = 0; list[i] != NULL; i++)
        if (!command_is_hidden(list[i]) && (p->n > 1 || command_family(last(p), list[i]) == NULL))
            fprintf(out, "  %-*s  %s\n", width, list[i]->name, list[i]->summary);
    if (p->n == 1)
        put_short_forms(out, last(p));
    fprintf(out, "\n'%s help", p->at[0]->name);
    for (size_t i = 1; i < p->n; i++)
        fprintf(out, " %s", p->at[i]->name);
    fputs(" COMMAND' tells more about one of them.\n", out);
}

static void put_help(FILE *out, const struct path *p)
{
    const struct command *c = last(p);
    fputs("Usage: ", out);
    put_path(out, p);
    if (c->commands != NULL)
        fputs(" COMMAND", out);
    else if (c->options != NULL)
        fputs(" [OPTIONS]", out);
    if (c->arguments != NULL && *c->arguments != '\0')
        fprintf(out, " %s", c->arguments);
    fprintf(out, "\n\n%s\n", c->summary);
    if (c->commands != NULL)
        put_commands(out, p);
    if (c->text != NULL)
        fprintf(out, "\n%s\n", c->text);
    put_options(out, c->options);
    if (p->n == 1)
        fputs("  --version   show the version\n", out);
}

static const struct command *find(const struct command *c, const char *name)
{
    for (size_t i = 0; c->commands != NULL && c->commands[i] != NULL; i++) {
        if (strcmp(c->commands[i]->name, name) == 0)
            return c->commands[i];
    }
    return NULL;
}

static int see_help(const struct path *p)
{
    fprintf(stderr, "'");
    put_path(stderr, p);
    fprintf(stderr, " --help' shows what it takes.\n");
    return EXIT_USAGE;
}

static int unknown_command(const struct path *p, const char *name)
{
    const char *names[NAMES_MAX] = {NULL};
    size_t n = 0;
    for (const struct command *const *c = last(p)->commands; n < NAMES_MAX && *c != NULL; c++)
        if (!command_is_hidden(*c))
            names[n++] = (*c)->name;
    const char *near = text_nearest(name, names, n);
    fprintf(stderr, "%s: there is no command '%s'", p->at[0]->name, name);
    if (near != NULL)
        fprintf(stderr, " (did you mean '%s'?)", near);
    fputc('\n', stderr);
    return see_help(p);
}

/* The row of an option as written ("--to", "--to=x", "-o"); *attached is what follows "=". -1: unknown. */
static int option_row(const struct command *c, const char *text, const char **attached)
{
    const char *equals = strchr(text, '=');
    size_t n = equals != NULL && text[1] == '-' ? (size_t)(equals - text) : strlen(text);
    *attached = text[n] == '=' ? text + n + 1 : NULL;
    for (int i = 0; c->options != NULL && c->options[i].name != NULL; i++) {
        const struct command_option *o = &c->options[i];
        if ((strlen(o->name) == n && strncmp(o->name, text, n) == 0) ||
            (o->letter != NULL && strcmp(o->letter, text) == 0))
            return i;
    }
    return -1;
}

/* An option before the noun ("nodectl --fleet orders slots show"): how many words it takes, 0: none of the root's.
 * -1: it lacks its argument. */
static int leading_option(const struct command *root, int argc, char **argv)
{
    const char *attached;
    int row = argc > 0 && argv[0][0] == '-' ? option_row(root, argv[0], &attached) : -1;
    if (row < 0)
        return 0;
    if (attached != NULL || root->options[row].argument == NULL)
        return 1;
    return argc > 1 ? 2 : -1;
}

/* Moves them behind the names of the command, where they are parsed as the command's own. Returns how many words they
 * are, or -1. */
static int move_leading(const struct command *root, int argc, char **argv)
{
    int words = 0, names = 0;
    for (int n; (n = leading_option(root, argc - words, argv + words)) != 0; words += n)
        if (n < 0)
            return -1;
    const struct command *c = root;
    while (words > 0 && words + names < argc && argv[words + names][0] != '-' && c != NULL && c->commands != NULL)
        c = find(c, argv[words + names++]); /* an unknown one too: walk() says so */
    for (int i = 0; i < names; i++) {       /* one name after the other to the front; there are four at most */
        char *name = argv[words + i];
        memmove(argv + i + 1, argv + i, (size_t)words * sizeof *argv);
        argv[i] = name;
    }
    return words;
}

/* Goes down the tree by the names in argv; returns how many it used, or -1 when one is unknown. */
static int walk(struct path *p, int argc, char **argv)
{
    int used = 0;
    while (used < argc && last(p)->commands != NULL && argv[used][0] != '-' && p->n <= DEPTH_MAX) {
        const struct command *next = find(last(p), argv[used]);
        if (next == NULL) {
            unknown_command(p, argv[used]);
            return -1;
        }
        p->at[p->n++] = next;
        used++;
    }
    return used;
}

static bool wants(int argc, char **argv, const char *name, const char *letter)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], name) == 0 || (letter != NULL && strcmp(argv[i], letter) == 0))
            return true;
    }
    return false;
}

/* Fills call from argv; the arguments that are not options are moved to the front of argv. */
static int parse(const struct path *p, struct command_call *call, int argc, char **argv)
{
    const struct command *c = call->command;
    bool only_arguments = false;
    call->argv = argv;
    for (int i = 0; i < argc; i++) {
        const char *attached;
        if (only_arguments || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[call->argc++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            only_arguments = true;
            continue;
        }
        int row = option_row(c, argv[i], &attached);
        if (row < 0) {
            fprintf(stderr, "%s: unknown option '%s'\n", p->at[0]->name, argv[i]);
            return see_help(p);
        }
        bool takes = c->options[row].argument != NULL;
        if (takes && attached == NULL && i + 1 < argc)
            attached = argv[++i];
        if (takes != (attached != NULL)) {
            fprintf(stderr, "%s: option '%s' %s\n", p->at[0]->name, c->options[row].name,
                    takes ? "needs an argument" : "takes no argument");
            return see_help(p);
        }
        call->values[row] = takes ? attached : "";
    }
    return EXIT_OK;
}

static void name_call(struct command_call *call, const struct path *p)
{
    for (size_t i = 1, n = 0; i < p->n && n < sizeof call->path; i++)
        n += (size_t)snprintf(call->path + n, sizeof call->path - n, "%s%s", i > 1 ? " " : "", p->at[i]->name);
}

static int run(const struct path *p, int argc, char **argv)
{
    struct command_call call = {.command = last(p)};
    name_call(&call, p);
    int code = parse(p, &call, argc, argv);
    if (code != EXIT_OK)
        return code;
    if (call.argc < call.command->min_args || (call.command->max_args >= 0 && call.argc > call.command->max_args)) {
        fprintf(stderr, "%s: %s; expected: ", p->at[0]->name,
                call.argc < call.command->min_args ? "an argument is missing" : "too many arguments");
        put_path(stderr, p);
        fprintf(stderr, " %s\n", call.command->arguments);
        return see_help(p);
    }
    code = call.command->run(&call);
    if (code != EXIT_OK)
        output_failure(&call, buf_slice(&failure));
    buf_free(&failure);
    return code;
}

static int flushed(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "nodectl: standard output cannot be written\n");
    return code != EXIT_OK ? code : EXIT_FAILED;
}

int command_main(const struct command *root, int argc, char **argv)
{
    struct path p = {.at = {root}, .n = 1};
    bool help = argc > 1 && strcmp(argv[1], "help") == 0;
    int first = help ? 2 : 1;
    int leading = move_leading(root, argc - first, argv + first);
    if (leading < 0) {
        fprintf(stderr, "%s: option '%s' needs an argument\n", root->name, argv[argc - 1]);
        return see_help(&p);
    }
    int used = walk(&p, argc - first, argv + first);
    if (used < 0)
        return EXIT_USAGE;
    first += used;
    if (p.n == 1 && wants(argc - first, argv + first, "--version", NULL)) {
        printf("%s %s\n", root->name, SENTINELD_VERSION);
        return flushed(EXIT_OK);
    }
    if (help || wants(argc - first, argv + first, "--help", "-h")) {
        put_help(stdout, &p);
        return flushed(EXIT_OK);
    }
    if (last(&p)->commands == NULL)
        return flushed(run(&p, argc - first, argv + first));
    if (first < argc && leading == 0) {
        fprintf(stderr, "%s: unknown option '%s'\n", root->name, argv[first]);
        return see_help(&p);
    }
    put_help(stderr, &p);
    return EXIT_USAGE;
}

const char *command_value(const struct command_call *call, const char *option)
{
    for (int i = 0; call->command->options != NULL && call->command->options[i].name != NULL; i++) {
        if (strcmp(call->command->options[i].name, option) == 0)
            return call->values[i];
    }
    return NULL;
}

static void keep(struct slice text)
{
    while (text.n > 0) {
        struct slice line = slice_cut(&text, '\n');
        buf_puts(&failure, failure.n > 0 ? "\n" : "");
        buf_put(&failure, line.p, line.n);
    }
}

void command_fail_lines(const struct command_call *call, struct slice lines)
{
    struct buf head = {0};
    buf_printf(&head, "nodectl %s: ", call->path);
    print_lines(stderr, buf_str(&head), lines);
    buf_free(&head);
    keep(lines);
}

int command_fail(const struct command_call *call, int code, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "nodectl %s: %s\n", call->path, buf_str(&text));
    keep(buf_slice(&text));
    buf_free(&text);
    return code;
}
