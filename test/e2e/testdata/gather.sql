# Statements whose rows are on several shards and come together on one server.
# The form is that of differential.sql.

# --- joins
SELECT u.name, o.total FROM users u JOIN orders o ON o.id = u.id * 100 + 2000 ORDER BY u.id, o.total;
SELECT u.*, o.* FROM users u JOIN orders o ON o.total = u.id + 10 WHERE u.id BETWEEN 3 AND 9 ORDER BY u.id, o.user_id, o.id;
SELECT u.id, c.name, o.total FROM users u JOIN countries c ON c.code = u.country JOIN orders o ON o.total > 60 AND o.user_id = u.id + 1 ORDER BY u.id, o.id;
SELECT u.name, n.txt FROM users u LEFT JOIN notes n ON n.user_id = u.id WHERE u.id < 25 ORDER BY u.id;
SELECT u.name, n.txt FROM notes n RIGHT JOIN users u ON n.user_id = u.id AND n.id < 5 ORDER BY u.id LIMIT 20;
SELECT a.name, b.name FROM users a JOIN users b ON b.id = a.id + 1 ORDER BY a.id;
SELECT a.name, b.name, c.name FROM users a, users b, users c WHERE b.id = a.id + 1 AND c.id = b.id + 1 AND a.id < 5 ORDER BY a.id;
SELECT users.name, u2.name FROM users JOIN users u2 ON u2.age = users.age AND u2.id > users.id ORDER BY users.id, u2.id LIMIT 30;
SELECT count(*) FROM users a CROSS JOIN users b;
SELECT u.name, k.e FROM users u STRAIGHT_JOIN kinds k ON k.i32 < u.id OR k.id = u.id ORDER BY u.id, k.id;
SELECT n.id, k.u8 FROM notes n JOIN kinds k ON k.id = n.id ORDER BY n.id;
SELECT * FROM users NATURAL JOIN notes ORDER BY id;
SELECT * FROM users JOIN notes USING (id) ORDER BY id;
SELECT id, name, txt FROM users LEFT JOIN notes USING (id) WHERE id > 10 ORDER BY id;
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 0 WHERE o.note IS NULL AND u.country = 'de' ORDER BY u.id;
SELECT u.name, s.data FROM users u JOIN sessions s ON s.user_id = u.id WHERE u.id BETWEEN -3 AND 12 ORDER BY u.id;
SELECT s.token, u.name FROM sessions s LEFT JOIN users u ON u.id = s.user_id + 50 ORDER BY s.token;
SELECT c.id, c.n, u.name FROM counters c LEFT JOIN users u ON u.id = c.id ORDER BY c.id;
SELECT u.name FROM users u LEFT JOIN orders o ON o.user_id = u.id + 1000 WHERE o.id IS NULL ORDER BY u.id;
SELECT u.id, o.id FROM users u LEFT JOIN (orders o JOIN countries c ON c.code = 'de') ON o.user_id = u.id + 58 ORDER BY u.id, o.id;
SELECT a.id, b.id, c.id FROM users a LEFT JOIN users b ON b.id = a.id + 60 LEFT JOIN users c ON c.id = b.id - 1 WHERE a.id < 3 ORDER BY a.id;


