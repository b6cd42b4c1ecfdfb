// SPDX-License-Identifier: MIT
/*
 * reference.c - 1 MiB sent by reference beside 8 bytes sent as they are.
 *
 * A line carries where in the region the payload lies and how long it is; the
 * payload was written once. What comes is compared: each reference, one word in
 * each payload, and every word of all payloads once a run.
 */
#include <stdio.h>
#include <string.h>

#include <pinring/ring_line.h>

#include "report.h"

#define PAYLOADS 4u
#define PAYLOAD_BYTES (1u << 20)
#define WORDS (PAYLOAD_BYTES / 8)
#define NAME "references"

struct reference {
	uint64_t number, offset, length;
};

struct stage {
	const struct bench_options *options;
	struct pinring_device *device;
	struct pinring_region *region;
	struct pinring_line_producer producer;
	struct pinring_line_consumer consumer;
	uint64_t payload[PAYLOADS]; /* offsets */
	uint64_t items;
	bool by_reference;
	bool ready PINRING_ALIGNED(128);
	bool right;
	uint64_t end;
};

static uint64_t word_of(uint64_t payload, uint64_t k)
{
	return payload << 32 | k;
}

static void stage_open(struct stage *s, const struct bench_options *o)
{
	struct pinring_region_config rc =
		pinring_region_defaults((PAYLOADS + 1) * PAYLOAD_BYTES);
	struct pinring_object_info object;
	char name[] = "payload 0";
	uint64_t i, k;
	int error;

	memset(s, 0, sizeof(*s));
	s->options = o;
	rc.flags = PINRING_REGION_PREFAULT;
	error = pinring_device_open(NULL, &s->device);
	if (!error)
		error = pinring_region_create(s->device, &rc, &s->region);
	if (!error)
		error = pinring_line_create(s->region, NAME,
					    PINRING_LINES_LATENCY);
	if (!error)
		error = pinring_line_producer_open(s->region, NAME,
						   &s->producer);
	if (!error)
		error = pinring_line_consumer_open(s->region, NAME,
						   &s->consumer);
	for (i = 0; i < PAYLOADS && !error; i++) {
		uint64_t *word;

		name[sizeof(name) - 2] = (char)('0' + i);
		error = pinring_object_create(s->region, name,
					      PINRING_OBJECT_BYTES,
					      PAYLOAD_BYTES, 0, &object);
		if (error)
			break;
		s->payload[i] = object.offset;
		word = pinring_region_at(s->region, object.offset,
					 PAYLOAD_BYTES);
		for (k = 0; k < WORDS; k++)
			word[k] = word_of(i, k);
	}
	if (error)
		bench_die("reference", error);
}

static void stage_close(struct stage *s)
{
	pinring_line_producer_close(&s->producer);
	pinring_line_consumer_close(&s->consumer);
	pinring_region_close(s->region);
	pinring_device_close(s->device);
}

static void produce_8(struct stage *s)
{
	uint64_t i;

	for (i = 0; i < s->items; i++) {
		struct pinring_line *line;

		while (pinring_line_reserve(&s->producer, 1, &line) < 1)
			pinring_relax();
		line->payload[0] = i;
		pinring_line_commit(&s->producer, 1);
	}
}

static bool consume_8(struct stage *s)
{
	uint64_t i, differs = 0;

	for (i = 0; i < s->items; i++) {
		struct pinring_line *line;

		while (pinring_line_peek(&s->consumer, 1, &line) < 1)
			pinring_relax();
		differs |= line->payload[0] ^ i;
		pinring_line_release(&s->consumer, 1);
	}
	return !differs;
}

static void produce_references(struct stage *s)
{
	uint64_t i;

	for (i = 0; i < s->items; i++) {
		struct pinring_line *line;
		struct reference *r;

		while (pinring_line_reserve(&s->producer, 1, &line) < 1)
			pinring_relax();
		r = (struct reference *)line->payload;
		r->number = i;
		r->offset = s->payload[i % PAYLOADS];
		r->length = PAYLOAD_BYTES;
		pinring_line_commit(&s->producer, 1);
	}
}

/* As a stranger's: nothing is read before the region says that it lies in it. */
static bool consume_references(struct stage *s)
{
	uint64_t i, differs = 0;

	for (i = 0; i < s->items; i++) {
		const struct reference *r;
		struct pinring_line *line;
		const uint64_t *word;

		while (pinring_line_peek(&s->consumer, 1, &line) < 1)
			pinring_relax();
		r = (const struct reference *)line->payload;
		differs |= r->number ^ i;
		differs |= r->length ^ PAYLOAD_BYTES;
		word = pinring_region_at(s->region, r->offset, r->length);
		if (word)
			differs |= word[WORDS - 1] ^
				   word_of(i % PAYLOADS, WORDS - 1);
		else
			differs = 1;
		pinring_line_release(&s->consumer, 1);
	}
	return !differs;
}

static bool payloads_whole(struct stage *s)
{
	uint64_t i, k, differs = 0;

	for (i = 0; i < PAYLOADS; i++) {
		const uint64_t *word = pinring_region_at(
			s->region, s->payload[i], PAYLOAD_BYTES);

		for (k = 0; k < WORDS; k++)
			differs |= word[k] ^ word_of(i, k);
	}
	return !differs;
}

static void *consume(void *arg)
{
	struct stage *s = arg;

	__atomic_store_n(&s->ready, true, __ATOMIC_RELEASE);
	s->right = s->by_reference ? consume_references(s) : consume_8(s);
	s->end = bench_now_ns();
	s->right &= payloads_whole(s);
	return NULL;
}

/* ns a message */
static double run(struct stage *s, bool by_reference)
{
	uint64_t begin;
	pthread_t peer;

	s->items = s->options->quick ? 1u << 18 : 1u << 20;
	s->by_reference = by_reference;
	s->ready = false;
	peer = bench_thread(s->options->cpu_peer, consume, s);
	while (!__atomic_load_n(&s->ready, __ATOMIC_ACQUIRE))
		pinring_relax();
	begin = bench_now_ns();
	if (by_reference)
		produce_references(s);
	else
		produce_8(s);
	pthread_join(peer, NULL);
	if (!s->right)
		bench_die("reference: what came is not what was sent", 0);
	return (double)(s->end - begin) / (double)s->items;
}

void bench_reference(const struct bench_options *o)
{
	struct row row = { .name = "1 MiB by reference, a message",
			   .unit = "ns",
			   .limit_name = "8 bytes in a line",
			   .target = 1.05 };
	struct series ratio = { .n = 0 };
	static struct stage s;
	struct gate gate;
	int n;

	if (!bench_two_cores(o)) {
		report_absent(row.name, row.target,
			      "needs two cores, and this process may use one");
		return;
	}
	bench_pin(o->cpu_host);
	stage_open(&s, o);
	gate_open(&gate, o, 8);
	do {
		double small, large;

		gate_before(&gate);
		small = run(&s, false);
		large = run(&s, true);
		if (!gate_pass(&gate))
			continue;
		series_add(&row.value, large);
		series_add(&row.limit, small);
		series_add(&ratio, large / small);
	} while (gate_more(&gate));
	row.ratio = series_median(&ratio);
	n = snprintf(row.note, sizeof(row.note),
		     "offset and length in a line; the consumer asks the region whether it lies within, and reads a word\n");
	gate_note(&gate, row.note + n, sizeof(row.note) - (size_t)n);
	report_row(&row);
	stage_close(&s);
}
