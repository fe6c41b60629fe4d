# Statements whose answers through Shardway must equal, byte for byte, those of
# one plain server that holds all rows. Each ends with a semicolon at the end of
# a line. Directives stand before the statement that they are for:
#
#   # session          close the connections and go on with new ones (stays)
#   # mysql, mariadb   only on that server
#   # refused CODE     Shardway refuses it with this code, and it isn't run on the plain server
#   # unordered        the order of the rows is free
#   # args A, B, …     prepared, run with these: 5, -5, 5u, 'text', X'ff', 1.5, null
#   # text             not as a prepared statement in the second pass
#   # code             compare the code of an error, not its text
#   # own N            Shardway answers this itself, with N warnings, whatever number the server has
#   # late N           so it does if it comes when the connection that knows was given back, 50 ms after the statement before
#   # rows             compare rows and errors only, not the definitions of columns

# --- one row by its key, in all the ways that it may be written
SELECT * FROM users WHERE id = 7;
SELECT * FROM users WHERE id = 8;
SELECT * FROM users WHERE id = -3;
SELECT * FROM users WHERE 7 = id;
SELECT * FROM users WHERE id <=> 7;
SELECT * FROM users WHERE id IN (7);
SELECT * FROM users WHERE id IN (7, 23) ORDER BY id;
SELECT * FROM users u WHERE u.id = 7;
SELECT u.name AS n, u.age + 1 AS older FROM users AS u WHERE (u.id = (7));
SELECT name FROM users WHERE id = 7 AND age > 3;
SELECT name FROM users WHERE id = 7 AND (age > 3 OR country = 'de');
SELECT name FROM users WHERE (id = 7 OR id = 23) AND name LIKE 'user%' ORDER BY id;
SELECT name FROM users WHERE id = 7 AND id = 8;
SELECT name FROM users WHERE id = '7';
SELECT name FROM users WHERE id = ' 7';
SELECT name FROM users WHERE id = 7.0;
SELECT name FROM users WHERE id = 7.5;
SELECT name FROM users WHERE id = 7e0;
SELECT name FROM users WHERE id = 0x07;
SELECT name FROM users WHERE id = b'111';
SELECT name FROM users WHERE id = TRUE;
SELECT name FROM users WHERE id = FALSE;
SELECT name FROM users WHERE id = NULL;
# unordered
SELECT name FROM users WHERE id <=> NULL;
SELECT name FROM users WHERE id = +7;
SELECT name FROM users WHERE id = - 3;
SELECT name FROM users WHERE id = 9223372036854775807;
SELECT name FROM users WHERE id = -9223372036854775808;
SELECT name FROM users WHERE id = 18446744073709551615;
SELECT `name` FROM `users` WHERE `id` = 7;
SELECT NAME FROM users WHERE ID = 7;
SELECT /* comment */ name -- to the end
FROM users # another
WHERE id = 7;
(SELECT name FROM users WHERE id = 7);
((SELECT name FROM users WHERE id = 7));
SELECT name FROM users WHERE id = 7 LIMIT 1;
SELECT name FROM users WHERE id = 7 LIMIT 5 OFFSET 1;
SELECT COUNT(*), SUM(age), MIN(name), MAX(score), AVG(age) FROM users WHERE id = 9;
SELECT COUNT(*) FROM users WHERE id = 123456;
SELECT DISTINCT country FROM users WHERE id = 9;
SELECT n FROM counters WHERE id = 18446744073709551615;
SELECT n FROM counters WHERE id = 9223372036854775808;
SELECT n FROM counters WHERE id = 18446744073709551600;
SELECT n FROM counters WHERE id = -1;
# unordered
SELECT n FROM counters WHERE id = '18446744073709551615';
SELECT user_id, data FROM sessions WHERE token = 'tok-5';
SELECT user_id, data FROM sessions WHERE token = 'nobody';
SELECT user_id FROM sessions WHERE token IN ('tok-5');

