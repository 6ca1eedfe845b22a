/* Which keys a command of a master's stream may have written. Too many are no harm: each is copied anew as it is at the
 * source. Where the keys stand is the source's own word (COMMAND), so that commands this program does not know are
 * followed too. */
#ifndef NODECTL_IMPORT_WRITTEN_H
#define NODECTL_IMPORT_WRITTEN_H

#include "common/base/map.h"

#include <hiredis/hiredis.h>

struct written {
    struct map commands; /* lower-case name -> struct written_command; owned */
};

/* commands: the answer to COMMAND. false: it is none. written_free() either way. */
bool written_init(struct written *w, const redisReply *commands);
void written_free(struct written *w);

enum written_kind {
    WRITTEN_KEYS,      /* those that `key` was called for, perhaps none */
    WRITTEN_SELECT,    /* *db was changed */
    WRITTEN_FLUSH_ALL, /* all databases */
    WRITTEN_FLUSH_DB,  /* database *db */
    WRITTEN_SWAP,      /* two databases */
    WRITTEN_UNKNOWN,   /* the source's own COMMAND does not have it */
};
/* *db: that is selected in the stream. */
enum written_kind written_keys(const struct written *w, const struct slice *argv, size_t argc, int64_t *db,
                               void (*key)(void *owner, int64_t db, struct slice key), void *owner);

#endif
