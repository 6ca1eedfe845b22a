#include "nodectl/change.h"

#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int change_begin(struct change *c, const struct command_call *call, const struct asking *asking)
{
    *c = (struct change){.call = call,
                         .asking = asking,
                         .yes = command_value(call, "--yes") != NULL,
                         .dry = command_value(call, "--dry-run") != NULL};
    int code = asking_can_confirm(call, c->yes || c->dry);
    if (code != EXIT_OK)
        return code;
    c->steps = json_array();
    interrupt_catch();
    return EXIT_OK;
}

static void set_state(struct change *c, size_t step, const char *state)
{
    json_object_set_new(json_array_get(c->steps, step), "state", json_string(state));
}

size_t change_step(struct change *c, const char *fmt, ...)
{
    struct buf text = {0};
    json_t *o = json_object();
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    json_object_set_new(o, "step", json_text(buf_str(&text), text.n));
    json_object_set_new(o, "state", json_string("planned"));
    json_array_append_new(c->steps, o);
    buf_free(&text);
    return json_array_size(c->steps) - 1;
}

static void add_line(struct buf *lines, const char *fmt, va_list ap)
{
    buf_vprintf(lines, fmt, ap);
    buf_putc(lines, '\n');
}

void change_about(struct change *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_line(&c->about, fmt, ap);
    va_end(ap);
}

void change_warn(struct change *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_line(&c->warned, fmt, ap);
    va_end(ap);
}

void change_failed(struct change *c, const char *fmt, ...)
{
    va_list ap;
    if (c->failure.n > 0)
        return;
    va_start(ap, fmt);
    buf_vprintf(&c->failure, fmt, ap);
    va_end(ap);
    while (c->failure.n > 0 && c->failure.p[c->failure.n - 1] == '\n')
        c->failure.n--;
}

/* ---- the plan ---- */

static void show_plan(const struct change *c, const char *title)
{
    FILE *out = asking_people(c->asking);
    bool colour = colour_wanted(out);
    size_t i;
    const json_t *o;
    print_line(out, colour, PAINT_HEAD, "%s", title);
    print_lines(out, "  ", buf_slice(&c->about));
    json_array_foreach(c->steps, i, o)
    {
        print_line(out, colour, PAINT_NONE, "  %zu. %s", i + 1, json_string_value(json_object_get(o, "step")));
    }
    print_lines(out, "  ! ", buf_slice(&c->warned));
    fflush(out);
}

/* true: the question is to be asked. */
static bool planned(struct change *c, const char *title)
{
    if (c->failure.n > 0)
        return false;
    if (json_array_size(c->steps) == 0) {
        print_line(asking_people(c->asking), false, PAINT_NONE, "%s: nothing is to be done.", title);
        return false;
    }
    show_plan(c, title);
    return !c->dry;
}

bool change_agreed(struct change *c, const char *title, const char *question)
{
    if (!planned(c, title))
        return false;
    c->agreed = c->yes || asking_confirmed(c->asking, question);
    if (!c->agreed)
        change_failed(c, "nothing was done: it was not confirmed");
    return c->agreed;
}

bool change_agreed_by_word(struct change *c, const char *title, const char *question, const char *word)
{
    char *line = NULL;
    size_t cap = 0;
    FILE *out = asking_people(c->asking);
    if (!planned(c, title))
        return false;
    c->agreed = c->yes;
    if (!c->agreed) {
        print_painted(out, false, PAINT_NONE, question);
        fputs(" Type ", out);
        print_painted(out, false, PAINT_NONE, word);
        fputs(" to go on: ", out);
        fflush(out);
        ssize_t n = getline(&line, &cap, stdin);
        c->agreed = n > 0 && slice_is(slice_trim((struct slice){line, (size_t)n}), word);
        if (n <= 0)
            fputc('\n', out);
        free(line);
    }
    if (!c->agreed)
        change_failed(c, "nothing was done: %s was not typed", word);
    return c->agreed;
}

/* ---- the steps ---- */

static void show_step(const struct change *c, size_t step, enum paint paint, const char *after)
{
    FILE *out = asking_people(c->asking);
    print_line(out, paint != PAINT_NONE && colour_wanted(out), paint, "[%zu/%zu] %s%s", step + 1,
               json_array_size(c->steps), json_string_value(json_object_get(json_array_get(c->steps, step), "step")),
               after);
    fflush(out);
}

bool change_now(struct change *c, size_t step)
{
    if (interrupted()) {
        change_failed(c, "interrupted");
        return false;
    }
    set_state(c, step, "begun");
    c->began_ms = fleet_now_ms();
    show_step(c, step, PAINT_NONE, " ...");
    return true;
}

void change_did(struct change *c, size_t step)
{
    char took[48];
    set_state(c, step, "done");
    c->done++;
    snprintf(took, sizeof took, ": done, %.1f s", (double)(fleet_now_ms() - c->began_ms) / 1000);
    show_step(c, step, PAINT_GOOD, took);
}

void change_skipped(struct change *c, size_t step)
{
    set_state(c, step, "skipped");
    c->done++;
    show_step(c, step, PAINT_NONE, ": is so already");
}

/* ---- the end ---- */

static void close_steps(struct change *c)
{
    size_t i;
    json_t *o;
    json_array_foreach(c->steps, i, o)
    {
        if (strcmp(field_text(o, "state"), "begun") == 0)
            json_object_set_new(o, "state", json_string("failed"));
    }
}

static void put_document(struct change *c, json_t *o)
{
    json_object_set_new(o, "ok", json_boolean(c->failure.n == 0));
    json_object_set_new(o, "dry_run", json_boolean(c->dry));
    json_object_set(o, "steps", c->steps);
    json_object_set_new(o, "done", json_integer((json_int_t)c->done));
    json_object_set_new(o, "failure", c->failure.n > 0 ? json_text(c->failure.p, c->failure.n) : json_null());
    output_document(c->asking->format, o);
}

static void tell_failure(const struct change *c)
{
    size_t steps = json_array_size(c->steps);
    fflush(stdout);
    command_fail_lines(c->call, buf_slice(&c->failure));
    if (c->agreed && (c->done > 0 || c->go_on != NULL))
        print_line(stderr, false, PAINT_NONE, "%zu of %zu steps are done; %s.", c->done, steps,
                   c->go_on != NULL ? c->go_on : "the same command, given again, goes on");
}

int change_end(struct change *c, json_t *extra)
{
    bool failed = c->failure.n > 0;
    json_t *o = extra != NULL ? extra : json_object();
    close_steps(c);
    if (c->asking->document)
        put_document(c, o);
    if (failed)
        tell_failure(c);
    json_decref(o);
    json_decref(c->steps);
    buf_free(&c->about);
    buf_free(&c->warned);
    buf_free(&c->failure);
    return !failed ? EXIT_OK : interrupted() ? EXIT_INTERRUPTED : EXIT_FAILED;
}
