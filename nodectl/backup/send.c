#include "nodectl/backup/send.h"

#include "common/io/clock.h"
#include "nodectl/db/about.h"
#include "nodectl/interrupt.h"
#include "noded/store/dump.h"
#include "noded/store/string.h"

#include <stdio.h>
#include <string.h>

#define PAYLOAD_MAX ((size_t)512 << 20) /* bytes of one argument that servers take (proto-max-bulk-len) */

void send_put_text(struct buf *out, struct slice text)
{
    struct nd_value v = nd_string_make(text, true);
    nd_dump_payload(out, &v, false);
    nd_value_free(&v);
}

static bool answered(void *owner, struct slice key, int64_t db, const redisReply *reply, struct buf *why)
{
    struct send *s = owner;
    if (reply->type == REDIS_REPLY_STATUS) {
        s->restored++;
        return true;
    }
    buf_puts(why, "it does not take key ");
    about_put_key(why, key.n > 200 ? (struct slice){key.p, 200} : key);
    buf_printf(why, " of database %lld: %s", (long long)db,
               reply->type == REDIS_REPLY_ERROR ? reply->str : "its answer is none");
    return false;
}

/* How lately or how often it was used, where the file says so. */
static size_t put_age(const struct nd_rdb_entry *e, struct slice *words, char number[24])
{
    if (e->freq < 0 && e->idle_s < 0)
        return 0;
    snprintf(number, 24, "%lld", e->freq >= 0 ? (long long)e->freq : (long long)e->idle_s);
    words[0] = slice_of(e->freq >= 0 ? "FREQ" : "IDLETIME");
    words[1] = slice_of(number);
    return 2;
}

static bool send_key(struct send *s, const struct nd_rdb_entry *e, struct buf *why)
{
    char at[24], age[24];
    size_t n = 0;
    struct slice words[8];
    snprintf(at, sizeof at, "%lld", e->expire_ms != ND_NO_EXPIRE ? (long long)e->expire_ms : 0LL);
    words[n++] = slice_of("RESTORE");
    words[n++] = e->key;
    words[n++] = slice_of(at);
    words[n++] = buf_slice(&s->payload);
    words[n++] = slice_of("ABSTTL");
    if (s->replace)
        words[n++] = slice_of("REPLACE");
    n += put_age(e, words + n, age);
    bool ok = route_send(&s->route, e->db, 1, n, words);
    if (!ok)
        buf_put(why, s->route.error.p, s->route.error.n);
    return ok;
}

static bool is_wanted(struct send *s, const struct nd_rdb_entry *e)
{
    bool over = e->expire_ms != ND_NO_EXPIRE && e->expire_ms <= s->now_ms;
    bool other = s->databases != NULL && (s->databases[e->db / 8] >> e->db % 8 & 1) == 0;
    s->left_out += other;
    s->expired += over && !other;
    return !over && !other;
}

static bool on_entry(void *owner, struct nd_rdb_entry *e, struct buf *why)
{
    struct send *s = owner;
    bool wanted = is_wanted(s, e), ok = true;
    buf_clear(&s->payload);
    if (wanted && e->is_text)
        send_put_text(&s->payload, e->text);
    else if (wanted)
        nd_dump_payload(&s->payload, &e->value, false);
    if (!e->is_text)
        nd_value_free(&e->value);
    if (s->payload.n > PAYLOAD_MAX) {
        buf_printf(why, "its value has %zu bytes, more than one RESTORE may have (512 MB)", s->payload.n);
        return false;
    }
    if (interrupted()) {
        buf_puts(why, "interrupted");
        return false;
    }
    if (wanted)
        ok = send_key(s, e, why);
    return ok;
}

void send_begin(struct send *s)
{
    s->route = (struct route){.picture = s->picture, .answered = answered, .owner = s};
    route_begin(&s->route);
}

bool send_file(struct send *s, const char *folder, const struct manifest_shard *shard, struct progress *progress,
               int64_t before, struct buf *why)
{
    struct folder_reading how = {.each = on_entry, .owner = s, .progress = progress, .before = before};
    s->now_ms = io_wall_ms();
    bool read = folder_read(folder, shard, &how, why);
    bool flushed = route_flush(&s->route);
    if (read && !flushed)
        buf_put(why, s->route.error.p, s->route.error.n);
    return read && flushed;
}

void send_free(struct send *s)
{
    route_free(&s->route);
    buf_free(&s->payload);
}
