// SPDX-License-Identifier: GPL-2.0-only
/* What each call does with right arguments. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

SCENARIO(keeps_a_value, "3.1-1 3.2-1", "A value that was inserted is found under its key")
{
	NEED_WORD("key", "value");
	EXPECT_WORD("key", "value", "3.1-1 3.2-1", "kvs_search finds what kvs_insert kept");
	EXPECT_WORD("key", "value", "3.1-1", "and finds it again");
}

SCENARIO(insert_returns_0, "3.1-2", "kvs_insert returns 0, for a new key, another one and one that is there")
{
	EXPECT_RET(insert_word("one", "1"), 0, "3.1-2", "a first key");
	EXPECT_RET(insert_word("another", "22"), 0, "3.1-2", "another key");
	EXPECT_RET(insert_word("one", "333"), 0, "3.1-2", "a key that is there");
}

SCENARIO(search_returns_1_or_0, "3.2-2", "kvs_search returns 1 for a key that is there and 0 for one that is not")
{
	EXPECT_NONE("key", 3, "3.2-2", "a search in an empty store");
	NEED_WORD("key", "value");
	EXPECT_RET(kvs_find("key", 3), 1, "3.2-2", "a search for a key that is there");
	EXPECT_RET(kvs_find("kez", 3), 0, "3.2-2", "a search for another key");
	EXPECT_RET(kvs_search("key", 3, kvs_buffer, 5), 1, "3.2-2", "a search with a buffer of exactly the value's size");
}

SCENARIO(many_keys_side_by_side, "3.1-1", "Each of a hundred keys has its own value")
{
	char key[8], val[40];
	unsigned int i, lost = 0;

	NEED_WORD("key", "value");
	for (i = 0; i < 100; i++) {
		fill(key, sizeof(key), i);
		fill(val, i % 40 + 1, i);
		lost += kvs_insert(key, sizeof(key), val, i % 40 + 1) != 0;
	}
	NEED_EQ(lost, 0, "3.1-2", "insertions that did not return 0");
	for (i = 0; i < 100; i++) {
		fill(key, sizeof(key), i);
		fill(val, i % 40 + 1, i);
		lost += !kvs_is(key, sizeof(key), val, i % 40 + 1, 64);
	}
	EXPECT_EQ(lost, 0, "3.1-1", "keys whose value is not found");
	EXPECT_WORD("key", "value", "3.1-1", "the key that was there before");
}

SCENARIO(replace_by_the_same_length, "3.1-3", "The new value takes the place of an old one of the same length")
{
	NEED_WORD("key", "value");
	NEED_RET(insert_word("key", "other"), 0, "3.1-2", "the second kvs_insert");
	EXPECT_WORD("key", "other", "3.1-3", "the value after it");
}

SCENARIO(replace_by_a_shorter_one, "3.1-3", "The new value takes the place of a longer old one")
{
	NEED_WORD("key", "a long value");
	NEED_RET(insert_word("key", "new"), 0, "3.1-2", "the second kvs_insert");
	EXPECT_WORD("key", "new", "3.1-3", "the value after it");
	EXPECT(kvs_is("key", 3, "new", 3, 3), "3.1-3", "the value in a buffer of exactly its size");
}

SCENARIO(replace_by_a_longer_one, "3.1-3", "The new value takes the place of a shorter old one, in full length")
{
	char longer[3000];

	fill(longer, sizeof(longer), 1);
	NEED_WORD("key", "old");
	NEED_RET(kvs_insert("key", 3, longer, sizeof(longer)), 0, "3.1-2", "the second kvs_insert");
	EXPECT_VALUE("key", 3, longer, sizeof(longer), "3.1-3", "the value after it");
}

SCENARIO(replace_again_and_again, "3.1-3", "After fifty values of growing and shrinking length the last one is found")
{
	char val[1200];
	unsigned int i, lost = 0, wrong = 0;

	NEED_WORD("other", "untouched");
	for (i = 0; i < 50; i++) {
		unsigned int length = i * 397 % 1200 + 1;

		fill(val, length, i);
		lost += kvs_insert("key", 3, val, length) != 0;
		wrong += !kvs_is("key", 3, val, length, length);
	}
	NEED_EQ(lost, 0, "3.1-2", "insertions that did not return 0");
	EXPECT_EQ(wrong, 0, "3.1-3", "values that were not found after they were inserted");
	EXPECT_WORD("other", "untouched", "3.1-3", "the value of another key");
}

SCENARIO(replaced_values_do_not_come_back, "3.1-3 3.3-1", "Where a value was replaced, one kvs_delete removes the key")
{
	NEED_WORD("key", "first");
	NEED_RET(insert_word("key", "second"), 0, "3.1-2", "the second kvs_insert");
	NEED_RET(insert_word("key", "third"), 0, "3.1-2", "the third kvs_insert");
	NEED_RET(delete_word("key"), 0, "3.3-2", "kvs_delete");
	EXPECT_NONE("key", 3, "3.1-3", "a search after it");
	NEED_RET(delete_word("key"), 0, "3.3-2", "kvs_delete again");
	EXPECT_NONE("key", 3, "3.1-3", "a search after that");
}

SCENARIO(delete_removes, "3.3-1", "After kvs_delete the key is not found")
{
	NEED_WORD("key", "value");
	NEED_RET(kvs_find("key", 3), 1, "3.2-2", "a search before it");
	NEED_RET(delete_word("key"), 0, "3.3-2", "kvs_delete");
	EXPECT_NONE("key", 3, "3.3-1", "a search after it");
}

SCENARIO(delete_returns_0, "3.3-2", "kvs_delete returns 0 for a key that is there, and for one that is not")
{
	EXPECT_RET(delete_word("key"), 0, "3.3-2", "kvs_delete in an empty store");
	NEED_WORD("key", "value");
	EXPECT_RET(delete_word("other"), 0, "3.3-2", "kvs_delete of a key that is not there");
	EXPECT_RET(delete_word("key"), 0, "3.3-2", "kvs_delete of a key that is there");
	EXPECT_RET(delete_word("key"), 0, "3.3-2", "kvs_delete of a key that is there no longer");
}

SCENARIO(delete_leaves_the_others, "3.3-1", "Of a hundred keys every third is deleted, and the others stay")
{
	char key[8];
	unsigned int i, failed = 0, lost = 0, left = 0;

	NEED_WORD("key", "value");
	for (i = 0; i < 100; i++) {
		fill(key, sizeof(key), i * 7919);
		failed += kvs_insert(key, sizeof(key), key, 4) != 0;
	}
	NEED_EQ(failed, 0, "3.1-2", "insertions that did not return 0");
	for (i = 0; i < 100; i += 3) {
		fill(key, sizeof(key), i * 7919);
		failed += kvs_delete(key, sizeof(key)) != 0;
	}
	NEED_EQ(failed, 0, "3.3-2", "calls of kvs_delete that did not return 0");
	for (i = 0; i < 100; i++) {
		fill(key, sizeof(key), i * 7919);
		if (i % 3)
			lost += !kvs_is(key, sizeof(key), key, 4, 8);
		else
			left += kvs_find(key, sizeof(key)) != 0;
	}
	EXPECT_EQ(lost, 0, "3.3-1", "keys that were not deleted and are not found");
	EXPECT_EQ(left, 0, "3.3-1", "keys that were deleted and are found");
	EXPECT_WORD("key", "value", "3.3-1", "a key of another length");
}

SCENARIO(insert_after_delete, "3.1-1 3.3-1", "A key that was deleted can be inserted again, with a new value")
{
	NEED_WORD("key", "value");
	NEED_RET(delete_word("key"), 0, "3.3-2", "kvs_delete");
	NEED_RET(insert_word("key", "new"), 0, "3.1-2", "kvs_insert after it");
	EXPECT_WORD("key", "new", "3.1-1 3.3-1", "the value after that");
}

SCENARIO(the_store_has_copies, "3.1-1", "What becomes of the caller's memory after kvs_insert is nothing to the store")
{
	char *key = memory(PAGE_SIZE), *val = memory(PAGE_SIZE);

	memcpy(key, "key", 3);
	memcpy(val, "value", 5);
	NEED_PUT(key, 3, val, 5);
	memset(key, 'x', 3);
	memset(val, 'x', 5);
	EXPECT_WORD("key", "value", "3.1-1", "the value when the memory has other bytes");
	sys2(NR_munmap, key, PAGE_SIZE);
	sys2(NR_munmap, val, PAGE_SIZE);
	EXPECT_WORD("key", "value", "3.1-1", "the value when the memory is gone");
}

SCENARIO(the_example_of_the_slides, "S5", "The four calls of the slides do what is said there")
{
	EXPECT_RET(kvs_insert("Internet Explorer", 17, "Microsoft", 9), 0, "S5", "the first kvs_insert");
	EXPECT_RET(kvs_insert("Edge", 4, "Microsoft", 9), 0, "S5", "the second kvs_insert");
	EXPECT(kvs_is("Edge", 4, "Microsoft", 9, 16), "S5", "kvs_search(\"Edge\", 4, buf, 16)");
	EXPECT_RET(kvs_delete("Internet Explorer", 17), 0, "S5", "kvs_delete");
	EXPECT_NONE("Internet Explorer", 17, "S5", "a search for it");
	EXPECT_WORD("Edge", "Microsoft", "S5", "a search for the other one");
}

SCENARIO(the_numbers_of_the_calls, "3.4-1", "The calls have their numbers, in this order, and the next number is none of them")
{
	EXPECT_RET(sys5(KVS_NR_INSERT, (long)"key", 3, (long)"value", 5, 0), 0, "3.4-1", "%d is kvs_insert", KVS_NR_INSERT);
	EXPECT_RET(sys5(KVS_NR_SEARCH, (long)"key", 3, (long)kvs_buffer, 8, 0), 1, "3.4-1", "%d is kvs_search",
		   KVS_NR_SEARCH);
	EXPECT_RET(sys5(KVS_NR_DELETE, (long)"key", 3, 0, 0, 0), 0, "3.4-1", "%d is kvs_delete", KVS_NR_DELETE);
	EXPECT_RET(sys5(KVS_NR_SEARCH, (long)"key", 3, (long)kvs_buffer, 8, 0), 0, "3.4-1", "%d has removed it",
		   KVS_NR_DELETE);
	EXPECT_RET(sys0(KVS_NR_DELETE + 1), -38, "3.4-1", "%d is no call", KVS_NR_DELETE + 1);
}
