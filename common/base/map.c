#include "common/base/map.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Open addressing with linear probing. A deleted entry leaves no mark: what follows in its run moves up instead, so
 * that a map that lives long and changes much never gets slower. */
struct map_entry {
    uint64_t hash;
    char *key; /* our copy */
    size_t n;
    void *value; /* NULL: the slot is free */
};

#define MAP_MIN_CAP 8

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 = rotl(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* Little endian, whatever the machine is: the order of iteration then is the same everywhere. */
static uint64_t load_le(const unsigned char *p, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

uint64_t map_hash(const uint64_t seed[2], const void *p, size_t n)
{
    struct sip s = {
        .v0 = seed[0] ^ 0x736f6d6570736575U,
        .v1 = seed[1] ^ 0x646f72616e646f6dU,
        .v2 = seed[0] ^ 0x6c7967656e657261U,
        .v3 = seed[1] ^ 0x7465646279746573U,
    };
    const unsigned char *at = p;
    size_t left = n;
    for (; left >= 8; left -= 8, at += 8)
        sip_word(&s, load_le(at, 8));
    sip_word(&s, (uint64_t)n << 56 | load_le(at, left));
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void map_init(struct map *m, uint64_t seed0, uint64_t seed1)
{
    *m = (struct map){.slots = NULL, .used = 0, .cap = 0, .seed = {seed0, seed1}};
}

void map_free(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value != NULL)
            free(m->slots[i].key);
    free(m->slots);
    map_init(m, m->seed[0], m->seed[1]);
}

/* The slot that holds the key, or the free one where it would go. There always is a free one. */
static struct map_entry *find(const struct map *m, uint64_t hash, struct slice key)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_entry *e = &m->slots[i];
        if (e->value == NULL)
            return e;
        if (e->hash == hash && slice_eq((struct slice){e->key, e->n}, key))
            return e;
    }
}

static void resize(struct map *m, size_t cap)
{
    struct map old = *m;
    m->slots = mem_array(NULL, cap, sizeof *m->slots);
    memset(m->slots, 0, cap * sizeof *m->slots);
    m->cap = cap;
    for (size_t i = 0; i < old.cap; i++) {
        const struct map_entry *e = &old.slots[i];
        if (e->value != NULL)
            *find(m, e->hash, (struct slice){e->key, e->n}) = *e;
    }
    free(old.slots);
}

void *map_get(const struct map *m, struct slice key)
{
    if (m->used == 0)
        return NULL;
    return find(m, map_hash(m->seed, key.p, key.n), key)->value;
}

void *map_gets(const struct map *m, const char *key)
{
    return map_get(m, slice_of(key));
}

void *map_put(struct map *m, struct slice key, void *value)
{
    assert(value != NULL);
    if (m->cap == 0)
        resize(m, MAP_MIN_CAP);
    uint64_t hash = map_hash(m->seed, key.p, key.n);
    struct map_entry *e = find(m, hash, key);
    if (e->value != NULL) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    if (m->used + 1 > m->cap / 4 * 3) {
        resize(m, m->cap * 2);
        e = find(m, hash, key);
    }
    *e = (struct map_entry){.hash = hash, .key = mem_strndup(key.p, key.n), .n = key.n, .value = value};
    m->used++;
    return NULL;
}

void *map_puts(struct map *m, const char *key, void *value)
{
    return map_put(m, slice_of(key), value);
}

void *map_del(struct map *m, struct slice key)
{
    if (m->used == 0)
        return NULL;
    struct map_entry *e = find(m, map_hash(m->seed, key.p, key.n), key);
    void *value = e->value;
    if (value == NULL)
        return NULL;
    free(e->key);
    size_t mask = m->cap - 1;
    size_t hole = (size_t)(e - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].value != NULL; i = (i + 1) & mask) {
        /* An entry may move up to the hole unless its home lies behind the hole (cyclically), where a search for it
         * would begin. */
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_entry){0};
    m->used--;
    /* Iteration visits every slot, so an emptied map must not stay big. */
    if (m->cap > MAP_MIN_CAP && m->used < m->cap / 8)
        resize(m, m->cap / 2);
    return value;
}

void *map_dels(struct map *m, const char *key)
{
    return map_del(m, slice_of(key));
}

void *map_next(const struct map *m, size_t *it, struct slice *key)
{
    while (*it < m->cap) {
        const struct map_entry *e = &m->slots[(*it)++];
        if (e->value == NULL)
            continue;
        if (key != NULL)
            *key = (struct slice){e->key, e->n};
        return e->value;
    }
    return NULL;
}
