#include "nodectl/help/man.h"

#include "common/base/version.h"

#include <ctype.h>
#include <string.h>

/* ---- text ---- */

/* Nothing in it is obeyed by the formatter. A hyphen stays one that can be searched and copied. */
static void put_text(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\')
            buf_puts(out, "\\(rs");
        else if (text.p[i] == '-')
            buf_puts(out, "\\-");
        else
            buf_putc(out, text.p[i]);
    }
}

static void put_line(struct buf *out, struct slice text)
{
    if (text.n > 0 && (*text.p == '.' || *text.p == '\''))
        buf_puts(out, "\\&");
    put_text(out, text);
    buf_putc(out, '\n');
}

static void put_bold(struct buf *out, const char *text)
{
    buf_puts(out, "\\fB");
    put_text(out, slice_of(text));
    buf_puts(out, "\\fR");
}

/* Words in capitals are what the reader fills in. */
static void put_arguments(struct buf *out, const char *text)
{
    for (const char *p = text; *p != '\0';) {
        size_t n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (n > 0) {
            buf_printf(out, "\\fI%.*s\\fR", (int)n, p);
            p += n;
        } else {
            put_text(out, (struct slice){p++, 1});
        }
    }
}

static void put_capitals(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        buf_putc(out, (char)toupper((unsigned char)text.p[i]));
}

static bool is_indented(struct slice line)
{
    return line.n > 0 && *line.p == ' ';
}

/* A paragraph: lines that are filled; lines that are indented stay as they are. One whose first line ends with a colon
 * and whose others are all indented has a title, which is a section in the page of the program. */
static void put_paragraph(struct buf *out, struct slice text, bool sections)
{
    struct slice rest = text, first = slice_cut(&rest, '\n');
    bool titled = first.n > 1 && first.p[first.n - 1] == ':' && is_indented(rest);
    bool verbatim = false;
    for (struct slice r = rest; titled && r.n > 0;)
        titled = is_indented(slice_cut(&r, '\n'));
    if (titled && sections) {
        buf_puts(out, ".SH \"");
        put_capitals(out, (struct slice){first.p, first.n - 1});
        buf_puts(out, "\"\n");
        text = rest;
    } else {
        buf_puts(out, ".PP\n");
    }
    while (text.n > 0) {
        struct slice line = slice_cut(&text, '\n');
        if (is_indented(line) != verbatim) {
            buf_puts(out, verbatim ? ".fi\n" : ".nf\n");
            verbatim = !verbatim;
        }
        put_line(out, line);
    }
    if (verbatim)
        buf_puts(out, ".fi\n");
}

/* Paragraphs are separated by an empty line. `without` is a part of it that is told elsewhere. */
static void put_paragraphs(struct buf *out, const char *text, const char *without, bool sections)
{
    struct buf all = {0};
    const char *found = without != NULL ? strstr(text, without) : NULL;
    if (found != NULL) {
        buf_put(&all, text, (size_t)(found - text));
        buf_puts(&all, "\n");
        text = found + strlen(without);
    }
    buf_puts(&all, text);
    struct slice rest = buf_slice(&all), line;
    const char *begin = NULL, *end = NULL;
    while (rest.n > 0) {
        line = slice_cut(&rest, '\n');
        if (line.n > 0) {
            begin = begin != NULL ? begin : line.p;
            end = line.p + line.n;
        }
        if (begin != NULL && (line.n == 0 || rest.n == 0)) {
            put_paragraph(out, (struct slice){begin, (size_t)(end - begin)}, sections);
            begin = NULL;
        }
    }
    buf_free(&all);
}

/* ---- commands ---- */

static bool is_shared(const struct command_option *o, const struct man_shared *shared)
{
    for (const struct command_option *s = shared->options; s != NULL && s->name != NULL; s++)
        if (strcmp(s->name, o->name) == 0 && strcmp(s->help, o->help) == 0)
            return true;
    return false;
}

static void put_option(struct buf *out, const struct command_option *o)
{
    buf_puts(out, ".TP\n");
    if (o->letter != NULL) {
        put_bold(out, o->letter);
        buf_puts(out, ", ");
    }
    put_bold(out, o->name);
    if (o->argument != NULL) {
        buf_putc(out, ' ');
        put_arguments(out, o->argument);
    }
    buf_putc(out, '\n');
    put_line(out, slice_of(o->help));
}

static void put_options(struct buf *out, const struct command *c, const struct man_shared *shared)
{
    size_t told_elsewhere = 0;
    for (const struct command_option *o = c->options; o != NULL && o->name != NULL; o++) {
        if (is_shared(o, shared))
            told_elsewhere++;
        else
            put_option(out, o);
    }
    if (told_elsewhere == 0)
        return;
    buf_puts(out, ".PP\nAs described in\n.BR nodectl (1):\n");
    for (const struct command_option *o = c->options; o->name != NULL; o++) {
        if (!is_shared(o, shared))
            continue;
        put_bold(out, o->name);
        buf_puts(out, --told_elsewhere > 0 ? ",\n" : ".\n");
    }
}

/* path: the words before its name. */
static void put_usage(struct buf *out, const char *path, const struct command *c)
{
    struct buf words = {0};
    buf_printf(&words, "%s %s", path, c->name);
    put_bold(out, buf_str(&words));
    buf_free(&words);
    if (c->commands != NULL)
        buf_puts(out, " \\fICOMMAND\\fR");
    if (c->options != NULL)
        buf_puts(out, " [\\fIOPTIONS\\fR]");
    if (c->arguments != NULL && *c->arguments != '\0') {
        buf_putc(out, ' ');
        put_arguments(out, c->arguments);
    }
    buf_putc(out, '\n');
}

