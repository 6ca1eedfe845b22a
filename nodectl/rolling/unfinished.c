#include "nodectl/rolling/unfinished.h"

#include "nodectl/local/replace_file.h"

#include <inttypes.h>
#include <jansson.h>
#include <unistd.h>

static void put_path(struct buf *out, const char *dir)
{
    buf_printf(out, "%s/" UNFINISHED_FILE, dir);
}

int64_t unfinished_since(const char *dir)
{
    struct buf path = {0};
    put_path(&path, dir);
    json_t *o = json_load_file(buf_str(&path), 0, NULL);
    int64_t since_s = json_integer_value(json_object_get(o, "since"));
    json_decref(o);
    buf_free(&path);
    return since_s > 0 ? since_s : 0;
}

bool unfinished_begin(const char *dir, int64_t since_s, struct buf *why)
{
    struct buf path = {0}, text = {0};
    put_path(&path, dir);
    buf_printf(&text, "{ \"since\": %" PRId64 " }\n", since_s);
    bool ok = replace_file(buf_str(&path), buf_slice(&text), 0644, why);
    buf_free(&path);
    buf_free(&text);
    return ok;
}

void unfinished_end(const char *dir)
{
    struct buf path = {0};
    put_path(&path, dir);
    (void)unlink(buf_str(&path));
    buf_free(&path);
}