# --- rows that another table's values leave where they are
SELECT c.id, k.id FROM kinds k JOIN counters c ON c.id = k.u64 ORDER BY c.id;
SELECT c.id, k.i64 FROM counters c JOIN kinds k ON k.i64 = c.id WHERE c.n < 3 ORDER BY c.id;
SELECT c.id, u.id FROM counters c LEFT JOIN users u ON u.id = c.n AND u.age > 30 WHERE c.id > 5 ORDER BY c.id;
SELECT c.id, u.id FROM users u LEFT JOIN counters c ON c.id = u.age WHERE u.country = 'de' ORDER BY u.id;
SELECT c.id, u.id FROM users u LEFT JOIN counters c ON c.n = u.age AND c.id = 33 ORDER BY u.id;
SELECT c.id, u.id FROM users u RIGHT JOIN counters c ON c.n = u.age WHERE u.age < 40 OR u.age IS NULL ORDER BY c.id, u.id;
SELECT u.id, o.id, c.n FROM users u LEFT JOIN (orders o JOIN counters c ON c.id = o.total) ON o.user_id = u.age WHERE u.country = 'fr' ORDER BY u.id, o.id, c.id;
SELECT u.id, o.id, c.n FROM users u LEFT JOIN orders o ON o.user_id = u.age LEFT JOIN counters c ON c.id = o.id - 4000 WHERE u.country = 'fr' AND o.note IS NULL ORDER BY u.id, o.id;
SELECT u.name, o.id FROM users u JOIN orders o ON o.user_id = u.age WHERE u.name = 'nobody' ORDER BY u.id;
SELECT COUNT(*), MIN(o.id) FROM users u JOIN orders o ON o.user_id = u.age WHERE u.id = 4 AND u.country = 'zz';
# rows
SELECT o.id FROM orders o WHERE o.user_id IN (SELECT age FROM users WHERE country = 'jp') ORDER BY o.id;
SELECT o.id FROM orders o WHERE o.user_id NOT IN (SELECT age FROM users WHERE country = 'jp' AND age IS NOT NULL) ORDER BY o.id;
SELECT o.id FROM orders o WHERE o.user_id IN (SELECT age FROM users WHERE country = 'jp') OR o.total > 70 ORDER BY o.id;
# rows
SELECT o.id FROM orders o WHERE EXISTS (SELECT 1 FROM users u WHERE u.age = o.user_id AND u.country = 'jp') ORDER BY o.id;
SELECT o.id FROM orders o WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.age = o.user_id AND u.country = 'jp') ORDER BY o.id;
SELECT o.id FROM orders o WHERE EXISTS (SELECT COUNT(*) FROM users u WHERE u.age = o.user_id AND u.country = 'jp') ORDER BY o.id;
# rows
SELECT o.id FROM orders o WHERE EXISTS (SELECT 1 FROM users u WHERE u.age = o.user_id AND u.country = 'jp' LIMIT 0) ORDER BY o.id;
SELECT o.id, (SELECT COUNT(*) FROM users u WHERE u.age = o.user_id), (SELECT MAX(c.n) FROM counters c WHERE c.n = o.total) FROM orders o WHERE o.user_id BETWEEN 20 AND 29 ORDER BY o.id;
SELECT u.id, c.name, d.code FROM countries c JOIN users u ON u.country = c.code JOIN kinds k ON k.id = u.id LEFT JOIN countries d ON d.code = u.country ORDER BY u.id;
SELECT s.token, n.txt FROM notes n JOIN users u ON u.id = n.user_id JOIN sessions s ON s.user_id = u.age WHERE n.id < 9 ORDER BY s.token;
SELECT s.data, t.data FROM sessions s JOIN sessions t ON t.token = s.token WHERE s.user_id IN (3, 12, 45) AND t.user_id < 40 ORDER BY s.token;
SELECT d.id, e.id FROM odd d JOIN odd e ON e.low = d.low LEFT JOIN odd f ON f.wide = d.wide AND f.n > 3 WHERE d.n = 3 ORDER BY d.id, e.id, f.id;
SELECT d.id, e.n FROM odd d JOIN odd e ON e.z = d.z WHERE d.n < 13 ORDER BY d.id;
SELECT k.id, l.id FROM kinds k JOIN kinds l ON l.bn = k.bn AND l.vb = k.vb WHERE k.u8 = 255 ORDER BY 1, 2;
SELECT k.id, l.id FROM kinds k JOIN kinds l ON l.c = k.c AND l.vc = k.vc WHERE k.u8 >= 0 ORDER BY 1, 2;
SELECT k.id, l.id FROM kinds k LEFT JOIN kinds l ON l.tx = k.tx AND l.e = k.e AND l.st = k.st AND l.y = k.y AND l.dc = k.dc WHERE k.u8 >= 0 ORDER BY 1, 2;
WITH t AS (SELECT u.id, o.total FROM users u JOIN orders o ON o.user_id = u.age WHERE u.country = 'pl') SELECT a.id, b.total FROM t a JOIN t b ON b.id = a.id WHERE a.total < 50 ORDER BY 1, 2;
SELECT u.id FROM users u JOIN orders o ON o.user_id = u.age WHERE u.country = 'de' UNION SELECT c.id FROM counters c JOIN users u ON u.age = c.id WHERE u.country = 'fr' ORDER BY 1;
SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH';
SELECT k.id, l.id, LENGTH(l.c) FROM kinds k JOIN kinds l ON l.c = k.c WHERE k.u8 >= 0 ORDER BY 1, 2;
SELECT u.id, c.name FROM countries c LEFT JOIN users u ON u.country = c.code AND u.id < 9 JOIN kinds k ON k.id < u.id ORDER BY u.id, k.id;
SET sql_mode = DEFAULT;

