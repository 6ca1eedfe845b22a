/* Named situations, played from the text files of tests/bus/scenarios: the cluster is set up by hand, disturbed at
 * given moments, and what results is asserted. A file is a transcript; # begins a comment, and the first is its title.
 *
 *   shards N [replicas N] [spare N]    masters n1 ... nN; n(N+1) is the first replica of n1, and so on
 *   timeout MS, delay US, seed N       the node timeout; of the network
 *   same-epochs, part                  nobody sets the config epochs apart; slots are served even when some are not
 *   settle [MS]                        ends the set-up: the cluster forms, within that time
 *
 *   run MS                             lets time pass
 *   kill X, power-off X, start X, stop X, continue X, wipe X   (X: names with commas)
 *   cut A,B from C,D [one-way], mend
 *   do X COMMAND [Y] [force|takeover|hard]      meet, forget, replicate, failover, reset, bumpepoch
 *   answer ok|error                    of the last command, within a second
 *   writes on|off
 *   migrate X Y N                      MIGRATESLOTS of N slots of X that are written, to Y
 *   do X cancel                        CANCELSLOTMIGRATIONS
 *   at-pause cut source from target    when writes wait for the next migration; mend as above
 *   at-grant kill|power-off source|target MS     so long after the next grant was sent
 *   late-grants MS                     grants take so much longer, if they arrive
 *
 *   wait MS master X,Y                 until each takes itself for a master with slots, at most that long
 *   wait MS one-of X,Y                 until one of them does
 *   wait MS ok X, wait MS down X       until each says so of the cluster
 *   wait MS replica X Y                until X follows Y and has its data
 *   wait MS a-replica X,Y Z           until one of them does
 *   wait MS knows X Y, wait MS forgot X Y
 *   wait MS holds X                    until X takes writes to all slots of the last migrate
 *   wait MS success X, failed, cancelled      until the last migration that X knows of has that end,
 *   wait MS paused X, streaming               or has come there
 *   still COMMAND as of wait, without the time: holds now
 *   never-promoted                     no replica was promoted since settle
 *   agree MS                           rule B4, within that time
 *   lost N                             acknowledged writes that no owner holds */
#ifndef BUS_SCENARIO_H
#define BUS_SCENARIO_H

/* Plays each file; --verbose before them prints all that happens. Returns the exit status: 0 when all held. */
int scenarios_play(int argc, char **argv);

#endif
