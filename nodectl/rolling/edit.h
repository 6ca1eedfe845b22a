/* Settings that a node reads only when it starts: what of its configuration file has to change, looked at before
 * anything is done, and written just before the node is started again. */
#ifndef NODECTL_ROLLING_EDIT_H
#define NODECTL_ROLLING_EDIT_H

#include "noded/cmd/settings.h"
#include "nodectl/node/work.h"

struct fixed_setting {
    const struct nd_setting *row;
    const char *value; /* as CONFIG SET would take it; one that the row takes */
};

/* What all nodes are to have. */
struct fixed_settings {
    struct fixed_setting *v; /* owned; the values are the caller's */
    size_t n;
    int64_t databases; /* that of cluster-databases; 0: it is not among them */
};

/* The row, where noded reads this setting only when it starts; NULL: CONFIG SET changes it, or there is no such one. */
const struct nd_setting *fixed_row(const char *name);
/* false: the row does not take the value; the reason is appended to why. */
bool fixed_add(struct fixed_settings *f, const struct nd_setting *row, const char *value, struct buf *why);

struct edit {
    runid id;
    bool gets_replica; /* its shard has one when its turn comes, though it has none yet */
    const struct fixed_settings *wished;
    bool noded;      /* else its file is redis.conf's kind */
    char *path;      /* of the configuration file; owned */
    struct buf what; /* "cluster-databases 32 (16 now)" */
    bool shrinks;    /* it has more databases than it is to have */
};

enum edit_needed {
    EDIT_NONE,    /* the node has these settings */
    EDIT_FOUND,   /* edit_free() is owed */
    EDIT_BY_HAND, /* its file can't be written from here; what to write where is appended to hand, a paragraph */
    EDIT_FAILED,  /* the reason is appended to why */
};
enum edit_needed edit_find(struct edit *e, struct node_work *w, struct picture_node *n,
                           const struct fixed_settings *wished, struct buf *hand, struct buf *why);
/* Writes the file, and lets the node forget what it could not read any more with fewer databases. false: the reason is
 * appended to why. */
bool edit_write(struct edit *e, struct node_work *w, struct buf *why);
void edit_free(struct edit *e);

/* The text of a noded.conf with these settings in it; everything else stays. path: for messages. false: the reason is
 * appended to why. */
bool edit_text(const char *path, struct slice old, const struct fixed_settings *wished, struct buf *out,
               struct buf *why);

/* The same of a redis.conf: the lines of these settings go, and new ones stand at the end, where they count more than
 * any before them and in files that it includes. */
bool edit_text_redis(struct slice old, const struct fixed_settings *wished, struct buf *out, struct buf *why);

/* What the answer to CONFIG GET says instead of the wished value; NULL: it is as wished. */
const char *fixed_differs(const struct fixed_setting *s, const redisReply *r);

#endif
