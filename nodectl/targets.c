#include "nodectl/targets.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUPERVISORS_VARIABLE "NODECTL_SUPERVISORS"
#define FLEET_VARIABLE "NODECTL_FLEET"
#define SYSTEM_FILE "/etc/nodectl.conf"

/* ---- nodectl.conf ---- */

struct content {
    struct conf_addresses supervisors;
    struct targets *fleets; /* each with its name */
    size_t n, cap;
};

#define AT(member) offsetof(struct targets, member)
static const struct conf_key fleet_keys[] = {
    CONF_ROW_STRING("name", AT(fleet), 1, 255, "name of the fleet, which is the name of its cluster"),
    CONF_ROW_LIST("seeds", CONF_ADDRESSES, AT(seeds), 0, "nodes of it, \"host:port\""),
    CONF_ROW_LIST("supervisors", CONF_ADDRESSES, AT(supervisors), 0, "its supervisors, \"host:port\""),
    CONF_ROW_STRING("dir", AT(dir), 1, 4096, "where fleet create put it"),
    CONF_ROW_STRING("user", AT(user), 1, 255, "user at the supervisors"),
    CONF_ROW_STRING("password_file", AT(password_file), 1, 4096, "file with the password at the supervisors"),
    CONF_ROW_STRING("node_user", AT(node_user), 1, 255, "user at the nodes"),
    CONF_ROW_STRING("node_password_file", AT(node_password_file), 1, 4096, "file with the password at the nodes"),
    {.name = NULL},
};

/* What is wrong with one fleet is said to who asks for that one: the others can be worked with. */
static void take_fleet(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct content *c = target;
    struct targets fleet = {0};
    struct conf_problems own = {.path = r->problems->path};
    struct conf_reader reader = {.problems = &own, .context = r->context};
    conf_read(&reader, element, fleet_keys, &fleet);
    if (fleet.fleet == NULL)
        conf_problem(r->problems, element, "name", "is missing: every fleet has a name");
    else if (own.count == 0 && fleet.seeds.n + fleet.supervisors.n == 0)
        conf_problem(&own, element, NULL, "names neither seeds nor supervisors of fleet %s", fleet.fleet);
    fleet.wrong = own.count > 0 ? mem_strdup(buf_str(&own.text)) : NULL;
    buf_free(&own.text);
    for (size_t i = 0; i < c->n && fleet.fleet != NULL; i++)
        if (c->fleets[i].fleet != NULL && strcmp(c->fleets[i].fleet, fleet.fleet) == 0)
            conf_problem(r->problems, element, "name", "is '%s', and so is that of a fleet above", fleet.fleet);
    c->fleets = mem_grow(c->fleets, c->n, &c->cap, sizeof *c->fleets);
    c->fleets[c->n++] = fleet;
}

static const struct conf_key file_keys[] = {
    {.name = "supervisors",
     .type = CONF_ADDRESSES,
     .at = offsetof(struct content, supervisors),
     .help = "supervisors to ask, \"host:port\""},
    {.name = "fleets", .type = CONF_LIST, .each = take_fleet, .help = "fleets by name"},
    {.name = NULL},
};

static void content_free(struct content *c)
{
    conf_addresses_free(&c->supervisors);
    for (size_t i = 0; i < c->n; i++)
        targets_free(&c->fleets[i]);
    free(c->fleets);
}

static bool read_file(struct content *c, const char *path, struct buf *error)
{
    struct conf_problems problems = {0};
    struct conf_file *file = conf_load(path, &problems);
    if (file != NULL) {
        struct conf_reader r = {.problems = &problems};
        conf_read(&r, conf_root(file), file_keys, c);
        conf_free(file);
    }
    bool right = file != NULL && problems.count == 0;
    buf_put(error, problems.text.p, problems.text.n);
    buf_free(&problems.text);
    return right;
}

/* The file to read, in *path, which the caller frees; NULL: there is none. */
static void find_path(const struct targets_wish *w, char **path)
{
    struct buf own = {0};
    const char *home = getenv("HOME");
    if (home != NULL && home[0] != '\0')
        buf_printf(&own, "%s/.config/nodectl.conf", home);
    *path = NULL;
    if (w->config != NULL)
        *path = mem_strdup(w->config);
    else if (own.n > 0 && access(buf_str(&own), F_OK) == 0)
        *path = mem_strdup(buf_str(&own));
    else if (access(SYSTEM_FILE, F_OK) == 0)
        *path = mem_strdup(SYSTEM_FILE);
    buf_free(&own);
}

static void put_names(struct buf *error, const struct content *c)
{
    for (size_t i = 0; i < c->n; i++)
        buf_printf(error, "%s%s", i > 0 ? ", " : "", c->fleets[i].fleet);
}

