/* SPDX-License-Identifier: MIT */
/*
 * mpmc.pml - the MPMC ring and its repair, every interleaving and every death.
 *
 * PRODUCERS and CONSUMERS on a ring of SLOTS slots, as in
 * lib/include/pinring/ring_mpmc.h, with runs of one or two, and REPAIRERS, as in
 * lib/ring_mpmc.c. Each access to shared memory is one atomic step, and before
 * each of them a side may die, DEATHS of them in all. With SUCCESSOR another
 * producer takes over the party of the first one, once that is dead and settled;
 * with CLOSES somebody closes the ring at any time. spin explores all of it under
 * sequential consistency; the orders of weaker machines are ThreadSanitizer's
 * and the campaign's business.
 *
 * Planted bugs, each of which must be found (selftests/models.sh):
 *	-DNO_CAS	a ticket is taken by a store
 *	-DLAP_SHORT	release hands the slot to the same lap again
 *	-DFIRST_FIRST	a run's first word is stored before the others
 *	-DUPWARDS	so is a released one's, all from the first to the last
 *	-DRUN_FORGOTTEN	the walk takes a run for one slot
 *	-DMEND_BY_STORE	repair stores words instead of cmpxchg
 *	-DNO_TENANCY	repair does not ask whose the party is by now
 *	-DNO_END	closed and empty, consumers go without marking the end
 */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef REPAIRERS
#define REPAIRERS 1
#endif
#ifndef SUCCESSOR
#define SUCCESSOR 0
#endif
#ifndef CLOSES
#define CLOSES 0
#endif
#ifndef SENDS
#define SENDS 2 /* messages a producer, at least */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SLOTS
#define SLOTS 2
#endif

#define SIDES (PRODUCERS + CONSUMERS)
#ifndef TRIES
#define TRIES 1 /* times a side finds the ring full, or empty, and gives up */
#endif
#define NOBODY 255

#define LAP(t) ((t) / SLOTS)
#define AT(t) word[(t) % SLOTS]

mtype = { FREE, BUSY, FULL, TAKEN, VOID, END };

typedef word_t {
	mtype state = FREE;
	byte party = NOBODY;
	byte many = 1;
	byte lap;
}

word_t word[SLOTS];
byte payload[SLOTS];
byte head, tail; /* hints */
byte owner[SIDES]; /* 0: the first tenant, 1: nobody, 2: the successor */
bool dead[SIDES]; /* the first tenant */
byte living = PRODUCERS + CONSUMERS + SUCCESSOR;
byte deaths;
bool closed;

/* What the ring promises: every ticket is taken in order, by one of each role. */
byte produced, consumed;
bool got[(PRODUCERS + SUCCESSOR) * (SENDS + 1)];
byte last[PRODUCERS + SUCCESSOR]; /* of that producer's messages, from 1 */
bool ended;

/* One access, or death instead. */
#define STEP(access)                                                      \
	if                                                                \
	:: atomic { true -> access }                                      \
	:: atomic { mortal && deaths < DEATHS ->                          \
		deaths++; dead[me] = true; goto over }                    \
	fi

#define IS(w, s, t) (w.state == s && w.lap == LAP(t))
#define SET(t, s, l)                                                      \
	AT(t).state = s; AT(t).party = NOBODY; AT(t).many = 1; AT(t).lap = l
#define HOLD(t, s, n)                                                     \
	AT(t).state = s; AT(t).party = me; AT(t).many = n

#ifdef RUN_FORGOTTEN
#define RUN(w) 1
#else
#define RUN(w) w.many
#endif

/* What is not needed any more is forgotten, which spares states. */
#define FORGET(w) w.state = FREE; w.party = NOBODY; w.many = 1; w.lap = 0

/* A copy of a word, in one access. */
#define READ(to, t)                                                       \
	to.state = AT(t).state; to.party = AT(t).party;                   \
	to.many = AT(t).many; to.lap = AT(t).lap

