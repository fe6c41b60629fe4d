<?php
// The matrix for mysqli.
require 'common.php';
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

function connect(int $flags = 0, ?string $ca = null, ?string $password = null, bool $local = false): mysqli
{
    global $env;
    $db = mysqli_init();
    if ($local) {
        $db->options(MYSQLI_OPT_LOCAL_INFILE, 1);
    }
    if ($ca !== null) {
        $db->ssl_set(null, null, $ca, null, null);
        $flags |= MYSQLI_CLIENT_SSL;
        $db->options(MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, true);
    }
    @$db->real_connect($env('HOST'), $env('USER'), $password ?? $env('PASSWORD'), $env('DB'), (int) $env('PORT'), null, $flags);
    $db->set_charset('utf8mb4');
    return $db;
}

function results(string $cell, mysqli_result $r): void
{
    foreach ($r->fetch_fields() as $f) {
        say($cell, $f->name, $f->type, $f->flags, $f->length, $f->charsetnr, $f->decimals, $f->orgtable);
    }
    sayRows($cell, $r->fetch_all(MYSQLI_ASSOC));
}

function rows(string $cell, mysqli $db, string $sql, ?array $args = null): void
{
    results($cell, $args === null ? $db->query($sql) : $db->execute_query($sql, $args));
}

function types(string $cell, bool $binary): void
{
    $db = connect();
    foreach ([1, 11, 12] as $id) {
        rows($cell, $db, "SELECT * FROM kinds WHERE id = $id");
        $row = ($binary ? $db->execute_query('SELECT * FROM kinds WHERE id = ?', [$id]) : $db->query("SELECT * FROM kinds WHERE id = $id"))->fetch_row();
        $row[0] = 100 + $id;
        [$row[15], $row[16], $row[17]] = [(int) $row[15], (int) $row[16], null];
        if ($binary) {
            rows($cell, $db, 'SELECT * FROM kinds WHERE id = ?', [$id]);
            $db->query('DELETE FROM kinds WHERE id = ' . 100 + $id);
            $st = $db->prepare('INSERT INTO kinds VALUES (' . implode(',', array_fill(0, count($row), '?')) . ')');
            $st->bind_param(implode('', array_map(fn($v) => is_int($v) ? 'i' : (is_float($v) ? 'd' : 's'), $row)), ...$row);
            $st->execute();
            rows($cell, $db, 'SELECT * FROM kinds WHERE id = ?', [100 + $id]);
        } else {
            // BIT values come as decimal numbers.
            $text = array_map(fn($v) => $v === null ? 'NULL' : (ctype_digit($v) ? $v : (preg_match('//u', $v) === 1 ? '' : '_binary ') . "'" . $db->real_escape_string($v) . "'"), array_map(fn($v) => $v === null ? null : (string) $v, $row));
            $db->query('INSERT INTO kinds VALUES (' . implode(',', $text) . ')');
            rows($cell, $db, 'SELECT * FROM kinds WHERE id = ' . 100 + $id);
        }
    }
}

