#include "sentineld/shell/command.h"

#include <ctype.h>
#include <string.h>

#include "sentineld/shell/client.h"
#include "sentineld/shell/cmd_acl_log.h"

#define NAME_SHOWN 128 /* bytes of a name, and of all arguments, that an error repeats */

const char *const command_categories[] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting",
};
const size_t command_category_count = sizeof command_categories / sizeof command_categories[0];

bool command_in_category(const struct command *row, size_t category)
{
    const char *name = command_categories[category];
    if (strcmp(name, "pubsub") == 0)
        return row->flags & CMD_PUBSUB;
    if (strcmp(name, "admin") == 0)
        return row->flags & (CMD_ADMIN | CMD_ADMIN_ACL);
    if (strcmp(name, "fast") == 0)
        return row->flags & CMD_FAST;
    if (strcmp(name, "slow") == 0)
        return !(row->flags & CMD_FAST);
    if (strcmp(name, "dangerous") == 0)
        return row->flags & (CMD_ADMIN | CMD_ADMIN_ACL | CMD_DANGEROUS);
    if (strcmp(name, "connection") == 0)
        return row->flags & CMD_CONNECTION;
    return false; /* commands on keys: there are none here */
}

const struct command *command_find(const struct command *rows, struct slice name)
{
    for (const struct command *row = rows; row != NULL && row->name != NULL; row++)
        if (slice_ieq(name, row->name))
            return row;
    return NULL;
}

const struct command *command_by_full_name(struct slice name)
{
    struct slice rest = name;
    struct slice first = slice_cut(&rest, '|');
    const struct command *row = command_find(command_table, first);
    if (row == NULL || rest.p == NULL)
        return row;
    return command_find(row->subs, rest);
}

size_t command_count(const struct command *rows)
{
    size_t n = 0;
    while (rows != NULL && rows[n].name != NULL)
        n++;
    return n;
}

bool command_arity_ok(const struct command *row, size_t argc)
{
    return row->arity >= 0 ? argc == (size_t)row->arity : argc >= (size_t)-row->arity;
}

/* The bytes up to a NUL, at most `max`: what a C program would have shown of them. */
static void put_shown(struct buf *out, struct slice s, size_t max)
{
    size_t n = 0;
    while (n < s.n && n < max && s.p[n] != '\0')
        n++;
    buf_put(out, s.p, n);
}

static void unknown_command(const struct slice *argv, size_t argc, struct buf *error)
{
    buf_puts(error, "ERR unknown command '");
    put_shown(error, argv[0], NAME_SHOWN);
    buf_puts(error, "', with args beginning with: ");
    size_t from = error->n;
    for (size_t i = 1; i < argc && error->n - from < NAME_SHOWN; i++) {
        buf_putc(error, '\'');
        put_shown(error, argv[i], NAME_SHOWN - (error->n - 1 - from));
        buf_puts(error, "' ");
    }
}

static void unknown_subcommand(const struct command *parent, struct slice name, struct buf *error)
{
    buf_puts(error, "ERR unknown subcommand '");
    put_shown(error, name, NAME_SHOWN);
    buf_puts(error, "'. Try ");
    for (const char *p = parent->name; *p != '\0'; p++)
        buf_putc(error, (char)toupper((unsigned char)*p));
    buf_puts(error, " HELP.");
}

const struct command *command_resolve(const struct slice *argv, size_t argc, struct buf *error)
{
    const struct command *row = command_find(command_table, argv[0]);
    if (row == NULL) {
        unknown_command(argv, argc, error);
        return NULL;
    }
    if (row->subs != NULL && argc > 1) {
        const struct command *sub = command_find(row->subs, argv[1]);
        if (sub == NULL) {
            unknown_subcommand(row, argv[1], error);
            return NULL;
        }
        row = sub;
    }
    if (!command_arity_ok(row, argc)) {
        buf_printf(error, "ERR wrong number of arguments for '%s' command", row->full);
        return NULL;
    }
    return row;
}

bool command_allowed(const struct command *row, int access)
{
    return access == CONFIG_ACCESS_ALL || (row->flags & CMD_READ);
}