# --- all types of columns
SELECT * FROM kinds WHERE id = 1;
SELECT * FROM kinds WHERE id = 2;
SELECT * FROM kinds WHERE id = 9;
SELECT i8, u8, i16, u16, i24, i32, u32, i64, u64 FROM kinds WHERE id = 1;
SELECT HEX(bn), HEX(vb), HEX(bl), b1+0, b9+0 FROM kinds WHERE id = 1;
SELECT f/3, d, dc*2, dt, tm, dtm, ts, y FROM kinds WHERE id = 1;
SELECT vc, CONVERT(vc USING utf8mb4), HEX(vc) FROM kinds WHERE id = 1;
SELECT e, e+0, st, st+0, js FROM kinds WHERE id = 1;
SELECT NULL, 1, -1, 1.5, 1e3, 'text', X'414243', b'101', TRUE, DATE '2026-01-01', TIMESTAMP '2026-01-01 00:00:00';

# --- joins, subqueries and unions that stay on one shard
SELECT u.name, o.id, o.total FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = 7 ORDER BY o.id;
SELECT u.name, o.id FROM users u, orders o WHERE o.user_id = u.id AND o.user_id = 8 ORDER BY o.id;
SELECT u.name, o.id FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.id = 7 ORDER BY o.id;
SELECT u.name, c.name FROM users u JOIN countries c ON c.code = u.country WHERE u.id = 7;
SELECT u.name, c.name FROM users u JOIN countries c ON c.code = u.country WHERE u.id = 8;
SELECT c.name, COUNT(*) FROM users u JOIN countries c ON c.code = u.country WHERE u.id = 8 GROUP BY c.name;
SELECT name FROM users WHERE id = 7 AND EXISTS (SELECT 1 FROM orders WHERE user_id = 7 AND total > 1);
SELECT name FROM users u WHERE id = 7 AND EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id);
SELECT name, (SELECT SUM(total) FROM orders WHERE user_id = 7) AS spent FROM users WHERE id = 7;
SELECT * FROM (SELECT id, name FROM users WHERE id = 7) AS x;
SELECT name FROM users WHERE id = 7 UNION ALL SELECT note FROM orders WHERE user_id = 7;
SELECT name FROM users WHERE id = 7 UNION SELECT name FROM users WHERE id = 7 ORDER BY 1 LIMIT 3;
WITH x AS (SELECT * FROM users WHERE id = 7) SELECT name FROM x;
SELECT COUNT(*), SUM(total) FROM orders WHERE user_id = 8;
SELECT placed, COUNT(*) c FROM orders WHERE user_id = 8 GROUP BY placed HAVING c > 0 ORDER BY placed;
SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS rn FROM orders WHERE user_id = 8 ORDER BY id;

# --- reference tables and tables that live whole
SELECT * FROM countries ORDER BY code;
SELECT COUNT(*) FROM countries;
SELECT c.name, n.txt FROM countries c JOIN notes n ON n.id = 1 WHERE c.code = 'jp';
SELECT * FROM notes WHERE id = 3;
SELECT COUNT(*), MIN(txt) FROM notes;
SELECT * FROM notes ORDER BY id LIMIT 3;
SELECT n.txt, COUNT(*) FROM notes n GROUP BY n.txt ORDER BY n.txt LIMIT 4;

# --- no table at all
SELECT 1;
SELECT 1 + 1 AS two, 'x' AS x;
SELECT UPPER('abc'), CONCAT('a', NULL), COALESCE(NULL, 5);
SELECT DATABASE();
SELECT @@autocommit, @@session.sql_mode;
SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection;
SELECT @@version;
SELECT VERSION();
SELECT CAST('2026-01-31' AS DATE) + INTERVAL 1 MONTH;
SELECT 'a' = 'A', 'ä' = 'a', '日本' LIKE '日%', LENGTH('日本'), CHAR_LENGTH('日本');
SELECT '😀', HEX('😀'), _latin1 X'e9';
SELECT 1/0;
SHOW WARNINGS;
SELECT CAST('5abc' AS SIGNED);
SHOW WARNINGS;
SHOW COUNT(*) WARNINGS;
SELECT @@warning_count;
SELECT 1 FROM DUAL;
DO 1;
VALUES ROW(1, 2), ROW(3, 4);

