"""Text as people write it: names, addresses, what is invisible, words to search for, cells of CSV. All pure."""
