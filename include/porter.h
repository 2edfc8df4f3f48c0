/* porter.h - the stem of an English word: Porter's algorithm (Porter 1980, "An algorithm for suffix stripping") with
 * the changes of NLTK's default mode (NLTK_EXTENSIONS), which rouge-score uses. */
#ifndef ARKLET_PORTER_H
#define ARKLET_PORTER_H

#include <stddef.h>

/* word[0..length) holds a-z and 0-9 and becomes its stem in place, never longer. Returns the stem's length. */
size_t porter_stem(char *word, size_t length);

#endif