echo "version\t", PHP_VERSION, "\n";
run([
    'connect' => function ($cell) use ($env) {
        $db = connect();
        say($cell, $db->query('DO 0'), $db->stat() !== false, $db->protocol_version, $db->character_set_name());
        $db->select_db($env('DB'));
        rows($cell, $db, 'SELECT 1, DATABASE(), @@autocommit');
        say($cell, $db->server_version > 100000 === str_contains($db->server_info, 'MariaDB'));
    },
    'tls' => function ($cell) use ($env) {
        rows($cell, connect(0, $env('CA')), "SELECT 'over TLS'");
        try {
            @connect(0, $env('OTHER_CA'));
            say($cell, 'a certificate of another authority was taken');
        } catch (mysqli_sql_exception $e) {
            say($cell, 'another authority', $e->getCode());
        }
    },
    'text' => fn($cell) => types($cell, false),
    'binary' => fn($cell) => types($cell, true),
    'nulls' => function ($cell) {
        rows($cell, connect(), 'SELECT * FROM kinds WHERE id = 2');
        rows($cell, connect(), 'SELECT * FROM kinds WHERE id = ?', [2]);
    },
    'utf8mb4' => function ($cell) {
        $db = connect();
        $db->execute_query('INSERT INTO people (user_id, name) VALUES (31, ?)', [TEXT4]);
        rows($cell, $db, "SELECT name, CHAR_LENGTH(name), LENGTH(name), HEX(name) AS `\u{65e5}\u{672c}` FROM people WHERE user_id = 31 AND name = '" . TEXT4 . "'");
    },
    'latin1' => function ($cell) {
        $db = connect();
        $db->set_charset('latin1');
        $db->execute_query('INSERT INTO people (user_id, name) VALUES (32, ?)', ["caf\xe9 \xfc"]);
        rows($cell, $db, "SELECT name, HEX(name), HEX('\xe9') FROM people WHERE user_id = 32");
        rows($cell, $db, 'SELECT l1, c FROM kinds WHERE id = 11');
    },
    'fractions' => function ($cell) {
        $db = connect();
        foreach (['2026-02-28 23:59:59', '2026-02-28 23:59:59.000001', '2026-02-28 23:59:59.999999'] as $i => $at) {
            $db->execute_query('INSERT INTO people (user_id, name, born, score) VALUES (33, ?, ?, ?)', ["$i", $at, "1.00$i"]);
        }
        foreach ([null, []] as $args) {
            rows($cell, $db, 'SELECT name, born, score, CAST(born AS CHAR), TIME(born) FROM people WHERE user_id = 33 ORDER BY name', $args);
        }
    },
    'blob' => function ($cell) {
        $db = connect();
        $content = large();
        $st = $db->prepare('INSERT INTO files VALUES (1, ?)');
        $null = null;
        $st->bind_param('b', $null);
        foreach (str_split($content, 1 << 20) as $part) {
            $st->send_long_data(0, $part);
        }
        $st->execute();
        $db->query("INSERT INTO files VALUES (2, _binary '" . $db->real_escape_string($content) . "')");
        foreach ([1, 2] as $id) {
            rows($cell, $db, "SELECT LENGTH(content), SHA2(content, 256) FROM files WHERE id = $id");
            $got = $db->execute_query('SELECT content FROM files WHERE id = ?', [$id])->fetch_row()[0];
            say($cell, strlen($got), hash('sha256', $got), $got === $content);
        }
    },
    'transactions' => function ($cell) {
        $db = connect();
        $names = fn() => sayRows($cell, $db->query('SELECT name FROM people WHERE user_id = 34 ORDER BY name')->fetch_all());
        $db->begin_transaction();
        $db->query("INSERT INTO people (user_id, name) VALUES (34, 'a')");
        $db->savepoint('s');
        $db->query("INSERT INTO people (user_id, name) VALUES (34, 'b')");
        $db->query('ROLLBACK TO SAVEPOINT s');
        $db->release_savepoint('s');
        $db->query("INSERT INTO people (user_id, name) VALUES (34, 'c')");
        $names();
        $db->commit();
        $names();
        $db->autocommit(false);
        $db->query('DELETE FROM people WHERE user_id = 34');
        $names();
        $db->rollback();
        $names();
    },
    'errors' => function ($cell) {
        $db = connect();
        $db->query("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')");
        foreach (BROKEN as $sql) {
            foreach ([fn() => $db->query($sql), fn() => $db->execute_query($sql)] as $f) {
                try {
                    $f();
                    say($cell, $sql, 'went well');
                } catch (mysqli_sql_exception $e) {
                    say($cell, $e->getCode(), $e->getSqlState(), $e->getMessage());
                }
            }
        }
        $db->query("SELECT CAST('x' AS SIGNED), 1/0");
        say($cell, $db->warning_count);
        say($cell, $db->query('SHOW WARNINGS')->fetch_all());
        try {
            connect(0, null, 'wrong');
            say($cell, 'a wrong password was taken');
        } catch (mysqli_sql_exception $e) {
            say($cell, $e->getCode(), $e->getSqlState());
        }
    },
    'ids' => function ($cell) {
        $db = connect();
        foreach (["INSERT INTO people (user_id, name) VALUES (36, ?)", "INSERT INTO people (user_id, name) VALUES (36, 'b'), (36, ?), (36, 'd')",
            "INSERT INTO people (user_id, name) VALUES (36, ?) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), score = 1"] as $i => $sql) {
            $db->execute_query($sql, [$i === 1 ? 'c' : 'a']);
            say($cell, 'affected', $db->affected_rows);
            $id = $db->insert_id;
            rows($cell, $db, "SELECT name, id = $id AS same FROM people WHERE user_id = 36 AND id = ?", [$id]);
            rows($cell, $db, 'SELECT LAST_INSERT_ID() = ? AS same', [$id]);
        }
        foreach (['UPDATE people SET score = 1 WHERE user_id = 36', 'UPDATE people SET score = 2 WHERE user_id = 36', "DELETE FROM people WHERE user_id = 36 AND name <> 'a'"] as $sql) {
            $db->query($sql);
            say($cell, 'affected', $db->affected_rows, $db->info ?? 'no info', $db->insert_id);
        }
        $found = connect(MYSQLI_CLIENT_FOUND_ROWS);
        $found->query('UPDATE people SET score = 2 WHERE user_id = 36');
        say($cell, 'found', $found->affected_rows);
    },
    'results' => function ($cell) {
        $db = connect();
        $db->multi_query('CALL two_results()');
        do {
            if ($r = $db->store_result()) {
                results($cell, $r);
            } else {
                say($cell, 'no rows', $db->affected_rows);
            }
        } while ($db->more_results() && $db->next_result());
        $st = $db->prepare('CALL two_results()');
        $st->execute();
        do {
            if ($r = $st->get_result()) {
                results($cell, $r);
            } else {
                say($cell, 'no rows');
            }
        } while ($st->more_results() && $st->next_result());
        $st->close();
        rows($cell, $db, "SELECT 'and after'");
    },
    'statements' => function ($cell) {
        $db = connect();
        $db->multi_query("SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37");
        do {
            if ($r = $db->store_result()) {
                results($cell, $r);
            } else {
                say($cell, 'no rows', $db->affected_rows);
            }
        } while ($db->more_results() && $db->next_result());
    },
    'streaming' => function ($cell) {
        $db = connect();
        $total = 0;
        foreach ($db->query(THOUSAND, MYSQLI_USE_RESULT) as $row) {
            $total += $row['i'] * strlen($row['x']);
        }
        say($cell, $total);
        rows($cell, $db, "SELECT 'and after'");
    },
    'cursor' => function ($cell) {
        $db = connect();
        $st = $db->prepare(THOUSAND);
        $st->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
        $st->execute();
        $st->bind_result($i, $x);
        $total = 0;
        while ($st->fetch()) {
            $total += $i * strlen($x);
        }
        say($cell, $total);
        $st->close();
        rows($cell, $db, "SELECT 'and after'");
    },
    'reset' => function ($cell) use ($env) {
        $db = connect();
        foreach (['SET @v = 1', "SET SESSION sql_mode = 'ANSI_QUOTES'", 'BEGIN', "INSERT INTO people (user_id, name) VALUES (38, 'a')"] as $sql) {
            $db->query($sql);
        }
        $db->change_user($env('USER'), $env('PASSWORD'), $env('DB'));
        rows($cell, $db, "SELECT @v, @@sql_mode LIKE '%ANSI_QUOTES%', COUNT(*) FROM people WHERE user_id = 38");
    },
    'load' => function ($cell) use ($env) {
        $db = connect(0, null, null, true);
        $db->query("LOAD DATA LOCAL INFILE '{$env('FILE')}' INTO TABLE people (user_id, name)");
        say($cell, $db->affected_rows, $db->info);
        rows($cell, $db, 'SELECT name FROM people WHERE user_id = 39 ORDER BY name');
    },
    'compression' => fn($cell) => rows($cell, connect(MYSQLI_CLIENT_COMPRESS), "SELECT LENGTH(REPEAT('x', 1000000)), REPEAT('y', 100000)"),
]);
