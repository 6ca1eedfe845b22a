/* What only this machine can tell of itself. */
#include "nodectl/doctor/facts.h"

#include "common/base/text.h"
#include "common/io/file.h"
#include "nodectl/reply_json.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#define FILE_MAX 65536

static bool read_file(const char *path, struct buf *text)
{
    struct buf error = {0};
    bool read = io_file_read(path, FILE_MAX, text, &error);
    buf_free(&error);
    return read;
}

static void read_number(json_t *o, const char *name, const char *path)
{
    struct buf text = {0};
    int64_t n;
    if (read_file(path, &text) && text_i64(slice_trim(buf_slice(&text)), &n))
        json_object_set_new(o, name, json_integer(n));
    buf_free(&text);
}

/* The word in brackets of "always [madvise] never". */
static void read_choice(json_t *o, const char *name, const char *path)
{
    struct buf text = {0};
    if (read_file(path, &text)) {
        struct slice rest = buf_slice(&text);
        slice_cut(&rest, '[');
        struct slice word = slice_cut(&rest, ']');
        if (word.n > 0)
            json_object_set_new(o, name, json_text(word.p, word.n));
    }
    buf_free(&text);
}

json_t *facts_machine(void)
{
    json_t *o = json_object();
    read_number(o, "overcommit_memory", "/proc/sys/vm/overcommit_memory");
    read_number(o, "somaxconn", "/proc/sys/net/core/somaxconn");
    read_choice(o, "transparent_hugepage", "/sys/kernel/mm/transparent_hugepage/enabled");
    return o;
}

bool facts_is_local(const char *host)
{
    struct ifaddrs *all = NULL;
    bool found = strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
    if (found || getifaddrs(&all) != 0)
        return found;
    for (const struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next) {
        char text[INET6_ADDRSTRLEN] = "";
        if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET)
            inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr, text, sizeof text);
        else if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET6)
            inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr, text,
                      sizeof text);
        found = strcmp(text, host) == 0;
    }
    freeifaddrs(all);
    return found;
}

/* "Max open files            1024                 524288               files": the first number holds. */
static int64_t open_files(const char *pid)
{
    char path[64];
    struct buf text = {0};
    int64_t limit = -1;
    snprintf(path, sizeof path, "/proc/%.20s/limits", pid);
    if (read_file(path, &text)) {
        static const char title[] = "Max open files";
        struct slice rest = buf_slice(&text);
        while (rest.n > 0) {
            struct slice line = slice_cut_line(&rest);
            if (line.n < sizeof title || memcmp(line.p, title, sizeof title - 1) != 0)
                continue;
            line = slice_trim((struct slice){line.p + sizeof title - 1, line.n - (sizeof title - 1)});
            text_i64(slice_cut(&line, ' '), &limit);
        }
    }
    buf_free(&text);
    return limit;
}

void facts_process(json_t *node, const char *pid, const char *dir)
{
    struct statvfs disk;
    json_object_set_new(node, "open_files", json_integer(open_files(pid)));
    if (*dir == '\0' || statvfs(dir, &disk) != 0)
        return;
    json_object_set_new(node, "disk_free", json_integer((json_int_t)disk.f_bavail * (json_int_t)disk.f_frsize));
    json_object_set_new(node, "disk_total", json_integer((json_int_t)disk.f_blocks * (json_int_t)disk.f_frsize));
}
