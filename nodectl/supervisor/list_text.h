/* The setting `supervisors` in the text of a sentineld.conf: it is given another value, and everything else, comments
 * and the operator's way of writing, stays byte for byte. Pure. */
#ifndef NODECTL_SUPERVISOR_LIST_TEXT_H
#define NODECTL_SUPERVISOR_LIST_TEXT_H

#include "common/base/addr.h"
#include "common/base/bytes.h"

/* The value of `supervisors`, "[ "a:1", "b:1" ]". Appends. */
void list_text_value(struct buf *out, const struct addr *list, size_t n);
/* Appends the text with that list. Where it has none, it is added at the end. false: the setting is not of a form that
 * could be replaced (an @include, a macro of another tool); out is as it was. */
bool list_text_replace(struct slice text, const struct addr *list, size_t n, struct buf *out);

#endif