# --- columns without a qualifier
SELECT name, total FROM users JOIN orders ON total = age WHERE country = 'de' AND note IS NOT NULL ORDER BY 1, 2, orders.id;
SELECT name, total FROM users LEFT JOIN orders ON total = age AND note = 'order 2' AND country <> 'fr' WHERE country IN ('de', 'fr') ORDER BY 1, 2, orders.id;
SELECT name, total FROM users LEFT JOIN orders ON total = age WHERE country = 'de' AND (note = 'order 1' OR note IS NULL) ORDER BY 1, 2, orders.id;
SELECT name, n FROM users RIGHT JOIN counters ON n = age WHERE n BETWEEN 20 AND 40 ORDER BY 1, 2;
SELECT id, n, name FROM users JOIN counters USING (id) JOIN orders ON total = n WHERE id > 20 AND country = 'de' ORDER BY 1, orders.id;
SELECT id, n, name FROM users NATURAL JOIN counters JOIN (SELECT 20 AS low) x WHERE n > low AND country = 'de' AND id < 40 ORDER BY 1;
SELECT code FROM countries WHERE EXISTS (SELECT 1 FROM users JOIN orders ON total = age WHERE country = code AND note = 'order 3' AND name > 'user 3') ORDER BY code;
SELECT id FROM users JOIN orders ON total = age;
SELECT name FROM users JOIN notes ON txt = name OR user_id = age WHERE country = 'de' AND txt LIKE 'note 1%' ORDER BY 1;

# --- aggregates over joins
SELECT u.country, COUNT(*), SUM(o.total), AVG(o.total), MIN(o.placed), MAX(o.note) FROM users u JOIN orders o ON o.user_id = u.id + 1 GROUP BY u.country ORDER BY u.country;
SELECT u.country, COUNT(DISTINCT o.total) n FROM users u JOIN orders o ON o.user_id = u.id + 1 GROUP BY u.country HAVING n > 5 ORDER BY n, u.country;
# rows
# text
SELECT u.country, u.age, SUM(o.total) FROM users u JOIN orders o ON o.user_id = u.id + 1 GROUP BY u.country, u.age WITH ROLLUP;
SELECT GROUP_CONCAT(DISTINCT u.country ORDER BY u.country DESC SEPARATOR '|') FROM users u JOIN orders o ON o.user_id = u.id + 1;
SELECT STDDEV(o.total), VAR_SAMP(o.total), STD(u.age), BIT_XOR(o.id) FROM users u JOIN orders o ON o.user_id = u.id + 1;
SELECT JSON_ARRAYAGG(x.id) FROM (SELECT u.id FROM users u JOIN kinds k ON k.id = u.id ORDER BY u.id) x;
SELECT COUNT(*) FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.age IS NULL;
SELECT SUM(o.total) FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.name = 'nobody';
SELECT u.name, SUM(o.total) AS s FROM users u JOIN orders o ON u.id = o.user_id + 1 GROUP BY u.id ORDER BY s DESC, u.id LIMIT 5;
SELECT DISTINCT u.country, o.placed FROM users u JOIN orders o ON o.user_id = u.id + 1 ORDER BY 2, 1 LIMIT 40;

