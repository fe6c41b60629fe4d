# Statements about a session's state: their answers through Shardway must equal
# those of one plain server, while other clients use the same few connections
# between any two of them. The directives are those of differential.sql.

# --- D: insert ids
SELECT LAST_INSERT_ID();
INSERT INTO notes (id, txt) VALUES (100, 'given');
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('one');
SELECT LAST_INSERT_ID();
SELECT LAST_INSERT_ID() + 1, LAST_INSERT_ID() AS again, @@last_insert_id, @@identity;
SELECT LAST_INSERT_ID() FROM countries WHERE code = 'de';
SELECT id, txt FROM notes WHERE id = LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('two'), ('three'), ('four');
SELECT LAST_INSERT_ID();
INSERT INTO notes (id, txt) VALUES (NULL, 'five'), (200, 'six');
SELECT LAST_INSERT_ID();
INSERT IGNORE INTO notes (txt) VALUES ('two');
SELECT LAST_INSERT_ID();
INSERT IGNORE INTO notes (txt) VALUES ('two'), ('seven');
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('two') ON DUPLICATE KEY UPDATE user_id = 5;
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('two') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id);
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('three') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), user_id = 6;
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('two');
SELECT LAST_INSERT_ID();
UPDATE notes SET user_id = LAST_INSERT_ID(user_id + 1) WHERE txt = 'two';
SELECT LAST_INSERT_ID();
SELECT LAST_INSERT_ID(77);
SELECT LAST_INSERT_ID();
SELECT LAST_INSERT_ID(78) + 1 FROM countries WHERE code = 'de';
SELECT LAST_INSERT_ID();
UPDATE users SET age = LAST_INSERT_ID(age + 1) WHERE id = 8;
SELECT LAST_INSERT_ID();
SELECT name FROM users WHERE id = 9 AND LAST_INSERT_ID() > 0;
INSERT INTO users (id, name) VALUES (2008, 'x') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id);
SELECT LAST_INSERT_ID();
INSERT INTO users (id, name) VALUES (2008, 'x') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id);
SELECT LAST_INSERT_ID();
INSERT INTO users (id, name) VALUES (2008, 'y') ON DUPLICATE KEY UPDATE id = 2008, name = 'z';
INSERT INTO users (id, name) VALUES (2008, 'y') ON DUPLICATE KEY UPDATE id = VALUES(id), name = 'z';
INSERT INTO users (id, name) VALUES (2008, 'y') ON DUPLICATE KEY UPDATE id = id;
UPDATE users SET id = LAST_INSERT_ID(id), age = 5 WHERE id = 2008;
SELECT LAST_INSERT_ID();
REPLACE INTO notes (txt) VALUES ('two');
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt) SELECT CONCAT('copy ', name) FROM countries;
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt, user_id) VALUES ('eight', LAST_INSERT_ID());
SELECT user_id = 0 FROM notes WHERE txt = 'eight';
SELECT LAST_INSERT_ID();
BEGIN;
INSERT INTO notes (txt) VALUES ('nine');
SELECT LAST_INSERT_ID();
ROLLBACK;
SELECT LAST_INSERT_ID();
# args 'ten'
INSERT INTO notes (txt) VALUES (?);
# args 4
SELECT LAST_INSERT_ID(), ? FROM countries WHERE code = 'de';
# args 300, 'eleven'
INSERT INTO notes (id, txt) VALUES (?, ?);
SELECT LAST_INSERT_ID();
SET last_insert_id = 12;
SELECT LAST_INSERT_ID();
SET insert_id = 400;
INSERT INTO notes (txt) VALUES ('twelve');
SELECT LAST_INSERT_ID();
INSERT INTO notes (txt) VALUES ('thirteen');
SELECT LAST_INSERT_ID();
DELETE FROM notes WHERE id > 20;
SELECT LAST_INSERT_ID();

