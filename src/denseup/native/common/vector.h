/* Portable vectors of V floats (V is defined before this file is included) by the vector extensions of GCC and clang.
 * Included once for each instruction set; names get its suffix through NAME(). */

#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)
#define NAME(name) CAT(name, ISA)
#define INLINE static inline __attribute__((always_inline, unused))

/* Before a loop of constant length over an array that is to lie in registers: GCC unrolls some of them too late for that.
 * clang does well by itself, and worse when told. */
#ifdef __clang__
#define UNROLLED
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

#ifdef __clang__
#define SHUFFLE(v, lanes) NAME(shuffle)(v, lanes)
#else
#define SHUFFLE(v, lanes) __builtin_shuffle(v, lanes)
#endif

typedef float NAME(vf) __attribute__((vector_size(4 * V)));
typedef int NAME(vi) __attribute__((vector_size(4 * V)));
typedef unsigned NAME(vu) __attribute__((vector_size(4 * V)));
typedef unsigned short NAME(vh) __attribute__((vector_size(2 * V)));
#define vf NAME(vf)
#define vi NAME(vi)
#define vu NAME(vu)
#define vh NAME(vh)

#ifdef __clang__
INLINE vf NAME(shuffle)(vf v, vi lanes) {
    vf moved;
    for (int k = 0; k < V; k++) moved[k] = v[lanes[k]];
    return moved;
}
#endif

INLINE vf NAME(load_float)(const float *p) {
    vf v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

INLINE void NAME(store_float)(float *p, vf v) { __builtin_memcpy(p, &v, sizeof v); }

/* Past the caches, into memory that lies on a whole vector: what is written need not be read first. A thread that has
 * streamed calls `streamed` before others may read. */
INLINE void NAME(stream)(float *p, vf v) {
#if defined(__clang__)
    __builtin_nontemporal_store(v, (vf *)p);
#elif V == 16
    __builtin_ia32_movntps512(p, v);
#elif V == 8
    __builtin_ia32_movntps256(p, v);
#else
    NAME(store_float)(p, v);
#endif
}

INLINE void NAME(streamed)(void) {
#ifdef __x86_64__
    __builtin_ia32_sfence();
#endif
}

INLINE vf NAME(load_bfloat16)(const unsigned short *p) {
    vh half;
    __builtin_memcpy(&half, p, sizeof half);
    return (vf)(__builtin_convertvector(half, vu) << 16);
}

/* Round to nearest, ties to even; a NaN stays one. */
INLINE void NAME(store_bfloat16)(unsigned short *p, vf v) {
    vu bits = (vu)v;
    vu rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    vu nan = (vu)(v != v);
    vh half = __builtin_convertvector((nan & 0x7fc0) | (~nan & rounded), vh);
    __builtin_memcpy(p, &half, sizeof half);
}

INLINE vf NAME(maximum)(vf a, vf b) {
    vi greater = a > b;
    return (vf)(((vi)a & greater) | ((vi)b & ~greater));
}

/* exp for x ≤ 0, to about 2 ulp: 2^n · e^r with n an integer and |r| ≤ ln(2)/2. Below -87, where results would no longer
 * be normal numbers, it is 0; a NaN stays one. */
INLINE vf NAME(exponential)(vf x) {
    const float magic = 12582912.0f; /* 1.5 · 2^23: adding it rounds to an integer */
    const float least = -87.0f;
    vf zero = {0};
    vi vanishes = x < least;
    x = NAME(maximum)(zero + least, x); /* in this order, for of two that do not compare the second is taken */
    vf n = (x * 1.44269504f + magic) - magic;
    vf r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vf p = zero + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    vi scale = (__builtin_convertvector(n, vi) + 127) << 23;
    return (vf)((vi)(p * (vf)scale) & ~vanishes);
}

typedef float NAME(v4) __attribute__((vector_size(16)));
#define v4 NAME(v4)

/* A vector folded to four partial sums. */
INLINE v4 NAME(fold)(vf v) {
#if V == 16
    typedef float v8 __attribute__((vector_size(32)));
    v8 half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
              __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    return __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
#elif V == 8
    return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
    return v;
#endif
}

/* The sums of four vectors. */
INLINE v4 NAME(sums)(vf a, vf b, vf c, vf d) {
    v4 p = NAME(fold)(a), q = NAME(fold)(b), r = NAME(fold)(c), s = NAME(fold)(d);
    v4 pq = __builtin_shufflevector(p, q, 0, 4, 2, 6) + __builtin_shufflevector(p, q, 1, 5, 3, 7);
    v4 rs = __builtin_shufflevector(r, s, 0, 4, 2, 6) + __builtin_shufflevector(r, s, 1, 5, 3, 7);
    return __builtin_shufflevector(pq, rs, 0, 1, 4, 5) + __builtin_shufflevector(pq, rs, 2, 3, 6, 7);
}

INLINE float NAME(sum)(vf v) {
    v4 four = NAME(fold)(v);
    return (four[0] + four[1]) + (four[2] + four[3]);
}

/* 0, 1, 2, …: read from memory, for GCC would put such a vector together lane by lane. */
INLINE vi NAME(lanes)(void) {
    static const int numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vi v;
    __builtin_memcpy(&v, numbers, sizeof v);
    return v;
}

INLINE float NAME(largest)(vf v) {
    for (int step = V / 2; step >= 1; step /= 2) v = NAME(maximum)(v, SHUFFLE(v, NAME(lanes)() ^ step));
    return v[0];
}

/* Softmax of n < V values. A NaN among them, or an infinite value that is the largest, makes the sum NaN, and so all. */
INLINE void NAME(softmax_short)(const float *from, float *to, int n) {
    float padded[V];
    for (int k = 0; k < V; k++) padded[k] = -__builtin_inff();
    __builtin_memcpy(padded, from, n * sizeof(float));
    vf x = NAME(load_float)(padded);
    vf e = NAME(exponential)(x - NAME(largest)(x));
    NAME(store_float)(padded, e / NAME(sum)(e));
    __builtin_memcpy(to, padded, n * sizeof(float));
}

/* Softmax of n values from one place to another, NaN as in `softmax_short`. The last vector of n ≥ V values overlaps the one before it. */
INLINE void NAME(softmax)(const float *from, float *to, int n) {
    if (n < V) {
        NAME(softmax_short)(from, to, n);
        return;
    }
    int whole = n - n % V, last = n - V;
    vf top = NAME(load_float)(from + last), all = {0};
    for (int k = 0; k < whole; k += V) top = NAME(maximum)(top, NAME(load_float)(from + k));
    float shift = NAME(largest)(top);
    for (int k = 0; k < whole; k += V) {
        vf e = NAME(exponential)(NAME(load_float)(from + k) - shift);
        NAME(store_float)(to + k, e);
        all += e;
    }
    vf tail = NAME(exponential)(NAME(load_float)(from + last) - shift);
    vi new_lanes = NAME(lanes)() >= whole - last; /* all others are in a whole vector already */
    float scale = 1.0f / NAME(sum)(all + (vf)((vi)tail & new_lanes));
    for (int k = 0; k < whole; k += V) NAME(store_float)(to + k, NAME(load_float)(to + k) * scale);
    NAME(store_float)(to + last, tail * scale);
}
