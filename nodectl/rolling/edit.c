#include "nodectl/rolling/edit.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/file.h"
#include "nodectl/drill/process.h"
#include "nodectl/local/replace_file.h"
#include "nodectl/node/answers.h"
#include "nodectl/rolling/fewer.h"
#include "noded/shell/config_file.h"
#include "noded/shell/config_rewrite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)4 << 20)

/* ---- settings ---- */

const struct nd_setting *fixed_row(const char *name)
{
    const struct nd_setting *row = nd_setting_find(slice_of(name));
    return row != NULL && nd_setting_immutable(row) ? row : NULL;
}

static bool set(const struct nd_setting *row, struct nd_config *config, const char *value, struct buf *why)
{
    struct slice word = slice_of(value);
    return nd_setting_set(row, config, &word, 1, why);
}

bool fixed_add(struct fixed_settings *f, const struct nd_setting *row, const char *value, struct buf *why)
{
    struct nd_config scratch;
    nd_config_init(&scratch);
    bool taken = set(row, &scratch, value, why);
    if (taken) {
        f->v = mem_array(f->v, f->n + 1, sizeof *f->v);
        f->v[f->n++] = (struct fixed_setting){row, value};
        if (strcmp(nd_setting_name(row), "cluster-databases") == 0)
            f->databases = scratch.cluster_databases;
    }
    nd_config_free(&scratch);
    return taken;
}

/* "1kb" is 1024. */
static bool is_same(const struct fixed_setting *s, const char *is)
{
    struct nd_config a, b;
    struct buf x = {0}, y = {0}, ignored = {0};
    nd_config_init(&a);
    nd_config_init(&b);
    bool same = set(s->row, &a, s->value, &ignored) && set(s->row, &b, is, &ignored);
    nd_setting_get(s->row, &a, &x);
    nd_setting_get(s->row, &b, &y);
    same = same ? slice_eq(buf_slice(&x), buf_slice(&y)) : strcmp(s->value, is) == 0;
    buf_free(&x);
    buf_free(&y);
    buf_free(&ignored);
    nd_config_free(&a);
    nd_config_free(&b);
    return same;
}

const char *fixed_differs(const struct fixed_setting *s, const redisReply *r)
{
    if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements < 2 || r->element[1]->type != REDIS_REPLY_STRING)
        return "not known";
    return is_same(s, r->element[1]->str) ? NULL : r->element[1]->str;
}

/* ---- the file ---- */

bool edit_text(const char *path, struct slice old, const struct fixed_settings *wished, struct buf *out,
               struct buf *why)
{
    struct nd_config config;
    struct conf_problems problems = {.count = 0};
    nd_config_init(&config);
    bool ok = config_text_read(path, old, &config, NULL, &problems);
    if (!ok)
        buf_printf(why, "%s is not good any more: %s", path, buf_str(&problems.text));
    for (size_t i = 0; i < wished->n && ok; i++)
        ok = set(wished->v[i].row, &config, wished->v[i].value, why);
    ok = ok && config_rewrite_text(path, old, &config, out, why);
    buf_free(&problems.text);
    nd_config_free(&config);
    return ok;
}

/* One word that needs no quotes. */
static bool is_plain(const char *value)
{
    return value[0] != '\0' && strpbrk(value, " \t\r\n\"'\\#") == NULL;
}

static bool is_line_of(struct slice line, const struct fixed_settings *wished)
{
    line = slice_trim(line);
    struct slice name = {line.p, 0};
    while (name.n < line.n && line.p[name.n] != ' ' && line.p[name.n] != '\t')
        name.n++;
    const struct nd_setting *row = nd_setting_find(name);
    for (size_t i = 0; row != NULL && i < wished->n; i++)
        if (wished->v[i].row == row)
            return true;
    return false;
}

bool edit_text_redis(struct slice old, const struct fixed_settings *wished, struct buf *out, struct buf *why)
{
    for (size_t i = 0; i < wished->n; i++)
        if (!is_plain(wished->v[i].value)) {
            buf_printf(why, "%s needs quotes", nd_setting_name(wished->v[i].row));
            return false;
        }
    while (old.n > 0) {
        struct slice line = slice_cut_line(&old);
        if (is_line_of(line, wished))
            continue;
        buf_put(out, line.p, line.n);
        buf_putc(out, '\n');
    }
    for (size_t i = 0; i < wished->n; i++)
        buf_printf(out, "%s %s\n", nd_setting_name(wished->v[i].row), wished->v[i].value);
    return true;
}

static bool new_text(const struct edit *e, struct buf *old, struct buf *out, struct buf *why)
{
    return io_file_read(e->path, FILE_BYTES_MAX, old, why) &&
           (e->noded ? edit_text(e->path, buf_slice(old), e->wished, out, why)
                     : edit_text_redis(buf_slice(old), e->wished, out, why));
}

