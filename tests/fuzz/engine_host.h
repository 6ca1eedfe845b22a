/* What the host of an engine does alike in every fuzzer that has one: time stands, nobody is told, memory is freed at
 * once. A fuzzer takes fuzz_engine_host() and puts in what it does itself. */
#ifndef FUZZ_ENGINE_HOST_H
#define FUZZ_ENGINE_HOST_H

#include "noded/cmd/engine.h"

#include <assert.h>
#include <string.h>

static inline int64_t fuzz_clock_us(void *owner)
{
    (void)owner;
    return 1000;
}

static inline void fuzz_session(void *owner, struct nd_session *s)
{
    (void)owner;
    (void)s;
}

static inline void fuzz_kill(void *owner, struct nd_session *s, const char *why)
{
    (void)owner;
    (void)s;
    (void)why;
}

static inline void fuzz_effects(void *owner, const struct nd_effect_row *rows, size_t n)
{
    (void)owner;
    (void)rows;
    assert(n > 0);
}

static inline size_t fuzz_memory_used(void *owner)
{
    (void)owner;
    return 0;
}

static inline void fuzz_release(void *owner, struct nd_value v)
{
    (void)owner;
    nd_value_free(&v);
}

static inline void fuzz_release_content(void *owner, struct nd_content *content)
{
    (void)owner;
    nd_content_free(content);
}

static inline void fuzz_log(void *owner, int level, const char *text)
{
    (void)owner;
    (void)level;
    assert(strchr(text, '\n') == NULL);
}

static inline struct nd_host fuzz_engine_host(void *owner)
{
    return (struct nd_host){.owner = owner,
                            .clock_us = fuzz_clock_us,
                            .wake = fuzz_session,
                            .resume = fuzz_session,
                            .kill = fuzz_kill,
                            .effects = fuzz_effects,
                            .memory_used = fuzz_memory_used,
                            .release = fuzz_release,
                            .release_content = fuzz_release_content,
                            .log = fuzz_log};
}

#endif
