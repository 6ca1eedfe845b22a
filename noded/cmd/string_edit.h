/* Strings whose bytes are changed in place: what APPEND, SETRANGE and the bit commands share. */
#ifndef CMD_STRING_EDIT_H
#define CMD_STRING_EDIT_H

#include "noded/cmd/call.h"

/* A string of n bytes is allowed (proto-max-bulk-len); false: answered. */
bool nd_length_allowed(struct nd_call *c, uint64_t n);
/* The bytes of the string that argument `key` holds, made `n` bytes long at least with zeros, to be written to; the
 * encoding becomes raw. *e: as looked up (NULL: the key is made), then as it is. n is at least 1 when *e is NULL. */
char *nd_string_edit(struct nd_call *c, struct slice key, struct nd_entry **e, size_t n);

#endif
