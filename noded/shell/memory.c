#include "noded/shell/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* jemalloc's control function, when the program is linked with it. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size) __attribute__((weak));
extern void malloc_stats_print(void (*write)(void *, const char *), void *owner, const char *options)
    __attribute__((weak));
/* The sanitizer's count, when there is one. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak)); /* NOLINT: its own name */

#define THREADS_MAX 8

/* Counters of the threads, each written by its own thread alone. */
static struct {
    const uint64_t *allocated, *freed;
} threads[THREADS_MAX];
static atomic_size_t thread_count;

static const uint64_t *counter(const char *name)
{
    static const uint64_t none;
    uint64_t *at = NULL;
    size_t size = sizeof at;
    if (mallctl(name, (void *)&at, &size, NULL, 0) != 0 || at == NULL)
        return &none;
    return at;
}

void memory_count_thread(void)
{
    static atomic_size_t taken;
    if (mallctl == NULL)
        return;
    size_t i = atomic_fetch_add(&taken, 1);
    if (i >= THREADS_MAX)
        return;
    threads[i].allocated = counter("thread.allocatedp");
    threads[i].freed = counter("thread.deallocatedp");
    atomic_fetch_add(&thread_count, 1);
}

static uint64_t read_counter(const uint64_t *at)
{
    return *(const volatile uint64_t *)at;
}

size_t memory_used(void)
{
    if (mallctl == NULL) {
        if (__sanitizer_get_current_allocated_bytes != NULL)
            return __sanitizer_get_current_allocated_bytes();
        return mallinfo2().uordblks;
    }
    size_t n = atomic_load_explicit(&thread_count, memory_order_acquire);
    uint64_t allocated = 0, freed = 0;
    for (size_t i = 0; i < n && i < THREADS_MAX; i++) {
        if (threads[i].freed == NULL)
            continue; /* its thread is just telling */
        freed += read_counter(threads[i].freed);
        allocated += read_counter(threads[i].allocated);
    }
    return allocated > freed ? (size_t)(allocated - freed) : 0;
}

static size_t statistic(const char *name)
{
    size_t v = 0, size = sizeof v;
    return mallctl(name, &v, &size, NULL, 0) == 0 ? v : 0;
}

void memory_facts(struct nd_facts *out)
{
    static char allocator[64] = "libc";
    out->allocator = allocator;
    if (mallctl == NULL) {
        out->allocated = out->active = out->resident = memory_used();
        return;
    }
    const char *version = "";
    size_t size = sizeof version;
    uint64_t epoch = 1;
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch); /* statistics are taken anew */
    mallctl("version", (void *)&version, &size, NULL, 0);
    snprintf(allocator, sizeof allocator, "jemalloc-%.*s", (int)strcspn(version, "-"), version);
    out->allocated = statistic("stats.allocated");
    out->active = statistic("stats.active");
    out->resident = statistic("stats.resident");
    out->retained = statistic("stats.retained");
}

void memory_purge(void)
{
    char name[64];
    if (mallctl == NULL) {
        malloc_trim(0);
        return;
    }
    snprintf(name, sizeof name, "arena.%u.purge", 4096U); /* MALLCTL_ARENAS_ALL */
    mallctl(name, NULL, NULL, NULL, 0);
}

static void append(void *owner, const char *text)
{
    buf_puts(owner, text);
}

void memory_allocator_stats(struct buf *out)
{
    if (malloc_stats_print != NULL)
        malloc_stats_print(append, out, NULL);
    else
        buf_puts(out, "The program was built without jemalloc: its allocator has no report.\n");
}

bool memory_is_ours(void)
{
    return mallctl != NULL;
}
