<?php
// The matrix for PDO: pdo.php native|emulated says who prepares.
require 'common.php';
$native = $argv[1] === 'native';

function connect(array $more = [], string $charset = 'utf8mb4', ?string $password = null): PDO
{
    global $env, $native;
    $dsn = "mysql:host={$env('HOST')};port={$env('PORT')};dbname={$env('DB')};charset=$charset";
    return new PDO($dsn, $env('USER'), $password ?? $env('PASSWORD'), $more + [
        PDO::ATTR_EMULATE_PREPARES => !$native, PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
    ]);
}

function ask(PDO $db, string $sql, array $args = []): PDOStatement
{
    $st = $db->prepare($sql);
    $st->execute($args);
    return $st;
}

function rows(string $cell, PDO $db, string $sql, array $args = []): void
{
    $st = ask($db, $sql, $args);
    for ($i = 0; $i < $st->columnCount(); $i++) {
        $m = $st->getColumnMeta($i);
        say($cell, $m['name'], $m['native_type'] ?? 'no type', (string) $m['len'], (string) $m['precision'], implode(',', $m['flags']));
    }
    sayRows($cell, $st->fetchAll());
}

function types(string $cell): void
{
    $db = connect();
    foreach ([1, 11, 12] as $id) {
        rows($cell, $db, 'SELECT * FROM kinds WHERE id = ?', [$id]);
        $row = ask($db, 'SELECT * FROM kinds WHERE id = ?', [$id])->fetch(PDO::FETCH_NUM);
        $row[0] = 100 + $id;
        [$row[15], $row[16], $row[17]] = [(int) $row[15], (int) $row[16], null];
        $st = $db->prepare('INSERT INTO kinds VALUES (' . implode(',', array_fill(0, count($row), '?')) . ')');
        foreach ($row as $i => $v) {
            // BIT values come as numbers, the rest goes as it came.
            $st->bindValue($i + 1, $v, is_int($v) ? PDO::PARAM_INT : (is_string($v) && !preg_match('//u', $v) === 1 ? PDO::PARAM_LOB : PDO::PARAM_STR));
        }
        $st->execute();
        rows($cell, $db, 'SELECT * FROM kinds WHERE id = ?', [100 + $id]);
    }
}

