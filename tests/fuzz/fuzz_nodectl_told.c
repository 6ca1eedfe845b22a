/* What servers tell nodectl: after a byte 0 the text of INFO, else an answer in Redis's protocol, which is taken for
 * each kind of answer that nodectl reads.
 * fuzz.sh: at most 40000 inputs. */
#include "nodectl/db/about.h"
#include "nodectl/failover_watch.h"
#include "nodectl/import/written.h"
#include "nodectl/info.h"
#include "nodectl/note_text.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void info(struct slice text)
{
    struct about_database_figures *v;
    size_t n = about_read_keyspace(text, &v);
    for (size_t db = 0; db < n; db++)
        if (v[db].keys < 0 || v[db].expires < 0 || v[db].average_ttl_ms < 0)
            abort();
    free(v);
    (void)info_number(text, "master_repl_offset", -1);
    struct slice role = info_field(text, "role");
    if (role.p != NULL && (role.p < text.p || role.p + role.n > text.p + text.n))
        abort();
}

static void notes(const redisReply *r)
{
    json_t *list = past_notes(r), *entry;
    size_t i;
    json_array_foreach(list, i, entry)
    {
        struct buf text = {0};
        char when[WALL_TEXT_MAX];
        note_text(&text, entry);
        (void)wall_text(json_int(entry, "wall_ms", 0), when);
        buf_free(&text);
    }
    json_decref(list);
}

static void events(const redisReply *r)
{
    json_t *list = past_events(r), *entry;
    struct failover_watch w;
    size_t i;
    failover_watch_init(&w, "g", "h:1");
    json_array_foreach(list, i, entry)
    {
        (void)failover_watch_take(&w, "h:1", json_word(entry, "event"), json_word(entry, "text"), (int64_t)i);
    }
    failover_watch_free(&w);
    json_decref(list);
}

static void count(void *owner, int64_t db, struct slice key)
{
    size_t *found = owner;
    if (db < 0 || key.p == NULL)
        abort();
    ++*found;
}

/* The answer to COMMAND, and each of its rows as if it were a command. */
static void commands(const redisReply *r)
{
    struct written w;
    struct slice argv[8];
    int64_t db = 0;
    (void)written_init(&w, r);
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        const redisReply *row = r->element[i];
        size_t argc = 0, found = 0;
        for (; row->type == REDIS_REPLY_ARRAY && argc < row->elements && argc < 8; argc++)
            argv[argc] = row->element[argc]->str != NULL
                             ? (struct slice){row->element[argc]->str, row->element[argc]->len}
                             : slice_of("1");
        if (argc > 0)
            (void)written_keys(&w, argv, argc, &db, count, &found);
        if (found > 16)
            abort();
    }
    written_free(&w);
}

static void maps(const redisReply *r)
{
    struct addr a;
    json_t *one = reply_object(r), *all = reply_objects(r);
    (void)field_addr(one, "ip", "port", &a);
    (void)field_number(one, "port", 0);
    (void)field_has(one, "flags", "master");
    (void)json_named(all, "g");
    json_decref(one);
    json_decref(all);
}

/* hiredis takes the memory for as many elements as are announced; here it is the reading that is tried. */
static void *(*create_array)(const redisReadTask *, int);
static void *small_array(const redisReadTask *task, int elements)
{
    return elements <= 4096 ? create_array(task, elements) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1)
        return 0;
    if (data[0] == 0) {
        info((struct slice){(const char *)data + 1, n - 1});
        return 0;
    }
    redisReader *reader = redisReaderCreate();
    redisReplyObjectFunctions functions = *reader->fn;
    void *r = NULL;
    create_array = functions.createArray;
    functions.createArray = small_array;
    reader->fn = &functions;
    (void)redisReaderFeed(reader, (const char *)data + 1, n - 1);
    while (redisReaderGetReply(reader, &r) == REDIS_OK && r != NULL) {
        notes(r);
        events(r);
        commands(r);
        maps(r);
        freeReplyObject(r);
    }
    redisReaderFree(reader);
    return 0;
}
