/* text_glob(): the input up to its first NUL is the pattern, the rest the text. Compared with a table of all prefixes,
 * which is another algorithm than ours. */
#include "common/base/text.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The length of the class at p[0] == '[', and whether c is in it. */
static size_t class_at(const char *p, size_t n, char c, bool *fits)
{
    size_t i = 1;
    bool negated = i < n && p[i] == '^', has = false;
    unsigned char want = (unsigned char)c;
    for (i += negated; i < n && p[i] != ']'; i++) {
        unsigned char low = (unsigned char)p[i], high = low;
        if (p[i] == '\\' && i + 1 < n) {
            low = high = (unsigned char)p[++i];
        } else if (i + 2 < n && p[i + 1] == '-') {
            high = (unsigned char)p[i + 2];
            i += 2;
        }
        has |= low <= high ? low <= want && want <= high : high <= want && want <= low;
    }
    *fits = has != negated;
    return i < n ? i + 1 : n;
}

static size_t element_at(const char *p, size_t n, char c, bool *fits)
{
    if (*p == '[')
        return class_at(p, n, c, fits);
    bool escaped = *p == '\\' && n > 1;
    *fits = (*p == '?') || p[escaped] == c;
    return 1 + escaped;
}

/* reach[i]: what was read of the pattern so far fits s[0..i). */
static bool by_table(struct slice pattern, struct slice s)
{
    bool *reach = mem_zalloc(s.n + 1);
    reach[0] = true;
    for (size_t at = 0, len; at < pattern.n; at += len) {
        const char *p = pattern.p + at;
        len = 1;
        if (*p == '*') {
            for (size_t i = 1; i <= s.n; i++)
                reach[i] |= reach[i - 1];
            continue;
        }
        bool fits;
        len = element_at(p, pattern.n - at, '\0', &fits);
        for (size_t i = s.n; i > 0; i--) {
            element_at(p, pattern.n - at, s.p[i - 1], &fits);
            reach[i] = fits && reach[i - 1];
        }
        reach[0] = false;
    }
    bool result = reach[s.n];
    free(reach);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    if (nul == NULL)
        return 0;
    /* Copies of the exact size, so that a byte read too much is seen. */
    struct slice pattern = {(const char *)data, (size_t)(nul - data)},
                 s = {(const char *)nul + 1, size - pattern.n - 1};
    char *p = mem_alloc(pattern.n), *t = mem_alloc(s.n);
    memcpy(p, pattern.p, pattern.n);
    memcpy(t, s.p, s.n);
    pattern.p = p;
    s.p = t;
    if (text_glob(pattern, s, false) != by_table(pattern, s))
        abort();
    text_glob(pattern, s, true);
    free(p);
    free(t);
    return 0;
}
