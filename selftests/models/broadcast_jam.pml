/* SPDX-License-Identifier: MIT */
/*
 * broadcast_jam.pml - producers that lap each other in a broadcast ring, and a
 * consumer that is lapped, every interleaving and every death.
 *
 * PRODUCERS, a consumer and somebody who repairs, as in lib/ring_broadcast_many.c,
 * on a lapping ring of SLOTS slots. Each access to shared memory is one atomic step,
 * and before each of its own a producer may die, DEATHS of them in all. Payload is
 * two words. Promised: what the consumer is given is whole and what that ticket's
 * producer sent; it passes no ticket untold whose message could still be read; no two
 * write to a slot at a time; in the end every slot can be used again. Under
 * sequential consistency.
 *
 * Planted bugs, each of which must be found (selftests/models.sh):
 *	-DNO_CHECK	the consumer does not look at the word again
 *	-DBY_STORE	a producer publishes by a store, though it may be late
 *	-DLATE_FREE	a slot that somebody still writes to is taken as free
 *	-DJAM_UNNAMED	who jams a slot puts its own name there
 *	-DJAM_LEFT	a late one leaves its slot jammed
 *	-DPASS_ONE	the consumer falls back to one beyond the oldest
 */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef SENDS
#define SENDS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef TICKETS
#define TICKETS 5 /* more are not modelled: whoever gets there stops */
#endif
#define LOOKS 2 /* of the consumer that find nothing */
#define NOBODY 15

#define FREE 0
#define BUSY 1
#define FULL 2
#define VOID 3
#define JAMMED 4

/* word = laps begun << 8 | who << 4 | state */
#define LAP(t) ((t) / SLOTS + 1)
#define WORD(t) word[(t) % SLOTS]
#define TURN(t, who, state) (LAP(t) << 8 | (who) << 4 | (state))
#define LAPS(w) ((w) >> 8)
#define WHO(w) ((w) >> 4 & 15)
#define STATE(w) ((w) & 15)
#define AGAIN(w) (((w) >> 8) << 8 | VOID) /* the lap stays */

short word[SLOTS];
byte one[SLOTS], two[SLOTS]; /* payload */
byte writers[SLOTS]; /* that write to it now */
byte sent[TICKETS]; /* message published with that ticket, + 1 */
bool taken[TICKETS + SLOTS]; /* tickets that somebody has */
bool dead[PRODUCERS];
byte deaths, living = PRODUCERS;

#define STEP(access)                                                      \
	if                                                                \
	:: atomic { true -> access }                                      \
	:: atomic { deaths < DEATHS ->                                    \
		deaths++; dead[me] = true;                                \
		if                                                        \
		:: writing -> writers[t % SLOTS]--                        \
		:: else                                                   \
		fi;                                                       \
		goto over }                                               \
	fi

proctype producer(byte me)
{
	byte t, n, message;
	short w;
	bool writing;

next:	if
	:: n == SENDS -> goto over
	:: else -> message = me * SENDS + n + 1
	fi;
look:	if
	:: t >= TICKETS -> goto over
	:: else
	fi;
	STEP(w = WORD(t));
	if
	:: LAPS(w) == LAP(t) -> t++; goto look
	:: LAPS(w) > LAP(t) -> t = t + (LAPS(w) - LAP(t)) * SLOTS + 1; goto look
	:: else
	fi;
	assert(LAPS(w) == LAP(t) - 1);
	if
#ifndef LATE_FREE
	:: STATE(w) == BUSY || STATE(w) == JAMMED ->
		STEP(if
		:: WORD(t) == w ->
#ifdef JAM_UNNAMED
			WORD(t) = TURN(t, me, JAMMED);
#else
			WORD(t) = TURN(t, WHO(w), JAMMED);
#endif
			taken[t] = true
		:: else
		fi;
		goto look)
#endif
	:: else
	fi;
	STEP(if
	:: WORD(t) == w ->
		WORD(t) = TURN(t, me, BUSY);
		taken[t] = true;
		writing = true;
		writers[t % SLOTS]++;
		assert(writers[t % SLOTS] == 1)
	:: else -> goto look
	fi);
	STEP(one[t % SLOTS] = message);
	STEP(two[t % SLOTS] = message);
	STEP(writing = false; writers[t % SLOTS]--;
	if
#ifdef BY_STORE
	:: true ->
#else
	:: WORD(t) == TURN(t, me, BUSY) ->
#endif
		WORD(t) = TURN(t, 0, FULL);
		sent[t] = message
	:: else -> goto late
	fi);
done:	n++;
	goto next;
late:
#ifdef JAM_LEFT
	goto done;
#endif
	STEP(w = WORD(t));
	if
	:: STATE(w) == JAMMED ->
		STEP(if
		:: WORD(t) == w -> WORD(t) = AGAIN(w); goto done
		:: else -> goto late
		fi)
	:: else -> goto done
	fi;
over:	atomic { t = 0; n = 0; message = 0; w = 0; writing = false; living-- }
}

proctype consumer()
{
	byte c, t, a, b, looks;
	short w, again;

look:	if
	:: c >= TICKETS || looks == LOOKS -> goto over
	:: else
	fi;
	w = WORD(c);
	if
	:: LAPS(w) > LAP(c) -> goto lapped
	:: LAPS(w) < LAP(c) || STATE(w) == BUSY -> looks++; goto look
	:: LAPS(w) == LAP(c) && (STATE(w) == VOID || STATE(w) == JAMMED) ->
		c++;
		goto look
	:: else
	fi;
	assert(STATE(w) == FULL);
	a = one[c % SLOTS];
	b = two[c % SLOTS];
	again = WORD(c);
#ifndef NO_CHECK
	if
	:: again != w -> goto lapped
	:: else
	fi;
#endif
	atomic { assert(a == b && a == sent[c]); a = 0; b = 0; again = 0; w = 0 }
	c++;
	goto look;
	/* The tail, and a ring before it. */
lapped:	atomic { a = 0; b = 0; again = 0; t = c }
walk:	if
	:: t >= TICKETS -> goto over
	:: else
	fi;
	w = WORD(t);
	if
	:: LAPS(w) < LAP(t) ->
#ifdef PASS_ONE
		t++;
#endif
		/* All that it passes are overwritten, or being so. */
		atomic {
			do
			:: c + SLOTS < t -> assert(taken[c + SLOTS]); c++
			:: else -> break
			od;
			t = 0; w = 0
		}
		goto look
	:: else -> t = t + (LAPS(w) - LAP(t)) * SLOTS + 1; goto walk
	fi;
over:	skip
}

inline repair_pass()
{
	i = 0;
	do
	:: i < SLOTS ->
		w = word[i];
		if
		:: STATE(w) == BUSY || STATE(w) == JAMMED ->
			if
			:: dead[WHO(w)] ->
				atomic {
					if
					:: word[i] == w -> word[i] = AGAIN(w); i++
					:: else
					fi
				}
			:: else -> i++
			fi
		:: else -> i++
		fi
	:: else -> break
	od;
	atomic { i = 0; w = 0 }
}

proctype repairer()
{
	byte i;
	short w;

	/* Once at any time, and once when no producer is left. */
	repair_pass();
	living == 0;
	repair_pass();
	do
	:: i < SLOTS ->
		assert(STATE(word[i]) != BUSY && STATE(word[i]) != JAMMED);
		i++
	:: else -> break
	od
}

init {
	byte i;

	atomic {
		do
		:: i < PRODUCERS -> run producer(i); i++
		:: else -> break
		od;
		run consumer();
		run repairer()
	}
}