# --- subqueries
SELECT name FROM users WHERE id IN (SELECT user_id + 1 FROM orders WHERE total > 60) ORDER BY id;
SELECT name FROM users WHERE id NOT IN (SELECT user_id + 1 FROM orders WHERE total < 60) ORDER BY id;
SELECT name FROM users u WHERE EXISTS (SELECT * FROM orders o WHERE o.user_id = u.id + 1 AND o.total > 50) ORDER BY id;
SELECT name FROM users u WHERE NOT EXISTS (SELECT 1 FROM users v WHERE v.age > u.age) ORDER BY id;
SELECT name, (SELECT COUNT(*) FROM orders o WHERE o.user_id < u.id) AS n FROM users u ORDER BY id;
SELECT name, (SELECT MAX(total) FROM orders) - age FROM users ORDER BY id;
SELECT name FROM users WHERE age = (SELECT MAX(age) FROM users) ORDER BY id;
SELECT name FROM users WHERE age > ALL (SELECT age FROM users WHERE country = 'jp' AND age IS NOT NULL) ORDER BY id;
SELECT name FROM users WHERE age < ANY (SELECT id FROM counters) ORDER BY id;
SELECT name FROM users WHERE (id, country) IN (SELECT id + 5, country FROM users) ORDER BY id;
SELECT name FROM users WHERE (SELECT COUNT(*) FROM users u2 WHERE u2.country = users.country AND u2.id <= users.id) = 2 ORDER BY id;
SELECT (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM countries);
SELECT (SELECT name FROM users);
SELECT code, (SELECT COUNT(*) FROM users WHERE country = code) FROM countries ORDER BY code;
SELECT code FROM countries WHERE code NOT IN (SELECT country FROM users WHERE age > 65) ORDER BY code;
SELECT id FROM users ORDER BY (SELECT COUNT(*) FROM orders o WHERE o.total < users.id * 2), id;
SELECT 1 FROM countries WHERE EXISTS (SELECT 1 FROM users WHERE id = 5) AND EXISTS (SELECT 1 FROM users WHERE id = 13);
# rows
SELECT txt FROM notes WHERE user_id IN (SELECT id FROM users WHERE country = 'pl') ORDER BY id;

# --- derived tables
SELECT * FROM (SELECT country, COUNT(*) n FROM users GROUP BY country) t WHERE n > 10 ORDER BY country;
SELECT t.name, o.total FROM (SELECT id, name FROM users WHERE id > 50) t JOIN orders o ON o.user_id = t.id - 1 ORDER BY t.id, o.id;
SELECT AVG(n) FROM (SELECT user_id, COUNT(*) n FROM orders GROUP BY user_id) t;
SELECT * FROM (SELECT * FROM users ORDER BY age DESC, id LIMIT 5) t JOIN (SELECT * FROM users ORDER BY age, id LIMIT 5) s ON t.country = s.country ORDER BY t.id, s.id;
SELECT a.country, a.n, b.n FROM (SELECT country, COUNT(*) n FROM users GROUP BY country) a LEFT JOIN (SELECT country, COUNT(*) n FROM users WHERE age > 60 GROUP BY country) b ON a.country = b.country ORDER BY 1;
# mysql
SELECT u.id, l.total FROM users u, LATERAL (SELECT o.total FROM orders o WHERE o.user_id > u.id ORDER BY o.user_id, o.id LIMIT 1) l ORDER BY u.id;

