/* Strings as rows of bits: what the bit commands share. Bit 0 is the upper bit of byte 0. */
#ifndef CMD_BITS_H
#define CMD_BITS_H

#include "noded/cmd/call.h"

/* Argument i as the number of a bit. width > 0: "#n" is n times the width. false: answered. */
bool nd_arg_bit_offset(struct nd_call *c, size_t i, unsigned width, uint64_t *out);

/* A range of bits, both ends within; start > end: it is empty. */
struct nd_bit_range {
    int64_t start, end;
};
uint64_t nd_bits_count(const unsigned char *p, struct nd_bit_range r);
/* The first bit of the range that is `on`, or -1. */
int64_t nd_bits_find(const unsigned char *p, struct nd_bit_range r, bool on);

#endif