# --- D: row counts and found rows
# session
UPDATE notes SET user_id = 90 WHERE id IN (1, 2, 3);
SELECT ROW_COUNT();
SELECT ROW_COUNT();
UPDATE notes SET user_id = 90 WHERE id IN (1, 2, 3, 4);
SELECT ROW_COUNT() AS n;
SELECT 1;
SELECT ROW_COUNT();
SET @x = 1;
SELECT ROW_COUNT();
DELETE FROM notes WHERE id = 4;
# rows
SELECT ROW_COUNT() + 1, ROW_COUNT(), (SELECT ROW_COUNT()), 'ROW_COUNT()', concat(row_count ( ) , 'x');
INSERT INTO notes (id, txt) VALUES (4, 'note 4');
# own 0
SELECT ROW_COUNT(), LAST_INSERT_ID(), FOUND_ROWS(), CONNECTION_ID() > 0;
SELECT nothing;
SELECT ROW_COUNT();
SELECT * FROM countries;
# own 0
SELECT FOUND_ROWS();
# own 0
SELECT FOUND_ROWS();
SELECT SQL_CALC_FOUND_ROWS * FROM countries ORDER BY code LIMIT 2;
# mariadb
SELECT FOUND_ROWS();
SELECT SQL_CALC_FOUND_ROWS * FROM countries ORDER BY code LIMIT 2;
# own 0
# rows
SELECT FOUND_ROWS() * 2, ROW_COUNT();
SELECT SQL_CALC_FOUND_ROWS * FROM countries ORDER BY code LIMIT 2;
SELECT code FROM countries ORDER BY code LIMIT 3;
# own 0
# rows
SELECT FOUND_ROWS() * 2;
SELECT SQL_CALC_FOUND_ROWS id FROM orders WHERE user_id = 8 LIMIT 1;
# mariadb
SELECT FOUND_ROWS();
UPDATE notes SET user_id = 91 WHERE id = 1;
# own 0
SELECT FOUND_ROWS();
SELECT code FROM countries ORDER BY code LIMIT 2;
UPDATE notes SET user_id = 91 WHERE id IN (1, 2, 3);
# own 0
SELECT FOUND_ROWS();
SELECT code FROM countries ORDER BY code LIMIT 2;
INSERT INTO notes (txt) SELECT CONCAT('found ', code) FROM countries LIMIT 3;
# own 0
SELECT FOUND_ROWS();
SELECT code FROM countries ORDER BY code LIMIT 2;
DO 1;
# own 0
SELECT FOUND_ROWS();
SELECT code FROM countries ORDER BY code LIMIT 2;
SHOW CREATE TABLE notes;
# own 0
SELECT FOUND_ROWS();
SELECT code FROM countries ORDER BY code LIMIT 2;
EXPLAIN SELECT code FROM countries;
# own 0
SELECT FOUND_ROWS();
SELECT code INTO @code FROM countries WHERE code = 'de';
SELECT ROW_COUNT();
SELECT code INTO @code FROM countries WHERE code = 'de';
# own 0
SELECT FOUND_ROWS();
SELECT code FROM countries ORDER BY code LIMIT 2;
BEGIN;
# own 0
SELECT FOUND_ROWS();
COMMIT;
SELECT ROW_COUNT();
# text
ANALYZE TABLE notes;
SELECT ROW_COUNT();
SHOW TABLES LIKE 'notes';
# own 0
SELECT FOUND_ROWS();
SELECT 1 UNION SELECT 2 UNION SELECT 3;
# own 0
SELECT FOUND_ROWS();
# rows
SELECT CONNECTION_ID() = CONNECTION_ID();
# rows
SELECT CONNECTION_ID() > 0, 'x', @@pseudo_thread_id = CONNECTION_ID();
UPDATE notes SET user_id = 94 WHERE id IN (1, 2);
# text
DO ROW_COUNT();
UPDATE notes SET user_id = 93 WHERE id IN (1, 2);
SET @n = ROW_COUNT() + 5;
SELECT code FROM countries;
# mariadb
SET @f = FOUND_ROWS();
SELECT @n, @f;
UPDATE notes SET user_id = 95 WHERE id IN (1, 2);
INSERT INTO notes (id, txt, user_id) VALUES (500, 'with count', ROW_COUNT());
SELECT user_id, ROW_COUNT() FROM notes WHERE id = 500;
UPDATE notes SET user_id = 96 WHERE id IN (1, 2);
# rows
# args 7
SELECT ROW_COUNT() + ?, ROW_COUNT();
UPDATE notes SET user_id = 97 WHERE id IN (1, 2);
SELECT ROW_COUNT() INTO @rc;
SELECT @rc;
UPDATE notes SET user_id = 98 WHERE id IN (1, 2);
CREATE TABLE counted SELECT ROW_COUNT() AS n, ROW_COUNT();
# text
# rows
SELECT * FROM counted;
DROP TABLE counted;

