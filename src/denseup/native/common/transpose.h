/* Transposes a square of V vectors, in place, for one instruction set. */
INLINE void NAME(transpose)(vf *rows) {
#ifdef __clang__
    float from[V][V], to[V][V];
    __builtin_memcpy(from, rows, sizeof from);
    for (int i = 0; i < V; i++)
        for (int j = 0; j < V; j++) to[j][i] = from[i][j];
    __builtin_memcpy(rows, to, sizeof to);
#else
    const vi lanes = NAME(lanes)();
    UNROLLED for (int step = 1; step < V; step *= 2) {
        /* of a pair of rows `step` apart, the lanes that are `step` apart change places */
        const vi upper = (lanes & step) != 0;
        const vi low = (upper & (lanes - step + V)) | (~upper & lanes);
        const vi high = (upper & (lanes + V)) | (~upper & (lanes + step));
        UNROLLED for (int i = 0; i < V; i++) {
            if (i & step) continue;
            vf a = rows[i], b = rows[i + step];
            rows[i] = __builtin_shuffle(a, b, low);
            rows[i + step] = __builtin_shuffle(a, b, high);
        }
    }
#endif
}
