#include "sentineld/shell/command.h"

#include <string.h>
#include <sys/random.h>

#include "common/base/text.h"
#include "sentineld/shell/client.h"

#define GENPASS_BITS 256
#define GENPASS_BITS_MAX 4096

void cmd_acl_whoami(struct call *call)
{
    reply_bulks(call->r, call->c->user->name);
}

static size_t list_category(struct reply *r, const struct command *rows, size_t category)
{
    size_t n = 0;
    for (const struct command *row = rows; row != NULL && row->name != NULL; row++) {
        if (command_in_category(row, category)) {
            reply_bulks(r, row->full);
            n++;
        }
        n += list_category(r, row->subs, category);
    }
    return n;
}

/* Stock's answer to a wrong number of words where the row's arity leaves room for more. */
static void wrong_words(struct call *call)
{
    reply_error(call->r, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try ACL HELP.",
                (int)(call->argv[1].n < 128 ? call->argv[1].n : 128), call->argv[1].p);
}

void cmd_acl_cat(struct call *call)
{
    if (call->argc > 3) {
        wrong_words(call);
        return;
    }
    if (call->argc == 2) {
        reply_array(call->r, command_category_count);
        for (size_t i = 0; i < command_category_count; i++)
            reply_bulks(call->r, command_categories[i]);
        return;
    }
    for (size_t i = 0; i < command_category_count; i++) {
        if (slice_ieq(call->argv[2], command_categories[i])) {
            size_t mark = reply_begin(call->r);
            size_t n = list_category(call->r, command_table, i);
            reply_end_array(call->r, mark, n);
            return;
        }
    }
    reply_error(call->r, "ERR Unknown category '%.*s'", (int)(call->argv[2].n < 128 ? call->argv[2].n : 128),
                call->argv[2].p);
}

void cmd_acl_genpass(struct call *call)
{
    int64_t bits = GENPASS_BITS;
    if (call->argc > 3) {
        wrong_words(call);
        return;
    }
    if (call->argc == 3 && !text_i64(call->argv[2], &bits)) {
        reply_error(call->r, "ERR value is not an integer or out of range");
        return;
    }
    if (bits <= 0 || bits > GENPASS_BITS_MAX) {
        reply_error(call->r,
                    "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up "
                    "to %d",
                    GENPASS_BITS_MAX);
        return;
    }
    unsigned char random[GENPASS_BITS_MAX / 8] = {0};
    char text[GENPASS_BITS_MAX / 4];
    size_t digits = (size_t)(bits + 3) / 4, wanted = (digits + 1) / 2;
    for (size_t got = 0; got < wanted;) {
        ssize_t n = getrandom(random + got, wanted - got, 0);
        if (n > 0)
            got += (size_t)n;
    }
    for (size_t i = 0; i < digits; i++)
        text[i] = "0123456789abcdef"[random[i / 2] >> (i % 2 * 4) & 15];
    reply_bulk(call->r, text, digits);
}

/* The rights of a user, tried on a request that is not run. */
static void try_request(struct call *call, const struct user *user, const struct command *row)
{
    size_t first, n;
    bool pattern = command_channels(row, call->argc - 3, &first, &n);
    if (!user_may_run(user, row)) {
        reply_bulkf(call->r, "This user has no permissions to run the '%s' command", row->full);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct slice channel = call->argv[3 + first + i];
        if (!user_may_hear(user, channel, pattern)) {
            reply_bulkf(call->r, "This user has no permissions to access the '%.*s' channel",
                        (int)(channel.n < 128 ? channel.n : 128), channel.p);
            return;
        }
    }
    reply_status(call->r, "OK");
}

void cmd_acl_dryrun(struct call *call)
{
    struct slice name = call->argv[2], word = call->argv[3];
    const struct user *user = users_find(call->d->users, name);
    if (user == NULL) {
        reply_error(call->r, "ERR User '%.*s' not found", (int)(name.n < 128 ? name.n : 128), name.p);
        return;
    }
    const struct command *row = command_find(command_table, word);
    if (row != NULL && row->subs != NULL && call->argc > 4)
        row = command_find(row->subs, call->argv[4]);
    if (row == NULL)
        reply_error(call->r, "ERR Command '%.*s' not found", (int)(word.n < 128 ? word.n : 128), word.p);
    else if (!command_arity_ok(row, call->argc - 3))
        reply_error(call->r, "ERR wrong number of arguments for '%s' command", row->full);
    else
        try_request(call, user, row);
}

void cmd_acl_no_file(struct call *call)
{
    reply_error(
        call->r,
        "ERR There is no ACL file: users stand under `users` in %s, and what ACL SETUSER changes is kept in the "
        "state directory",
        call->d->config_path);
}

void cmd_acl_help(struct call *call)
{
    command_help(call, "ACL", command_table_acl);
}
