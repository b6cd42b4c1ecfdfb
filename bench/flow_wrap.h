/* SPDX-License-Identifier: MIT */
/*
 * flow_wrap.h - makes a struct flow_queue of a C++ queue.
 *
 * P names two types, words and lines, that hold 8 bytes and 64 an item, and has
 * push(queue, item) and pop(queue, item) for both; with P::batches also push_n
 * and pop_n.
 */
#ifndef PINRING_BENCH_FLOW_WRAP_H
#define PINRING_BENCH_FLOW_WRAP_H

#include <new>

#include "flow.h"

template <typename P> class flow_wrap
{
	using words = typename P::words;
	using lines = typename P::lines;

	/* Which of the two it is, close must know. */
	struct peer {
		words *w;
		lines *l;
	};

	static constexpr size_t head_bytes = 256;
	static_assert(alignof(words) <= head_bytes, "words lie behind a peer");
	static_assert(alignof(lines) <= head_bytes, "lines lie behind a peer");

	static words *words_of(void *queue)
	{
		return static_cast<peer *>(queue)->w;
	}

	static lines *lines_of(void *queue)
	{
		return static_cast<peer *>(queue)->l;
	}

	static void *open(void *memory, bool line)
	{
		char *at = static_cast<char *>(memory) + head_bytes;
		peer *q = new (memory) peer;

		q->w = line ? nullptr : P::make_words(at);
		q->l = line ? P::make_lines(at) : nullptr;
		return q;
	}

	static void close(void *queue)
	{
		if (words_of(queue))
			words_of(queue)->~words();
		else
			lines_of(queue)->~lines();
	}

	PINRING_FN bool push(void *queue, uint64_t item)
	{
		return P::push(*static_cast<words *>(queue), item);
	}

	PINRING_FN bool pop(void *queue, uint64_t *item)
	{
		return P::pop(*static_cast<words *>(queue), *item);
	}

	PINRING_FN bool push_line(void *queue, const flow_line *item)
	{
		return P::push(*static_cast<lines *>(queue), *item);
	}

	PINRING_FN bool pop_line(void *queue, flow_line *item)
	{
		return P::pop(*static_cast<lines *>(queue), *item);
	}

	template <typename Queue, typename Item>
	PINRING_FN uint64_t push_n(void *queue, const void *items, uint64_t n)
	{
		return P::push_n(*static_cast<Queue *>(queue),
				 static_cast<const Item *>(items), n);
	}

	template <typename Queue, typename Item>
	PINRING_FN uint64_t pop_n(void *queue, void *items, uint64_t n)
	{
		return P::pop_n(*static_cast<Queue *>(queue),
				static_cast<Item *>(items), n);
	}

	static void produce_8(void *queue, uint64_t items)
	{
		flow_produce(words_of(queue), items, push);
	}

	static bool consume_8(void *queue, uint64_t items)
	{
		return flow_consume(words_of(queue), items, pop);
	}

	static void produce_8_batch(void *queue, uint64_t items)
	{
		flow_produce_n(words_of(queue), items, push_n<words, uint64_t>);
	}

	static bool consume_8_batch(void *queue, uint64_t items)
	{
		return flow_consume_n(words_of(queue), items,
				      pop_n<words, uint64_t>);
	}

	static void produce_64(void *queue, uint64_t items)
	{
		flow_produce_line(lines_of(queue), items, push_line);
	}

	static bool consume_64(void *queue, uint64_t items)
	{
		return flow_consume_line(lines_of(queue), items, pop_line);
	}

	static void produce_64_batch(void *queue, uint64_t items)
	{
		flow_produce_line_n(lines_of(queue), items,
				    push_n<lines, flow_line>);
	}

	static bool consume_64_batch(void *queue, uint64_t items)
	{
		return flow_consume_line_n(lines_of(queue), items,
					   pop_n<lines, flow_line>);
	}

	static void fan_out(void *a, void *b, uint64_t items)
	{
		flow_fan_out(words_of(a), words_of(b), items, push);
	}

	static bool fan_in(void *queue, uint64_t items)
	{
		return flow_fan_in(words_of(queue), items, pop);
	}

	static void fan_out_n(void *a, void *b, uint64_t items)
	{
		flow_fan_out_n(words_of(a), words_of(b), items,
			       push_n<words, uint64_t>);
	}

	static bool fan_in_n(void *queue, uint64_t items)
	{
		return flow_fan_in_n(words_of(queue), items,
				     pop_n<words, uint64_t>);
	}

	static void send(void *queue, uint64_t item)
	{
		flow_send(words_of(queue), item, push);
	}

	static uint64_t receive(void *queue)
	{
		return flow_receive(words_of(queue), pop);
	}

	static bool alone(void *queue, uint64_t items)
	{
		return flow_alone(words_of(queue), items, push, pop);
	}

public:
	static flow_queue make(const char *name)
	{
		flow_queue q = {};

		q.name = name;
		q.bytes[0] = head_bytes + sizeof(words);
		q.bytes[1] = head_bytes + sizeof(lines);
		q.open = open;
		q.close = close;
		q.produce[FLOW_8] = produce_8;
		q.consume[FLOW_8] = consume_8;
		q.produce[FLOW_64] = produce_64;
		q.consume[FLOW_64] = consume_64;
		if constexpr (P::batches) {
			q.produce[FLOW_8_BATCH] = produce_8_batch;
			q.consume[FLOW_8_BATCH] = consume_8_batch;
			q.produce[FLOW_64_BATCH] = produce_64_batch;
			q.consume[FLOW_64_BATCH] = consume_64_batch;
			q.fan_out[FLOW_FAN_BATCH] = fan_out_n;
			q.fan_in[FLOW_FAN_BATCH] = fan_in_n;
		}
		q.fan_out[FLOW_FAN] = fan_out;
		q.fan_in[FLOW_FAN] = fan_in;
		q.send = send;
		q.receive = receive;
		q.alone = alone;
		return q;
	}
};

#endif /* PINRING_BENCH_FLOW_WRAP_H */
