#include "nodectl/backup/manifest.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FORMAT "sentineld-backup"
#define VERSION 1

static void shard_free(struct manifest_shard *s)
{
    free(s->file);
    free(s->from);
    free(s->version);
    free(s->databases);
}

void manifest_free(struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++)
        shard_free(&m->v[i]);
    free(m->v);
    free(m->fleet);
    free(m->tool);
    *m = (struct manifest){.n = 0};
}

struct manifest_shard *manifest_add(struct manifest *m)
{
    m->v = mem_array(m->v, m->n + 1, sizeof *m->v);
    m->v[m->n] = (struct manifest_shard){.bytes = 0};
    return &m->v[m->n++];
}

const char *manifest_time(int64_t ms, char out[MANIFEST_TIME])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (gmtime_r(&s, &tm) == NULL || strftime(out, MANIFEST_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, MANIFEST_TIME, "unknown");
    return out;
}

/* ---- sums ---- */

int64_t manifest_keys(const struct manifest *m)
{
    int64_t sum = 0;
    for (size_t i = 0; i < m->n; i++)
        sum += m->v[i].keys;
    return sum;
}

int64_t manifest_expires(const struct manifest *m)
{
    int64_t sum = 0;
    for (size_t i = 0; i < m->n; i++)
        sum += m->v[i].expires;
    return sum;
}

int64_t manifest_bytes(const struct manifest *m)
{
    int64_t sum = 0;
    for (size_t i = 0; i < m->n; i++)
        sum += m->v[i].bytes;
    return sum;
}

size_t manifest_databases_used(const struct manifest *m)
{
    size_t most = 0;
    for (size_t i = 0; i < m->n; i++)
        most = m->v[i].ndatabases > most ? m->v[i].ndatabases : most;
    return most;
}

struct content_database manifest_database(const struct manifest *m, size_t db)
{
    struct content_database sum = {0, 0};
    for (size_t i = 0; i < m->n; i++) {
        if (db >= m->v[i].ndatabases)
            continue;
        sum.keys += m->v[i].databases[db].keys;
        sum.expires += m->v[i].databases[db].expires;
    }
    return sum;
}

/* ---- written ---- */

/* Of all fields but itself, in their canonical form: white space and order do not matter. */
static void checksum(const json_t *manifest, char out[SHA256_HEX + 1])
{
    json_t *rest = json_copy((json_t *)(uintptr_t)manifest);
    json_object_del(rest, "checksum");
    char *text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL)
        mem_fail(0);
    sha256_hex(slice_of(text), out);
    free(text);
    json_decref(rest);
}

static json_t *shard_json(const struct manifest_shard *s)
{
    struct buf slots = {0};
    json_t *databases = json_array();
    for (size_t db = 0; db < s->ndatabases; db++) {
        if (s->databases[db].keys > 0)
            json_array_append_new(databases, json_pack("{s:I, s:I, s:I}", "db", (json_int_t)db, "keys",
                                                       (json_int_t)s->databases[db].keys, "expires",
                                                       (json_int_t)s->databases[db].expires));
    }
    content_put_slots(&slots, s->slots);
    json_t *o = json_pack("{s:o, s:I, s:s, s:s, s:s, s:o, s:s, s:o, s:s, s:I, s:I, s:I, s:o}", "file",
                          json_text(s->file, strlen(s->file)), "bytes", (json_int_t)s->bytes, "sha256", s->sha256,
                          "slots", buf_str(&slots), "master", s->master, "from", json_text(s->from, strlen(s->from)),
                          "role", s->from_replica ? "replica" : "master", "node_version",
                          json_text(s->version, strlen(s->version)), "replid", s->replid, "offset",
                          (json_int_t)s->offset, "keys", (json_int_t)s->keys, "expires", (json_int_t)s->expires,
                          "databases", databases);
    buf_free(&slots);
    return o;
}

json_t *manifest_json(const struct manifest *m)
{
    char time[MANIFEST_TIME], sum[SHA256_HEX + 1];
    json_t *shards = json_array();
    for (size_t i = 0; i < m->n; i++)
        json_array_append_new(shards, shard_json(&m->v[i]));
    json_t *o = json_pack("{s:s, s:i, s:o, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "format", FORMAT, "version",
                          VERSION, "fleet", json_text(m->fleet, strlen(m->fleet)), "created",
                          manifest_time(m->created_ms, time), "created_ms", (json_int_t)m->created_ms, "nodectl",
                          m->tool, "cluster_databases", (json_int_t)m->databases, "mapping_epoch",
                          (json_int_t)m->mapping_epoch, "keys", (json_int_t)manifest_keys(m), "expires",
                          (json_int_t)manifest_expires(m), "bytes", (json_int_t)manifest_bytes(m), "shards", shards);
    checksum(o, sum);
    json_object_set_new(o, "checksum", json_string(sum));
    return o;
}

/* ---- read ---- */

struct reading {
    const json_t *o;
    struct buf *why;
    bool bad;
};

