/* nodectl backup list: what lies in a folder, whole backups and cut ones. The files are not read: that is verify's
 * part. */
#include "nodectl/backup/folder.h"
#include "nodectl/backup/verbs.h"

#include "common/base/mem.h"
#include "nodectl/output.h"
#include "nodectl/reply_json.h"
#include "nodectl/table.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct found {
    char *name, *path;
    struct manifest manifest;
    bool read;      /* there is a manifest, and it is right */
    struct buf why; /* empty: whole, as far as can be seen without reading the files */
};

struct list {
    struct found *v;
    size_t n;
};

static bool exists(const char *folder, const char *name)
{
    struct buf path = {0};
    struct stat st;
    buf_printf(&path, "%s/%s", folder, name);
    bool is = stat(buf_str(&path), &st) == 0;
    buf_free(&path);
    return is;
}

static bool ends_partial(const char *name)
{
    size_t n = strlen(name), tail = sizeof FOLDER_PARTIAL - 1;
    return n > tail && strcmp(name + n - tail, FOLDER_PARTIAL) == 0;
}

static void check_files(struct found *f)
{
    for (size_t i = 0; i < f->manifest.n && f->why.n == 0; i++) {
        const struct manifest_shard *s = &f->manifest.v[i];
        struct buf path = {0};
        struct stat st;
        buf_printf(&path, "%s/%s", f->path, s->file);
        if (stat(buf_str(&path), &st) != 0)
            buf_printf(&f->why, "%s: %s", s->file, strerror(errno));
        else if (st.st_size != s->bytes)
            buf_printf(&f->why, "%s has %lld bytes instead of %lld", s->file, (long long)st.st_size,
                       (long long)s->bytes);
        buf_free(&path);
    }
}

static void add(struct list *l, const char *parent, const char *name)
{
    struct buf path = {0};
    l->v = mem_array(l->v, l->n + 1, sizeof *l->v);
    struct found *f = &l->v[l->n++];
    buf_printf(&path, parent[0] != '\0' ? "%s/%s" : "%s%s", parent, name);
    *f = (struct found){.name = mem_strdup(name), .path = mem_strdup(buf_str(&path))};
    buf_free(&path);
    f->read = folder_manifest(f->path, &f->manifest, &f->why);
    if (f->read)
        check_files(f);
}

/* A folder is a backup when it has a manifest, or says by its name that it was to become one. */
static bool look(struct list *l, const char *folder, struct buf *why)
{
    if (exists(folder, MANIFEST_FILE) || ends_partial(folder)) {
        add(l, "", folder);
        return true;
    }
    DIR *d = opendir(folder);
    if (d == NULL) {
        buf_printf(why, "%s cannot be read: %s", folder, strerror(errno));
        return false;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct buf path = {0};
        buf_printf(&path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.' && (ends_partial(e->d_name) || exists(buf_str(&path), MANIFEST_FILE)))
            add(l, folder, e->d_name);
        buf_free(&path);
    }
    closedir(d);
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->manifest.created_ms != y->manifest.created_ms)
        return x->manifest.created_ms < y->manifest.created_ms ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* ---- printing ---- */

static json_t *found_json(struct found *f)
{
    json_t *o = json_pack("{s:o, s:b, s:o}", "backup", json_text(f->path, strlen(f->path)), "whole", f->why.n == 0,
                          "problem", f->why.n > 0 ? json_text(f->why.p, f->why.n) : json_null());
    if (f->read) {
        json_t *m = manifest_json(&f->manifest);
        json_object_update_missing(o, m);
        json_decref(m);
    }
    return o;
}

static void print_table(const struct list *l)
{
    static const char *const titles[] = {"BACKUP", "FLEET", "CREATED", "SHARDS", "KEYS", "SIZE", "STATE", NULL};
    struct table *t = table_new(titles);
    for (size_t i = 0; i < l->n; i++) {
        struct found *f = &l->v[i];
        char time[MANIFEST_TIME];
        table_cell(t, PAINT_NONE, "%s", f->name);
        table_cell(t, PAINT_NONE, "%s", f->read && f->manifest.fleet[0] != '\0' ? f->manifest.fleet : "-");
        if (f->read) {
            table_cell(t, PAINT_NONE, "%s", manifest_time(f->manifest.created_ms, time));
            table_cell(t, PAINT_NONE, "%zu", f->manifest.n);
            table_cell(t, PAINT_NONE, "%lld", (long long)manifest_keys(&f->manifest));
            table_cell(t, PAINT_NONE, "%.1f MB", (double)manifest_bytes(&f->manifest) / 1e6);
        } else {
            for (int k = 0; k < 4; k++)
                table_cell(t, PAINT_NONE, "-");
        }
        table_cell(t, f->why.n > 0 ? PAINT_BAD : PAINT_GOOD, "%s", f->why.n > 0 ? buf_str(&f->why) : "whole");
    }
    if (l->n > 0)
        table_print(t, stdout, "", colour_wanted(stdout));
    else
        puts("There is no backup.");
    table_free(t);
}

static void print(const struct list *l, enum output_format format)
{
    if (!output_is_document(format)) {
        print_table(l);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(list, found_json(&l->v[i]));
    json_t *o = json_pack("{s:o}", "backups", list);
    output_document(format, o);
    json_decref(o);
}

int backup_list(const struct command_call *call)
{
    struct list l = {.v = NULL};
    struct buf why = {0};
    enum output_format format;
    int code = output_format(call, &format);
    bool damaged = false;
    if (code == EXIT_OK && !look(&l, call->argc > 0 ? call->argv[0] : ".", &why)) {
        command_fail_lines(call, buf_slice(&why));
        code = EXIT_FAILED;
    } else if (code == EXIT_OK) {
        if (l.n > 0)
            qsort(l.v, l.n, sizeof *l.v, by_time);
        print(&l, format);
    }
    for (size_t i = 0; i < l.n; i++) {
        damaged = damaged || l.v[i].why.n > 0;
        free(l.v[i].name);
        free(l.v[i].path);
        manifest_free(&l.v[i].manifest);
        buf_free(&l.v[i].why);
    }
    free(l.v);
    buf_free(&why);
    return code == EXIT_OK && damaged ? EXIT_FAILED : code;
}