# --- set operations
SELECT id FROM users WHERE age > 60 UNION SELECT user_id FROM orders WHERE total > 80 ORDER BY id;
SELECT country FROM users UNION SELECT code FROM countries ORDER BY 1;
(SELECT id, name FROM users ORDER BY id DESC LIMIT 3) UNION ALL (SELECT id, txt FROM notes ORDER BY id LIMIT 3) ORDER BY 1, 2;
SELECT id FROM users INTERSECT SELECT id FROM counters ORDER BY id;
SELECT id FROM users EXCEPT SELECT id FROM counters ORDER BY id;
SELECT name FROM users WHERE id < 3 UNION ALL SELECT name FROM users WHERE id > 58 ORDER BY name;
SELECT COUNT(*) FROM (SELECT id FROM users UNION SELECT user_id FROM orders UNION ALL SELECT id FROM notes) t;

# --- common table expressions
WITH t AS (SELECT * FROM users WHERE age > 60) SELECT t.name, o.total FROM t JOIN orders o ON o.user_id = t.id + 1 ORDER BY t.id, o.id;
WITH t AS (SELECT country, AVG(age) a FROM users GROUP BY country) SELECT u.name FROM users u JOIN t ON t.country = u.country WHERE u.age > t.a ORDER BY u.id;
WITH t (x, y) AS (SELECT id, name FROM users WHERE id > 55), s AS (SELECT x FROM t WHERE x > 57) SELECT t.y FROM t JOIN s USING (x) ORDER BY x;
WITH RECURSIVE r AS (SELECT id, name FROM users WHERE id = 3 UNION ALL SELECT u.id, u.name FROM users u JOIN r ON u.id = r.id + 7) SELECT * FROM r ORDER BY id;
WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT n.i, u.name FROM n LEFT JOIN users u ON u.id = n.i * 10 ORDER BY n.i;
WITH RECURSIVE r (i) AS (SELECT MIN(id) FROM users UNION ALL SELECT r.i + 1 FROM r JOIN users u ON u.id = r.i + 1 WHERE r.i < 5) SELECT a.i, b.i FROM r a JOIN r b ON a.i = b.i + 1 ORDER BY 1;
WITH a AS (SELECT id FROM users WHERE id < 9), b AS (SELECT x.id FROM a x JOIN a y ON x.id = y.id + 2), c AS (SELECT id FROM b UNION ALL SELECT id FROM a) SELECT c.id, (SELECT COUNT(*) FROM c d WHERE d.id < c.id) n, b.id FROM c LEFT JOIN b ON b.id = c.id ORDER BY 1, 2, 3;
WITH users AS (SELECT * FROM orders) SELECT COUNT(*) FROM users a JOIN users b ON a.id = b.id + 100;
WITH t AS (SELECT id FROM users) SELECT (SELECT COUNT(*) FROM t), (SELECT MAX(id) FROM t);

# --- windows
SELECT id, ROW_NUMBER() OVER (PARTITION BY country ORDER BY id) n FROM users ORDER BY id;
SELECT id, age, RANK() OVER (ORDER BY age) r, SUM(age) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) s FROM users ORDER BY id;
SELECT id, LAG(name) OVER (ORDER BY id), LEAD(name, 2) OVER (ORDER BY id), FIRST_VALUE(id) OVER (ORDER BY id) FROM users ORDER BY id;
SELECT country, total, DENSE_RANK() OVER w FROM users JOIN orders ON user_id = users.id WINDOW w AS (PARTITION BY country ORDER BY total DESC) ORDER BY country, total, 3;
SELECT * FROM (SELECT id, NTILE(4) OVER (ORDER BY id) q FROM users) t WHERE q = 2 ORDER BY id;

