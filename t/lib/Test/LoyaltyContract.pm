package Test::LoyaltyContract;

# docs/openapi.yaml for tests: its operations, and a validator of answers for
# the keywords of docs/openapi-subset.md.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP ();
use YAML::PP;

my $ROOT = abs_path(dirname(abs_path(__FILE__)) . '/../../..');

sub new {
    my ($class) = @_;
    my $yaml = YAML::PP->new(boolean => 'JSON::PP', schema => ['JSON']);
    my $self = bless { doc => $yaml->load_file("$ROOT/docs/openapi.yaml"),
                       errors => $yaml->load_file("$ROOT/docs/errors.yaml") },
        $class;
    return $self;
}

# [{id, method, path, op, x, parameters, body, example, status => {…}}]
sub operations {
    my ($self) = @_;
    my @list;
    for my $path (sort keys %{ $self->{doc}{paths} }) {
        my $item = $self->{doc}{paths}{$path};
        for my $method (qw(get post put patch delete)) {
            my $op = $item->{$method} or next;
            my $body = $op->{requestBody}{content}{'application/json'};
            my $example = $body->{example};
            if ($body->{examples}) {
                my ($first) = sort keys %{ $body->{examples} };
                $example = $body->{examples}{order}{value} // $body->{examples}{$first}{value};
            }
            push @list, {
                id => $op->{operationId}, method => uc $method, path => $path,
                op => $op, x => $op->{'x-loyalty'},
                parameters => [map { $self->resolve($_) }
                    @{ $item->{parameters} // [] }, @{ $op->{parameters} // [] }],
                body => $body ? $body->{schema} : undef, example => $example,
            };
        }
    }
    return @list;
}

sub resolve {
    my ($self, $node) = @_;
    while (ref $node eq 'HASH' && $node->{'$ref'}) {
        my $t = $self->{doc};
        $t = $t->{$_} for split m{/}, substr $node->{'$ref'}, 2;
        my %more = %$node;
        delete $more{'$ref'};
        $node = { %$t, %more };
    }
    return $node;
}

# the schema of an answer of an operation, undef where the body is empty
sub answer {
    my ($self, $op, $status, $type) = @_;
    my $r = $op->{op}{responses}{$status};
    $r //= $op->{op}{responses}{default} if $status >= 400;
    return if !$r;
    $r = $self->resolve($r);
    return $r->{content}{$type}{schema} if $r->{content};
    return;
}

sub declared {
    my ($self, $op, $status) = @_;
    return 1 if $op->{op}{responses}{$status};
    return $status >= 400 && $op->{op}{responses}{default} ? 1 : 0;
}

# what is wrong with a value: a list of sentences
sub faults {
    my ($self, $schema, $v, $at) = @_;
    my $s = $self->resolve($schema);
    $at //= '';
    my @out;

    my $type = _type($v);
    my @types = ref $s->{type} eq 'ARRAY' ? @{ $s->{type} } : ($s->{type} // ());
    if (@types && !grep { $_ eq $type || $_ eq 'number' && $type eq 'integer' } @types) {
        return "$at: $type, not @types";
    }

    if (exists $s->{const} && !(defined $v && "$v" eq "$s->{const}")) {
        push @out, "$at: not the constant $s->{const}";
    }
    if ($s->{enum} && defined $v && !ref $v && !grep { "$_" eq "$v" } @{ $s->{enum} }) {
        push @out, "$at: $v is not in the enum";
    }
    if ($type eq 'string') {
        push @out, "$at: $v does not match $s->{pattern}"
            if defined $s->{pattern} && $v !~ /$s->{pattern}/;
        push @out, "$at: too long" if defined $s->{maxLength} && length $v > $s->{maxLength};
        push @out, "$at: too short" if defined $s->{minLength} && length $v < $s->{minLength};
        push @out, "$at: $v is no time of six places in UTC"
            if ($s->{format} // '') eq 'date-time'
               && $v !~ /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
    }
    if ($type eq 'integer') {
        push @out, "$at: $v is below $s->{minimum}"
            if defined $s->{minimum} && $v < $s->{minimum};
        push @out, "$at: $v is above $s->{maximum}"
            if defined $s->{maximum} && $v > $s->{maximum};
    }
    if ($type eq 'object') {
        for my $k (@{ $s->{required} // [] }) {
            push @out, "$at: no $k" if !exists $v->{$k};
        }
        for my $k (sort keys %$v) {
            my $p = $s->{properties}{$k};
            if ($p) {
                push @out, $self->faults($p, $v->{$k}, "$at/$k");
            } elsif (defined $s->{additionalProperties}
                     && !ref $s->{additionalProperties} && !$s->{additionalProperties}) {
                push @out, "$at: unknown $k";
            }
        }
    }
    if ($type eq 'array' && $s->{items}) {
        my $i = 0;
        push @out, $self->faults($s->{items}, $_, "$at/" . $i++) for @$v;
    }
    return @out;
}

sub _type {
    my ($v) = @_;
    return 'null' if !defined $v;
    return 'object' if ref $v eq 'HASH';
    return 'array' if ref $v eq 'ARRAY';
    return 'boolean' if ref $v;
    my $json = JSON::PP->new->allow_nonref->encode($v);
    return 'string' if $json =~ /^"/;
    return $json =~ /^-?\d+$/ ? 'integer' : 'number';
}

1;
