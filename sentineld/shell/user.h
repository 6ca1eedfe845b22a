/* One user: whether it may log in, with which passwords, and which commands and channels it may use. The rules are
 * those of Redis's ACL SETUSER; selectors are not served. Passwords are kept as SHA-256 only. Pure. */
#ifndef SHELL_USER_H
#define SHELL_USER_H

#include "common/base/bytes.h"
#include "sentineld/shell/command.h"

#define USER_COMMANDS_MAX 256 /* rows of all command tables */

struct user_words {
    char **v;
    size_t n;
};

enum user_payload { USER_PAYLOAD_UNSAID, USER_PAYLOAD_SANITIZE, USER_PAYLOAD_SKIP }; /* shown; no meaning here */

struct user {
    char *name; /* no white space, no NUL */
    bool on, nopass;
    enum user_payload payload;
    struct user_words hashes;                 /* SHA-256 of the passwords, 64 lower-case hexadecimal digits each */
    struct user_words keys;                   /* "~a", "%R~a"; remembered only: there are no keys here */
    struct user_words channels;               /* patterns without the sign */
    bool all_keys, all_channels;              /* then the lists are empty */
    bool all_commands;                        /* what the rules start from: +@all or -@all */
    struct user_words rules;                  /* "+ping", "-@admin", "+sentinel|masters": in this order */
    uint64_t allowed[USER_COMMANDS_MAX / 64]; /* what they come to, by row */
};

/* A new one: off, without a password, may do nothing. */
void user_init(struct user *u, const char *name);
void user_copy(struct user *to, const struct user *from);
void user_free(struct user *u); /* what it owns */

/* Applies one rule; NULL, or why not, in Redis's words. After the last one user_settle() leaves out the command rules
 * that change nothing. */
const char *user_apply(struct user *u, struct slice rule);
void user_settle(struct user *u);

/* "on nopass ~* &* +@all": what user_read() takes. */
void user_put(struct buf *out, const struct user *u);
/* Rules separated by blanks, onto a new user. */
bool user_read(struct user *u, struct slice text);
void user_put_keys(struct buf *out, const struct user *u);
void user_put_channels(struct buf *out, const struct user *u);
void user_put_commands(struct buf *out, const struct user *u);

bool user_may_run(const struct user *u, const struct command *row);
/* A pattern of PSUBSCRIBE must be allowed literally. */
bool user_may_hear(const struct user *u, struct slice channel, bool is_pattern);
/* u NULL: takes as long, and is false. */
bool user_password_fits(const struct user *u, struct slice password);
/* Whether both have the same passwords. */
bool user_same_passwords(const struct user *a, const struct user *b);

/* user_commands.c: rules that begin with + or -, and the two words for all and none. */
const char *user_apply_command(struct user *u, struct slice rule);
void user_all_commands(struct user *u, bool allowed);

/* for both files */
void user_words_add(struct user_words *w, char *owned);
void user_words_drop(struct user_words *w, size_t i);
void user_words_free(struct user_words *w);

#endif
