#include "nodectl/local/recorded.h"

#include "common/base/mem.h"
#include "nodectl/local/programs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 2000

static int say(const struct command_call *call, int code, const struct buf *why)
{
    command_fail_lines(call, buf_slice(why));
    return code;
}

static void add_address(struct conf_addresses *to, const struct addr *a)
{
    to->v = mem_array(to->v, to->n + 1, sizeof *to->v);
    to->v[to->n++] = *a;
}

/* The layout knows better than an entry of nodectl.conf that is wrong. */
static void take_addresses(struct targets *t, const struct layout *l)
{
    conf_addresses_free(&t->supervisors);
    conf_addresses_free(&t->seeds);
    for (size_t i = 0; i < l->n; i++)
        add_address(l->v[i].supervisor ? &t->supervisors : &t->seeds, &l->v[i].addr);
}

static int find_recorded(const struct command_call *call, struct recorded *r, struct buf *why)
{
    const char *name = call->argc > 0 ? call->argv[0] : command_value(call, "--fleet");
    const struct targets_wish wish = {.fleet = name, .config = command_value(call, "--config"), .even_wrong = true};
    if (!targets_find(&r->asking.targets, &wish, why))
        return say(call, EXIT_USAGE, why);
    if (r->asking.targets.fleet == NULL) {
        buf_printf(why, "no fleet is named: give its name, or its folder by --dir");
        return say(call, EXIT_USAGE, why);
    }
    if (r->asking.targets.dir == NULL || !layout_is_there(r->asking.targets.dir))
        return EXIT_OK;
    if (!layout_load(&r->layout, r->asking.targets.dir, why))
        return say(call, EXIT_FAILED, why);
    if (r->asking.targets.wrong != NULL)
        take_addresses(&r->asking.targets, &r->layout);
    return EXIT_OK;
}

static char *or_null(const char *text)
{
    return text[0] != '\0' ? mem_strdup(text) : NULL;
}

static int read_folder(const struct command_call *call, const char *dir, struct recorded *r, struct buf *why)
{
    struct targets *t = &r->asking.targets;
    if (!layout_load(&r->layout, dir, why))
        return say(call, EXIT_FAILED, why);
    take_addresses(t, &r->layout);
    t->fleet = mem_strdup(r->layout.name);
    t->dir = mem_strdup(r->layout.dir);
    t->password_file = or_null(r->layout.password_file);
    t->node_password_file = or_null(r->layout.node_password_file);
    t->source = mem_strdup(r->layout.dir);
    return EXIT_OK;
}

/* A folder that came from another host names programs that may be elsewhere here. */
static bool mend_program(char **path, const char *name, struct buf *why)
{
    if (access(*path, X_OK) == 0)
        return true;
    char *found = program_beside(name, why);
    if (found == NULL)
        return false;
    free(*path);
    *path = found;
    return true;
}

bool recorded_programs(struct recorded *r, struct buf *why)
{
    return mend_program(&r->layout.noded, "noded", why) && mend_program(&r->layout.sentineld, "sentineld", why);
}

int recorded_read(const struct command_call *call, int limit_ms, struct recorded *r)
{
    struct buf why = {0};
    const char *dir = command_value(call, "--dir");
    *r = (struct recorded){.limit_ms = limit_ms};
    int code = asking_read_format(call, &r->asking);
    if (command_value(call, "--timeout") != NULL)
        r->limit_ms = r->asking.timeout_ms;
    r->asking.timeout_ms = ANSWER_MS;
    if (code == EXIT_OK)
        code = dir != NULL ? read_folder(call, dir, r, &why) : find_recorded(call, r, &why);
    if (code == EXIT_OK)
        code = asking_read_logins(call, &r->asking);
    buf_free(&why);
    return code;
}

void recorded_free(struct recorded *r)
{
    asking_free(&r->asking);
    layout_free(&r->layout);
}
