#include "nodectl/local/notes.h"

#include "nodectl/local/replace_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What cannot be read is no note. */
static json_t *read_notes(const char *path)
{
    json_t *o = json_load_file(path, 0, NULL);
    if (json_is_object(o))
        return o;
    json_decref(o);
    return json_object();
}

int64_t notes_get(const char *dir, const char *name)
{
    struct buf path = {0};
    buf_printf(&path, "%s/" NOTES_FILE, dir);
    json_t *o = read_notes(buf_str(&path));
    int64_t value = json_integer_value(json_object_get(o, name));
    json_decref(o);
    buf_free(&path);
    return value;
}

static bool write_notes(const char *path, const json_t *o, struct buf *why)
{
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_SORT_KEYS);
    struct buf whole = {0};
    buf_printf(&whole, "%s\n", text);
    bool ok = replace_file(path, buf_slice(&whole), 0644, why);
    buf_free(&whole);
    free(text);
    return ok;
}

static bool remove_notes(const char *path, struct buf *why)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return true;
    buf_printf(why, "%s cannot be removed: %s", path, strerror(errno));
    return false;
}

bool notes_set(const char *dir, const char *name, int64_t value, struct buf *why)
{
    struct buf path = {0};
    buf_printf(&path, "%s/" NOTES_FILE, dir);
    json_t *o = read_notes(buf_str(&path));
    bool changes = json_integer_value(json_object_get(o, name)) != value, ok = true;
    if (value != 0)
        json_object_set_new(o, name, json_integer((json_int_t)value));
    else
        json_object_del(o, name);
    if (changes)
        ok = json_object_size(o) > 0 ? write_notes(buf_str(&path), o, why) : remove_notes(buf_str(&path), why);
    json_decref(o);
    buf_free(&path);
    return ok;
}
