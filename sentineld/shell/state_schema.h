/* The tables of state.db, and the steps of opening it (used by state_db_open and state_db_reopen only). */
#ifndef SHELL_STATE_SCHEMA_H
#define SHELL_STATE_SCHEMA_H

#include "sentineld/shell/state_db.h"

/* In this order; where one fails the caller closes. */
bool state_db_connect(struct state_db *d, bool create, struct buf *error);
/* Reads without changing a byte: ours, of this version or an older one, or (when that is allowed) empty, which sets
 * *empty. */
bool state_schema_recognise(struct state_db *d, bool may_be_empty, bool *empty, struct buf *error);
bool state_db_mode(struct state_db *d, struct buf *error); /* WAL, and the rest that makes a commit durable */
bool state_schema_create(struct state_db *d, struct buf *error);
bool state_schema_upgrade(struct state_db *d, struct buf *error); /* from an older version, when it is of one */
bool state_schema_check(struct state_db *d, struct buf *error);   /* every page */
bool state_schema_read(struct state_db *d, struct state_image *image, struct buf *error); /* false: *image is empty */
bool state_db_prepare(struct state_db *d, struct buf *error);

#endif
