#include "noded/store/list.h"

#include "common/base/mem.h"
#include "noded/store/list_node.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define FILL_MIN (-5)
#define FILL_MAX 32767
#define COUNTED_NODE_MAX 8192 /* bytes of a node whose limit is a number of elements */
#define ESTIMATE 8            /* what an element takes beside its bytes, at most */
#define SECOND_NODE 1024      /* bytes to begin a node with when the list has others: it will be full one day */
#define SHRINK_FROM 512       /* smaller blocks are not worth it */

struct nd_value nd_list_new(const struct nd_limits *limits)
{
    struct nd_list *l = mem_zalloc(sizeof *l);
    int64_t fill = limits->list_max_listpack_size;
    l->fill = fill < FILL_MIN ? FILL_MIN : fill > FILL_MAX ? FILL_MAX : fill;
    return (struct nd_value){.type = ND_LIST, .enc = ND_ENC_QUICKLIST, .ptr = l};
}

/* ---- nodes ---- */

size_t nd_list_node_limit(const struct nd_list *l)
{
    return l->fill < 0 ? (size_t)2048 << -l->fill : COUNTED_NODE_MAX;
}

bool nd_list_fits(const struct nd_list *l, const struct nd_list_node *node, size_t n)
{
    if (node == NULL || node->plain || n >= ND_LIST_PLAIN_MIN)
        return false;
    if (nd_pack_bytes(nd_list_pack(node)) + n + ESTIMATE > nd_list_node_limit(l))
        return false;
    return l->fill < 0 || (int64_t)node->count < l->fill;
}

static void link_behind(struct nd_list *l, struct nd_list_node *after, struct nd_list_node *node)
{
    node->prev = after;
    node->next = after != NULL ? after->next : l->head;
    *(after != NULL ? &after->next : &l->head) = node;
    *(node->next != NULL ? &node->next->prev : &l->tail) = node;
    l->nodes++;
}

