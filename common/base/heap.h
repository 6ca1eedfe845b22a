/* Binary min-heap of deadlines, intrusive: the element holds its place, so changing one deadline costs O(log n). */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define HEAP_NEVER INT64_MAX

struct heap_node {
    int64_t at;    /* microseconds; HEAP_NEVER when not in the heap */
    size_t place;  /* 1-based; 0 when not in the heap */
    uint64_t turn; /* order of insertion: equal deadlines fire first in, first out */
};

/* The deadline stands beside the pointer: comparing does not reach into the elements, which lie all over the memory. */
struct heap_entry {
    int64_t at;
    uint64_t turn;
    struct heap_node *node;
};

struct heap {
    struct heap_entry *v;
    size_t n, cap;
    uint64_t turns;
};

void heap_node_init(struct heap_node *n);
void heap_free(struct heap *h);
/* Sets, moves, or (at == HEAP_NEVER) takes out. A node already at that time keeps its turn. */
void heap_set(struct heap *h, struct heap_node *n, int64_t at);
struct heap_node *heap_top(const struct heap *h); /* NULL when empty */
/* Calls f for every node whose time is `now` or before, in no order. They stay where they are; f must not change the
 * heap. */
void heap_each_due(const struct heap *h, int64_t now, void (*f)(struct heap_node *));

#endif