static void put_body(struct buf *out, const struct command *c, const struct man_shared *shared)
{
    put_line(out, slice_of(c->summary));
    if (c->text != NULL)
        put_paragraphs(out, c->text, shared->text, false);
    put_options(out, c, shared);
}

static void put_title(struct buf *out, const char *name, const char *what)
{
    buf_puts(out, ".TH ");
    put_capitals(out, slice_of(name));
    buf_printf(out, " 1 \"\" \"sentineld %s\" \"User Commands\"\n.SH NAME\n", SENTINELD_VERSION);
    put_text(out, slice_of(name));
    struct slice end = slice_of(what);
    if (end.n > 0 && end.p[end.n - 1] == '.')
        end.n--;
    buf_puts(out, " \\- ");
    put_line(out, end);
    buf_puts(out, ".SH SYNOPSIS\n");
}

static void put_verbs(struct buf *out, const char *path, const struct command *c, const struct man_shared *shared)
{
    for (size_t i = 0; c->commands[i] != NULL; i++) {
        if (command_is_hidden(c->commands[i]))
            continue;
        buf_puts(out, ".SS ");
        put_usage(out, path, c->commands[i]);
        put_body(out, c->commands[i], shared);
    }
}

void man_command(struct buf *out, const struct command *root, const struct command *c, const struct man_shared *shared)
{
    struct buf name = {0}, path = {0};
    buf_printf(&name, "%s-%s", root->name, c->name);
    buf_printf(&path, "%s %s", root->name, c->name);
    put_title(out, buf_str(&name), c->summary);
    if (c->commands == NULL)
        put_usage(out, root->name, c);
    for (size_t i = 0; c->commands != NULL && c->commands[i] != NULL; i++) {
        if (!command_is_hidden(c->commands[i])) {
            put_usage(out, buf_str(&path), c->commands[i]);
            buf_puts(out, ".br\n");
        }
    }
    buf_puts(out, ".SH DESCRIPTION\n");
    put_body(out, c, shared);
    if (c->commands != NULL) {
        buf_puts(out, ".SH COMMANDS\n");
        put_verbs(out, buf_str(&path), c, shared);
    }
    buf_printf(out, ".SH \"SEE ALSO\"\n.BR %s (1),\n.BR sentineld (8)\n", root->name);
    buf_free(&name);
    buf_free(&path);
}

/* ---- the program ---- */

static void put_family(struct buf *out, const struct command *root, const struct command *c)
{
    buf_printf(out, ".TP\n.BR %s\\-%s (1)\n", root->name, c->name);
    put_line(out, slice_of(c->summary));
    for (size_t i = 0; c->commands != NULL && c->commands[i] != NULL; i++) {
        if (command_is_hidden(c->commands[i]))
            continue;
        buf_puts(out, ".br\n");
        put_bold(out, c->name);
        buf_putc(out, ' ');
        put_bold(out, c->commands[i]->name);
        buf_puts(out, ": ");
        put_line(out, slice_of(c->commands[i]->summary));
    }
}

static void put_short_forms(struct buf *out, const struct command *root)
{
    buf_puts(out, ".SH \"SHORT FORMS\"\n");
    for (size_t i = 0; root->commands[i] != NULL; i++) {
        const struct command *family = command_family(root, root->commands[i]);
        if (family == NULL)
            continue;
        buf_printf(out, ".TP\n.B %s %s\n%s %s %s, see\n.BR %s\\-%s (1)\n", root->name, root->commands[i]->name,
                   root->name, family->name, root->commands[i]->name, root->name, family->name);
    }
}

void man_program(struct buf *out, const struct command *root, const struct man_shared *shared)
{
    put_title(out, root->name, root->summary);
    buf_printf(out,
               "\\fB%s\\fR [\\fB\\-\\-fleet\\fR \\fINAME\\fR] \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n"
               ".br\n\\fB%s help\\fR [\\fICOMMAND\\fR...]\n.br\n\\fB%s \\-\\-version\\fR\n.SH DESCRIPTION\n",
               root->name, root->name, root->name);
    put_line(out, slice_of(root->summary));
    if (shared->text != NULL)
        put_paragraphs(out, shared->text, NULL, false);
    buf_puts(out, ".SH COMMANDS\n");
    for (size_t i = 0; root->commands[i] != NULL; i++)
        if (!command_is_hidden(root->commands[i]) && command_family(root, root->commands[i]) == NULL)
            put_family(out, root, root->commands[i]);
    put_short_forms(out, root);
    buf_puts(out, ".SH OPTIONS\nOf every command that asks supervisors or nodes, or changes something, as its help "
                  "says:\n");
    for (const struct command_option *o = shared->options; o != NULL && o->name != NULL; o++)
        put_option(out, o);
    buf_puts(out, ".PP\nOf every command:\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nshow what the command takes\n");
    if (root->text != NULL)
        put_paragraphs(out, root->text, NULL, true);
    buf_puts(out, ".SH \"SEE ALSO\"\n.BR sentineld (8),\n.BR sentineld.conf (5),\n.BR noded (1)\n");
}