static uint32_t block_size(unsigned char *block)
{
    size_t n = malloc_usable_size(block);
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

struct nd_list_node *nd_list_node_around(struct nd_list *l, struct nd_list_node *after, struct nd_pack *p,
                                         uint32_t count)
{
    struct nd_list_node *node = mem_zalloc(sizeof *node);
    node->block = (unsigned char *)p;
    node->cap = block_size(node->block);
    node->count = count;
    link_behind(l, after, node);
    return node;
}

static struct nd_list_node *plain_node(struct nd_list *l, struct nd_list_node *after, struct slice s)
{
    struct nd_list_node *node = mem_zalloc(sizeof *node);
    node->block = mem_alloc(s.n);
    if (s.n > 0)
        memcpy(node->block, s.p, s.n);
    node->plain_bytes = s.n;
    node->count = 1;
    node->plain = true;
    link_behind(l, after, node);
    return node;
}

struct nd_list_node *nd_list_node_new(struct nd_list *l, struct nd_list_node *after, bool front, struct slice s)
{
    if (s.n >= ND_LIST_PLAIN_MIN)
        return plain_node(l, after, s);
    struct nd_pack_item item = nd_pack_item(s);
    size_t bytes = ND_PACK_EMPTY_BYTES + item.bytes;
    if (l->nodes > 0 && l->fill < 0 && bytes < SECOND_NODE)
        bytes = SECOND_NODE;
    struct nd_list_node *node = nd_list_node_around(l, after, nd_pack_new(bytes), 1);
    if (front) {
        node->front = node->cap - ND_PACK_EMPTY_BYTES;
        nd_pack_init(node->block + node->front);
        nd_pack_grow_front(nd_list_pack(node), &item);
        node->front -= (uint32_t)item.bytes;
    } else {
        nd_pack_grow_back(nd_list_pack(node), &item);
    }
    return node;
}

void nd_list_node_free(struct nd_list *l, struct nd_list_node *node)
{
    *(node->prev != NULL ? &node->prev->next : &l->head) = node->next;
    *(node->next != NULL ? &node->next->prev : &l->tail) = node->prev;
    l->nodes--;
    free(node->block);
    free(node);
}

/* The pack into another block, `front` bytes from its beginning. */
static void move_pack(struct nd_list_node *node, size_t cap, bool room_in_front, bool room_behind)
{
    size_t bytes = nd_pack_bytes(nd_list_pack(node));
    unsigned char *block = mem_alloc(cap);
    uint32_t now = block_size(block), spare = now - (uint32_t)bytes;
    uint32_t front = !room_in_front ? 0 : room_behind ? spare / 2 : spare;
    memcpy(block + front, nd_list_pack(node), bytes);
    free(node->block);
    node->block = block;
    node->cap = now;
    node->front = front;
}

/* Gives `more` bytes of room at one end of the node. While a quarter of the block is free the pack slides, to the
 * middle of what is left, so that pushes at both ends and queues (in at one end, out at the other) move few bytes a
 * push. */
static void make_room(struct nd_list *l, struct nd_list_node *node, bool front, size_t more)
{
    size_t bytes = nd_pack_bytes(nd_list_pack(node)), free_bytes = node->cap - bytes;
    if (free_bytes >= more && free_bytes >= node->cap / 4) {
        size_t left = free_bytes - more, to = left / 2 + (front ? more : 0);
        memmove(node->block + to, nd_list_pack(node), bytes);
        node->front = (uint32_t)to;
        return;
    }
    size_t need = bytes + more, cap = need + need / 2, limit = nd_list_node_limit(l);
    if (cap > limit)
        cap = need > limit ? need : limit;
    move_pack(node, cap, front, !front);
}

void nd_list_node_push(struct nd_list *l, struct nd_list_node *node, bool front, struct slice s)
{
    struct nd_pack_item item = nd_pack_item(s);
    size_t room = front ? node->front : node->cap - node->front - nd_pack_bytes(nd_list_pack(node));
    if (room < item.bytes)
        make_room(l, node, front, item.bytes);
    if (front) {
        nd_pack_grow_front(nd_list_pack(node), &item);
        node->front -= (uint32_t)item.bytes;
    } else {
        nd_pack_grow_back(nd_list_pack(node), &item);
    }
    node->count++;
}

void nd_list_node_shrink(struct nd_list_node *node)
{
    size_t bytes = nd_pack_bytes(nd_list_pack(node));
    if (node->cap >= SHRINK_FROM && bytes <= node->cap / 4)
        move_pack(node, 2 * bytes, true, true);
}

/* ---- the ends ---- */

void nd_list_push(struct nd_value *v, bool front, struct slice s)
{
    struct nd_list *l = nd_list_of(v);
    struct nd_list_node *node = front ? l->head : l->tail;
    if (nd_list_fits(l, node, s.n))
        nd_list_node_push(l, node, front, s);
    else
        nd_list_node_new(l, front ? NULL : l->tail, front, s);
    l->length++;
}

struct slice nd_list_end(const struct nd_value *v, bool front, char tmp[ND_PACK_INT_TEXT])
{
    const struct nd_list *l = nd_list_of(v);
    const struct nd_list_node *node = front ? l->head : l->tail;
    if (node->plain)
        return (struct slice){.p = (const char *)node->block, .n = node->plain_bytes};
    struct nd_pack *p = nd_list_pack(node);
    return nd_pack_get(front ? nd_pack_first(p) : nd_pack_last(p), tmp);
}

void nd_list_drop(struct nd_value *v, bool front)
{
    struct nd_list *l = nd_list_of(v);
    struct nd_list_node *node = front ? l->head : l->tail;
    l->length--;
    if (node->count == 1) {
        nd_list_node_free(l, node);
        return;
    }
    struct nd_pack *p = nd_list_pack(node);
    if (front)
        node->front = (uint32_t)((unsigned char *)nd_pack_drop_front(p) - node->block);
    else
        nd_pack_drop_back(p);
    node->count--;
    nd_list_node_shrink(node);
}

/* ---- walking ---- */

static void end_of_node(struct nd_list_at *at, struct nd_list_node *node, bool last)
{
    at->node = node;
    if (node == NULL || node->plain)
        at->at = NULL;
    else
        at->at = last ? nd_pack_last(nd_list_pack(node)) : nd_pack_first(nd_list_pack(node));
}

bool nd_list_seek(const struct nd_value *v, int64_t index, struct nd_list_at *out)
{
    const struct nd_list *l = nd_list_of(v);
    int64_t length = (int64_t)l->length;
    if (index < 0)
        index += length;
    if (index < 0 || index >= length)
        return false;
    struct nd_list_node *node;
    if (index <= length / 2) {
        for (node = l->head; index >= node->count; node = node->next)
            index -= node->count;
    } else {
        index -= length;
        for (node = l->tail; index < -(int64_t)node->count; node = node->prev)
            index += node->count;
    }
    out->node = node;
    out->at = node->plain ? NULL : nd_pack_index(nd_list_pack(node), index);
    assert(node->plain || out->at != NULL);
    return true;
}

bool nd_list_step(struct nd_list_at *at, bool backwards)
{
    struct nd_list_node *node = at->node;
    if (!node->plain) {
        struct nd_pack *p = nd_list_pack(node);
        at->at = backwards ? nd_pack_prev(p, at->at) : nd_pack_next(p, at->at);
        if (at->at != NULL)
            return true;
    }
    end_of_node(at, backwards ? node->prev : node->next, backwards);
    return at->node != NULL;
}

struct slice nd_list_get(const struct nd_list_at *at, char tmp[ND_PACK_INT_TEXT])
{
    const struct nd_list_node *node = at->node;
    if (node->plain)
        return (struct slice){.p = (const char *)node->block, .n = node->plain_bytes};
    return nd_pack_get(at->at, tmp);
}

bool nd_list_is(const struct nd_list_at *at, struct slice s)
{
    if (at->node->plain)
        return slice_eq(nd_list_get(at, NULL), s);
    return nd_pack_is(at->at, s);
}

/* ---- nodes, for DUMP and RDB ---- */

size_t nd_list_nodes(const struct nd_value *v)
{
    return nd_list_of(v)->nodes;
}

const struct nd_list_node *nd_list_node_first(const struct nd_value *v)
{
    return nd_list_of(v)->head;
}

const struct nd_list_node *nd_list_node_next(const struct nd_list_node *node)
{
    return node->next;
}

struct slice nd_list_node_bytes(const struct nd_list_node *node, bool *packed)
{
    if (packed != NULL)
        *packed = !node->plain;
    if (node->plain)
        return (struct slice){.p = (const char *)node->block, .n = node->plain_bytes};
    return nd_pack_raw(nd_list_pack(node));
}

bool nd_list_load_node(struct nd_value *v, struct slice bytes, bool packed)
{
    struct nd_list *l = nd_list_of(v);
    if (!packed) {
        plain_node(l, l->tail, bytes);
        l->length++;
        return true;
    }
    struct nd_pack *p = nd_pack_load(bytes);
    if (p == NULL)
        return false;
    size_t count = nd_pack_count(p);
    if (count == 0) {
        free(p);
        return true;
    }
    nd_list_node_around(l, l->tail, p, (uint32_t)count);
    l->length += count;
    return true;
}

/* ---- for value.c ---- */

void nd_list_free(struct nd_value *v)
{
    struct nd_list *l = nd_list_of(v);
    while (l->head != NULL)
        nd_list_node_free(l, l->head);
    free(l);
    v->ptr = NULL;
}

struct nd_value nd_list_dup(const struct nd_value *v)
{
    const struct nd_list *from = nd_list_of(v);
    struct nd_list *l = mem_zalloc(sizeof *l);
    l->fill = from->fill;
    l->length = from->length;
    for (const struct nd_list_node *n = from->head; n != NULL; n = n->next) {
        if (n->plain)
            plain_node(l, l->tail, (struct slice){(const char *)n->block, n->plain_bytes});
        else
            nd_list_node_around(l, l->tail, nd_pack_dup(nd_list_pack(n)), n->count);
    }
    return (struct nd_value){.type = ND_LIST, .enc = ND_ENC_QUICKLIST, .ptr = l};
}

size_t nd_list_length(const struct nd_value *v)
{
    return nd_list_of(v)->length;
}

size_t nd_list_memory(const struct nd_value *v, size_t samples)
{
    const struct nd_list *l = nd_list_of(v);
    size_t seen = 0, bytes = 0;
    for (struct nd_list_node *n = l->head; n != NULL && (samples == 0 || seen < samples); n = n->next) {
        bytes += malloc_usable_size(n) + malloc_usable_size(n->block);
        seen++;
    }
    if (seen > 0 && seen < l->nodes)
        bytes = (size_t)((double)bytes / (double)seen * (double)l->nodes);
    return malloc_usable_size(v->ptr) + bytes;
}

size_t nd_list_effort(const struct nd_value *v)
{
    return nd_list_of(v)->nodes;
}

void nd_list_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner)
{
    struct nd_list_at at;
    char tmp[ND_PACK_INT_TEXT];
    end_of_node(&at, nd_list_of(v)->head, false);
    if (at.node == NULL)
        return;
    do {
        if (!fn(owner, nd_list_get(&at, tmp), (struct slice){NULL, 0}, 0))
            return;
    } while (nd_list_step(&at, false));
}