# --- warnings and errors
# session
# text
SHOW WARNINGS;
# text
SHOW COUNT(*) WARNINGS;
# text
# rows
SELECT @@warning_count, @@error_count;
# text
SELECT CAST('abc' AS SIGNED);
# text
SHOW WARNINGS;
# text
SHOW WARNINGS;
# text
SHOW COUNT(*) WARNINGS;
# text
SELECT @@warning_count;
# text
SELECT @@warning_count;
# text
SHOW WARNINGS;
# text
SELECT CAST('abc' AS SIGNED), CAST('abd' AS SIGNED), CAST('abe' AS SIGNED);
# text
SHOW WARNINGS LIMIT 1;
# text
SHOW WARNINGS LIMIT 1, 5;
# text
SHOW ERRORS;
# text
SHOW COUNT(*) WARNINGS;
# text
# rows
SELECT @@warning_count, @@error_count, @@session.warning_count + 1;
# text
SHOW WARNINGS;
# text
SELECT nothing;
# text
SHOW ERRORS;
# text
SHOW WARNINGS;
# text
SHOW COUNT(*) ERRORS;
# text
SELECT @@error_count;
# text
SELECT CAST('abc' AS SIGNED) FROM users WHERE id = 8;
# text
SHOW WARNINGS;
# text
DROP TABLE IF EXISTS not_there;
# text
SHOW WARNINGS;
# text
SELECT CAST('abc' AS SIGNED);
# text
SELECT 1;
# text
SHOW WARNINGS;
# text
SELECT CAST('abc' AS SIGNED);
# text
BEGIN;
# text
SHOW WARNINGS;
# text
COMMIT;
# text
SHOW WARNINGS;
# text
SET @x = 1;
# text
SHOW COUNT(*) WARNINGS;
# text
SELECT code FROM countries LIMIT 1;
# text
SHOW WARNINGS;
# text
SELECT CAST('abc' AS SIGNED);
# text
# rows
SELECT @@warning_count + 0, ROW_COUNT();
# text
SHOW COUNT(*) WARNINGS;
# text
SET NAMES latin1;
# text
SHOW WARNINGS;
# text
SELECT CAST('abc' AS SIGNED);
# text
SHOW WARNINGS;
# text
SET NAMES utf8mb4;
# text
SELECT COUNT(CAST(txt AS SIGNED) + CAST(CONCAT('a', id) AS SIGNED)) FROM notes;
# text
SHOW COUNT(*) WARNINGS;
# text
SET max_error_count = 2;
# text
SELECT CAST('abc' AS SIGNED), CAST('abd' AS SIGNED), CAST('abe' AS SIGNED);
# text
SHOW COUNT(*) WARNINGS;
# text
SHOW WARNINGS;
# text
SET max_error_count = DEFAULT;
# text
SELECT nothing FROM users WHERE id = 8;
# session
# text
SELECT CAST('abc' AS SIGNED) FROM users WHERE id = 7;
# text
UPDATE notes SET user_id = 92 WHERE id IN (1, 2);
# text
GET DIAGNOSTICS @n = NUMBER;
# text
SELECT @n;
# text
SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine', MYSQL_ERRNO = 5000;
# text
SHOW ERRORS;

