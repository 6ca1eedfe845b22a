/* A note of the core as JSON text: fields as members, lists as arrays of objects. */
#ifndef SHELL_HISTORY_JSON_H
#define SHELL_HISTORY_JSON_H

#include "sentineld/core/note.h"

/* The caller frees it. Text that is not UTF-8 is shown with '?' for its foreign bytes. */
char *history_json(const struct sn_note *n);

#endif
