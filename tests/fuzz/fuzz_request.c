/* The request parser: the input is a stream under small limits. It must be read alike in one piece and in pieces whose
 * sizes the stream's own bytes choose, and never look outside of what it was given. */
#include "common/resp/request.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct resp_limits limits = {.max_args = 16, .max_bulk = 64, .max_query = 400, .max_inline = 100};

static void show(struct buf *out, enum resp_status st, const struct resp_request *q)
{
    if (st == RESP_ERROR) {
        buf_printf(out, "error %s", q->error);
        return;
    }
    buf_printf(out, "%zu:", q->argc);
    if (q->argc > limits.max_args)
        abort();
    for (size_t i = 0; i < q->argc; i++) {
        if (q->argv[i].n > limits.max_bulk)
            abort();
        buf_printf(out, "<%zu>", q->argv[i].n);
        buf_put(out, q->argv[i].p, q->argv[i].n);
    }
}

/* step 0: all at once. */
static void read_stream(const uint8_t *data, size_t size, size_t step, struct buf *out)
{
    struct resp_parser *p = resp_parser_new(&limits);
    size_t start = 0, have = step == 0 ? size : 0;
    for (;;) {
        struct resp_request q;
        char *exact = mem_alloc(have - start);
        if (have > start)
            memcpy(exact, data + start, have - start);
        enum resp_status st = resp_parse(p, exact, have - start, &q);
        if (st != RESP_MORE)
            show(out, st, &q);
        if (st == RESP_READY && (q.consumed == 0 || q.consumed > have - start || q.consumed > limits.max_query))
            abort();
        free(exact);
        start += q.consumed;
        if (st == RESP_ERROR || (st == RESP_MORE && have == size))
            break;
        if (st == RESP_MORE) {
            size_t more = 1 + (data[have] + step) % 23;
            have = more < size - have ? have + more : size;
        }
    }
    resp_parser_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = {0}, pieces = {0};
    read_stream(data, size, 0, &whole);
    for (size_t step = 1; step < 4; step++) {
        buf_clear(&pieces);
        read_stream(data, size, step, &pieces);
        if (!slice_eq(buf_slice(&whole), buf_slice(&pieces)))
            abort();
    }
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