static bool take_fleet_at(struct targets *t, struct content *c, size_t i, bool even_wrong, struct buf *error)
{
    *t = c->fleets[i];
    c->fleets[i] = (struct targets){0};
    if (t->wrong != NULL && !even_wrong)
        buf_puts(error, t->wrong);
    return t->wrong == NULL || even_wrong;
}

static bool take_named(struct targets *t, struct content *c, const struct targets_wish *w, const char *name,
                       const char *path, struct buf *error)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->fleets[i].fleet, name) == 0)
            return take_fleet_at(t, c, i, w->even_wrong, error);
    if (c->n == 0) {
        buf_printf(error, "%s names no fleet; fleet create makes one and records it there\n", path);
        return false;
    }
    buf_printf(error, "%s names no fleet '%s'; it has ", path, name);
    put_names(error, c);
    buf_putc(error, '\n');
    return false;
}

/* Without a name: the supervisors that the file lists, else its only fleet. */
static bool take_default(struct targets *t, struct content *c, const struct targets_wish *w, const char *path,
                         struct buf *error)
{
    if (c->supervisors.n > 0) {
        t->supervisors = c->supervisors;
        c->supervisors = (struct conf_addresses){0};
        return true;
    }
    if (c->n == 1)
        return take_fleet_at(t, c, 0, w->even_wrong, error);
    if (c->n == 0) {
        buf_printf(error, "%s names no supervisors: add supervisors = [ \"host:port\" ];\n", path);
        return false;
    }
    buf_printf(error, "%s has several fleets: say which by --fleet or " FLEET_VARIABLE ": ", path);
    put_names(error, c);
    buf_putc(error, '\n');
    return false;
}

static bool take_file(struct targets *t, const struct targets_wish *w, const char *name, struct buf *error)
{
    char *path;
    struct content c = {0};
    bool found = false;
    find_path(w, &path);
    if (path == NULL && name != NULL)
        buf_printf(error,
                   "fleet %s is recorded nowhere: there is neither ~/.config/nodectl.conf nor " SYSTEM_FILE
                   ". fleet create makes a fleet and records it\n",
                   name);
    else if (path == NULL)
        buf_puts(error, "no supervisor is named: give --supervisor host:port, set " SUPERVISORS_VARIABLE
                        ", or list supervisors or fleets in ~/.config/nodectl.conf or " SYSTEM_FILE "\n");
    else if (read_file(&c, path, error))
        found = name != NULL ? take_named(t, &c, w, name, path, error) : take_default(t, &c, w, path, error);
    content_free(&c);
    if (found)
        t->source = path;
    else
        free(path);
    return found;
}

/* ---- from words ---- */

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

static bool take_words(struct targets *t, const char *supervisors, const char *seeds, const char *source,
                       struct buf *error)
{
    free(t->source);
    t->source = mem_strdup(source);
    if (supervisors != NULL)
        conf_addresses_free(&t->supervisors);
    if (seeds != NULL)
        conf_addresses_free(&t->seeds);
    return (supervisors == NULL || split(&t->supervisors, supervisors, source, error)) &&
           (seeds == NULL || split(&t->seeds, seeds, source, error));
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

bool targets_find(struct targets *t, const struct targets_wish *w, struct buf *error)
{
    bool words = w->supervisors != NULL || w->seeds != NULL, found = true;
    const char *name = w->fleet != NULL || words ? w->fleet : variable(FLEET_VARIABLE);
    const char *known = w->config == NULL ? variable(SUPERVISORS_VARIABLE) : NULL;
    *t = (struct targets){0};
    if (name != NULL || (!words && known == NULL))
        found = take_file(t, w, name, error);
    if (found && words)
        found = take_words(t, w->supervisors, w->seeds, w->seeds == NULL ? "--supervisor" : "--seeds", error);
    else if (found && name == NULL && known != NULL)
        found = take_words(t, known, NULL, SUPERVISORS_VARIABLE, error);
    if (!found)
        targets_free(t);
    return found;
}

void targets_free(struct targets *t)
{
    conf_addresses_free(&t->supervisors);
    conf_addresses_free(&t->seeds);
    free(t->fleet);
    free(t->dir);
    free(t->user);
    free(t->node_user);
    free(t->password_file);
    free(t->node_password_file);
    free(t->source);
    free(t->wrong);
    *t = (struct targets){0};
}

bool targets_all(const char *config, struct targets **list, size_t *n, struct buf *error)
{
    const struct targets_wish w = {.config = config};
    struct content c = {0};
    char *path;
    find_path(&w, &path);
    bool right = path == NULL || read_file(&c, path, error);
    *list = NULL;
    *n = 0;
    for (size_t i = 0; i < c.n && right; i++)
        c.fleets[i].source = mem_strdup(path);
    if (right) {
        *list = c.fleets;
        *n = c.n;
        c.fleets = NULL;
        c.n = 0;
    }
    content_free(&c);
    free(path);
    return right;
}

void targets_free_all(struct targets *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        targets_free(&list[i]);
    free(list);
}
