#include "tests/unit/cmd/answers.h"

#include "common/resp/inline.h"
#include "noded/cmd/notify.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One command with what is expected of it. */
struct step {
    int line;
    struct buf command, answer, events, effects;
    bool effects_said;
};

static void clear(struct step *s)
{
    buf_clear(&s->command);
    buf_clear(&s->answer);
    buf_clear(&s->events);
    buf_clear(&s->effects);
    s->effects_said = false;
}

static void one_line(struct buf *out, const char *answer)
{
    for (; *answer != '\0'; answer++)
        if (*answer != '\r')
            buf_putc(out, *answer == '\n' ? ' ' : *answer);
    if (out->n > 0 && out->p[out->n - 1] == ' ')
        out->n--;
}

/* The words of the command, with a space between. */
static void plain(struct buf *out, const char *command)
{
    struct slice line = slice_of(command);
    struct buf word = {0};
    for (const char *between = ""; inline_next_quoted(&line, &word) == INLINE_WORD; between = " ") {
        buf_puts(out, between);
        buf_put(out, word.p, word.n);
        buf_clear(&word);
    }
    buf_putc(out, '\n');
    buf_free(&word);
}

/* Messages of a client that listens to __keyevent@0__: the fifth line names the event, the seventh the key. */
static void read_events(struct buf *out, const char *messages)
{
    int part = 0;
    for (const char *end; (end = strstr(messages, "\r\n")) != NULL; messages = end + 2, part++) {
        const char *colon = memchr(messages, ':', (size_t)(end - messages));
        if (part % 9 == 6 && colon != NULL)
            buf_put(out, colon + 1, (size_t)(end - colon - 1));
        else if (part % 9 == 8)
            buf_printf(out, " %.*s\n", (int)(end - messages), messages);
    }
}

static void read_effects(struct buf *out, const char *rows)
{
    for (const char *end; (end = strchr(rows, '\n')) != NULL; rows = end + 1)
        if (*rows != '{' && *rows != '}')
            buf_put(out, rows + 2, (size_t)(end + 1 - rows - 2)); /* without "0 " */
}

static void same(const char *path, struct step *s, const char *what, struct buf *expected, struct buf *got)
{
    if (!slice_eq(buf_slice(expected), buf_slice(got)))
        fail_msg("%s:%d: %s\n%s expected:\n%s\n%s got:\n%s", path, s->line, buf_str(&s->command), what,
                 buf_str(expected), what, buf_str(got));
    buf_clear(got);
}

static void check(const char *path, struct fixture *f, struct client *listener, struct step *s)
{
    if (s->command.n == 0)
        return;
    struct buf got = {0};
    one_line(&got, run(f, buf_str(&s->command)));
    if (slice_is(buf_slice(&s->answer), "hello"))
        buf_clear(&got);
    else
        same(path, s, "answer", &s->answer, &got);
    read_events(&got, client_read(listener));
    same(path, s, "events", &s->events, &got);
    if (!s->effects_said && s->events.n > 0)
        plain(&s->effects, buf_str(&s->command));
    read_effects(&got, fixture_effects(f));
    same(path, s, "effects", &s->effects, &got);
    buf_free(&got);
    clear(s);
}

static void free_step(struct step *s)
{
    buf_free(&s->command);
    buf_free(&s->answer);
    buf_free(&s->events);
    buf_free(&s->effects);
}

void answers_check(const char *path)
{
    FILE *in = fopen(path, "r");
    if (in == NULL)
        fail_msg("%s is not there", path);
    struct fixture *f = fixture_new();
    f->e->config.notify_events = ND_EV_KEYEVENT | ND_EV_ALL;
    struct client *listener = fixture_client(f);
    client_run(listener, "PSUBSCRIBE __keyevent@0__:*");
    char text[2048];
    struct step s = {0};
    int commands = 0;
    for (int line = 1; fgets(text, sizeof text, in) != NULL; line++) {
        text[strcspn(text, "\n")] = '\0';
        const char *rest = text[0] != '\0' && text[1] == ' ' ? text + 2 : text;
        switch (text[0]) {
        case '>':
            check(path, f, listener, &s);
            s.line = line;
            buf_puts(&s.command, rest);
            commands++;
            break;
        case '=': buf_puts(&s.answer, rest); break;
        case '@': buf_printf(&s.events, "%s\n", rest); break;
        case '!':
            buf_printf(&s.effects, "%s\n", rest);
            s.effects_said = true;
            break;
        default: assert_true(text[0] == '#' || text[0] == '\0');
        }
    }
    check(path, f, listener, &s);
    assert_true(commands > 10);
    fixture_assert_copied(f);
    free_step(&s);
    fixture_free(f);
    fclose(in);
}