# --- types
SELECT k.* FROM kinds k JOIN users u ON u.id = k.id ORDER BY k.id;
SELECT a.f, a.d, a.dc, a.u64, a.i64, a.b1, a.b9, a.y, a.ts FROM kinds a LEFT JOIN kinds b ON a.id = b.id + 1 ORDER BY a.id;
SELECT a.f + 0e0, a.d * 1e0, a.f = 1.5, HEX(a.c), HEX(a.vc), HEX(a.bn), HEX(a.bl), a.e + 0, a.st + 0, HEX(a.b9) FROM kinds a LEFT JOIN kinds b ON a.id = b.id + 1 ORDER BY a.id;
SELECT a.e, a.st FROM kinds a LEFT JOIN kinds b ON a.id = b.id + 1 ORDER BY a.e, a.id;
SELECT a.vc, CHARSET(a.vc), COLLATION(a.vc), COLLATION(a.c), COERCIBILITY(a.vc) FROM kinds a LEFT JOIN kinds b ON a.id = b.id + 1 ORDER BY a.id;
SELECT a.js, JSON_TYPE(a.js), JSON_EXTRACT(a.js, '$.a') FROM kinds a LEFT JOIN kinds b ON a.id = b.id + 1 ORDER BY a.id;
SELECT MAX(a.tm), MIN(a.dtm), MAX(a.dt), MIN(a.ts), MAX(a.y) FROM kinds a JOIN kinds b ON a.id <= b.id;
SELECT d.* FROM odd d LEFT JOIN users u ON u.id = d.n ORDER BY d.id;
SELECT d.id, d.hidden, d.gen, d.low, HEX(d.geo), HEX(d.wide), d.z, d.dflt, DEFAULT(d.dflt) FROM odd d LEFT JOIN users u ON u.id = d.n ORDER BY d.id;
SELECT d.low, COUNT(*) FROM odd d LEFT JOIN users u ON u.id = d.n GROUP BY d.low ORDER BY d.low;
SELECT d.id FROM odd d JOIN odd e ON d.low = e.low AND d.id <> e.id ORDER BY d.id, e.id;
SELECT d.fl, d.fl * 3, d.big, d.stamp, d.zero FROM odd d LEFT JOIN users u ON u.id = d.n ORDER BY d.id;
SELECT d.stamp FROM odd d JOIN users u ON u.id = d.n WHERE d.stamp > '2026-01-01 00:00:00' ORDER BY d.id;
SET time_zone = '+05:30';
SELECT d.stamp FROM odd d LEFT JOIN users u ON u.id = d.n WHERE d.stamp > '2026-01-01 00:00:00' ORDER BY d.id;
SET time_zone = 'SYSTEM';
# rows
SELECT low FROM odd WHERE low IN (SELECT low FROM odd WHERE id > 1) ORDER BY id;

# --- all rows, counted
SELECT SQL_CALC_FOUND_ROWS id, name FROM users WHERE age > 30 ORDER BY id LIMIT 3;
# own 0
SELECT FOUND_ROWS();
SELECT SQL_CALC_FOUND_ROWS id, name FROM users ORDER BY id LIMIT 0;
# own 0
SELECT FOUND_ROWS();
SELECT SQL_CALC_FOUND_ROWS country, COUNT(*) FROM users GROUP BY country ORDER BY country LIMIT 2 OFFSET 1;
# own 0
SELECT FOUND_ROWS();
SELECT SQL_CALC_FOUND_ROWS u.id, o.id FROM users u JOIN orders o ON o.user_id = u.age ORDER BY o.id, u.id LIMIT 7;
# own 0
SELECT FOUND_ROWS();
SELECT SQL_CALC_FOUND_ROWS id FROM users WHERE id = 3;
# late 0
SELECT FOUND_ROWS();

