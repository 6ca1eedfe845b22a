/* COMMAND DOCS: what is to be read of a command, and its arguments as its syntax has them. */
#include "noded/cmd/command_row.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/syntax.h"

#include <string.h>

/* ---- arguments ---- */

static bool is_one_of(struct slice name, const char *const *words)
{
    for (; *words != NULL; words++)
        if (slice_is(name, *words))
            return true;
    return false;
}

/* What values of this name are, unless the syntax says otherwise. */
static struct slice usual_type(struct slice name)
{
    static const char *const keys[] = {"key", "newkey", "source", "destination", "destkey",
                                       "src", "dst",    "key1",   "key2",        NULL};
    static const char *const numbers[] = {"seconds",      "milliseconds",
                                          "count",        "offset",
                                          "index",        "start",
                                          "stop",         "end",
                                          "cursor",       "ttl",
                                          "numkeys",      "bit",
                                          "increment",    "decrement",
                                          "num-matches",  "rank",
                                          "len",          "limit",
                                          "client-id",    "protover",
                                          "db",           "port",
                                          "weight",       "destination-db",
                                          "index1",       "index2",
                                          "frequency",    "numreplicas",
                                          "slot",         "start-slot",
                                          "end-slot",     "cluster_bus_port",
                                          "config-epoch", NULL};
    static const char *const doubles[] = {"score", "min", "max", "timeout", NULL};
    static const char *const times[] = {"unix-time-seconds", "unix-time-milliseconds", NULL};
    return slice_of(is_one_of(name, keys)       ? "key"
                    : is_one_of(name, numbers)  ? "integer"
                    : is_one_of(name, doubles)  ? "double"
                    : is_one_of(name, times)    ? "unix-time"
                    : slice_is(name, "pattern") ? "pattern"
                                                : "string");
}

static struct slice type_of(const struct nd_syntax *s)
{
    if (s->kind != ND_SYNTAX_VALUE)
        return slice_of(s->kind == ND_SYNTAX_ONE_OF ? "oneof" : s->kind == ND_SYNTAX_BLOCK ? "block" : "pure-token");
    return s->type.n > 0 ? s->type : usual_type(s->name);
}

/* In small letters; a group without a name has the names of its parts. */
static void put_name(struct buf *out, const struct nd_syntax *s)
{
    for (size_t i = 0; i < s->name.n; i++)
        buf_putc(out, (char)(s->name.p[i] + (s->name.p[i] >= 'A' && s->name.p[i] <= 'Z' ? 'a' - 'A' : 0)));
    for (size_t i = 0; s->name.n == 0 && i < s->n; i++) {
        if (i > 0)
            buf_putc(out, '_');
        put_name(out, &s->parts[i]);
    }
}

static void put_slice(struct nd_call *c, const char *name, struct slice value, size_t *fields)
{
    reply_bulks(c->r, name);
    reply_bulk(c->r, value.p, value.n);
    ++*fields;
}

static void put_flags(struct nd_call *c, const struct nd_syntax *s, size_t *fields)
{
    if (!s->optional && !s->multiple)
        return;
    reply_bulks(c->r, "flags");
    reply_set(c->r, (size_t)s->optional + (size_t)s->multiple + (size_t)s->multiple_token);
    if (s->optional)
        reply_status(c->r, "optional");
    if (s->multiple)
        reply_status(c->r, "multiple");
    if (s->multiple_token)
        reply_status(c->r, "multiple_token");
    ++*fields;
}

/* Keys are those of the command's key specs, one after the other, unless the syntax says otherwise. */
static void put_key_spec(struct nd_call *c, const struct nd_syntax *s, struct slice type, int *next_key, size_t *fields)
{
    if (s->key_spec == 0 && !slice_is(type, "key"))
        return;
    reply_bulks(c->r, "key_spec_index");
    reply_int(c->r, s->key_spec > 0 ? s->key_spec - 1 : (*next_key)++);
    ++*fields;
}

static void put_arguments(struct nd_call *c, const struct nd_syntax *parts, size_t n, int *next_key);

