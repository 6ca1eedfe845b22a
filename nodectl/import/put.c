#include "nodectl/import/import.h"

#include "noded/store/dump.h"

#include <stdio.h>

bool import_put(struct route *r, struct nd_rdb_entry *entry)
{
    char at[24];
    bool expires = entry->expire_ms != ND_NO_EXPIRE;
    snprintf(at, sizeof at, "%lld", expires ? (long long)entry->expire_ms : 0LL);
    if (entry->is_text) {
        struct slice words[] = {slice_of("SET"), entry->key, entry->text, slice_of("PXAT"), slice_of(at)};
        return route_send(r, entry->db, 1, expires ? 5 : 3, words);
    }
    struct buf payload = {0};
    nd_dump_payload(&payload, &entry->value, false);
    nd_value_free(&entry->value);
    struct slice words[] = {slice_of("RESTORE"), entry->key,          slice_of(at),
                            buf_slice(&payload), slice_of("REPLACE"), slice_of("ABSTTL")};
    bool ok = route_send(r, entry->db, 1, 6, words);
    buf_free(&payload);
    return ok;
}
