/* What nodectl finds in the folder of a backup: after a byte 0 a manifest, whose checksum is made right here, as bytes
 * of chance never have it; else a snapshot, in pieces of that many bytes. What is taken can be written again.
 * fuzz.sh: at most 15000 inputs. */
#include "nodectl/backup/manifest.h"
#include "noded/repl/rdb_read.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void put_checksum(json_t *o)
{
    char sum[SHA256_HEX + 1];
    (void)json_object_del(o, "checksum");
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    sha256_hex(slice_of(text), sum);
    json_object_set_new(o, "checksum", json_string(sum));
    free(text);
}

static void manifest(const char *text, size_t n)
{
    struct manifest m = {.n = 0}, again = {.n = 0};
    struct buf why = {0};
    json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    if (o == NULL)
        return;
    if (json_is_object(o))
        put_checksum(o);
    if (manifest_read(&m, o, &why)) {
        json_t *written = manifest_json(&m);
        if (!manifest_read(&again, written, &why))
            abort();
        json_t *twice = manifest_json(&again);
        if (!json_equal(written, twice))
            abort();
        manifest_free(&again);
        json_decref(twice);
        json_decref(written);
    } else if (why.n == 0) {
        abort();
    }
    manifest_free(&m);
    json_decref(o);
    buf_free(&why);
}

static bool each(void *owner, struct nd_rdb_entry *entry, struct buf *why)
{
    (void)why;
    ++*(int64_t *)owner;
    if (!entry->is_text)
        nd_value_free(&entry->value);
    return true;
}

static void snapshot(struct slice file, size_t piece)
{
    uint8_t slots[CONTENT_SLOT_BYTES];
    struct content c;
    int64_t keys = 0, told = 0;
    enum nd_rdb_status st = ND_RDB_MORE;
    memset(slots, 0x55, sizeof slots);
    content_begin(&c, piece % 2 == 0 ? slots : NULL);
    c.each = each;
    c.owner = &keys;
    while (file.n > 0 && st == ND_RDB_MORE) {
        size_t m = file.n < piece ? file.n : piece;
        char *own = mem_alloc(m);
        memcpy(own, file.p, m);
        struct slice in = {own, m};
        st = content_feed(&c, &in);
        file.p += m - in.n;
        file.n -= m - in.n;
        free(own);
    }
    for (size_t db = 0; db < c.n; db++)
        told += c.v[db].keys;
    if (keys != c.keys || told != c.keys || c.expires > c.keys || (st == ND_RDB_BAD && content_error(&c)[0] == '\0'))
        abort();
    content_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1)
        return 0;
    if (data[0] == 0)
        manifest((const char *)data + 1, n - 1);
    else
        snapshot((struct slice){(const char *)data + 1, n - 1}, data[0]);
    return 0;
}