# --- the session's state
SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT';
SELECT u."name" || '!' FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u."country" = 'de' ORDER BY u.id, o.id;
SET sql_mode = 'NO_BACKSLASH_ESCAPES';
SELECT u.name, '\' FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.name <> '\' AND u.id < 4 ORDER BY u.id, o.id;
SET sql_mode = DEFAULT;
SELECT u.name, '\\', 'it''s' FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.name <> '\'' AND u.name <> 'x\\' AND u.id < 4 ORDER BY u.id, o.id;
SET @a = 5, @b = 'de';
# text
SELECT u.name, @a FROM users u JOIN orders o ON o.user_id = u.id + @a WHERE u.age > @a ORDER BY u.id, o.id;
SET sql_select_limit = 3;
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 ORDER BY u.id, o.id;
SET sql_select_limit = DEFAULT;
SET NAMES latin1;
SELECT c.name, u.name FROM countries c JOIN users u ON u.country = c.code AND u.id < 8 JOIN orders o ON o.user_id = u.id + 8 ORDER BY u.id, o.id;
SET NAMES utf8mb4;
SET collation_connection = utf8mb4_bin;
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE 'a' = 'A' OR u.name = 'USER 7' ORDER BY u.id, o.id;
SET NAMES utf8mb4;
SET group_concat_max_len = 20;
SELECT GROUP_CONCAT(u.name ORDER BY u.id, o.id) FROM users u JOIN orders o ON o.user_id = u.id + 1;
SHOW WARNINGS;
SELECT LAST_INSERT_ID(), DATABASE(), COUNT(*) FROM users u JOIN orders o ON o.user_id = u.id + 1;
SET timestamp = 1780000000;
SELECT NOW(), u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 AND o.placed < NOW() WHERE u.id < 3 ORDER BY u.id, o.id;
SET timestamp = DEFAULT;

# --- warnings and errors
SELECT u.name, u.name + 1 FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.id = 5;
SHOW WARNINGS;
SELECT u.nosuch FROM users u JOIN orders o ON o.user_id = u.id + 1;
SELECT nosuch FROM users u JOIN orders o ON o.user_id = u.id + 1;
SHOW WARNINGS;
SELECT id FROM users u JOIN orders o ON o.user_id = u.id + 1;
SELECT u.name FROM users u JOIN nosuch n ON n.id = u.id + 1;
# refused 1235
# text
SELECT u.name, NOSUCHFUNCTION(u.name) FROM users u JOIN orders o ON o.user_id = u.id + 1;
SELECT name FROM users u WHERE age = (SELECT age FROM users WHERE country = 'de');
SELECT u.id DIV (o.total - o.total) FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.id = 5 ORDER BY 1;
SELECT POW(10, u.id * 1000) FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.id = 5;

# --- conditions on one table alone
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.id IN (3, 5, 7) AND o.total BETWEEN 10 AND 50 AND o.note LIKE 'order%' AND NOT (u.country = 'fr' OR u.age IS NULL) ORDER BY u.id, o.id;
SELECT u.name FROM users u LEFT JOIN orders o ON o.user_id = u.id + 1 AND o.total > 40 AND u.country = 'de' WHERE u.id < 10 AND (o.note IS NULL OR o.note <> 'order 2') ORDER BY u.id, o.id;
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.name = 0 AND u.id < 4 ORDER BY u.id, o.id;
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.age = '25' AND u.country <=> 'de' ORDER BY u.id, o.id;
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.name = 'USER 7' AND o.placed >= '2026-01-10' ORDER BY u.id, o.id;
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.id = -5 OR u.id > 57 ORDER BY u.id, o.id;
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE FALSE;
SELECT COUNT(*) FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.id IN (SELECT id FROM counters WHERE n < 20 AND id > 3);
# args 'de', 20, 1.5
SELECT u.name, ? FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.age > ? AND o.total > ? ORDER BY u.id, o.id;
# args 'de', 'user%'
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.country = ? AND u.name LIKE ? ORDER BY u.id, o.id;
# args null
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE u.country = ? ORDER BY u.id, o.id;
# args X'6465'
SELECT u.name FROM users u JOIN users o ON o.id = u.id + 1 WHERE u.country < ? ORDER BY u.id, o.id;
# args 7, 3
SELECT a.name FROM users a JOIN users b ON a.id = b.id + ? ORDER BY a.id LIMIT ?;
# args '2026-01-10'
SELECT u.name FROM users u JOIN orders o ON o.user_id = u.id + 1 WHERE o.placed >= ? ORDER BY u.id, o.id;

