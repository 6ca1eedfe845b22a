/* What comes on the link of a job: requests that make or change keys of its slots, and the words that steer it. Nothing
 * of it is answered; what is not as it should be ends the job. */
#include "noded/repl/import_state.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/evict.h"
#include "noded/cmd/table.h"
#include "noded/cmd/transaction.h"
#include "noded/repl/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_AT_ONCE 64
#define NAME_SHOWN 64
#define ACK_US 100000

/* The words that may come beside writes. */
enum word { WORD_NONE, WORD_SELECT, WORD_UNIT, WORD_SYNCSLOTS, WORD_PING };

static enum word word_of(const struct nd_indexed *row)
{
    const char *name = row->full_name;
    if (strcmp(name, "select") == 0)
        return WORD_SELECT;
    if (strcmp(name, "multi") == 0 || row->cmd->run == nd_exec_command)
        return WORD_UNIT;
    if (strcmp(name, "cluster|syncslots") == 0)
        return WORD_SYNCSLOTS;
    return strcmp(name, "ping") == 0 ? WORD_PING : WORD_NONE;
}

static bool has_slot(const struct nd_import *m, struct slice key)
{
    return cl_bit(m->slots, nd_keyspace_slot(&m->s->e->keys, key));
}

/* NULL: it names keys, and all of them are of the job's slots. */
static const char *wrong_keys(const struct nd_import *m, const struct nd_indexed *row, size_t argc,
                              const struct slice *argv)
{
    static const char elsewhere[] = "it names a key of another slot", none[] = "it names no keys";
    int few[KEYS_AT_ONCE], *at = few;
    if (row->keyed == ND_KEYED_FIRST && argc > 1)
        return has_slot(m, argv[1]) ? NULL : elsewhere;
    int n = nd_command_keys(row->cmd, argv, argc, few, KEYS_AT_ONCE);
    if (n > KEYS_AT_ONCE) {
        at = mem_array(NULL, (size_t)n, sizeof *at);
        n = nd_command_keys(row->cmd, argv, argc, at, n);
    }
    const char *why = n > 0 ? NULL : none;
    for (int i = 0; i < n && why == NULL; i++)
        why = has_slot(m, argv[at[i]]) ? NULL : elsewhere;
    if (at != few)
        free(at);
    return why;
}

static const char *wrong_database(const struct nd_import *m, size_t argc, const struct slice *argv)
{
    int64_t n;
    bool good = argc == 2 && text_range(argv[1], 0, m->databases - 1, &n);
    return good ? NULL : "the source said that it has no such database";
}

/* NULL: it may be run. */
static const char *refused(const struct nd_import *m, const struct nd_indexed *row, size_t argc,
                           const struct slice *argv)
{
    static const char alien[] = "it does not belong on this link";
    if (row == NULL)
        return alien;
    if (m->step == ND_IMPORT_GRANTED)
        return "the slots were granted before it";
    if ((row->flags & ND_WRITE) != 0) /* MIGRATE waits for another node */
        return row->keyed == ND_KEYED_SOME && strcmp(row->full_name, "migrate") == 0 ? alien
                                                                                     : wrong_keys(m, row, argc, argv);
    switch (word_of(row)) {
    case WORD_SELECT: return wrong_database(m, argc, argv);
    case WORD_UNIT:
    case WORD_SYNCSLOTS:
    case WORD_PING: return NULL;
    case WORD_NONE: break;
    }
    return alien;
}

static void fail_at(struct nd_import *m, struct slice name, struct slice why)
{
    struct buf text = {0};
    buf_puts(&text, "the request ");
    text_quote(&text, name, NAME_SHOWN);
    buf_puts(&text, " of the source can't be run: ");
    buf_put(&text, why.p, why.n);
    nd_import_fail(m, buf_str(&text));
    buf_free(&text);
}

/* Keys that are served here are worth more than those that have a home elsewhere. */
static bool out_of_memory(const struct nd_import *m, const struct nd_indexed *row)
{
    if ((row->flags & ND_WRITE) == 0 || !nd_memory_is_short(m->s->e))
        return false;
    nd_imports_upset(m->all->r, "the target is out of memory");
    return true;
}

enum nd_ran nd_import_run(struct nd_session *s, size_t argc, const struct slice *argv)
{
    struct nd_engine *e = s->e;
    struct nd_import *m = s->import;
    if (m == NULL)
        return ND_CLOSE;
    const struct nd_indexed *row = nd_commands_find(e->commands, argv, argc, NULL);
    const char *why = refused(m, row, argc, argv);
    if (why != NULL) {
        fail_at(m, argv[0], slice_of(why));
        return ND_CLOSE;
    }
    if (out_of_memory(m, row))
        return ND_CLOSE;
    uint64_t errors = e->stats.errors;
    enum nd_ran ran = nd_session_run(s, argc, argv);
    assert(ran != ND_BLOCKED); /* nd_may_block() says so */
    if (s->import == NULL)
        return ND_CLOSE; /* it has ended the job */
    if (ran == ND_POSTPONED)
        return ran;
    if (e->stats.errors != errors) {
        fail_at(m, argv[0], nd_stream_error(buf_slice(&e->dropped)));
        return ND_CLOSE;
    }
    if (m->ack_us == HEAP_NEVER)
        m->ack_us = e->now_us + ACK_US;
    return ran;
}
