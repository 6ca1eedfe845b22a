/* nodectl backup verify: every byte of a backup is read, and compared with what the manifest says. */
#include "nodectl/backup/folder.h"
#include "nodectl/backup/verbs.h"

#include "common/base/mem.h"
#include "nodectl/interrupt.h"
#include "nodectl/output.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct verify {
    const struct command_call *call;
    enum output_format format;
    struct manifest manifest;
    struct buf *why; /* of each shard; empty: it is right */
    struct buf problem;
    bool damaged;
};

/* No slot is in two files. One that is in none had no owner. */
static void check_slots(struct verify *v)
{
    uint8_t seen[CONTENT_SLOT_BYTES] = {0};
    for (size_t i = 0; i < v->manifest.n && v->problem.n == 0; i++) {
        for (size_t k = 0; k < sizeof seen; k++) {
            if ((seen[k] & v->manifest.v[i].slots[k]) != 0 && v->problem.n == 0)
                buf_printf(&v->problem, "%s has slots that another file has too", v->manifest.v[i].file);
            seen[k] |= v->manifest.v[i].slots[k];
        }
    }
}

static void read_files(struct verify *v, const char *path)
{
    struct progress progress;
    int64_t before = 0;
    progress_begin(&progress, "reading", "bytes", manifest_bytes(&v->manifest));
    for (size_t i = 0; i < v->manifest.n && !interrupted(); i++) {
        struct folder_reading how = {.progress = &progress, .before = before};
        v->damaged = !folder_read(path, &v->manifest.v[i], &how, &v->why[i]) || v->damaged;
        before += v->manifest.v[i].bytes;
    }
    progress_end(&progress);
    if (interrupted())
        buf_puts(&v->problem, "interrupted: not all files were read");
}

static void print_table(struct verify *v)
{
    static const char *const titles[] = {"FILE", "SLOTS", "KEYS", "SIZE", "STATE", NULL};
    struct table *t = table_new(titles);
    for (size_t i = 0; i < v->manifest.n; i++) {
        const struct manifest_shard *s = &v->manifest.v[i];
        struct buf slots = {0};
        content_put_slots(&slots, s->slots);
        table_cell(t, PAINT_NONE, "%s", s->file);
        table_cell(t, PAINT_NONE, slots.n > 40 ? "%.37s..." : "%s", buf_str(&slots));
        table_cell(t, PAINT_NONE, "%lld", (long long)s->keys);
        table_cell(t, PAINT_NONE, "%.1f MB", (double)s->bytes / 1e6);
        table_cell(t, v->why[i].n > 0 ? PAINT_BAD : PAINT_GOOD, "%s", v->why[i].n > 0 ? "damaged" : "ok");
        buf_free(&slots);
    }
    table_print(t, stdout, "", colour_wanted(stdout));
    table_free(t);
}

static void print_document(struct verify *v, bool ok)
{
    json_t *files = json_array(), *problems = json_array();
    for (size_t i = 0; i < v->manifest.n; i++) {
        const struct manifest_shard *s = &v->manifest.v[i];
        json_array_append_new(files, json_pack("{s:s, s:I, s:b, s:o}", "file", s->file, "keys", (json_int_t)s->keys,
                                               "ok", v->why[i].n == 0, "problem",
                                               v->why[i].n > 0 ? json_text(v->why[i].p, v->why[i].n) : json_null()));
        if (v->why[i].n > 0)
            json_array_append_new(problems, json_text(v->why[i].p, v->why[i].n));
    }
    if (v->problem.n > 0)
        json_array_append_new(problems, json_text(v->problem.p, v->problem.n));
    json_t *o = json_pack("{s:b, s:I, s:o, s:o}", "ok", ok, "keys", (json_int_t)manifest_keys(&v->manifest), "files",
                          files, "problems", problems);
    output_document(v->format, o);
    json_decref(o);
}

static int perform(struct verify *v, const char *path)
{
    bool whole = folder_manifest(path, &v->manifest, &v->problem);
    v->why = mem_zalloc((v->manifest.n + 1) * sizeof *v->why);
    if (whole) {
        check_slots(v);
        read_files(v, path);
    }
    bool ok = whole && !v->damaged && v->problem.n == 0;
    if (output_is_document(v->format))
        print_document(v, ok);
    else if (whole)
        print_table(v);
    if (ok && !output_is_document(v->format))
        printf("It is whole: %lld keys in %zu files, %.1f MB.\n", (long long)manifest_keys(&v->manifest), v->manifest.n,
               (double)manifest_bytes(&v->manifest) / 1e6);
    fflush(stdout);
    for (size_t i = 0; i < v->manifest.n; i++)
        command_fail_lines(v->call, buf_slice(&v->why[i]));
    command_fail_lines(v->call, buf_slice(&v->problem));
    return ok ? EXIT_OK : interrupted() ? EXIT_INTERRUPTED : EXIT_FAILED;
}

int backup_verify(const struct command_call *call)
{
    struct verify v = {.call = call};
    int code = output_format(call, &v.format);
    if (code == EXIT_OK) {
        interrupt_catch();
        code = perform(&v, call->argv[0]);
    }
    for (size_t i = 0; v.why != NULL && i < v.manifest.n; i++)
        buf_free(&v.why[i]);
    free(v.why);
    buf_free(&v.problem);
    manifest_free(&v.manifest);
    return code;
}
