#include "nodectl/rolling/fewer.h"

#include "common/base/text.h"
#include "nodectl/node/answers.h"

#include <string.h>

#define REWRITE_MS 600000

bool fewer_find(struct slice info, int64_t databases, struct buf *out)
{
    size_t found = 0;
    while (info.n > 0) {
        struct slice line = slice_cut_line(&info), name = slice_cut(&line, ':');
        int64_t number, keys;
        if (name.n < 3 || memcmp(name.p, "db", 2) != 0 ||
            !text_range((struct slice){name.p + 2, name.n - 2}, 0, INT32_MAX, &number) || number < databases)
            continue;
        struct slice first = slice_cut(&line, ',');
        slice_cut(&first, '=');
        if (!text_range(first, 1, INT64_MAX, &keys))
            continue;
        buf_printf(out, "%sdb%lld holds %lld key%s", found++ > 0 ? ", " : "", (long long)number, (long long)keys,
                   keys == 1 ? "" : "s");
    }
    return found > 0;
}

bool fewer_can(struct node_work *w, int64_t databases, struct buf *why)
{
    struct picture *p = &w->picture;
    struct buf found = {0};
    bool can = true;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n && can; i++) {
        if (p->v[i].databases <= databases)
            continue;
        const redisReply *r = picture_askf(p, &p->v[i], why, "INFO keyspace");
        can = r != NULL && r->type == REDIS_REPLY_STRING;
        if (can && fewer_find((struct slice){r->str, r->len}, databases, &found)) {
            buf_printf(why,
                       "with %lld databases what is behind them would be lost, and at %s %s. Move it or delete it "
                       "first: nodectl db list shows it, db copy and db flush do that",
                       (long long)databases, node_text(&p->v[i], text), buf_str(&found));
            can = false;
        }
    }
    buf_free(&found);
    return can;
}

/* ---- the append-only file ---- */

struct rewrite {
    const char *id;
    bool asked;
};

static bool is_rewritten(struct node_work *w, void *what, struct buf *why)
{
    struct rewrite *r = what;
    struct picture_node *n = picture_by_id(&w->picture, r->id);
    const redisReply *info = n != NULL ? picture_askf(&w->picture, n, why, "INFO persistence") : NULL;
    char status[16];
    if (info == NULL || info->type != REDIS_REPLY_STRING)
        return false;
    if (answer_number(info->str, "aof_enabled", 0) == 0)
        return true;
    (void)answer_field(info->str, "aof_last_bgrewrite_status", status, sizeof status);
    bool busy = answer_number(info->str, "aof_rewrite_in_progress", 0) != 0 ||
                answer_number(info->str, "aof_rewrite_scheduled", 0) != 0;
    if (!busy && r->asked && strcmp(status, "ok") == 0)
        return true;
    /* One that was under way already may have begun before the last key was deleted. */
    if (!busy)
        r->asked = picture_askf(&w->picture, n, why, "BGREWRITEAOF") != NULL;
    buf_puts(why, "its append-only file is being written anew, without what was in the databases that go");
    return false;
}

bool fewer_prepare(struct node_work *w, const char *id, int64_t databases, struct buf *why)
{
    struct rewrite r = {.id = id};
    return fewer_can(w, databases, why) && node_wait(w, REWRITE_MS, is_rewritten, &r);
}
