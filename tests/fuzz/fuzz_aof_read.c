/* The files of an append-only file: any bytes, read whole and in pieces that the first byte chooses. Both ways come to
 * the same end with the same dataset, and what is called whole is a prefix of the file.
 * fuzz.sh: at most 3000 inputs. */
#include "noded/repl/aof_read.h"

#include "common/base/mem.h"
#include "noded/store/digest.h"
#include "tests/fuzz/engine_host.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nd_engine *new_engine(void)
{
    const struct nd_host host = fuzz_engine_host(NULL);
    struct nd_config config;
    nd_config_init(&config);
    struct nd_engine *e = nd_engine_new(&host, &config, 1);
    nd_config_free(&config);
    nd_engine_time(e, 1700000000000, 1000);
    e->loading = true;
    return e;
}

/* ---- one reading ---- */

struct outcome {
    enum nd_aof_end end;
    uint64_t whole;
    unsigned char digest[ND_DIGEST_BYTES];
};

/* step 0: all at once. */
static void read_file(const uint8_t *data, size_t size, size_t step, struct outcome *out)
{
    struct nd_engine *e = new_engine();
    struct nd_aof_reader *r = nd_aof_reader_new(e);
    size_t at = 0, have = step == 0 ? size : 0;
    enum nd_aof_read st;
    memset(out, 0, sizeof *out);
    nd_aof_reader_begin(r, size);
    for (;;) {
        char *exact = mem_alloc(have - at);
        if (have > at)
            memcpy(exact, data + at, have - at);
        struct slice in = {exact, have - at};
        st = nd_aof_read_some(r, &in, step);
        if (in.n > have - at)
            abort();
        at = have - in.n;
        if (st == ND_AOF_MORE && have == size)
            out->end = nd_aof_reader_end(r, in);
        free(exact);
        if (st == ND_AOF_BAD || (st == ND_AOF_MORE && have == size))
            break;
        if (st == ND_AOF_MORE)
            have = step < size - have ? have + step : size;
    }
    if (st == ND_AOF_BAD)
        out->end = ND_AOF_END_BAD;
    out->whole = nd_aof_whole(r);
    if (out->whole > size || (out->end == ND_AOF_END_BAD && nd_aof_error(r)[0] == '\0'))
        abort();
    nd_aof_reader_free(r);
    nd_digest_keyspace(&e->keys, out->digest);
    nd_engine_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;
    if (size == 0)
        return 0;
    read_file(data + 1, size - 1, 0, &whole);
    read_file(data + 1, size - 1, 1 + data[0] % 61, &pieces);
    if (whole.end != pieces.end)
        abort();
    bool same = whole.whole == pieces.whole && memcmp(whole.digest, pieces.digest, sizeof whole.digest) == 0;
    if (whole.end != ND_AOF_END_BAD && !same)
        abort();
    return 0;
}
