/* Runs the items of a job on several threads; see parallel.c. */
#ifndef DENSEUP_PARALLEL_H
#define DENSEUP_PARALLEL_H

typedef void (*denseup_task)(void *context, long item);

/* Call task(context, item) for item = 0 ... items - 1, on at most `threads` threads, in any order. */
void denseup_parallel(long items, int threads, denseup_task task, void *context);

/* The same, with the tasks in the mode of tiny.h. */
void denseup_parallel_tiny_as_zero(long items, int threads, denseup_task task, void *context);

#endif
