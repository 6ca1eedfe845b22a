#include "nodectl/explain.h"

#include "nodectl/note_text.h"
#include "nodectl/past.h"
#include "nodectl/table.h"

#include <inttypes.h>
#include <string.h>

#define SINCE_MAX 10

static void head(FILE *out, bool colour, const char *text)
{
    fputc('\n', out);
    print_line(out, colour, PAINT_HEAD, "%s", text);
}

static void print_title(const json_t *d, FILE *out, bool colour)
{
    char when[WALL_TEXT_MAX];
    const char *outcome = json_word(d, "outcome");
    const json_t *by = json_object_get(d, "by"), *switched = json_object_get(d, "switched");
    bool done = strcmp(outcome, "switched") == 0 || strcmp(outcome, "learned") == 0;
    struct buf b = {0};
    buf_printf(&b, "%s, epoch %" PRId64, json_word(d, "group"), json_int(d, "epoch", 0));
    if (json_int(d, "config_epoch", 0) > 0 && json_int(d, "config_epoch", 0) != json_int(d, "epoch", 0))
        buf_printf(&b, " (config epoch %" PRId64 ")", json_int(d, "config_epoch", 0));
    buf_puts(&b, ": ");
    if (done)
        buf_printf(&b, "failed over from %s to %s", json_word(d, "from"), json_word(d, "to"));
    else
        buf_printf(&b, "failover from %s to %s: %s", json_word(d, "from"), json_word(d, "to"), outcome);
    print_painted(out, colour, done ? PAINT_GOOD : PAINT_BAD, buf_str(&b));
    fputc('\n', out);
    buf_free(&b);
    print_line(out, false, PAINT_NONE, "%s, led by %s %s%s", wall_text(json_int(d, "at_ms", 0), when),
               id_text(json_word(by, "id")), json_word(by, "address"),
               json_yes(switched, "inherited")     ? ", coordinated, as one that is gone had begun"
               : json_yes(switched, "coordinated") ? ", coordinated, as an operator ordered"
               : json_yes(switched, "forced")      ? ", as an operator ordered"
                                                   : "");
    const json_t *aborted = json_object_get(d, "aborted"), *ballot = json_object_get(d, "ballot");
    if (json_is_object(aborted))
        print_line(out, false, PAINT_NONE, "Given up because: %s", json_word(aborted, "why"));
    else if (!done && *json_word(ballot, "why") != '\0')
        print_line(out, false, PAINT_NONE, "Because: %s", json_word(ballot, "why"));
    if (strcmp(outcome, "learned") == 0)
        print_line(out, false, PAINT_NONE,
                   "The supervisor that led cannot be asked: evidence, votes and ranking are in its record alone.");
}

static void print_phases(const json_t *d, FILE *out, bool colour)
{
    static const struct {
        const char *name, *words;
    } phases[] = {
        {"detect_ms", "silent until held for down (down-after is part of it)"},
        {"agree_ms", "until the quorum agreed"},
        {"stand_ms", "until the ballot was held"},
        {"elect_ms", "until it was won"},
        {"prepare_ms", "until the promotion was sent"},
        {"promote_ms", "until the replica said that it is a master"},
        {"tell_ms", "until the new configuration was on disk and told"},
    };
    const json_t *s = json_object_get(d, "switched"), *c = json_object_get(d, "converged");
    if (json_int(s, "total_ms", -1) < 0)
        return;
    head(out, colour, "Milliseconds");
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        if (json_int(s, phases[i].name, -1) >= 0)
            print_line(out, false, PAINT_NONE, "  %6" PRId64 "  %s", json_int(s, phases[i].name, 0), phases[i].words);
    print_line(out, false, PAINT_NONE, "  %6" PRId64 "  in all", json_int(s, "total_ms", 0));
    if (json_is_object(c))
        print_line(out, false, PAINT_NONE, "  %6" PRId64 "  later: the other servers followed",
                   json_int(c, "took_ms", 0));
}

