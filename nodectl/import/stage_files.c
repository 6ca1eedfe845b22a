#include "nodectl/import/stage_files.h"

#include "common/io/file.h"
#include "nodectl/interrupt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20)

static bool fail(struct buf *why, const char *path, const char *text)
{
    buf_printf(why, "%s: %s", path, text);
    return false;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool copy_bytes(int from, int to, char *piece)
{
    for (ssize_t n; (n = read(from, piece, PIECE)) != 0;) {
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0 && !io_write_all(to, (struct slice){piece, (size_t)n}))
            return false;
        if (interrupted()) {
            errno = EINTR;
            return false;
        }
    }
    return true;
}

static bool copy(const char *path, const char *to, struct buf *why)
{
    int in = open(path, O_RDONLY | O_CLOEXEC), out = -1;
    char *piece = malloc(PIECE);
    if (in >= 0)
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = piece != NULL && out >= 0 && copy_bytes(in, out, piece);
    if (!ok)
        fail(why, out >= 0 ? to : path, strerror(errno));
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    free(piece);
    return ok;
}

/* The name before ".manifest" of the folder's only manifest. */
static bool find_manifest(struct stage_files *f, const char *folder)
{
    static const char end[] = ".manifest";
    DIR *d = opendir(folder);
    size_t found = 0;
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name), m = sizeof end - 1;
        if (n <= m || n - m >= sizeof f->name || strcmp(e->d_name + n - m, end) != 0)
            continue;
        memcpy(f->name, e->d_name, n - m);
        f->name[n - m] = '\0';
        found++;
    }
    if (d != NULL)
        (void)closedir(d);
    return found == 1;
}

static bool copy_folder(const char *path, const char *folder, struct buf *why)
{
    struct buf to = {0}, from = {0};
    buf_printf(&to, "%s/appendonlydir", folder);
    bool ok = mkdir(buf_str(&to), 0700) == 0 || fail(why, buf_str(&to), strerror(errno));
    DIR *d = ok ? opendir(path) : NULL;
    for (const struct dirent *e; ok && d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        buf_clear(&from);
        buf_clear(&to);
        buf_printf(&from, "%s/%s", path, e->d_name);
        buf_printf(&to, "%s/appendonlydir/%s", folder, e->d_name);
        ok = is_folder(buf_str(&from)) || copy(buf_str(&from), buf_str(&to), why);
    }
    if (d != NULL)
        (void)closedir(d);
    buf_free(&to);
    buf_free(&from);
    return ok;
}

/* A file that begins as an RDB file, unless it is called an append-only file: those may begin so too. */
static bool is_snapshot(const char *path, bool *readable)
{
    char head[6] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = strlen(path);
    *readable = fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head;
    if (fd >= 0)
        close(fd);
    bool begins = memcmp(head, "REDIS", 5) == 0 || memcmp(head, "VALKEY", 6) == 0;
    return *readable && begins && (n < 4 || strcmp(path + n - 4, ".aof") != 0);
}

static bool put_file(struct stage_files *f, const char *path, const char *folder, struct buf *why)
{
    bool readable, snapshot = is_snapshot(path, &readable), ok;
    struct buf to = {0};
    char *whole = io_path_absolute(path);
    if (!readable) {
        free(whole);
        return fail(why, path, errno != 0 ? strerror(errno) : "it is neither an RDB file nor an append-only file");
    }
    f->append_only = !snapshot;
    snprintf(f->name, sizeof f->name, "appendonly.aof");
    buf_printf(&to, "%s/%s", folder, snapshot ? "dump.rdb" : f->name);
    if (snapshot)
        ok = (whole != NULL && symlink(whole, buf_str(&to)) == 0) || fail(why, path, strerror(errno));
    else
        ok = copy(path, buf_str(&to), why);
    buf_free(&to);
    free(whole);
    return ok;
}

bool stage_files_put(struct stage_files *f, const char *path, const char *folder, struct buf *why)
{
    struct buf inner = {0};
    bool ok;
    errno = 0;
    *f = (struct stage_files){.append_only = true};
    buf_printf(&inner, "%s/appendonlydir", path);
    if (!is_folder(path)) {
        ok = put_file(f, path, folder, why);
    } else if (find_manifest(f, path)) {
        ok = copy_folder(path, folder, why);
    } else if (find_manifest(f, buf_str(&inner))) {
        ok = copy_folder(buf_str(&inner), folder, why);
    } else {
        buf_clear(&inner);
        buf_printf(&inner, "%s/dump.rdb", path);
        ok = access(buf_str(&inner), R_OK) == 0
                 ? put_file(f, buf_str(&inner), folder, why)
                 : fail(why, path, "it has neither a dump.rdb nor a manifest of append-only files");
    }
    buf_free(&inner);
    return ok;
}