# args 9, 2
WITH a AS (SELECT id FROM users WHERE id < ?) SELECT x.id FROM a x JOIN a y ON x.id = y.id + ? ORDER BY 1;

# --- in a transaction
BEGIN;
UPDATE users SET age = 99 WHERE id = 3;
UPDATE users SET age = 99 WHERE id = 12;
SELECT a.id, b.id FROM users a JOIN users b ON a.age = b.age AND a.id < b.id WHERE a.age = 99;
SELECT u.name, c.name FROM users u JOIN countries c ON c.code = u.country JOIN orders o ON o.user_id = u.id + 9 WHERE u.age = 99 ORDER BY u.id, o.id;
ROLLBACK;
SELECT a.id, b.id FROM users a JOIN users b ON a.age = b.age AND a.id < b.id WHERE a.age = 99;
SET autocommit = 0;
SELECT COUNT(*) FROM users a JOIN users b ON a.age = b.age + 1;
COMMIT;
SET autocommit = 1;
START TRANSACTION READ ONLY;
SELECT COUNT(*) FROM users a JOIN users b ON a.age = b.age + 1;
COMMIT;

# --- parameters have the types that PREPARE gives them, not those of their values
# args 5
SELECT ABS(?) x FROM users a JOIN users b ON a.id = b.id + 1 ORDER BY a.id LIMIT 3;
# args 5
SELECT a.score * ? x FROM users a JOIN users b ON a.id = b.id + 1 ORDER BY a.id LIMIT 3;

# args -10
SELECT DISTINCT ABS(?) FROM users;
# args 16
SELECT AVG(?) FROM users;

# --- texts that are equal in a collation that pads, but that MariaDB sorts by their bytes where they are computed
SELECT id, age FROM users ORDER BY CONVERT(IF(id MOD 3, 'a', 'a ') USING latin1) COLLATE latin1_bin, age, id;
SELECT id, age FROM users ORDER BY CONVERT(ELT(1 + ABS(id) MOD 4, '', ' ', '\t', 'b') USING ascii) COLLATE ascii_bin DESC, age, id LIMIT 40;
SELECT token FROM sessions ORDER BY IF(user_id MOD 2, LEFT(token, 3), CONCAT(LEFT(token, 3), ' ')), user_id DESC LIMIT 50;

# --- ordered twice by the same aggregate function
SELECT country, MAX(name) FROM users GROUP BY country ORDER BY MAX(name), 1, 2 LIMIT 4;
SELECT country, MIN(age) m FROM users GROUP BY country ORDER BY m DESC, MIN(age), 2, 1;

# --- writes whose rows are chosen first
BEGIN;
# args 10, 3
DELETE FROM orders WHERE total > ? ORDER BY user_id, id LIMIT ?;
# args -1, 5, 2
UPDATE orders SET total = ? WHERE total > ? ORDER BY user_id DESC, id LIMIT ?;
# mysql
# args -2, 5, 1, 2
UPDATE orders SET total = ? WHERE total > ? ORDER BY ?, user_id, id LIMIT ?;
SELECT COUNT(*), SUM(total) FROM orders;
ROLLBACK;

# --- a warning about the statement's text is given once, not by each shard
BEGIN;
INSERT INTO counters (id, n) VALUES (1, 5), (2, 6), (3, 7), (901, 8) ON DUPLICATE KEY UPDATE n = VALUES(n) + VALUES(n);
SHOW WARNINGS;
SELECT id, n FROM counters WHERE id IN (1, 2, 3, 901) ORDER BY id;
ROLLBACK;
SELECT id FROM users a WHERE id < 4 && id > 0 ORDER BY id;
SHOW WARNINGS;

# --- prepared in a transaction that began on a shard without the unlisted table
BEGIN;
UPDATE users SET age = 98 WHERE id = 12;
# args 4
DELETE notes FROM notes JOIN users u ON notes.user_id = u.id + 1 WHERE u.id < ?;
SELECT COUNT(*) FROM notes;
ROLLBACK;
