# servers.sh - functions to make, start and stop PostgreSQL servers.  To be
# sourced; wants PG_CONFIG.  Runs as the unprivileged user who owns the servers.
# A server is a folder: its data in data/, its port in port, its log in log.

bindir=$("$PG_CONFIG" --bindir)

# The user whom servers run as: never root.
server_user() {
	if [ "$(id -u)" != 0 ]; then id -un
	elif id postgres >/dev/null 2>&1; then echo postgres
	else echo nobody
	fi
}

# Runs a command as that user.
as_server_user() {
	if [ "$(id -u)" = 0 ]; then
		runuser -u "$(server_user)" -- env HOME=/tmp "$@"
	else
		"$@"
	fi
}

# A port of the loopback that nobody uses, below those of outgoing connections.
free_port() {
	perl -MSocket -e '
		for (1 .. 1000) {
			my $port = 10240 + int(rand(20000));
			socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
			next unless bind($s, sockaddr_in($port, INADDR_LOOPBACK));
			print "$port\n";
			exit 0;
		}
		die "no free port\n"'
}

# server_template FOLDER - the data folder that all servers are copies of.
server_template() {
	"$bindir/initdb" -D "$1" -U postgres -A trust --no-sync \
		--locale=C.UTF-8 --encoding=UTF8 >/dev/null
	cat >>"$1/postgresql.conf" <<-CONF
		listen_addresses = '127.0.0.1'
		unix_socket_directories = ''
		shared_preload_libraries = 'tessera'
		max_prepared_transactions = 100
		max_connections = 100
		wal_level = logical
		log_line_prefix = '%m [%p] %q%a [%e] '
	CONF
	# Late minor versions want to know the output plugins.
	if [ -n "$("$bindir/postgres" --describe-config | grep '^output_plugin_libraries')" ]; then
		echo "output_plugin_libraries = 'pgoutput, test_decoding, tessera'" >>"$1/postgresql.conf"
	fi
}

# server_create TEMPLATE FOLDER [SETTING...] - a server, not started.
server_create() {
	local template=$1 folder=$2
	shift 2
	mkdir -p "$folder"
	cp -a "$template" "$folder/data"
	[ $# = 0 ] || printf '%s\n' "$@" >>"$folder/data/postgresql.conf"
	free_port >"$folder/port"
}

# server_start FOLDER - on its port; shows the log if it cannot.
server_start() {
	"$bindir/pg_ctl" -D "$1/data" -l "$1/log" -s -w -t 60 \
		-o "-p $(cat "$1/port")" start >/dev/null || {
		tail -n 20 "$1/log" >&2
		return 1
	}
}

# server_start_anywhere FOLDER - as above; on another port if another program
# took this one in the meantime.
server_start_anywhere() {
	until server_start "$1" 2>"$1/start_errors"; do
		grep -q 'could not bind' "$1/log" || {
			cat "$1/start_errors" >&2
			return 1
		}
		rm "$1/log"
		free_port >"$1/port"
	done
}

# server_stop FOLDER [MODE] - nothing happens if it does not run.
server_stop() {
	[ ! -f "$1/data/postmaster.pid" ] ||
		"$bindir/pg_ctl" -D "$1/data" -s -w -m "${2:-fast}" stop
}

# server_psql FOLDER DATABASE [ARGUMENT...]
server_psql() {
	local folder=$1 database=$2
	shift 2
	"$bindir/psql" -X -h 127.0.0.1 -p "$(cat "$folder/port")" -U postgres \
		-d "$database" -v ON_ERROR_STOP=1 "$@"
}
