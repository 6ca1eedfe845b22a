#include "common/base/idmap.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Open addressing with linear probing; the low bits of the number are its place. As in map.c a deleted entry leaves no
 * mark. */
struct idmap_entry {
    uint64_t id;
    void *value; /* NULL: the slot is free */
};

#define MIN_CAP 16

void idmap_free(struct idmap *m)
{
    free(m->slots);
    *m = (struct idmap){.cap = 0};
}

/* The slot that holds the id, or the free one where it would go. There always is a free one. */
static struct idmap_entry *find(const struct idmap *m, uint64_t id)
{
    size_t i = (size_t)id & (m->cap - 1);
    while (m->slots[i].value != NULL && m->slots[i].id != id)
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

static void resize(struct idmap *m, size_t cap)
{
    struct idmap old = *m;
    m->slots = mem_array(NULL, cap, sizeof *m->slots);
    memset(m->slots, 0, cap * sizeof *m->slots);
    m->cap = cap;
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].value != NULL)
            *find(m, old.slots[i].id) = old.slots[i];
    free(old.slots);
}

void *idmap_get(const struct idmap *m, uint64_t id)
{
    return m->used == 0 ? NULL : find(m, id)->value;
}

void idmap_put(struct idmap *m, uint64_t id, void *value)
{
    assert(value != NULL);
    if (m->used + 1 > m->cap / 2) /* half empty: runs stay short though old numbers stand among new ones */
        resize(m, m->cap == 0 ? MIN_CAP : m->cap * 2);
    struct idmap_entry *e = find(m, id);
    m->used += e->value == NULL;
    *e = (struct idmap_entry){.id = id, .value = value};
}

void *idmap_del(struct idmap *m, uint64_t id)
{
    if (m->used == 0)
        return NULL;
    struct idmap_entry *e = find(m, id);
    void *value = e->value;
    if (value == NULL)
        return NULL;
    size_t mask = m->cap - 1, hole = (size_t)(e - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].value != NULL; i = (i + 1) & mask) {
        /* It may move up to the hole unless its place lies behind the hole (cyclically). */
        size_t home = (size_t)m->slots[i].id & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct idmap_entry){.value = NULL};
    m->used--;
    if (m->cap > MIN_CAP && m->used < m->cap / 8)
        resize(m, m->cap / 2);
    return value;
}

void *idmap_next(const struct idmap *m, size_t *it)
{
    while (*it < m->cap) {
        void *value = m->slots[(*it)++].value;
        if (value != NULL)
            return value;
    }
    return NULL;
}
