/* The fleet that a verb is about which was made before: by its name, or by its folder. */
#ifndef NODECTL_LOCAL_RECORDED_H
#define NODECTL_LOCAL_RECORDED_H

#include "nodectl/asking.h"
#include "nodectl/local/layout.h"

/* Rows of the options that such a verb takes. */
#define RECORDED_OPTIONS                                                                                             \
    {"--fleet", NULL, "NAME", "the fleet (default: NODECTL_FLEET, or the only one that is recorded)"},               \
        {"--dir", NULL, "DIR", "its folder, where it is not recorded on this host"},                                 \
        {"--config", "-c", "FILE", "where fleets are recorded (default ~/.config/nodectl.conf, /etc/nodectl.conf)"}, \
        OUTPUT_OPTION, {"--user", NULL, "NAME", "user at the supervisors; the password is in NODECTL_PASSWORD"},     \
        {"--password-file", NULL, "FILE", "its first line is the password at the supervisors"}, ASKING_LOGIN_OPTIONS

struct recorded {
    struct asking asking; /* targets: the record's, or what the layout says */
    struct layout layout; /* dir NULL: fleet create did not make it on this host, or its folder is gone */
    int limit_ms;         /* --timeout, or the given default */
};

/* The name is the first argument, if there is one. EXIT_OK, or the code, and why was said; recorded_free() either way.
 */
int recorded_read(const struct command_call *call, int limit_ms, struct recorded *r);
/* Before something is started: the programs can be run, where the layout says it or beside nodectl. */
bool recorded_programs(struct recorded *r, struct buf *why);
void recorded_free(struct recorded *r);

#endif
