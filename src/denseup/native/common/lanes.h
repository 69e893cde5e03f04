/* How rows of floats lie in memory that the kernels fill themselves. */
#ifndef DENSEUP_LANES_H
#define DENSEUP_LANES_H

#define LANES 16 /* floats of the widest vector, whatever the instruction set */
#define SPARE \
    16 /* floats between rows that would else lie powers of two apart, and push each other out of the caches */

#endif
