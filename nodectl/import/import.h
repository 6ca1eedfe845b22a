/* A live import: a server's data, or a cluster's, goes over into a cluster while clients write. nodectl attaches to
 * each source master as a replica does: the snapshot is put into the target key by key, and of the stream behind it
 * only which keys were written is looked at; those keys are copied anew as they are at the source, each once however
 * often it was written. So whatever a command does, to however many slots, the target becomes what the source is,
 * and what goes wrong on the way is copied again.
 *
 * cutover.c: writes at the source stop, the rest is copied, both sides are compared, and the source refuses writes. */
#ifndef NODECTL_IMPORT_IMPORT_H
#define NODECTL_IMPORT_IMPORT_H

#include "common/resp/request.h"
#include "nodectl/backup/fetch.h"
#include "nodectl/change.h"
#include "nodectl/db/route.h"
#include "nodectl/import/dirty.h"
#include "nodectl/import/written.h"
#include "nodectl/progress.h"
#include "noded/store/digest.h"

struct import;

enum { IMPORT_REFUSES = 32767 }; /* as min-replicas-to-write: no master has as many, so it takes no writes */

/* A master of the source. */
struct source {
    struct import *import;
    struct addr addr;
    struct node_link link; /* where it is asked */
    struct written written;
    bool tells_expiry; /* it has PEXPIRETIME (Redis 7) */
    struct fetch fetch;
    bool attached; /* the snapshot is whole, and its stream is followed */
    runid replid;  /* the place up to which the stream is worked on */
    int64_t offset;
    int64_t db; /* selected in the stream */
    struct resp_parser *parser;
    struct dirty dirty;
    int64_t told_ms;      /* when it was last told how far we are */
    int64_t lost_ms;      /* since when its stream is lost; 0: it is not */
    bool paused;          /* its writers wait (CLIENT PAUSE) ... */
    int64_t paused_ms;    /* ... told last at this time */
    bool refuses;         /* it takes no writes any more (min-replicas-to-write) */
    int64_t min_replicas; /* that as it was; -1: not known, as it refused them before this import */
};

/* A node that would wait with its snapshot for more replicas (repl-diskless-sync-delay). */
struct import_delay {
    const struct asking *asking; /* how to log in there */
    struct addr addr;
    int64_t before_s;
    bool changed; /* it is 0 now */
};

struct import {
    const struct asking *asking;
    struct asking source_asking; /* login at the source; its texts are the caller's */
    struct picture target;
    int64_t databases; /* that every master of the target has */
    struct route route;
    struct source *v;
    size_t n;
    bool anew; /* the source did what cannot be followed: all is copied again */
    int restarts;
    int64_t put, recopied; /* keys of snapshots, and keys copied again */
    int64_t snapshot_keys; /* that the sources told before; for the progress */
    struct import_delay *delays;
    size_t ndelays;
    runid *target_runs; /* run ids of the target's nodes, in the picture's order; asked for once */
    struct progress progress;
    struct buf error; /* why it ended: a clause */
};

/* import.c. Connects to the source at this address and finds out what it is: one master, or those of a cluster. A
 * replica stands for its master. false: error says why. import_free() either way. */
bool import_open(struct import *im, const struct addr *at);
void import_free(struct import *im);
/* Reads the sources' snapshots to their ends and puts nothing anywhere: what cannot be read is known before anything
 * is deleted. false: error, or Ctrl-C. */
bool import_read_once(struct import *im);
/* Copies the snapshots. false: error, or Ctrl-C. */
bool import_copy(struct import *im);
/* Follows for this long: works on the streams and copies what was written. false: error, or Ctrl-C. */
bool import_follow(struct import *im, int for_ms);
/* Keys that are to be copied anew now, and bytes of the streams that were not worked on yet (-1: not known). */
size_t import_behind_keys(const struct import *im);
int64_t import_behind_bytes(struct import *im);
/* Keys in all databases of the target. -1: error. */
int64_t import_target_keys(struct import *im);
bool import_flush_target(struct import *im);
bool import_flush_database(struct import *im, const char *number);

/* put.c. An entry of a snapshot goes to the owner of its slot. Takes the entry's value. */
bool import_put(struct route *r, struct nd_rdb_entry *entry);

/* delay.c. Which nodes wait before they make a snapshot; that they do not, while the import lasts; and as it was. A
 * node that does not let itself be asked or set is left alone: it is only slower. */
void import_delays_look(struct import *im);
void import_delays_drop(struct import *im);
void import_delays_put_back(struct import *im);

/* again.c. Copies a source's dirty keys as they are now. */
bool import_again(struct source *s);

/* cutover.c */
struct import_tally {
    int64_t keys;
    unsigned char digest[ND_DIGEST_BYTES];
};
struct import_check {
    struct import_tally *source, *target; /* by database */
    size_t n;
    int64_t keys; /* of the source */
    size_t different;
};
void import_check_free(struct import_check *c);
/* To be called often: writers wait for five seconds only, lest they stand still for long when nodectl dies, so it is
 * said again every second. false: error; a source was not reached in time, so that its writers may have gone on. */
bool import_hold_writers(struct import *im);
/* Stops writers (CLIENT PAUSE WRITE), and waits until the streams are worked on and nothing is left to copy. */
bool import_stop_writers(struct import *im);
/* Compares keys and digests of every database while writers wait. false: error; a difference is none. */
bool import_compare(struct import *im, struct import_check *c);
/* The sources refuse writes from now on (min-replicas-to-write), and their writers get that answer. false: error, and
 * they do as before. */
bool import_refuse_writes(struct import *im);
/* Writers go on at the source. */
void import_let_writers(struct import *im);

#endif
