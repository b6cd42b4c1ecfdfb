// SPDX-License-Identifier: MIT
/*
 * peer_boost.cc - boost::lockfree::spsc_queue and queue, where libboost-dev is
 * there.
 */
#include "crowd.h"
#include "flow.h"

#if __has_include(<boost/lockfree/queue.hpp>)
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>

#include "flow_wrap.h"

namespace
{

using boost::lockfree::capacity;

struct boost_spsc {
	using words =
		boost::lockfree::spsc_queue<uint64_t, capacity<FLOW_CAPACITY>>;
	using lines =
		boost::lockfree::spsc_queue<flow_line, capacity<FLOW_CAPACITY>>;
	static constexpr bool batches = true;

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
		return q.push(item);
	}

	template <typename Queue, typename Item>
	PINRING_FN bool pop(Queue &q, Item &item)
	{
		return q.pop(item);
	}

	template <typename Queue, typename Item>
	PINRING_FN uint64_t push_n(Queue &q, const Item *items, uint64_t n)
	{
		return q.push(items, n);
	}

	template <typename Queue, typename Item>
	PINRING_FN uint64_t pop_n(Queue &q, Item *items, uint64_t n)
	{
		return q.pop(items, n);
	}
};

/* Of many sides: its nodes lie in it, and it is full when all are in use. */
using many = boost::lockfree::queue<uint64_t, capacity<CROWD_CAPACITY>>;

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
	return static_cast<many *>(queue)->bounded_push(item);
}

PINRING_FN bool many_pop(void *queue, uint64_t *item)
{
	return static_cast<many *>(queue)->pop(*item);
}

CROWD_LOOPS(many)

} // namespace

const struct flow_queue *flow_boost(void)
{
	static const flow_queue spsc =
		flow_wrap<boost_spsc>::make("boost spsc_queue");

	return &spsc;
}

const struct crowd_queue *crowd_boost(void)
{
	static crowd_queue q;

	q.name = "boost queue";
	q.shared = true;
	q.bytes = sizeof(many);
	q.open = many_open;
	q.close = many_close;
	many_loops(&q);
	return &q;
}

#else

const struct flow_queue *flow_boost(void)
{
	return nullptr;
}

const struct crowd_queue *crowd_boost(void)
{
	return nullptr;
}

#endif
