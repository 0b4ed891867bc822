// SPDX-License-Identifier: GPL-2.0-only
/* What each call does with right arguments. */
#include "nolibc.h"
#include "ktap.h"
#include "kvs.h"

#define HUNDRED 100

static char key[8], val[40];

/* Entry number i of a hundred; the values have 1 to 40 bytes. */
static unsigned long entry(unsigned int i)
{
	fill(key, sizeof(key), i * 7919);
	fill(val, sizeof(val), i);
	return i % sizeof(val) + 1;
}

static void need_hundred(void)
{
	unsigned int i, failed = 0;

	for (i = 0; i < HUNDRED; i++) {
		unsigned long length = entry(i);

		failed += !kvs_done(kvs_insert(key, sizeof(key), val, length));
	}
	NEED_EQ(failed, 0, "3.1-2", "insertions that fail, of a hundred");
}

SCENARIO(keeps_a_value, "3.1-1", "A value that was inserted is found under its key, again and again")
{
	NEED_WORD("key", "value");
	EXPECT_WORD("key", "value", "3.1-1", "kvs_search finds what kvs_insert kept");
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
	EXPECT_RET(kvs_search("key", 3, kvs_buffer, 64), 0, "3.2-2", "a search in an empty store");
	NEED_WORD("key", "value");
	EXPECT_RET(kvs_search("key", 3, kvs_buffer, 64), 1, "3.2-2", "a search for a key that is there");
	EXPECT_RET(kvs_search("kez", 3, kvs_buffer, 64), 0, "3.2-2", "a search for another key");
	NEED_WORD("kez", "v");
	EXPECT_RET(kvs_search("kez", 3, kvs_buffer, 64), 1, "3.2-2", "a search for it when it is there");
}

SCENARIO(many_keys_side_by_side, "3.1-1", "Each of a hundred keys has its own value")
{
	unsigned int i, wrong = 0;

	NEED_WORD("key", "value");
	need_hundred();
	for (i = 0; i < HUNDRED; i++) {
		unsigned long length = entry(i);

		wrong += !kvs_is(key, sizeof(key), val, length, 64);
	}
	EXPECT_EQ(wrong, 0, "3.1-1", "keys whose value is not found");
	EXPECT_WORD("key", "value", "3.1-1", "the key that was there before");
}

SCENARIO(replace_by_the_same_length, "3.1-3", "The new value takes the place of an old one of the same length")
{
	NEED_WORD("key", "value");
	NEED_WORD("key", "other");
	EXPECT_WORD("key", "other", "3.1-3", "the value after the second kvs_insert");
}

SCENARIO(replace_by_a_shorter_one, "3.1-3", "The new value takes the place of a longer old one")
{
	NEED_WORD("key", "a long value");
	NEED_WORD("key", "new");
	EXPECT_WORD("key", "new", "3.1-3", "the value after the second kvs_insert");
	EXPECT(kvs_is("key", 3, "new", 3, 4), "3.1-3", "the value in a buffer that is hardly larger");
}

SCENARIO(replace_by_a_longer_one, "3.1-3", "The new value takes the place of a shorter old one, in full length")
{
	char longer[3000];

	fill(longer, sizeof(longer), 1);
	NEED_WORD("key", "old");
	NEED_INSERT("key", 3, longer, sizeof(longer));
	EXPECT_VALUE("key", 3, longer, sizeof(longer), "3.1-3", "the value after the second kvs_insert");
}

SCENARIO(replace_again_and_again, "3.1-3",
	  "After each of fifty values of growing and shrinking length that one is found")
{
	static char longer[1200];
	unsigned int i, failed = 0, wrong = 0;

	NEED_WORD("other", "untouched");
	for (i = 0; i < 50; i++) {
		unsigned int length = i * 397 % 1200 + 1;

		fill(longer, length, i);
		failed += !kvs_done(kvs_insert("key", 3, longer, length));
		wrong += !kvs_is("key", 3, longer, length, length + 1);
	}
	NEED_EQ(failed, 0, "3.1-2", "insertions that fail");
	EXPECT_EQ(wrong, 0, "3.1-3", "values that are not found after they were inserted");
	EXPECT_WORD("other", "untouched", "3.1-3", "the value of another key");
}

SCENARIO(replaced_values_do_not_come_back, "3.1-3", "Where a value was replaced, one kvs_delete removes the key")
{
	NEED_WORD("once", "value");
	NEED_DELETE("once", 4);
	NEED_NONE("once", 4, "3.3-1", "what was deleted is not found");
	NEED_WORD("key", "first");
	NEED_WORD("key", "second");
	NEED_WORD("key", "third");
	NEED_DELETE("key", 3);
	EXPECT_NONE("key", 3, "3.1-3", "a search after kvs_delete");
	NEED_DELETE("key", 3);
	EXPECT_NONE("key", 3, "3.1-3", "a search after another one");
}