proctype producer(byte me; byte name; bool mortal)
{
	word_t w;
	byte t, n, i, own, sent, tries;

	if
	:: !mortal -> /* the successor, on a party that was settled */
		if
		:: atomic { owner[me] == 1 -> owner[me] = 2 }
		:: atomic { living == 1 -> goto over } /* nobody dies any more */
		fi
	:: else
	fi;
next:	if
	:: sent >= SENDS || tries == TRIES -> goto over
	:: else
	fi;
	STEP(if
	:: closed -> goto over
	:: else
	fi);
	STEP(t = (tail > own -> tail : own));
look:	STEP(READ(w, t));
	if
	:: IS(w, FREE, t) ->
		n = 1;
		if
		:: true
		:: SLOTS > 1 && sent + 2 <= SENDS + 1 -> STEP(
			if
			:: IS(AT(t + 1), FREE, t + 1) -> n = 2
			:: else
			fi)
		fi;
		STEP(if
#ifndef NO_CAS
		:: IS(AT(t), FREE, t) ->
#else
		:: true ->
#endif
			assert(t == produced);
			HOLD(t, BUSY, n);
			produced = produced + n; own = t + n; FORGET(w)
		:: else -> goto look
		fi)
	:: w.lap == LAP(t) && w.state == END -> goto over
	:: w.lap == LAP(t) && (w.state == BUSY || w.state == TAKEN) ->
		t = t + RUN(w); goto look
	:: w.lap == LAP(t) && (w.state == FULL || w.state == VOID) ->
		t++; goto look
	:: w.lap < LAP(t) -> atomic { own = t; t = 0; tries++; FORGET(w); goto next }
	:: w.lap > LAP(t) ->
		t = t + (w.lap - LAP(t)) * SLOTS;
		if
		:: w.state == FREE -> t = t - SLOTS + 1
		:: w.state == BUSY || w.state == TAKEN -> t = t + w.many
		:: w.state == FULL || w.state == VOID -> t++
		:: else
		fi;
		goto look
	fi;
	if
	:: true /* not at a boundary of four */
	:: STEP(tail = own)
	fi;
	i = 0;
	do
	:: i < n ->
		STEP(assert(IS(AT(t + i), (i == 0 -> BUSY : FREE), t + i));
		payload[(t + i) % SLOTS] = name * (SENDS + 1) + sent + i; i++)
	:: else -> break
	od;
#ifdef FIRST_FIRST
	i = 0;
	do
	:: i < n ->
		STEP(SET(t + i, FULL, LAP(t + i)); i++)
	:: else -> break
	od;
#else
	i = n;
	do
	:: i > 0 ->
		STEP(i--; assert(IS(AT(t + i), (i == 0 -> BUSY : FREE), t + i));
		if
		:: SET(t + i, FULL, LAP(t + i))
		:: SET(t + i, VOID, LAP(t + i)) /* aborted */
		fi)
	:: else -> break
	od;
#endif
	atomic { sent = sent + n; t = 0; n = 0; i = 0; goto next };
over:	atomic { FORGET(w); t = 0; n = 0; i = 0; own = 0; sent = 0; tries = 0; living-- }
}

proctype consumer(byte me)
{
	word_t w;
	byte t, n, i, own, tries, m;
	bool mortal = true;

next:	if
	:: tries == TRIES -> goto over
	:: else
	fi;
	STEP(t = (head > own -> head : own));
look:	STEP(READ(w, t));
	if
	:: IS(w, FULL, t) ->
		n = 1;
		if
		:: true
		:: SLOTS > 1 -> STEP(
			if
			:: IS(AT(t + 1), FULL, t + 1) -> n = 2
			:: else
			fi)
		fi;
		STEP(if
#ifndef NO_CAS
		:: IS(AT(t), FULL, t) ->
#else
		:: true ->
#endif
			assert(t == consumed);
			HOLD(t, TAKEN, n);
			consumed = consumed + n; own = t + n; FORGET(w)
		:: else -> goto look
		fi)
	:: IS(w, VOID, t) -> STEP(
		if
		:: IS(AT(t), VOID, t) ->
			assert(t == consumed);
			consumed++;
			SET(t, FREE, LAP(t) + 1)
		:: else
		fi);
		goto look
	:: IS(w, TAKEN, t) -> t = t + RUN(w); goto look
	:: IS(w, END, t) -> ended = true; goto over
	:: IS(w, FREE, t) -> own = t;
		STEP(if
		:: closed
		:: else -> t = 0; tries++; FORGET(w); goto next
		fi);
#ifdef NO_END
		atomic { ended = true; goto over };
#else
		STEP(if
		:: IS(AT(t), FREE, t) -> SET(t, END, LAP(t))
		:: else
		fi);
		goto look
#endif
	:: IS(w, BUSY, t) || w.lap < LAP(t) -> atomic { own = t; t = 0; tries++; FORGET(w); goto next }
	:: w.lap > LAP(t) ->
		t = t + (w.lap - LAP(t)) * SLOTS;
		if
		:: w.state == TAKEN -> t = t + w.many
		:: else -> t = t - SLOTS + 1
		fi;
		goto look
	fi;
	if
	:: true
	:: STEP(head = own)
	fi;
	i = 0;
	do
	:: i < n ->
		STEP(assert(IS(AT(t + i), (i == 0 -> TAKEN : FULL), t + i));
		m = payload[(t + i) % SLOTS];
		assert(!ended);
		assert(!got[m]); /* nothing comes twice */
		got[m] = true;
		/* Two consumers may be out of step here, not at their tickets. */
		assert(CONSUMERS > 1 || m % (SENDS + 1) + 1 > last[m / (SENDS + 1)]);
		last[m / (SENDS + 1)] = m % (SENDS + 1) + 1;
		m = 0; i++)
	:: else -> break
	od;
#ifdef UPWARDS
	i = 0;
	do
	:: i < n ->
		STEP(SET(t + i, FREE, LAP(t + i) + 1); i++)
	:: else -> break
	od;
#else
	i = n;
	do
	:: i > 0 ->
		STEP(i--; assert(IS(AT(t + i), (i == 0 -> TAKEN : FULL), t + i));
#ifdef LAP_SHORT
		SET(t + i, FREE, LAP(t + i))
#else
		SET(t + i, FREE, LAP(t + i) + 1)
#endif
		)
	:: else -> break
	od;
#endif
	atomic { t = 0; n = 0; i = 0; goto next };
over:	atomic { FORGET(w); t = 0; n = 0; i = 0; own = 0; tries = 0; living-- }
}

