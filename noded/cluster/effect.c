#include "noded/cluster/effect.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct cl_bytes {
    size_t references, n;
    char p[];
};

struct cl_bytes *cl_bytes_new(struct slice s)
{
    struct cl_bytes *b = mem_alloc(sizeof *b + s.n);
    b->references = 1;
    b->n = s.n;
    if (s.n > 0)
        memcpy(b->p, s.p, s.n);
    return b;
}

void cl_bytes_release(struct cl_bytes *b)
{
    if (b != NULL && --b->references == 0)
        free(b);
}

struct slice cl_bytes_slice(const struct cl_bytes *b)
{
    return b != NULL ? (struct slice){b->p, b->n} : (struct slice){NULL, 0};
}

void cl_effects_clear(struct cl_effects *fx)
{
    for (size_t i = 0; i < fx->n; i++)
        cl_bytes_release(fx->v[i].bytes);
    fx->n = 0;
}

void cl_effects_free(struct cl_effects *fx)
{
    cl_effects_clear(fx);
    free(fx->v);
    *fx = (struct cl_effects){NULL, 0, 0};
}

struct cl_effect *cl_effect_add(struct cl_effects *fx, enum cl_effect_kind kind)
{
    fx->v = mem_grow(fx->v, fx->n, &fx->cap, sizeof *fx->v);
    struct cl_effect *e = &fx->v[fx->n++];
    *e = (struct cl_effect){.kind = kind};
    return e;
}

struct cl_effect *cl_effect_slots_add(struct cl_effects *fx, enum cl_effect_kind kind, const uint8_t *slots)
{
    struct cl_effect *e = cl_effect_add(fx, kind);
    e->bytes = cl_bytes_new((struct slice){(const char *)slots, CL_SLOT_BYTES});
    return e;
}

void cl_effect_send(struct cl_effects *fx, cl_link link, struct cl_bytes *b)
{
    struct cl_effect *e = cl_effect_add(fx, CL_FX_SEND);
    e->link = link;
    e->bytes = b;
    b->references++;
}

static struct cl_bytes *formatted(const char *fmt, va_list ap)
{
    struct buf text = {NULL, 0, 0};
    buf_vprintf(&text, fmt, ap);
    struct cl_bytes *b = cl_bytes_new(buf_slice(&text));
    buf_free(&text);
    return b;
}

void cl_effect_log(struct cl_effects *fx, enum cl_level level, const char *fmt, ...)
{
    va_list ap;
    struct cl_effect *e = cl_effect_add(fx, CL_FX_LOG);
    e->level = level;
    va_start(ap, fmt);
    e->bytes = formatted(fmt, ap);
    va_end(ap);
}

void cl_effect_answer(struct cl_effects *fx, cl_token token, bool ok, const char *fmt, ...)
{
    va_list ap;
    struct cl_effect *e = cl_effect_add(fx, CL_FX_ANSWER);
    e->token = token;
    e->ok = ok;
    va_start(ap, fmt);
    e->bytes = formatted(fmt, ap);
    va_end(ap);
}
