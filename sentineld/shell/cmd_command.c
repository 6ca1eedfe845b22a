#include "sentineld/shell/command.h"

#include <string.h>

#include "common/base/text.h"
#include "sentineld/shell/client.h"

static const char *const shown_flags[CMD_SHOWN_FLAGS] = {
    "admin", "pubsub", "noscript", "loading", "stale", "fast", "no_auth", "no_multi", "allow_busy",
};

/* ---- COMMAND INFO ---- */

static void put_flags(struct reply *r, const struct command *row)
{
    size_t n = 0;
    for (int i = 0; i < CMD_SHOWN_FLAGS; i++)
        n += (row->flags >> i) & 1;
    reply_set(r, n);
    for (int i = 0; i < CMD_SHOWN_FLAGS; i++)
        if ((row->flags >> i) & 1)
            reply_status(r, shown_flags[i]);
}

static void put_categories(struct reply *r, const struct command *row)
{
    size_t n = 0;
    for (size_t i = 0; i < command_category_count; i++)
        n += command_in_category(row, i);
    reply_set(r, n);
    char name[32] = "@";
    for (size_t i = 0; i < command_category_count; i++) {
        if (command_in_category(row, i)) {
            strncpy(name + 1, command_categories[i], sizeof name - 2);
            reply_status(r, name);
        }
    }
}

static void put_tips(struct reply *r, const struct command *row)
{
    struct slice rest = slice_of(row->tips);
    size_t n = rest.n > 0;
    for (size_t i = 0; i < rest.n; i++)
        n += rest.p[i] == ' ';
    reply_set(r, n);
    while (rest.n > 0) {
        struct slice tip = slice_cut(&rest, ' ');
        reply_bulk(r, tip.p, tip.n);
    }
}

static void put_info(struct reply *r, const struct command *row)
{
    if (row == NULL) {
        reply_null(r);
        return;
    }
    reply_array(r, 10);
    reply_bulks(r, row->full);
    reply_int(r, row->arity);
    put_flags(r, row);
    for (int i = 0; i < 3; i++)
        reply_int(r, 0); /* first key, last key, step: there are no keys */
    put_categories(r, row);
    put_tips(r, row);
    reply_set(r, 0); /* key specifications */
    if (row->subs == NULL) {
        reply_set(r, 0);
        return;
    }
    reply_array(r, command_count(row->subs));
    for (const struct command *sub = row->subs; sub->name != NULL; sub++)
        put_info(r, sub);
}

void cmd_command(struct call *call)
{
    reply_array(call->r, command_count(command_table));
    for (const struct command *row = command_table; row->name != NULL; row++)
        put_info(call->r, row);
}

void cmd_command_info(struct call *call)
{
    if (call->argc == 2) {
        cmd_command(call);
        return;
    }
    reply_array(call->r, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++)
        put_info(call->r, command_by_full_name(call->argv[i]));
}

/* ---- COMMAND DOCS ---- */

static void put_docs(struct reply *r, const struct command *row)
{
    reply_bulks(r, row->full);
    reply_map(r, row->subs != NULL ? 5 : 4);
    reply_bulks(r, "summary");
    reply_bulks(r, row->summary);
    reply_bulks(r, "since");
    reply_bulks(r, row->since);
    reply_bulks(r, "group");
    reply_bulks(r, row->group);
    reply_bulks(r, "complexity");
    reply_bulks(r, row->complexity);
    if (row->subs == NULL)
        return;
    reply_bulks(r, "subcommands");
    reply_map(r, command_count(row->subs));
    for (const struct command *sub = row->subs; sub->name != NULL; sub++)
        put_docs(r, sub);
}

void cmd_command_docs(struct call *call)
{
    struct reply *r = call->r;
    size_t mark = reply_begin(r), n = 0;
    for (const struct command *row = command_table; call->argc == 2 && row->name != NULL; row++, n++)
        put_docs(r, row);
    for (size_t i = 2; i < call->argc; i++) {
        const struct command *row = command_by_full_name(call->argv[i]);
        if (row == NULL)
            continue; /* what is not known has no documents, and that is no error */
        put_docs(r, row);
        n++;
    }
    reply_end_map(r, mark, n);
}

/* ---- COMMAND LIST, COUNT, GETKEYS ---- */

struct list_filter {
    size_t category;
    bool by_category, by_pattern, none;
    struct slice pattern;
};

static size_t list_rows(struct reply *r, const struct command *rows, const struct list_filter *f)
{
    size_t n = 0;
    for (const struct command *row = rows; row != NULL && row->name != NULL; row++) {
        bool fits = !f->none && (!f->by_category || command_in_category(row, f->category)) &&
                    (!f->by_pattern || text_glob(f->pattern, slice_of(row->full), true));
        if (fits) {
            reply_bulks(r, row->full);
            n++;
        }
        n += list_rows(r, row->subs, f);
    }
    return n;
}

static void filter_by_category(struct list_filter *f, struct slice name)
{
    f->by_category = f->none = true;
    for (size_t i = 0; i < command_category_count; i++) {
        if (slice_ieq(name, command_categories[i])) {
            f->category = i;
            f->none = false;
        }
    }
}

void cmd_command_list(struct call *call)
{
    struct list_filter f = {.none = false};
    if (call->argc == 5 && slice_ieq(call->argv[2], "filterby")) {
        if (slice_ieq(call->argv[3], "aclcat")) {
            filter_by_category(&f, call->argv[4]);
        } else if (slice_ieq(call->argv[3], "pattern")) {
            f.by_pattern = true;
            f.pattern = call->argv[4];
        } else if (slice_ieq(call->argv[3], "module")) {
            f.none = true; /* there are no modules */
        } else {
            command_syntax_error(call);
            return;
        }
    } else if (call->argc != 2) {
        command_syntax_error(call);
        return;
    }
    size_t mark = reply_begin(call->r);
    size_t n = list_rows(call->r, command_table, &f);
    reply_end_array(call->r, mark, n);
}

void cmd_command_count(struct call *call)
{
    reply_int(call->r, (int64_t)command_count(command_table));
}

void cmd_command_getkeys(struct call *call)
{
    const struct command *row = command_find(command_table, call->argv[2]);
    if (row != NULL && row->subs != NULL)
        row = command_find(row->subs, call->argv[3]);
    if (row == NULL)
        reply_error(call->r, "ERR Invalid command specified");
    else
        reply_error(call->r, "ERR The command has no key arguments");
}

void cmd_command_help(struct call *call)
{
    command_help(call, "COMMAND", command_table_command);
}
