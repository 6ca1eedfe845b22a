/* What one command notes in the folder of a fleet that nodectl made for a later one: numbers by name, in
 * DIR/notes.json. Without it all works, with less comfort. */
#ifndef NODECTL_LOCAL_NOTES_H
#define NODECTL_LOCAL_NOTES_H

#include "common/base/bytes.h"

#define NOTES_FILE "notes.json"

/* 0: there is none of that name. */
int64_t notes_get(const char *dir, const char *name);
/* 0 takes it out. false: the reason is appended to why, and all is as it was. */
bool notes_set(const char *dir, const char *name, int64_t value, struct buf *why);

#endif
