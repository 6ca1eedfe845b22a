/* Questions to a master of the source. */
#ifndef NODECTL_IMPORT_SOURCE_H
#define NODECTL_IMPORT_SOURCE_H

#include "nodectl/import/import.h"

/* How far its history has gone (master_repl_offset). -1: it does not answer. */
int64_t source_offset(struct source *s);

#endif
