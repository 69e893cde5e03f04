/* The kernels of reassembly_body.h for both element types, and how much of it the registers of an instruction set hold:
 * BLOCK vectors of channels in the forward tile, ADJOINT_BLOCK in the adjoint's, ADJOINT_LESS in that of K 7 and 9, SPAN
 * keys in the similarity's. */
#if V == 16
#define BLOCK 4
#define ADJOINT_BLOCK 4
#define ADJOINT_LESS 2
#else
#define BLOCK 2
#define ADJOINT_BLOCK 2
#define ADJOINT_LESS 1
#endif
#define SPAN 5

/* Output pixels of a line that are worked on together where each source pixel has one: kernel sizes. */
#define LINE 8
#define LINE_SIZES(CASE) CASE(3) CASE(5) CASE(7) CASE(9)
#define MAX_LINE_SIZE 9
#define MAX_LINE_TAPS (MAX_LINE_SIZE * MAX_LINE_SIZE)
#if V == 16
#define LINE_ROWS 5
#else
#define LINE_ROWS 3
#endif

#include "common/transpose.h"

#define T float
#define LOAD NAME(load_float)
#define STORE NAME(store_float)
#define SUFFIX f32
#include "reassembly/reassembly_body.h"

#define T unsigned short
#define LOAD NAME(load_bfloat16)
#define STORE NAME(store_bfloat16)
#define SUFFIX bf16
#include "reassembly/reassembly_body.h"

#undef BLOCK
#undef ADJOINT_BLOCK
#undef ADJOINT_LESS
#undef SPAN
#undef LINE
#undef LINE_SIZES
#undef LINE_ROWS
#undef MAX_LINE_SIZE
#undef MAX_LINE_TAPS
