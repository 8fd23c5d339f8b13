/*
 * Functions that may not be used in common/, worker/ and cli/: each has a
 * bounded, checked or stateless counterpart.  Include it last, after all
 * system headers.
 */

#ifndef LY_BANNED_H_INCLUDED_
#define LY_BANNED_H_INCLUDED_

/* a macro of the library; a macro cannot be poisoned */
#undef alloca

#pragma GCC poison strcpy strcat strncpy strncat stpcpy sprintf vsprintf
#pragma GCC poison gets strtok strtok_r atoi atol atoll atof
#pragma GCC poison strtol strtoll strtoul strtoull strtof
#pragma GCC poison gmtime localtime gmtime_r localtime_r mktime timegm
#pragma GCC poison asctime ctime strftime strptime setlocale
#pragma GCC poison system popen alloca rand srand random
#pragma GCC poison tmpnam mktemp


#endif /* LY_BANNED_H_INCLUDED_ */
