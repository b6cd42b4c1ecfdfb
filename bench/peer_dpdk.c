// SPDX-License-Identifier: MIT
/*
 * peer_dpdk.c - DPDK's rte_ring, where libdpdk-dev is there: in memory of our
 * own, so that nothing of DPDK needs to be initialized.
 */
#include "crowd.h"
#include "flow.h"

#ifdef HAVE_DPDK
#include <rte_config.h>
#include <rte_ring.h>

static struct rte_ring *ring_open(void *memory, unsigned int flags)
{
	return rte_ring_init(memory, "", FLOW_CAPACITY, flags) ? NULL : memory;
}

static void ring_close(void *queue)
{
	(void)queue;
}

/* ------------------------------------------- one producer and one consumer */
static void *spsc_open(void *memory, bool line)
{
	(void)line;
	return ring_open(memory, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

PINRING_FN uint64_t push_n(void *queue, const void *items, uint64_t n)
{
	return rte_ring_sp_enqueue_burst_elem(queue, items, 8, (unsigned int)n,
					      NULL);
}

PINRING_FN uint64_t pop_n(void *queue, void *items, uint64_t n)
{
	return rte_ring_sc_dequeue_burst_elem(queue, items, 8, (unsigned int)n,
					      NULL);
}

PINRING_FN uint64_t push_line_n(void *queue, const void *items, uint64_t n)
{
	return rte_ring_sp_enqueue_burst_elem(queue, items, 64, (unsigned int)n,
					      NULL);
}

PINRING_FN uint64_t pop_line_n(void *queue, void *items, uint64_t n)
{
	return rte_ring_sc_dequeue_burst_elem(queue, items, 64, (unsigned int)n,
					      NULL);
}

PINRING_FN bool push(void *queue, uint64_t item)
{
	return push_n(queue, &item, 1) == 1;
}

PINRING_FN bool pop(void *queue, uint64_t *item)
{
	return pop_n(queue, item, 1) == 1;
}

PINRING_FN bool push_line(void *queue, const struct flow_line *item)
{
	return push_line_n(queue, item, 1) == 1;
}

PINRING_FN bool pop_line(void *queue, struct flow_line *item)
{
	return pop_line_n(queue, item, 1) == 1;
}

static void produce_8(void *queue, uint64_t items)
{
	flow_produce(queue, items, push);
}

static bool consume_8(void *queue, uint64_t items)
{
	return flow_consume(queue, items, pop);
}

static void produce_8_batch(void *queue, uint64_t items)
{
	flow_produce_n(queue, items, push_n);
}

static bool consume_8_batch(void *queue, uint64_t items)
{
	return flow_consume_n(queue, items, pop_n);
}

static void produce_64(void *queue, uint64_t items)
{
	flow_produce_line(queue, items, push_line);
}

static bool consume_64(void *queue, uint64_t items)
{
	return flow_consume_line(queue, items, pop_line);
}

static void produce_64_batch(void *queue, uint64_t items)
{
	flow_produce_line_n(queue, items, push_line_n);
}

static bool consume_64_batch(void *queue, uint64_t items)
{
	return flow_consume_line_n(queue, items, pop_line_n);
}

static void send(void *queue, uint64_t item)
{
	flow_send(queue, item, push);
}

static uint64_t receive(void *queue)
{
	return flow_receive(queue, pop);
}

static bool alone(void *queue, uint64_t items)
{
	return flow_alone(queue, items, push, pop);
}

FLOW_FAN_LOOPS
FLOW_FAN_BATCHES

const struct flow_queue *flow_dpdk(void)
{
	static const struct flow_queue spsc = {
		.name = "rte_ring SP/SC",
		.bytes = { sizeof(struct rte_ring) + FLOW_CAPACITY * 8,
			   sizeof(struct rte_ring) + FLOW_CAPACITY * 64 },
		.open = spsc_open,
		.close = ring_close,
		.produce = { [FLOW_8] = produce_8,
			     [FLOW_8_BATCH] = produce_8_batch,
			     [FLOW_64] = produce_64,
			     [FLOW_64_BATCH] = produce_64_batch },
		.consume = { [FLOW_8] = consume_8,
			     [FLOW_8_BATCH] = consume_8_batch,
			     [FLOW_64] = consume_64,
			     [FLOW_64_BATCH] = consume_64_batch },
		.send = send,
		.receive = receive,
		.fan_out = { fan_out, fan_out_n },
		.fan_in = { fan_in, fan_in_n },
		.alone = alone,
	};

	return &spsc;
}

/* ------------------------------------------------------------ of many sides */
/* So many producers and consumers at the most; 0: any number. */
#define MODE(mode, title, flags, producers, consumers, enqueue, dequeue)      \
	PINRING_FN uint64_t mode##_push_n(void *queue, const uint64_t *items, \
					  uint64_t n)                         \
	{                                                                     \
		return enqueue(queue, items, 8, (unsigned int)n, NULL);       \
	}                                                                     \
	PINRING_FN uint64_t mode##_pop_n(void *queue, uint64_t *items,        \
					 uint64_t n)                          \
	{                                                                     \
		return dequeue(queue, items, 8, (unsigned int)n, NULL);       \
	}                                                                     \
	PINRING_FN bool mode##_push(void *queue, uint64_t item)               \
	{                                                                     \
		return mode##_push_n(queue, &item, 1) == 1;                   \
	}                                                                     \
	PINRING_FN bool mode##_pop(void *queue, uint64_t *item)               \
	{                                                                     \
		return mode##_pop_n(queue, item, 1) == 1;                     \
	}                                                                     \
	CROWD_LOOPS(mode)                                                     \
	CROWD_BATCHES(mode)                                                   \
	static void *mode##_open(void *memory, struct pinring_region *region) \
	{                                                                     \
		(void)region;                                                 \
		return ring_open(memory, flags);                              \
	}                                                                     \
	const struct crowd_queue *crowd_dpdk_##mode(void)                     \
	{                                                                     \
		static struct crowd_queue q = {                               \
			.name = title,                                        \
			.shared = true,                                       \
			.max_producers = producers,                           \
			.max_consumers = consumers,                           \
			.bytes = sizeof(struct rte_ring) + CROWD_CAPACITY * 8,\
			.open = mode##_open,                                  \
			.close = ring_close,                                  \
		};                                                            \
		mode##_loops(&q);                                             \
		mode##_batches(&q);                                           \
		return &q;                                                    \
	}

