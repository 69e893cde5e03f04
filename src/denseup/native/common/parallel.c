/* Threads for the kernels.
 *
 * torch's own OpenMP runtime is used where Python hands its GOMP_parallel over (libgomp, and libomp and libiomp5 on Linux
 * have that entry point): its threads are there already, and two pools on the same cores would wait for each other,
 * for OpenMP's threads spin for a while after every job. Elsewhere plain threads are started for each job.
 */
#include "common/parallel.h"

#include "common/tiny.h"

#include <pthread.h>

#define MAX_THREADS 256

typedef void (*gomp_parallel)(void (*function)(void *), void *data, unsigned threads, unsigned flags);

typedef struct {
    denseup_task task;
    void *context;
    long items;
    long next;
    int tiny_is_zero; /* see tiny.h */
} job;

static gomp_parallel openmp;

/* Take GOMP_parallel of the OpenMP runtime that torch runs on; NULL for plain threads. */
void denseup_use_openmp(void *function) { openmp = (gomp_parallel)function; }

static void work(void *data) {
    job *todo = data;
    unsigned mode = todo->tiny_is_zero ? tiny_as_zero() : 0;
    for (;;) {
        long item = __atomic_fetch_add(&todo->next, 1, __ATOMIC_RELAXED);
        if (item >= todo->items) break;
        todo->task(todo->context, item);
    }
    if (todo->tiny_is_zero) back_to(mode);
}

static void *thread_work(void *data) {
    work(data);
    return 0;
}

static void run(job todo, int threads) {
    long items = todo.items;
    if (threads > items) threads = (int)items;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if (threads <= 1) {
        work(&todo);
        return;
    }
    if (openmp) {
        openmp(work, &todo, (unsigned)threads, 0);
        return;
    }
    pthread_t handles[MAX_THREADS];
    int started = 0;
    while (started < threads - 1 && pthread_create(&handles[started], 0, thread_work, &todo) == 0) started++;
    work(&todo);
    for (int i = 0; i < started; i++) pthread_join(handles[i], 0);
}

void denseup_parallel(long items, int threads, denseup_task task, void *context) {
    run((job){.task = task, .context = context, .items = items}, threads);
}

void denseup_parallel_tiny_as_zero(long items, int threads, denseup_task task, void *context) {
    run((job){.task = task, .context = context, .items = items, .tiny_is_zero = 1}, threads);
}
