// SPDX-License-Identifier: MIT
/*
 * peer_concurrentqueue.cc - moodycamel's ConcurrentQueue, where
 * libconcurrentqueue-dev is there.
 *
 * It has no bound and no order between producers, only within each.
 */
#include "crowd.h"

#if __has_include(<concurrentqueue/concurrentqueue.h>)
#include <new>

/* gcc 12 takes the empty list of blocks of enqueue_bulk for one it would read. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#endif
#include <concurrentqueue/concurrentqueue.h>

namespace
{

using camel = moodycamel::ConcurrentQueue<uint64_t>;

/* It is at its best with a token a thread and side. */
struct camel_handle {
	camel &queue;
	moodycamel::ProducerToken producer;
	moodycamel::ConsumerToken consumer;

	explicit camel_handle(camel &q) : queue(q), producer(q), consumer(q)
	{
	}
};

void *camel_open(void *memory, struct pinring_region *)
{
	return new (memory) camel(CROWD_CAPACITY);
}

void camel_close(void *queue)
{
	static_cast<camel *>(queue)->~camel();
}

void *camel_join(void *queue, unsigned int)
{
	return new camel_handle(*static_cast<camel *>(queue));
}

void camel_leave(void *handle)
{
	delete static_cast<camel_handle *>(handle);
}

PINRING_FN bool camel_push(void *handle, uint64_t item)
{
	camel_handle *h = static_cast<camel_handle *>(handle);

	return h->queue.enqueue(h->producer, item);
}

PINRING_FN bool camel_pop(void *handle, uint64_t *item)
{
	camel_handle *h = static_cast<camel_handle *>(handle);

	return h->queue.try_dequeue(h->consumer, *item);
}

PINRING_FN uint64_t camel_push_n(void *handle, const uint64_t *items, uint64_t n)
{
	camel_handle *h = static_cast<camel_handle *>(handle);

	return h->queue.enqueue_bulk(h->producer, items, n) ? n : 0;
}

PINRING_FN uint64_t camel_pop_n(void *handle, uint64_t *items, uint64_t n)
{
	camel_handle *h = static_cast<camel_handle *>(handle);

	return h->queue.try_dequeue_bulk(h->consumer, items, n);
}

CROWD_LOOPS(camel)
CROWD_BATCHES(camel)

} // namespace

const struct crowd_queue *crowd_camel(void)
{
	static crowd_queue q;

	q.name = "moodycamel";
	q.unbounded = true;
	q.bytes = sizeof(camel);
	q.open = camel_open;
	q.close = camel_close;
	q.join = camel_join;
	q.leave = camel_leave;
	camel_loops(&q);
	camel_batches(&q);
	return &q;
}

#else

const struct crowd_queue *crowd_camel(void)
{
	return nullptr;
}

#endif
