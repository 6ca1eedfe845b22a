/* Which cluster a command on databases or backups is about, and which of its databases. */
#ifndef NODECTL_DB_ABOUT_H
#define NODECTL_DB_ABOUT_H

#include "nodectl/cluster/picture.h"

enum { ABOUT_DATABASES_MAX = 16384 }; /* numbers are below it */

/* Looks at the cluster. EXIT_OK, or EXIT_NOBODY, or EXIT_USAGE when the nodes are of two clusters, with the reasons on
 * standard error; picture_free() either way. */
int about_look(const struct command_call *call, const struct asking *a, struct picture *p);
/* What an operator calls it: the name of the fleet, or else the address that was named first. */
const char *about_name(const struct asking *a, char out[ADDR_TEXT_MAX]);
/* EXIT_OK, or EXIT_USAGE, which was said: the word is no number of a database. */
int about_database(const struct command_call *call, const char *word, int64_t *db);
/* Every master that owns slots answers, and has that database. false: the reason is appended to why. */
bool about_reachable(const struct picture *p, int64_t db, struct buf *why);
/* The masters that own slots, one after the other, from *i = 0 on; NULL at the end. */
struct picture_node *about_next_master(const struct picture *p, size_t *i);

/* A key as redis-cli shows it: in quotes, what is not printable as \n or \x00. Appends. */
void about_put_key(struct buf *out, struct slice key);
/* For programs, as the fields of an object: "key" when it is UTF-8, else "key_base64". Appends. */
void about_put_key_json(struct buf *out, struct slice key);

/* Keys and expiring keys of each database that has some, as INFO keyspace tells them. */
struct about_database_figures {
    int64_t keys, expires, average_ttl_ms;
};
/* Returns how many databases *out has, up to the last one with keys; the caller frees. */
size_t about_read_keyspace(struct slice info, struct about_database_figures **out);
/* The same of a node that is asked now. false: the reason is appended to why, and *out is NULL. */
bool about_figures(struct picture *p, struct picture_node *n, struct about_database_figures **out, size_t *count,
                   struct buf *why);

#endif
