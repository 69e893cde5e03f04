/* One instruction set: the vectors, then BODY. */
#include "common/vector.h"

#include BODY

#undef vf
#undef vi
#undef vu
#undef vh
#undef v4
#undef CAT_
#undef CAT
#undef NAME
#undef INLINE
#undef UNROLLED
#undef ISA
#undef V
#undef SHUFFLE
