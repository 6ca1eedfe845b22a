/* SENTINEL EVENTS, HISTORY and DRILL: questions to the history's thread; the answer comes later. */
#include "sentineld/shell/client.h"
#include "sentineld/shell/cmd_sentinel.h"
#include "sentineld/shell/history.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/clock.h"
#include "sentineld/core/note.h"
#include "sentineld/shell/clients.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_DEFAULT 1000
#define DRILLS_DEFAULT 20
#define DRILL_ID_MAX 64
#define DRILL_REPORT_MAX ((size_t)1 << 20)

static bool read_number(struct call *call, size_t at, int64_t min, int64_t max, int64_t *out)
{
    if (at < call->argc && text_range(call->argv[at], min, max, out))
        return true;
    reply_error(call->r, "ERR %.*s needs a number from %lld to %lld", (int)call->argv[at - 1].n, call->argv[at - 1].p,
                (long long)min, (long long)max);
    return false;
}

static void set_text(char **to, struct slice s)
{
    free(*to);
    *to = slice_dup(s);
}

/* Options in any order. false: the reason was replied. */
static bool read_options(struct call *call, size_t at, struct history_query *q)
{
    bool notes = q->what == HISTORY_NOTES;
    for (; at < call->argc; at += 2) {
        struct slice word = call->argv[at];
        enum sn_note_kind kind;
        if (slice_ieq(word, "count")) {
            if (!read_number(call, at + 1, 1, HISTORY_COUNT_MAX, &q->count))
                return false;
        } else if (slice_ieq(word, "since") || (notes && slice_ieq(word, "before"))) {
            q->forward = slice_ieq(word, "since");
            if (!read_number(call, at + 1, q->forward ? 0 : 1, INT64_MAX, &q->from))
                return false;
        } else if (slice_ieq(word, "group") && at + 1 < call->argc) {
            set_text(&q->group, call->argv[at + 1]);
        } else if (notes && slice_ieq(word, "kind") && at + 1 < call->argc) {
            if (!sn_note_kind_parse(call->argv[at + 1], &kind)) {
                reply_error(call->r, "ERR There is no such kind of note. Kinds are sdown, odown, waiting, stand, vote, "
                                     "won, lost, promoted, switched, converged, aborted, config, agreed");
                return false;
            }
            free(q->kind);
            q->kind = mem_strdup(sn_note_kind_name(kind));
        } else {
            command_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void ask(struct call *call, struct history_query *q)
{
    if (call->d->history == NULL) {
        history_query_free(q);
        reply_error(call->r, "ERR This supervisor keeps no history");
        return;
    }
    if (!history_has_room(call->d->history)) {
        history_query_free(q);
        reply_error(call->r, "ERR Too many questions wait for the history; ask again later");
        return;
    }
    history_ask(call->d->history, client_defer(call, CLIENT_ANSWER_HISTORY), q);
}

void cmd_sentinel_events(struct call *call)
{
    struct history_query q = {.what = HISTORY_EVENTS, .count = COUNT_DEFAULT};
    if (slice_ieq(call->argv[2], "last") && call->argc == 3) {
        q.what = HISTORY_LAST;
        ask(call, &q);
    } else if (!slice_ieq(call->argv[2], "since")) {
        command_syntax_error(call);
    } else if (read_options(call, 2, &q)) {
        ask(call, &q);
    } else {
        history_query_free(&q);
    }
}

void cmd_sentinel_history(struct call *call)
{
    struct history_query q = {.what = HISTORY_NOTES, .count = 100};
    if (read_options(call, 2, &q))
        ask(call, &q);
    else
        history_query_free(&q);
}

/* ---- drills ---- */

static bool is_drill_id(struct slice id)
{
    for (size_t i = 0; i < id.n; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", id.p[i]) == NULL ||
            id.p[i] == '\0')
            return false;
    return id.n > 0 && id.n <= DRILL_ID_MAX;
}

static bool is_json_object(struct slice text)
{
    json_t *o = json_loadb(text.p, text.n, 0, NULL);
    bool ok = json_is_object(o);
    json_decref(o);
    return ok;
}

/* Whoever may do what drills do may say what came of one. */
static void record_drill(struct call *call)
{
    struct slice id = call->argv[3], group = call->argv[4], report = call->argv[5];
    if (!cmd_may_drill(call))
        return;
    if (!is_drill_id(id)) {
        reply_error(call->r, "ERR The id of a drill has 1 to %d letters, digits, points, dashes and underscores",
                    DRILL_ID_MAX);
    } else if (report.n > DRILL_REPORT_MAX || !is_json_object(report)) {
        reply_error(call->r, "ERR The report of a drill is a JSON object of at most %zu bytes", DRILL_REPORT_MAX);
    } else if (call->d->history == NULL) {
        reply_error(call->r, "ERR This supervisor keeps no history");
    } else {
        char *texts[] = {slice_dup(id), slice_dup(report), slice_dup(group)};
        history_drill(call->d->history, io_wall_ms(), texts[0], texts[1], texts[2]);
        for (size_t i = 0; i < 3; i++)
            free(texts[i]);
        reply_status(call->r, "OK");
    }
}

void cmd_sentinel_drill(struct call *call)
{
    struct history_query q = {.what = HISTORY_DRILLS, .count = DRILLS_DEFAULT};
    if (cmd_drill_claims(call))
        return;
    if (slice_ieq(call->argv[2], "record") && call->argc == 6) {
        record_drill(call);
    } else if (slice_ieq(call->argv[2], "show") && call->argc == 4) {
        q.kind = slice_dup(call->argv[3]);
        ask(call, &q);
    } else if (!slice_ieq(call->argv[2], "list")) {
        command_syntax_error(call);
    } else if (read_options(call, 3, &q)) {
        ask(call, &q);
    } else {
        history_query_free(&q);
    }
}

/* ---- answers ---- */

void cmd_history_render(const struct history_query *q, const struct history_rows *rows, struct buf *out)
{
    struct reply reply = {out, 2}, *r = &reply;
    if (rows->error != NULL) {
        reply_error(r, "ERR The history cannot be read: %s", rows->error);
        return;
    }
    if (q->what == HISTORY_LAST) {
        reply_int(r, rows->n > 0 ? rows->v[0].number : 0);
        return;
    }
    bool notes = q->what == HISTORY_NOTES;
    reply_array(r, rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        const struct history_row *row = &rows->v[i];
        reply_array(r, notes ? 6 : 5);
        reply_int(r, row->number);
        reply_int(r, row->wall_ms);
        reply_bulks(r, row->name);
        reply_bulks(r, notes ? row->group : row->text);
        if (notes)
            reply_int(r, row->epoch);
        reply_bulks(r, notes ? row->text : row->group);
    }
}

/* It may be megabytes: into an empty buffer it goes as it is. */
static void put_made(struct reply *r, void *arg)
{
    struct buf *made = arg;
    if (r->out->n > 0) {
        buf_put(r->out, made->p, made->n);
        return;
    }
    struct buf empty = *r->out;
    *r->out = *made;
    *made = empty;
}

void cmd_history_answered(void *owner, uint64_t token, const struct history_rows *rows, struct buf *reply)
{
    struct daemon *d = owner;
    (void)rows;
    if (d->clients != NULL)
        clients_answer_by(d->clients, token, put_made, reply);
}
