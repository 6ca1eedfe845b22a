#include "nodectl/backup/folder.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "nodectl/interrupt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char *joined(const char *folder, const char *name)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s", folder, name);
    return (char *)(uintptr_t)buf_str(&path);
}

static bool failed(struct buf *why, const char *path, const char *what)
{
    buf_printf(why, "%s cannot be %s: %s", path, what, strerror(errno));
    return false;
}

/* ---- making ---- */

/* What a file's name takes from a fleet's: letters, digits and a few signs. */
static void put_name(struct buf *out, const char *fleet)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    for (const char *p = fleet; *p != '\0'; p++)
        buf_putc(out, strchr(allowed, *p) != NULL || (*p == '.' && p > fleet) ? *p : '_');
}

static bool make_parents(const char *path, struct buf *why)
{
    char *copy = mem_strdup(path);
    bool ok = true;
    for (char *p = copy + 1; ok && *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        ok = mkdir(copy, 0755) == 0 || errno == EEXIST || failed(why, copy, "made");
        *p = '/';
    }
    ok = ok && (mkdir(copy, 0755) == 0 || errno == EEXIST || failed(why, copy, "made"));
    free(copy);
    return ok;
}

bool folder_make(struct folder *f, const char *parent, const char *fleet, int64_t now_ms, struct buf *why)
{
    char stamp[32];
    time_t s = (time_t)(now_ms / 1000);
    struct tm tm;
    struct buf name = {0};
    *f = (struct folder){.whole = NULL};
    put_name(&name, fleet[0] != '\0' ? fleet : "cluster");
    if (gmtime_r(&s, &tm) == NULL || strftime(stamp, sizeof stamp, "-%Y%m%dT%H%M%SZ", &tm) == 0)
        stamp[0] = '\0';
    buf_puts(&name, stamp);
    f->whole = joined(parent, buf_str(&name));
    buf_puts(&name, FOLDER_PARTIAL);
    char *partial = joined(parent, buf_str(&name));
    buf_free(&name);
    bool ok = make_parents(parent, why);
    if (ok && access(f->whole, F_OK) == 0) {
        errno = EEXIST;
        ok = failed(why, f->whole, "made");
    }
    ok = ok && (mkdir(partial, 0700) == 0 || failed(why, partial, "made"));
    if (ok)
        f->partial = partial;
    else
        free(partial);
    return ok;
}

