/* The users of this supervisor: those of the configuration file with what ACL SETUSER and DELUSER changed over them.
 *
 * A change is written first and made when it is on disk, like every other run-time change (merge.h says when the file
 * wins). It waits here under the token of the request meanwhile, and the next change builds on it.
 *
 * In the state a user is an option of the daemon: "user <name>", with the rules as value, or USERS_REMOVED for a user
 * of the file that was removed at run time. */
#ifndef SHELL_USERS_H
#define SHELL_USERS_H

#include "sentineld/core/event.h"
#include "sentineld/shell/config.h"
#include "sentineld/shell/state_image.h"
#include "sentineld/shell/user.h"

#define USERS_OPTION "user " /* what the name of such an option begins with */
#define USERS_REMOVED "-"

struct users;

/* A user that is there no longer (gone: whoever uses it must let go of it now), or may do something else now. */
typedef void users_fn(void *owner, const struct user *u, bool gone);

/* runtime: options as merge() left them; others than users are passed over. There is always a user "default". */
struct users *users_new(const struct sentineld_config *file, const struct state_options *runtime);
void users_free(struct users *all); /* NULL is allowed */

size_t users_count(const struct users *all);
const struct user *users_at(const struct users *all, size_t i);            /* in the order of their names */
const struct user *users_find(const struct users *all, struct slice name); /* NULL: none */
const struct user *users_default(const struct users *all);
/* NULL when name and password fit nobody who may log in; it takes the same time whichever was wrong. */
const struct user *users_login(const struct users *all, struct slice name, struct slice password);

/* The user as it will be when all that waits has happened; a new one when there will be none. The caller frees it. */
void users_draft(const struct users *all, struct slice name, struct user *out);
bool users_will_be(const struct users *all, struct slice name);
/* Something that waits for the disk under this token; several may have one token. Takes *u, and leaves it empty. */
void users_change(struct users *all, sn_token token, struct user *u, bool remove);
/* Makes what waits under the token (ok), or forgets it. Returns how many users were removed. */
size_t users_settle(struct users *all, sn_token token, bool ok, users_fn *changed, void *owner);

/* The configuration file was read again: users that are gone, or whose password is another one, are reported as gone
 * (the latter are there again under a new pointer). */
void users_reload(struct users *all, const struct sentineld_config *file, const struct state_options *runtime,
                  users_fn *changed, void *owner);

/* The name of a user's option. Letters of upper case and special bytes are written as %41: names of options know no
 * case. */
void users_option_name(struct buf *out, const char *name);
bool users_option_read(const char *option, struct buf *name); /* false: it is no user's */
/* The rules that a user of the file has. */
void users_file_rules(struct buf *out, const struct config_user *u);

#endif
