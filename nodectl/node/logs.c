#include "nodectl/node/verbs.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/drill/process.h"
#include "nodectl/local/layout.h"
#include "nodectl/node/answers.h"
#include "nodectl/node/tail.h"
#include "nodectl/node/work.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_DEFAULT 50
#define LINES_MAX 1000000

/* Where the log of a node is: a file, or the journal's lines of a unit. */
struct log_place {
    char *file; /* owned; NULL: it is in the journal */
    struct unit unit;
};

static void free_place(struct log_place *p)
{
    unit_free(&p->unit);
    free(p->file);
}

/* What is set at the node, relative to its folder. */
static char *setting(struct node_work *w, struct picture_node *n, const char *name)
{
    struct buf ignored = {0};
    const redisReply *r = picture_askf(&w->picture, n, &ignored, "CONFIG GET %s", name);
    bool told = r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
                r->element[1]->type == REDIS_REPLY_STRING && r->element[1]->len > 0;
    char *value = told ? mem_strdup(r->element[1]->str) : NULL;
    buf_free(&ignored);
    return value;
}

static char *log_file(struct node_work *w, struct picture_node *n)
{
    char *file = setting(w, n, "logfile"), *dir = setting(w, n, "dir");
    struct buf path = {0};
    if (file != NULL && dir != NULL && file[0] != '/') {
        buf_printf(&path, "%s/%s", dir, file);
        free(file);
        file = mem_strdup(buf_str(&path));
    }
    buf_free(&path);
    free(dir);
    return file;
}

/* Of a node that fleet create made on this host, whether it runs or not. */
static char *made_log(const struct node_work *w, const struct picture_node *n)
{
    struct layout l = {.n = 0};
    struct buf ignored = {0};
    char *path = NULL;
    if (w->asking.targets.dir != NULL && layout_load(&l, w->asking.targets.dir, &ignored))
        for (size_t i = 0; i < l.n && path == NULL; i++)
            if (addr_eq(&l.v[i].addr, &n->addr) && layout_is_here(&l.v[i]))
                path = layout_path(&l, &l.v[i], "log");
    layout_free(&l);
    buf_free(&ignored);
    return path;
}

static bool find_place(struct node_work *w, struct picture_node *n, struct log_place *place)
{
    struct local_process process = {.fd = -1};
    const redisReply *r = picture_askf(&w->picture, n, &w->why, "INFO server");
    char text[ADDR_TEXT_MAX];
    if (r == NULL || r->str == NULL)
        return (place->file = made_log(w, n)) != NULL;
    int64_t pid = answer_number(r->str, "process_id", 0);
    struct buf reason = {0};
    enum process_found found = process_find(&process, &n->addr, pid, &reason);
    place->file = log_file(w, n);
    /* A unit may be told to write to a file, as those of fleet create are. */
    if (found == PROCESS_HERE && place->file == NULL && process.output != NULL) {
        place->file = mem_strdup(process.output);
    } else if (found == PROCESS_HERE && place->file == NULL) {
        place->unit = process.unit;
        process.unit = (struct unit){.name = NULL};
    }
    bool here = found == PROCESS_HERE && (place->unit.name != NULL || place->file != NULL);
    if (found == PROCESS_HERE && !here)
        buf_printf(&w->why,
                   "%s logs to neither a file nor the journal: its standard output was given to another program",
                   node_text(n, text));
    else if (!here)
        buf_printf(&w->why, "the log of %s has to be read on its host: %s%s%s", node_text(n, text), buf_str(&reason),
                   place->file != NULL ? ". Its file is " : "", place->file != NULL ? place->file : "");
    process_free(&process);
    buf_free(&reason);
    return here;
}

static _Noreturn void show_journal(const struct command_call *call, const struct unit *unit, int64_t lines, bool follow)
{
    char count[24];
    snprintf(count, sizeof count, "%lld", (long long)lines);
    fflush(stdout);
    execlp("journalctl", "journalctl", "--no-pager", unit->of_user ? "--user-unit" : "-u", unit->name, "-n", count,
           follow ? "-f" : (char *)NULL, (char *)NULL);
    exit(command_fail(call, EXIT_FAILED, "journalctl can't be started; the log is that of the unit %s", unit->name));
}

static bool show_file(const struct node_work *w, const char *file, size_t lines, bool follow, struct buf *why)
{
    struct buf text = {0};
    if (!w->asking.document)
        return tail_print(file, lines, follow, why);
    bool ok = tail_read(file, lines, &text, why);
    if (ok) {
        json_t *o = json_pack("{s:o, s:o}", "file", json_text(file, strlen(file)), "lines",
                              output_lines(buf_slice(&text)));
        output_document(w->asking.format, o);
        json_decref(o);
    }
    buf_free(&text);
    return ok;
}

int node_logs(const struct command_call *call)
{
    struct node_work w;
    struct log_place place = {.file = NULL};
    int64_t lines = LINES_DEFAULT;
    const char *wanted = command_value(call, "--lines");
    bool follow = command_value(call, "--follow") != NULL;
    int code = node_read(&w, call);
    if (code == EXIT_OK && wanted != NULL && !text_range(slice_of(wanted), 0, LINES_MAX, &lines))
        code = command_fail(call, EXIT_USAGE, "--lines is '%s', but must be a number up to %d", wanted, LINES_MAX);
    if (code == EXIT_OK)
        code = node_begin(&w, false);
    struct picture_node *n = code == EXIT_OK ? picture_find(&w.picture, call->argv[0], &w.why) : NULL;
    if (code == EXIT_OK && (n == NULL || !find_place(&w, n, &place)))
        code = command_fail(call, EXIT_FAILED, "%s", buf_str(&w.why));
    if (code == EXIT_OK && w.asking.document && (follow || place.file == NULL))
        code = command_fail(call, EXIT_USAGE, "--output %s is for the lines of a file, without --follow",
                            command_value(call, "--output"));
    if (code == EXIT_OK && place.file == NULL)
        show_journal(call, &place.unit, lines, follow);
    if (code == EXIT_OK && follow)
        interrupt_catch();
    if (code == EXIT_OK && !show_file(&w, place.file, (size_t)lines, follow, &w.why))
        code = command_fail(call, EXIT_FAILED, "%s", buf_str(&w.why));
    free_place(&place);
    return node_end(&w, code, NULL);
}
