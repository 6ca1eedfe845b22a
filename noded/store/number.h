/* Numbers with a fraction as text: scores, and the values of INCRBYFLOAT and HINCRBYFLOAT. The whole text must be the
 * number: no spaces, not empty; decimal or hexadecimal (0x), "inf" and "infinity" in letters of either case with or
 * without a sign, never "nan". */
#ifndef STORE_NUMBER_H
#define STORE_NUMBER_H

#include "common/base/bytes.h"
#include "common/base/text.h"

#define ND_DOUBLE_TEXT TEXT_DOUBLE
#define ND_LONG_DOUBLE_TEXT 5120 /* the largest long double has 4,933 digits before the point */

/* false: not a number, or out of the range of a double (what rounds to 0 is out of range too); *out is unchanged. */
bool nd_number_double(struct slice s, double *out);
/* The end of a range of scores, which Redis reads as a C string: up to the first NUL, white space in front, an empty
 * one is 0, and what is out of range is infinite or 0. */
bool nd_number_bound(struct slice s, double *out);
/* As Redis 7.0 shows scores: "%.17g". Not terminated; returns the length. */
size_t nd_number_double_text(double v, char out[ND_DOUBLE_TEXT]);
/* True when v is whole and at most 2^62 away from 0: a listpack then has it as a number. */
bool nd_number_whole(double v, int64_t *out);

/* Texts of ND_LONG_DOUBLE_TEXT bytes or more are refused. */
bool nd_number_long_double(struct slice s, long double *out);
/* Without an exponent, 17 digits after the point at most, no zeros at the end, and never "-0": what INCRBYFLOAT stores.
 * v is finite. Not terminated; returns the length. */
size_t nd_number_long_double_text(long double v, char out[ND_LONG_DOUBLE_TEXT]);

#endif