# --- writes with one key: counts, insert ids, warnings, errors
INSERT INTO users (id, name, email) VALUES (1000, 'new', 'new@example.org');
SELECT * FROM users WHERE id = 1000;
INSERT INTO users (id, name, email) VALUES (1000, 'again', 'again@example.org');
INSERT IGNORE INTO users (id, name, email) VALUES (1000, 'again', 'again@example.org');
SHOW WARNINGS;
INSERT INTO users (id, name) VALUES (1001, 'a'), (1017, 'b');
INSERT INTO users (name, id) VALUES ('c', 1033);
INSERT INTO users VALUES (1002, 'all columns', NULL, 5, 'fr', 1.25);
INSERT INTO users SET id = 1003, name = 'set';
INSERT INTO users (id, name) VALUES ('1004', 'a string');
INSERT INTO users (id, name) VALUES (1005.4, 'rounded');
SELECT id, name FROM users WHERE id = 1005;
INSERT INTO users (id, name) VALUES (-1006, 'negative');
SELECT id, name FROM users WHERE id = -1006;
INSERT INTO users (id, name, age) VALUES (1000, 'dup', 1) ON DUPLICATE KEY UPDATE age = 33;
INSERT INTO users (id, name, age) VALUES (1000, 'dup', 1) ON DUPLICATE KEY UPDATE age = 33;
INSERT INTO users (id, name, age) VALUES (1000, 'dup', 44) ON DUPLICATE KEY UPDATE age = VALUES(age), name = 'updated';
# mysql
INSERT INTO users (id, name, age) VALUES (1000, 'dup', 45) AS new ON DUPLICATE KEY UPDATE age = new.age;
SELECT name, age FROM users WHERE id = 1000;
REPLACE INTO users (id, name) VALUES (1000, 'replaced');
REPLACE INTO users (id, name) VALUES (1007, 'fresh');
SELECT * FROM users WHERE id = 1000;
UPDATE users SET age = 5 WHERE id = 1000;
UPDATE users SET age = 5 WHERE id = 1000;
UPDATE users SET age = age + 1, name = CONCAT(name, '!') WHERE id = 1000;
UPDATE users SET age = 1 WHERE id = 4242;
UPDATE users u SET u.age = 9 WHERE u.id = 1000;
UPDATE users SET age = 6 WHERE id = 1000 ORDER BY id LIMIT 1;
UPDATE users u JOIN orders o ON o.user_id = u.id SET u.score = o.total WHERE u.id = 7;
SELECT age, score FROM users WHERE id = 7;
UPDATE users SET age = 'x' WHERE id = 1000;
SHOW WARNINGS;
SHOW ERRORS;
UPDATE users SET nothing = 1 WHERE id = 1000;
DELETE FROM users WHERE id = 1001;
DELETE FROM users WHERE id = 1001;
DELETE FROM users WHERE id IN (1017, 1033);
DELETE u FROM users u WHERE u.id = 1002;
DELETE FROM orders WHERE user_id = 9 AND id > 2902;
SELECT COUNT(*) FROM orders WHERE user_id = 9;
INSERT INTO orders (id, user_id, total) VALUES (1, 7, 5.555);
SHOW WARNINGS;
INSERT INTO orders (id, user_id, total) SELECT id + 10, user_id, total FROM orders WHERE user_id = 7 AND id = 1;
SELECT id, total FROM orders WHERE user_id = 7 AND id < 100 ORDER BY id;
INSERT INTO counters (id, n) VALUES (18446744073709551614, 9);
SELECT n FROM counters WHERE id = 18446744073709551614;
DELETE FROM counters WHERE id = 18446744073709551614;
INSERT INTO sessions VALUES ('new-1', 1, X'00ff');
SELECT * FROM sessions WHERE token = 'new-1';
UPDATE sessions SET user_id = 2 WHERE token = 'new-1';
DELETE FROM sessions WHERE token = 'new-1';