static void print_evidence(const json_t *d, FILE *out, bool colour)
{
    size_t i;
    json_t *e;
    bool any = false;
    json_array_foreach(json_object_get(d, "records"), i, e)
    {
        const json_t *n = json_object_get(e, "note");
        struct buf b = {0};
        if (strcmp(json_word(e, "kind"), "sdown") != 0 || strcmp(json_word(n, "server"), "master") != 0)
            continue;
        if (!any)
            head(out, colour, "Evidence");
        any = true;
        note_text(&b, e);
        print_line(out, false, PAINT_NONE, "  %s %-21s %s; last valid answer %s before",
                   id_text(json_word(e, "supervisor_id")), json_word(e, "supervisor"), buf_str(&b),
                   span_text(json_int(n, "valid_answer_us", -1)));
        buf_free(&b);
    }
}

static void print_votes(const json_t *d, FILE *out, bool colour)
{
    static const char *const titles[] = {"SUPERVISOR", "ADDRESS", "HOLDS IT FOR DOWN", "VOTE", NULL};
    const json_t *ballot = json_object_get(d, "ballot"), *stand = json_object_get(d, "stand");
    int64_t epoch = json_int(d, "epoch", 0);
    bool won = strcmp(json_word(ballot, "kind"), "won") == 0;
    const json_t *from = json_is_object(ballot) ? ballot : stand;
    size_t i;
    json_t *row;
    if (!json_is_object(from))
        return;
    struct buf b = {0};
    buf_printf(&b, "Votes (%" PRId64 " needed, quorum %" PRId64 ")", json_int(stand, "votes_needed", 0),
               json_int(stand, "quorum", 0));
    head(out, colour, buf_str(&b));
    buf_free(&b);
    struct table *t = table_new(titles);
    json_array_foreach(json_object_get(from, "supervisors"), i, row)
    {
        bool voted = json_int(row, "vote_epoch", 0) == epoch;
        bool mine = voted && strcmp(json_word(row, "vote"), json_word(from, "by")) == 0;
        bool refused = json_int(row, "refused_epoch", 0) == epoch;
        table_cell(t, PAINT_NONE, "%s", id_text(json_word(row, "id")));
        table_cell(t, PAINT_NONE, "%s", json_yes(row, "self") ? "(the one that stood)" : json_word(row, "address"));
        table_cell(t, PAINT_NONE, "%s", json_yes(row, "down") ? "yes" : "no");
        if (mine)
            table_cell(t, PAINT_GOOD, "granted");
        else if (voted)
            table_cell(t, PAINT_WARN, "for %s", id_text(json_word(row, "vote")));
        else
            table_cell(t,
                       refused ? PAINT_BAD
                       : won   ? PAINT_NONE
                               : PAINT_WARN,
                       "%s",
                       refused                                              ? "refused"
                       : !json_yes(row, "self") && !json_yes(row, "linked") ? "not reached"
                       : won                                                ? "not waited for"
                                                                            : "no answer in time");
    }
    table_print(t, out, "  ", colour);
    table_free(t);
}

static void print_ranking(const json_t *d, FILE *out, bool colour)
{
    static const char *const titles[] = {"#",    "REPLICA",   "VERDICT", "PRIORITY", "OFFSET",
                                         "DATA", "~INFO AGE", "~LINK",   NULL};
    const json_t *list = json_object_get(json_object_get(d, "stand"), "ranking");
    size_t i;
    json_t *row;
    if (json_array_size(list) == 0)
        return;
    head(out, colour, "Replicas, the best first (priority, then data of the master's line, then offset, then run id)");
    struct table *t = table_new(titles);
    json_array_foreach(list, i, row)
    {
        bool suitable = strcmp(json_word(row, "verdict"), "suitable") == 0;
        bool impaired = json_yes(row, "impaired");
        table_cell(t, PAINT_NONE, "%zu", i + 1);
        table_cell(t, PAINT_NONE, "%s", json_word(row, "address"));
        table_cell(t,
                   !suitable  ? PAINT_BAD
                   : impaired ? PAINT_WARN
                              : PAINT_GOOD,
                   "%s%s", suitable ? i == 0 ? "chosen" : "suitable" : json_word(row, "verdict"),
                   suitable && impaired ? ", impaired" : "");
        table_cell(t, PAINT_NONE, "%" PRId64, json_int(row, "priority", 0));
        table_cell(t, PAINT_NONE, "%" PRId64, json_int(row, "offset", -1));
        table_cell(t, PAINT_NONE, "%s", json_yes(row, "related") ? "the master's" : "other");
        table_cell(t, PAINT_NONE, "%s", span_text(json_int(row, "info_us", -1)));
        table_cell(t, PAINT_NONE, "%s", json_yes(row, "linked") ? "up" : "down");
    }
    table_print(t, out, "  ", colour);
    table_free(t);
}

