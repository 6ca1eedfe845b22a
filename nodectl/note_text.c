#include "nodectl/note_text.h"

#include "nodectl/past.h"

#include <stdio.h>
#include <string.h>

static char *next_buffer(void)
{
    static char buffers[8][48];
    static unsigned at;
    return buffers[at++ % 8];
}

const char *span_text(int64_t us)
{
    char *b = next_buffer();
    if (us < 0)
        snprintf(b, 48, "never");
    else if (us < 10000000)
        snprintf(b, 48, "%.1f ms", (double)us / 1000);
    else
        snprintf(b, 48, "%.1f s", (double)us / 1000000);
    return b;
}

const char *id_text(const char *id)
{
    char *b = next_buffer();
    snprintf(b, 48, "%.8s", *id != '\0' ? id : "nobody");
    return b;
}

static void sdown(struct buf *b, const json_t *n)
{
    const char *reason = json_word(n, "reason");
    buf_printf(b, "%s %s is held for down: ", json_word(n, "server"), json_word(n, "address"));
    if (strcmp(reason, "silent") == 0)
        buf_printf(b, "no valid answer for %s (%s)", span_text(json_int(n, "since_us", -1)),
                   json_word(n, "connection"));
    else if (strcmp(reason, "role") == 0)
        buf_printf(b, "it says for %s that it is a replica", span_text(json_int(n, "since_us", -1)));
    else if (strcmp(reason, "reboot") == 0)
        buf_printf(b, "it restarted %s ago and does not serve yet", span_text(json_int(n, "since_us", -1)));
    else if (strcmp(reason, "reborn-empty") == 0)
        buf_puts(b, "it came back empty while a replica still holds the data");
    else
        buf_puts(b, reason);
}

static int count(const json_t *n, const char *list, const char *field)
{
    size_t i;
    int c = 0;
    json_t *row;
    json_array_foreach(json_object_get(n, list), i, row)
    {
        c += json_yes(row, field);
    }
    return c;
}

static int votes_for(const json_t *n, int64_t epoch)
{
    size_t i;
    int c = 0;
    json_t *row;
    json_array_foreach(json_object_get(n, "supervisors"), i, row)
    {
        c += json_int(row, "vote_epoch", 0) == epoch && strcmp(json_word(row, "vote"), json_word(n, "by")) == 0;
    }
    return c;
}

static void waiting(struct buf *b, const json_t *n)
{
    buf_printf(b, "nobody stands here: %s", json_word(n, "why"));
    if (json_object_get(n, "vote") != NULL)
        buf_printf(b, " (our vote of epoch %lld is %s's)", (long long)json_int(n, "vote_epoch", 0),
                   id_text(json_word(n, "vote")));
    if (json_object_get(n, "paused_by") != NULL) {
        char until[WALL_TEXT_MAX];
        buf_printf(b, ": %s, by %s until %s", json_word(n, "paused_for"), json_word(n, "paused_by"),
                   wall_text(json_int(n, "paused_until_ms", 0), until));
    } else if (json_int(n, "for_us", -1) >= 0)
        buf_printf(b, ", for %s at most", span_text(json_int(n, "for_us", -1)));
}

static void switched(struct buf *b, const json_t *n)
{
    buf_printf(b, "the master is now %s, no longer %s", json_word(n, "to"), json_word(n, "from"));
    if (json_int(n, "total_ms", -1) >= 0)
        buf_printf(b, ": %lld ms in all", (long long)json_int(n, "total_ms", -1));
}

void note_text(struct buf *out, const json_t *entry)
{
    const json_t *n = json_object_get(entry, "note");
    const char *kind = json_word(entry, "kind");
    long long epoch = (long long)json_int(entry, "epoch", 0);
    if (strcmp(kind, "sdown") == 0) {
        sdown(out, n);
    } else if (strcmp(kind, "odown") == 0) {
        buf_printf(out, "the master %s is down: %d of %zu supervisors say so, %lld are needed", json_word(n, "master"),
                   count(n, "supervisors", "down"), json_array_size(json_object_get(n, "supervisors")),
                   (long long)json_int(n, "quorum", 0));
    } else if (strcmp(kind, "waiting") == 0) {
        waiting(out, n);
    } else if (strcmp(kind, "stand") == 0) {
        buf_printf(out, "stands at epoch %lld to promote %s%s", epoch, json_word(n, "candidate"),
                   json_yes(n, "inherited")     ? " (coordinated, as one that is gone had begun)"
                   : json_yes(n, "coordinated") ? " (coordinated, ordered by an operator)"
                   : json_yes(n, "forced")      ? " (ordered by an operator)"
                                                : "");
    } else if (strcmp(kind, "vote") == 0) {
        buf_printf(out, "%s its vote of epoch %lld to %s%s%s", json_yes(n, "granted") ? "gives" : "refuses", epoch,
                   id_text(json_word(n, "for")), json_yes(n, "granted") ? "" : ": ", json_word(n, "why"));
    } else if (strcmp(kind, "won") == 0 || strcmp(kind, "lost") == 0) {
        buf_printf(out, "%s at epoch %lld with %d of %lld votes in %s%s%s",
                   strcmp(kind, "won") == 0 ? "is elected" : "is not elected", epoch, votes_for(n, epoch),
                   (long long)json_int(n, "votes_needed", 0), span_text(json_int(n, "took_us", -1)),
                   *json_word(n, "why") != '\0' ? ": " : "", json_word(n, "why"));
    } else if (strcmp(kind, "promoted") == 0) {
        buf_printf(out, "%s says that it is a master, %s after it was told", json_word(n, "candidate"),
                   span_text(json_int(n, "took_us", -1)));
    } else if (strcmp(kind, "switched") == 0) {
        switched(out, n);
    } else if (strcmp(kind, "converged") == 0) {
        size_t all = json_array_size(json_object_get(n, "replicas"));
        buf_printf(out, "%d of %zu other servers follow %s after %lld ms%s", count(n, "replicas", "follows"), all,
                   json_word(n, "master"), (long long)json_int(n, "took_ms", 0),
                   json_yes(n, "timeout") ? "; the others had no time" : "");
    } else if (strcmp(kind, "agreed") == 0) {
        buf_printf(out, "%d of %zu nodes of the cluster know the master %s after %lld ms%s",
                   count(n, "nodes", "agrees"), json_array_size(json_object_get(n, "nodes")), json_word(n, "master"),
                   (long long)json_int(n, "took_ms", 0), json_yes(n, "timeout") ? "; the others had no time" : "");
    } else if (strcmp(kind, "swapdb") == 0) {
        buf_printf(out, "the swap of databases %lld and %lld to mapping epoch %lld: %s%s%s",
                   (long long)json_int(n, "first", 0), (long long)json_int(n, "second", 0),
                   (long long)json_int(n, "mapping_epoch", 0), json_word(n, "what"),
                   *json_word(n, "why") != '\0' ? ": " : "", json_word(n, "why"));
    } else if (strcmp(kind, "aborted") == 0) {
        buf_printf(out, "the failover is given up: %s (in state %s, the promotion was %s)", json_word(n, "why"),
                   json_word(n, "state"), json_yes(n, "promotion_sent") ? "sent" : "not sent");
    } else if (strcmp(kind, "config") == 0) {
        buf_printf(out, "learned from %s that the master is %s, no longer %s (epoch %lld)", id_text(json_word(n, "by")),
                   json_word(n, "to"), json_word(n, "from"), epoch);
    } else {
        buf_puts(out, kind);
    }
}