bool command_runs_paused(const struct slice *argv, size_t argc)
{
    const struct command *row = command_find(command_table, argv[0]);
    if (row != NULL && row->subs != NULL && argc > 1)
        row = command_find(row->subs, argv[1]);
    return row != NULL && (row->flags & CMD_UNPAUSED);
}

bool command_channels(const struct command *row, size_t argc, size_t *first, size_t *n)
{
    bool pattern = row->run == cmd_psubscribe;
    bool all = pattern || row->run == cmd_subscribe;
    *first = 1;
    *n = all ? argc - 1 : row->run == cmd_publish ? 1 : 0;
    return pattern;
}

/* A channel of the request that this user may not use; NULL: there is none. */
static const struct slice *denied_channel(const struct call *call, const struct user *user)
{
    size_t first, n;
    bool pattern = command_channels(call->row, call->argc, &first, &n);
    for (size_t i = 0; i < n; i++)
        if (!user_may_hear(user, call->argv[first + i], pattern))
            return &call->argv[first + i];
    return NULL;
}

/* What stands against running it by what the user may do. */
static void check_user(struct call *call, struct buf *error)
{
    const struct user *user = call->c->user;
    const struct command *row = call->row;
    const struct slice *channel;
    if (!user_may_run(user, row)) {
        buf_printf(error, "NOPERM this user has no permissions to run the '%s' command", row->full);
        acl_log_add(call, ACL_DENIED_COMMAND, slice_of(row->full), slice_of(user->name));
    } else if ((channel = denied_channel(call, user)) != NULL) {
        buf_puts(error, "NOPERM this user has no permissions to access one of the channels used as arguments");
        acl_log_add(call, ACL_DENIED_CHANNEL, *channel, slice_of(user->name));
    }
}

/* What stands against running it; empty: nothing. */
static void check(struct call *call, struct buf *error)
{
    const struct client *c = call->c;
    const struct command *row = call->row;
    bool open = row->flags & CMD_NO_AUTH;
    if (!c->authenticated && !open)
        buf_puts(error, "NOAUTH Authentication required.");
    else if (!open)
        check_user(call, error);
    if (error->n > 0)
        return;
    if (c->proto < 3 && client_is_subscriber(c) && !(row->flags & CMD_SUBSCRIBED)) {
        buf_printf(error,
                   "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
                   "in this context",
                   row->full);
    }
}

void command_run(struct call *call)
{
    struct buf error = {0};
    call->row = command_resolve(call->argv, call->argc, &error);
    if (!call->c->authenticated && !clients_need_auth(call->c->all)) /* asked for a password when it connected */
        client_login(call->c, users_default(call->d->users));
    if (call->row != NULL)
        check(call, &error);
    if (error.n > 0) {
        reply_error(call->r, "%s", buf_str(&error));
    } else {
        call->c->last = call->row;
        call->row->run(call);
    }
    buf_free(&error);
}

void command_help(struct call *call, const char *title, const struct command *rows)
{
    struct reply *r = call->r;
    size_t mark = reply_begin(r), lines = 1;
    struct buf line = {0};
    buf_printf(&line, "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", title);
    reply_status(r, buf_str(&line));
    for (const struct command *row = rows; row->name != NULL; row++) {
        buf_clear(&line);
        for (const char *p = row->name; *p != '\0'; p++)
            buf_putc(&line, (char)toupper((unsigned char)*p));
        if (row->syntax[0] != '\0')
            buf_printf(&line, " %s", row->syntax);
        reply_status(r, buf_str(&line));
        buf_clear(&line);
        buf_printf(&line, "    %s.", row->summary);
        reply_status(r, buf_str(&line));
        lines += 2;
    }
    reply_end_array(r, mark, lines);
    buf_free(&line);
}

void command_wrong_arity(struct call *call)
{
    reply_error(call->r, "ERR wrong number of arguments for '%s' command", call->row->full);
}

void command_syntax_error(struct call *call)
{
    reply_error(call->r, "ERR syntax error");
}
