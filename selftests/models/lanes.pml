/* SPDX-License-Identifier: MIT */
/*
 * lanes.pml - the end of lanes that are closed, every interleaving, every delay of
 * a store and every death.
 *
 * PRODUCERS, 1 or 2, a lane each, as in lib/include/pinring/ring_lanes.h, and a
 * consumer that closes at any time and looks for the end as in lib/ring_lanes.c.
 * A producer's stores lie in its CPU's store buffer, in order, for as long as they
 * like (total store order); what the barrier does is to wait until it is empty.
 * When the consumer has said that this is the end, nothing may ever be left that
 * was published.
 *
 * Planted bugs, each of which must be found (selftests/models.sh):
 *	-DNO_BARRIER	the consumer does not wait for the store buffers
 *	-DONE_LOOK	it does, and does not look again
 *	-DNO_NOTE	a reservation is not noted
 *	-DLOOK_FIRST	noted after the look whether it is closed
 *	-DDEAD_TRUSTED	it does not load tail again once the producer is dead
 */
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef SENDS
#define SENDS 2 /* reservations of each producer */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

#define TAIL true
#define HELD false

byte tail[PRODUCERS], held[PRODUCERS], read[PRODUCERS];
bool closed; /* as producers see it */
bool closing; /* as the consumer does, which stored it */
bool dead[PRODUCERS];
byte deaths;
byte living = PRODUCERS; /* that are still at work */
bool over;
chan stores[PRODUCERS] = [3] of { bool, byte };

/* One store or load, or death instead: stores that were made are not lost. */
#define STEP(access)                                                      \
	if                                                                \
	:: atomic { true -> access }                                      \
	:: atomic { deaths < DEATHS && empty(stores[me]) ->               \
		deaths++; dead[me] = true; goto gone }                    \
	fi

#define STORE(word, value) stores[me]!word,value
#ifdef NO_NOTE
#define NOTE(n) skip
#else
#define NOTE(n) STORE(HELD, n)
#endif

proctype producer(byte me)
{
	byte write, n, k, i;
	bool refused;

next:	if
	:: i == SENDS -> goto gone
	:: else
	fi;
	if
	:: n = 1
	:: n = 2
	fi;
#ifdef LOOK_FIRST
	STEP(refused = closed);
	STEP(NOTE(write + n));
#else
	STEP(NOTE(write + n));
	STEP(refused = closed);
#endif
	if
	:: refused -> STEP(NOTE(write)); goto gone
	:: else
	fi;
	if
	:: k = 0 /* aborted */
	:: k = 1
	:: n == 2 -> k = 2
	fi;
	if
	:: k > 0 -> STEP(write = write + k; STORE(TAIL, write))
	:: else
	fi;
	if
	:: STEP(NOTE(write))
	:: k == n -> skip /* push: the note says so already */
	fi;
	i++;
	goto next;
gone:	atomic { write = 0; n = 0; k = 0; i = 0; refused = false; living-- }
}

/* The store buffer of one CPU drains when it likes. */
proctype memory(byte i)
{
	bool which;
	byte value;

	do
	:: atomic { stores[i]?which,value ->
		if
		:: which == TAIL -> tail[i] = value
		:: else -> held[i] = value
		fi;
		value = 0; which = HELD }
	:: atomic { over && living == 0 && empty(stores[i]) -> break }
	od;
	assert(tail[i] == read[i])
}

/* To `again` unless this lane has ended. */
inline look(l)
{
	t = tail[l];
	h = held[l];
	if
	:: atomic { t == read[l] && h == t -> t = 0; h = 0 }
	:: atomic { t == read[l] && h != t && dead[l] -> t = 0; h = 0 }
#ifndef DEAD_TRUSTED
		if
		:: tail[l] == read[l]
		:: else -> goto again
		fi
#endif
	:: atomic { t != read[l] || (h != t && !dead[l]) ->
		t = 0; h = 0; goto again }
	fi
}

#if PRODUCERS > 1
#define LOOK look(0); look(1)
#else
#define LOOK look(0)
#endif

active proctype consumer()
{
	byte t, h;

	atomic { run producer(0); run memory(0) }
#if PRODUCERS > 1
	atomic { run producer(1); run memory(1) }
#endif
again:	if
	:: atomic { tail[0] != read[0] -> read[0] = tail[0]; goto again }
#if PRODUCERS > 1
	:: atomic { tail[1] != read[1] -> read[1] = tail[1]; goto again }
#endif
	:: closing
	:: atomic { !closing -> closing = true; goto again }
	:: atomic { closing && !closed -> closed = true; goto again }
	fi;
	LOOK;
#ifndef NO_BARRIER
	closed = true;
	empty(stores[0]);
#if PRODUCERS > 1
	empty(stores[1]);
#endif
#endif
#ifndef ONE_LOOK
	LOOK;
#endif
	closed = true; /* it arrives in the end */
	over = true
}
