#include "noded/store/string.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>

#define EMBSTR_MAX 44           /* what OBJECT ENCODING calls embstr */
#define GROW_STEP (1024 * 1024) /* room for more is doubled up to here, then grows by so much */

static struct nd_str *str_of(const struct nd_value *v)
{
    return v->ptr;
}

/* Two digits at a time, from the end of tmp. */
static struct slice number_text(int64_t num, char tmp[ND_INT_TEXT])
{
    static const char pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444"
        "5464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990"
        "919293949596979899";
    size_t at = ND_INT_TEXT;
    uint64_t u = num < 0 ? 0 - (uint64_t)num : (uint64_t)num;
    while (u >= 10) {
        at -= 2;
        memcpy(&tmp[at], &pairs[2 * (u % 100)], 2);
        u /= 100;
    }
    if (u > 0 || at == ND_INT_TEXT)
        tmp[--at] = (char)('0' + u);
    if (num < 0)
        tmp[--at] = '-';
    return (struct slice){&tmp[at], ND_INT_TEXT - at};
}

struct slice nd_string_slice(const struct nd_value *v, char tmp[ND_INT_TEXT])
{
    if (v->embedded)
        return (struct slice){nd_entry_embedded((const struct nd_entry *)v), v->len};
    if (v->enc == ND_ENC_INT)
        return number_text(v->num, tmp);
    return (struct slice){str_of(v)->p, str_of(v)->n};
}

size_t nd_string_length(const struct nd_value *v)
{
    char tmp[ND_INT_TEXT];
    return nd_string_slice(v, tmp).n;
}

struct nd_value nd_string_header(struct slice s, bool try_number)
{
    struct nd_value v = {.type = ND_STRING};
    int64_t num;
    if (try_number && s.n <= 20 && text_i64(s, &num)) {
        v.enc = ND_ENC_INT;
        v.num = num;
    } else {
        v.enc = s.n <= EMBSTR_MAX ? ND_ENC_EMBSTR : ND_ENC_RAW;
    }
    return v;
}

static struct nd_str *str_new(struct slice s, size_t cap)
{
    struct nd_str *str = mem_alloc(sizeof *str + cap);
    str->n = s.n;
    str->cap = cap;
    if (s.n > 0)
        memcpy(str->p, s.p, s.n);
    return str;
}

struct nd_value nd_string_make(struct slice s, bool try_number)
{
    struct nd_value v = nd_string_header(s, try_number);
    if (v.enc != ND_ENC_INT)
        v.ptr = str_new(s, s.n);
    return v;
}

struct nd_value nd_string_dup(const struct nd_value *v)
{
    struct nd_value copy = {.type = v->type, .enc = v->enc, .age = v->age};
    char tmp[ND_INT_TEXT];
    if (v->enc == ND_ENC_INT) {
        copy.num = v->num;
        return copy;
    }
    struct slice s = nd_string_slice(v, tmp);
    copy.ptr = str_new(s, s.n);
    return copy;
}

char *nd_string_writable(struct nd_value *v, size_t n, size_t cap)
{
    assert(!v->embedded && v->type == ND_STRING);
    if (cap < n)
        cap = n;
    if (v->enc == ND_ENC_INT) {
        char tmp[ND_INT_TEXT];
        struct slice s = nd_string_slice(v, tmp);
        v->ptr = str_new(s, s.n > cap ? s.n : cap);
    } else if (str_of(v)->cap < cap) {
        struct nd_str *str = mem_realloc(v->ptr, sizeof *str + cap);
        str->cap = cap;
        v->ptr = str;
    }
    v->enc = ND_ENC_RAW;
    struct nd_str *str = str_of(v);
    if (n > str->n) {
        memset(str->p + str->n, 0, n - str->n);
        str->n = n;
    }
    return str->p;
}

char *nd_string_grow(struct nd_value *v, size_t n)
{
    bool fits = v->enc != ND_ENC_INT && str_of(v)->cap >= n;
    return nd_string_writable(v, n, fits ? n : n < GROW_STEP ? n * 2 : n + GROW_STEP);
}

void nd_string_append(struct nd_value *v, struct slice s)
{
    size_t n = nd_string_length(v);
    char *p = nd_string_grow(v, n + s.n);
    if (s.n > 0)
        memcpy(p + n, s.p, s.n);
}

bool nd_string_number(const struct nd_value *v, int64_t *out)
{
    if (v->enc == ND_ENC_INT) {
        *out = v->num;
        return true;
    }
    char tmp[ND_INT_TEXT];
    return text_i64(nd_string_slice(v, tmp), out);
}

size_t nd_string_memory(const struct nd_value *v)
{
    return v->enc == ND_ENC_INT || v->embedded ? 0 : malloc_usable_size(v->ptr);
}

void nd_string_free(struct nd_value *v)
{
    if (v->enc != ND_ENC_INT && !v->embedded)
        free(v->ptr);
}
