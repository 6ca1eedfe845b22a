#include "nodectl/help/complete.h"

#include "common/base/mem.h"
#include "nodectl/drill/kinds.h"

#include <stdlib.h>
#include <string.h>

/* What stands for an argument in the help, and what it means there. Alternatives ("on|off") need no row. */
static const struct {
    const char *name;
    enum complete_kind kind;
    const char *words; /* separated by '|' */
} meanings[] = {
    {"PATH", COMPLETE_FILES, NULL},         {"BACKUP", COMPLETE_FOLDERS, NULL},
    {"FILE", COMPLETE_FILES, NULL},         {"DIR", COMPLETE_FOLDERS, NULL},
    {"DIRECTORY", COMPLETE_FOLDERS, NULL},  {"FLEET", COMPLETE_FLEETS, NULL},
    {"GROUP", COMPLETE_GROUPS, NULL},       {"SHARD", COMPLETE_GROUPS, NULL},
    {"NODE", COMPLETE_NODES, NULL},         {"PROGRAM", COMPLETE_WORDS, "sentineld|noded"},
    {"DRILL", COMPLETE_WORDS, DRILL_WORDS},
};

/* As far as the words before the last one lead. */
struct way {
    const struct command *root, *at;
    const struct command_option *pending; /* the option whose argument comes next */
    int arguments;
    bool only_arguments, help, lost; /* lost: a word is no command, so nothing can be said */
};

static bool begins(struct slice word, struct slice with)
{
    return word.n >= with.n && (with.n == 0 || memcmp(word.p, with.p, with.n) == 0);
}

/* Blanks and quotes would need quoting of a kind that each shell has differently. */
static bool is_plain(struct slice word)
{
    static const char special[] = "'\"\\`$&|;<>()*?[]{}!#~";
    for (size_t i = 0; i < word.n; i++) {
        unsigned char c = (unsigned char)word.p[i];
        if (c <= ' ' || c >= 0x7f || strchr(special, c) != NULL)
            return false;
    }
    return word.n > 0;
}

void complete_offer(struct complete *c, struct slice word, const char *description)
{
    if (!is_plain(word) || !begins(word, c->begun))
        return;
    buf_put(&c->lines, c->head.p, c->head.n);
    buf_put(&c->lines, word.p, word.n);
    buf_printf(&c->lines, "\t%s\n", description);
}

static void offer_each(struct complete *c, struct slice words)
{
    while (words.n > 0)
        complete_offer(c, slice_cut(&words, '|'), "");
}

/* meant: as the help names it: "FILE", "SHARD", "on|off". */
static void offer_meant(struct complete *c, struct slice meant)
{
    if (memchr(meant.p, '|', meant.n) != NULL && meant.p[0] >= 'a' && meant.p[0] <= 'z') {
        offer_each(c, meant);
        return;
    }
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (!slice_is(meant, meanings[i].name))
            continue;
        c->kind = meanings[i].kind;
        offer_each(c, slice_of(meanings[i].words));
    }
}

static void offer_value(struct complete *c, const struct command_option *o)
{
    if (strcmp(o->name, "--fleet") == 0)
        c->kind = COMPLETE_FLEETS;
    else if (strcmp(o->name, "--output") == 0)
        offer_each(c, slice_of("table|wide|json|yaml"));
    else
        offer_meant(c, slice_of(o->argument));
}

/* The argument of that number in "GROUP [EPOCH|EVENT]"; one that may be repeated ("[NODE...]") is all that follow. */
static struct slice argument_at(const char *arguments, int number)
{
    struct slice rest = slice_of(arguments), found = {NULL, 0};
    for (int i = 0; rest.n > 0 && i <= number; i++) {
        found = slice_cut(&rest, ' ');
        while (found.n > 0 && *found.p == '[') {
            found.p++;
            found.n--;
        }
        bool repeated = false;
        while (found.n > 0 && (found.p[found.n - 1] == ']' || found.p[found.n - 1] == '.')) {
            repeated |= found.p[found.n - 1] == '.';
            found.n--;
        }
        if (repeated)
            return found;
        if (rest.n == 0 && i < number)
            return (struct slice){NULL, 0};
    }
    return found;
}