int folder_file(const struct folder *f, const char *name, struct buf *why)
{
    char *path = joined(f->partial, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        failed(why, path, "made");
    free(path);
    return fd;
}

static bool write_manifest(const struct folder *f, const struct manifest *m, struct buf *why)
{
    json_t *json = manifest_json(m);
    char *text = json_dumps(json, JSON_INDENT(2)), *path = joined(f->partial, MANIFEST_FILE);
    int fd = folder_file(f, MANIFEST_FILE, why);
    bool ok = fd >= 0;
    if (ok && (!io_write_all(fd, slice_of(text)) || !io_write_all(fd, slice_of("\n")) || fsync(fd) != 0))
        ok = failed(why, path, "written");
    if (fd >= 0 && close(fd) != 0 && ok)
        ok = failed(why, path, "written");
    free(path);
    free(text);
    json_decref(json);
    return ok;
}

bool folder_finish(struct folder *f, const struct manifest *m, struct buf *why)
{
    if (!write_manifest(f, m, why))
        return false;
    if (!io_folder_flush(f->partial))
        return failed(why, f->partial, "written");
    if (rename(f->partial, f->whole) != 0)
        return failed(why, f->whole, "made");
    free(f->partial);
    f->partial = NULL;
    return io_name_flush(f->whole) || failed(why, f->whole, "written");
}

void folder_drop(struct folder *f)
{
    DIR *d = f->partial != NULL ? opendir(f->partial) : NULL;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
    if (f->partial != NULL)
        (void)rmdir(f->partial); /* what is left has a name that says what it is */
    free(f->partial);
    f->partial = NULL;
}

void folder_free(struct folder *f)
{
    free(f->whole);
    free(f->partial);
    *f = (struct folder){.whole = NULL};
}

/* ---- reading ---- */

static bool is_partial(const char *path)
{
    size_t n = strlen(path), tail = sizeof FOLDER_PARTIAL - 1;
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n > tail && memcmp(path + n - tail, FOLDER_PARTIAL, tail) == 0;
}

bool folder_manifest(const char *path, struct manifest *m, struct buf *why)
{
    struct buf text = {0};
    char *file = joined(path, MANIFEST_FILE);
    *m = (struct manifest){.n = 0};
    bool ok = !is_partial(path);
    if (!ok)
        buf_puts(why, "the backup is not whole: making it was cut short");
    else if (access(file, F_OK) != 0 && errno == ENOENT)
        ok = false, buf_puts(why, "there is no " MANIFEST_FILE ": it is no backup, or making it was cut short");
    else
        ok = io_file_read(file, MANIFEST_MAX, &text, why);
    if (ok) {
        json_error_t e;
        json_t *json = json_loadb(text.p != NULL ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &e);
        size_t before = why->n;
        buf_printf(why, "%s: ", file);
        if (json == NULL)
            buf_printf(why, "it is damaged: %s (line %d)", e.text, e.line);
        ok = json != NULL && manifest_read(m, json, why);
        if (ok)
            why->n = before;
        json_decref(json);
    }
    buf_free(&text);
    free(file);
    return ok;
}

struct reader {
    struct content content;
    struct sha256 sum;
    int64_t bytes;
    enum nd_rdb_status status;
    bool only_sum;
};

static bool take(struct reader *r, struct slice piece, struct buf *why)
{
    sha256_add(&r->sum, piece.p, piece.n);
    r->bytes += (int64_t)piece.n;
    if (r->only_sum)
        return true;
    if (r->status == ND_RDB_DONE) {
        buf_puts(why, "there is more than a dataset in it");
        return false;
    }
    r->status = content_feed(&r->content, &piece);
    if (r->status == ND_RDB_BAD)
        buf_puts(why, content_error(&r->content));
    else if (r->status == ND_RDB_DONE && piece.n > 0)
        buf_puts(why, "there is more than a dataset in it");
    return r->status != ND_RDB_BAD && piece.n == 0;
}

static bool read_all(struct reader *r, int fd, const struct folder_reading *how, struct buf *why)
{
    const size_t room = (size_t)1 << 20;
    char *piece = mem_alloc(room);
    ssize_t n;
    bool ok = true;
    while (ok && (n = read(fd, piece, room)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        ok = n >= 0 && !interrupted();
        if (!ok)
            buf_puts(why, n < 0 ? strerror(errno) : "interrupted");
        else
            ok = take(r, (struct slice){piece, (size_t)n}, why);
        if (ok && how->progress != NULL)
            progress_at(how->progress, how->before + r->bytes);
    }
    free(piece);
    return ok;
}

static bool is_as_told(struct reader *r, const struct manifest_shard *s, struct buf *why)
{
    char sum[SHA256_HEX + 1];
    sha256_end_hex(&r->sum, sum);
    if (r->bytes != s->bytes)
        buf_printf(why, "it has %lld bytes instead of %lld", (long long)r->bytes, (long long)s->bytes);
    else if (strcmp(sum, s->sha256) != 0)
        buf_puts(why, "its checksum is wrong: it is damaged");
    else if (!r->only_sum && r->status != ND_RDB_DONE)
        buf_puts(why, "it ends too early");
    else
        return true;
    return false;
}

/* The numbers of keys; the slots are looked at while they are counted. */
static bool has_the_keys(const struct content *c, const struct manifest_shard *s, struct buf *why)
{
    size_t n = c->n > s->ndatabases ? c->n : s->ndatabases;
    for (size_t db = 0; db < n; db++) {
        struct content_database is = db < c->n ? c->v[db] : (struct content_database){0, 0};
        struct content_database told = db < s->ndatabases ? s->databases[db] : (struct content_database){0, 0};
        if (is.keys == told.keys && is.expires == told.expires)
            continue;
        buf_printf(why, "database %zu has %lld keys of the shard's slots (%lld expire) instead of %lld (%lld)", db,
                   (long long)is.keys, (long long)is.expires, (long long)told.keys, (long long)told.expires);
        return false;
    }
    return true;
}

bool folder_read(const char *path, const struct manifest_shard *s, const struct folder_reading *how, struct buf *why)
{
    char *file = joined(path, s->file);
    struct reader r = {.only_sum = how->only_sum, .status = ND_RDB_MORE};
    struct buf reason = {0};
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool ok = fd >= 0;
    if (!ok) {
        buf_puts(&reason, strerror(errno));
    } else {
        content_begin(&r.content, s->slots);
        r.content.each = how->each;
        r.content.owner = how->owner;
        sha256_begin(&r.sum);
        ok = read_all(&r, fd, how, &reason) && is_as_told(&r, s, &reason) &&
             (r.only_sum || has_the_keys(&r.content, s, &reason));
        content_free(&r.content);
        close(fd);
    }
    if (!ok)
        buf_printf(why, "%s: %s", file, buf_str(&reason));
    buf_free(&reason);
    free(file);
    return ok;
}
