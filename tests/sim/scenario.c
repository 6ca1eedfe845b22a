#include "tests/sim/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/sim/stage.h"

void complain(struct stage *s, const char *fmt, ...)
{
    if (s->complaint[0] != '\0')
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->complaint, sizeof s->complaint, fmt, ap);
    va_end(ap);
}

bool word_is(const struct stage *s, int i, const char *word)
{
    return i < s->nwords && strcmp(s->words[i], word) == 0;
}

int64_t word_number(struct stage *s, int i)
{
    int64_t n = 0;
    if (i >= s->nwords || !text_i64(slice_of(s->words[i]), &n))
        complain(s, "word %d of the line must be a number", i + 1);
    return n;
}

bool word_is_super(const struct stage *s, int i)
{
    return i < s->nwords && s->words[i][0] == 's' && s->words[i][1] >= '1' && s->words[i][1] <= '0' + s->plan.supers &&
           s->words[i][2] == '\0';
}

struct super *word_super(struct stage *s, int i)
{
    if (word_is_super(s, i))
        return &s->world->supers[s->words[i][1] - '1'];
    complain(s, "word %d of the line must be a supervisor, s1 to s%d", i + 1, s->plan.supers);
    return NULL;
}

struct node *word_node(struct stage *s, int i)
{
    for (int k = 0; i < s->nwords && k < s->nnodes; k++)
        if (strcmp(s->names[k], s->words[i]) == 0)
            return &s->world->nodes[k];
    complain(s, "word %d of the line must be the name of a server", i + 1);
    return NULL;
}

static void split(struct stage *s, char *line)
{
    char *comment = strchr(line, '#'), *rest = NULL;
    if (comment != NULL)
        *comment = '\0';
    s->nwords = 0;
    for (char *word = strtok_r(line, " \t\r\n", &rest); word != NULL; word = strtok_r(NULL, " \t\r\n", &rest)) {
        if (s->nwords == WORDS_MAX) {
            complain(s, "more than %d words in one line", WORDS_MAX);
            return;
        }
        s->words[s->nwords++] = word;
    }
}

static void play_line(struct stage *s)
{
    if (s->nwords == 0)
        return;
    bool known = s->world == NULL ? stage_set_up(s) : stage_act(s) || stage_expect(s);
    if (!known)
        complain(s, "nothing is called %s %s settle", s->words[0], s->world == NULL ? "before" : "after");
    if (s->world != NULL && s->world->violation != NULL)
        complain(s, "rule %s is broken: %s", s->world->rule, s->world->violation);
}

static void title(char *out, size_t size, const char *line)
{
    size_t n = strcspn(line + 1, "\r\n");
    snprintf(out, size, "%.*s", (int)n, line + 1);
}

static bool play(const char *path, FILE *f, enum recording recording)
{
    struct stage *s = mem_zalloc(sizeof *s);
    char line[500], name[200] = "", text[500] = "";
    int number = 0;
    s->recording = recording;
    s->plan.seed = 1;
    s->plan.delay_us = 200;
    s->plan.repl_timeout_ms = 5000;
    s->plan.sync_ms = 50;
    s->plan.relays_hello = true;
    s->plan.ordered = true;
    while (s->complaint[0] == '\0' && fgets(line, sizeof line, f) != NULL) {
        number++;
        if (line[0] == '#' && name[0] == '\0')
            title(name, sizeof name, line);
        snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\r\n"), line);
        split(s, line);
        if (s->world != NULL && s->nwords > 0)
            RECORD(s->world, "-----", "%s", text);
        play_line(s);
    }
    bool held = s->complaint[0] == '\0' && s->world != NULL;
    if (s->world == NULL)
        complain(s, "the file ends without settle");
    if (!held && s->world != NULL && s->world->record != NULL)
        record_print(s->world->record);
    printf("%-4s%s\n", held ? "ok" : "FAIL", name[0] != '\0' ? name : path);
    if (!held)
        printf("     %s:%d: %s: %s\n", path, number, text, s->complaint);
    if (s->world != NULL)
        world_free(s->world);
    free(s->seen);
    free(s);
    return held;
}

int scenarios_play(int argc, char **argv)
{
    enum recording recording = RECORD_LAST_LINES;
    int passed = 0, failed = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            recording = RECORD_AT_ONCE;
            continue;
        }
        FILE *f = fopen(argv[i], "r");
        bool held = f != NULL && play(argv[i], f, recording);
        if (f == NULL)
            printf("FAIL %s: %s\n", argv[i], strerror(errno));
        else
            fclose(f);
        *(held ? &passed : &failed) += 1;
    }
    if (passed + failed == 0)
        printf("FAIL there are no scenarios\n");
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
