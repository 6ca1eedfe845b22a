/* The parts of reading a value. Inside of noded/store only. */
#ifndef STORE_LOAD_TYPES_H
#define STORE_LOAD_TYPES_H

#include "noded/store/value.h"

/* A value of a type that has elements. false: *fault says what is wrong when it is more than damage, else it is NULL.
 */
bool nd_load_aggregate(struct slice *in, int type, const struct nd_limits *limits, struct nd_value *out,
                       const char **fault);

#endif
