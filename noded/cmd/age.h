/* How lately, or how often, a key was used: the 24 bits `age` of its value. Which of the two they mean follows from
 * maxmemory-policy: with an LFU policy 16 bits of minutes and a logarithmic counter of 8 bits, else seconds. A policy
 * changed at run time leaves old ages behind that mean nothing until the keys are used again, as in Redis. */
#ifndef CMD_AGE_H
#define CMD_AGE_H

#include "noded/store/value.h"

struct nd_engine;

uint32_t nd_age_new(struct nd_engine *e);                   /* of a key that is made now */
void nd_age_touch(struct nd_engine *e, struct nd_value *v); /* it was used */
int64_t nd_age_idle_s(const struct nd_engine *e, const struct nd_value *v);
/* 0-255, less what it lost by not being used since it was last touched. */
int nd_age_frequency(const struct nd_engine *e, const struct nd_value *v);
/* From RESTORE and RDB; no effect when the policy counts the other way. */
void nd_age_set_idle(struct nd_engine *e, struct nd_value *v, int64_t idle_s);
void nd_age_set_frequency(struct nd_engine *e, struct nd_value *v, int frequency);

#endif
