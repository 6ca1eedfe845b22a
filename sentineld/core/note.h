/* A note: one decision, or one decision not to act, with everything that it was made from. Structured, so that it can
 * be stored, shown, and fed back through the core (replay.h). The core gives it away in a NOTE effect.
 *
 * A note is a run of items. Fields have a name and a value; a list holds rows of fields, an object holds fields;
 * neither is nested further. Times that passed are ages in microseconds before the note (`_us`), -1 for never. */
#ifndef CORE_NOTE_H
#define CORE_NOTE_H

#include "common/base/bytes.h"

enum sn_note_kind {
    SN_NOTE_SDOWN,     /* a server is held for down: reason, evidence */
    SN_NOTE_ODOWN,     /* the quorum agrees: opinions of all supervisors */
    SN_NOTE_WAITING,   /* a master is down and nobody is promoted yet: why; told when the reason changes */
    SN_NOTE_STAND,     /* a ballot is held: evidence, opinions, ranking of the replicas */
    SN_NOTE_VOTE,      /* another supervisor asked for our vote: granted, or why not */
    SN_NOTE_WON,       /* our ballot, with all votes */
    SN_NOTE_LOST,      /* likewise, and why */
    SN_NOTE_PROMOTED,  /* the replica says that it is a master */
    SN_NOTE_SWITCHED,  /* the new configuration is on disk and told: milliseconds of each phase */
    SN_NOTE_CONVERGED, /* the other replicas follow: how long each took */
    SN_NOTE_ABORTED,   /* the attempt ended after the election, or could not begin: why */
    SN_NOTE_CONFIG,    /* a newer configuration was learned from another supervisor */
    SN_NOTE_AGREED,    /* every live node of the cluster knows the new master: how long each took */
    SN_NOTE_SWAPDB,    /* a swap of databases over a cluster: begun, decided, or made everywhere */
    SN_NOTE_KINDS
};

enum sn_note_type { SN_ITEM_INT, SN_ITEM_BOOL, SN_ITEM_TEXT, SN_ITEM_LIST, SN_ITEM_ROW, SN_ITEM_OBJECT, SN_ITEM_END };

struct sn_note_item {
    enum sn_note_type type;
    const char *name; /* of all but ROW and END; static, or as long-lived as its maker says */
    int64_t number;   /* INT; BOOL: 0 or 1 */
    char *text;       /* TEXT; owned */
};

struct sn_note {
    enum sn_note_kind kind;
    /* Of the ballot that it is about; 0: none. What is about a configuration (switched, converged, config, agreed)
     * has both epochs as fields too, `ballot` (0: not known here, then epoch is the configuration's) and
     * `config_epoch`: in a cluster of redis-server these are two numbers. */
    uint64_t epoch;
    struct sn_note_item *v;
    size_t n, cap;
};

struct sn_note *sn_note_new(enum sn_note_kind kind, uint64_t epoch);
void sn_note_free(struct sn_note *n); /* NULL is allowed */

const char *sn_note_kind_name(enum sn_note_kind k); /* "sdown" */
bool sn_note_kind_parse(struct slice name, enum sn_note_kind *out);

void sn_note_int(struct sn_note *n, const char *name, int64_t v);
void sn_note_bool(struct sn_note *n, const char *name, bool v);
void sn_note_text(struct sn_note *n, const char *name, const char *v); /* NULL is stored as "" */
void sn_note_list(struct sn_note *n, const char *name);                /* rows follow, then sn_note_end() */
void sn_note_row(struct sn_note *n);
void sn_note_object(struct sn_note *n, const char *name); /* fields follow, then sn_note_end() */
void sn_note_end(struct sn_note *n);

/* A part of a note to be read: the note itself, an object, or one row. A part without a note is empty. */
struct sn_note_part {
    const struct sn_note *note;
    size_t from, to;
};

struct sn_note_part sn_note_whole(const struct sn_note *n);
struct sn_note_part sn_note_part(const struct sn_note *n, const char *name); /* an object or a list; empty: none */
/* The next row of a list: *list is what is left of it. false: there is none. */
bool sn_note_next(struct sn_note_part *list, struct sn_note_part *row);
int64_t sn_note_get(struct sn_note_part p, const char *name, int64_t absent); /* INT or BOOL */
const char *sn_note_get_text(struct sn_note_part p, const char *name);        /* "" when absent */

#endif
