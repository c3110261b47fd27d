/* fuzz: one target per decoder. A target gives fuzz_one, which must come back from any bytes, and
 * fuzz_example, which makes bytes that are well-formed. Two drivers run it: fuzz_main.c mutates
 * examples from a seed (any compiler, in the normal suite), libFuzzer follows coverage (clang). */
#ifndef TOYSTORE_TESTS_FUZZ_H
#define TOYSTORE_TESTS_FUZZ_H

#include "base/buf.h"
#include "base/prng.h"

void fuzz_one(struct slice bytes);
void fuzz_example(struct prng *prng, struct buf *out);

#endif
