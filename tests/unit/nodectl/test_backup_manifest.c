/* Manifests of backups: what is written is read again; what was changed, or makes no sense, is refused by its field. */
#include "nodectl/backup/manifest.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789012345678901234567890123456789"

static void make(struct manifest *m)
{
    *m = (struct manifest){
        .fleet = mem_strdup("orders"), .created_ms = 1767323045000, .tool = mem_strdup("1"), .databases = 16};
    for (int i = 0; i < 2; i++) {
        struct manifest_shard *s = manifest_add(m);
        s->file = mem_strdup(i == 0 ? "shard-1.rdb" : "shard-2.rdb");
        s->from = mem_strdup("127.0.0.1:7000");
        s->version = mem_strdup("7.0.15");
        s->bytes = 1000 + i;
        memset(s->sha256, 'a', SHA256_HEX);
        memcpy(s->master, ID, sizeof s->master);
        memcpy(s->replid, ID, sizeof s->replid);
        s->from_replica = i == 1;
        s->offset = 5;
        assert_true(content_read_slots(slice_of(i == 0 ? "0-8191" : "8192-16383"), s->slots));
        s->keys = 30;
        s->expires = 3;
        s->ndatabases = 10;
        s->databases = mem_zalloc(10 * sizeof *s->databases);
        s->databases[0] = (struct content_database){10, 1};
        s->databases[9] = (struct content_database){20, 2};
    }
}

static bool reads(const json_t *json, struct buf *why)
{
    struct manifest m;
    bool ok = manifest_read(&m, json, why);
    manifest_free(&m);
    return ok;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct manifest m, back;
    struct buf why = {0};
    char time[MANIFEST_TIME];
    make(&m);
    json_t *json = manifest_json(&m);
    assert_true(manifest_read(&back, json, &why));
    assert_string_equal(back.fleet, "orders");
    assert_string_equal(manifest_time(back.created_ms, time), "2026-01-02T03:04:05Z");
    assert_int_equal(back.n, 2);
    assert_string_equal(back.v[1].file, "shard-2.rdb");
    assert_true(back.v[1].from_replica && !back.v[0].from_replica);
    assert_memory_equal(back.v[1].slots, m.v[1].slots, sizeof back.v[1].slots);
    assert_int_equal(manifest_keys(&back), 60);
    assert_int_equal(manifest_bytes(&back), 2001);
    assert_int_equal(manifest_databases_used(&back), 10);
    assert_int_equal(manifest_database(&back, 9).keys, 40);
    assert_int_equal(manifest_database(&back, 9).expires, 4);
    assert_int_equal(manifest_database(&back, 500).keys, 0);
    json_decref(json);
    manifest_free(&back);
    manifest_free(&m);
    buf_free(&why);
}

static void sign(json_t *json)
{
    char sum[SHA256_HEX + 1];
    json_object_del(json, "checksum");
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    sha256_hex(slice_of(text), sum);
    free(text);
    json_object_set_new(json, "checksum", json_string(sum));
}

static void what_was_changed_is_noticed(void **state)
{
    (void)state;
    struct manifest m;
    make(&m);
    json_t *json = manifest_json(&m), *first = json_array_get(json_object_get(json, "shards"), 0);
    struct buf why = {0};
    json_object_set_new(first, "keys", json_integer(29));
    assert_false(reads(json, &why));
    assert_non_null(strstr(buf_str(&why), "checksum is wrong"));
    json_decref(json);
    manifest_free(&m);
    buf_free(&why);
}

/* With a right checksum: somebody else's program may have written it. */
static void nonsense_is_refused_by_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *field, *value; /* of the first shard; JSON */
    } rows[] = {
        {"file", "\"../shard-1.rdb\""},
        {"file", "\"a/b\""},
        {"file", "\"\""},
        {"file", "\".hidden\""},
        {"file", "7"},
        {"bytes", "-1"},
        {"bytes", "1.5"},
        {"bytes", "9223372036854775807"},
        {"sha256", "\"aa\""},
        {"sha256", "null"},
        {"slots", "\"0-16384\""},
        {"master", "\"xyz\""},
        {"replid", "[]"},
        {"keys", "31"},
        {"expires", "31"},
        {"databases", "{}"},
        {"databases", "[{\"db\": 16384, \"keys\": 30, \"expires\": 0}]"},
        {"databases", "[{\"db\": 1, \"keys\": 15, \"expires\": 0}, {\"db\": 1, \"keys\": 15, \"expires\": 0}]"},
        {"databases", "[{\"db\": 1, \"keys\": 30, \"expires\": 31}]"},
        {"databases", "[7]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest m;
        struct buf why = {0};
        make(&m);
        json_t *json = manifest_json(&m), *first = json_array_get(json_object_get(json, "shards"), 0);
        json_object_set_new(first, rows[i].field, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
        sign(json);
        assert_false(reads(json, &why));
        assert_non_null(strstr(buf_str(&why), "its field"));
        json_decref(json);
        manifest_free(&m);
        buf_free(&why);
    }
}

static void other_documents_are_no_manifests(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}",
                                        "[]",
                                        "7",
                                        "{\"format\": 7}",
                                        "{\"format\": \"sentineld-backup\", \"version\": 2}",
                                        "{\"format\": \"sentineld-backup\", \"version\": 1, \"shards\": []}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf why = {0};
        json_t *json = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        assert_non_null(json);
        assert_false(reads(json, &why));
        assert_true(why.n > 0);
        if (i == 5) {
            sign(json);
            assert_false(reads(json, &why));
        }
        json_decref(json);
        buf_free(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_was_changed_is_noticed),
        cmocka_unit_test(nonsense_is_refused_by_its_field),
        cmocka_unit_test(other_documents_are_no_manifests),
    };
    return cmocka_run_group_tests_name("backup manifest", tests, NULL, NULL);
}
