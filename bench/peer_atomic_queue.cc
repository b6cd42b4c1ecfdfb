// SPDX-License-Identifier: MIT
/*
 * peer_atomic_queue.cc - Maxim Egorushkin's atomic_queue, where
 * libatomic-queue-dev is there. Its "optimist" kinds wait within push and pop.
 */
#include "crowd.h"
#include "flow.h"

#if __has_include(<atomic_queue/atomic_queue.h>)
#include <atomic_queue/atomic_queue.h>

#include "flow_wrap.h"

namespace
{

using namespace atomic_queue;

const uint64_t no_item = UINT64_MAX;

/* One producer and one consumer: the last argument of the queues. */
struct try_spsc {
	using words = AtomicQueue<uint64_t, FLOW_CAPACITY, no_item, true, true,
				  false, true>;
	using lines = AtomicQueue2<flow_line, FLOW_CAPACITY, true, true, false,
				   true>;
	static constexpr bool batches = false;

	static words *make_words(void *memory)
	{
		return new (memory) words;
	}

	static lines *make_lines(void *memory)
	{
		return new (memory) lines;
	}

	template <typename Queue, typename Item>
	PINRING_FN bool push(Queue &q, const Item &item)
	{
		return q.try_push(item);
	}

	template <typename Queue, typename Item>
	PINRING_FN bool pop(Queue &q, Item &item)
	{
		return q.try_pop(item);
	}
};

struct optimist_spsc : try_spsc {
	template <typename Queue, typename Item>
	PINRING_FN bool push(Queue &q, const Item &item)
	{
		q.push(item);
		return true;
	}

	template <typename Queue, typename Item>
	PINRING_FN bool pop(Queue &q, Item &item)
	{
		item = q.pop();
		return true;
	}
};

/*
 * Of many sides. No item of a crowd is 0, which stands for none here. A thread
 * that is off its core between ticket and slot may find there, when it comes
 * back, the item of the next lap: the order of a producer is lost.
 */
using many = AtomicQueue<uint64_t, CROWD_CAPACITY>;

void *many_open(void *memory, struct pinring_region *)
{
	return new (memory) many;
}

void many_close(void *queue)
{
	static_cast<many *>(queue)->~many();
}

PINRING_FN bool many_push(void *queue, uint64_t item)
{
	return static_cast<many *>(queue)->try_push(item);
}

PINRING_FN bool many_pop(void *queue, uint64_t *item)
{
	return static_cast<many *>(queue)->try_pop(*item);
}

PINRING_FN bool optimist_push(void *queue, uint64_t item)
{
	static_cast<many *>(queue)->push(item);
	return true;
}

PINRING_FN bool optimist_pop(void *queue, uint64_t *item)
{
	*item = static_cast<many *>(queue)->pop();
	return true;
}

CROWD_LOOPS(many)
CROWD_LOOPS(optimist)

} // namespace

const struct flow_queue *flow_atomic_queue(void)
{
	static const flow_queue q = flow_wrap<try_spsc>::make("atomic_queue");

	return &q;
}

const struct flow_queue *flow_optimist(void)
{
	static flow_queue q =
		flow_wrap<optimist_spsc>::make("atomic_queue optimist");

	/* Who waits within push and pop cannot yield to the other consumer. */
	q.fan_out[FLOW_FAN] = nullptr;
	return &q;
}

const struct crowd_queue *crowd_atomic_queue(void)
{
	static crowd_queue q;

	q.name = "atomic_queue";
	q.shared = true;
	q.bytes = sizeof(many);
	q.open = many_open;
	q.close = many_close;
	q.reorders = true;
	many_loops(&q);
	return &q;
}

const struct crowd_queue *crowd_optimist(void)
{
	static crowd_queue q;

	q.name = "atomic_queue optimist";
	q.bytes = sizeof(many);
	q.open = many_open;
	q.close = many_close;
	optimist_loops(&q);
	/* A consumer of it never learns that no more will come. */
	q.produce = q.consume = nullptr;
	return &q;
}

#else

const struct flow_queue *flow_atomic_queue(void)
{
	return nullptr;
}

const struct flow_queue *flow_optimist(void)
{
	return nullptr;
}

const struct crowd_queue *crowd_atomic_queue(void)
{
	return nullptr;
}

const struct crowd_queue *crowd_optimist(void)
{
	return nullptr;
}

#endif