# --- writes to tables that live whole: generated ids
INSERT INTO notes (txt) VALUES ('one');
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('two'), ('three');
SELECT LAST_INSERT_ID();
SELECT @@last_insert_id, @@identity;
SELECT * FROM notes WHERE id = LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('one');
SELECT LAST_INSERT_ID();
INSERT IGNORE INTO notes (txt) VALUES ('one'), ('four');
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('one') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), user_id = 5;
SELECT LAST_INSERT_ID();
SELECT LAST_INSERT_ID(777);
SELECT LAST_INSERT_ID();
SELECT 1;
SELECT LAST_INSERT_ID();
UPDATE notes SET user_id = 1 WHERE txt LIKE 't%';
SELECT ROW_COUNT();
SELECT ROW_COUNT();
DELETE FROM notes WHERE txt = 'two';
SELECT ROW_COUNT();
REPLACE INTO notes (id, txt) VALUES (3, 'three again');
SELECT LAST_INSERT_ID();
# mariadb
# rows
INSERT INTO notes (txt) VALUES ('returned') RETURNING txt;
# mariadb
DELETE FROM notes WHERE txt = 'returned' RETURNING txt;
# mariadb
DELETE FROM users WHERE id = 1007 RETURNING id, name;

# --- FOUND_ROWS
SELECT SQL_CALC_FOUND_ROWS id FROM notes ORDER BY id LIMIT 2;
# late 0
SELECT FOUND_ROWS();
SELECT id FROM notes ORDER BY id LIMIT 4;
# MySQL warns, in text, that the function is deprecated; Shardway's own answer doesn't.
# own 0
SELECT FOUND_ROWS();
SELECT SQL_CALC_FOUND_ROWS id FROM orders WHERE user_id = 8 LIMIT 1;
# late 0
SELECT FOUND_ROWS();

# --- errors have the server's own codes
SELECT nothing FROM users WHERE id = 7;
SELECT * FROM nowhere;
# code
SELECT * FROM users WHERE id = 7 AND;
SELEC 1;
SELECT nosuch(1);
INSERT INTO users (id) VALUES (2000);
SELECT 1 FROM users u JOIN users v ON u.id = 7 AND v.id = 7 WHERE name = 'x';
INSERT INTO users (id, name) VALUES (2001);
UPDATE users SET email = 'u7@example.org' WHERE id = 23;
SELECT * FROM users WHERE id = 7 GROUP BY nothing;
SELECT 18446744073709551615 + 1;
DROP TABLE nowhere;
CREATE TABLE notes (id INT);
ALTER TABLE notes ADD COLUMN id INT;

# --- user variables, temporary tables, locks
# session
SET @a = 5;
SELECT @a, @b;
SET @b = @a + 1, @c = 'text';
SELECT @a, @b, @c;
SELECT @a := @a + 1;
SELECT @a;
# unordered
SELECT name FROM users WHERE id = @a + 1;
SELECT COUNT(*) INTO @n FROM notes;
SELECT @n > 0;
SELECT @sum := SUM(total) FROM orders WHERE user_id = 7;
# session
# rows
SELECT @a, @b, @c;
CREATE TEMPORARY TABLE tmp (id INT PRIMARY KEY, v VARCHAR(10));
INSERT INTO tmp VALUES (1, 'a'), (2, 'b');
SELECT * FROM tmp ORDER BY id;
UPDATE tmp SET v = 'c' WHERE id = 2;
SELECT n.txt, t.v FROM notes n JOIN tmp t ON t.id = n.id ORDER BY n.id;
DROP TEMPORARY TABLE tmp;
SELECT * FROM tmp;
SELECT GET_LOCK('e2e-lock', 1);
SELECT IS_USED_LOCK('e2e-lock') = CONNECTION_ID();
SELECT RELEASE_LOCK('e2e-lock');
SELECT RELEASE_LOCK('e2e-lock');
# session
LOCK TABLES notes WRITE;
SELECT COUNT(*) FROM notes;
UNLOCK TABLES;

