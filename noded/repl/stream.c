#include "noded/repl/stream.h"

#include "common/base/text.h"

#include <string.h>

static void put_count(struct buf *out, char sign, size_t n)
{
    char digits[24];
    char *at = digits + sizeof digits;
    *--at = '\n';
    *--at = '\r';
    do {
        *--at = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    *--at = sign;
    buf_put(out, at, (size_t)(digits + sizeof digits - at));
}

void nd_stream_request(struct buf *out, size_t argc, const struct slice *argv)
{
    put_count(out, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        put_count(out, '$', argv[i].n);
        buf_put(out, argv[i].p, argv[i].n);
        buf_put(out, "\r\n", 2);
    }
}

static void put_select(struct buf *out, int *db, int wanted)
{
    char number[16];
    if (wanted < 0 || wanted == *db)
        return;
    size_t n = 0;
    char digits[16];
    for (int left = wanted; left > 0 || n == 0; left /= 10)
        digits[n++] = (char)('0' + left % 10);
    for (size_t i = 0; i < n; i++)
        number[i] = digits[n - 1 - i];
    struct slice words[] = {{"SELECT", 6}, {number, n}};
    nd_stream_request(out, 2, words);
    *db = wanted;
}

void nd_stream_put(struct buf *out, int *db, const struct nd_effect_row *rows, size_t n, bool messages)
{
    static const struct slice multi = {"MULTI", 5}, exec = {"EXEC", 4};
    size_t count = 0, first = n;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].db < 0 && !messages)
            continue;
        if (first == n)
            first = i;
        count++;
    }
    if (count == 0)
        return;
    put_select(out, db, rows[first].db);
    if (count > 1)
        nd_stream_request(out, 1, &multi);
    for (size_t i = first; i < n; i++) {
        if (rows[i].db < 0 && !messages)
            continue;
        put_select(out, db, rows[i].db);
        nd_stream_request(out, rows[i].argc, rows[i].argv);
    }
    if (count > 1)
        nd_stream_request(out, 1, &exec);
}

struct slice nd_stream_error(struct slice answer)
{
    for (size_t i = 0; i < answer.n; i++) {
        if (answer.p[i] != '-' || (i > 0 && answer.p[i - 1] != '\n'))
            continue;
        const char *end = memchr(answer.p + i, '\r', answer.n - i);
        return (struct slice){answer.p + i + 1, end != NULL ? (size_t)(end - answer.p) - i - 1 : answer.n - i - 1};
    }
    return slice_of("it failed");
}
