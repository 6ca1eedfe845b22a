/* Where noded and sentineld are: beside nodectl itself. */
#ifndef NODECTL_LOCAL_PROGRAMS_H
#define NODECTL_LOCAL_PROGRAMS_H

#include "common/base/bytes.h"

/* The path of the program of that name, which can be run; the caller frees. NULL: the reason is appended to why. */
char *program_beside(const char *name, struct buf *why);

#endif