# --- session variables
# session
SET NAMES utf8mb4;
SET NAMES latin1;
SELECT @@character_set_client, @@character_set_results, @@collation_connection;
SELECT vc FROM kinds WHERE id = 1;
SET NAMES utf8mb4 COLLATE utf8mb4_bin;
SELECT @@collation_connection, 'a' = 'A';
SET CHARACTER SET latin1;
SELECT @@character_set_client, @@character_set_connection, @@character_set_results;
SET NAMES utf8mb4;
SET collation_connection = utf8mb4_bin;
SET character_set_connection = latin1;
SELECT @@character_set_connection, @@collation_connection, HEX('é');
SET collation_connection = utf8mb4_bin;
SELECT @@character_set_connection, @@collation_connection, HEX('é');
SET character_set_connection = DEFAULT;
SELECT @@character_set_connection, @@collation_connection;
SET @@collation_connection = latin1_bin, @@character_set_connection = utf8mb4;
SELECT @@character_set_connection, @@collation_connection, HEX('é');
SET NAMES utf8mb4, character_set_connection = latin1;
SELECT @@character_set_client, @@character_set_connection, @@collation_connection, HEX('é');
SET character_set_results = NULL;
SELECT @@character_set_results, @@collation_connection;
SET NAMES utf8mb4;
SELECT @@character_set_results, @@character_set_connection, @@collation_connection;
SET sql_mode = 'ANSI_QUOTES';
SELECT "name" FROM users WHERE "id" = 7;
SELECT @@sql_mode;
SET sql_mode = '';
SELECT "name" FROM users WHERE id = 7;
INSERT INTO users (id, name, age) VALUES (3000, 'lenient', 'x');
SHOW WARNINGS;
SET sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION';
INSERT INTO users (id, name, age) VALUES (3016, 'strict', 'x');
SET sql_mode = DEFAULT;
SET sql_mode = 'nonsense';
SET time_zone = '+05:30';
SET timestamp = 1700000000;
SELECT NOW(), CURDATE(), UNIX_TIMESTAMP();
SELECT ts FROM kinds WHERE id = 1;
SET timestamp = DEFAULT;
SET time_zone = 'SYSTEM';
SET SESSION group_concat_max_len = 10;
SELECT GROUP_CONCAT(name) FROM countries;
SHOW WARNINGS;
SET SESSION group_concat_max_len = DEFAULT;
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
# mysql
SELECT @@transaction_isolation;
# mariadb
SELECT @@tx_isolation;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET autocommit = 0;
SELECT @@autocommit;
UPDATE notes SET user_id = 77 WHERE id = 1;
ROLLBACK;
SELECT user_id FROM notes WHERE id = 1;
SET autocommit = 1;
SET nonsense = 1;
SET max_join_size = 1000000, sql_big_selects = 1;
SELECT @@max_join_size;
SET sql_select_limit = 2;
SELECT id FROM orders WHERE user_id = 8 ORDER BY id;
SET sql_select_limit = DEFAULT;
SET unique_checks = 0;
SELECT @@unique_checks;
SET unique_checks = 1;
SET foreign_key_checks = OFF;
SELECT @@foreign_key_checks;
SET foreign_key_checks = ON;
SET insert_id = 5000;
INSERT INTO notes (txt) VALUES ('given id');
SELECT LAST_INSERT_ID();
SET last_insert_id = 9;
SELECT LAST_INSERT_ID();
SET div_precision_increment = 8;
SELECT 1/3;
SET div_precision_increment = DEFAULT;
SET lc_time_names = 'de_DE';
SELECT DATE_FORMAT('2026-03-01', '%M');

