/* The text of INFO, and of CLUSTER INFO: lines "name:value". */
#ifndef NODECTL_INFO_H
#define NODECTL_INFO_H

#include "common/base/bytes.h"

/* The value of the line with this name; p is NULL where there is none. */
struct slice info_field(struct slice info, const char *name);
/* The same as a number; `absent` where there is none. */
int64_t info_number(struct slice info, const char *name, int64_t absent);

#endif
