#include "nodectl/drill/unit.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/drill/outside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 5000

static bool ends_with(struct slice s, const char *tail)
{
    size_t n = strlen(tail);
    return s.n > n && memcmp(s.p + s.n - n, tail, n) == 0;
}

/* "/user.slice/user-1000.slice/user@1000.service/app.slice/noded.service" */
static struct unit in_path(struct slice path)
{
    struct unit u = {.name = NULL};
    struct slice last = {NULL, 0};
    while (path.p != NULL) {
        u.of_user = u.of_user || (last.n > 5 && memcmp(last.p, "user@", 5) == 0);
        last = slice_cut(&path, '/');
    }
    if (ends_with(last, ".service"))
        u.name = slice_dup(last);
    return u;
}

struct unit unit_in_cgroups(struct slice text)
{
    struct unit u = {.name = NULL};
    while (text.n > 0 && u.name == NULL) {
        struct slice path = slice_cut_line(&text);
        (void)slice_cut(&path, ':');
        struct slice controllers = slice_cut(&path, ':');
        if (path.p != NULL && (controllers.n == 0 || slice_is(controllers, "name=systemd")))
            u = in_path(path);
    }
    return u;
}

static int call(const struct unit *u, const char *const *words, int timeout_ms, struct buf *output)
{
    const char *argv[8] = {"systemctl"};
    size_t n = 1;
    if (u->of_user)
        argv[n++] = "--user";
    for (; *words != NULL; words++)
        argv[n++] = *words;
    argv[n++] = u->name;
    return outside_run(argv, NULL, timeout_ms, output);
}

struct unit unit_of_process(struct slice cgroups, pid_t pid)
{
    static const char *const main_pid[] = {"show", "-p", "MainPID", "--value", NULL};
    struct unit u = unit_in_cgroups(cgroups);
    struct buf said = {0};
    char expected[24];
    snprintf(expected, sizeof expected, "%d", (int)pid);
    if (u.name != NULL && (call(&u, main_pid, ASK_MS, &said) != 0 || !slice_is(slice_trim(buf_slice(&said)), expected)))
        unit_free(&u);
    buf_free(&said);
    return u;
}

void unit_free(struct unit *u)
{
    free(u->name);
    *u = (struct unit){.name = NULL};
}

int unit_order(const struct unit *u, const char *verb, int timeout_ms, struct buf *output)
{
    return call(u, (const char *const[]){verb, NULL}, timeout_ms, output);
}