MODE(mt, "rte_ring MP/MC", 0, 0, 0, rte_ring_mp_enqueue_burst_elem,
     rte_ring_mc_dequeue_burst_elem)
MODE(mpsc, "rte_ring MP/SC", RING_F_SC_DEQ, 0, 1,
     rte_ring_mp_enqueue_burst_elem, rte_ring_sc_dequeue_burst_elem)
MODE(spmc, "rte_ring SP/MC", RING_F_SP_ENQ, 1, 0,
     rte_ring_sp_enqueue_burst_elem, rte_ring_mc_dequeue_burst_elem)
MODE(hts, "rte_ring HTS", RING_F_MP_HTS_ENQ | RING_F_MC_HTS_DEQ, 0, 0,
     rte_ring_mp_hts_enqueue_burst_elem, rte_ring_mc_hts_dequeue_burst_elem)
MODE(rts, "rte_ring RTS", RING_F_MP_RTS_ENQ | RING_F_MC_RTS_DEQ, 0, 0,
     rte_ring_mp_rts_enqueue_burst_elem, rte_ring_mc_rts_dequeue_burst_elem)

#else

const struct flow_queue *flow_dpdk(void)
{
	return NULL;
}

const struct crowd_queue *crowd_dpdk_mt(void)
{
	return NULL;
}

const struct crowd_queue *crowd_dpdk_mpsc(void)
{
	return NULL;
}

const struct crowd_queue *crowd_dpdk_spmc(void)
{
	return NULL;
}

const struct crowd_queue *crowd_dpdk_hts(void)
{
	return NULL;
}

const struct crowd_queue *crowd_dpdk_rts(void)
{
	return NULL;
}

#endif
