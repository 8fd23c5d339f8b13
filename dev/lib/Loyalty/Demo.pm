package Loyalty::Demo;

# A tenant ready to take a shop's orders, made through the public API: a
# program, the wallet points, one rule marked base: a point per whole pound.

use strict;
use warnings;

use JSON::XS ();


# http: a Loyalty::Http to the tenant's host; key: its secret key
sub program {
    my ($http, $key, %o) = @_;

    my $program = find($http, $key, '/v1/programs', name => 'Points')
        // call($http, $key, POST => '/v1/programs', {
            name => 'Points', timezone => 'UTC',
            join_policy => 'on_first_event',
            return_policy => $o{return_policy} // 'debt',
        });

    call($http, $key, POST => "/v1/programs/$program->{id}/activate")
        if $program->{status} ne 'active';

    my $path = "/v1/programs/$program->{id}/wallets";
    find($http, $key, $path, code => 'points')
        // call($http, $key, POST => $path, {
            code => 'points', scale => 0, unit => { one => 'point', many => 'points' },
        });

    my $rule = find($http, $key, '/v1/earning-rules', name => 'base')
        // call($http, $key, POST => '/v1/earning-rules', {
            program => $program->{id}, name => 'base', draft => base_rule(),
        });

    call($http, $key, POST => "/v1/earning-rules/$rule->{id}/publish", undef,
         { Prefer => 'wait=30' }) if !$rule->{published_version};

    return $program;
}

sub base_rule {
    return {
        trigger => { event => 'order.paid' },
        effects => [{ type => 'rate', wallet => 'points', points => 1,
                      per => { amount => '1.00', currency => 'GBP' },
                      rounding => 'floor' }],
        base => JSON::XS::true,
    };
}

# the one of a list whose member has a value
sub find {
    my ($http, $key, $path, $name, $value) = @_;
    my $cursor;

    do {
        my $page = call($http, $key, GET => "$path?limit=100"
                        . ($cursor ? "&cursor=$cursor" : ''));
        for my $item (@{ $page->{data} }) {
            return $item if ($item->{$name} // '') eq $value;
        }
        $cursor = $page->{has_more} ? $page->{next_cursor} : undef;
    } while ($cursor);

    return;
}

sub call {
    my ($http, $key, $method, $path, $body, $headers) = @_;

    my $r = $http->request($method, $path,
        headers => {
            Authorization => "Bearer $key",
            ($body ? ('Content-Type' => 'application/json') : ()),
            ($method eq 'GET' ? () : ('Idempotency-Key' => 'demo-' . int(rand 1e12))),
            %{ $headers // {} },
        },
        ($body ? (body => JSON::XS->new->utf8->canonical->encode($body))
               : $method eq 'GET' ? () : (body => '')));

    if ($r->{status} < 200 || $r->{status} > 299 || $r->{status} == 202) {
        my $p = eval { JSON::XS::decode_json($r->{body}) } // {};
        die "$method $path: $r->{status} " . ($p->{code} // '') . ' '
            . ($p->{detail} // $r->{body}) . "\n";
    }
    return $r->{body} eq '' ? {} : JSON::XS::decode_json($r->{body});
}

1;