/* A container may have another file at the same path. */
static bool is_its_file(const struct local_process *p, const char *path)
{
    struct buf theirs = {0};
    struct stat a, b;
    buf_printf(&theirs, "/proc/%d/root%s", (int)p->pid, path);
    bool same = stat(buf_str(&theirs), &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    buf_free(&theirs);
    return same;
}

/* false: errno says why. */
static bool can_be_written(const char *path)
{
    char *target = realpath(path, NULL), *folder = target != NULL ? io_path_folder(target) : NULL;
    bool can = folder != NULL && access(target, R_OK) == 0 && access(folder, W_OK | X_OK) == 0;
    int error = errno;
    free(folder);
    free(target);
    errno = error;
    return can;
}

/* One of the settings that the command line of the process gives, which counts more than the file; or NULL. */
static const struct fixed_setting *in_arguments(const struct local_process *p, const struct fixed_settings *wished)
{
    for (const char *word = p->words; word < p->words + p->nwords; word += strlen(word) + 1) {
        if (strncmp(word, "--", 2) != 0)
            continue;
        const struct nd_setting *row = config_file_row((struct slice){word + 2, strcspn(word + 2, "=")});
        for (size_t i = 0; row != NULL && i < wished->n; i++)
            if (wished->v[i].row == row)
                return &wished->v[i];
    }
    return NULL;
}

/* ---- by hand ---- */

/* The lines that are wanted, as the file of this server has them. */
static void put_lines(struct buf *out, const struct fixed_settings *wished, bool noded)
{
    for (size_t i = 0; i < wished->n; i++) {
        const struct fixed_setting *s = &wished->v[i];
        struct nd_config config;
        struct buf ignored = {0};
        nd_config_init(&config);
        buf_puts(out, "\n    ");
        if (noded && set(s->row, &config, s->value, &ignored)) {
            config_file_put_key(s->row, out);
            buf_puts(out, " = ");
            config_file_put_value(s->row, &config, out);
            buf_putc(out, ';');
        } else {
            buf_printf(out, "%s %s", nd_setting_name(s->row), s->value);
        }
        buf_free(&ignored);
        nd_config_free(&config);
    }
}

static void put_hand(struct buf *hand, const struct edit *e, const struct picture_node *n, const char *reason)
{
    char text[ADDR_TEXT_MAX];
    buf_printf(hand, "\n  %s (%s):", node_text(n, text), reason);
    if (e->path != NULL && e->path[0] != '\0')
        buf_printf(hand, " put into %s there", e->path);
    else
        buf_puts(hand, " it has no configuration file; start it with one that has");
    put_lines(hand, e->wished, n->noded);
}

/* ---- looking ---- */

static bool compare(struct edit *e, struct node_work *w, struct picture_node *n, struct buf *why)
{
    for (size_t i = 0; i < e->wished->n; i++) {
        const struct fixed_setting *s = &e->wished->v[i];
        /* redis-server knows database 0 only, and not the setting. */
        if (!n->noded && s->row == fixed_row("cluster-databases"))
            continue;
        const redisReply *r = picture_askf(&w->picture, n, why, "CONFIG GET %s", nd_setting_name(s->row));
        if (r == NULL)
            return false;
        const char *is = fixed_differs(s, r);
        if (is != NULL)
            buf_printf(&e->what, "%s%s %s (%s now)", e->what.n > 0 ? ", " : "", nd_setting_name(s->row), s->value, is);
    }
    e->shrinks = e->wished->databases > 0 && n->databases > e->wished->databases;
    return true;
}

/* Whether the file of the process can be written, and what it then would be is good. false: reason says why not. */
static bool is_ours(struct edit *e, const struct picture_node *n, int64_t pid, struct buf *reason)
{
    struct local_process p = {.fd = -1};
    struct buf old = {0}, text = {0};
    const struct fixed_setting *given;
    bool ours = false;
    if (process_find(&p, &n->addr, pid, reason) != PROCESS_HERE)
        ;
    else if (e->path[0] == '\0')
        buf_puts(reason, "it was started without one");
    else if ((given = in_arguments(&p, e->wished)) != NULL)
        buf_printf(reason, "its arguments say --%s, which counts more: take that out of them",
                   nd_setting_name(given->row));
    else if (!can_be_written(e->path))
        buf_printf(reason, "you can't write there: %s", strerror(errno));
    else if (!is_its_file(&p, e->path))
        buf_puts(reason, "it is in a container with files of its own");
    else
        ours = new_text(e, &old, &text, reason);
    buf_free(&old);
    buf_free(&text);
    process_free(&p);
    return ours;
}

enum edit_needed edit_find(struct edit *e, struct node_work *w, struct picture_node *n,
                           const struct fixed_settings *wished, struct buf *hand, struct buf *why)
{
    char path[4096] = "";
    struct buf reason = {0};
    *e = (struct edit){.wished = wished, .noded = n->noded};
    memcpy(e->id, n->id, sizeof e->id);
    if (!compare(e, w, n, why)) {
        edit_free(e);
        return EDIT_FAILED;
    }
    const redisReply *info = e->what.n > 0 ? picture_askf(&w->picture, n, why, "INFO server") : NULL;
    enum edit_needed needed = e->what.n == 0 ? EDIT_NONE : EDIT_FAILED;
    if (info != NULL && info->type == REDIS_REPLY_STRING) {
        (void)answer_field(info->str, "config_file", path, sizeof path);
        e->path = mem_strdup(path);
        needed = is_ours(e, n, answer_number(info->str, "process_id", 0), &reason) ? EDIT_FOUND : EDIT_BY_HAND;
    }
    if (needed == EDIT_BY_HAND)
        put_hand(hand, e, n, buf_str(&reason));
    buf_free(&reason);
    if (needed != EDIT_FOUND)
        edit_free(e);
    return needed;
}

bool edit_write(struct edit *e, struct node_work *w, struct buf *why)
{
    struct buf old = {0}, text = {0};
    bool ok = (!e->shrinks || fewer_prepare(w, e->id, e->wished->databases, why)) && new_text(e, &old, &text, why);
    if (ok && !slice_eq(buf_slice(&old), buf_slice(&text)))
        ok = replace_file(e->path, buf_slice(&text), 0600, why);
    buf_free(&old);
    buf_free(&text);
    return ok;
}

void edit_free(struct edit *e)
{
    free(e->path);
    buf_free(&e->what);
    *e = (struct edit){.path = NULL};
}