static void wrong(struct reading *r, const char *field)
{
    if (!r->bad)
        buf_printf(r->why, "its field \"%s\" is missing or makes no sense", field);
    r->bad = true;
}

static const char *text(struct reading *r, const char *field)
{
    const char *s = json_string_value(json_object_get(r->o, field));
    if (s == NULL)
        wrong(r, field);
    return s != NULL ? s : "";
}

static int64_t number(struct reading *r, const char *field, int64_t max)
{
    const json_t *v = json_object_get(r->o, field);
    int64_t n = json_integer_value(v);
    if (json_is_integer(v) && n >= 0 && n <= max)
        return n;
    wrong(r, field);
    return 0;
}

static void id(struct reading *r, const char *field, runid out)
{
    if (!runid_parse(slice_of(text(r, field)), out))
        wrong(r, field);
}

static void read_databases(struct reading *r, struct manifest_shard *s)
{
    const json_t *list = json_object_get(r->o, "databases"), *one;
    struct reading inner = {.why = r->why, .bad = r->bad};
    size_t i;
    int64_t before = -1, keys = 0;
    if (!json_is_array(list))
        wrong(r, "databases");
    json_array_foreach(list, i, one)
    {
        inner.o = one;
        int64_t db = number(&inner, "db", CONTENT_DATABASES - 1);
        if (inner.bad || db <= before) {
            wrong(&inner, "db");
            break;
        }
        s->databases = mem_array(s->databases, (size_t)db + 1, sizeof *s->databases);
        memset(s->databases + s->ndatabases, 0, ((size_t)db + 1 - s->ndatabases) * sizeof *s->databases);
        s->ndatabases = (size_t)db + 1;
        s->databases[db].keys = number(&inner, "keys", INT64_MAX / 2 - keys);
        s->databases[db].expires = number(&inner, "expires", s->databases[db].keys);
        keys += s->databases[db].keys;
        before = db;
    }
    r->bad = inner.bad;
    if (!r->bad && keys != s->keys)
        wrong(r, "keys");
}

/* A name in the folder of the manifest, and nothing that leads out of it. */
static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL && strlen(name) < 256;
}

static void read_shard(struct reading *r, struct manifest_shard *s)
{
    s->file = mem_strdup(text(r, "file"));
    s->from = mem_strdup(text(r, "from"));
    s->version = mem_strdup(text(r, "node_version"));
    s->from_replica = strcmp(text(r, "role"), "replica") == 0;
    if (!is_plain_name(s->file))
        wrong(r, "file");
    s->bytes = number(r, "bytes", INT64_MAX / MANIFEST_SHARDS_MAX);
    s->offset = number(r, "offset", INT64_MAX);
    s->keys = number(r, "keys", INT64_MAX / MANIFEST_SHARDS_MAX);
    s->expires = number(r, "expires", s->keys);
    id(r, "master", s->master);
    id(r, "replid", s->replid);
    const char *sum = text(r, "sha256");
    if (strlen(sum) != SHA256_HEX || strspn(sum, "0123456789abcdef") != SHA256_HEX)
        wrong(r, "sha256");
    else
        memcpy(s->sha256, sum, sizeof s->sha256);
    if (!content_read_slots(slice_of(text(r, "slots")), s->slots))
        wrong(r, "slots");
    read_databases(r, s);
}

static void read_shards(struct reading *r, struct manifest *m)
{
    const json_t *list = json_object_get(r->o, "shards"), *one;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > MANIFEST_SHARDS_MAX)
        wrong(r, "shards");
    json_array_foreach(list, i, one)
    {
        struct reading inner = {.o = one, .why = r->why, .bad = r->bad};
        if (r->bad)
            return;
        read_shard(&inner, manifest_add(m));
        r->bad = inner.bad;
    }
}

static bool is_as_written(const json_t *json, struct buf *why)
{
    char sum[SHA256_HEX + 1];
    checksum(json, sum);
    if (strcmp(field_text(json, "checksum"), sum) == 0)
        return true;
    buf_puts(why, "its checksum is wrong: it is not as it was written");
    return false;
}

bool manifest_read(struct manifest *m, const json_t *json, struct buf *why)
{
    struct reading r = {.o = json, .why = why};
    *m = (struct manifest){.n = 0};
    if (strcmp(field_text(json, "format"), FORMAT) != 0) {
        buf_puts(why, "it is no manifest of a backup");
        return false;
    }
    if (json_integer_value(json_object_get(json, "version")) != VERSION) {
        buf_puts(why, "it is of another version of backups, which this nodectl does not read");
        return false;
    }
    if (!is_as_written(json, why))
        return false;
    m->fleet = mem_strdup(text(&r, "fleet"));
    m->tool = mem_strdup(text(&r, "nodectl"));
    m->created_ms = number(&r, "created_ms", INT64_MAX);
    m->databases = number(&r, "cluster_databases", CONTENT_DATABASES);
    m->mapping_epoch = number(&r, "mapping_epoch", INT64_MAX);
    read_shards(&r, m);
    return !r.bad;
}
