/* SPDX-License-Identifier: MIT */
/*
 * mpmc.pml - the MPMC ring and its repair, every interleaving and every death.
 *
 * PRODUCERS and CONSUMERS on a ring of SLOTS slots, as in
 * lib/include/pinring/ring_mpmc.h, and somebody who repairs, as in
 * lib/ring_mpmc.c. Each access to shared memory is one atomic step, and before
 * each of them a side may die, DEATHS of them in all. spin explores all of it
 * under sequential consistency; the orders of weaker machines are
 * ThreadSanitizer's and the campaign's business.
 *
 * Planted bugs, each of which must be found (selftests/models.sh):
 *	-DNOTE_LATE	the note is written after the index is moved
 *	-DNOTE_KEPT	a lost race leaves its note behind
 *	-DNO_DOUBT	repair does not ask whether a living party tried too
 *	-DNO_CAS	repair stores the slot's word instead of cmpxchg
 *	-DLAP_SHORT	release hands the slot to the same lap again
 */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef SENDS
#define SENDS 2 /* messages a producer */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SLOTS
#define SLOTS 2
#endif

#define SIDES (PRODUCERS + CONSUMERS)
#define PRODUCES(i) (i < PRODUCERS)
#define TRIES 2 /* times a side finds the ring full, or empty, and gives up */
#define NONE 255

#define LAP(t) ((t) / SLOTS)
#define WORD(t) word[(t) % SLOTS]
#define FREE(t) (LAP(t) * 4)
#define FULL(t) (LAP(t) * 4 + 1)
#define VOID(t) (LAP(t) * 4 + 2)
#define AGAIN(t) (LAP(t) * 4 + 4) /* free for the next lap */

byte word[SLOTS];
byte payload[SLOTS];
byte head, tail;
byte note[SIDES] = NONE; /* the ticket a side tried for last */
bool dead[SIDES];
byte living = SIDES; /* that are still at work */
byte deaths;
bool got[PRODUCERS * SENDS];

/* One access, or death instead. */
#define STEP(access)                                                      \
	if                                                                \
	:: atomic { true -> access }                                      \
	:: atomic { deaths < DEATHS ->                                    \
		deaths++; dead[me] = true; goto over }                    \
	fi

#ifdef NOTE_LATE
#define NOTE_BEFORE skip
#define NOTE_AFTER note[me] = t
#else
#define NOTE_BEFORE note[me] = t
#define NOTE_AFTER skip
#endif

#ifdef NOTE_KEPT
#define CLEAR skip
#else
#define CLEAR note[me] = NONE
#endif

proctype producer(byte me)
{
	byte t, sent, tries;
	bool noted;

next:	if
	:: sent == SENDS || tries == TRIES -> goto over
	:: else
	fi;
	STEP(t = tail);
look:	STEP(if
	:: WORD(t) == FREE(t)
	:: else -> goto refused
	fi);
	STEP(NOTE_BEFORE; noted = true);
	/* cmpxchg */
	STEP(if
	:: tail == t -> tail++
	:: else -> t = tail; goto look
	fi);
#ifdef NOTE_LATE
	STEP(NOTE_AFTER);
#endif
	/* The slot is ours now, whoever repairs. */
	STEP(assert(WORD(t) == FREE(t)); payload[t % SLOTS] = me * SENDS + sent);
	STEP(assert(WORD(t) == FREE(t));
	if
	:: WORD(t) = FULL(t)
	:: WORD(t) = VOID(t) /* aborted */
	fi;
	sent++; noted = false; goto next);
refused: STEP(if
	:: tail != t -> t = tail; goto look
	:: else -> tries++
	fi);
	if
	:: noted -> STEP(CLEAR; noted = false)
	:: else
	fi;
	goto next;
over:	atomic { t = 0; sent = 0; tries = 0; noted = false; living-- }
}

proctype consumer(byte me)
{
	byte t, w, tries;
	bool noted;

next:	if
	:: tries == TRIES -> goto over
	:: else
	fi;
	STEP(t = head);
look:	STEP(w = WORD(t);
	if
	:: w == FULL(t) || w == VOID(t)
	:: else -> goto refused
	fi);
	STEP(NOTE_BEFORE; noted = true);
	STEP(if
	:: head == t -> head++
	:: else -> t = head; goto look
	fi);
#ifdef NOTE_LATE
	STEP(NOTE_AFTER);
#endif
	STEP(assert(WORD(t) == w);
	if
	:: w == FULL(t) ->
		assert(!got[payload[t % SLOTS]]); /* nothing comes twice */
		got[payload[t % SLOTS]] = true
	:: else
	fi);
	STEP(assert(WORD(t) == w);
#ifdef LAP_SHORT
	WORD(t) = FREE(t);
#else
	WORD(t) = AGAIN(t);
#endif
	w = 0; noted = false; goto next);
refused: w = 0;
	STEP(if
	:: head != t -> t = head; goto look
	:: else -> tries++
	fi);
	if
	:: noted -> STEP(CLEAR; noted = false)
	:: else
	fi;
	goto next;
over:	atomic { t = 0; w = 0; tries = 0; noted = false; living-- }
}

/* A living party of p's role that tried for the same ticket. */
#ifdef NO_DOUBT
#define DOUBT doubt = false
#else
#define DOUBT                                                         \
	q = 0;                                                        \
	do                                                            \
	:: q < SIDES ->                                               \
		doubt = doubt || (q != p && note[q] == t && !dead[q] && \
				  PRODUCES(q) == PRODUCES(p));        \
		q++                                                   \
	:: else -> break                                              \
	od;                                                           \
	q = 0
#endif

#define STUCK(w)                                      \
	((PRODUCES(p) && w == FREE(t)) ||             \
	 (!PRODUCES(p) && (w == FULL(t) || w == VOID(t))))

inline repair_pass()
{
	p = 0;
	do
	:: p < SIDES ->
		if
		:: dead[p] && note[p] != NONE ->
			atomic { t = note[p]; next = (PRODUCES(p) -> tail : head) };
			if
			:: t < next && next - t <= SLOTS ->
				w = WORD(t);
				if
				:: STUCK(w) ->
					doubt = false;
					atomic { DOUBT };
					if
					:: !doubt ->
						atomic {
#ifndef NO_CAS
						if
						:: WORD(t) == w ->
#endif
							WORD(t) = (PRODUCES(p) ->
								VOID(t) : AGAIN(t));
#ifndef NO_CAS
						:: else
						fi;
#endif
						note[p] = NONE }
					:: else
					fi
				:: else -> note[p] = NONE
				fi
			:: else -> note[p] = NONE
			fi
		:: else
		fi;
		p++
	:: else -> break
	od;
	atomic { t = 0; w = 0; next = 0; doubt = false; p = 0 }
}

proctype repairer()
{
	byte p, q, t, w, next;
	bool doubt;

	/* Once at any time, and once when nobody else is there. */
	repair_pass();
	living == 0;
	repair_pass();
	/* No slot is stuck: what lies between head and tail can be taken ... */
	t = head;
	do
	:: t < tail ->
		assert(WORD(t) == FULL(t) || WORD(t) == VOID(t));
		t++
	:: else -> break
	od;
	/* ... and all the others are free for the next producer. */
	do
	:: t < head + SLOTS ->
		assert(WORD(t) == FREE(t));
		t++
	:: else -> break
	od
}

init {
	byte i;

	atomic {
		do
		:: i < SIDES ->
			if
			:: PRODUCES(i) -> run producer(i)
			:: else -> run consumer(i)
			fi;
			i++
		:: else -> break
		od;
		run repairer()
	}
}