echo "version\t", PHP_VERSION, "\n";
run([
    'connect' => function ($cell) use ($env) {
        $db = connect();
        rows($cell, $db, 'SELECT 1, DATABASE(), @@autocommit');
        $db->exec('USE ' . $env('DB'));
        $again = connect([PDO::ATTR_PERSISTENT => true]);
        rows($cell, $again, "SELECT 'and again'");
    },
    'tls' => function ($cell) use ($env) {
        $db = connect([PDO::MYSQL_ATTR_SSL_CA => $env('CA')]);
        rows($cell, $db, "SELECT 'over TLS'");
        try {
            @connect([PDO::MYSQL_ATTR_SSL_CA => $env('OTHER_CA')]);
            say($cell, 'a certificate of another authority was taken');
        } catch (PDOException $e) {
            say($cell, 'another authority', $e->getCode());
        }
    },
    $native ? 'binary' : 'text' => types(...),
    'nulls' => fn($cell) => rows($cell, connect(), 'SELECT * FROM kinds WHERE id = ?', [2]),
    'utf8mb4' => function ($cell) {
        $db = connect();
        ask($db, 'INSERT INTO people (user_id, name) VALUES (31, ?)', [TEXT4]);
        rows($cell, $db, "SELECT name, CHAR_LENGTH(name), LENGTH(name), HEX(name) AS `\u{65e5}\u{672c}` FROM people WHERE user_id = 31 AND name = ?", [TEXT4]);
    },
    'latin1' => function ($cell) {
        $db = connect([], 'latin1');
        ask($db, 'INSERT INTO people (user_id, name) VALUES (32, ?)', ["caf\xe9 \xfc"]);
        rows($cell, $db, "SELECT name, HEX(name), HEX('\xe9') FROM people WHERE user_id = 32");
        rows($cell, $db, 'SELECT l1, c FROM kinds WHERE id = 11');
    },
    'fractions' => function ($cell) {
        $db = connect();
        foreach (['2026-02-28 23:59:59', '2026-02-28 23:59:59.000001', '2026-02-28 23:59:59.999999'] as $i => $at) {
            ask($db, 'INSERT INTO people (user_id, name, born, score) VALUES (33, ?, ?, ?)', ["$i", $at, "1.00$i"]);
        }
        rows($cell, $db, 'SELECT name, born, score, CAST(born AS CHAR), TIME(born) FROM people WHERE user_id = 33 AND born >= ? ORDER BY name', ['2026-02-28 23:59:59']);
    },
    'blob' => function ($cell) {
        $db = connect();
        $content = large();
        $st = $db->prepare('INSERT INTO files VALUES (1, ?)');
        $st->bindValue(1, $content, PDO::PARAM_LOB);
        $st->execute();
        rows($cell, $db, 'SELECT LENGTH(content), SHA2(content, 256) FROM files WHERE id = 1');
        $got = ask($db, 'SELECT content FROM files WHERE id = ?', [1])->fetchColumn();
        say($cell, strlen($got), hash('sha256', $got), $got === $content);
    },
    'transactions' => function ($cell) {
        $db = connect();
        $names = fn() => sayRows($cell, ask($db, 'SELECT name FROM people WHERE user_id = 34 ORDER BY name')->fetchAll());
        $db->beginTransaction();
        foreach (["INSERT INTO people (user_id, name) VALUES (34, 'a')", 'SAVEPOINT s', "INSERT INTO people (user_id, name) VALUES (34, 'b')",
            'ROLLBACK TO SAVEPOINT s', "INSERT INTO people (user_id, name) VALUES (34, 'c')"] as $sql) {
            $db->exec($sql);
        }
        say($cell, $db->inTransaction());
        $names();
        $db->commit();
        say($cell, $db->inTransaction());
        $names();
        $db->beginTransaction();
        $db->exec('DELETE FROM people WHERE user_id = 34');
        $names();
        $db->rollBack();
        $names();
        $db->setAttribute(PDO::ATTR_AUTOCOMMIT, 0);
        $db->exec("UPDATE people SET name = 'd' WHERE user_id = 34 AND name = 'c'");
        say($cell, $db->inTransaction());
        $db->rollBack();
        $names();
    },
    'errors' => function ($cell) {
        $db = connect();
        $db->exec("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')");
        foreach (BROKEN as $sql) {
            try {
                ask($db, $sql);
                say($cell, $sql, 'went well');
            } catch (PDOException $e) {
                say($cell, $e->errorInfo);
            }
        }
        try {
            connect([], 'utf8mb4', 'wrong');
            say($cell, 'a wrong password was taken');
        } catch (PDOException $e) {
            say($cell, $e->getCode());
        }
    },
    'ids' => function ($cell) {
        $db = connect();
        foreach (["INSERT INTO people (user_id, name) VALUES (36, ?)", "INSERT INTO people (user_id, name) VALUES (36, 'b'), (36, ?), (36, 'd')",
            "INSERT INTO people (user_id, name) VALUES (36, ?) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), score = 1"] as $i => $sql) {
            say($cell, 'affected', ask($db, $sql, [$i === 1 ? 'c' : 'a'])->rowCount());
            $id = $db->lastInsertId();
            rows($cell, $db, 'SELECT name FROM people WHERE user_id = 36 AND id = ?', [$id]);
            rows($cell, $db, 'SELECT LAST_INSERT_ID() = ? AS same', [$id]);
        }
        foreach (['UPDATE people SET score = 1 WHERE user_id = 36', 'UPDATE people SET score = 1 WHERE user_id = 36', "DELETE FROM people WHERE user_id = 36 AND name <> 'a'"] as $sql) {
            say($cell, 'affected', $db->exec($sql));
        }
        $found = connect([PDO::MYSQL_ATTR_FOUND_ROWS => true]);
        say($cell, 'found', $found->exec('UPDATE people SET score = 1 WHERE user_id = 36'));
        rows($cell, $db, 'SELECT ROW_COUNT()');
    },
    'results' => function ($cell) {
        $db = connect();
        $st = ask($db, 'CALL two_results()');
        do {
            say($cell, $st->columnCount(), $st->columnCount() ? $st->fetchAll() : 'no rows');
        } while ($st->nextRowset());
        rows($cell, $db, "SELECT 'and after'");
    },
    'statements' => function ($cell) use ($native) {
        if ($native) {
            say($cell, '- a prepared statement is one statement');
            return;
        }
        $st = connect()->query("SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37");
        do {
            say($cell, $st->columnCount(), $st->rowCount(), $st->columnCount() ? $st->fetchAll() : 'no rows');
        } while ($st->nextRowset());
    },
    'streaming' => function ($cell) {
        $db = connect([PDO::MYSQL_ATTR_USE_BUFFERED_QUERY => false]);
        $st = ask($db, THOUSAND);
        $total = 0;
        while ($row = $st->fetch()) {
            $total += $row['i'] * strlen($row['x']);
        }
        $st->closeCursor();
        say($cell, $total);
        sayRows($cell, ask($db, "SELECT 'and after'")->fetchAll());
    },
    'load' => function ($cell) use ($env) {
        $db = connect([PDO::MYSQL_ATTR_LOCAL_INFILE => true]);
        say($cell, $db->exec("LOAD DATA LOCAL INFILE '{$env('FILE')}' INTO TABLE people (user_id, name)"));
        rows($cell, $db, 'SELECT name FROM people WHERE user_id = 39 ORDER BY name');
    },
    'compression' => fn($cell) => rows($cell, connect([PDO::MYSQL_ATTR_COMPRESS => true]), "SELECT LENGTH(REPEAT('x', 1000000)), REPEAT('y', 100000)"),
]);
