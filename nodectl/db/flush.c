/* nodectl db flush: one database of all masters is emptied. */
#include "nodectl/change.h"
#include "nodectl/db/about.h"
#include "nodectl/db/node_link.h"
#include "nodectl/db/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flush {
    const struct command_call *call;
    struct asking asking;
    struct picture picture;
    struct change change;
    int64_t db, keys;
    struct buf word; /* "orders/3": what is typed before it is done */
};

static int64_t keys_at(struct flush *f, struct picture_node *n)
{
    struct about_database_figures *v;
    struct buf why = {0};
    size_t count;
    bool told = about_figures(&f->picture, n, &v, &count, &why);
    int64_t keys = (size_t)f->db < count ? v[f->db].keys : 0;
    if (!told)
        change_failed(&f->change, "%s", buf_str(&why));
    free(v);
    buf_free(&why);
    return keys;
}

static void plan(struct flush *f)
{
    struct buf why = {0};
    char text[ADDR_TEXT_MAX];
    struct picture_node *n;
    if (!about_reachable(&f->picture, f->db, &why))
        change_failed(&f->change, "%s", buf_str(&why));
    for (size_t i = 0; f->change.failure.n == 0 && (n = about_next_master(&f->picture, &i)) != NULL;) {
        int64_t keys = keys_at(f, n);
        f->keys += keys;
        change_step(&f->change, "empty database %lld of %s: %lld keys", (long long)f->db, addr_text(&n->addr, text),
                    (long long)keys);
    }
    change_warn(&f->change, "the keys are gone then, at the replicas too; nothing brings them back but a backup");
    buf_free(&why);
}

static bool empty(struct flush *f, const struct picture_node *n)
{
    struct node_link link = {0};
    struct buf why = {0};
    char text[ADDR_TEXT_MAX];
    bool open = node_link_open(&link, &f->asking, &n->addr);
    if (!open)
        buf_printf(&why, "%s: %s", addr_text(&n->addr, text), buf_str(&link.error));
    redisReply *r = open && node_link_select(&link, f->db, &why) ? node_link_ask(&link, &why, "FLUSHDB", "ASYNC", NULL)
                                                                 : NULL;
    if (r == NULL)
        change_failed(&f->change, "%s", buf_str(&why));
    bool ok = r != NULL;
    if (ok)
        freeReplyObject(r);
    node_link_free(&link);
    buf_free(&why);
    return ok;
}

static void act(struct flush *f)
{
    size_t step = 0;
    const struct picture_node *n;
    for (size_t i = 0; (n = about_next_master(&f->picture, &i)) != NULL; step++) {
        if (!change_now(&f->change, step) || !empty(f, n))
            return;
        change_did(&f->change, step);
    }
}

/* --yes alone is soon said: what is meant has to be named too. */
static int check_confirmed(const struct flush *f)
{
    const char *given = command_value(f->call, "--confirm"), *word = buf_str((struct buf *)(uintptr_t)&f->word);
    if (given != NULL && strcmp(given, word) != 0)
        return command_fail(f->call, EXIT_USAGE, "--confirm is '%s', but this is about %s", given, word);
    if (command_value(f->call, "--yes") != NULL && command_value(f->call, "--dry-run") == NULL && given == NULL)
        return command_fail(f->call, EXIT_USAGE, "--yes needs --confirm %s here: it cannot be undone", word);
    return EXIT_OK;
}

static int perform(struct flush *f)
{
    char title[64];
    int code = change_begin(&f->change, f->call, &f->asking);
    if (code != EXIT_OK)
        return code;
    snprintf(title, sizeof title, "Emptying database %lld, which has %lld keys", (long long)f->db, (long long)f->keys);
    code = about_look(f->call, &f->asking, &f->picture);
    if (code != EXIT_OK) {
        change_failed(&f->change, "nothing was done: no node can be asked");
    } else {
        plan(f);
        snprintf(title, sizeof title, "Emptying database %lld: %lld keys", (long long)f->db, (long long)f->keys);
        if (change_agreed_by_word(&f->change, title, "The keys are lost.", buf_str(&f->word)))
            act(f);
    }
    int end = change_end(&f->change,
                         json_pack("{s:I, s:I}", "database", (json_int_t)f->db, "keys", (json_int_t)f->keys));
    picture_free(&f->picture);
    return code != EXIT_OK ? code : end;
}

int db_flush(const struct command_call *call)
{
    struct flush f = {.call = call};
    int code = asking_read_nodes(call, &f.asking);
    if (code == EXIT_OK)
        code = about_database(call, call->argv[0], &f.db);
    if (code == EXIT_OK) {
        char text[ADDR_TEXT_MAX];
        buf_printf(&f.word, "%s/%lld", about_name(&f.asking, text), (long long)f.db);
        code = check_confirmed(&f);
    }
    if (code == EXIT_OK)
        code = perform(&f);
    buf_free(&f.word);
    asking_free(&f.asking);
    return code;
}
