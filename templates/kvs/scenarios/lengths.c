// SPDX-License-Identifier: GPL-2.0-only
/* The shortest, the longest, and those that are too long. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

static const unsigned long too_long[] = { KVS_LONGEST + 1, 0x7fffffffUL, 0x80000000UL, 0xfffffff0UL, 0xffffffffUL };
#define TOO_LONG (sizeof(too_long) / sizeof(*too_long))

SCENARIO(an_empty_key, "L3", "A key of no bytes is a failure, whichever call gets it")
{
	NEED_WORD("key", "value");
	EXPECT_FAILURE(kvs_insert("key", 0, "new", 3), "L3", "kvs_insert");
	EXPECT_FAILURE(kvs_search("key", 0, kvs_buffer, 16), "L3", "kvs_search");
	EXPECT_FAILURE(kvs_delete("key", 0), "L3", "kvs_delete");
	EXPECT_FAILURE(kvs_insert((char *)0, 0, "new", 3), "L3", "kvs_insert of NULL");
	EXPECT_WORD("key", "value", "L3", "the entry that was there");
}

/* What is told of a value of no bytes is nothing but what kvs_search returns. */
static void need_results(void)
{
	NEED_WORD("other", "value");
	NEED_RET(kvs_search("other", 5, kvs_buffer, 16), 1, "3.2-2", "a search for a key that is there");
	NEED_RET(kvs_search("key", 3, kvs_buffer, 16), 0, "3.2-2", "a search for one that is not");
}

SCENARIO(an_empty_value, "L3", "A value of no bytes is kept or refused, and is not something in between")
{
	long ret, there;

	need_basics();
	need_results();
	ret = kvs_insert("key", 3, "", 0);
	if (ret < 0)
		EXPECT_RET(ret, -1, "L1", "it is refused");
	memset(kvs_buffer, FILL, 16);
	there = kvs_search("key", 3, kvs_buffer, 16);
	EXPECT((ret < 0) == (there != 1), "L3", "it is found if it was not refused");
	EXPECT_EQ(foreign(kvs_buffer, 16), 0, "L5", "bytes of others in the buffer");
	EXPECT_DONE(delete_word("key"), "L3", "kvs_delete of it");
	EXPECT_WORD("other", "value", "L3", "the other entry");
}

SCENARIO(replace_by_an_empty_value, "L3", "A value of no bytes takes the place of another, or is refused")
{
	need_basics();
	need_results();
	NEED_WORD("key", "value");
	if (kvs_insert("key", 3, "", 0) >= 0) {
		memset(kvs_buffer, FILL, 16);
		EXPECT_RET(kvs_search("key", 3, kvs_buffer, 16), 1, "L3", "it has taken the place: it is found");
		NEED(kvs_buffer[0] != 'v' || kvs_buffer[4] != 'e', "L3", "and the old one is not");
		EXPECT_EQ(foreign(kvs_buffer, 16), 0, "L5", "bytes that are copied then");
	} else {
		EXPECT(kvs_none("key", 3) || kvs_is("key", 3, "value", 5, 16), "L6",
		       "it was refused: the old one is there, or none");
	}
}

SCENARIO(lengths_around_powers_of_two, "3.5-1", "Values and keys of many lengths up to 64 KiB are found whole")
{
	static char key[65537], val[65537];
	unsigned int failed = 0, wrong = 0;
	unsigned long power, length;
	char name[8];

	fill(key, sizeof(key), 1);
	fill(val, sizeof(val), 2);
	NEED_WORD("key", "value");
	for (power = 16; power <= 65536; power *= 2)
		for (length = power - 1; length <= power + 1; length++) {
			fill(name, sizeof(name), length);
			failed += !kvs_done(kvs_insert(name, sizeof(name), val, length));
			wrong += !kvs_is(name, sizeof(name), val, length, length + 1);
			failed += !kvs_done(kvs_insert(key, length, name, sizeof(name)));
			wrong += !kvs_is(key, length, name, sizeof(name), 16);
		}
	EXPECT_EQ(failed, 0, "3.5-1", "insertions that fail");
	EXPECT_EQ(wrong, 0, "3.5-1", "entries that are not found");
}

SCENARIO(the_longest_value, "3.5-1", "A value of 4 MiB, the most that kmalloc grants, is kept and found")
{
	char *val = memory(KVS_LONGEST), *found = memory(KVS_LONGEST + PAGE_SIZE);

	NEED_WORD("other", "value");
	fill(val, KVS_LONGEST, 1);
	EXPECT_DONE(kvs_insert("key", 3, val, KVS_LONGEST), "3.5-1", "kvs_insert");
	EXPECT(kvs_search("key", 3, found, KVS_LONGEST + 1) >= 0, "3.5-1", "kvs_search");
	EXPECT_BYTES(found, val, KVS_LONGEST, "3.5-1", "what it has found");
	EXPECT_WORD("other", "value", "3.5-1", "another entry");
}

