#include "nodectl/targets.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "NODECTL_SUPERVISORS"
#define SYSTEM_FILE "/etc/nodectl.conf"

/* nodectl.conf, as far as it is about supervisors; the fleets are checked and left to the commands that use seeds. */
struct file_content {
    struct conf_addresses supervisors;
};

struct file_fleet {
    char *name;
    struct conf_addresses seeds;
};

static const struct conf_key fleet_keys[] = {
    {.name = "name",
     .type = CONF_STRING,
     .at = offsetof(struct file_fleet, name),
     .min = 1,
     .help = "name of the cluster"},
    {.name = "seeds", .type = CONF_ADDRESSES, .at = offsetof(struct file_fleet, seeds), .min = 1, .help = "its nodes"},
    {.name = NULL},
};

static void check_fleet(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct file_fleet fleet = {0};
    (void)target;
    conf_read(r, element, fleet_keys, &fleet);
    free(fleet.name);
    conf_addresses_free(&fleet.seeds);
}

static const struct conf_key file_keys[] = {
    {.name = "supervisors",
     .type = CONF_ADDRESSES,
     .at = offsetof(struct file_content, supervisors),
     .help = "supervisors to ask, \"host:port\""},
    {.name = "fleets", .type = CONF_LIST, .each = check_fleet, .help = "clusters by name"},
    {.name = NULL},
};

static bool split(struct conf_addresses *to, const char *text, const char *source, struct buf *error)
{
    struct slice rest = slice_of(text);
    while (rest.p != NULL) {
        struct slice part = slice_trim(slice_cut(&rest, ','));
        struct addr a;
        if (!addr_parse(part, &a)) {
            buf_printf(error, "%s: '%.*s' is not host:port (several are separated by commas)\n", source, (int)part.n,
                       part.n > 0 ? part.p : "");
            return false;
        }
        to->v = mem_array(to->v, to->n + 1, sizeof *to->v);
        to->v[to->n++] = a;
    }
    return true;
}

static bool read_file(struct targets *t, const char *path, struct buf *error)
{
    struct conf_problems problems = {0};
    struct file_content content = {0};
    struct conf_file *file = conf_load(path, &problems);
    if (file != NULL) {
        struct conf_reader r = {.problems = &problems};
        conf_read(&r, conf_root(file), file_keys, &content);
        conf_free(file);
    }
    bool right = file != NULL && problems.count == 0;
    buf_put(error, problems.text.p, problems.text.n);
    buf_free(&problems.text);
    if (!right) {
        conf_addresses_free(&content.supervisors);
        return false;
    }
    t->supervisors = content.supervisors;
    t->source = mem_strdup(path);
    if (t->supervisors.n == 0)
        buf_printf(error, "%s names no supervisors: add supervisors = [ \"host:port\" ];\n", path);
    return t->supervisors.n > 0;
}

static bool find_file(struct targets *t, const char *config, struct buf *error)
{
    struct buf own = {0};
    const char *home = getenv("HOME");
    const char *path = config;
    if (path == NULL && home != NULL && home[0] != '\0') {
        buf_printf(&own, "%s/.config/nodectl.conf", home);
        path = access(buf_str(&own), F_OK) == 0 ? buf_str(&own) : NULL;
    }
    if (path == NULL && access(SYSTEM_FILE, F_OK) == 0)
        path = SYSTEM_FILE;
    bool found = path != NULL && read_file(t, path, error);
    if (path == NULL)
        buf_puts(error, "no supervisor is named: give --supervisor host:port, set " VARIABLE
                        ", or list supervisors in ~/.config/nodectl.conf or " SYSTEM_FILE "\n");
    buf_free(&own);
    return found;
}

bool targets_find(struct targets *t, const char *option, const char *config, struct buf *error)
{
    const char *variable = getenv(VARIABLE);
    *t = (struct targets){0};
    bool found;
    if (option != NULL || (config == NULL && variable != NULL && variable[0] != '\0')) {
        const char *source = option != NULL ? "--supervisor" : VARIABLE;
        t->source = mem_strdup(source);
        found = split(&t->supervisors, option != NULL ? option : variable, source, error);
    } else {
        found = find_file(t, config, error);
    }
    if (!found)
        targets_free(t);
    return found;
}

void targets_free(struct targets *t)
{
    conf_addresses_free(&t->supervisors);
    free(t->source);
    *t = (struct targets){0};
}
