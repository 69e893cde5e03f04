/* Which of the instruction sets of each_isa.h this machine runs; see instructions.c. */
#ifndef DENSEUP_INSTRUCTIONS_H
#define DENSEUP_INSTRUCTIONS_H

/* An index into tables of kernels in the order of each_isa.h: portable, then, on x86, avx2 and avx512. */
int denseup_instruction_set(void);

#endif