static const struct command *find_command(const struct command *in, const char *name)
{
    for (size_t i = 0; in->commands != NULL && in->commands[i] != NULL; i++)
        if (strcmp(in->commands[i]->name, name) == 0)
            return in->commands[i];
    return NULL;
}

/* name: "--to" or "-o". Before the noun those of the root count. */
static const struct command_option *find_option(const struct command_option *o, struct slice name)
{
    for (; o != NULL && o->name != NULL; o++)
        if (slice_is(name, o->name) || (o->letter != NULL && slice_is(name, o->letter)))
            return o;
    return NULL;
}

static void remember(struct complete *c, const struct command_option *o, const char *value)
{
    if (strcmp(o->name, "--fleet") == 0)
        c->fleet = value;
    else if (strcmp(o->name, "--supervisor") == 0)
        c->supervisor = value;
    else if (strcmp(o->name, "--config") == 0)
        c->config = value;
}

static void take_option(struct complete *c, struct way *w, const char *word)
{
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    struct slice name = {word, equals != NULL ? (size_t)(equals - word) : strlen(word)};
    const struct command_option *o = find_option(w->at->options, name);
    if (o == NULL || o->argument == NULL)
        return;
    if (equals != NULL)
        remember(c, o, equals + 1);
    else
        w->pending = o;
}

static void take(struct complete *c, struct way *w, const char *word, bool first)
{
    if (w->pending != NULL) {
        remember(c, w->pending, word);
        w->pending = NULL;
    } else if (!w->only_arguments && strcmp(word, "--") == 0) {
        w->only_arguments = true;
    } else if (!w->only_arguments && word[0] == '-' && word[1] != '\0') {
        take_option(c, w, word);
    } else if (first && strcmp(word, "help") == 0) {
        w->help = true;
    } else if (w->at->commands != NULL) {
        const struct command *next = find_command(w->at, word);
        w->lost |= next == NULL;
        w->at = next != NULL ? next : w->at;
    } else {
        w->arguments++;
    }
}

static void offer_options(struct complete *c, const struct way *w)
{
    for (const struct command_option *o = w->at->options; o != NULL && o->name != NULL; o++)
        complete_offer(c, slice_of(o->name), o->help);
    complete_offer(c, slice_of("--help"), "show what it takes");
}

static void offer_commands(struct complete *c, const struct way *w)
{
    for (size_t i = 0; w->at->commands[i] != NULL; i++)
        if (!command_is_hidden(w->at->commands[i]))
            complete_offer(c, slice_of(w->at->commands[i]->name), w->at->commands[i]->summary);
    if (w->at == w->root && !w->help)
        complete_offer(c, slice_of("help"), "Tell more about a command.");
}

static void offer_last(struct complete *c, const struct way *w, const char *last)
{
    const char *equals = last[0] == '-' && last[1] == '-' ? strchr(last, '=') : NULL;
    c->begun = slice_of(last);
    if (w->pending != NULL) {
        offer_value(c, w->pending);
    } else if (equals != NULL && !w->only_arguments) {
        c->head = (struct slice){last, (size_t)(equals - last) + 1};
        c->begun = slice_of(equals + 1);
        const struct command_option *o = find_option(w->at->options, (struct slice){last, (size_t)(equals - last)});
        if (o != NULL && o->argument != NULL)
            offer_value(c, o);
    } else if (last[0] == '-' && !w->only_arguments) {
        offer_options(c, w);
    } else if (w->at->commands != NULL) {
        offer_commands(c, w);
    } else if (!w->help) {
        struct slice meant = argument_at(w->at->arguments, w->arguments);
        if (meant.n > 0)
            offer_meant(c, meant);
    }
}

void complete_find(struct complete *c, const struct command *root, int n, const char *const *words)
{
    struct way w = {.root = root, .at = root};
    *c = (struct complete){.kind = COMPLETE_WORDS};
    for (int i = 0; i + 1 < n; i++)
        take(c, &w, words[i], i == 0);
    if (!w.lost)
        offer_last(c, &w, n > 0 ? words[n - 1] : "");
}

void complete_free(struct complete *c)
{
    buf_free(&c->lines);
}
