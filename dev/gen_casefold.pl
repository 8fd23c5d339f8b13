#!/usr/bin/perl

# Writes worker/rule/rule_casefold.c and t/vectors/rules/fold.json: the simple
# case folding (status C and S of CaseFolding.txt) of the Unicode version that
# this perl knows.  Run from the root of the checkout; needs Unicode 14.

use strict;
use warnings;

use Unicode::UCD qw(casefold);

die "needs Unicode 14, this perl has ", Unicode::UCD::UnicodeVersion(), "\n"
    unless Unicode::UCD::UnicodeVersion() =~ /^14\./;

my (@pairs, @ranges);

for my $c (0 .. 0x1ffff) {
    my $f = casefold($c) or next;
    next if $f->{simple} eq '';
    my $to = hex $f->{simple};
    push @pairs, [$c, $to] if $to != $c;
}

for my $p (@pairs) {
    my ($c, $delta) = ($p->[0], $p->[1] - $p->[0]);
    my $r = $ranges[-1];

    if ($r && $r->{delta} == $delta) {
        my $step = $c - $r->{last};
        if (($r->{first} == $r->{last} && $step <= 2) || $step == $r->{step}) {
            $r->{step} = $step;
            $r->{last} = $c;
            next;
        }
    }

    push @ranges, { first => $c, last => $c, delta => $delta, step => 1 };
}

open my $json, '>', 't/vectors/rules/fold.json' or die $!;
print $json "[\n", join(",\n", map { "[$_->[0],$_->[1]]" } @pairs), "\n]\n";
close $json or die $!;

open my $c, '>', 'worker/rule/rule_casefold.c' or die $!;
print $c <<'HEAD';
/*
 * Simple case folding of Unicode 14, status C and S of CaseFolding.txt.
 * The table is written by dev/gen_casefold.pl.
 */

#include "rule_int.h"
#include "../../common/ly_banned.h"


/* each step-th code point from first to last moves by delta */
typedef struct {
    uint32_t  first;
    uint32_t  last;
    int32_t   delta;
    uint32_t  step;
} rule_casefold_t;


static const rule_casefold_t  rule_casefolds[] = {
HEAD
print $c join(",\n", map {
    sprintf '    { 0x%04x, 0x%04x, %d, %d }', @$_{qw(first last delta step)}
} @ranges), "\n};\n";
print $c <<'TAIL';


static uint32_t
rule_casefold_one(uint32_t c)
{
    size_t                  low, high, mid;
    const rule_casefold_t  *r;

    if (c < 0x80) {
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    }

    low = 0;
    high = ly_countof(rule_casefolds);

    while (low < high) {
        mid = (low + high) / 2;
        r = &rule_casefolds[mid];

        if (c > r->last) {
            low = mid + 1;

        } else if (c < r->first) {
            high = mid;

        } else {
            return (c - r->first) % r->step == 0
                   ? (uint32_t) ((int32_t) c + r->delta) : c;
        }
    }

    return c;
}


size_t
rule_casefold(ly_str_t s, unsigned char *out)
{
    size_t          i, n, k;
    uint32_t        c;
    unsigned char  *o;

    static const unsigned char  lead[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };

    o = out;

    for (i = 0; i < s.len; i += n) {
        c = s.data[i];
        n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        if (n > s.len - i) {
            n = s.len - i;      /* never in valid UTF-8 */
        }

        c &= lead[n];

        for (k = 1; k < n; k++) {
            c = c << 6 | (s.data[i + k] & 63);
        }

        c = rule_casefold_one(c);

        if (c < 0x80) {
            *o++ = (unsigned char) c;

        } else if (c < 0x800) {
            *o++ = (unsigned char) (0xc0 | c >> 6);
            *o++ = (unsigned char) (0x80 | (c & 63));

        } else if (c < 0x10000) {
            *o++ = (unsigned char) (0xe0 | c >> 12);
            *o++ = (unsigned char) (0x80 | (c >> 6 & 63));
            *o++ = (unsigned char) (0x80 | (c & 63));

        } else {
            *o++ = (unsigned char) (0xf0 | c >> 18);
            *o++ = (unsigned char) (0x80 | (c >> 12 & 63));
            *o++ = (unsigned char) (0x80 | (c >> 6 & 63));
            *o++ = (unsigned char) (0x80 | (c & 63));
        }
    }

    return (size_t) (o - out);
}
TAIL
close $c or die $!;
