/* Configuration files in libconfig syntax, read through tables: a row per key says its type, range and place. What no
 * row names is an error with the nearest known name. Every problem is one line, "file:line: key: what was expected",
 * and all problems of a file are found in one run. */
#ifndef IO_CONF_H
#define IO_CONF_H

#include "common/base/addr.h"
#include "common/base/bytes.h"

#include <libconfig.h>

struct conf_file;

struct conf_problems {
    struct buf text; /* a line for each, newline-terminated */
    size_t count;
    const char *path; /* of the file that is read; set by conf_load() */
};

/* Lists that rows of type CONF_STRINGS and CONF_ADDRESSES fill. */
struct conf_strings {
    char **v;
    size_t n;
};
struct conf_addresses {
    struct addr *v;
    size_t n;
};

struct conf_reader {
    struct conf_problems *problems;
    void *context; /* the caller's, for `each` */
};

enum conf_type {
    CONF_INT,       /* int64_t, min..max */
    CONF_BOOL,      /* bool */
    CONF_STRING,    /* char *, of at least min bytes and at most max (0: no bound) */
    CONF_SIZE,      /* uint64_t, written as a string with a unit: "256mb"; min..max */
    CONF_ADDRESS,   /* struct addr, written "host:port" */
    CONF_WORD,      /* int, the index in words */
    CONF_STRINGS,   /* struct conf_strings, at least min of them */
    CONF_ADDRESSES, /* struct conf_addresses, at least min of them, none twice */
    CONF_GROUP,     /* { ... }: keys are read into the struct at this place */
    CONF_LIST,      /* ( {...}, ... ): each is called for every element, with the struct that holds the row */
    CONF_OTHER,     /* each is called for the setting itself, whatever its type, with the struct that holds the row */
};

typedef void conf_each_fn(struct conf_reader *r, const config_setting_t *element, void *target);

struct conf_key {
    const char *name; /* NULL ends the table */
    enum conf_type type;
    size_t at; /* offset in the target */
    int64_t min, max;
    const char *const *words;    /* CONF_WORD: NULL-terminated */
    const struct conf_key *keys; /* CONF_GROUP */
    conf_each_fn *each;          /* CONF_LIST, CONF_OTHER */
    const char *help;            /* one line: unit and meaning */
};

/* Rows of a table, one kind each. */
#define CONF_ROW_INT(n, offset, low, high, h)                                         \
    {                                                                                 \
        .name = n, .type = CONF_INT, .at = offset, .min = low, .max = high, .help = h \
    }
#define CONF_ROW_STRING(n, offset, low, high, h)                                         \
    {                                                                                    \
        .name = n, .type = CONF_STRING, .at = offset, .min = low, .max = high, .help = h \
    }
#define CONF_ROW_BOOL(n, offset, h)                           \
    {                                                         \
        .name = n, .type = CONF_BOOL, .at = offset, .help = h \
    }
#define CONF_ROW_WORD(n, offset, w, h)                                    \
    {                                                                     \
        .name = n, .type = CONF_WORD, .at = offset, .words = w, .help = h \
    }
#define CONF_ROW_LIST(n, t, offset, low, h)                       \
    {                                                             \
        .name = n, .type = t, .at = offset, .min = low, .help = h \
    }
#define CONF_ROW_GROUP(n, offset, k, h)                                   \
    {                                                                     \
        .name = n, .type = CONF_GROUP, .at = offset, .keys = k, .help = h \
    }
#define CONF_ROW_EACH(n, t, f, h)                  \
    {                                              \
        .name = n, .type = t, .each = f, .help = h \
    }

/* Reads and parses the file with its @include lines (relative to the folder of the file that has them). NULL: problems
 * says why. path must outlive the problems. Integers that libconfig would silently cut (beyond 32 bits without an L,
 * beyond 64 bits) are problems. */
struct conf_file *conf_load(const char *path, struct conf_problems *problems);
/* The same from text; name stands for the file in messages, @include is relative to the working directory. */
struct conf_file *conf_parse(const char *name, struct slice text, struct conf_problems *problems);
void conf_free(struct conf_file *f); /* NULL is allowed */
const config_setting_t *conf_root(const struct conf_file *f);

/* Fills target from the group by the table; a key that is absent or wrong leaves its place as it was. Strings and lists
 * that were there are freed first, so defaults may be set before. Rows are read in the order of the table, so a row may
 * use what an earlier one read. Returns a bit for each row (by index, at most 64 rows) that the file gave, right or
 * wrong. */
uint64_t conf_read(struct conf_reader *r, const config_setting_t *group, const struct conf_key *keys, void *target);

/* Adds "file:line: key: text" while the file is loaded. at may be NULL (no line). key is appended to the dotted path of
 * `at`; NULL or "" for `at` itself. */
void conf_problem(struct conf_problems *p, const config_setting_t *at, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

void conf_strings_free(struct conf_strings *s);
void conf_addresses_free(struct conf_addresses *a);

/* Writes s as a libconfig string with its quotes, so that the parser gives the same bytes back. */
void conf_write_string(struct buf *out, struct slice s);

#endif
