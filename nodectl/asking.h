/* What every command that asks supervisors takes: whom to ask, how to log in, how long to wait, how to print. */
#ifndef NODECTL_ASKING_H
#define NODECTL_ASKING_H

#include "nodectl/command.h"
#include "nodectl/fleet.h"
#include "nodectl/targets.h"

/* Beside those of every command. */
enum { EXIT_NOBODY = 3 }; /* no supervisor can be asked */

/* Rows of a command's options. */
#define ASKING_OPTIONS                                                                               \
    {"--supervisor", "-s", "ADDRESS", "host:port of a supervisor; several are separated by commas"}, \
        {"--config", "-c", "FILE",                                                                   \
         "where supervisors are listed (default ~/.config/nodectl.conf, /etc/nodectl.conf)"},        \
        {"--output", "-o", "FORMAT", "table or json (default table)"},                               \
        {"--user", NULL, "NAME", "user at the supervisors"},                                         \
        {"--password", NULL, "WORD",                                                                 \
         "password at the supervisors; NODECTL_PASSWORD keeps it out of the process list"},          \
    {                                                                                                \
        "--timeout-ms", NULL, "MS", "how long a supervisor is waited for (default 2000)"             \
    }

/* The paragraph about them in a command's help. */
#define ASKING_TEXT                                                                                                    \
    "The supervisors are those of --supervisor, else of the variable NODECTL_SUPERVISORS, else of the configuration\n" \
    "file. The others that they know are found and asked too. redis-sentinel answers as well as sentineld.\n"

struct asking {
    bool json;
    int timeout_ms;
    const char *user, *password; /* "" for none */
    struct targets targets;
};

/* Reads the options. EXIT_OK, or EXIT_USAGE with the reason on standard error; asking_free() either way. */
int asking_read(const struct command_call *call, struct asking *a);
void asking_free(struct asking *a);

/* Adds the named supervisors. */
void asking_begin(const struct asking *a, struct fleet *f);
/* The login, as the first question of a connection; nothing without a password. Returns how many questions it was. */
size_t asking_login(const struct asking *a, struct fleet_member *m);
/* Says on standard error, when that is so, that nobody answers, and why not, one by one. */
bool asking_nobody(const struct command_call *call, const struct asking *a, const struct fleet *f);

#endif
