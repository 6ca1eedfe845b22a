#include "noded/repl/backlog.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct nd_backlog_block {
    struct nd_backlog_block *next;
    size_t readers; /* cursors in it */
    size_t n, cap;
    int64_t offset; /* of its first byte */
    char bytes[];
};

/* With its header a block has a size that an allocator has: nothing is lost behind it. */
#define BLOCK_BYTES ((size_t)16 * 1024 - sizeof(struct nd_backlog_block))

struct nd_backlog {
    struct nd_backlog_block *first, *last;
    size_t size, kept; /* bytes that are to be kept; that are */
    size_t memory;
    int64_t end;
};

struct nd_backlog *nd_backlog_new(size_t size, int64_t end)
{
    struct nd_backlog *b = mem_zalloc(sizeof *b);
    b->size = size;
    b->end = end;
    return b;
}

static void drop_first(struct nd_backlog *b)
{
    struct nd_backlog_block *block = b->first;
    b->first = block->next;
    if (b->first == NULL)
        b->last = NULL;
    b->kept -= block->n;
    b->memory -= sizeof *block + block->cap;
    free(block);
}

void nd_backlog_free(struct nd_backlog *b)
{
    if (b == NULL)
        return;
    while (b->first != NULL)
        drop_first(b);
    free(b);
}

/* Whole blocks only: at least `size` bytes stay. */
static void trim(struct nd_backlog *b)
{
    while (b->first != b->last && b->first->readers == 0 && b->kept - b->first->n >= b->size)
        drop_first(b);
}

static void add_block(struct nd_backlog *b, size_t n)
{
    size_t cap = n > BLOCK_BYTES ? n : BLOCK_BYTES;
    struct nd_backlog_block *block = mem_alloc(sizeof *block + cap);
    *block = (struct nd_backlog_block){.cap = cap, .offset = b->end + 1};
    if (b->last != NULL)
        b->last->next = block;
    else
        b->first = block;
    b->last = block;
    b->memory += sizeof *block + cap;
}

void nd_backlog_append(struct nd_backlog *b, const char *p, size_t n)
{
    while (n > 0) {
        if (b->last == NULL || b->last->n == b->last->cap)
            add_block(b, n);
        struct nd_backlog_block *block = b->last;
        size_t part = block->cap - block->n < n ? block->cap - block->n : n;
        memcpy(block->bytes + block->n, p, part);
        block->n += part;
        b->kept += part;
        b->end += (int64_t)part;
        p += part;
        n -= part;
    }
    trim(b);
}

void nd_backlog_resize(struct nd_backlog *b, size_t size)
{
    b->size = size;
    trim(b);
}

int64_t nd_backlog_first(const struct nd_backlog *b)
{
    return b->first != NULL ? b->first->offset : b->end + 1;
}

int64_t nd_backlog_end(const struct nd_backlog *b)
{
    return b->end;
}

size_t nd_backlog_memory(const struct nd_backlog *b)
{
    return b->memory + sizeof *b;
}

/* ---- readers ---- */

bool nd_backlog_open(struct nd_backlog *b, int64_t offset, struct nd_backlog_cursor *c)
{
    if (offset < nd_backlog_first(b) || offset > b->end + 1)
        return false;
    if (b->first == NULL)
        add_block(b, 0); /* the cursor needs a place to wait in */
    struct nd_backlog_block *block = b->first;
    while (block->next != NULL && block->next->offset <= offset)
        block = block->next;
    *c = (struct nd_backlog_cursor){.of = b, .block = block, .at = (size_t)(offset - block->offset), .offset = offset};
    block->readers++;
    return true;
}

void nd_backlog_close(struct nd_backlog_cursor *c)
{
    if (c->block == NULL)
        return;
    c->block->readers--;
    trim(c->of);
    *c = (struct nd_backlog_cursor){.offset = c->offset};
}

size_t nd_backlog_peek(const struct nd_backlog_cursor *c, struct slice *pieces, size_t max)
{
    size_t n = 0, skip = c->at;
    for (const struct nd_backlog_block *block = c->block; block != NULL && n < max; block = block->next) {
        if (block->n > skip)
            pieces[n++] = (struct slice){block->bytes + skip, block->n - skip};
        skip = 0;
    }
    return n;
}

void nd_backlog_pass(struct nd_backlog_cursor *c, size_t n)
{
    struct nd_backlog_block *block = c->block;
    c->offset += (int64_t)n;
    c->at += n;
    while (block->next != NULL && c->at >= block->n) {
        c->at -= block->n;
        block = block->next;
    }
    if (block == c->block)
        return;
    c->block->readers--;
    c->block = block;
    block->readers++;
    trim(c->of);
}

size_t nd_backlog_unread(const struct nd_backlog_cursor *c)
{
    return c->block != NULL ? (size_t)(c->of->end + 1 - c->offset) : 0;
}