# --- user variables
# session
SET @a = 5, @b = 'text', @c = 1.50, @d = NULL, @e = X'4142', @f = 1e3, @g = TRUE, @h = -7;
SELECT @a, @b, @c, @d, @e, @f, @g, @h;
SET @i = 18446744073709551615, @j = 0x4142, @k = _latin1'abc', @l = N'abc', @m = b'101', @n = DATE '2026-01-01';
SELECT @i, @j, @k, @l, @m, @n;
SET @o = 'é', @p = '日本😀';
SELECT @o, @p, HEX(@o), HEX(@p), CHARSET(@o), COLLATION(@o);
SET @`odd name` = 1, @'quoted' = 2;
SELECT @`odd name`, @'quoted', @QUOTED;
SET @q = @a + 1, @r = CONCAT(@b, '!'), @s = 1/3, @t = NOW() > '2020-01-01', @u = UPPER('x');
SELECT @q, @r, @s, @t, @u;
SELECT @v := 9;
SELECT @v, @v + 1;
SELECT @w := @w + 1, @v := @v + 1;
SELECT @w, @v;
SELECT COUNT(*), MAX(code) INTO @x, @y FROM countries;
SELECT @x, @y, COLLATION(@y);
SELECT name INTO @z FROM users WHERE id = 8;
SELECT @z, COLLATION(@z) FROM users WHERE id = 7;
SET @a = DEFAULT;
SELECT @a;
SET @a = 6;
SELECT @a FROM users WHERE id = 8;
SELECT name FROM users WHERE id = 7 AND @a = 6;
UPDATE notes SET user_id = @a WHERE id = 1;
SELECT user_id FROM notes WHERE id = 1;
SET @i = @a + 1, @u = CAST(@a AS UNSIGNED), @min = -9223372036854775808, @neg = -@a, @bool = @a = 6;
SELECT @i, @u, @min, @neg, @bool, @min + 0, @u - 1;
SET @d = 1.50 * @a, @e = @a / 7, @f = CAST(@a AS DECIMAL(20, 0)), @g = -0.5 + 0.25, @h = 0.1e0 + 0.2e0, @j = @h * 1e300, @k = -1e0 / 3;
SELECT @d, @e, @f, @g, @h, @j, @k, @d + 1, @f / 3, @h = 0.1e0 + 0.2e0;
SET @s = CONCAT('x', @a), @t = CONVERT(@s USING latin1), @v = CAST(@s AS BINARY), @w = CONCAT(@s, '\\' COLLATE utf8mb4_bin), @x = '', @y = CONCAT('', '');
SELECT @s, @t, @v, @w, @x, @y, COLLATION(@s), COLLATION(@t), COLLATION(@v), COLLATION(@w), COERCIBILITY(@s), HEX(@w);
SET @d = CAST('2026-01-02' AS DATE), @e = TIME '10:11:12', @f = TIMESTAMP '2026-01-02 03:04:05.678', @g = JSON_OBJECT('a', @a), @h = b'101' + 0;
SELECT @d, @e, @f, @g, @h, COLLATION(@g), COLLATION(@d), @d + 0;
SET @a = CAST(NULL AS SIGNED), @b = CAST(NULL AS DECIMAL(5, 2)), @c = 1e0 + NULL, @d = CONCAT('a', NULL), @e = CONVERT(NULL USING latin1), @f = CAST(NULL AS BINARY);
SELECT @a, @b, @c, @d, @e, @f, COLLATION(@d), COLLATION(@e);
SELECT @n := COUNT(*), @m := MAX(code) FROM countries;
SELECT @n, @m;
SELECT @n := @n + 1, nothing;
SELECT @n;
SELECT @n := @n + 1, CAST('abc' AS SIGNED);
# text
# rows
SHOW WARNINGS;
SELECT @n;
SELECT @q := CAST('abc' AS SIGNED) + 5;
SELECT @q, @never;
BEGIN;
SELECT name, age INTO @name, @age FROM users WHERE id = 8 FOR UPDATE;
UPDATE users SET age = @age WHERE id = 8;
SELECT @name, @age;
COMMIT;
SELECT @name, @age;
SET @big = REPEAT('x', 65536), @bigger = REPEAT('x', 65537);
SELECT LENGTH(@big), LENGTH(@bigger), @big = REPEAT('x', 65536);
SET @bigger = 1;
SELECT @bigger, LENGTH(@big);
SET @lit = 'text', @lit2 = "te\"xt", @lit3 = 'b\\n';
SET NAMES latin1;
SELECT @lit, COLLATION(@lit), HEX(@lit2), HEX(@lit3);
SET sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES', @lit4 = 'a\n';
SELECT HEX(@lit3), HEX(@lit4), COLLATION(@lit4);
SET @`odd ``name` = @lit, @'quoted one' = CONCAT(@lit, 1);
SELECT @`odd ``name`, @'quoted one', @`Quoted One`;

# --- SET NAMES and the like
# session
SET NAMES gbk;
SELECT @@character_set_client, @@character_set_results, @@collation_connection;
SET NAMES latin1;
SELECT name FROM countries WHERE code = 'jp';
SET NAMES utf8mb3;
SELECT @@character_set_client, @@collation_connection;
SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci';
SELECT @@collation_connection, 'a' = 'A', COLLATION('x');
SET NAMES binary;
SELECT @@character_set_client, @@collation_connection, HEX('é');
SET NAMES DEFAULT;
SELECT @@character_set_client;
SET CHARACTER SET utf8mb4;
SELECT @@character_set_connection, @@collation_connection;
SET CHARSET latin1;
SELECT @@character_set_client, @@character_set_connection;
SET NAMES utf8mb4;
SET NAMES ucs2;
SET NAMES nonsense;
SELECT '😀', HEX('😀');

