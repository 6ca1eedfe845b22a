/* The rules, by what they look at. Only findings*.c include it. */
#ifndef NODECTL_SLOTS_FINDINGS_RULES_H
#define NODECTL_SLOTS_FINDINGS_RULES_H

#include "nodectl/slots/findings.h"

void finding_add(struct findings *f, enum finding_level level, const char *code, const char *advice, const char *fmt,
                 ...) __attribute__((format(printf, 5, 6)));

/* findings_nodes.c */
void find_in_nodes(const struct picture *p, const struct survey *s, struct findings *f);
void find_in_views(const struct picture *p, struct findings *f);
/* findings_slots.c */
void find_in_slots(const struct picture *p, const struct survey *s, struct findings *f);
void find_in_shards(const struct picture *p, const struct survey *s, struct findings *f);
void find_in_supervision(const struct picture *p, const struct survey *s, struct findings *f);

#endif
