/* Transcripts of what redis-server 7.0.15 answered (tests/unit/cmd/answers): each command is run by an engine, which
 * has to say the same.
 *
 *     > ZMPOP 1 z MIN COUNT 2         the command, as in redis-cli
 *     = *2 $1 z *1 *2 $1 a $1 1       its answer, a space for each end of a line; "hello": not compared
 *     @ zpopmin z                     keyspace events and their keys, in order
 *     @ del z
 *     ! ZPOPMIN z 1                   what the replicas got. Left out: the command as it is when there were events,
 *                                     else nothing
 */
#ifndef UNIT_ANSWERS_H
#define UNIT_ANSWERS_H

/* Fails the test at the first command that is answered or told otherwise. */
void answers_check(const char *path);

#endif
