// SPDX-License-Identifier: MIT
/*
 * peer_readerwriterqueue.cc - moodycamel's ReaderWriterQueue, where
 * libreaderwriterqueue-dev is there.
 */
#include "flow.h"

#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
#include <readerwriterqueue/readerwriterqueue.h>

#include "flow_wrap.h"

namespace
{

/* Its blocks lie on the heap; try_enqueue adds none, which bounds it. */
struct camel {
	using words = moodycamel::ReaderWriterQueue<uint64_t>;
	using lines = moodycamel::ReaderWriterQueue<flow_line>;
	static constexpr bool batches = false;

	static words *make_words(void *memory)
	{
		return new (memory) words(FLOW_CAPACITY);
	}

	static lines *make_lines(void *memory)
	{
		return new (memory) lines(FLOW_CAPACITY);
	}

	template <typename Queue, typename Item>
	PINRING_FN bool push(Queue &q, const Item &item)
	{
		return q.try_enqueue(item);
	}

	template <typename Queue, typename Item>
	PINRING_FN bool pop(Queue &q, Item &item)
	{
		return q.try_dequeue(item);
	}
};

} // namespace

const struct flow_queue *flow_camel(void)
{
	static const flow_queue q = flow_wrap<camel>::make("readerwriterqueue");

	return &q;
}

#else

const struct flow_queue *flow_camel(void)
{
	return nullptr;
}

#endif
