#include "nodectl/local/units.h"

#include "common/base/mem.h"
#include "nodectl/drill/outside.h"
#include "nodectl/local/conf_text.h"
#include "nodectl/local/replace_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_MS 10000
#define SYSTEM_FOLDER "/etc/systemd/system"

/* Words of a call of systemctl; the units are behind them. */
struct call {
    const char **argv;
    char **units; /* owned */
    size_t n, nunits, cap;
};

static struct call begin(enum layout_runner runner, size_t room)
{
    struct call c = {.argv = mem_zalloc((room + 8) * sizeof *c.argv),
                     .units = mem_zalloc((room + 1) * sizeof *c.units)};
    c.argv[c.n++] = "systemctl";
    if (runner == RUN_BY_USER_SYSTEMD)
        c.argv[c.n++] = "--user";
    return c;
}

static void end(struct call *c)
{
    for (size_t i = 0; i < c->nunits; i++)
        free(c->units[i]);
    free(c->units);
    free(c->argv);
}

/* In one line, since it stands within a sentence. */
static void put_said(struct buf *why, struct slice said)
{
    bool any = false;
    while (said.n > 0) {
        struct slice line = slice_trim(slice_cut_line(&said));
        if (line.n > 0)
            buf_printf(why, "%s%.*s", any ? "; " : "", (int)line.n, line.p);
        any = any || line.n > 0;
    }
    if (!any)
        buf_puts(why, "it gave no reason");
}

static bool run(const struct call *c, int limit_ms, struct buf *why)
{
    struct buf said = {0};
    int code = outside_run(c->argv, NULL, limit_ms, &said);
    if (code != 0) {
        for (size_t i = 0; i < c->n - c->nunits; i++)
            buf_printf(why, "%s%s", i > 0 ? " " : "", c->argv[i]);
        buf_puts(why, " failed: ");
        put_said(why, buf_slice(&said));
    }
    buf_free(&said);
    return code == 0;
}

static bool say(enum layout_runner runner, const char *word, struct buf *why)
{
    struct call c = begin(runner, 0);
    c.argv[c.n++] = word;
    bool ok = run(&c, ASK_MS, why);
    end(&c);
    return ok;
}

bool units_can(enum layout_runner runner, struct buf *why)
{
    struct buf said = {0};
    bool ok = say(runner, "show-environment", &said);
    if (!ok)
        buf_printf(why,
                   "there is no systemd%s here that could run the processes (%s); without --systemd%s nodectl starts "
                   "them by itself",
                   runner == RUN_BY_USER_SYSTEMD ? " of this user" : "", buf_str(&said),
                   runner == RUN_BY_USER_SYSTEMD ? "-user" : "");
    buf_free(&said);
    return ok;
}

/* ---- files ---- */

/* The caller frees; NULL: HOME is not set. */
static char *folder_of(enum layout_runner runner)
{
    struct buf path = {0};
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (runner == RUN_BY_SYSTEMD)
        return mem_strdup(SYSTEM_FOLDER);
    if (config != NULL && config[0] == '/')
        buf_printf(&path, "%s/systemd/user", config);
    else if (home != NULL && home[0] == '/')
        buf_printf(&path, "%s/.config/systemd/user", home);
    char *own = path.n > 0 ? slice_dup(buf_slice(&path)) : NULL;
    buf_free(&path);
    return own;
}

static void put_path(struct buf *out, const char *folder, const struct layout *l, const struct layout_member *m)
{
    char *unit = layout_unit(l, m);
    buf_clear(out);
    buf_printf(out, "%s/%s", folder, unit);
    free(unit);
}

static bool write_units(const struct layout *l, const char *folder, struct buf *why)
{
    struct buf path = {0}, text = {0};
    bool ok = make_folders(folder, 0755, why);
    for (size_t i = 0; i < l->n && ok; i++) {
        if (!layout_is_here(&l->v[i]))
            continue;
        put_path(&path, folder, l, &l->v[i]);
        buf_clear(&text);
        conf_text_unit(&text, l, &l->v[i]);
        ok = replace_file(buf_str(&path), buf_slice(&text), 0644, why);
    }
    buf_free(&path);
    buf_free(&text);
    return ok;
}

static bool order(const struct layout *l, const bool *chosen, const char *word, int limit_ms, struct buf *why)
{
    struct call c = begin(l->runner, l->n);
    c.argv[c.n++] = word;
    for (size_t i = 0; i < l->n; i++)
        if (chosen != NULL ? chosen[i] : layout_is_here(&l->v[i])) {
            c.units[c.nunits] = layout_unit(l, &l->v[i]);
            c.argv[c.n++] = c.units[c.nunits++];
        }
    bool ok = c.nunits == 0 || run(&c, limit_ms, why);
    end(&c);
    return ok;
}

bool units_install(const struct layout *l, struct buf *why)
{
    char *folder = folder_of(l->runner);
    if (folder == NULL)
        buf_puts(why, "HOME is not set, so there is no place for units");
    bool ok = folder != NULL && write_units(l, folder, why) && say(l->runner, "daemon-reload", why) &&
              order(l, NULL, "enable", ASK_MS, why);
    free(folder);
    return ok;
}

bool units_remove(const struct layout *l, const bool *chosen, struct buf *why)
{
    struct buf path = {0}, said = {0};
    char *folder = folder_of(l->runner);
    bool ok = folder != NULL;
    /* Units that are gone already are no failure: what counts is that none is left. */
    (void)order(l, chosen, "disable", ASK_MS, &said);
    for (size_t i = 0; i < l->n && ok; i++) {
        if (chosen != NULL && !chosen[i])
            continue;
        put_path(&path, folder, l, &l->v[i]);
        if (unlink(buf_str(&path)) != 0 && errno != ENOENT) {
            buf_printf(why, "%s cannot be removed: %s", buf_str(&path), strerror(errno));
            ok = false;
        }
    }
    ok = ok && say(l->runner, "daemon-reload", why);
    buf_free(&path);
    buf_free(&said);
    free(folder);
    return ok;
}

bool units_order(const struct layout *l, const bool *chosen, enum units_order what, int limit_ms, struct buf *why)
{
    return order(l, chosen, what == UNITS_START ? "start" : "stop", limit_ms, why);
}
