// SPDX-License-Identifier: GPL-2.0-only
/*
 * stress SEED CALLS [failing]: random calls, one at a time, each held against a model of the store.
 *
 * One call in eight has something wrong with it: a pointer, a length, a buffer that is too small. With `failing` one of
 * its first allocations fails in half of the calls. Prints "FAIL ..." for each wrong answer and "NAME NUMBER" for what
 * was counted. The same seed makes the same calls.
 */
#include "nolibc.h"
#include "kvs_calls.h"
#include "fail_nth.h"

#define KEYS 64
#define LONGEST_KEY 300UL
#define LONGEST 65536UL
#define ABSENT (-1L)
#define MARGIN 64UL /* behind the buffer */
#define FAILURES_SHOWN 20
#define FAILSLAB "/sys/kernel/debug/failslab/"

/* What the store must hold under each key: a value is made of its seed, and ABSENT is no value's length. */
static struct entry {
	unsigned int seed;
	long length;
} model[KEYS];

static char key[LONGEST_KEY], val[LONGEST], got[LONGEST + MARGIN];
static char *no_memory; /* an unmapped page, at the end of a mapped one */
static unsigned int dice, inserts, searches, deletes, refused, failures;
static int failing;

static unsigned int below(unsigned int limit)
{
	dice ^= dice << 13;
	dice ^= dice >> 17;
	dice ^= dice << 5;
	return dice % limit;
}

static void failure(const char *what, unsigned int number, long ret)
{
	if (failures++ >= FAILURES_SHOWN)
		return;
	put(1, "FAIL ");
	put(1, what);
	put(1, ": key ");
	put_number(1, number, 10);
	put_result(", the call returned", ret);
}

/* Keys of one letter are the beginning of each other; returns the length. */
static unsigned long make_key(unsigned int number)
{
	unsigned long length = number < KEYS - 4 ? 1 + number / 4 : LONGEST_KEY;

	memset(key, 'a' + (int)(number % 4), length);
	return length;
}

static long random_length(void)
{
	static const unsigned int longest[] = { 2, 16, 300, 5000, LONGEST };

	return 1 + (long)below(longest[below(5)]);
}

/* Somewhere that a program may not read or write. */
static char *bad_pointer(void)
{
	switch (below(3)) {
	case 0:
		return (char *)0;
	case 1:
		return (char *)0xc1000000UL; /* the kernel's */
	default:
		return no_memory;
	}
}

static unsigned long bad_length(void)
{
	static const unsigned long lengths[] = { KVS_LONGEST + 1, 0x80000000UL, 0xffffffffUL };

	return lengths[below(3)];
}

static void may_fail(void)
{
	if (failing && below(2))
		fail_nth(1 + (long)below(3));
}

/* Returns whether no allocation was made to fail. */
static int all_granted(void)
{
	char left[12] = { '0' };
	int granted;

	if (fail_nth_fd < 0)
		return 1;
	sys3(NR_read, fail_nth_fd, left, sizeof(left));
	granted = left[0] != '0';
	fail_nth(0);
	sys1(NR_close, fail_nth_fd);
	fail_nth_fd = -1;
	return granted;
}

static int same_bytes(const char *a, const char *b, unsigned long length)
{
	while (length && *a == *b) {
		a++;
		b++;
		length--;
	}
	return !length;
}

/* Whether the first bytes of the buffer are the entry's value. */
static int is_value(const struct entry *entry, unsigned long length)
{
	fill(val, length, entry->seed);
	return same_bytes(got, val, length);
}

/* After a call that has failed: the entry must be there as it was, or, if that `may_be_gone`, none. */
static void settle(unsigned int number, int may_be_gone)
{
	struct entry *entry = &model[number];
	unsigned long keylen = make_key(number);
	long ret;

	memset(got, FILL, LONGEST);
	ret = kvs_search(key, keylen, got, LONGEST);
	if (entry->length == ABSENT ? !ret : ret > 0 && is_value(entry, (unsigned long)entry->length))
		return;
	if (ret || !may_be_gone)
		failure("a call that fails has changed the entry", number, ret);
	kvs_delete(key, keylen);
	entry->length = ABSENT;
}