SCENARIO(delete_removes, "3.3-1", "After kvs_delete the key is not found")
{
	NEED_WORD("key", "value");
	NEED_VALUE("key", 3, "value", 5, "3.1-1", "what was inserted is found");
	NEED_DELETE("key", 3);
	EXPECT_NONE("key", 3, "3.3-1", "a search after kvs_delete");
}

SCENARIO(delete_returns_0, "3.3-2", "kvs_delete returns 0 for a key that is there, and for one that is not")
{
	EXPECT_RET(delete_word("key"), 0, "3.3-2", "kvs_delete in an empty store");
	NEED_WORD("key", "value");
	EXPECT_RET(delete_word("other"), 0, "3.3-2", "kvs_delete of a key that is not there");
	EXPECT_RET(delete_word("key"), 0, "3.3-2", "kvs_delete of a key that is there");
	EXPECT_RET(delete_word("key"), 0, "3.3-2", "kvs_delete of a key that is there no longer");
}

SCENARIO(delete_leaves_the_others, "3.3-1", "Of a hundred keys two of three are deleted, and the others stay")
{
	unsigned int i, failed = 0, lost = 0, left = 0;

	NEED_WORD("key", "value");
	need_hundred();
	for (i = 0; i < HUNDRED; i++) {
		entry(i);
		failed += i % 3 && !kvs_done(kvs_delete(key, sizeof(key)));
	}
	NEED_EQ(failed, 0, "3.3-2", "deletions that fail");
	for (i = 0; i < HUNDRED; i++) {
		unsigned long length = entry(i);

		if (i % 3)
			left += !kvs_none(key, sizeof(key));
		else
			lost += !kvs_is(key, sizeof(key), val, length, 64);
	}
	EXPECT_EQ(lost, 0, "3.3-1", "keys that were not deleted and are not found");
	EXPECT_EQ(left, 0, "3.3-1", "keys that were deleted and are found");
	EXPECT_WORD("key", "value", "3.3-1", "a key of another length");
}

SCENARIO(insert_after_delete, "3.3-1", "A key that was deleted can be inserted again, with a new value")
{
	NEED_WORD("key", "value");
	NEED_DELETE("key", 3);
	NEED_NONE("key", 3, "3.3-1", "what was deleted is not found");
	EXPECT_DONE(insert_word("key", "new"), "3.3-1", "kvs_insert after it");
	EXPECT_WORD("key", "new", "3.3-1", "the value after that");
}

SCENARIO(the_store_has_copies, "3.1-1", "What becomes of the caller's memory after kvs_insert is nothing to the store")
{
	char *own_key = memory(PAGE_SIZE), *own_val = memory(PAGE_SIZE);

	memcpy(own_key, "key", 3);
	memcpy(own_val, "value", 5);
	NEED_INSERT(own_key, 3, own_val, 5);
	memset(own_key, 'x', 3);
	memset(own_val, 'x', 5);
	EXPECT_WORD("key", "value", "3.1-1", "the value when the memory has other bytes");
	sys2(NR_munmap, own_key, PAGE_SIZE);
	sys2(NR_munmap, own_val, PAGE_SIZE);
	EXPECT_WORD("key", "value", "3.1-1", "the value when the memory is gone");
}

SCENARIO(the_example_of_the_slides, "S5", "The four calls of the slides do what is said there")
{
	need_basics();
	EXPECT_DONE(kvs_insert("Internet Explorer", 17, "Microsoft", 9), "S5", "the first kvs_insert");
	EXPECT_DONE(kvs_insert("Edge", 4, "Microsoft", 9), "S5", "the second kvs_insert");
	EXPECT(kvs_is("Edge", 4, "Microsoft", 9, 16), "S5", "kvs_search(\"Edge\", 4, buf, 16)");
	EXPECT_DONE(kvs_delete("Internet Explorer", 17), "S5", "kvs_delete");
	EXPECT_NONE("Internet Explorer", 17, "S5", "a search for it");
	EXPECT_WORD("Edge", "Microsoft", "S5", "a search for the other one");
}

SCENARIO(the_numbers_of_the_calls, "3.4-1",
	  "The calls have their numbers, in this order, and the next number is none of them")
{
	EXPECT_DONE(kvs_insert("key", 3, "value", 5), "3.4-1", "%d is kvs_insert", KVS_NR_INSERT);
	EXPECT(kvs_is("key", 3, "value", 5, 16), "3.4-1", "%d is kvs_search", KVS_NR_SEARCH);
	EXPECT_DONE(kvs_delete("key", 3), "3.4-1", "%d is kvs_delete", KVS_NR_DELETE);
	EXPECT_RET(sys0(KVS_NR_DELETE + 1), -38, "3.4-1", "%d is no call", KVS_NR_DELETE + 1);
}
