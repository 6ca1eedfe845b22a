/* The parts of reading a value. Inside of noded/store only. */
#ifndef STORE_LOAD_TYPES_H
#define STORE_LOAD_TYPES_H

#include "noded/store/value.h"

/* A string: of the input itself when it stands there plainly, else put into memory, which is cleared first. Good until
 * either changes. */
bool nd_load_view(struct slice *in, struct buf *memory, struct slice *out);

/* A value of a type that has elements. false: *fault says what is wrong when it is more than damage, else it is NULL.
 */
bool nd_load_aggregate(struct slice *in, int type, const struct nd_limits *limits, struct nd_value *out,
                       const char **fault);

#endif
