#include "sentineld/shell/cmd_acl_log.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/clock.h"
#include "sentineld/shell/client.h"

#define ENTRIES_MAX 128
#define SAME_US ((int64_t)60 * 1000 * 1000) /* repetitions within this count up the entry they repeat */
#define OBJECT_MAX 128

struct entry {
    int64_t count, at_us;
    enum acl_denied why;
    char *object, *user, *client;
};

struct acl_log {
    struct entry v[ENTRIES_MAX]; /* the latest first */
    size_t n;
};

struct acl_log *acl_log_new(void)
{
    return mem_zalloc(sizeof(struct acl_log));
}

static void entry_free(struct entry *e)
{
    free(e->object);
    free(e->user);
    free(e->client);
}

static void clear(struct acl_log *log)
{
    while (log->n > 0)
        entry_free(&log->v[--log->n]);
}

void acl_log_free(struct acl_log *log)
{
    if (log == NULL)
        return;
    clear(log);
    free(log);
}

/* Takes the entry that this one repeats out of its place, or the oldest when there is no room, and makes the first
 * place free. */
static int64_t make_room(struct acl_log *log, const struct entry *e)
{
    size_t i = 0;
    while (i < log->n && (log->v[i].why != e->why || strcmp(log->v[i].object, e->object) != 0 ||
                          strcmp(log->v[i].user, e->user) != 0 || e->at_us - log->v[i].at_us > SAME_US))
        i++;
    bool same = i < log->n;
    int64_t count = same ? log->v[i].count : 0;
    if (!same && log->n == ENTRIES_MAX)
        i = ENTRIES_MAX - 1;
    if (i < log->n)
        entry_free(&log->v[i]);
    else
        log->n++;
    memmove(&log->v[1], &log->v[0], i * sizeof log->v[0]);
    return count;
}

void acl_log_add(struct call *call, enum acl_denied why, struct slice object, struct slice user)
{
    struct acl_log *log = call->c->all->acl_log;
    struct buf line = {0};
    client_describe(&line, call->c, io_now_us());
    struct entry e = {.at_us = io_now_us(), .why = why};
    e.object = mem_strndup(object.p != NULL ? object.p : "", object.n < OBJECT_MAX ? object.n : OBJECT_MAX);
    e.user = mem_strndup(user.p != NULL ? user.p : "", user.n < OBJECT_MAX ? user.n : OBJECT_MAX);
    e.client = mem_strndup(line.p, line.n);
    buf_free(&line);
    e.count = make_room(log, &e) + 1;
    log->v[0] = e;
}

static const char *const reasons[] = {
    [ACL_DENIED_LOGIN] = "auth", [ACL_DENIED_COMMAND] = "command", [ACL_DENIED_CHANNEL] = "channel"};

static void put_entry(struct reply *r, const struct entry *e, int64_t now_us)
{
    reply_map(r, 7);
    reply_bulks(r, "count");
    reply_int(r, e->count);
    reply_bulks(r, "reason");
    reply_bulks(r, reasons[e->why]);
    reply_bulks(r, "context");
    reply_bulks(r, "toplevel");
    reply_bulks(r, "object");
    reply_bulks(r, e->object);
    reply_bulks(r, "username");
    reply_bulks(r, e->user);
    reply_bulks(r, "age-seconds");
    int64_t age_ms = (now_us - e->at_us) / 1000;
    reply_double(r, (double)age_ms / 1000.);
    reply_bulks(r, "client-info");
    reply_bulks(r, e->client);
}

void cmd_acl_log(struct call *call)
{
    struct acl_log *log = call->c->all->acl_log;
    int64_t wanted = 10;
    if (call->argc > 3) {
        reply_error(call->r, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try ACL HELP.",
                    (int)(call->argv[1].n < 128 ? call->argv[1].n : 128), call->argv[1].p);
        return;
    }
    if (call->argc == 3 && slice_ieq(call->argv[2], "reset")) {
        clear(log);
        reply_status(call->r, "OK");
        return;
    }
    if (call->argc == 3 && !text_i64(call->argv[2], &wanted)) {
        reply_error(call->r, "ERR value is not an integer or out of range");
        return;
    }
    size_t n = wanted < 0 ? 0 : (uint64_t)wanted < log->n ? (size_t)wanted : log->n;
    int64_t now_us = io_now_us();
    reply_array(call->r, n);
    for (size_t i = 0; i < n; i++)
        put_entry(call->r, &log->v[i], now_us);
}
