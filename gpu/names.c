// SPDX-License-Identifier: MIT
/* names.c - operations, states and reasons in words. */
#include <stddef.h>

#include <pinring/executor.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Short ones lie in the table: a pointer takes a relocation besides. */
static const char operations[][12] = {
	[PINRING_OP_NOP] = "nop",
	[PINRING_OP_FILL] = "fill",
	[PINRING_OP_COPY] = "copy",
	[PINRING_OP_ADD] = "add",
	[PINRING_OP_SUB] = "sub",
	[PINRING_OP_MUL] = "mul",
	[PINRING_OP_DIV] = "div",
	[PINRING_OP_MIN] = "min",
	[PINRING_OP_MAX] = "max",
	[PINRING_OP_AXPY] = "axpy",
	[PINRING_OP_SCALE] = "scale",
	[PINRING_OP_RELU] = "relu",
	[PINRING_OP_SIGMOID] = "sigmoid",
	[PINRING_OP_TANH] = "tanh",
	[PINRING_OP_GELU] = "gelu",
	[PINRING_OP_GELU_TANH] = "gelu_tanh",
	[PINRING_OP_SOFTMAX] = "softmax",
	[PINRING_OP_SUM] = "sum",
	[PINRING_OP_REDUCE_MIN] = "reduce_min",
	[PINRING_OP_REDUCE_MAX] = "reduce_max",
	[PINRING_OP_DOT] = "dot",
	[PINRING_OP_ASK] = "ask",
	[PINRING_OP_FORWARD] = "forward",
	[PINRING_OP_JOIN] = "join",
	[PINRING_OP_WAVE_STEP] = "wave_step",
	[PINRING_OP_WAVE_INJECT] = "wave_inject",
	[PINRING_OP_WAVE_PROBE] = "wave_probe",
	[PINRING_OP_WAVE_BLOCK] = "wave_block",
};

static const char states[][12] = {
	[PINRING_STATE_CREATED] = "created",
	[PINRING_STATE_LAUNCHED] = "launched",
	[PINRING_STATE_ACTIVE] = "active",
	[PINRING_STATE_PAUSED] = "paused",
	[PINRING_STATE_DRAINING] = "draining",
	[PINRING_STATE_TERMINATED] = "terminated",
	[PINRING_STATE_FAILED] = "failed",
};

static const char *const reasons[] = {
	[PINRING_REASON_NONE] = "no reason",
	[PINRING_REASON_OPERATION] = "there is no such operation",
	[PINRING_REASON_REGION] = "an operand's region is not attached",
	[PINRING_REASON_OFFSET] = "an operand begins outside its region's objects",
	[PINRING_REASON_ALIGNMENT] = "an operand is not aligned",
	[PINRING_REASON_COUNT] = "an operand leaves its region",
	[PINRING_REASON_OVERLAP] = "dst overlaps an operand in part",
	[PINRING_REASON_WAVE] = "the wave state makes no sense",
	[PINRING_REASON_CELL] = "a cell lies outside the room",
	[PINRING_REASON_STOPPED] = "the executor was terminated first",
	[PINRING_REASON_SERVICE] = "nobody offers that service",
	[PINRING_REASON_SERVED] = "the service failed",
	[PINRING_REASON_FAULT] = "its kernel touched memory that is not there",
	[PINRING_REASON_TRAP] = "its kernel divided by zero, or did what the CPU cannot",
	[PINRING_REASON_HUNG] = "it does not end",
	[PINRING_REASON_RELAUNCH] = "its loop had to pause, and could not be launched again",
	[PINRING_REASON_LINK] = "the executor has no such link",
	[PINRING_REASON_PEER] = "the executor at the link's other end has ended",
	[PINRING_REASON_LATE] = "the time it was given was over first",
};

const char *pinring_operation_name(uint32_t operation)
{
	return operation < COUNT(operations) && operations[operation][0] ?
		       operations[operation] :
		       NULL;
}

const char *pinring_state_name(uint32_t state)
{
	return state < COUNT(states) ? states[state] : "in no known state";
}

const char *pinring_reason_text(uint32_t reason)
{
	return reason < COUNT(reasons) ? reasons[reason] : "no known reason";
}
