/* What the replicas and the log are to get, gathered until the unit (a command, a transaction, an expiry) is over. */
#ifndef CMD_EFFECTS_H
#define CMD_EFFECTS_H

#include "noded/cmd/engine.h"

struct nd_effect_list *nd_effects_new(void);
void nd_effects_free(struct nd_effect_list *l);
bool nd_effects_none(const struct nd_effect_list *l);
/* argv and its bytes stay where they are until the unit is flushed. */
void nd_effects_keep(struct nd_effect_list *l, int db, size_t argc, const struct slice *argv);
/* argv and its bytes may be gone at once. */
void nd_effects_copy(struct nd_effect_list *l, int db, size_t argc, const struct slice *argv);
/* The unit is over: hands it to the host. */
void nd_effects_flush(struct nd_engine *e);

#endif
