/* Compiles the file BODY once for each instruction set: ISA is its name, V the floats of a vector. With DENSEUP_PORTABLE
 * there is one alone, for builds that are to be quick. */
#if !defined(DENSEUP_PORTABLE) && defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define X86 1
#else
#define X86 0
#endif

#define ISA portable
#define V 4
#include "common/one_isa.h"

#if X86
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define ISA avx2
#define V 8
#include "common/one_isa.h"
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma")
#endif
#define ISA avx512
#define V 16
#include "common/one_isa.h"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#undef BODY
