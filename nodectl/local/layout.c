#include "nodectl/local/layout.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "nodectl/drill/listening.h"
#include "nodectl/interrupt.h"
#include "nodectl/local/replace_file.h"
#include "nodectl/reply_json.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FORMAT 1
#define FILE_NAME "fleet.json"
#define NAME_MAX_BYTES 64
#define LOCK_MS 2000 /* that another nodectl gets to be done */
#define LOCK_LOOK_MS 20
#define FILE_BYTES_MAX ((size_t)16 << 20)

static const char *const runners[] = {
    [RUN_BY_NODECTL] = "nodectl", [RUN_BY_SYSTEMD] = "systemd", [RUN_BY_USER_SYSTEMD] = "systemd --user"};

static const char *const changes[] = {[LAYOUT_ADDS] = "supervisor add", [LAYOUT_REMOVES] = "supervisor remove"};

bool layout_name_is_good(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && (i == 0 || strchr("-_.", name[i]) == NULL))
            return false;
    return n > 0 && n <= NAME_MAX_BYTES;
}

void layout_free(struct layout *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].zone);
    free(l->v);
    for (size_t i = 0; i < l->nleft; i++)
        free(l->left[i]);
    free(l->left);
    free(l->dir);
    free(l->name);
    free(l->noded);
    free(l->sentineld);
    free(l->run_as);
    free(l->password_file);
    free(l->node_password_file);
    *l = (struct layout){0};
}

void layout_leave(struct layout *l, const char *folder)
{
    l->left = mem_array(l->left, l->nleft + 1, sizeof *l->left);
    l->left[l->nleft++] = mem_strdup(folder);
}

size_t layout_count(const struct layout *l, bool supervisors)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += l->v[i].supervisor == supervisors;
    return n;
}

struct layout_member *layout_add(struct layout *l, bool supervisor, const struct addr *a)
{
    l->v = mem_grow(l->v, l->n, &l->cap, sizeof *l->v);
    struct layout_member *m = &l->v[l->n++];
    *m = (struct layout_member){.addr = *a, .supervisor = supervisor, .zone = mem_strdup("")};
    return m;
}

/* ---- places ---- */

char *layout_path(const struct layout *l, const struct layout_member *m, const char *file)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s%s%s", l->dir, m->folder, file[0] != '\0' ? "/" : "", file);
    char *own = slice_dup(buf_slice(&path));
    buf_free(&path);
    return own;
}

char *layout_conf(const struct layout *l, const struct layout_member *m)
{
    return layout_path(l, m, m->supervisor ? "sentineld.conf" : "noded.conf");
}

const char *layout_program(const struct layout *l, const struct layout_member *m)
{
    return m->supervisor ? l->sentineld : l->noded;
}

char *layout_unit(const struct layout *l, const struct layout_member *m)
{
    struct buf name = {0};
    buf_printf(&name, "nodectl-%s-%s.service", l->name, m->folder);
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '/')
            name.p[i] = '-';
    char *own = slice_dup(buf_slice(&name));
    buf_free(&name);
    return own;
}

bool layout_is_here(const struct layout_member *m)
{
    return listening_is_our_address(&m->addr);
}

static char *file_of(const char *dir)
{
    struct buf path = {0};
    buf_printf(&path, "%s/" FILE_NAME, dir);
    char *own = slice_dup(buf_slice(&path));
    buf_free(&path);
    return own;
}

