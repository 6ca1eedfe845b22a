/* Answers of supervisors as jansson values. Their bytes come from outside: what is not UTF-8 becomes '?'. */
#ifndef NODECTL_REPLY_JSON_H
#define NODECTL_REPLY_JSON_H

#include "common/base/addr.h"

#include <hiredis/hiredis.h>
#include <jansson.h>

/* A text with this type of answer; empty else, and where there is none. */
struct slice reply_text(const redisReply *r);

json_t *json_text(const char *p, size_t n);
json_t *json_addr(const struct addr *a);

/* The flat array of names and values (an instance map) as an object of strings; an empty object when it is none. */
json_t *reply_object(const redisReply *r);
/* An array of such maps as an array of objects. */
json_t *reply_objects(const redisReply *r);

/* The first object with this text as that field in an array of objects, or NULL; json_named(): with this "name". */
json_t *json_find(const json_t *objects, const char *field, const char *text);
json_t *json_named(const json_t *objects, const char *name);
/* A field of an object of strings. text: "" when absent. number: `absent` when absent or no number. */
const char *field_text(const json_t *o, const char *name);
int64_t field_number(const json_t *o, const char *name, int64_t absent);
/* Whether the comma-separated field has this word. */
bool field_has(const json_t *o, const char *name, const char *word);
/* ip and port of an instance map. false: they are none. */
bool field_addr(const json_t *o, const char *host, const char *port, struct addr *out);

#endif
