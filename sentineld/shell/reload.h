/* The configuration file is read again: by SIGHUP and by SENTINEL RELOAD.
 *
 * What can change is applied as one change of the core (core/reload.h): written to the state first, then made. It
 * follows the rule of merge.h: what was changed at run time stays until the file's own value changes. A file with
 * anything wrong in it changes nothing. What cannot change while the daemon runs is named and stays as it was. */
#ifndef SHELL_RELOAD_H
#define SHELL_RELOAD_H

#include "sentineld/core/effect.h"

#define RELOAD_TOKEN UINT64_MAX /* of the ANSWER to our own RELOAD event */

#define RELEASE_TOKEN (UINT64_MAX - 1) /* of a cluster's RELEASE at the start: nobody waits for it */

struct daemon;
struct reload;

struct reload *reload_new(struct daemon *d);
void reload_free(struct reload *r); /* NULL is allowed */

/* At the end of this turn. Requests that come while one runs share the next. token 0: nobody waits for the result;
 * otherwise it is answered by clients_answer_by(). */
void reload_ask(struct reload *r, sn_token token);
/* As reload_ask(), and a cluster that was released at run time is supervised again, and by the others too unless
 * `alone`. The token is answered by an ANSWER effect. */
void reload_adopt(struct reload *r, struct slice cluster, bool alone, sn_token token);
/* The core's ANSWER to RELOAD_TOKEN. */
void reload_answered(struct reload *r, const struct sn_effect *e);

#endif
