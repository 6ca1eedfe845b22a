/* Named situations, played from the text files of tests/sim/scenarios: the world is set up by hand, disturbed at given
 * moments, and what is published and what results is asserted. A file is a transcript; # begins a comment, and the
 * first is its title.
 *
 *   supervisors N [declared|drawn-ids]       s1 ... sN; of those that can, s1 stands first
 *   group NAME [quorum N] [down-after MS] [failover-timeout MS] [parallel-syncs N] [reborn-follow] [keys N]
 *   node NAME [priority N] [runid C] [volatile] [no-failover] [forgets-role]
 *                                            of the group before it; the first is its master.
 *                                            runid C: its run id is that digit 40 times; volatile: restarts empty
 *   delay US, sync-delay MS                  of the network; of diskless synchronisation
 *   settle                                   ends the set-up: runs until all know each other
 *
 *   run MS                                   lets time pass
 *   kill X, power-off X, start X             a server or a supervisor
 *   stop X, continue X                       SIGSTOP and SIGCONT
 *   cut A,B from C,D [one-way], mend         cuts the network between ends (one way: from the first to the second)
 *   jump S MS                                its clock leaps; disk S full|slow|ok
 *   promote X, point X at Y                  somebody reconfigures servers by hand
 *   writes on|off                            of the group's client
 *   remove S GROUP, monitor S GROUP          SENTINEL REMOVE; MONITOR with the fleet's master and the group's settings
 *   set S GROUP OPTION VALUE                 SENTINEL SET
 *   file S GROUP X                           a reload of a file that names X for the group's master
 *   wipe S                                   its state directory is lost; it was killed before
 *   ask-again S                              a late candidate asks for a vote that it gave before its crash
 *   failover S GROUP [coordinated], answer ok|error [WORD]
 *   pause S GROUP MS, resume S GROUP         SENTINEL PAUSE, RESUME
 *   crash S after election|promotion         SENTINEL SIMULATE-FAILURE
 *
 *   mark                                     events count from here on (and from settle)
 *   wait MS EVENT [by S]                     until it is published, at most that long
 *   never EVENT [by S], times N EVENT        since the mark; EVENT:TYPE: about a master, slave or sentinel only
 *   agree MS                                 until all supervisors and servers agree (rule S7), at most that long
 *   master X                                 every supervisor that runs takes X for its group's master, now
 *                                            or within 100 ms
 *   role X master|replica, follows X Y, holds X all|none
 *   lost N                                   acknowledged writes that the master does not hold */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

/* Plays each file; --verbose before them prints all that happens. Returns the exit status: 0 when all held. */
int scenarios_play(int argc, char **argv);

#endif
