// SPDX-License-Identifier: MIT
/* peer_boost.cc - boost::lockfree::spsc_queue, where libboost-dev is there. */
#include "flow.h"

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#include <new>

#include <boost/lockfree/spsc_queue.hpp>

namespace
{

template <typename T>
using boost_queue =
	boost::lockfree::spsc_queue<T, boost::lockfree::capacity<FLOW_CAPACITY>>;
using words = boost_queue<uint64_t>;
using lines = boost_queue<flow_line>;

/* Which of the two it is, close must know. */
struct boost_peer {
	bool line;
	words *w;
	lines *l;
};

boost_peer *peer_of(void *queue)
{
	return static_cast<boost_peer *>(queue);
}

const size_t head_bytes = 256;

void *boost_open(void *memory, bool line)
{
	char *at = static_cast<char *>(memory) + head_bytes;
	boost_peer *q = new (memory) boost_peer;

	q->line = line;
	q->w = line ? nullptr : new (at) words;
	q->l = line ? new (at) lines : nullptr;
	return q;
}

void boost_close(void *queue)
{
	boost_peer *q = peer_of(queue);

	if (q->line)
		q->l->~lines();
	else
		q->w->~words();
}

PINRING_FN bool push(void *queue, uint64_t item)
{
	return static_cast<words *>(queue)->push(item);
}

PINRING_FN bool pop(void *queue, uint64_t *item)
{
	return static_cast<words *>(queue)->pop(*item);
}

PINRING_FN uint64_t push_n(void *queue, const void *items, uint64_t n)
{
	return static_cast<words *>(queue)->push(
		static_cast<const uint64_t *>(items), n);
}

PINRING_FN uint64_t pop_n(void *queue, void *items, uint64_t n)
{
	return static_cast<words *>(queue)->pop(static_cast<uint64_t *>(items),
						n);
}

PINRING_FN bool push_line(void *queue, const flow_line *item)
{
	return static_cast<lines *>(queue)->push(*item);
}

PINRING_FN bool pop_line(void *queue, flow_line *item)
{
	return static_cast<lines *>(queue)->pop(*item);
}

PINRING_FN uint64_t push_line_n(void *queue, const void *items, uint64_t n)
{
	return static_cast<lines *>(queue)->push(
		static_cast<const flow_line *>(items), n);
}

PINRING_FN uint64_t pop_line_n(void *queue, void *items, uint64_t n)
{
	return static_cast<lines *>(queue)->pop(static_cast<flow_line *>(items),
						n);
}

void produce_8(void *queue, uint64_t items)
{
	flow_produce(peer_of(queue)->w, items, push);
}

bool consume_8(void *queue, uint64_t items)
{
	return flow_consume(peer_of(queue)->w, items, pop);
}

void produce_8_batch(void *queue, uint64_t items)
{
	flow_produce_n(peer_of(queue)->w, items, push_n);
}

bool consume_8_batch(void *queue, uint64_t items)
{
	return flow_consume_n(peer_of(queue)->w, items, pop_n);
}

void produce_64(void *queue, uint64_t items)
{
	flow_produce_line(peer_of(queue)->l, items, push_line);
}

bool consume_64(void *queue, uint64_t items)
{
	return flow_consume_line(peer_of(queue)->l, items, pop_line);
}

void produce_64_batch(void *queue, uint64_t items)
{
	flow_produce_line_n(peer_of(queue)->l, items, push_line_n);
}

bool consume_64_batch(void *queue, uint64_t items)
{
	return flow_consume_line_n(peer_of(queue)->l, items, pop_line_n);
}

void send(void *queue, uint64_t item)
{
	flow_send(peer_of(queue)->w, item, push);
}

uint64_t receive(void *queue)
{
	return flow_receive(peer_of(queue)->w, pop);
}

bool alone(void *queue, uint64_t items)
{
	return flow_alone(peer_of(queue)->w, items, push, pop);
}

flow_queue make_boost()
{
	flow_queue q = {};

	q.name = "boost spsc_queue";
	q.bytes[0] = head_bytes + sizeof(words);
	q.bytes[1] = head_bytes + sizeof(lines);
	q.open = boost_open;
	q.close = boost_close;
	q.produce[FLOW_8] = produce_8;
	q.consume[FLOW_8] = consume_8;
	q.produce[FLOW_8_BATCH] = produce_8_batch;
	q.consume[FLOW_8_BATCH] = consume_8_batch;
	q.produce[FLOW_64] = produce_64;
	q.consume[FLOW_64] = consume_64;
	q.produce[FLOW_64_BATCH] = produce_64_batch;
	q.consume[FLOW_64_BATCH] = consume_64_batch;
	q.send = send;
	q.receive = receive;
	q.alone = alone;
	return q;
}

} // namespace

const struct flow_queue *flow_boost(void)
{
	static const flow_queue boost = make_boost();

	return &boost;
}

#else

const struct flow_queue *flow_boost(void)
{
	return nullptr;
}

#endif
