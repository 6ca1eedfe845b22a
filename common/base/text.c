#include "common/base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool text_u64(struct slice s, uint64_t *out)
{
    if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

bool text_i64(struct slice s, int64_t *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t v;
    if (!text_u64(negative ? (struct slice){s.p + 1, s.n - 1} : s, &v))
        return false;
    if (!negative) {
        if (v > INT64_MAX)
            return false;
        *out = (int64_t)v;
        return true;
    }
    if (v == 0 || v > (uint64_t)INT64_MAX + 1)
        return false;
    /* -v would overflow for INT64_MIN, whose distance from -1 still fits. */
    *out = -1 - (int64_t)(v - 1);
    return true;
}

bool text_hex_u64(struct slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 16)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        int digit = ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
        if (digit < 0)
            return false;
        v = v << 4 | (uint64_t)digit;
    }
    *out = v;
    return true;
}

bool text_range(struct slice s, int64_t min, int64_t max, int64_t *out)
{
    int64_t v;
    if (!text_i64(s, &v) || v < min || v > max)
        return false;
    *out = v;
    return true;
}

bool text_size(struct slice s, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {
        {"", 1},
        {"b", 1},
        {"k", 1000},
        {"kb", 1024},
        {"m", 1000 * 1000},
        {"mb", 1024 * 1024},
        {"g", 1000 * 1000 * 1000},
        {"gb", 1024 * 1024 * 1024},
    };
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    uint64_t v;
    if (!text_u64((struct slice){s.p, digits}, &v))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!slice_ieq((struct slice){s.p + digits, s.n - digits}, units[i].name))
            continue;
        if (v > UINT64_MAX / units[i].factor)
            return false;
        *bytes = v * units[i].factor;
        return true;
    }
    return false;
}

/* Whole numbers that "%.17g" writes without an exponent. */
static size_t put_whole(int64_t v, char *out)
{
    char digits[20];
    size_t n = 0, length = 0;
    uint64_t rest = v < 0 ? (uint64_t)-v : (uint64_t)v;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (v < 0)
        out[length++] = '-';
    while (n > 0)
        out[length++] = digits[--n];
    return length;
}

size_t text_put_double(double v, char out[TEXT_DOUBLE])
{
    if (v > -1e17 && v < 1e17 && v == (double)(int64_t)v && (v != 0 || !signbit(v)))
        return put_whole((int64_t)v, out);
    if (isnan(v)) /* without its sign */
        v = (double)NAN;
    return (size_t)snprintf(out, TEXT_DOUBLE, "%.17g", v);
}

bool text_bool(struct slice s, bool *out)
{
    static const char *const names[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_ieq(s, names[i])) {
            *out = i % 2 == 1;
            return true;
        }
    }
    return false;
}

#define NEAREST_MAX 64 /* longer words are nobody's typing error */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Insertions, deletions, replacements, and swaps of neighbours that lead from a to b. Both are at most NEAREST_MAX. */
static size_t edit_distance(const char *a, size_t an, const char *b, size_t bn)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= bn; j++)
        last[j] = j;
    for (size_t i = 1; i <= an; i++) {
        row[0] = i;
        for (size_t j = 1; j <= bn; j++) {
            size_t best = last[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]) &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[bn];
}

const char *text_nearest(const char *s, const char *const *names, size_t count)
{
    size_t n = strlen(s);
    if (n == 0 || n > NEAREST_MAX)
        return NULL;
    /* One slip in a short word, two in a longer one, three in a long one. */
    size_t limit = n <= 3 ? 1 : n <= 7 ? 2 : 3;
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t name_n = strlen(names[i]);
        if (name_n > NEAREST_MAX)
            continue;
        size_t distance = edit_distance(s, n, names[i], name_n);
        if (distance <= limit && distance < name_n) {
            best = names[i];
            if (distance == 0)
                break;
            limit = distance - 1;
        }
    }
    return best;
}

void text_escape(struct buf *out, struct slice s, bool apostrophes)
{
    static const char escapes[] = "\nn\rr\tt\aa\bb\"\"\\\\''";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        const char *e = escapes;
        while (*e != '\0' && (unsigned char)*e != c)
            e += 2;
        if (*e != '\0' && (*e != '\'' || apostrophes)) {
            buf_putc(out, '\\');
            buf_putc(out, e[1]);
        } else if (c < 0x20 || c > 0x7e) {
            buf_printf(out, "\\x%02x", (unsigned)c);
        } else {
            buf_putc(out, (char)c);
        }
    }
}

void text_quote(struct buf *out, struct slice s, size_t max)
{
    size_t n = s.n < max ? s.n : max;
    text_escape(out, (struct slice){s.p, n}, true);
    if (n < s.n)
        buf_puts(out, "...");
}
