// SPDX-License-Identifier: MIT
/*
 * peer_deque.cc - a mutex around a std::deque, what one writes in C++ without a
 * library. It refuses what goes over the capacity of the others; its items come
 * and go in blocks from the heap.
 */
#include <deque>
#include <mutex>
#include <new>

#include "crowd.h"
#include "flow_wrap.h"

namespace
{

template <typename Item> struct locked_deque {
	std::mutex lock;
	std::deque<Item> items;

	bool push(const Item &item)
	{
		return push_n(&item, 1) == 1;
	}

	bool pop(Item &item)
	{
		return pop_n(&item, 1) == 1;
	}

	uint64_t push_n(const Item *from, uint64_t n)
	{
		std::lock_guard<std::mutex> guard(lock);
		uint64_t room = FLOW_CAPACITY - items.size();

		n = n < room ? n : room;
		items.insert(items.end(), from, from + n);
		return n;
	}

	uint64_t pop_n(Item *to, uint64_t n)
	{
		std::lock_guard<std::mutex> guard(lock);

		n = n < items.size() ? n : items.size();
		for (uint64_t i = 0; i < n; i++) {
			to[i] = items.front();
			items.pop_front();
		}
		return n;
	}
};

using many = locked_deque<uint64_t>;

struct deque_spsc {
	using words = locked_deque<uint64_t>;
	using lines = locked_deque<flow_line>;
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
	static bool push(Queue &q, const Item &item)
	{
		return q.push(item);
	}

	template <typename Queue, typename Item>
	static bool pop(Queue &q, Item &item)
	{
		return q.pop(item);
	}

	template <typename Queue, typename Item>
	static uint64_t push_n(Queue &q, const Item *items, uint64_t n)
	{
		return q.push_n(items, n);
	}

	template <typename Queue, typename Item>
	static uint64_t pop_n(Queue &q, Item *items, uint64_t n)
	{
		return q.pop_n(items, n);
	}
};

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
	return static_cast<many *>(queue)->push(item);
}

PINRING_FN bool many_pop(void *queue, uint64_t *item)
{
	return static_cast<many *>(queue)->pop(*item);
}

PINRING_FN uint64_t many_push_n(void *queue, const uint64_t *items, uint64_t n)
{
	return static_cast<many *>(queue)->push_n(items, n);
}

PINRING_FN uint64_t many_pop_n(void *queue, uint64_t *items, uint64_t n)
{
	return static_cast<many *>(queue)->pop_n(items, n);
}

CROWD_LOOPS(many)
CROWD_BATCHES(many)

} // namespace

const struct flow_queue *flow_deque(void)
{
	static flow_queue q = flow_wrap<deque_spsc>::make("mutex and deque");

	q.slow = true;
	return &q;
}

const struct crowd_queue *crowd_deque(void)
{
	static crowd_queue q;

	q.name = "mutex and deque";
	q.sleeps = true;
	q.bytes = sizeof(many);
	q.open = many_open;
	q.close = many_close;
	many_loops(&q);
	many_batches(&q);
	return &q;
}
