/* nodectl events: what one supervisor published, by number, and with --follow what it goes on to publish. */
#include "nodectl/tree.h"

#include "common/base/text.h"
#include "nodectl/asking.h"
#include "nodectl/interrupt.h"
#include "nodectl/past.h"
#include "nodectl/table.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PAGE "1000"
#define LAST_DEFAULT 50 /* shown when neither --since nor --follow is given */
#define POLL_MS 200
#define RETRY_MS 500

struct following {
    const struct command_call *call;
    struct asking s;
    const char *group; /* NULL: all */
    struct addr at;    /* the supervisor whose numbers these are */
    struct fleet fleet;
    struct fleet_member *m;
    int64_t since;
    json_t *events; /* those of one document; NULL with --follow: each is printed as it comes */
    bool told_lost;
    bool broken_pipe;
};

static void print_event(const json_t *e)
{
    char when[WALL_TEXT_MAX];
    printf("%" PRId64 "  %s  ", json_int(e, "number", 0), wall_text(json_int(e, "wall_ms", 0), when));
    print_painted(stdout, false, PAINT_NONE, json_word(e, "event"));
    fputc(' ', stdout);
    print_painted(stdout, false, PAINT_NONE, json_word(e, "text"));
    fputc('\n', stdout);
}

static void show_event(struct following *f, json_t *e)
{
    if (f->events != NULL)
        json_array_append(f->events, e);
    else if (f->s.document)
        output_document_of_many(f->s.format, e);
    else
        print_event(e);
}

static void disconnect(struct following *f)
{
    if (f->m != NULL)
        fleet_free(&f->fleet);
    f->m = NULL;
}

/* One question and its answer, which belongs to the fleet until the next one; NULL: not answered, *why says why. */
static const redisReply *ask(struct following *f, int argc, const char *const *argv, const char **why)
{
    size_t first = 0;
    if (f->m == NULL) {
        bool added;
        fleet_init(&f->fleet, f->s.timeout_ms);
        f->m = fleet_add(&f->fleet, &f->at, true, &added);
        first = asking_login(&f->s, f->m);
    } else {
        fleet_forget(&f->fleet);
    }
    fleet_ask(f->m, argc, argv);
    fleet_run(&f->fleet);
    *why = f->m->error;
    if (f->m->error != NULL)
        return NULL;
    return f->m->replies[f->m->nreplies > first ? first : 0];
}

/* Prints what is there after `since`. EXIT_OK, or the command's end with the reason written; EXIT_NOBODY is silent. */
static int print_news(struct following *f, const char **why)
{
    for (;;) {
        char since[24];
        snprintf(since, sizeof since, "%" PRId64, f->since);
        const char *argv[] = {"SENTINEL", "EVENTS", "SINCE", since, "COUNT", PAGE, "GROUP", f->group};
        const redisReply *r = ask(f, f->group != NULL ? 8 : 6, argv, why);
        if (r == NULL)
            return EXIT_NOBODY;
        if (r->type == REDIS_REPLY_ERROR)
            return command_fail(f->call, EXIT_FAILED, "the supervisor answers: %s", r->str);
        json_t *list = past_events(r), *e;
        size_t i, n = json_array_size(list);
        json_array_foreach(list, i, e)
        {
            show_event(f, e);
            f->since = json_int(e, "number", f->since);
        }
        json_decref(list);
        fflush(stdout);
        f->broken_pipe = ferror(stdout) != 0;
        if (n == 0 || f->broken_pipe || interrupted())
            return EXIT_OK;
    }
}

static int follow(struct following *f)
{
    const char *why = NULL;
    char name[ADDR_TEXT_MAX];
    while (!interrupted() && !f->broken_pipe) {
        int code = print_news(f, &why);
        if (code == EXIT_FAILED)
            return code;
        if (code == EXIT_NOBODY && !f->told_lost)
            command_fail(f->call, EXIT_NOBODY, "%s: %s; trying again until it answers", addr_text(&f->at, name), why);
        if (code == EXIT_OK && f->told_lost)
            command_fail(f->call, EXIT_OK, "%s answers again", addr_text(&f->at, name));
        f->told_lost = code == EXIT_NOBODY;
        if (code == EXIT_NOBODY)
            disconnect(f);
        /* A reader that closed the pipe is noticed here as well, not only at the next event. */
        struct pollfd p = {.fd = fileno(stdout), .events = 0};
        if (poll(&p, 1, code == EXIT_NOBODY ? RETRY_MS : POLL_MS) > 0 && (p.revents & (POLLERR | POLLNVAL)))
            return EXIT_OK;
    }
    return EXIT_OK;
}

