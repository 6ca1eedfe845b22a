/* nodectl db scan: the keys of a database over all masters, printed as they come. */
#include "nodectl/db/about.h"
#include "nodectl/db/verbs.h"
#include "nodectl/db/walk.h"

#include "common/base/text.h"
#include "nodectl/interrupt.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COUNT 1000
#define PIECE_BYTES ((size_t)65536)

struct scan {
    const struct command_call *call;
    struct asking asking;
    struct picture picture;
    struct walk walk;
    int64_t limit; /* 0: none */
    struct buf out;
    bool pipe_closed;
};

static bool flush(struct scan *s)
{
    if (s->out.n > 0 && fwrite(s->out.p, 1, s->out.n, stdout) != s->out.n)
        s->pipe_closed = true;
    buf_clear(&s->out);
    return !s->pipe_closed;
}

static bool on_key(void *owner, struct slice key, struct buf *why)
{
    struct scan *s = owner;
    (void)why;
    switch (s->asking.format) {
    case OUTPUT_JSON:
        buf_puts(&s->out, s->walk.keys > 1 ? ",\n    {" : "\n    {");
        about_put_key_json(&s->out, key);
        buf_putc(&s->out, '}');
        break;
    case OUTPUT_YAML: /* what JSON writes in quotes is YAML too */
        buf_puts(&s->out, s->walk.keys > 1 ? "\n- " : "\nkeys:\n- ");
        about_put_key_json(&s->out, key);
        break;
    default: about_put_key(&s->out, key); buf_putc(&s->out, '\n');
    }
    bool go_on = s->out.n < PIECE_BYTES || flush(s);
    return go_on && (s->limit == 0 || s->walk.keys < s->limit);
}

static void put_head(struct scan *s)
{
    output_begins();
    if (s->asking.format == OUTPUT_JSON)
        buf_printf(&s->out, "{\n  \"database\": %" PRId64 ",\n  \"keys\": [", s->walk.db);
    else if (s->asking.format == OUTPUT_YAML)
        buf_printf(&s->out, "database: %" PRId64, s->walk.db);
}

static void put_tail(struct scan *s, const struct buf *failure)
{
    json_t *text = failure->n > 0 ? json_text(failure->p, failure->n) : json_null();
    char *why = json_dumps(text, JSON_ENCODE_ANY);
    if (s->asking.format == OUTPUT_JSON)
        buf_printf(&s->out, "%s],\n  \"count\": %" PRId64 ",\n  \"ok\": %s,\n  \"failure\": %s\n}\n",
                   s->walk.keys > 0 ? "\n  " : "", s->walk.keys, failure->n > 0 ? "false" : "true", why);
    else if (s->asking.format == OUTPUT_YAML)
        buf_printf(&s->out, "%s\ncount: %" PRId64 "\nok: %s\nfailure: %s\n", s->walk.keys > 0 ? "" : "\nkeys: []",
                   s->walk.keys, failure->n > 0 ? "false" : "true", why);
    free(why);
    json_decref(text);
}

static int perform(struct scan *s)
{
    struct buf failure = {0};
    put_head(s);
    if (about_reachable(&s->picture, s->walk.db, &failure)) {
        bool whole = walk_run(&s->walk);
        buf_put(&failure, s->walk.error.p, s->walk.error.n);
        if (!whole && failure.n == 0 && interrupted())
            buf_printf(&failure, "interrupted after %" PRId64 " keys", s->walk.keys);
        if (failure.n == 0 && s->walk.unowned > 0)
            buf_printf(&failure, "%zu slots have no owner, so their keys are not among these", s->walk.unowned);
    }
    put_tail(s, &failure);
    flush(s);
    fflush(stdout);
    int code = failure.n > 0 ? EXIT_FAILED : EXIT_OK;
    if (failure.n > 0)
        command_fail_lines(s->call, buf_slice(&failure));
    buf_free(&failure);
    return code == EXIT_FAILED && interrupted() ? EXIT_INTERRUPTED : code;
}

/* A node answers nothing at all of a type that it does not know. Those of modules have nine letters. */
static bool is_type(const char *text)
{
    static const char *const types[] = {"string", "list", "set", "zset", "hash", "stream"};
    size_t i = 0;
    while (i < sizeof types / sizeof *types && strcasecmp(text, types[i]) != 0)
        i++;
    return i < sizeof types / sizeof *types || strlen(text) == 9;
}

static int read_options(struct scan *s)
{
    const struct command_call *call = s->call;
    const char *count = command_value(call, "--count"), *limit = command_value(call, "--limit");
    s->walk = (struct walk){.picture = &s->picture,
                            .match = command_value(call, "--match"),
                            .type = command_value(call, "--type"),
                            .count = COUNT,
                            .key = on_key,
                            .owner = s};
    if (s->walk.type != NULL && !is_type(s->walk.type))
        return command_fail(call, EXIT_USAGE,
                            "--type is '%s', but must be string, list, set, zset, hash, stream, or the nine letters of "
                            "a module's type",
                            s->walk.type);
    if (count != NULL && !text_range(slice_of(count), 1, 1000000, &s->walk.count))
        return command_fail(call, EXIT_USAGE, "--count is '%s', but must be a number from 1 to 1000000", count);
    if (limit != NULL && !text_range(slice_of(limit), 1, INT64_MAX, &s->limit))
        return command_fail(call, EXIT_USAGE, "--limit is '%s', but must be a number above 0", limit);
    return about_database(call, call->argv[0], &s->walk.db);
}

int db_scan(const struct command_call *call)
{
    struct scan s = {.call = call};
    int code = asking_read_nodes(call, &s.asking);
    if (code == EXIT_OK)
        code = read_options(&s);
    if (code == EXIT_OK) {
        code = about_look(call, &s.asking, &s.picture);
        interrupt_catch();
        if (code == EXIT_OK)
            code = perform(&s);
        picture_free(&s.picture);
    }
    buf_free(&s.walk.error);
    buf_free(&s.out);
    asking_free(&s.asking);
    return code;
}
