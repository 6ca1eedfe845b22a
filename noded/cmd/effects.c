#include "noded/cmd/effects.h"

#include "common/base/mem.h"
#include "noded/cmd/call.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 4096

/* Memory for copies: pieces that stay where they are until the unit is over. */
struct chunk {
    struct chunk *next;
    size_t n, cap;
    _Alignas(struct slice) char bytes[];
};

struct nd_effect_list {
    struct nd_effect_row *rows;
    size_t n, cap;
    struct chunk *chunks; /* the newest first; the last one is kept from unit to unit */
};

static void add_chunk(struct nd_effect_list *l, size_t bytes)
{
    size_t cap = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    struct chunk *chunk = mem_alloc(sizeof *chunk + cap);
    *chunk = (struct chunk){.next = l->chunks, .n = 0, .cap = cap};
    l->chunks = chunk;
}

static void drop_chunks(struct nd_effect_list *l)
{
    while (l->chunks != NULL && l->chunks->next != NULL) {
        struct chunk *chunk = l->chunks;
        l->chunks = chunk->next;
        free(chunk);
    }
    if (l->chunks != NULL)
        l->chunks->n = 0;
}

static void *take(struct nd_effect_list *l, size_t bytes)
{
    bytes = (bytes + _Alignof(struct slice) - 1) & ~(_Alignof(struct slice) - 1);
    if (l->chunks == NULL || l->chunks->cap - l->chunks->n < bytes)
        add_chunk(l, bytes);
    void *p = l->chunks->bytes + l->chunks->n;
    l->chunks->n += bytes;
    return p;
}

struct nd_effect_list *nd_effects_new(void)
{
    return mem_zalloc(sizeof(struct nd_effect_list));
}

void nd_effects_free(struct nd_effect_list *l)
{
    drop_chunks(l);
    free(l->chunks);
    free(l->rows);
    free(l);
}

bool nd_effects_none(const struct nd_effect_list *l)
{
    return l->n == 0;
}

void nd_effects_keep(struct nd_effect_list *l, int db, size_t argc, const struct slice *argv)
{
    l->rows = mem_grow(l->rows, l->n, &l->cap, sizeof *l->rows);
    l->rows[l->n++] = (struct nd_effect_row){.db = db, .argc = argc, .argv = argv};
}

void nd_effects_copy(struct nd_effect_list *l, int db, size_t argc, const struct slice *argv)
{
    size_t bytes = 0;
    for (size_t i = 0; i < argc; i++)
        bytes += argv[i].n;
    struct slice *copy = take(l, argc * sizeof *copy + bytes);
    char *at = (char *)(copy + argc);
    for (size_t i = 0; i < argc; i++) {
        if (argv[i].n > 0)
            memcpy(at, argv[i].p, argv[i].n);
        copy[i] = (struct slice){.p = at, .n = argv[i].n};
        at += argv[i].n;
    }
    nd_effects_keep(l, db, argc, copy);
}

void nd_effects_flush(struct nd_engine *e)
{
    struct nd_effect_list *l = e->effects;
    if (l->n == 0)
        return;
    e->host.effects(e->host.owner, l->rows, l->n);
    l->n = 0;
    drop_chunks(l);
}

void nd_effect_none(struct nd_call *c)
{
    c->effect_said = true;
}

void nd_effect_in(struct nd_call *c, int db, size_t argc, const struct slice *argv)
{
    c->effect_said = true;
    nd_effects_copy(c->e->effects, db, argc, argv);
}

void nd_effect(struct nd_call *c, size_t argc, const struct slice *argv)
{
    nd_effect_in(c, nd_db_number(c->db), argc, argv);
}

void nd_effect_key(struct nd_call *c, const char *command, struct slice key)
{
    struct slice words[] = {slice_of(command), key};
    nd_effect(c, 2, words);
}
