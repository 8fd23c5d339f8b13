#!/usr/bin/perl

# Faults of the configuration: nginx -t names the word at fault, and what is
# right passes.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();
use Test::More;

my $root = dirname(dirname(abs_path(__FILE__)));
my $module = "$root/bin/ngx_loyalty_module.so";
my $dir = File::Temp::tempdir('lyt-XXXXXX', DIR => '/tmp', CLEANUP => 1);

my $zone = 'loyalty_zone 2m;';
my $domain = 'loyalty_domain localhost;';
my $ring = "loyalty_keyring $dir/keyring;";
my $dir_db = 'loyalty_database_directory "host=/tmp dbname=x";';
my $read = 'loyalty_database_read "host=/tmp dbname=x";';
my $write = 'loyalty_database_write "host=/tmp dbname=x";';
my $all = "$zone $domain $ring $dir_db $read $write";
my $api = 'location / { loyalty_api on; }';

my @bad = (
    ['loyalty_zone 64x;', '', qr/invalid size "64x" of "loyalty_zone"/],
    ['loyalty_zone 64k;', '', qr/"loyalty_zone" "64k" is too small/],
    ["$zone $zone", '', qr/"loyalty_zone" directive is duplicate/],
    ['loyalty_domain exa_mple;', '', qr/invalid domain "exa_mple"/],
    ['loyalty_domain .example;', '', qr/invalid domain "\.example"/],
    ["loyalty_keyring $dir/none;", '', qr/keyring "\Q$dir\E\/none" failed \(2:/],
    ["loyalty_keyring $dir/open;", '', qr/keyring "[^"]+open" may be read by others/],
    ["loyalty_keyring $dir/broken;", '', qr/keyring "[^"]+broken" is not valid in line 2/],
    ['loyalty_database_read "host=/tmp" connections=0;', '',
     qr/invalid parameter "connections=0"/],
    ['loyalty_database_read "host=/tmp" connection=4;', '',
     qr/invalid parameter "connection=4"/],
    ['loyalty_database_read "host=db.example";', '', qr/db\.example/],
    ['loyalty_database_read "hots=/tmp";', '', qr/hots/],
    ['loyalty_redis unix:;', '', qr/in "unix:" of "loyalty_redis"/],
    ['loyalty_hint_socket ' . 'a' x 200 . ';', '', qr/too long path "[^"]*aaa" of a socket/],
    ['loyalty_address_limit burst=5;', '',
     qr/"loyalty_address_limit" must have "rate" parameter/],
    ['loyalty_address_limit rate=5;', '', qr/invalid parameter "rate=5"/],
    ['loyalty_address_limit rate=0\/s;', '', qr/invalid parameter "rate=0/],
    ['loyalty_address_limit rate=5/s burst=x;', '', qr/invalid parameter "burst=x"/],
    ['loyalty_write_queue 70000;', '', qr/must be between 0 and 65536/],
    ['loyalty_limits maybe;', '', qr/invalid value "maybe"/],
    [$all, 'location / { loyalty_api yes; }', qr/invalid value "yes" in "loyalty_api"/],
    [$all, 'location / { loyalty_auth maybe; }', qr/invalid value "maybe" in "loyalty_auth"/],
    [$all, 'location / { loyalty_auth on scope=nope:read; }',
     qr/unknown scope in "scope=nope:read"/],
    [$all, 'location / { loyalty_auth on scope=members:*; }',
     qr/unknown scope in "scope=members:\*"/],
    [$all, 'location / { loyalty_auth off scope=members:read; }',
     qr/invalid parameter "scope=members:read"/],
    [$all, 'location / { loyalty_health dead; }', qr/invalid value "dead" in "loyalty_health"/],
    ['', 'location / { loyalty_metrics; }', qr/"loyalty_metrics" needs "loyalty_zone"/],
    ['', $api, qr/"loyalty_api" needs "loyalty_zone" in \S+nginx\.conf:\d+/],
    [$zone, $api, qr/"loyalty_api" needs "loyalty_domain"/],
    ["$zone $domain", 'location / { loyalty_auth on; }',
     qr/"loyalty_auth" needs "loyalty_database_directory"/],
    ["$zone $domain $dir_db $read", $api, qr/"loyalty_api" needs "loyalty_database_write"/],
    ["$zone $domain $dir_db $read $write", $api, qr/"loyalty_api" needs "loyalty_keyring"/],
    [$all, "satisfy any; $api", qr/"satisfy any" cannot be used with "loyalty_api"/],
);

my @good = (
    [$all, $api],
    ["$zone $domain $dir_db", 'location / { loyalty_auth optional; }'],
    [$zone, 'location / { loyalty_metrics; } location /r { loyalty_health ready; }'],
    ["$all loyalty_redis 127.0.0.1; loyalty_hint_socket $dir/h; loyalty_address_limit off;"
     . ' loyalty_limits off; loyalty_body_budget 1m; loyalty_wait_max 0; loyalty_start_wait 2s;', $api],
);

plan tests => 2 * @bad + @good + 1;

put('keyring', 'key 0011223344556677 ' . key() . "\n", 0400);
put('open', 'key 0011223344556677 ' . key() . "\n", 0644);
put('broken', "# a comment\nkey 00 x\n", 0400);

for my $case (@bad) {
    my ($http, $server, $like) = @$case;
    my ($code, $text) = check($http, $server);
    isnt($code, 0, 'refused');
    like($text, $like, 'says what and where');
}

for my $case (@good) {
    my ($code, $text) = check(@$case);
    is($code, 0, 'accepted') or diag($text);
}

my ($code, $text) = example();
is($code, 0, 'so is conf/nginx.conf') or diag($text);


sub key {
    require MIME::Base64;
    open my $fh, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
    read $fh, my $bytes, 32;
    return MIME::Base64::encode_base64($bytes, '');
}

sub put {
    my ($name, $text, $mode) = @_;
    open my $fh, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print $fh $text;
    close $fh;
    chmod $mode, "$dir/$name" or die "$dir/$name: $!\n";
}

sub check {
    my ($http, $server) = @_;
    my $listen = "unix:$dir/http.sock";

    put('nginx.conf', "load_module $module;\npid $dir/pid;\nevents { }\n"
        . "http {\naccess_log off;\n"
        . temp_paths()
        . "$http\nserver {\nlisten $listen;\n$server\n}\n}\n", 0644);

    return nginx_t();
}

# the example, as it is but for paths, users and ports of this machine
sub example {
    my $conf = do { local (@ARGV, $/) = "$root/conf/nginx.conf"; <> };
    my %place = ('modules/ngx_loyalty_module.so' => $module, '/etc/loyalty/keyring' => "$dir/keyring");
    my $n = 0;

    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x"
           . " -keyout $dir/server.key -out $dir/server.pem 2>$dir/openssl.log") == 0
        or die "openssl: see $dir/openssl.log\n";
    $conf =~ s/\Q$_\E/$place{$_}/ for keys %place;
    $conf =~ s{/etc/loyalty/tls/}{$dir/}g;
    $conf =~ s{/(?:var/log/nginx|run)/}{$dir/}g;
    $conf =~ s/^user [^;]+;$//m;
    $conf =~ s/\blisten [^; ]+/'listen unix:' . "$dir\/" . $n++ . '.sock'/ge;
    $conf =~ s/^http \{$/"http {\n" . temp_paths()/me;
    put('nginx.conf', $conf, 0644);
    return nginx_t();
}

sub nginx_t {
    my $text = `nginx -t -c $dir/nginx.conf -p $dir -e $dir/error.log 2>&1`;
    return ($? >> 8, $text);
}

sub temp_paths {
    return join '', map { "${_}_temp_path $dir/$_;\n" } qw(client_body proxy fastcgi uwsgi scgi);
}
