/* The kinds of drills: what is done to whom. Help, manual pages, completion and the file of drills have their names
 * from here. */
#ifndef NODECTL_DRILL_KINDS_H
#define NODECTL_DRILL_KINDS_H

enum drill_deed { DEED_KILL, DEED_STOP, DEED_CUT, DEED_SWITCH };
enum drill_part { PART_MASTER, PART_REPLICA, PART_SUPERVISOR };

/* id, name, deed, part, what it does */
#define DRILL_TABLE(X)                                                                                             \
    X(KILL_MASTER, "kill-master", KILL, MASTER, "kill a master (SIGKILL), start it again when there is a new one") \
    X(STOP_MASTER, "stop-master", STOP, MASTER, "stop a master (SIGSTOP), continue it when there is a new one")    \
    X(CUT_MASTER, "cut-master", CUT, MASTER, "cut a master off by your own command, heal it by another one")       \
    X(SWITCHOVER, "switchover", SWITCH, MASTER, "a planned switch to a replica")                                   \
    X(KILL_REPLICA, "kill-replica", KILL, REPLICA, "kill a replica (SIGKILL), start it again when it is missed")   \
    X(STOP_REPLICA, "stop-replica", STOP, REPLICA, "stop a replica (SIGSTOP), continue it when it is missed")      \
    X(CUT_REPLICA, "cut-replica", CUT, REPLICA, "cut a replica off by your own command, heal it by another one")   \
    X(KILL_SUPERVISOR, "kill-supervisor", KILL, SUPERVISOR, "kill a supervisor (SIGKILL), start it again")         \
    X(STOP_SUPERVISOR, "stop-supervisor", STOP, SUPERVISOR, "stop a supervisor (SIGSTOP), continue it")            \
    X(CUT_SUPERVISOR, "cut-supervisor", CUT, SUPERVISOR,                                                           \
      "cut a supervisor off by your own command, heal it by another one")

#define DRILL_ID_(id, name, deed, part, text) DRILL_##id,
enum drill_kind {
    DRILL_TABLE(DRILL_ID_) DRILL_RANDOM, /* one of the above that can be done */
    DRILL_KINDS
};
#undef DRILL_ID_

/* All names as one literal: for completion, and for help. */
#define DRILL_WORD_(id, name, deed, part, text) name "|"
#define DRILL_WORDS DRILL_TABLE(DRILL_WORD_) "random"
#define DRILL_LINE_(id, name, deed, part, text) "  " name "\n      " text "\n"
#define DRILL_LINES DRILL_TABLE(DRILL_LINE_) "  random\n      one of these that can be done, drawn\n"

const char *drill_kind_name(enum drill_kind k);     /* "kill-master" */
const char *drill_kind_text(enum drill_kind k);     /* what it does, one line */
enum drill_deed drill_kind_deed(enum drill_kind k); /* of all but RANDOM, as the next */
enum drill_part drill_kind_part(enum drill_kind k);
const char *drill_part_name(enum drill_part p); /* "master" */

#endif
