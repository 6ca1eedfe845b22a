#include "noded/store/number.h"

#include "common/base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_DIGITS 15 /* whole numbers of so many digits, and 10 to so large a power, are exact as a double */

static const double ten_to[EXACT_DIGITS + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* Short decimal text without an exponent, which is nearly all that comes. Both numbers of the division are exact, so
 * that its result is rounded once, as strtod() rounds it. */
static bool short_decimal(struct slice s, double *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    size_t i = negative, digits = 0, behind_point = 0;
    bool point = false;
    int64_t whole = 0;
    for (; i < s.n; i++) {
        if (s.p[i] == '.' && !point) {
            point = true;
            continue;
        }
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (digit > 9 || ++digits > EXACT_DIGITS)
            return false;
        whole = whole * 10 + (int64_t)digit;
        behind_point += point;
    }
    if (digits == 0)
        return false;
    double v = (double)whole / ten_to[behind_point];
    *out = negative ? -v : v;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Whether the text names infinity, so that infinity is what was meant and not a number too large. */
static bool names_infinity(const char *text)
{
    text += *text == '-' || *text == '+';
    return *text == 'i' || *text == 'I';
}

/* Whether the text of a number has a digit other than 0 before its exponent: then a value of 0 is an underflow. */
static bool names_more_than_zero(const char *text)
{
    text += *text == '-' || *text == '+';
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    if (hex)
        text += 2;
    for (; *text != '\0'; text++) {
        if (*text == '0' || *text == '.')
            continue;
        return hex ? *text != 'p' && *text != 'P' : *text != 'e' && *text != 'E';
    }
    return false;
}

#define SHORT_TEXT 128

/* A terminated copy: in `room` when it fits, else in memory that the caller frees. */
static char *terminated(struct slice s, char room[SHORT_TEXT])
{
    char *text = s.n < SHORT_TEXT ? room : mem_alloc(s.n + 1);
    if (s.n > 0)
        memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return text;
}

bool nd_number_double(struct slice s, double *out)
{
    if (short_decimal(s, out))
        return true;
    if (s.n == 0 || is_space(s.p[0]))
        return false;
    char room[SHORT_TEXT], *end;
    char *text = terminated(s, room);
    double v = strtod(text, &end);
    bool good = end == text + s.n && !isnan(v) && (!isinf(v) || names_infinity(text)) &&
                (v != 0 || !names_more_than_zero(text));
    if (text != room)
        free(text);
    if (good)
        *out = v;
    return good;
}

bool nd_number_bound(struct slice s, double *out)
{
    if (short_decimal(s, out))
        return true;
    char room[SHORT_TEXT], *end;
    char *text = terminated(s, room);
    double v = strtod(text, &end);
    bool good = *end == '\0' && !isnan(v);
    if (text != room)
        free(text);
    if (good)
        *out = v;
    return good;
}

size_t nd_number_double_text(double v, char out[ND_DOUBLE_TEXT])
{
    return text_put_double(v, out);
}

bool nd_number_whole(double v, int64_t *out)
{
    const double most = 4611686018427387904.; /* 2^62 */
    if (!(v >= -most && v <= most))
        return false;
    int64_t whole = (int64_t)v;
    if ((double)whole != v)
        return false;
    *out = whole;
    return true;
}

bool nd_number_long_double(struct slice s, long double *out)
{
    if (s.n == 0 || s.n >= ND_LONG_DOUBLE_TEXT || is_space(s.p[0]))
        return false;
    char room[SHORT_TEXT], *end;
    char *text = terminated(s, room);
    long double v = strtold(text, &end);
    bool good = end == text + s.n && !isnan(v) && (!isinf(v) || names_infinity(text)) &&
                (v != 0 || !names_more_than_zero(text));
    if (text != room)
        free(text);
    if (good)
        *out = v;
    return good;
}

size_t nd_number_long_double_text(long double v, char out[ND_LONG_DOUBLE_TEXT])
{
    assert(isfinite(v));
    size_t n = (size_t)snprintf(out, ND_LONG_DOUBLE_TEXT, "%.17Lf", v);
    while (out[n - 1] == '0')
        n--;
    if (out[n - 1] == '.')
        n--;
    if (n == 2 && memcmp(out, "-0", 2) == 0) {
        out[0] = '0';
        n = 1;
    }
    return n;
}
