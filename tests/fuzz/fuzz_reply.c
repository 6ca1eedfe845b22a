/* The reply writer: the input is a program of calls; what they write in RESP2 must be one reply that hiredis reads,
 * with nothing left over, and as deep and long as was asked for. */
#include "common/resp/reply.h"

#include "common/base/bytes.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct program {
    const uint8_t *p;
    size_t n;
};

static uint8_t next(struct program *code)
{
    if (code->n == 0)
        return 0;
    code->n--;
    return *code->p++;
}

/* hiredis 0.14 takes seven levels of nesting. */
static size_t write_one(struct reply *r, struct program *code, int depth)
{
    uint8_t op = next(code);
    size_t n = next(code), leaves = 1;
    if (n > code->n)
        n = code->n;
    const char *text = (const char *)code->p;
    if (depth < 6 && op % 12 >= 9) {
        n %= 5;
        size_t mark = reply_begin(r);
        if (op % 12 == 9)
            reply_array(r, n);
        leaves = 0;
        for (size_t i = 0; i < n * (op % 12 == 11 ? 2 : 1); i++)
            leaves += write_one(r, code, depth + 1);
        if (op % 12 == 10)
            reply_end_array(r, mark, n);
        if (op % 12 == 11)
            reply_end_map(r, mark, n);
        return leaves;
    }
    double v = 0;
    switch (op % 12) {
    case 0: reply_error(r, "ERR %.*s", (int)n, text); break;
    case 1: reply_int(r, (int64_t)((uint64_t)n << (op % 64))); break;
    case 2: reply_bulkf(r, "%.*s", (int)n, text); break;
    case 3: reply_null(r); break;
    case 4: reply_null_array(r); break;
    case 5: reply_verbatim(r, text, n); break;
    case 6:
        memcpy(&v, text, n < sizeof v ? n : sizeof v);
        reply_double(r, v);
        break;
    case 7: reply_bool(r, n % 2); break;
    default: reply_bulk(r, text, n); break;
    }
    code->p += n;
    code->n -= n;
    return 1;
}

static size_t leaves_of(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return 1;
    size_t leaves = 0;
    for (size_t i = 0; i < reply->elements; i++)
        leaves += leaves_of(reply->element[i]);
    return leaves;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = {0};
    struct program code = {data, size};
    struct reply r = {&out, 3};
    write_one(&r, &code, 0); /* RESP3: hiredis 0.14 can't read it, but the sanitizers watch */
    buf_clear(&out);
    code = (struct program){data, size};
    r.proto = 2;
    size_t leaves = write_one(&r, &code, 0);
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    if (redisReaderFeed(reader, out.p, out.n) != REDIS_OK || redisReaderGetReply(reader, &reply) != REDIS_OK ||
        reply == NULL || reader->pos != reader->len || leaves_of(reply) != leaves)
        abort();
    freeReplyObject(reply);
    redisReaderFree(reader);
    buf_free(&out);
    return 0;
}
