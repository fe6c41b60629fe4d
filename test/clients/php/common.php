<?php
// What both programs of PHP have in common.
$env = fn(string $name): string => getenv("MATRIX_$name");
const TEXT4 = "\u{1F600} \u{20000} \u{65e5}\u{672c} caf\u{e9}";
const BROKEN = [
    "INSERT INTO people (user_id, id, name) VALUES (35, 1, 'b')", 'SELEC 1', 'SELECT * FROM nosuch', 'SELECT nosuch FROM people WHERE user_id = 35',
    'INSERT INTO people (user_id, name) VALUES (35, NULL)', "INSERT INTO people (user_id, name) VALUES (35, REPEAT('x', 41))", 'SELECT NOSUCH(1)',
];
const THOUSAND = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 1000) AS x FROM n";

function say(string $cell, mixed ...$what): void
{
    $text = implode(' ', array_map('show', $what));
    echo $cell, "\t", str_replace(['\\', "\n", "\t"], ['\\\\', '\\n', '\\t'], $text), "\n";
}

function show(mixed $v): string
{
    return match (true) {
        is_string($v) => preg_match('//u', $v) === 1 && !str_contains($v, "\0") ? $v : 'hex:' . bin2hex($v),
        is_array($v) => '[' . implode(', ', array_map(fn($k, $x) => "$k: " . gettype($x) . ' ' . show($x), array_keys($v), $v)) . ']',
        default => gettype($v) . ':' . var_export($v, true),
    };
}

function sayRows(string $cell, array $rows): void
{
    say($cell, 'rows', count($rows));
    foreach ($rows as $row) {
        foreach ($row as $k => $v) {
            say($cell, (string) $k, gettype($v), show($v));
        }
    }
}

function large(): string
{
    return str_repeat(implode('', array_map('chr', range(0, 255))), 69632);
}

function run(array $cells): void
{
    foreach ($cells as $cell => $f) {
        try {
            $f($cell);
        } catch (PDOException $e) {
            say($cell, '! ' . implode(' ', $e->errorInfo ?? [$e->getCode(), $e->getMessage()]));
        } catch (mysqli_sql_exception $e) {
            say($cell, '! ' . $e->getCode() . ' ' . $e->getSqlState() . ' ' . $e->getMessage());
        } catch (Throwable $e) {
            say($cell, '! ' . get_class($e) . ' ' . $e->getMessage() . ' ' . $e->getTraceAsString());
        }
    }
}
