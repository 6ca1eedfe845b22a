/* How far long work is: one line on standard error that is drawn again and again on a terminal, with rate and time
 * left; elsewhere a plain line every ten seconds. */
#ifndef NODECTL_PROGRESS_H
#define NODECTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    char what[64];    /* "moving slots" */
    const char *unit; /* "slots", "keys"; "bytes" are shown as MB */
    int64_t total;    /* 0: not known, then there is no time left to show */
    int64_t done, begin_ms, shown_ms;
    bool terminal, drawn;
    char note[128]; /* shown behind the rest where there is room */
};

void progress_begin(struct progress *p, const char *what, const char *unit, int64_t total);
/* May be called as often as one likes: it draws some ten times a second at most. */
void progress_at(struct progress *p, int64_t done);
/* Whether progress_at() would draw now: for who has a note that takes some work to make. */
bool progress_due(const struct progress *p);
void progress_note(struct progress *p, const char *text);
/* Takes the line away, so that what comes next has a line of its own. Harmless when nothing was drawn. */
void progress_end(struct progress *p);
/* The line without colours, for the test: at most `width` columns. Returns its length; cap >= width * 4 + 1. */
int progress_line(const struct progress *p, int64_t now_ms, int width, char *line, int cap);

/* What has no amount: "waiting, 12 s: supervisor 10.0.0.1:26379 still knows it", shown in the same way. */
struct waiting {
    int64_t begin_ms, shown_ms;
    bool terminal, drawn;
};
void waiting_begin(struct waiting *w);
/* May be called as often as one likes. A short wait shows nothing. */
void waiting_at(struct waiting *w, const char *reason);
void waiting_end(struct waiting *w);
/* The line, for the test: at most `width` columns. */
void waiting_line(const struct waiting *w, int64_t now_ms, int width, const char *reason, char *line, size_t cap);

#endif
