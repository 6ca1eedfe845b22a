/* nodectl fleet watch: the fleet on the whole screen, live. */
#include "nodectl/view/view_commands.h"

#include "nodectl/duration.h"
#include "nodectl/interrupt.h"
#include "nodectl/table.h"
#include "nodectl/view/feed.h"
#include "nodectl/view/overview.h"
#include "nodectl/view/watch.h"

#include <curses.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <term.h>
#include <unistd.h>

#define KEY_WAIT_MS 100
#define EVERY_MS 1000

/* ---- the terminal ---- */

struct terminal {
    SCREEN *screen;
    bool colour;
};

/* Nothing is written to it before it is known that it can be drawn on. */
static int check_terminal(const struct command_call *call)
{
    int found = 0;
    const char *term = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return command_fail(call, EXIT_USAGE,
                            "this is no terminal; `nodectl status` shows the same once, and -o json is for programs");
    bool fit = setupterm(NULL, STDOUT_FILENO, &found) == OK && found == 1 && cursor_address != NULL;
    if (cur_term != NULL)
        del_curterm(cur_term);
    if (!fit)
        return command_fail(call, EXIT_USAGE, "a terminal of the kind '%s' (TERM) cannot be drawn on",
                            term != NULL ? term : "");
    return EXIT_OK;
}

static bool terminal_open(struct terminal *t)
{
    setlocale(LC_CTYPE, "");
    t->screen = newterm(NULL, stdout, stdin);
    if (t->screen == NULL)
        return false;
    set_escdelay(25);
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    timeout(KEY_WAIT_MS);
    t->colour = colour_wanted(stdout) && has_colors() && start_color() == OK && use_default_colors() == OK;
    if (t->colour) {
        init_pair(PAINT_GOOD, COLOR_GREEN, -1);
        init_pair(PAINT_WARN, COLOR_YELLOW, -1);
        init_pair(PAINT_BAD, COLOR_RED, -1);
    }
    return true;
}

static void terminal_close(struct terminal *t)
{
    endwin();
    delscreen(t->screen);
}

static attr_t attributes(const struct terminal *t, enum paint paint)
{
    if (paint == PAINT_HEAD)
        return A_BOLD;
    if (paint == PAINT_NONE)
        return A_NORMAL;
    return t->colour ? COLOR_PAIR((short)paint) : paint == PAINT_BAD ? A_BOLD : A_NORMAL;
}

static void show(const struct terminal *t, const struct screen *s)
{
    erase();
    for (size_t i = 0; i < s->n; i++) {
        attr_t a = attributes(t, s->v[i].paint);
        (void)attron(a);
        mvaddstr(s->v[i].row, s->v[i].column, s->v[i].text);
        (void)attroff(a);
    }
    refresh();
}

/* ---- keys ---- */

/* false: the end. */
static bool obey(struct watch *w, int key)
{
    int page = w->page > 0 ? w->page : 1;
    switch (key) {
    case 'q':
    case 'Q': return false;
    case KEY_UP:
    case 'k': w->first--; break;
    case KEY_DOWN:
    case 'j': w->first++; break;
    case KEY_PPAGE: w->first -= page; break;
    case KEY_NPAGE: w->first += page; break;
    case KEY_HOME:
    case 'g': w->first = 0; break;
    case KEY_END:
    case 'G':
        w->first = 1 << 24; /* drawing keeps it within what there is */
        break;
    case 's':
        w->order = (w->order + 1) % WATCH_ORDERS;
        w->first = 0;
        break;
    case ' ': w->paused = !w->paused; break;
    default: break;
    }
    return true;
}

/* ---- the loop ---- */

struct live {
    struct watch watch;
    json_t *told; /* of feed_take() */
    int64_t told_ms;
};

