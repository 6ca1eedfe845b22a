/* Hosts and zones of a new fleet, as an operator names them. */
#include "nodectl/local/create.h"

#include "common/base/mem.h"
#include "common/io/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)

bool hosts_add(struct hosts *h, struct slice entry, struct buf *why)
{
    struct slice rest = entry, host;
    char name[ADDR_HOST_MAX + 1];
    if (entry.n > 0 && entry.p[0] == '[') {
        rest = (struct slice){entry.p + 1, entry.n - 1};
        host = slice_cut(&rest, ']');
        if (rest.n > 0)
            rest = (struct slice){rest.p + 1, rest.n - 1}; /* the colon behind the bracket */
    } else {
        host = slice_cut(&rest, ':');
    }
    bool fits = host.n > 0 && host.n < sizeof name;
    if (fits) {
        memcpy(name, host.p, host.n);
        name[host.n] = '\0';
    }
    if (!fits || !addr_is_ip(name)) {
        buf_printf(why, "'%.*s' is not host[:zone] with the IP address of a host", (int)entry.n, entry.p);
        return false;
    }
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->v[i].name, name) == 0) {
            buf_printf(why, "host %s is named twice", name);
            return false;
        }
    h->v = mem_grow(h->v, h->n, &h->cap, sizeof *h->v);
    h->v[h->n++] = (struct placement_host){mem_strdup(name), slice_dup(rest)};
    return true;
}

static bool read_lines(struct hosts *h, const char *path, struct buf *why)
{
    struct buf text = {0};
    bool ok = io_file_read(path, FILE_BYTES_MAX, &text, why);
    for (struct slice rest = buf_slice(&text); ok && rest.n > 0;) {
        struct slice line = slice_cut_line(&rest);
        struct slice entry = slice_trim(slice_cut(&line, '#'));
        if (entry.n > 0)
            ok = hosts_add(h, entry, why);
    }
    buf_free(&text);
    return ok;
}

bool hosts_read(struct hosts *h, const char *text, struct buf *why)
{
    struct stat st;
    *h = (struct hosts){0};
    if (stat(text, &st) == 0)
        return read_lines(h, text, why) && (h->n > 0 || (buf_printf(why, "%s names no host", text), false));
    bool ok = true;
    for (struct slice rest = slice_of(text); rest.p != NULL && ok;)
        ok = hosts_add(h, slice_trim(slice_cut(&rest, ',')), why);
    return ok;
}

void hosts_free(struct hosts *h)
{
    for (size_t i = 0; i < h->n; i++) {
        free((char *)(uintptr_t)h->v[i].name);
        free((char *)(uintptr_t)h->v[i].zone);
    }
    free(h->v);
    *h = (struct hosts){0};
}