static void print_convergence(const json_t *d, FILE *out, bool colour)
{
    size_t i;
    json_t *row;
    const json_t *c = json_object_get(d, "converged");
    if (!json_is_object(c))
        return;
    head(out, colour, "The other servers");
    json_array_foreach(json_object_get(c, "replicas"), i, row)
    {
        if (json_yes(row, "follows"))
            print_line(out, false, PAINT_NONE, "  %-21s follows after %" PRId64 " ms", json_word(row, "address"),
                       json_int(row, "took_ms", 0));
        else
            print_line(out, false, PAINT_NONE, "  %-21s %s", json_word(row, "address"),
                       json_yes(row, "down") ? "is down; it is led back when it returns" : "does not follow yet");
    }
}

static void print_records(const json_t *d, FILE *out, bool colour)
{
    size_t i;
    json_t *e;
    char when[WALL_TEXT_MAX];
    head(out, colour, "All that was noted (ms since the first)");
    json_array_foreach(json_object_get(d, "records"), i, e)
    {
        struct buf b = {0};
        note_text(&b, e);
        print_line(out, false, PAINT_NONE, "  %6" PRId64 "  %s  %s", json_int(e, "after_ms", 0),
                   id_text(json_word(e, "supervisor_id")), buf_str(&b));
        buf_free(&b);
    }
    const json_t *since = json_object_get(d, "since");
    size_t n = json_array_size(since), first = n > SINCE_MAX ? n - SINCE_MAX : 0;
    if (n == 0)
        return;
    head(out, colour, first > 0 ? "Since then (the newest)" : "Since then");
    for (i = first; i < n; i++) {
        struct buf b = {0};
        e = json_array_get(since, i);
        note_text(&b, e);
        print_line(out, false, PAINT_NONE, "  %s  %s  %s", wall_text(json_int(e, "wall_ms", 0), when),
                   id_text(json_word(e, "supervisor_id")), buf_str(&b));
        buf_free(&b);
    }
}

static void print_silent(const json_t *d, FILE *out, bool colour)
{
    size_t i;
    json_t *s;
    bool any = false;
    json_array_foreach(json_object_get(d, "supervisors"), i, s)
    {
        if (!json_is_string(json_object_get(s, "error")))
            continue;
        if (!any)
            head(out, colour, "Not in this account");
        any = true;
        print_line(out, false, PAINT_NONE, "  %s: %s", json_word(s, "address"), json_word(s, "error"));
    }
}

static void print_replay(const json_t *d, FILE *out, bool colour)
{
    size_t i;
    json_t *c;
    const json_t *r = json_object_get(d, "replay");
    if (!json_is_object(r))
        return;
    head(out, colour, "Replay: the record's inputs, decided again by the core");
    if (!json_yes(r, "possible")) {
        print_line(out, false, PAINT_NONE, "  not possible: %s", json_word(r, "why"));
        return;
    }
    json_array_foreach(json_object_get(r, "checks"), i, c)
    {
        bool same = json_yes(c, "same");
        fputs("  ", out);
        print_painted(out, colour, same ? PAINT_GOOD : PAINT_BAD, same ? "same     " : "DIFFERENT");
        if (same)
            print_line(out, false, PAINT_NONE, "  %s: %s", json_word(c, "what"), json_word(c, "recorded"));
        else
            print_line(out, false, PAINT_NONE, "  %s: recorded %s, replayed %s", json_word(c, "what"),
                       json_word(c, "recorded"), json_word(c, "replayed"));
    }
}

void explain_print(const json_t *d, FILE *out, bool colour)
{
    print_title(d, out, colour);
    print_phases(d, out, colour);
    print_evidence(d, out, colour);
    print_votes(d, out, colour);
    print_ranking(d, out, colour);
    print_convergence(d, out, colour);
    print_records(d, out, colour);
    print_replay(d, out, colour);
    print_silent(d, out, colour);
}