static void hear(struct live *l, struct feed *feed)
{
    json_t *told = l->watch.paused ? NULL : feed_take(feed);
    if (told != NULL) {
        json_decref(l->told);
        l->told = told;
        l->told_ms = fleet_now_ms();
        l->watch.status = json_object_get(told, "status");
        l->watch.events = json_object_get(told, "events");
        if (json_is_null(l->watch.events))
            l->watch.events = NULL;
        l->watch.wall_ms = json_integer_value(json_object_get(told, "wall_ms"));
    }
    l->watch.age_ms = fleet_now_ms() - l->told_ms;
}

static void watch_on(const struct terminal *t, struct feed *feed, enum watch_order order)
{
    struct live l = {.watch = {.order = order}, .told_ms = fleet_now_ms()};
    struct screen s = {.width = 0};
    do {
        hear(&l, feed);
        screen_begin(&s, COLS, LINES);
        watch_draw(&l.watch, &s);
        show(t, &s);
    } while (!interrupted() && obey(&l.watch, getch()) && !interrupted());
    screen_free(&s);
    json_decref(l.told);
}

static int watch(const struct command_call *call, const struct asking *a, int every_ms)
{
    struct terminal t;
    struct feed *feed = feed_start(a, (const char *const *)call->argv, (size_t)call->argc, every_ms);
    if (feed == NULL)
        return command_fail(call, EXIT_FAILED, "the system gives no thread");
    interrupt_catch();
    int code = EXIT_OK;
    if (terminal_open(&t)) {
        watch_on(&t, feed, WATCH_BY_NAME);
        terminal_close(&t);
    } else {
        code = command_fail(call, EXIT_FAILED, "the terminal cannot be drawn on");
    }
    if (!feed_stop(feed))
        _exit(code); /* its thread waits for an answer, and uses what would be freed now; nobody waits for that */
    return code;
}

/* Somebody must answer at the beginning; later on, the corner of the screen says when nobody does. */
static int first_look(const struct command_call *call, const struct asking *a)
{
    struct overview o;
    overview_take(&o, a, (const char *const *)call->argv, (size_t)call->argc);
    int code = asking_nobody(call, a, &o.fleet) ? EXIT_NOBODY : EXIT_OK;
    overview_free(&o);
    return code;
}

static int run(const struct command_call *call)
{
    struct asking a;
    int64_t every_ms = EVERY_MS;
    const char *every = command_value(call, "--every");
    if (every != NULL && !duration_parse(every, 100, 3600000, &every_ms))
        return command_fail(call, EXIT_USAGE, "--every is '%s', but must be a time from 100ms to 1h", every);
    int code = asking_read(call, &a);
    if (code == EXIT_OK)
        code = first_look(call, &a);
    if (code == EXIT_OK)
        code = check_terminal(call);
    if (code == EXIT_OK)
        code = watch(call, &a, (int)every_ms);
    asking_free(&a);
    return code;
}

static const struct command_option options[] = {
    {"--every", "-n", "TIME", "how often all is asked: 500ms, 2s (default 1s)"},
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_fleet_watch = {
    .name = "watch",
    .arguments = "[GROUP...]",
    .summary =
        "Watch the fleet on the whole screen: shards with lag, requests, slots and leases, what is wrong, events.",
    .text = ASKING_TEXT
    "\n"
    "Keys: q or Ctrl-C ends it; Up, Down, PgUp, PgDn, Home and End scroll; s orders by name, by trouble, by lag, by\n"
    "requests; Space holds the picture. Columns that do not fit are left out. Colours as of all commands: not when\n"
    "NO_COLOR is set.\n"
    "\n"
    "Example:\n"
    "  nodectl fleet watch\n"
    "  nodectl fleet watch orders --every 500ms\n"
    "\n"
    "Exit status: 0 it was ended; 1 the terminal or the system failed; 2 the command line or the configuration file\n"
    "is wrong, or this is no terminal that can be drawn on; 3 no supervisor can be reached.",
    .options = options,
    .min_args = 0,
    .max_args = -1,
    .run = run,
};