bool layout_is_there(const char *dir)
{
    char *path = file_of(dir);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

int layout_lock(const struct layout *l, struct buf *why)
{
    int fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int waited_ms = 0; fd >= 0; waited_ms += LOCK_LOOK_MS) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        if (errno != EWOULDBLOCK)
            break;
        if (waited_ms >= LOCK_MS || !interrupt_sleep(LOCK_LOOK_MS)) {
            errno = EWOULDBLOCK;
            break;
        }
    }
    if (errno == EWOULDBLOCK)
        buf_printf(why, "another nodectl is at work on fleet %s: try again when it is done", l->name);
    else
        buf_printf(why, "%s cannot be locked: %s", l->dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- writing ---- */

static json_t *member_json(const struct layout_member *m)
{
    json_t *o = json_pack("{s:s, s:o}", "folder", m->folder, "address", json_addr(&m->addr));
    if (!m->supervisor) {
        json_object_set_new(o, "bus_port", json_integer(m->bus_port));
        json_object_set_new(o, "shard", json_integer(m->shard));
        json_object_set_new(o, "role", json_string(m->master ? "master" : "replica"));
    }
    if (m->zone[0] != '\0')
        json_object_set_new(o, "zone", json_text(m->zone, strlen(m->zone)));
    return o;
}

static void set_text(json_t *o, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_object_set_new(o, name, json_text(text, strlen(text)));
}

bool layout_save(const struct layout *l, struct buf *why)
{
    json_t *o = json_pack("{s:i, s:s, s:b, s:s, s:i, s:i, s:i, s:I}", "format", FORMAT, "fleet", l->name, "complete",
                          l->complete, "run_by", runners[l->runner], "shards", l->shards, "replicas", l->replicas,
                          "supervisors_wished", l->supervisors, "down_after_ms", (json_int_t)l->down_after_ms);
    set_text(o, "run_as", l->run_as);
    set_text(o, "noded", l->noded);
    set_text(o, "sentineld", l->sentineld);
    set_text(o, "password_file", l->password_file);
    set_text(o, "node_password_file", l->node_password_file);
    json_t *nodes = json_array(), *supervisors = json_array();
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(l->v[i].supervisor ? supervisors : nodes, member_json(&l->v[i]));
    json_object_set_new(o, "nodes", nodes);
    json_object_set_new(o, "supervisors", supervisors);
    json_t *left = json_array();
    for (size_t i = 0; i < l->nleft; i++)
        json_array_append_new(left, json_text(l->left[i], strlen(l->left[i])));
    json_object_set_new(o, "left", left);
    if (l->changing != LAYOUT_SETTLED)
        json_object_set_new(
            o, "changing", json_pack("{s:s, s:o}", "by", changes[l->changing], "address", json_addr(&l->changing_who)));
    char *text = json_dumps(o, JSON_INDENT(2)), *path = file_of(l->dir);
    struct buf all = {0};
    buf_printf(&all, "%s\n", text);
    bool ok = replace_file(path, buf_slice(&all), 0600, why);
    buf_free(&all);
    free(path);
    free(text);
    json_decref(o);
    return ok;
}

/* ---- reading ---- */

/* A path below the folder, and nowhere else. */
static bool folder_is_good(const char *folder)
{
    struct slice rest = slice_of(folder);
    if (rest.n == 0 || rest.n >= LAYOUT_FOLDER_MAX)
        return false;
    while (rest.p != NULL) {
        struct slice part = slice_cut(&rest, '/');
        if (part.n == 0 || part.p[0] == '.')
            return false;
    }
    return true;
}

static const char *read_member(struct layout *l, const json_t *o, bool supervisor)
{
    const char *folder = field_text(o, "folder"), *role = json_string_value(json_object_get(o, "role"));
    json_int_t bus = json_integer_value(json_object_get(o, "bus_port"));
    struct addr a;
    if (!folder_is_good(folder))
        return "folder is no path below this folder";
    if (!addr_parse(slice_of(field_text(o, "address")), &a))
        return "address is not host:port";
    if (!supervisor && (bus < 1 || bus > 65535 || role == NULL))
        return "bus_port or role is missing";
    struct layout_member *m = layout_add(l, supervisor, &a);
    memcpy(m->folder, folder, strlen(folder) + 1);
    m->bus_port = (int)bus;
    m->shard = (int)json_integer_value(json_object_get(o, "shard"));
    m->master = role != NULL && strcmp(role, "master") == 0;
    free(m->zone);
    m->zone = mem_strdup(field_text(o, "zone"));
    return NULL;
}

static const char *read_members(struct layout *l, const json_t *list, bool supervisor)
{
    const char *wrong = json_is_array(list) ? NULL : "nodes or supervisors are missing";
    size_t i;
    const json_t *o;
    json_array_foreach(list, i, o)
    {
        if (wrong == NULL)
            wrong = read_member(l, o, supervisor);
    }
    return wrong;
}

/* Older ones have none. */
static const char *read_left(struct layout *l, const json_t *list)
{
    size_t i;
    const json_t *o;
    json_array_foreach(list, i, o)
    {
        if (!json_is_string(o) || !folder_is_good(json_string_value(o)))
            return "left has what is no path below this folder";
        layout_leave(l, json_string_value(o));
    }
    return NULL;
}

/* Older ones have none. */
static const char *read_changing(struct layout *l, const json_t *o)
{
    const char *by = field_text(o, "by");
    l->changing = strcmp(by, changes[LAYOUT_ADDS]) == 0      ? LAYOUT_ADDS
                  : strcmp(by, changes[LAYOUT_REMOVES]) == 0 ? LAYOUT_REMOVES
                                                             : LAYOUT_SETTLED;
    bool good = o == NULL ||
                (l->changing != LAYOUT_SETTLED && addr_parse(slice_of(field_text(o, "address")), &l->changing_who));
    return good ? NULL : "changing is no change of the list of supervisors";
}

static const char *read_head(struct layout *l, const json_t *o)
{
    const char *runner = field_text(o, "run_by");
    if (json_integer_value(json_object_get(o, "format")) != FORMAT)
        return "its format is not 1: it is of another version of nodectl";
    if (!layout_name_is_good(field_text(o, "fleet")))
        return "fleet is no name of a fleet";
    l->runner = RUN_BY_USER_SYSTEMD + 1;
    for (size_t i = 0; i < sizeof runners / sizeof *runners; i++)
        if (strcmp(runner, runners[i]) == 0)
            l->runner = (enum layout_runner)i;
    if (l->runner > RUN_BY_USER_SYSTEMD)
        return "run_by must be nodectl, systemd or systemd --user";
    l->name = mem_strdup(field_text(o, "fleet"));
    l->noded = mem_strdup(field_text(o, "noded"));
    l->sentineld = mem_strdup(field_text(o, "sentineld"));
    l->run_as = mem_strdup(field_text(o, "run_as"));
    l->password_file = mem_strdup(field_text(o, "password_file"));
    l->node_password_file = mem_strdup(field_text(o, "node_password_file"));
    l->complete = json_is_true(json_object_get(o, "complete"));
    l->shards = (int)json_integer_value(json_object_get(o, "shards"));
    l->replicas = (int)json_integer_value(json_object_get(o, "replicas"));
    l->supervisors = (int)json_integer_value(json_object_get(o, "supervisors_wished"));
    l->down_after_ms = json_integer_value(json_object_get(o, "down_after_ms"));
    return NULL;
}

bool layout_load(struct layout *l, const char *dir, struct buf *why)
{
    struct buf text = {0};
    json_error_t error;
    *l = (struct layout){.dir = realpath(dir, NULL)};
    if (l->dir == NULL) {
        buf_printf(why, "%s: %s", dir, strerror(errno));
        return false;
    }
    char *path = file_of(l->dir);
    bool read = io_file_read(path, FILE_BYTES_MAX, &text, why);
    json_t *o = read ? json_loadb(text.p, text.n, 0, &error) : NULL;
    const char *wrong = !read ? "" : o == NULL ? error.text : read_head(l, o);
    if (wrong == NULL)
        wrong = read_members(l, json_object_get(o, "nodes"), false);
    if (wrong == NULL)
        wrong = read_members(l, json_object_get(o, "supervisors"), true);
    if (wrong == NULL)
        wrong = read_left(l, json_object_get(o, "left"));
    if (wrong == NULL)
        wrong = read_changing(l, json_object_get(o, "changing"));
    if (read && wrong != NULL)
        buf_printf(why, "%s cannot be understood: %s", path, wrong);
    else if (!read)
        buf_printf(why, "; %s is no folder of a fleet that fleet create made", l->dir);
    json_decref(o);
    buf_free(&text);
    free(path);
    return wrong == NULL;
}
