#include "sentineld/shell/wire_lease.h"

#include "common/base/text.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

void wire_lease_request(struct wire_request *q, const char *id, const char *speaker, int64_t ttl_us, uint64_t epoch,
                        const struct sn_stamp *stamp)
{
    char hex[24];
    wire_word(q, "CLUSTER");
    wire_word(q, "LEASE");
    wire_word(q, id);
    wire_word(q, speaker);
    wire_number(q, ttl_us / 1000);
    wire_unsigned(q, epoch);
    if (stamp == NULL || stamp->incarnation == 0)
        return;
    snprintf(hex, sizeof hex, "%016" PRIx64, stamp->incarnation);
    wire_word(q, hex);
    wire_number(q, stamp->clock_us);
}

void wire_lease_return(struct wire_request *q, const char *id, const char *speaker, uint64_t epoch)
{
    wire_word(q, "CLUSTER");
    wire_word(q, "LEASE");
    wire_word(q, "RETURN");
    wire_word(q, id);
    wire_word(q, speaker);
    wire_unsigned(q, epoch);
}

void wire_takeover_request(struct wire_request *q, uint64_t epoch, const char *from, bool force, const char *speaker,
                           char *const *grants, size_t n)
{
    wire_word(q, "CLUSTER");
    wire_word(q, "FAILOVER");
    wire_word(q, "TAKEOVER");
    wire_word(q, "EPOCH");
    wire_unsigned(q, epoch);
    wire_word(q, "FROM");
    wire_word(q, from);
    if (force)
        wire_word(q, "FORCE");
    if (n == 0)
        return;
    wire_word(q, "GRANTS");
    wire_word(q, speaker);
    for (size_t i = 0; i < n; i++)
        wire_word(q, grants[i]);
}

/* ---- the answer ---- */

static bool text_of(const redisReply *r, struct slice *out)
{
    if (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS)
        return false;
    *out = (struct slice){r->str, r->len};
    return true;
}

static bool read_id(const redisReply *r, runid out)
{
    struct slice text;
    if (!text_of(r, &text))
        return false;
    out[0] = '\0';
    return text.n == 0 || runid_parse(text, out);
}

static bool read_role(const redisReply *r, enum sn_role *out)
{
    struct slice text;
    if (!text_of(r, &text))
        return false;
    *out = slice_is(text, "master") ? SN_ROLE_MASTER : slice_is(text, "replica") ? SN_ROLE_REPLICA : SN_ROLE_UNKNOWN;
    return *out != SN_ROLE_UNKNOWN;
}

static bool read_hex(const redisReply *r, uint64_t *out)
{
    struct slice text;
    return text_of(r, &text) && text_hex_u64(text, out);
}

enum form { FORM_ID, FORM_ROLE, FORM_HEX, FORM_LINK, FORM_FLAG, FORM_COUNT, FORM_NUMBER };

#define AT(member) offsetof(struct sn_lease_told, member)

static const struct row {
    const char *name;
    enum form form;
    size_t at;
} rows[] = {
    {"node", FORM_ID, AT(node)},
    {"shard", FORM_ID, AT(shard)},
    {"role", FORM_ROLE, AT(role)},
    {"config_epoch", FORM_COUNT, AT(config_epoch)},
    {"current_epoch", FORM_COUNT, AT(current_epoch)},
    {"master", FORM_ID, AT(master)},
    {"slots", FORM_NUMBER, AT(slots)},
    {"link", FORM_LINK, AT(link_up)},
    {"link_ms", FORM_NUMBER, AT(link_ms)},
    {"replid", FORM_ID, AT(replid)},
    {"offset", FORM_NUMBER, AT(offset)},
    {"priority", FORM_NUMBER, AT(priority)},
    {"loading", FORM_FLAG, AT(loading)},
    {"keys", FORM_NUMBER, AT(keys)},
    {"mapping_epoch", FORM_COUNT, AT(mapping_epoch)},
    {"swap_prepared", FORM_COUNT, AT(swap_prepared)},
    {"swap_ballot", FORM_COUNT, AT(swap_ballot)},
    {"swap_request", FORM_COUNT, AT(swap_request)},
    {"swap_a", FORM_NUMBER, AT(swap_a)},
    {"swap_b", FORM_NUMBER, AT(swap_b)},
    {"swap_waits", FORM_COUNT, AT(swap_waits)},
    {"supervised", FORM_COUNT, AT(generation)},
    {"version", FORM_COUNT, AT(version)},
    {"lease_ms", FORM_NUMBER, AT(lease_ms)},
    {"grants", FORM_NUMBER, AT(grants)},
    {"state_known", FORM_FLAG, AT(state_known)},
    {"migrating", FORM_NUMBER, AT(migrating)},
    {"view", FORM_HEX, AT(view)},
    {"wants_epoch", FORM_COUNT, AT(wants_epoch)},
    {"incarnation", FORM_HEX, AT(incarnation)},
    {"clock", FORM_NUMBER, AT(clock_us)},
};

static bool read_member(const struct row *row, const redisReply *r, struct sn_lease_told *out)
{
    void *to = (char *)out + row->at;
    struct slice text;
    bool number = r->type == REDIS_REPLY_INTEGER;
    switch (row->form) {
    case FORM_ID: return read_id(r, to);
    case FORM_ROLE: return read_role(r, to);
    case FORM_HEX: return read_hex(r, to);
    case FORM_LINK:
        if (!text_of(r, &text))
            return false;
        *(bool *)to = slice_is(text, "up");
        return true;
    case FORM_FLAG: *(bool *)to = number && r->integer != 0; return number;
    case FORM_COUNT: *(uint64_t *)to = number && r->integer >= 0 ? (uint64_t)r->integer : 0; break;
    case FORM_NUMBER: *(int64_t *)to = number ? r->integer : 0; return number;
    }
    return number && r->integer >= 0;
}

static const struct row *row_of(const redisReply *name, size_t expected)
{
    struct slice text;
    if (!text_of(name, &text))
        return NULL;
    /* They come in this order, so that one comparison is nearly always enough: there are thousands of answers. */
    size_t n = sizeof rows / sizeof *rows;
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &rows[(expected + i) % n];
        if (slice_is(text, row->name))
            return row;
    }
    return NULL;
}

bool wire_lease_answer(const redisReply *reply, struct sn_lease_told *out)
{
    *out = (struct sn_lease_told){.slots = 0};
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0)
        return false;
    bool good = true;
    for (size_t i = 0; good && i < reply->elements; i += 2) {
        const struct row *row = row_of(reply->element[i], i / 2);
        good = row == NULL || read_member(row, reply->element[i + 1], out);
    }
    if (good && out->node[0] != '\0' && out->role != SN_ROLE_UNKNOWN && out->incarnation != 0)
        return true;
    *out = (struct sn_lease_told){.slots = 0};
    return false;
}
