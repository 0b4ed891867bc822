// SPDX-License-Identifier: GPL-2.0-only
/* The shortest, the longest, and those that are too long. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

static const unsigned long too_long[] = { KVS_LONGEST + 1, 0x7fffffffUL, 0x80000000UL, 0xfffffff0UL, 0xffffffffUL };
#define TOO_LONG 5

SCENARIO(an_empty_key, "L3", "A key of no bytes is a failure, whichever call gets it")
{
	NEED_WORD("key", "value");
	EXPECT_FAILURE(kvs_insert("key", 0, "new", 3), "L3", "kvs_insert");
	EXPECT_FAILURE(kvs_search("key", 0, kvs_buffer, 16), "L3", "kvs_search");
	EXPECT_FAILURE(kvs_delete("key", 0), "L3", "kvs_delete");
	EXPECT_FAILURE(kvs_insert((char *)0, 0, "new", 3), "L3", "kvs_insert of NULL");
	EXPECT_WORD("key", "value", "L3", "the entry that was there");
}

SCENARIO(an_empty_value, "L3", "A value of no bytes is kept or refused, and is not something in between")
{
	long ret;

	NEED_WORD("other", "value");
	ret = kvs_insert("key", 3, "", 0);
	memset(kvs_buffer, FILL, 16);
	if (ret < 0)
		EXPECT_RET(ret, -1, "L1", "it is refused");
	else
		EXPECT_RET(ret, 0, "L3", "it is kept");
	EXPECT_RET(kvs_search("key", 3, kvs_buffer, 16), ret ? 0 : 1, "L3", "a search for it");
	EXPECT_EQ(foreign(kvs_buffer, 16), 0, "L5", "bytes of others in the buffer");
	EXPECT_RET(delete_word("key"), 0, "L3", "kvs_delete of it");
	EXPECT_WORD("other", "value", "L3", "the other entry");
}

SCENARIO(replace_by_an_empty_value, "L3 L6", "A value of no bytes takes the place of another, or is refused")
{
	long ret, there;

	NEED_WORD("key", "value");
	ret = kvs_insert("key", 3, "", 0);
	memset(kvs_buffer, FILL, 16);
	there = kvs_search("key", 3, kvs_buffer, 16);
	if (ret == 0)
		EXPECT(there == 1 && !foreign(kvs_buffer, 16), "L3", "it has taken the place: nothing of the old value is copied");
	else
		EXPECT(there == 0 || (there == 1 && ktap_same_bytes(kvs_buffer, "value", 5)), "L6",
		       "it was refused: the old value is there, or none");
}

SCENARIO(lengths_around_powers_of_two, "3.5-1", "Values and keys of many lengths up to 64 KiB are found whole")
{
	static char key[65537], val[65537];
	unsigned long power, length;
	unsigned int lost = 0, wrong = 0;

	fill(key, sizeof(key), 1);
	fill(val, sizeof(val), 2);
	NEED_WORD("key", "value");
	for (power = 2; power <= 65536; power *= 2)
		for (length = power - 1; length <= power + 1; length++) {
			lost += kvs_insert("value", 5, val, length) != 0;
			wrong += !kvs_is("value", 5, val, length, length);
			lost += kvs_insert(key, length, val, 8) != 0;
			wrong += !kvs_is(key, length, val, 8, 8);
		}
	EXPECT_EQ(lost, 0, "3.5-1 3.1-2", "insertions that did not return 0");
	EXPECT_EQ(wrong, 0, "3.5-1", "entries that are not found");
}

SCENARIO(the_longest_value, "3.5-1", "A value of 4 MiB, the most that kmalloc grants, is kept, found, replaced and deleted")
{
	char *val = memory(KVS_LONGEST), *found = memory(KVS_LONGEST + PAGE_SIZE);

	fill(val, KVS_LONGEST, 1);
	EXPECT_RET(kvs_insert("key", 3, val, KVS_LONGEST), 0, "3.5-1", "kvs_insert");
	EXPECT_RET(kvs_search("key", 3, found, KVS_LONGEST), 1, "3.5-1", "kvs_search");
	EXPECT_BYTES(found, val, KVS_LONGEST, "3.5-1", "what it has found");
	val[KVS_LONGEST - 1] ^= 1;
	EXPECT_RET(kvs_insert("key", 3, val, KVS_LONGEST), 0, "3.5-1", "kvs_insert of another one");
	EXPECT_RET(kvs_search("key", 3, found, KVS_LONGEST), 1, "3.5-1", "kvs_search for it");
	EXPECT_BYTES(found, val, KVS_LONGEST, "3.5-1", "what it has found");
	EXPECT_RET(kvs_delete("key", 3), 0, "3.5-1", "kvs_delete");
	EXPECT_NONE("key", 3, "3.5-1", "a search after it");
}

SCENARIO(the_longest_key, "3.5-1", "A key of 4 MiB, the most that kmalloc grants, is a key like any other")
{
	char *key = memory(KVS_LONGEST);

	fill(key, KVS_LONGEST, 1);
	EXPECT_RET(kvs_insert(key, KVS_LONGEST, "value", 5), 0, "3.5-1", "kvs_insert");
	EXPECT_VALUE(key, KVS_LONGEST, "value", 5, "3.5-1", "its value");
	key[KVS_LONGEST - 1] ^= 1;
	EXPECT_NONE(key, KVS_LONGEST, "3.5-1", "a search for one that differs in the last byte");
	key[KVS_LONGEST - 1] ^= 1;
	EXPECT_RET(kvs_delete(key, KVS_LONGEST), 0, "3.5-1", "kvs_delete");
	EXPECT_NONE(key, KVS_LONGEST, "3.5-1", "a search after it");
}

SCENARIO(keys_that_are_too_long, "L8 S1", "A key of more than 4 MiB is a failure, whichever call gets it")
{
	char *key = memory(KVS_LONGEST + PAGE_SIZE);
	unsigned int i;

	NEED_WORD("key", "value");
	for (i = 0; i < TOO_LONG; i++) {
		EXPECT_FAILURE(kvs_insert(key, too_long[i], "new", 3), "L8 S1", "kvs_insert of 0x%x bytes",
			       (unsigned int)too_long[i]);
		EXPECT_FAILURE(kvs_search(key, too_long[i], kvs_buffer, 16), "L8 S1", "kvs_search for 0x%x bytes",
			       (unsigned int)too_long[i]);
		EXPECT_FAILURE(kvs_delete(key, too_long[i]), "L8 S1", "kvs_delete of 0x%x bytes",
			       (unsigned int)too_long[i]);
	}
	EXPECT_WORD("key", "value", "L8", "the entry that was there");
}

SCENARIO(values_that_are_too_long, "L8 S1", "A value of more than 4 MiB is a failure, and is not kept")
{
	char *val = memory(KVS_LONGEST + PAGE_SIZE);
	unsigned int i;

	NEED_WORD("key", "value");
	for (i = 0; i < TOO_LONG; i++) {
		EXPECT_FAILURE(kvs_insert("new", 3, val, too_long[i]), "L8 S1", "kvs_insert of 0x%x bytes",
			       (unsigned int)too_long[i]);
		EXPECT_NONE("new", 3, "L8", "a search for the key after it");
	}
	EXPECT_WORD("key", "value", "L8", "the entry that was there");
}

SCENARIO(both_lengths_at_once, "L8 S1", "Two lengths whose sum is small again, or too large, are two lengths")
{
	static const unsigned long lengths[] = { 0x80000000UL, 0xfffffff8UL, KVS_LONGEST + 1 };
	char *bytes = memory(KVS_LONGEST + PAGE_SIZE);
	unsigned int i, j;

	NEED_WORD("key", "value");
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++)
			EXPECT_FAILURE(kvs_insert(bytes, lengths[i], bytes, lengths[j]), "L8 S1",
				       "kvs_insert of 0x%x and 0x%x bytes", (unsigned int)lengths[i],
				       (unsigned int)lengths[j]);
	EXPECT_FAILURE(kvs_insert(bytes, 16, bytes, 0xfffffff8UL), "L8 S1", "kvs_insert of 16 and 2^32 - 8 bytes");
	EXPECT_RET(kvs_insert(bytes, KVS_LONGEST, bytes, KVS_LONGEST), 0, "3.5-1", "kvs_insert of twice 4 MiB");
	EXPECT_WORD("key", "value", "L8", "the entry that was there");
}