# --- transactions
# session
BEGIN;
INSERT INTO users (id, name) VALUES (4000, 'tx');
SELECT name FROM users WHERE id = 4000;
ROLLBACK;
SELECT name FROM users WHERE id = 4000;
START TRANSACTION;
UPDATE users SET age = 1 WHERE id = 7;
SAVEPOINT a;
UPDATE users SET age = 2 WHERE id = 7;
SELECT age FROM users WHERE id = 7;
ROLLBACK TO SAVEPOINT a;
SELECT age FROM users WHERE id = 7;
RELEASE SAVEPOINT a;
ROLLBACK TO SAVEPOINT a;
COMMIT;
SELECT age FROM users WHERE id = 7;
START TRANSACTION READ ONLY;
SELECT age FROM users WHERE id = 8;
UPDATE users SET age = 1 WHERE id = 8;
COMMIT;
START TRANSACTION WITH CONSISTENT SNAPSHOT;
SELECT COUNT(*) FROM notes;
COMMIT AND CHAIN;
SELECT COUNT(*) FROM notes;
COMMIT;
COMMIT;
ROLLBACK;
BEGIN WORK;
SELECT name FROM users WHERE id = 7 FOR UPDATE;
SELECT name FROM users WHERE id = 7 LOCK IN SHARE MODE;
COMMIT WORK;
BEGIN;
INSERT INTO users (id, name) VALUES (7, 'duplicate');
SELECT 1;
INSERT INTO users (id, name) VALUES (4007, 'after an error');
COMMIT;
SELECT name FROM users WHERE id = 4007;
BEGIN;
UPDATE notes SET user_id = 5 WHERE id = 1;
BEGIN;
ROLLBACK;
SELECT user_id FROM notes WHERE id = 1;
SAVEPOINT outside;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
BEGIN;
SELECT COUNT(*) FROM notes;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
COMMIT;
SET TRANSACTION READ ONLY;
BEGIN;
UPDATE notes SET user_id = 6 WHERE id = 1;
ROLLBACK;

# --- several shards; refused: a key that isn't there
# unordered
SELECT * FROM users;
SELECT COUNT(*) FROM users;
# unordered
SELECT name FROM users WHERE id IN (7, 8);
# unordered
SELECT name FROM users WHERE id = 7 OR id = 8;
# unordered
SELECT name FROM users WHERE id > 7;
# unordered
SELECT name FROM users WHERE id + 0 = 7;
# unordered
SELECT name FROM users WHERE id = 7 OR age = 5;
# unordered
SELECT name FROM users WHERE NOT id = 7;
# unordered
SELECT name FROM users WHERE age = 5;
# unordered
SELECT u.name FROM users u JOIN orders o ON o.id = u.age WHERE u.id = 7;
# unordered
SELECT name FROM users WHERE id = 7 AND age > (SELECT AVG(age) FROM users);
# unordered
SELECT name FROM users WHERE id = 7 UNION ALL SELECT name FROM users WHERE id = 8;
BEGIN;
UPDATE users SET age = 1;
UPDATE users SET age = 1 WHERE id IN (7, 8);
# code
UPDATE users SET id = 8 WHERE id = 7;
# refused 1235
INSERT INTO users (id, name) VALUES (7, 'x') ON DUPLICATE KEY UPDATE id = 8;
DELETE FROM users;
DELETE FROM users WHERE age = 3;
# code
INSERT INTO users (id, name) VALUES (5000, 'x'), (5008, 'y');
# refused 1235
INSERT INTO users (name) VALUES ('no key');
# refused 1235
INSERT INTO users (id, name) VALUES (NULL, 'no key');
INSERT INTO users (id, name) SELECT id + 100, name FROM users WHERE id = 7;
# code
REPLACE INTO users (id, name) VALUES (5000, 'x'), (5008, 'y');
ROLLBACK;

