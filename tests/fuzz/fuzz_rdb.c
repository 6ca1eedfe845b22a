/* The door of RDB files: any bytes, in pieces that the first byte chooses. What is read is well formed: it can be
 * written, and is then read again as the same.
 * fuzz.sh: at most 20000 inputs. */
#include "noded/repl/rdb_read.h"
#include "noded/repl/rdb_write.h"

#include "common/base/mem.h"
#include "noded/store/digest.h"

#include <stdlib.h>
#include <string.h>

#define DATABASES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool entry(void *owner, struct nd_rdb_entry *e, struct buf *why)
{
    struct nd_keyspace *k = owner;
    struct nd_db *db = nd_keyspace_db(k, e->db);
    if (e->is_text) {
        if (nd_db_load_string(db, e->key, e->text, e->expire_ms, 0) != NULL)
            return true;
    } else if (nd_db_find(db, e->key) == NULL) {
        nd_db_add(db, e->key, e->value, e->expire_ms);
        return true;
    } else {
        nd_value_free(&e->value);
    }
    buf_puts(why, "twice");
    return false;
}

static enum nd_rdb_status read_all(struct slice file, size_t piece, bool checksum, struct nd_keyspace *k)
{
    static const uint64_t seed[2] = {3, 4};
    static const struct nd_rdb_events events = {.entry = entry};
    enum nd_rdb_status s = ND_RDB_MORE;
    nd_keyspace_init(k, DATABASES, false, seed);
    struct nd_rdb_reader *r = nd_rdb_reader_new(&nd_limits_default, k, checksum, &events, k);
    while (file.n > 0 && s == ND_RDB_MORE) {
        size_t m = file.n < piece ? file.n : piece;
        char *own = mem_alloc(m);
        memcpy(own, file.p, m);
        struct slice in = {own, m};
        s = nd_rdb_feed(r, &in, 0);
        if (s == ND_RDB_MORE && in.n > 0)
            abort();
        file.p += m - in.n;
        file.n -= m - in.n;
        free(own);
    }
    if (s == ND_RDB_BAD && nd_rdb_error(r)[0] == '\0')
        abort();
    nd_rdb_reader_free(r);
    return s;
}

static bool put(void *owner, const char *p, size_t n)
{
    buf_put(owner, p, n);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1)
        return 0;
    struct nd_keyspace k, again;
    struct slice file = {(const char *)data + 1, n - 1};
    if (read_all(file, data[0] > 0 ? data[0] : SIZE_MAX, false, &k) == ND_RDB_DONE) {
        unsigned char one[ND_DIGEST_BYTES], two[ND_DIGEST_BYTES];
        struct buf out = {0};
        struct nd_rdb_facts facts = {.compress = true, .checksum = true};
        struct nd_rdb_sink sink = {.owner = &out, .put = put};
        if (!nd_rdb_write(&k, &facts, &sink, NULL) || read_all(buf_slice(&out), 5, true, &again) != ND_RDB_DONE)
            abort();
        nd_digest_keyspace(&k, one);
        nd_digest_keyspace(&again, two);
        if (memcmp(one, two, sizeof one) != 0)
            abort();
        nd_keyspace_free(&again);
        buf_free(&out);
    }
    nd_keyspace_free(&k);
    return 0;
}
