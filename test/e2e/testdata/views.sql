# Views over sharded tables: what they show is what one server with all rows shows.
# The form is that of differential.sql.

CREATE VIEW grown AS SELECT id, name, age + 1 AS next, country FROM users WHERE age > 30;
CREATE VIEW sums (user, n, total) AS SELECT user_id, COUNT(*), SUM(total) FROM orders GROUP BY user_id;
CREATE VIEW by_country AS SELECT country, COUNT(*) n, AVG(age) a FROM users GROUP BY country;
CREATE VIEW named AS SELECT u.id, u.name, c.name AS land FROM users u JOIN countries c ON c.code = u.country;
CREATE VIEW rich AS SELECT n.*, s.total FROM named n JOIN sums s ON s.user = n.id WHERE s.total > 100;
CREATE VIEW mixed AS SELECT u.id, n.txt FROM users u JOIN notes n ON n.user_id = u.id;
CREATE VIEW lands AS SELECT * FROM countries WHERE code < 'k';
CREATE VIEW ids AS SELECT id FROM users UNION SELECT user_id + 1 FROM orders;
CREATE VIEW last_five AS SELECT id, name FROM users ORDER BY id DESC LIMIT 5;
CREATE VIEW texts AS SELECT id, CONCAT(name, ' é') t, IF(age > 30, 'old', NULL) o, DATE_ADD('2026-01-01', INTERVAL id DAY) d FROM users;
# code
CREATE VIEW grown AS SELECT 1;
# refused 1235
CREATE VIEW users AS SELECT 1;

# --- read
SELECT * FROM grown ORDER BY id;
SELECT * FROM grown g WHERE g.id = 7;
SELECT viewed.grown.name FROM grown WHERE viewed.grown.id = 12;
SELECT * FROM grown WHERE id = 11;
SELECT name, next FROM grown WHERE id IN (11, 12, 25) ORDER BY name;
SELECT COUNT(*), MAX(next), MIN(name) FROM grown;
SELECT country, COUNT(*) FROM grown GROUP BY country ORDER BY country;
SELECT DISTINCT country FROM grown ORDER BY 1;
SELECT g.name FROM grown AS g ORDER BY g.next DESC, g.id LIMIT 5 OFFSET 2;
SELECT * FROM sums ORDER BY user;
SELECT * FROM sums WHERE user = 9;
SELECT SUM(n), SUM(total) FROM sums;
SELECT s.user, u.name, s.total FROM sums s JOIN users u ON u.id = s.user WHERE s.total > 200 ORDER BY s.user;
SELECT * FROM by_country ORDER BY country;
SELECT b.country, c.name, b.n FROM by_country b JOIN countries c ON c.code = b.country ORDER BY b.country;
SELECT * FROM named ORDER BY id LIMIT 10;
SELECT * FROM named WHERE id = 12;
SELECT * FROM rich ORDER BY id;
SELECT land, COUNT(*), SUM(total) FROM rich GROUP BY land ORDER BY land;
SELECT * FROM mixed ORDER BY id;
SELECT m.txt, g.next FROM mixed m JOIN grown g ON g.id = m.id ORDER BY m.id;
SELECT * FROM lands ORDER BY code;
SELECT COUNT(*) FROM ids;
SELECT id FROM ids WHERE id > 50 ORDER BY id;
SELECT * FROM last_five ORDER BY id;
SELECT * FROM texts ORDER BY id LIMIT 20;
SELECT a.id, b.id FROM grown a JOIN grown b ON b.id = a.id + 1 ORDER BY a.id;
SELECT name FROM users WHERE id IN (SELECT id FROM grown) ORDER BY id;
SELECT name FROM users u WHERE EXISTS (SELECT 1 FROM sums s WHERE s.user = u.id AND s.total > 200) ORDER BY id;
SELECT id FROM grown UNION SELECT user FROM sums WHERE total > 250 ORDER BY 1;
WITH g AS (SELECT * FROM grown) SELECT COUNT(*) FROM g;
SELECT x.n FROM (SELECT COUNT(*) n FROM rich) x;
SELECT (SELECT MAX(next) FROM grown) m, (SELECT COUNT(*) FROM lands) l;
SELECT id, ROW_NUMBER() OVER (ORDER BY id) r FROM grown ORDER BY id;
SELECT `g`.`id` FROM `grown` `g` ORDER BY `id` LIMIT 3;
# args 31
SELECT * FROM grown WHERE next > ? ORDER BY id;
# args 12, 5
SELECT id + ? FROM grown WHERE id < 40 ORDER BY id LIMIT ?;
# args 12
SELECT * FROM named WHERE id = ?;
# args 200
SELECT s.user, s.total FROM sums s WHERE s.total > ? ORDER BY s.total DESC, s.user;
# code
SELECT * FROM grown WHERE nothing = 1;

# --- in a transaction
BEGIN;
UPDATE users SET age = 77 WHERE id = 3;
SELECT * FROM grown WHERE next = 78 ORDER BY id;
SELECT COUNT(*) FROM rich;
ROLLBACK;

# --- written from
CREATE TABLE kept (id BIGINT PRIMARY KEY, name VARCHAR(80));
INSERT INTO kept (id, name) SELECT id, name FROM grown WHERE id < 30;
SELECT id, name FROM kept ORDER BY id;
INSERT INTO kept (id, name) SELECT user + 1000, total FROM sums WHERE user BETWEEN 3 AND 12;
SELECT COUNT(*) FROM kept;
DELETE FROM kept WHERE id IN (SELECT id FROM last_five);
SELECT COUNT(*) FROM kept;
DROP TABLE kept;
BEGIN;
UPDATE users SET age = 1 WHERE id IN (SELECT user FROM sums WHERE total > 200);
SELECT COUNT(*) FROM users WHERE age = 1;
ROLLBACK;

# --- not written to
# text
# refused 1235
INSERT INTO grown (id, name) VALUES (500, 'x');
# refused 1235
UPDATE grown SET name = 'x' WHERE id = 3;
# refused 1235
DELETE FROM grown;
# refused 1235
INSERT INTO lands VALUES ('aa', 'x');

# --- about them
SHOW CREATE VIEW grown;
SHOW CREATE VIEW rich;
SHOW TABLES LIKE 'r%';
SHOW FULL TABLES;
DESCRIBE sums;
SHOW COLUMNS FROM grown;
SELECT TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, IS_UPDATABLE, SECURITY_TYPE FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1;
SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'VIEW' ORDER BY 1;

# --- changed
CREATE OR REPLACE VIEW grown AS SELECT id, name, age AS next, country FROM users WHERE age > 60;
SELECT * FROM grown ORDER BY id;
ALTER VIEW grown AS SELECT id, age AS next FROM users WHERE age > 65;
SELECT * FROM grown ORDER BY id;
SELECT * FROM grown WHERE id = 50;
# refused 1235
CREATE OR REPLACE VIEW grown AS SELECT id FROM notes;
# text
# refused 1235
ALTER VIEW mixed AS SELECT id FROM users;
# refused 1235
DROP VIEW grown, mixed;
# refused 1235
DROP VIEW grown, nothing;
DROP VIEW rich, named;
SELECT * FROM rich;
DROP VIEW IF EXISTS grown, sums, nothing;
# code
DROP VIEW grown;
DROP VIEW IF EXISTS by_country, ids, last_five, texts;
DROP VIEW mixed, lands;
SHOW FULL TABLES WHERE Table_type = 'VIEW';