static void insert(unsigned int number, int bad)
{
	struct entry new = { below(0x10000), random_length() };
	unsigned long keylen = make_key(number), vallen = (unsigned long)new.length;
	const char *from = key, *value = val;
	int granted;
	long ret;

	fill(val, vallen, new.seed);
	if (bad && below(2))
		value = bad_pointer();
	else if (bad && below(2))
		from = bad_pointer();
	else if (bad && below(2))
		vallen = bad_length();
	else if (bad)
		keylen = below(2) ? 0 : bad_length();
	may_fail();
	ret = kvs_insert(from, keylen, value, vallen);
	granted = all_granted();
	inserts++;
	if (bad && ret >= 0)
		failure("kvs_insert of what cannot be had succeeds", number, ret);
	else if (!bad && granted && ret < 0)
		failure("kvs_insert fails", number, ret);
	if (ret < 0) {
		refused++;
		settle(number, 1);
	} else if (!bad) {
		model[number] = new;
	}
}

static void search(unsigned int number, int bad)
{
	const struct entry *entry = &model[number];
	unsigned long keylen = make_key(number), length = entry->length == ABSENT ? 0 : (unsigned long)entry->length;
	unsigned long room = length + below(MARGIN);
	char *to = got;
	const char *from = key;
	int granted, fits = 1;
	long ret;

	if (bad && length && below(2)) {
		room = below((unsigned int)length);
		fits = bad = 0;
	} else if (bad && length && below(2)) {
		to = bad_pointer();
	} else if (bad && below(2)) {
		from = bad_pointer();
	} else if (bad) {
		keylen = below(2) ? 0 : bad_length();
	}
	memset(got, FILL, length + MARGIN);
	may_fail();
	ret = kvs_search(from, keylen, to, room);
	granted = all_granted();
	searches++;
	refused += ret < 0;
	if (bad && ret >= 0)
		failure("kvs_search with what cannot be had succeeds", number, ret);
	else if (!bad && granted && fits && (length ? ret <= 0 : ret))
		failure(length ? "kvs_search does not find the entry" : "kvs_search finds no entry and says otherwise",
			number, ret);
	else if (!bad && ret > 0 && !is_value(entry, fits ? length : room))
		failure("kvs_search finds another value", number, ret);
	for (length += MARGIN; length > room && (unsigned char)got[length - 1] == FILL; length--)
		;
	if (length > room)
		failure("kvs_search writes beside the buffer", number, ret);
}

static void delete(unsigned int number, int bad)
{
	unsigned long keylen = make_key(number);
	const char *from = key;
	int granted;
	long ret;

	if (bad && below(2))
		from = bad_pointer();
	else if (bad)
		keylen = below(2) ? 0 : bad_length();
	may_fail();
	ret = kvs_delete(from, keylen);
	granted = all_granted();
	deletes++;
	if (bad && ret >= 0)
		failure("kvs_delete of what cannot be had succeeds", number, ret);
	else if (!bad && granted && ret < 0)
		failure("kvs_delete fails", number, ret);
	if (ret < 0) {
		refused++;
		settle(number, 0);
	} else if (!bad) {
		model[number].length = ABSENT;
	}
}

/* Lets fail-nth apply to allocations that may wait, without a trace of each. */
static void setting(const char *path, const char *value)
{
	long fd = sys3(NR_open, path, O_RDWR, 0);

	if (is_error(fd)) {
		put(2, "usage: the kernel has no CONFIG_FAILSLAB with debugfs\n");
		leave(2);
	}
	sys3(NR_write, fd, value, 1);
	sys1(NR_close, fd);
}

int main(int argc, char **argv)
{
	long calls = argc > 2 ? number_of(argv[2]) : -1;
	unsigned int i;

	if (calls < 0) {
		put(2, "usage: stress SEED CALLS [failing]\n");
		return 2;
	}
	dice = (unsigned int)number_of(argv[1]) * 2 + 1; /* never 0 */
	failing = argc > 3;
	if (failing) {
		setting(FAILSLAB "ignore-gfp-wait", "N");
		setting(FAILSLAB "verbose", "0");
	}
	no_memory = edge();
	/* Others have been there. */
	for (i = 0; i < KEYS; i++) {
		kvs_delete(key, make_key(i));
		model[i].length = ABSENT;
	}
	while (calls--) {
		int bad = !below(8);

		i = below(KEYS);
		switch (below(5)) {
		case 0:
			delete(i, bad);
			break;
		case 1:
		case 2:
			insert(i, bad);
			break;
		default:
			search(i, bad);
		}
	}
	for (failing = 0, i = 0; i < KEYS; i++) {
		delete(i, 0);
		search(i, 0);
	}
	put_result("inserts", (long)inserts);
	put_result("searches", (long)searches);
	put_result("deletes", (long)deletes);
	put_result("refused", (long)refused);
	return failures > 0;
}