SCENARIO(the_longest_key, "3.5-1", "A key of 4 MiB, the most that kmalloc grants, is a key like any other")
{
	char *key = memory(KVS_LONGEST);

	need_basics();
	fill(key, KVS_LONGEST, 1);
	EXPECT_DONE(kvs_insert(key, KVS_LONGEST, "value", 5), "3.5-1", "kvs_insert");
	EXPECT_VALUE(key, KVS_LONGEST, "value", 5, "3.5-1", "its value");
	EXPECT_DONE(kvs_delete(key, KVS_LONGEST), "3.5-1", "kvs_delete");
	EXPECT_NONE(key, KVS_LONGEST, "3.5-1", "a search after it");
}

SCENARIO(keys_that_are_too_long, "L8", "A key of more than 4 MiB is a failure, whichever call gets it")
{
	char *key = memory(KVS_LONGEST + PAGE_SIZE);
	unsigned int i;

	NEED_WORD("key", "value");
	for (i = 0; i < TOO_LONG; i++) {
		EXPECT_FAILURE(kvs_insert(key, too_long[i], "new", 3), "L8", "kvs_insert of 0x%x bytes",
			       (unsigned int)too_long[i]);
		EXPECT_FAILURE(kvs_search(key, too_long[i], kvs_buffer, 16), "L8", "kvs_search for 0x%x bytes",
			       (unsigned int)too_long[i]);
		EXPECT_FAILURE(kvs_delete(key, too_long[i]), "L8", "kvs_delete of 0x%x bytes",
			       (unsigned int)too_long[i]);
	}
	EXPECT_WORD("key", "value", "L8", "the entry that was there");
}

SCENARIO(values_that_are_too_long, "L8", "A value of more than 4 MiB is a failure, and is not kept")
{
	char *val = memory(KVS_LONGEST + PAGE_SIZE);
	unsigned int i;

	NEED_WORD("key", "value");
	for (i = 0; i < TOO_LONG; i++) {
		EXPECT_FAILURE(kvs_insert("new", 3, val, too_long[i]), "L8", "kvs_insert of 0x%x bytes",
			       (unsigned int)too_long[i]);
		EXPECT_NONE("new", 3, "L8", "a search for the key after it");
		kvs_delete("new", 3);
	}
	EXPECT_WORD("key", "value", "L8", "the entry that was there");
}

SCENARIO(both_lengths_at_once, "L8", "Two lengths whose sum is small again, or too large, are two lengths")
{
	static const unsigned long lengths[] = { 0x80000000UL, 0xfffffff8UL, KVS_LONGEST + 1 };
	char *bytes = memory(KVS_LONGEST + PAGE_SIZE);
	unsigned int i, j;

	NEED_WORD("key", "value");
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++)
			EXPECT_FAILURE(kvs_insert(bytes, lengths[i], bytes, lengths[j]), "L8",
				       "kvs_insert of 0x%x and 0x%x bytes", (unsigned int)lengths[i],
				       (unsigned int)lengths[j]);
	EXPECT_FAILURE(kvs_insert(bytes, 16, bytes, 0xfffffff8UL), "L8", "kvs_insert of 16 and 2^32 - 8 bytes");
	EXPECT_WORD("key", "value", "L8", "the entry that was there");
}

SCENARIO(both_as_long_as_they_can_be, "3.5-1", "A key and a value of 4 MiB each are an entry")
{
	char *bytes = memory(KVS_LONGEST), *found = memory(KVS_LONGEST + PAGE_SIZE);

	NEED_WORD("key", "value");
	fill(bytes, KVS_LONGEST, 1);
	EXPECT_DONE(kvs_insert(bytes, KVS_LONGEST, bytes, KVS_LONGEST), "3.5-1", "kvs_insert");
	EXPECT(kvs_search(bytes, KVS_LONGEST, found, KVS_LONGEST + 1) >= 0, "3.5-1", "kvs_search");
	EXPECT_BYTES(found, bytes, KVS_LONGEST, "3.5-1", "what it has found");
}

static void expect_minus_one(long ret, const char *what)
{
	EXPECT(ret >= 0 || ktap_returned(ret, -1), "L1", "%s, if it fails", what);
}

/* Of failures those that endanger no kernel; what all others return is looked at where they are. */
SCENARIO(failure_is_minus_one, "L1", "A call that fails returns -1")
{
	NEED_WORD("key", "value");
	expect_minus_one(kvs_insert("key", 0, "new", 3), "kvs_insert of an empty key");
	expect_minus_one(kvs_search("key", 0, kvs_buffer, 16), "kvs_search with an empty key");
	expect_minus_one(kvs_search("key", 3, kvs_buffer, 2), "kvs_search into a buffer that is too small");
	expect_minus_one(kvs_delete("key", 0), "kvs_delete of an empty key");
}