# --- H: what keeps a connection
# session
SELECT GET_LOCK('a', 1), GET_LOCK('b', 1);
SELECT IS_FREE_LOCK('a');
SELECT RELEASE_LOCK('a');
SELECT RELEASE_LOCK('b'), RELEASE_LOCK('b');
DO GET_LOCK('c', 1);
SELECT RELEASE_ALL_LOCKS();
SELECT IS_FREE_LOCK('c');
HANDLER notes OPEN AS h;
HANDLER h READ FIRST;
HANDLER h CLOSE;
HANDLER h READ NEXT;
# text
LOCK TABLES notes READ;
UPDATE notes SET user_id = 1 WHERE id = 1;
SELECT COUNT(*) FROM notes;
# text
UNLOCK TABLES;
UPDATE notes SET user_id = 1 WHERE id = 1;
# text
LOCK TABLES notes READ;
# text
SELECT name FROM users WHERE id = 8;
# text
UPDATE users u SET age = 5 WHERE u.id = 8;
SELECT 1;
SELECT code FROM countries c;
# text
LOCK TABLES notes AS n WRITE;
SELECT COUNT(*) FROM notes;
SELECT COUNT(*) FROM notes AS n;
# text
BEGIN;
SELECT name FROM users WHERE id = 8;
ROLLBACK;
# refused 1235
# text
LOCK TABLES notes WRITE, countries READ;
# refused 1235
# text
LOCK TABLES users READ;
# refused 1227
# text
FLUSH TABLES WITH READ LOCK;
SELECT 1;
CREATE TEMPORARY TABLE t1 (n INT) SELECT 1 AS n;
SELECT * FROM t1;
DROP TABLE t1;
CREATE TEMPORARY TABLE t2 LIKE notes;
INSERT INTO t2 (txt) VALUES ('x');
SELECT txt, LAST_INSERT_ID() FROM t2;
DROP TEMPORARY TABLE IF EXISTS t2, t3;
# rows
SHOW WARNINGS;
PREPARE p FROM 'SELECT 1 + ?';
SET @one = 1;
EXECUTE p USING @one;
DEALLOCATE PREPARE p;
EXECUTE p USING @one;

# --- transactions and their settings
# session
SET TRANSACTION READ ONLY;
# text
UPDATE notes SET user_id = 1 WHERE id = 1;
# text
UPDATE notes SET user_id = 1 WHERE id = 1;
# text
SELECT COUNT(*) FROM notes;
# text
UPDATE notes SET user_id = 1 WHERE id = 1;
SET TRANSACTION READ ONLY;
SELECT 1;
# text
UPDATE notes SET user_id = 1 WHERE id = 1;
SET TRANSACTION READ ONLY;
SELECT nothing;
SELECT nothing FROM notes;
# text
UPDATE notes SET user_id = 1 WHERE id = 1;
SELECT COUNT(*) FROM notes;
UPDATE notes SET user_id = 1 WHERE id = 1;
SET SESSION TRANSACTION READ ONLY;
# text
UPDATE notes SET user_id = 1 WHERE id = 1;
SET SESSION TRANSACTION READ WRITE;
# text
UPDATE notes SET user_id = 1 WHERE id = 1;
SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE;
# mysql
SELECT @@transaction_isolation, @@transaction_read_only;
# mariadb
SELECT @@tx_isolation, @@tx_read_only;
SET autocommit = 0;
SELECT @@autocommit, @@in_transaction;
UPDATE notes SET user_id = 2 WHERE id = 1;
SET autocommit = 1;
ROLLBACK;
SELECT user_id FROM notes WHERE id = 1;
# mariadb
SET STATEMENT sql_select_limit = 1 FOR SELECT code FROM countries ORDER BY code;
# mariadb
SET STATEMENT max_statement_time = 10 FOR SELECT name FROM users WHERE id = 8;
# mariadb
SET STATEMENT sql_mode = '' FOR INSERT INTO users (id, name, age) VALUES (2009, 'a', 'x');
# mariadb
# rows
SHOW WARNINGS;
# mariadb
SELECT @@sql_select_limit = 1;

# --- numbers of the connection's own
# session
SET timestamp = 1700000000;
SELECT NOW(), UNIX_TIMESTAMP() FROM users WHERE id = 8;
SET rand_seed1 = 5, rand_seed2 = 6;
SELECT RAND();
SELECT RAND();