static void put_argument(struct nd_call *c, const struct nd_syntax *s, int *next_key)
{
    struct slice type = type_of(s);
    size_t fields = 0, mark = reply_begin(c->r);
    struct buf name = {0};
    put_name(&name, s);
    put_slice(c, "name", buf_slice(&name), &fields);
    buf_free(&name);
    put_slice(c, "type", type, &fields);
    put_key_spec(c, s, type, next_key, &fields);
    if (s->token.p != NULL)
        put_slice(c, "token", s->token, &fields);
    if (s->since.n > 0)
        put_slice(c, "since", s->since, &fields);
    if (s->deprecated_since.n > 0)
        put_slice(c, "deprecated_since", s->deprecated_since, &fields);
    put_flags(c, s, &fields);
    if (s->n > 0) {
        reply_bulks(c->r, "arguments");
        put_arguments(c, s->parts, s->n, next_key);
        fields++;
    }
    reply_end_map(c->r, mark, fields);
}

static void put_arguments(struct nd_call *c, const struct nd_syntax *parts, size_t n, int *next_key)
{
    reply_array(c->r, n);
    for (size_t i = 0; i < n; i++)
        put_argument(c, &parts[i], next_key);
}

static void put_syntax(struct nd_call *c, const struct nd_command *cmd, size_t *fields)
{
    if (cmd->syntax == NULL || cmd->syntax[0] == '\0')
        return;
    struct nd_syntax *s = nd_syntax_read(cmd->syntax);
    int next_key = 0;
    reply_bulks(c->r, "arguments");
    put_arguments(c, s->parts, s->n, &next_key);
    nd_syntax_free(s);
    ++*fields;
}

/* ---- words ---- */

static void put_text(struct nd_call *c, const char *name, const char *text, size_t *fields)
{
    if (text != NULL && text[0] != '\0')
        put_slice(c, name, slice_of(text), fields);
}

static void put_doc_flags(struct nd_call *c, const struct nd_command_past *past, size_t *fields)
{
    bool deprecated = past->deprecated_since != NULL;
    if (!deprecated && !past->of_system)
        return;
    reply_bulks(c->r, "doc_flags");
    reply_set(c->r, (size_t)deprecated + (size_t)past->of_system);
    if (deprecated)
        reply_status(c->r, "deprecated");
    if (past->of_system)
        reply_status(c->r, "syscmd");
    ++*fields;
}

static void put_changes(struct nd_call *c, const char *changes, size_t *fields)
{
    if (changes == NULL)
        return;
    reply_bulks(c->r, "history");
    size_t n = 0, mark = reply_begin(c->r);
    for (struct slice rest = slice_of(changes); rest.n > 0; n++) {
        struct slice text = slice_trim(slice_cut(&rest, ';')), version = slice_cut(&text, ':');
        text = slice_trim(text);
        reply_array(c->r, 2);
        reply_bulk(c->r, version.p, version.n);
        reply_bulk(c->r, text.p, text.n);
    }
    reply_end_set(c->r, mark, n);
    ++*fields;
}

static void put_past(struct nd_call *c, const struct nd_command *cmd, size_t *fields)
{
    const struct nd_command_past *past = nd_command_past(nd_command_full_name(c->e, cmd));
    if (past == NULL)
        return;
    put_doc_flags(c, past, fields);
    put_text(c, "deprecated_since", past->deprecated_since, fields);
    put_text(c, "replaced_by", past->replaced_by, fields);
    put_changes(c, past->changes, fields);
}

void nd_command_docs(struct nd_call *c, const struct nd_command *cmd)
{
    size_t fields = 0, mark = reply_begin(c->r);
    put_text(c, "summary", cmd->summary, &fields);
    put_text(c, "since", cmd->since, &fields);
    put_text(c, "group", cmd->group, &fields);
    put_text(c, "complexity", cmd->complexity, &fields);
    put_past(c, cmd, &fields);
    put_syntax(c, cmd, &fields);
    if (cmd->subs != NULL) {
        size_t n = 0;
        reply_bulks(c->r, "subcommands");
        size_t inner = reply_begin(c->r);
        for (; cmd->subs[n].name != NULL; n++) {
            reply_bulks(c->r, nd_command_full_name(c->e, &cmd->subs[n]));
            nd_command_docs(c, &cmd->subs[n]);
        }
        reply_end_map(c->r, inner, n);
        fields++;
    }
    reply_end_map(c->r, mark, fields);
}