# --- prepared statements: routed by what is bound
# session
# args 7
SELECT * FROM users WHERE id = ?;
# args 8
SELECT * FROM users WHERE id = ?;
# args -3
SELECT * FROM users WHERE id = ?;
# args '7'
SELECT * FROM users WHERE id = ?;
# args 7.0
SELECT * FROM users WHERE id = ?;
# args 7.5
SELECT * FROM users WHERE id = ?;
# args null
SELECT * FROM users WHERE id = ?;
# args 18446744073709551615u
SELECT n FROM counters WHERE id = ?;
# args 9223372036854775808u
SELECT n FROM counters WHERE id = ?;
# args 7, 23
SELECT name FROM users WHERE id IN (?, ?) ORDER BY id;
# args 'tok-5'
SELECT user_id FROM sessions WHERE token = ?;
# args X'746f6b2d35'
SELECT user_id FROM sessions WHERE token = ?;
# args 7, 'user 7'
SELECT age FROM users WHERE id = ? AND name = ?;
# args 7, 2
SELECT id, total FROM orders WHERE user_id = ? ORDER BY id LIMIT ?;
# args 7, 7
SELECT u.name, (SELECT COUNT(*) FROM orders WHERE user_id = ?) FROM users u WHERE u.id = ?;
# args 6000, 'prepared', null, 5
INSERT INTO users (id, name, email, age) VALUES (?, ?, ?, ?);
# args 6000, 'again', 'again@x', 5
INSERT INTO users (id, name, email, age) VALUES (?, ?, ?, ?);
# args 6000
SELECT * FROM users WHERE id = ?;
# args 'renamed', 6000
UPDATE users SET name = ? WHERE id = ?;
# args 6000
DELETE FROM users WHERE id = ?;
# args 'prepared note'
INSERT INTO notes (txt) VALUES (?);
SELECT LAST_INSERT_ID();
# args 1
SELECT * FROM kinds WHERE id = ?;
# args 2
SELECT * FROM kinds WHERE id = ?;
# args 9
SELECT * FROM kinds WHERE id = ?;
# args 1, 'a', 1.5, X'00ff', null
SELECT ?, ?, ?, ?, ?;
SELECT ? FROM;
# args 7, 8
# unordered
SELECT name FROM users WHERE id IN (?, ?);
# args 5000, 5008
# code
INSERT INTO users (id, name) VALUES (?, 'x'), (?, 'y');
# args null
# refused 1235
INSERT INTO users (id, name) VALUES (?, 'x');

# --- SQL's own PREPARE
PREPARE p FROM 'SELECT COUNT(*) FROM notes WHERE id > ?';
SET @low = 2;
EXECUTE p USING @low;
DEALLOCATE PREPARE p;
EXECUTE p USING @low;

# --- definition of things
# session
CREATE TABLE fresh (id INT AUTO_INCREMENT PRIMARY KEY, v INT);
INSERT INTO fresh (v) VALUES (1), (2);
SELECT * FROM fresh ORDER BY id;
ALTER TABLE fresh ADD COLUMN w INT DEFAULT 3;
SELECT * FROM fresh ORDER BY id;
CREATE INDEX fresh_v ON fresh (v);
TRUNCATE TABLE fresh;
SELECT COUNT(*) FROM fresh;
CREATE VIEW seen AS SELECT id, v FROM fresh;
SELECT * FROM seen;
DROP VIEW seen;
DROP TABLE fresh;
DROP TABLE IF EXISTS fresh;
SHOW WARNINGS;
SHOW TABLES LIKE 'notes';
SHOW COLUMNS FROM notes;
DESCRIBE notes txt;
SHOW CREATE TABLE notes;
SHOW CREATE TABLE countries;
SHOW CREATE TABLE users;
SHOW COLUMNS FROM users;
SHOW INDEX FROM countries WHERE Key_name = 'none';
SHOW VARIABLES LIKE 'sql_mode';
SHOW SESSION VARIABLES LIKE 'character_set_client';
SHOW CHARACTER SET LIKE 'latin1';
SHOW COLLATION LIKE 'utf8mb4_bin';
SHOW DATABASES LIKE 'information_schema';
SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ('notes', 'countries') ORDER BY 1;
SHOW STATUS LIKE 'nothing';
