#!/usr/bin/perl
# Writes what is derived from docs/openapi.yaml and docs/errors.yaml:
#
#   ngx_loyalty_module/ngx_loyalty_routes.inc     the tree of paths, operations
#   ngx_loyalty_module/ngx_loyalty_schemas.inc    validation of bodies, parameters
#   ngx_loyalty_module/ngx_loyalty_errors.inc     codes, statuses, titles
#   ngx_loyalty_module/ngx_loyalty_document.inc   /v1/openapi.json
#   sql/functions/00_base/error_title.sql         titles for the SQL functions
#   docs/errors.md                                the list of codes
#
# They are committed: a build needs neither this nor a YAML parser.
#
#   dev/gen_api.pl            writes what changed
#   dev/gen_api.pl --check    writes nothing, fails if a file would change
#   dev/gen_api.pl --draft    writes although SQL functions are missing
#
# Refused: a keyword that docs/openapi-subset.md does not list, a path twice, an
# operation without its SQL function, a code that docs/errors.yaml lacks.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP ();
use YAML::PP;

my $root = abs_path(dirname(abs_path($0)) . '/..');
my $check = grep { $_ eq '--check' } @ARGV;
my $draft = grep { $_ eq '--draft' } @ARGV;

my $yaml = YAML::PP->new(boolean => 'JSON::PP', schema => ['JSON'],
                         duplicate_keys => 0);
my $doc = $yaml->load_file("$root/docs/openapi.yaml");
my $errors = $yaml->load_file("$root/docs/errors.yaml");

my @faults;
my %out;

sub fault { push @faults, join('', @_); return }

# -- the subset

my %allowed = (
    document  => [qw(openapi info servers security tags paths components)],
    path      => [qw(parameters get post put patch delete)],
    operation => [qw(operationId tags summary description parameters
                     requestBody responses security x-loyalty x-errors)],
    parameter => [qw(name in required description schema x-loyalty-sealed
                     x-loyalty-missing)],
    body      => [qw(required content)],
    schema    => [qw(type description properties required additionalProperties
                     items enum const pattern format minimum maximum minLength
                     maxLength minItems maxItems minProperties maxProperties
                     default allOf x-loyalty-sealed $ref)],
    loyalty   => [qw(sql pool scope idempotency member cache wait via mint seal
                     secret etag document edge)],
);
my %allow = map { my $k = $_; $k => { map { $_ => 1 } @{ $allowed{$k} } } }
    keys %allowed;

sub keywords {
    my ($kind, $node, $where) = @_;
    for my $k (sort keys %$node) {
        fault("$where: $k is not in the subset ($kind)") if !$allow{$kind}{$k};
    }
    return;
}

