
# The extension demands shared_preload_libraries and says so.
use strict;
use warnings;
use TesseraCluster;
use Test::More;

my $server = TesseraServer->make('alone', "shared_preload_libraries = ''");

my $message = $server->failure('CREATE EXTENSION tessera');
like($message, qr/ERROR:  55000: tessera must be loaded when the server starts/,
	'CREATE EXTENSION without the library is refused');
like($message, qr/HINT:  Add tessera to shared_preload_libraries/,
	'the hint names the setting');
is($server->query("SELECT count(*) FROM pg_extension WHERE extname = 'tessera'"),
	'0', 'nothing is left of it');
is($server->query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tessera%'"),
	'0', 'nor of its schemas');

like($server->failure("LOAD 'tessera'"), qr/ERROR:  55000: .*HINT:  Add tessera/s,
	'so is LOAD');

$server->append_conf('postgresql.conf', "shared_preload_libraries = 'tessera'");
$server->restart;
$server->query('CREATE EXTENSION tessera');
pass('with the library it is created');

# A server from which the library was taken away afterwards.
$server->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$server->restart;
is($server->query('SELECT 1'), '1', 'without the library other work goes on');
$server->query('DROP EXTENSION tessera');
is($server->query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tessera%'"),
	'0', 'and the extension can be dropped');

done_testing();
