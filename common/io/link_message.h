/* The short way of messages on a subscribed connection: read and taken apart without the buffers, objects and tables of
 * hiredis. Whatever is not a whole message on a channel that was subscribed to is left to hiredis. */
#ifndef IO_LINK_MESSAGE_H
#define IO_LINK_MESSAGE_H

#include "common/io/link_guard.h"

#define LINK_MESSAGE_BYTES 4096 /* of one reading */

/* Cuts the first message off *rest and gives its channel and payload, which point into the bytes. false: what stands
 * there is not a whole message on one of the guard's channels. */
bool link_message_cut(const struct link_guard *g, struct slice *rest, struct slice *channel, struct slice *payload);

#endif
