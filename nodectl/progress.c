#include "nodectl/progress.h"

#include "nodectl/fleet.h"
#include "nodectl/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_MS 100
#define PLAIN_MS 10000
#define WAITING_MS 1000
#define WIDTH_MAX 200
#define BAR_MIN 10
#define BAR_MAX 40

static bool is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

void progress_begin(struct progress *p, const char *what, const char *unit, int64_t total)
{
    *p = (struct progress){.unit = unit, .total = total, .begin_ms = fleet_now_ms()};
    p->shown_ms = p->begin_ms;
    snprintf(p->what, sizeof p->what, "%s", what);
    p->terminal = is_terminal();
}

static void put_amount(char *to, size_t n, const struct progress *p, double amount)
{
    bool bytes = strcmp(p->unit, "bytes") == 0;
    snprintf(to, n, bytes ? "%.1f MB" : "%.0f %s", bytes ? amount / 1e6 : amount, p->unit);
}

static void put_time(char *to, size_t n, int64_t s)
{
    if (s < 3600)
        snprintf(to, n, "%" PRId64 ":%02" PRId64, s / 60, s % 60);
    else
        snprintf(to, n, "%" PRId64 ":%02" PRId64 ":%02" PRId64, s / 3600, s / 60 % 60, s % 60);
}

/* "1200 keys of 40000 keys, 300 keys/s, 2:09 left" */
static int put_words(const struct progress *p, int64_t now_ms, char *line, size_t cap)
{
    char done[48], total[48], rate[48], left[32] = "";
    double seconds = (double)(now_ms - p->begin_ms) / 1000, each = seconds > 0 ? (double)p->done / seconds : 0;
    put_amount(done, sizeof done, p, (double)p->done);
    put_amount(total, sizeof total, p, (double)p->total);
    put_amount(rate, sizeof rate, p, each);
    if (p->total > p->done && each > 0)
        put_time(left, sizeof left, (int64_t)((double)(p->total - p->done) / each + 0.5));
    return snprintf(line, cap, "%s%s%s, %s/s%s%s%s", done, p->total > 0 ? " of " : "", p->total > 0 ? total : "", rate,
                    left[0] != '\0' ? ", " : "", left, left[0] != '\0' ? " left" : "");
}

int progress_line(const struct progress *p, int64_t now_ms, int width, char *line, int cap)
{
    char words[256], bar[BAR_MAX + 3] = "";
    int n_words = put_words(p, now_ms, words, sizeof words), bare = width - (int)strlen(p->what) - 12 - n_words;
    if (p->note[0] != '\0' && bare - (int)strlen(p->note) - 2 >= (p->total > 0 ? BAR_MIN : 0))
        snprintf(words + n_words, sizeof words - (size_t)n_words, "; %s", p->note);
    int room = width - (int)strlen(p->what) - (int)strlen(words) - 12; /* "  [] 100%  " and a column to spare */
    if (p->total > 0 && room >= BAR_MIN) {
        int cells = room < BAR_MAX ? room : BAR_MAX;
        int64_t done = p->done < p->total ? p->done : p->total;
        int full = (int)((double)done / (double)p->total * cells);
        bar[0] = '[';
        memset(bar + 1, '=', (size_t)full);
        memset(bar + 1 + full, ' ', (size_t)(cells - full));
        bar[cells + 1] = ']';
    }
    int percent = p->total > 0 ? (int)(100.0 * (double)p->done / (double)p->total) : 0;
    char text[512];
    int n = p->total > 0 ? snprintf(text, sizeof text, "%s %s%s%d%%  %s", p->what, bar, bar[0] != '\0' ? " " : "",
                                    percent < 100 ? percent : 100, words)
                         : snprintf(text, sizeof text, "%s  %s", p->what, words);
    if (n > width - 1 && width > 0)
        n = width - 1; /* the last column stays free: some terminals go to the next line there */
    if (n > cap - 1)
        n = cap - 1;
    memcpy(line, text, (size_t)n);
    line[n] = '\0';
    return n;
}

static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool progress_due(const struct progress *p)
{
    return fleet_now_ms() - p->shown_ms >= (p->terminal ? DRAW_MS : PLAIN_MS);
}

void progress_note(struct progress *p, const char *text)
{
    snprintf(p->note, sizeof p->note, "%s", text);
}

void progress_at(struct progress *p, int64_t done)
{
    char line[WIDTH_MAX * 4 + 1];
    int64_t now = fleet_now_ms();
    p->done = done;
    if (!progress_due(p))
        return;
    p->shown_ms = now;
    int width = p->terminal ? columns() : WIDTH_MAX;
    progress_line(p, now, width < WIDTH_MAX ? width : WIDTH_MAX, line, sizeof line);
    if (p->terminal)
        fprintf(stderr, "\r%s\033[K", line);
    else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    p->drawn = p->terminal;
}

void progress_end(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    fflush(stderr);
    p->drawn = false;
}

/* ---- waiting ---- */

void waiting_begin(struct waiting *w)
{
    *w = (struct waiting){.begin_ms = fleet_now_ms(), .terminal = is_terminal()};
    w->shown_ms = w->begin_ms;
}

void waiting_line(const struct waiting *w, int64_t now_ms, int width, const char *reason, char *line, size_t cap)
{
    snprintf(line, cap, "waiting, %" PRId64 " s: %s", (now_ms - w->begin_ms) / 1000, reason);
    if (width > 0 && (size_t)width < cap)
        line[width - 1] = '\0'; /* the last column stays free */
}

void waiting_at(struct waiting *w, const char *reason)
{
    char line[WIDTH_MAX * 4 + 1];
    int64_t now = fleet_now_ms();
    if (now - w->shown_ms < (w->terminal ? WAITING_MS : PLAIN_MS))
        return;
    w->shown_ms = now;
    waiting_line(w, now, w->terminal ? columns() : 0, reason, line, sizeof line);
    if (w->terminal)
        fputc('\r', stderr);
    print_painted(stderr, false, PAINT_NONE, line);
    fputs(w->terminal ? "\033[K" : "\n", stderr);
    fflush(stderr);
    w->drawn = w->terminal;
}

void waiting_end(struct waiting *w)
{
    if (w->drawn)
        fputs("\r\033[K", stderr);
    fflush(stderr);
    w->drawn = false;
}