/* From what a held run left to what it becomes, slot by slot, the first last. */
inline settle_slot(s, from, was, to, l)
{
	atomic {
		if
#ifndef MEND_BY_STORE
		:: AT(s).state == from && AT(s).lap == LAP(s) && AT(s).party == was ->
#else
		:: true ->
#endif
			SET(s, to, l)
		:: else
		fi
	}
}

proctype repairer()
{
	word_t w;
	byte p, s, t, n;

again:	p = 0;
	do
	:: p < SIDES ->
		if
		:: atomic { dead[p] && owner[p] == 0 -> s = 0 };
			do
			:: s < SLOTS ->
				atomic { READ(w, s) };
				if
				:: (w.state == BUSY || w.state == TAKEN) &&
				   w.party == p ->
#ifndef NO_TENANCY
					if
					:: owner[p] == 0
					:: else -> break
					fi;
#endif
					t = w.lap * SLOTS + s;
					n = w.many;
					do
					:: n > 1 && w.state == BUSY -> n--;
						settle_slot(t + n, FREE, NOBODY,
							    VOID, LAP(t + n))
					:: n > 1 && w.state == TAKEN -> n--;
						settle_slot(t + n, FULL, NOBODY,
							    FREE, LAP(t + n) + 1)
					:: else -> break
					od;
					if
					:: w.state == BUSY ->
						settle_slot(t, BUSY, p, VOID,
							    LAP(t))
					:: else ->
						settle_slot(t, TAKEN, p, FREE,
							    LAP(t) + 1)
					fi
				:: else
				fi;
				s++
			:: else ->
				/* bury */
				atomic {
					if
					:: owner[p] == 0 -> owner[p] = 1
					:: else
					fi;
					break
				}
			od
		:: else
		fi;
		p++
	:: else -> break
	od;
	atomic { p = 0; s = 0; t = 0; n = 0; w.state = FREE; w.party = NOBODY;
		 w.many = 1; w.lap = 0 };
	if
	:: living == 0 -> goto quiet
	:: else -> goto again
	fi;
	/* When all are gone or dead, and settled, nobody's slot is left. */
quiet:	atomic {
		p = 0;
		do
		:: p < SIDES ->
			if
			:: dead[p] && owner[p] == 0 -> goto again
			:: else -> p++
			fi
		:: else -> break
		od;
		s = 0;
		do
		:: s < SLOTS ->
			assert(word[s].state != BUSY && word[s].state != TAKEN);
			/* Nothing is left behind by consumers that saw the end. */
			assert(!ended || word[s].state != FULL);
			s++
		:: else -> break
		od
	}
}

proctype closer()
{
	closed = true
}

init {
	byte i;

	atomic {
		do
		:: i < PRODUCERS -> run producer(i, i, true); i++
		:: else -> break
		od;
		do
		:: i < SIDES -> run consumer(i); i++
		:: else -> break
		od;
#if SUCCESSOR
		run producer(0, PRODUCERS, false);
#endif
#if CLOSES
		run closer();
#endif
		i = 0;
		do
		:: i < REPAIRERS -> run repairer(); i++
		:: else -> break
		od
	}
}
