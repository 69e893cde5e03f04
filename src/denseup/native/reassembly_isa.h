/* One instruction set: the vectors, then the kernels for both element types. */
#include "vector.h"

#define T float
#define LOAD NAME(load_float)
#define STORE NAME(store_float)
#define SUFFIX f32
#include "reassembly_body.h"

#define T unsigned short
#define LOAD NAME(load_bfloat16)
#define STORE NAME(store_bfloat16)
#define SUFFIX bf16
#include "reassembly_body.h"

#undef vf
#undef vi
#undef vu
#undef vh
#undef v4
#undef CAT_
#undef CAT
#undef NAME
#undef INLINE
#undef ISA
#undef V
#undef SHUFFLE
#undef BLOCK
#undef ADJOINT_BLOCK
