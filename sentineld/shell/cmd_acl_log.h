/* The latest requests that were refused for want of rights, and failed logins: ACL LOG. */
#ifndef SHELL_CMD_ACL_LOG_H
#define SHELL_CMD_ACL_LOG_H

#include "sentineld/shell/command.h"

struct acl_log;

enum acl_denied { ACL_DENIED_LOGIN, ACL_DENIED_COMMAND, ACL_DENIED_CHANNEL };

struct acl_log *acl_log_new(void);
void acl_log_free(struct acl_log *log);

/* object: the command or channel in question, or "AUTH" or "HELLO" for a failed login; user: who it was, or who it
 * claimed to be. */
void acl_log_add(struct call *call, enum acl_denied why, struct slice object, struct slice user);

#endif
