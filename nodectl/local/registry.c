#include "nodectl/local/registry.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "nodectl/interrupt.h"
#include "nodectl/local/registry_text.h"
#include "nodectl/local/replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)16 << 20)
#define LOCK_MS 5000 /* another nodectl is done with it in milliseconds */

char *registry_path(const char *config)
{
    struct buf path = {0};
    const char *home = getenv("HOME");
    if (config != NULL)
        return io_path_absolute(config);
    if (home == NULL || home[0] == '\0')
        return NULL;
    buf_printf(&path, "%s/.config/nodectl.conf", home);
    char *own = slice_dup(buf_slice(&path));
    buf_free(&path);
    return own;
}

bool registry_find(const char *path, const char *name, struct targets *found, struct buf *why)
{
    struct targets *list;
    size_t n;
    *found = (struct targets){0};
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    if (!targets_all(path, &list, &n, why))
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].fleet, name) == 0) {
            *found = list[i];
            list[i] = (struct targets){0};
        }
    targets_free_all(list, n);
    return true;
}

/* ---- an entry as text ---- */

static void put_text(struct buf *out, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    buf_printf(out, " %s = ", key);
    conf_write_string(out, slice_of(value));
    buf_putc(out, ';');
}

static void put_addresses(struct buf *out, const char *key, const struct conf_addresses *list)
{
    char text[ADDR_TEXT_MAX];
    if (list->n == 0)
        return;
    buf_printf(out, "\n    %s = [", key);
    for (size_t i = 0; i < list->n; i++)
        buf_printf(out, "%s\"%s\"", i > 0 ? ", " : " ", addr_text(&list->v[i], text));
    buf_puts(out, " ];");
}

static void put_entry(struct buf *out, const struct targets *t)
{
    buf_putc(out, '{');
    put_text(out, "name", t->fleet);
    put_text(out, "dir", t->dir);
    put_text(out, "user", t->user);
    put_text(out, "password_file", t->password_file);
    put_text(out, "node_user", t->node_user);
    put_text(out, "node_password_file", t->node_password_file);
    put_addresses(out, "supervisors", &t->supervisors);
    put_addresses(out, "seeds", &t->seeds);
    buf_puts(out, " }");
}

/* ---- changing the file ---- */

/* A lock on its folder, so that nothing is left behind. -1: the reason is appended to why. */
static int lock(const char *path, struct buf *why)
{
    char *folder = io_path_folder(path);
    int fd = make_folders(folder, 0755, why) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    for (int waited = 0; fd >= 0 && !locked && errno == EWOULDBLOCK && waited < LOCK_MS && interrupt_sleep(10);
         waited += 10)
        locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!locked && why->n == 0)
        buf_printf(why, "%s cannot be locked (%s): is another nodectl changing %s?", folder, strerror(errno), path);
    if (!locked && fd >= 0) {
        close(fd);
        fd = -1;
    }
    free(folder);
    return fd;
}

/* A file that cannot be read is the operator's to mend: its lines are named. */
static bool is_readable(const char *path, struct slice text, struct buf *why)
{
    struct conf_problems problems = {0};
    struct conf_file *file = conf_parse(path, text, &problems);
    bool ok = file != NULL && problems.count == 0;
    buf_put(why, problems.text.p, problems.text.n);
    buf_free(&problems.text);
    conf_free(file);
    return ok;
}

static bool read_text(const char *path, struct buf *text, struct buf *why)
{
    return (access(path, F_OK) != 0 && errno == ENOENT) || io_file_read(path, FILE_BYTES_MAX, text, why);
}

bool registry_add(const char *path, const struct targets *t, struct buf *why)
{
    struct buf text = {0}, entry = {0}, edited = {0}, wrong = {0};
    int fd = lock(path, why);
    if (fd < 0)
        return false;
    put_entry(&entry, t);
    bool ok = read_text(path, &text, &wrong) && is_readable(path, buf_slice(&text), &wrong) &&
              registry_text_add(buf_slice(&text), buf_slice(&entry), &edited) &&
              is_readable(path, buf_slice(&edited), &wrong) && replace_file(path, buf_slice(&edited), 0644, &wrong);
    if (!ok)
        buf_printf(why, "%s\n%s was not changed. Put this into its list fleets = ( ... ) by hand:\n%s",
                   wrong.n > 0 ? buf_str(&wrong) : "there is no place for a fleet in it", path, buf_str(&entry));
    close(fd);
    buf_free(&text);
    buf_free(&entry);
    buf_free(&edited);
    buf_free(&wrong);
    return ok;
}

bool registry_remove(const char *path, const char *name, struct buf *why)
{
    struct buf text = {0}, edited = {0}, wrong = {0};
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    int fd = lock(path, why);
    if (fd < 0)
        return false;
    bool ok = read_text(path, &text, &wrong) && is_readable(path, buf_slice(&text), &wrong);
    if (ok && registry_text_remove(buf_slice(&text), name, &edited))
        ok = is_readable(path, buf_slice(&edited), &wrong) && replace_file(path, buf_slice(&edited), 0644, &wrong);
    if (!ok)
        buf_printf(why, "%s\n%s was not changed. Take fleet %s out of its list by hand", buf_str(&wrong), path, name);
    close(fd);
    buf_free(&text);
    buf_free(&edited);
    buf_free(&wrong);
    return ok;
}
