/* The kernels of reassembly_body.h for both element types, and how much of it the registers of an instruction set hold:
 * BLOCK vectors of channels in the forward tile, ADJOINT_BLOCK in the adjoint's, SPAN keys in the similarity's. */
#if V == 16
#define BLOCK 4
#define ADJOINT_BLOCK 4
#else
#define BLOCK 2
#define ADJOINT_BLOCK 2
#endif
#define SPAN 5

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
#undef SPAN
