/* A note of a supervisor (sentineld/core/note.h) in one sentence for people. */
#ifndef NODECTL_NOTE_TEXT_H
#define NODECTL_NOTE_TEXT_H

#include "common/base/bytes.h"

#include <jansson.h>

/* entry: an object of past_notes(). Appends without end of line. */
void note_text(struct buf *out, const json_t *entry);
/* Microseconds as "600.1 ms", "2.5 s"; negative: "never". In one of a few static buffers. */
const char *span_text(int64_t us);
/* The first 8 digits of a supervisor's id; "nobody" when it is empty. In one of a few static buffers. */
const char *id_text(const char *id);

#endif
