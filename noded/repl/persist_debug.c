/* DEBUG RELOAD and LOADAOF: the dataset goes through the files. */
#include "noded/cmd/extension.h"
#include "noded/repl/aof_state.h"
#include "noded/repl/extension.h"
#include "noded/repl/persist.h"

#include "noded/cmd/call.h"

static void empty(struct nd_engine *e)
{
    for (int i = 0; i < nd_keyspace_all(&e->keys); i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db != NULL)
            nd_db_clear(db);
    }
}

static void reload(struct nd_call *c)
{
    struct nd_persist *p = c->e->persist;
    bool merge = false, keep = false, save = true;
    for (size_t i = 2; i < c->argc; i++) {
        if (nd_arg_is(c, i, "merge")) {
            merge = true;
        } else if (nd_arg_is(c, i, "noflush")) {
            keep = true;
        } else if (nd_arg_is(c, i, "nosave")) {
            save = false;
        } else {
            nd_error(c, "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
            return;
        }
    }
    struct buf why = {0};
    if (save && !nd_persist_save(p, &why)) {
        nd_error(c, "ERR %s", buf_str(&why));
        buf_free(&why);
        return;
    }
    if (!keep)
        empty(c->e);
    if (p->host.load(p->host.owner, c->e->config.dbfilename, merge, &why)) {
        nd_ok(c);
    } else {
        c->e->host.log(c->e->host.owner, ND_LOG_WARNING, buf_str(&why));
        nd_error(c, "ERR Error trying to load the RDB dump, check server logs.");
    }
    nd_effect_none(c);
    buf_free(&why);
}

const struct nd_debug_row nd_persist_debug[] = {
    {"loadaof", "", "Empties the dataset and loads the append-only file.", 2, 2, nd_aof_reload},
    {"reload", "[MERGE] [NOFLUSH] [NOSAVE]",
     "Saves, empties and loads the dataset. NOSAVE: from the file as it is; NOFLUSH: into what is there; MERGE: keys "
     "of "
     "the file take the place of those that are there.",
     2, 0, reload},
    {0},
};