sub resolve {
    my ($node, $where) = @_;
    my %seen;
    while (ref $node eq 'HASH' && exists $node->{'$ref'}) {
        my $ref = $node->{'$ref'};
        if ($seen{$ref}++ || $ref !~ m{^#/components/}) {
            fault("$where: \$ref $ref");
            return {};
        }
        my $target = $doc;
        for my $part (split m{/}, substr $ref, 2) { $target = $target->{$part} }
        if (!$target) { fault("$where: no $ref"); return {} }
        my %more = %$node;
        delete $more{'$ref'};
        $node = { %$target, %more };
    }
    return $node;
}

# -- C text

sub c_string {
    my ($s) = @_;
    utf8::encode($s) if utf8::is_utf8($s);
    $s =~ s/([\\"])/\\$1/g;
    $s =~ s/\n/\\n/g;
    $s =~ s/([^\x20-\x7e])/sprintf '\\%03o', ord $1/ge;
    $s =~ s/\?\?/?\\?/g;
    return qq{"$s"};
}

sub c_opt { return defined $_[0] ? c_string($_[0]) : 'NULL' }

sub ident { my ($s) = @_; $s =~ s/[^A-Za-z0-9]+/_/g; return lc $s }

my $HEAD = "/* Written by dev/gen_api.pl from docs/openapi.yaml; do not edit. */\n";

# -- schemas

my $schemas = '';
my %schema_name;        # canonical JSON of the resolved schema -> C name
my %used_name;
my $canon = JSON::PP->new->canonical->allow_nonref;

my %TYPE = (null => 'NULL', boolean => 'BOOL', integer => 'INTEGER',
            number => 'NUMBER', string => 'STRING', array => 'ARRAY',
            object => 'OBJECT');
my %FORMAT = ('date-time' => 'DATE_TIME', date => 'DATE', decimal => 'DECIMAL',
              email => 'EMAIL', 'member-ref' => 'MEMBER_REF',
              'http-url' => 'HTTP_URL');
my %ESCAPE = (n => "\n", r => "\r", t => "\t");

# a sequence of classes, each with a count; matched without going back
sub pattern {
    my ($text, $where) = @_;
    my $p = $text;
    if ($p !~ s/^\^// || $p !~ s/\$$//) {
        fault("$where: pattern $text is not anchored");
        return;
    }
    my @atoms;
    while (length $p) {
        my %set;
        if ($p =~ s/^\[(\^?)((?:\\.|[^\]\\])+)\]//) {
            my ($not, $in) = ($1, $2);
            my @c;
            while (length $in) {
                my $c = char(\$in, $where);
                if ($in =~ s/^-(?=.)//) {
                    my $d = char(\$in, $where);
                    push @c, ord($c) .. ord($d);
                } else {
                    push @c, ord $c;
                }
            }
            $set{$_} = 1 for @c;
            %set = map { $_ => 1 } grep { !$set{$_} } 0 .. 255 if $not;
        } elsif ($p =~ /^[][().|*+?{}^\$]/) {
            fault("$where: pattern $text is not in the subset");
            return;
        } else {
            $set{ ord char(\$p, $where) } = 1;
        }
        my ($min, $max) = (1, 1);
        if ($p =~ s/^\{(\d+)\}//) { ($min, $max) = ($1, $1) }
        elsif ($p =~ s/^\{(\d+),(\d*)\}//) { ($min, $max) = ($1, length $2 ? $2 : 65535) }
        elsif ($p =~ s/^\+//) { ($min, $max) = (1, 65535) }
        elsif ($p =~ s/^\*//) { ($min, $max) = (0, 65535) }
        elsif ($p =~ s/^\?//) { ($min, $max) = (0, 1) }
        push @atoms, [\%set, $min, $max];
    }
    for my $i (0 .. $#atoms - 1) {
        next if $atoms[$i][1] == $atoms[$i][2];
        fault("$where: pattern $text needs to go back")
            if grep { $atoms[$i + 1][0]{$_} } keys %{ $atoms[$i][0] };
    }
    return \@atoms;
}

sub char {
    my ($in, $where) = @_;
    if ($$in =~ s/^\\x([0-9a-fA-F]{2})//) { return chr hex $1 }
    if ($$in =~ s/^\\([nrt])//) { return $ESCAPE{$1} }
    if ($$in =~ s/^\\([^A-Za-z0-9])//) { return $1 }
    if ($$in =~ s/^([^\\])//) { return $1 }
    fault("$where: escape in pattern: $$in");
    $$in = '';
    return '?';
}

# gives the C name of the schema's row, written before whatever needs it
sub schema {
    my ($node, $where, $hint) = @_;
    $hint = $1 if ($node->{'$ref'} // '') =~ m{/([^/]+)$};
    my $s = resolve($node, $where);
    keywords('schema', $s, $where);

    my %plain = %$s;
    delete @plain{qw(description default x-loyalty-sealed)};
    my $key = $canon->encode(\%plain);
    return $schema_name{$key} if $schema_name{$key};

    my $name = ident($hint);
    $name .= '_' while $used_name{$name}++;
    my $pre = "ngx_loyalty_schema_$name";

    my @types = ref $s->{type} eq 'ARRAY' ? @{ $s->{type} } : ($s->{type} // ());
    fault("$where: a schema needs a type") if !@types;
    for (@types) { fault("$where: type $_") if !$TYPE{$_} }
    my $types = join ' | ', map { 'NGX_LOYALTY_TYPE_' . $TYPE{$_} } @types;

    my ($props, $nprops, $items, $closed) = ('NULL', 0, 'NULL', 0);
    if (grep { $_ eq 'object' } @types) {
        my %required = map { $_ => 1 } @{ $s->{required} // [] };
        my @rows;
        for my $p (sort keys %{ $s->{properties} // {} }) {
            my $raw = $s->{properties}{$p};
            my $child = schema($raw, "$where/$p", "${hint}_$p");
            my $r = resolve($raw, "$where/$p");
            my $preset = exists $r->{default} ? $canon->encode($r->{default}) : undef;
            push @rows, sprintf("    { ly_str_init(%s), &%s, %s, %d, %d }",
                c_string($p), $child, c_opt($preset),
                delete $required{$p} ? 1 : 0, $r->{'x-loyalty-sealed'} ? 1 : 0);
        }
        fault("$where: required, but no property: $_") for sort keys %required;
        fault("$where: more than 64 properties") if @rows > 64;
        if (@rows) {
            $schemas .= "static const ngx_loyalty_property_t  ${pre}_properties[] = {\n"
                . join(",\n", @rows) . "\n};\n\n";
            ($props, $nprops) = ("${pre}_properties", scalar @rows);
        }
        my $more = $s->{additionalProperties};
        if (ref $more eq 'HASH') {
            $items = '&' . schema($more, "$where/*", "${hint}_more");
        } elsif (defined $more && !$more) {
            $closed = 1;
        }
    }
    if (grep { $_ eq 'array' } @types) {
        fault("$where: array without items") if !$s->{items};
        fault("$where: array and object in one") if $items ne 'NULL';
        $items = '&' . schema($s->{items}, "$where/-", "${hint}_item") if $s->{items};
    }

    my ($values, $nvalues) = ('NULL', 0);
    my @enum = exists $s->{const} ? ($s->{const}) : @{ $s->{enum} // [] };
    if (@enum) {
        if (grep { ref || /^-?\d+$/ } @enum) {
            fault("$where: only texts in enum and const of a request");
        }
        $schemas .= "static const ly_str_t  ${pre}_values[] = {\n"
            . join(",\n", map { "    ly_str_init(" . c_string($_) . ")" } @enum)
            . "\n};\n\n";
        ($values, $nvalues) = ("${pre}_values", scalar @enum);
    }

    my ($atoms, $natoms) = ('NULL', 0);
    if (defined $s->{pattern}) {
        my $list = pattern($s->{pattern}, $where) // [];
        my @rows;
        for my $a (@$list) {
            my @w = (0) x 8;
            $w[$_ >> 5] |= 1 << ($_ & 31) for keys %{ $a->[0] };
            push @rows, sprintf("    { { %s },\n      %d, %d }",
                join(', ', map { sprintf '0x%08x', $_ } @w), $a->[1], $a->[2]);
        }
        $schemas .= "static const ngx_loyalty_atom_t  ${pre}_atoms[] = {\n"
            . join(",\n", @rows) . "\n};\n\n";
        ($atoms, $natoms) = ("${pre}_atoms", scalar @rows);
    }

    my ($when, $nwhen) = ('NULL', 0);
    if ($s->{allOf}) {
        my @rows;
        for my $c (@{ $s->{allOf} }) {
            my $if = $c->{if}{properties};
            my ($member) = keys %{ $if // {} };
            my $need = $c->{then}{required};
            if (join(',', sort keys %$c) ne 'if,then' || keys %$if != 1
                || !defined $if->{$member}{const} || !$need || @$need != 1)
            {
                fault("$where: allOf is not of the subset's form");
                next;
            }
            push @rows, sprintf("    { ly_str_init(%s), ly_str_init(%s),\n      ly_str_init(%s) }",
                c_string($member), c_string($if->{$member}{const}), c_string($need->[0]));
        }
        $schemas .= "static const ngx_loyalty_when_t  ${pre}_when[] = {\n"
            . join(",\n", @rows) . "\n};\n\n";
        ($when, $nwhen) = ("${pre}_when", scalar @rows);
    }

    my $format = 'NONE';
    if (defined $s->{format}) {
        $format = $FORMAT{ $s->{format} } // fault("$where: format $s->{format}");
        $format //= 'NONE';
    }

    my $min = $s->{minLength} // $s->{minItems} // $s->{minProperties} // 0;
    my $max = $s->{maxLength} // $s->{maxItems} // $s->{maxProperties};
    my $low = $s->{minimum} // 'INT64_MIN';
    my $high = $s->{maximum} // 'INT64_MAX';
    $low = "${low}LL" if $low =~ /\d$/ && $low =~ /^-?\d+$/;
    $high = "${high}LL" if $high =~ /^-?\d+$/;

    $schemas .= "static const ngx_loyalty_schema_t  $pre = {\n"
        . "    $types,\n"
        . "    NGX_LOYALTY_FORMAT_$format, $closed,\n"
        . "    $low, $high,\n"
        . "    $min, " . (defined $max ? $max : 'UINT32_MAX') . ",\n"
        . "    $props, $nprops,\n"
        . "    $items,\n"
        . "    $values, $nvalues,\n"
        . "    $atoms, $natoms,\n"
        . "    $when, $nwhen\n"
        . "};\n\n";

    $schema_name{$key} = $pre;
    return $pre;
}

# -- operations

my %METHOD = (get => 'GET', post => 'POST', put => 'PUT', patch => 'PATCH',
              delete => 'DELETE');
my @ORDER = qw(get post put patch delete);
my %SLOT = map { $ORDER[$_] => $_ } 0 .. $#ORDER;

# name -> [arguments, those without a default]
my %sql;
for my $file (sort glob "$root/sql/functions/*/*.sql") {
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    my $text = <$fh>;
    close $fh or die "$file: $!\n";
    while ($text =~ /create\s+or\s+replace\s+function\s+(api\.\w+)\s*\(([^()]*)\)/g) {
        my ($name, $args) = ($1, $2);
        my @args = grep { /\S/ } split /,/, $args;
        $sql{$name} = [scalar(@args), scalar grep { !/\bdefault\b/i } @args];
    }
}

my (%tree, %operation, @operations, %shape);
my $waits = 0;
my %wait_id;
my $LOAD = '';

sub statement {
    my ($id, $function, $params) = @_;
    my ($short) = $function =~ /\.(\w+)$/;
    my $sql = "select status, headers, body, changes from $function("
        . join(', ', map { "\$$_" } 1 .. $params) . ')';
    return sprintf "{ %d, %s,\n          %s,\n          %d }",
        $id, c_string($short), c_string($sql), $params;
}

sub need_sql {
    my ($function, $params, $where) = @_;
    my $have = $sql{$function};
    return if $draft;
    if (!$have) {
        fault("$where: no file under sql/functions has $function");
    } elsif ($params > $have->[0] || $params < $have->[1]) {
        fault("$where: $function takes $have->[1] to $have->[0] arguments, not $params");
    }
    return;
}

keywords('document', $doc, 'document');

for my $path (sort keys %{ $doc->{paths} }) {
    my $item = $doc->{paths}{$path};
    keywords('path', $item, $path);

    (my $shape = $path) =~ s/\{[^}]*\}/{}/g;
    fault("$path: the same path as $shape{$shape}") if $shape{$shape};
    $shape{$shape} = $path;

    for my $method (@ORDER) {
        my $op = $item->{$method} or next;
        my $where = uc($method) . " $path";
        keywords('operation', $op, $where);

        my $id = $op->{operationId};
        my $x = $op->{'x-loyalty'};
        if (!$id || !$x) { fault("$where: operationId, x-loyalty"); next }
        fault("$where: operationId $id twice") if $operation{$id}++;
        keywords('loyalty', $x, $where);

        for my $code (@{ $op->{'x-errors'} // [] }) {
            fault("$where: no code $code in errors.yaml") if !$errors->{$code};
        }
        for my $status (sort keys %{ $op->{responses} }) {
            responses($op->{responses}{$status}, "$where $status");
        }
        next if $x->{edge};

        push @operations, [$path, $method, $op, $item, $where];
    }
}

# answers are checked by the tests, not by the module: any schema will do, but
# its references must be there
sub responses {
    my ($node, $where) = @_;
    if (ref $node eq 'HASH') {
        resolve($node, $where) if $node->{'$ref'};
        responses($_, $where) for values %$node;
    } elsif (ref $node eq 'ARRAY') {
        responses($_, $where) for @$node;
    }
    return;
}

my $routes = '';
my $index = 0;

for my $o (@operations) {
    my ($path, $method, $op, $item, $where) = @$o;
    my $x = $op->{'x-loyalty'};
    my $id = $op->{operationId};
    my $pre = "ngx_loyalty_operation_$id";

    my @names = $path =~ /\{([^}]+)\}/g;
    my (%param, @query, %header);
    my ($cursor, $limit) = (0, 0);

    for my $raw (@{ $item->{parameters} // [] }, @{ $op->{parameters} // [] }) {
        my $p = resolve($raw, $where);
        keywords('parameter', $p, "$where $p->{name}");
        if ($p->{in} eq 'path') {
            $param{ $p->{name} } = $p;
        } elsif ($p->{in} eq 'header') {
            $header{ $p->{name} } = $p;
        } elsif ($p->{name} eq 'cursor') {
            $cursor = 1;
        } else {
            push @query, $p;
        }
    }

    my @rows;
    for my $n (@names) {
        my $p = $param{$n};
        if (!$p) { fault("$where: {$n} is not declared"); next }
        my $missing = $p->{'x-loyalty-missing'} // 'not_found';
        fault("$where: no code $missing") if !$errors->{$missing};
        push @rows, sprintf("    { &%s, %s }",
            schema($p->{schema}, "$where {$n}", $n), c_string($missing));
    }
    my $paths = 'NULL';
    if (@rows) {
        $paths = "${pre}_path";
        $routes .= "static const ngx_loyalty_path_t  ${pre}_path[] = {\n"
            . join(",\n", @rows) . "\n};\n\n";
    }

    @rows = ();
    for my $p (@query) {
        my $s = resolve($p->{schema}, $where);
        my $preset = exists $s->{default} ? "$s->{default}" : undef;
        push @rows, sprintf("    { ly_str_init(%s), &%s, %s, %d, %d }",
            c_string($p->{name}), schema($p->{schema}, "$where ?$p->{name}", $p->{name}),
            c_opt($preset), $p->{required} ? 1 : 0, $p->{'x-loyalty-sealed'} ? 1 : 0);
    }
    my $queries = 'NULL';
    if (@rows) {
        $queries = "${pre}_query";
        $routes .= "static const ngx_loyalty_query_t  ${pre}_query[] = {\n"
            . join(",\n", @rows) . "\n};\n\n";
    }

    my $body = 'NULL';
    if (my $b = $op->{requestBody}) {
        keywords('body', $b, $where);
        my $s = $b->{content}{'application/json'}{schema};
        fault("$where: a body is application/json") if !$s;
        $body = '&' . schema($s, "$where body", "${id}_body") if $s;
    }

    my $statement = '{ 0, NULL, NULL, 0 }';
    if (my $f = $x->{sql}) {
        my $params = 2 + @names + @query + ($body ne 'NULL' ? 1 : 0);
        need_sql($f, $params, $where);
        $statement = statement($index, $f, $params);
        fault("$where: pool") if ($x->{pool} // '') !~ /^(read|write)$/;
    } elsif (!$x->{document}) {
        fault("$where: neither sql nor document");
    }

    my $wait = '{ 0, NULL, NULL, 0 }';
    if (my $f = $x->{wait}) {
        need_sql($f, 3, $where);
        $wait_id{$f} //= 128 + $waits++;
        $wait = statement($wait_id{$f}, $f, 3);
    }

    my $scope = $x->{scope} // '';
    my ($access, $bits) = ('SCOPE', '0');
    if ($scope eq 'any') { $access = 'ANY' }
    elsif ($scope eq 'public') { $access = 'PUBLIC' }
    elsif ($scope =~ /^[a-z-]+:[a-z]+$/) {
        (my $n = uc $scope) =~ s/[^A-Z]/_/g;
        $bits = "1ULL << NGX_LOYALTY_SCOPE_N_$n";
    } else { fault("$where: scope $scope") }

    my %idem = (none => 0, optional => 1, required => 2);
    my $idem = $idem{ $x->{idempotency} // 'none' };
    fault("$where: idempotency") if !defined $idem;
    my $key = $header{'Idempotency-Key'};
    fault("$where: Idempotency-Key and x-loyalty differ")
        if ($idem == 0) != !$key || ($idem == 2) != ($key && $key->{required} ? 1 : 0);
    my $match = $header{'If-Match'} ? ($header{'If-None-Match'} ? 2 : 1) : 0;
    my $member = $x->{member} // '';
    fault("$where: member") if $member !~ /^(|path|body)$/;
    fault("$where: member: path") if $member eq 'path' && !grep { $_ eq 'member' } @names;
    my %secret = (none => 0, webhook => 1);
    my %one = (cache => ['balances'], via => ['worker'], secret => ['webhook']);
    for my $k (sort keys %one) {
        fault("$where: $k: $x->{$k}")
            if defined $x->{$k} && !grep { $_ eq $x->{$k} } @{ $one{$k} };
    }

    my $batch = ($x->{wait} // '') eq 'api.event_batch_result' ? 1 : 0;
    my $write = ($x->{pool} // 'read') eq 'write' ? 1 : 0;

    $routes .= "static const ngx_loyalty_operation_t  $pre = {\n"
        . "    { ngx_string(" . c_string($id) . "), $index, $bits,\n"
        . "      NGX_LOYALTY_ACCESS_$access, $write, $batch },\n"
        . "    NGX_HTTP_$METHOD{$method},\n"
        . "    $statement,\n"
        . "    $wait,\n"
        . "    $paths, " . @names . ",\n"
        . "    $queries, " . @query . ",\n"
        . "    $body,\n"
        . "    " . c_opt($x->{mint}) . ",\n"
        . "    $idem, $match, " . ($secret{ $x->{secret} // 'none' } // 0) . ",\n"
        . "    " . join(', ',
            $cursor,
            $header{Prefer} ? 1 : 0,
            $x->{etag} ? 1 : 0,
            $x->{seal} ? 1 : 0,
            ($x->{cache} // '') eq 'balances' ? 1 : 0,
            ($x->{via} // '') eq 'worker' ? 1 : 0,
            $member eq 'path' ? 1 : 0,
            $member eq 'body' ? 1 : 0,
            ($x->{sql} // '') =~ /^api\.event_(create|batch)$/ ? 1 : 0,
            $x->{document} ? 1 : 0) . "\n"
        . "};\n\n";

    my $node = \%tree;
    my @segments = split m{/}, substr $path, 1;
    for my $s (@segments) {
        $node = $node->{ $s =~ /^\{/ ? '{}' : $s } //= {};
    }
    $node->{ops}{$method} = $pre;
    $index++;
}

fault("more than 128 operations") if $index > 128;

my $nodes = '';
my $count = 0;

sub tree {
    my ($node, $literal) = @_;
    my @names = sort grep { ref $node->{$_} eq 'HASH' && $_ ne 'ops' && $_ ne '{}' } keys %$node;
    my @children = map { tree($node->{$_}, $_) } @names;
    my $capture = $node->{'{}'} ? tree($node->{'{}'}, undef) : undef;
    my $n = $count++;
    if (@children) {
        $nodes .= "static const ngx_loyalty_node_t  *const ngx_loyalty_children_${n}[] = {\n"
            . join(",\n", map { "    &ngx_loyalty_node_$_" } @children) . "\n};\n\n";
    }
    my @ops = map { $node->{ops}{$_} ? "&$node->{ops}{$_}" : 'NULL' } @ORDER;
    my $allow = join ' | ', map { "NGX_HTTP_$METHOD{$_}" } grep { $node->{ops}{$_} } @ORDER;
    $nodes .= "static const ngx_loyalty_node_t  ngx_loyalty_node_${n} = {\n"
        . "    ly_str_init(" . c_string($literal // '') . "),\n"
        . "    " . (@children ? "ngx_loyalty_children_${n}" : 'NULL') . ', '
        . scalar(@children) . ",\n"
        . "    " . (defined $capture ? "&ngx_loyalty_node_$capture" : 'NULL') . ",\n"
        . "    { " . join(",\n      ", @ops) . " },\n"
        . "    " . ($allow || '0') . "\n};\n\n";
    return $n;
}

my $top = tree(\%tree, '');

$routes .= $nodes
    . "static const ngx_loyalty_node_t  *const ngx_loyalty_tree = &ngx_loyalty_node_$top;\n\n"
    . "static const ngx_loyalty_operation_t  *const ngx_loyalty_operations[] = {\n"
    . join(",\n", map { "    &ngx_loyalty_operation_$_->[2]{operationId}" } @operations)
    . "\n};\n";

$out{'ngx_loyalty_module/ngx_loyalty_schemas.inc'} = "$HEAD\n\n$schemas";
$out{'ngx_loyalty_module/ngx_loyalty_routes.inc'} = "$HEAD\n\n$routes";

# -- errors

my @codes = sort keys %$errors;
for my $code (@codes) {
    my $e = $errors->{$code};
    fault("errors.yaml: $code")
        if $code !~ /^[a-z_]+(\.[a-z_0-9]+)?$/
        || join(',', sort keys %$e) ne 'explanation,status,title';
}

$out{'ngx_loyalty_module/ngx_loyalty_errors.inc'} =
    "/* Written by dev/gen_api.pl from docs/errors.yaml; do not edit. */\n\n\n"
    . "#define NGX_LOYALTY_API_VERSION  " . c_string($doc->{info}{version}) . "\n\n\n"
    . "/* in the order of the codes' bytes */\n"
    . "static const ngx_loyalty_error_t  ngx_loyalty_errors[] = {\n"
    . join(",\n", map {
        sprintf "    { ly_str_init(%s), %d,\n      ly_str_init(%s) }",
            c_string($_), $errors->{$_}{status}, c_string($errors->{$_}{title})
      } @codes)
    . "\n};\n";

sub sql_text { my ($s) = @_; $s =~ s/'/''/g; return "'$s'" }

$out{'sql/functions/00_base/error_title.sql'} = <<"SQL";
-- Titles of the codes of problems. Written by dev/gen_api.pl from docs/errors.yaml; do not edit.
-- Refuses nothing (an unknown code is its own title), locks nothing, writes nothing.

create or replace function loyalty.problem_title(p_code text) returns text
language plpgsql immutable parallel safe as
\$\$
begin
    return case p_code
@{[ join "\n", map { "        when " . sql_text($_) . " then "
                     . sql_text($errors->{$_}{title}) } @codes ]}
        else p_code
    end;
end
\$\$;
comment on function loyalty.problem_title(text) is 'title of a problem';
SQL

my $md = <<'MD';
# Errors

Written by `dev/gen_api.pl` from `docs/errors.yaml`; do not edit.

An error is `application/problem+json` (RFC 9457). `code` says which of these it is, `type` is `urn:loyalty:problem:` and the code, `instance` is the request id. `errors` names every fault of the input at once: `pointer` is a JSON Pointer into the body (`parameter` the name of a query parameter), `code` one of the codes of status 422 or 400 below.

| status | code | title | what to do |
| --- | --- | --- | --- |
MD
for my $code (sort { $errors->{$a}{status} <=> $errors->{$b}{status} || $a cmp $b } @codes) {
    my $e = $errors->{$code};
    $md .= "| $e->{status} | `$code` | $e->{title} | $e->{explanation} |\n";
}
$out{'docs/errors.md'} = $md;

# -- the document that is served: without what only concerns the module

sub public {
    my ($node) = @_;
    if (ref $node eq 'HASH') {
        my %h;
        for my $k (keys %$node) {
            if ($k eq 'x-loyalty') {
                $h{'x-scope'} = $node->{$k}{scope};
            } elsif ($k !~ /^x-loyalty-/) {
                $h{$k} = public($node->{$k});
            }
        }
        return \%h;
    }
    return [map { public($_) } @$node] if ref $node eq 'ARRAY';
    return $node;
}

my $json = JSON::PP->new->canonical->utf8->encode(public($doc));
my $text = '';
my $rest = $json;
while (length $rest) {
    my $piece = substr $rest, 0, 60, '';
    $text .= "    " . c_string($piece) . "\n";
}
$out{'ngx_loyalty_module/ngx_loyalty_document.inc'} = "$HEAD\n\n"
    . "static const char  ngx_loyalty_document_text[] =\n"
    . substr($text, 0, -1) . ";\n";

# -- writing

if (@faults) {
    print STDERR "gen_api: $_\n" for @faults;
    exit 1;
}

my $changed = 0;
for my $name (sort keys %out) {
    my $file = "$root/$name";
    my $old = '';
    if (open my $fh, '<:raw', $file) {
        local $/;
        $old = <$fh> // '';
        close $fh or die "$file: $!\n";
    }
    my $new = $out{$name};
    utf8::encode($new) if utf8::is_utf8($new);
    next if $old eq $new;
    $changed++;
    if ($check) {
        print STDERR "gen_api: $name is not what the contract says\n";
        next;
    }
    open my $fh, '>:raw', $file or die "$file: $!\n";
    print {$fh} $new or die "$file: $!\n";
    close $fh or die "$file: $!\n";
    print "gen_api: wrote $name\n";
}

exit($check && $changed ? 1 : 0);
