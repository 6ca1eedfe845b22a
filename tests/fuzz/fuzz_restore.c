/* The door of RESTORE and RDB: a type and a body of any bytes. What is taken must be well formed: it can be written,
 * read again, and is then the same. */
#include "noded/store/digest.h"
#include "noded/store/dump.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct nd_limits limits = nd_limits_default;
    if (data[1] & 1) /* small limits: what is taken over is converted */
        limits.hash_max_listpack_entries = limits.zset_max_listpack_entries = limits.set_max_intset_entries = 1;
    struct nd_value v, again;
    struct buf why = {0}, body = {0};
    struct slice in = {(const char *)data + 2, n - 2};
    if (nd_load_value(&in, data[0] % 28, &limits, &v, &why)) {
        unsigned char one[ND_DIGEST_BYTES], two[ND_DIGEST_BYTES];
        nd_dump_value(&body, &v, (data[1] & 2) != 0);
        struct slice back = buf_slice(&body);
        bool read = nd_load_value(&back, nd_dump_type(&v), &limits, &again, &why);
        if (!read || back.n != 0)
            abort();
        nd_digest_value(&v, ND_NO_EXPIRE, one);
        nd_digest_value(&again, ND_NO_EXPIRE, two);
        if (memcmp(one, two, sizeof one) != 0 || nd_value_length(&v) != nd_value_length(&again))
            abort();
        nd_value_free(&again);
        nd_value_free(&v);
    } else if (why.n == 0) {
        abort();
    }
    buf_free(&why);
    buf_free(&body);
    return 0;
}