/* The first of the named supervisors that answers; its last number. */
static int find_supervisor(struct following *f, int64_t *last)
{
    struct fleet all;
    static const char *const argv[] = {"SENTINEL", "EVENTS", "LAST"};
    asking_begin(&f->s, &all);
    for (size_t i = 0; i < all.n; i++) {
        asking_login(&f->s, all.members[i]);
        fleet_ask(all.members[i], 3, argv);
    }
    fleet_run(&all);
    const redisReply *refusal = NULL;
    int code = EXIT_NOBODY;
    for (size_t i = 0; i < all.n && code != EXIT_OK; i++) {
        const struct fleet_member *m = all.members[i];
        const redisReply *r = fleet_answer(m);
        if (r != NULL && r->type == REDIS_REPLY_INTEGER) {
            f->at = m->addr;
            *last = r->integer;
            code = EXIT_OK;
        } else if (r != NULL && r->type == REDIS_REPLY_ERROR) {
            refusal = r;
        }
    }
    if (code != EXIT_OK && refusal != NULL)
        code = command_fail(f->call, EXIT_FAILED, "no supervisor tells its events: %s", refusal->str);
    else if (code != EXIT_OK)
        asking_nobody(f->call, &f->s, &all);
    fleet_free(&all);
    return code;
}

static int start(struct following *f)
{
    const char *since = command_value(f->call, "--since"), *why = NULL;
    bool follows = command_value(f->call, "--follow") != NULL;
    int64_t last = 0;
    if (since != NULL && !text_range(slice_of(since), 0, INT64_MAX, &f->since))
        return command_fail(f->call, EXIT_USAGE, "--since is '%s', but must be the number of an event", since);
    int code = find_supervisor(f, &last);
    if (code != EXIT_OK)
        return code;
    if (since == NULL)
        f->since = follows ? last : last > LAST_DEFAULT ? last - LAST_DEFAULT : 0;
    interrupt_catch();
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is seen by the write */
    if (follows)
        return follow(f);
    f->events = f->s.document ? json_array() : NULL;
    code = print_news(f, &why);
    if (code == EXIT_NOBODY)
        command_fail(f->call, code, "%s", why);
    else if (code == EXIT_OK && f->events != NULL)
        output_document(f->s.format, f->events);
    json_decref(f->events);
    return code;
}

static int run(const struct command_call *call)
{
    struct following f = {.call = call, .group = call->argc > 0 ? call->argv[0] : NULL};
    int code = asking_read(call, &f.s);
    if (code == EXIT_OK)
        code = start(&f);
    disconnect(&f);
    asking_free(&f.s);
    return code;
}

static const struct command_option options[] = {
    ASKING_OPTIONS,
    {"--follow", "-f", NULL, "go on with what is published from now on, until Ctrl-C"},
    {"--since", NULL, "NUMBER", "begin after the event with this number; 0 is the beginning"},
    {NULL, NULL, NULL, NULL},
};

const struct command command_events = {
    .name = "events",
    .arguments = "[GROUP]",
    .summary = "Show what a supervisor published: the last events, or all since a number.",
    .text =
        "Numbers are a supervisor's own and survive its restart. The first of the named supervisors that answers is "
        "asked.\n"
        "With --follow a supervisor that goes away is waited for, and what was missed is shown when it is back.\n"
        "-o json and yaml write one list. With --follow each event is a document of its own: a line of JSON, or YAML\n"
        "begun by ---.\n"
        "\n"
        "Example:\n"
        "  nodectl events --follow\n"
        "\n"
        "Exit status: 0 shown; 1 the supervisor keeps no events or refuses; 2 the command line or the configuration\n"
        "file is wrong; 3 no supervisor can be reached.",
    .options = options,
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
