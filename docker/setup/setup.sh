#!/bin/bash
# Makes accounts, GTID replication and the sample database shop on the servers
# of compose.yaml. It touches only what is new: run again, it leaves a shard
# alone that has its data, whichever server is the primary by then.
set -euo pipefail
export MYSQL_PWD=$MYSQL_ROOT_PASSWORD

sql() { # HOST, statements from the input
  mysql -h"$1" -uroot --batch --skip-column-names
}
ask() { # HOST STATEMENT
  echo "$2" | sql "$1"
}
has() { # HOST TABLE: whether shop has this table there
  [ "$(ask "$1" "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop' AND table_name = '$2'")" = 1 ]
}

shard() { # NAME FIRST LAST PRIMARY REPLICA...
  local name=$1 first=$2 last=$3 primary=$4 replica
  shift 4
  local fresh=()
  for replica in "$@"; do
    has "$replica" sessions || fresh+=("$replica")
  done
  if [ ${#fresh[@]} = 0 ]; then
    echo "$name: was set up before"
    return
  fi
  if ! has "$primary" sessions; then
    echo "$name: accounts and data on $primary"
    sql "$primary" <<-SQL
	CREATE USER IF NOT EXISTS 'repl'@'%' IDENTIFIED BY '$SERVERS_PASSWORD';
	GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%';
	CREATE USER IF NOT EXISTS 'shardway'@'%' IDENTIFIED BY '$SERVERS_PASSWORD';
	GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES,
	  LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, TRIGGER ON shop.* TO 'shardway'@'%';
	GRANT REPLICATION CLIENT, XA_RECOVER_ADMIN ON *.* TO 'shardway'@'%';
	GRANT ALL ON shardway.* TO 'shardway'@'%';
	CREATE USER IF NOT EXISTS 'operator'@'%' IDENTIFIED BY '$SERVERS_PASSWORD';
	GRANT PROCESS, RELOAD, REPLICATION CLIENT, SYSTEM_VARIABLES_ADMIN, REPLICATION_SLAVE_ADMIN, CONNECTION_ADMIN ON *.* TO 'operator'@'%';
	GRANT SELECT, INSERT, UPDATE, CREATE ON shardway.* TO 'operator'@'%';
	SQL
    if [ "$name" = s0 ]; then sql "$primary" </setup/settings.sql; fi
    { echo "SET @first = $first, @last = $last;"; cat /setup/shop.sql; } | sql "$primary"
  fi
  for replica in "${fresh[@]}"; do
    echo "$name: $replica follows $primary"
    # Its image may have written something of its own; it begins with nothing.
    local reset="RESET BINARY LOGS AND GTIDS"
    case $(ask "$replica" "SELECT VERSION()") in 8.0.*) reset="RESET MASTER" ;; esac
    sql "$replica" <<-SQL
	STOP REPLICA;
	SET GLOBAL super_read_only = OFF;
	$reset;
	CHANGE REPLICATION SOURCE TO SOURCE_HOST = '$primary', SOURCE_USER = 'repl', SOURCE_PASSWORD = '$SERVERS_PASSWORD',
	  SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1, SOURCE_HEARTBEAT_PERIOD = 1, SOURCE_RETRY_COUNT = 86400;
	SET PERSIST super_read_only = ON;
	START REPLICA;
	SQL
  done
  local set
  set=$(ask "$primary" "SELECT REPLACE(@@global.gtid_executed, '\n', '')")
  for replica in "${fresh[@]}"; do
    if [ "$(ask "$replica" "SELECT WAIT_FOR_EXECUTED_GTID_SET('$set', 60)")" != 0 ]; then
      echo "$name: $replica doesn't catch up with $primary:" >&2
      echo 'SHOW REPLICA STATUS\G' | sql "$replica" >&2
      exit 1
    fi
  done
}

shard s0 0 511 s0a s0b s0c
shard s1 512 1023 s1a s1b s1c
echo "both shards are set up"
