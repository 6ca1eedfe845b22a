/* Running a command: the checks before it (nd_session_run, run.c), the run itself with its statistics, and what comes
 * after. */
#ifndef CMD_RUN_H
#define CMD_RUN_H

#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/table.h"

/* Runs c->cmd: time, statistics, MONITOR, SLOWLOG, and its default effect. Outermost calls flush the effects. */
void nd_run(struct nd_call *c);
/* The clock for the session's next command, read unless its last one has just ended: then it is that moment. */
int64_t nd_watch_start(struct nd_engine *e, struct nd_session *s);
/* Counts a call in INFO commandstats without running it: of a client that blocked, when it is answered. */
void nd_count_call(struct nd_call *c, uint64_t usec);
/* An error was answered, "CODE text". */
void nd_count_error(struct nd_engine *e, struct slice text);

/* Where the session's answers go: its buffer, or nowhere (CLIENT REPLY, a master's stream, the node itself). */
struct reply *nd_session_reply(struct nd_session *s);
/* A request was answered: the turn of CLIENT REPLY SKIP moves on. */
void nd_session_answered(struct nd_session *s);

/* What stands in the way of a command that the state of node or session does not allow (gate.c). */
enum nd_gate { ND_GATE_OPEN, ND_GATE_REFUSED, ND_GATE_QUEUED, ND_GATE_POSTPONED };
enum nd_gate nd_gate(struct nd_call *c);
/* Answers "CODE text" for a command that was not run: a transaction is spoiled by it, EXEC ends with EXECABORT. */
void nd_refuse(struct nd_call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
