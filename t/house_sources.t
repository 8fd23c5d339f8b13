#!/usr/bin/perl

# The checks of the sources, each one a test: format, floors, style, SQL, docs,
# generated files.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

chdir dirname(abs_path($0)) . '/..' or die;
exec 'dev/check';
