/* SPDX-License-Identifier: MIT */
/*
 * broadcast_join.pml - consumers that come to a gated broadcast ring and go, every
 * interleaving.
 *
 * One producer, as in pinring_broadcast_make_room() and _rescan(), and CONSUMERS, as
 * in join(), on a ring of SLOTS slots. Each access to shared memory is one atomic
 * step. A consumer begins at the tail or at the oldest message it may have, reads a
 * little, gives back and leaves, VISITS times. Promised: from its first ticket on it
 * finds every message where it belongs. Under sequential consistency; the orders of
 * weaker machines are ThreadSanitizer's business.
 *
 * Planted bugs, each of which must be found (selftests/models.sh):
 *	-DNO_LOOK	the producer believes its look though somebody has come
 *	-DSHOW_LATE	joins is counted up before the cursor is shown
 *	-DBEGIN_EARLY	where to begin is read before joins is counted up
 *	-DLIMIT_KEPT	the limit is not raised before it is used
 *	-DGIVE_EARLY	a slot is given back before it is read
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef SENDS
#define SENDS 5
#endif
#ifndef VISITS
#define VISITS 2
#endif
#ifndef READS
#define READS 2 /* in a visit, at most */
#endif

/* Tickets begin at SLOTS, so that nothing is below 0. */
#define FIRST SLOTS

byte slot[SLOTS]; /* the ticket whose message is in it */
byte tail = FIRST;
byte limit = FIRST;
byte joins;
byte cursor[CONSUMERS];
bool shown[CONSUMERS];

proctype producer()
{
	byte write = FIRST, bound = FIRST, look, seen, i, least;

	do
	:: write == FIRST + SENDS -> break
	:: write < FIRST + SENDS && write < bound ->
		/* The old message goes, the new one comes. */
		slot[write % SLOTS] = write;
		atomic { write++; tail = write }
	:: write < FIRST + SENDS && write == bound ->
		seen = joins;
		least = write;
		i = 0;
		do
		:: i < CONSUMERS ->
			atomic {
				if
				:: shown[i] && cursor[i] < least ->
					least = cursor[i]
				:: else
				fi;
				i++
			}
		:: else -> break
		od;
		/* Further back than can be: it has only just come. */
		if
		:: write - least > SLOTS -> least = write - SLOTS
		:: else
		fi;
#ifndef LIMIT_KEPT
		atomic {
			if
			:: least + SLOTS > limit -> limit = least + SLOTS
			:: else
			fi
		}
#endif
		atomic {
			if
#ifdef NO_LOOK
			:: true
#else
			:: joins == seen
#endif
				-> if
				:: least + SLOTS > bound -> bound = least + SLOTS
				:: else
				fi
			:: else
			fi;
			look = 0; seen = 0; i = 0; least = 0
		}
	od
}

#define BEGIN                                                           \
	if                                                              \
	:: read = tail                                                  \
	:: read = limit - SLOTS;                                        \
		if                                                      \
		:: read < FIRST -> read = FIRST                         \
		:: else                                                 \
		fi                                                      \
	fi

proctype consumer(byte me)
{
	byte visit, read, n;

	do
	:: visit == VISITS -> break
	:: else ->
		read = limit - SLOTS;
		cursor[me] = read;
#ifdef SHOW_LATE
		joins++;
		shown[me] = true;
#else
		shown[me] = true;
#ifdef BEGIN_EARLY
		BEGIN;
#endif
		joins++;
#endif
#ifndef BEGIN_EARLY
		BEGIN;
#endif
		cursor[me] = read;
		n = 0;
		do
		:: n < READS && read < tail ->
#ifdef GIVE_EARLY
			cursor[me] = read + 1;
#endif
			assert(slot[read % SLOTS] == read);
			read++;
			n++;
			if
			:: cursor[me] = read
			:: true /* lazily */
			fi
		:: true -> break
		od;
		shown[me] = false;
		atomic { visit++; read = 0; n = 0 }
	od
}

init {
	byte i;

	atomic {
		run producer();
		do
		:: i < CONSUMERS -> run consumer(i); i++
		:: else -> break
		od
	}
}
