// SPDX-License-Identifier: MIT
/* peer_tbb.cc - TBB's concurrent_bounded_queue, where libtbb-dev is there. */
#include "crowd.h"

#ifdef HAVE_TBB
#include <new>

#include <tbb/concurrent_queue.h>

namespace
{

using bounded = tbb::concurrent_bounded_queue<uint64_t>;

/* Its items come and go in pages from the heap. */
void *tbb_open(void *memory, struct pinring_region *)
{
	bounded *q = new (memory) bounded;

	q->set_capacity(CROWD_CAPACITY);
	return q;
}

void tbb_close(void *queue)
{
	static_cast<bounded *>(queue)->~bounded();
}

PINRING_FN bool tbb_push(void *queue, uint64_t item)
{
	return static_cast<bounded *>(queue)->try_push(item);
}

PINRING_FN bool tbb_pop(void *queue, uint64_t *item)
{
	return static_cast<bounded *>(queue)->try_pop(*item);
}

CROWD_LOOPS(tbb)

} // namespace

const struct crowd_queue *crowd_tbb(void)
{
	static crowd_queue q;

	q.name = "TBB bounded";
	q.bytes = sizeof(bounded);
	q.open = tbb_open;
	q.close = tbb_close;
	tbb_loops(&q);
	return &q;
}

#else

const struct crowd_queue *crowd_tbb(void)
{
	return nullptr;
}

#endif
