/* A list of groups that have names, as `fleets` in the text of nodectl.conf or `clusters` in that of sentineld.conf: an
 * entry is put in or taken out by its position, and everything else, comments and the operator's way of writing, stays
 * byte for byte. The text must be one that libconfig reads; @include lines are not followed. Pure. */
#ifndef NODECTL_LOCAL_REGISTRY_TEXT_H
#define NODECTL_LOCAL_REGISTRY_TEXT_H

#include "common/base/bytes.h"

/* Appends to out the text with `entry` ("{ name = ...; }", may have several lines) at the end of the list, which is
 * made when there is none. false: the text cannot be made sense of; out is as it was. */
bool registry_text_add(struct slice text, struct slice entry, struct buf *out); /* to `fleets` */
bool registry_text_add_to(struct slice text, const char *list, struct slice entry, struct buf *out);
/* Appends the entry of that name, as it is written there. false: the list has none. */
bool registry_text_entry(struct slice text, const char *list, const char *name, struct buf *out);
/* The text without the entry of that name. false: it has none; out is as it was. */
bool registry_text_remove(struct slice text, const char *name, struct buf *out);

#endif
