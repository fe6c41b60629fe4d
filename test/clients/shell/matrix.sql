SELECT '=connect';
SELECT 1, DATABASE();
SELECT '=text';
SELECT * FROM kinds WHERE id = 1\G
SELECT * FROM kinds WHERE id = 11\G
SELECT * FROM kinds WHERE id = 12\G
SELECT '=nulls';
SELECT * FROM kinds WHERE id = 2\G
SELECT '=utf8mb4';
INSERT INTO people (user_id, name) VALUES (31, '😀 𠀀 日本 café');
SELECT name, CHAR_LENGTH(name), HEX(name) AS `日本` FROM people WHERE user_id = 31 AND name = '😀 𠀀 日本 café';
SELECT '=fractions';
INSERT INTO people (user_id, name, born, score) VALUES (33, '0', '2026-02-28 23:59:59.000001', 1.001), (33, '1', '2026-02-28 23:59:59.999999', '1.9999');
SHOW WARNINGS;
SELECT name, born, score, TIME(born) FROM people WHERE user_id = 33 ORDER BY name;
SELECT '=transactions';
START TRANSACTION;
INSERT INTO people (user_id, name) VALUES (34, 'a');
SAVEPOINT s;
INSERT INTO people (user_id, name) VALUES (34, 'b');
ROLLBACK TO SAVEPOINT s;
INSERT INTO people (user_id, name) VALUES (34, 'c');
SELECT name FROM people WHERE user_id = 34 ORDER BY name;
COMMIT;
START TRANSACTION;
DELETE FROM people WHERE user_id = 34;
SELECT COUNT(*) FROM people WHERE user_id = 34;
ROLLBACK;
SELECT COUNT(*) FROM people WHERE user_id = 34;
SELECT '=errors';
INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a');
INSERT INTO people (user_id, id, name) VALUES (35, 1, 'b');
SELEC 1;
SELECT * FROM nosuch;
SELECT nosuch FROM people WHERE user_id = 35;
INSERT INTO people (user_id, name) VALUES (35, NULL);
SHOW ERRORS;
SELECT '=ids';
INSERT INTO people (user_id, name) VALUES (36, 'a');
INSERT INTO people (user_id, name) VALUES (36, 'b'), (36, 'c');
SELECT name FROM people WHERE user_id = 36 AND id = LAST_INSERT_ID();
UPDATE people SET score = 1 WHERE user_id = 36;
UPDATE people SET score = 1 WHERE user_id = 36;
DELETE FROM people WHERE user_id = 36 AND name <> 'a';
SELECT ROW_COUNT();
SELECT '=results';
CALL two_results();
SELECT 'and after';
SELECT '=statements';
DELIMITER $$
SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37$$
DELIMITER ;
SELECT '=load';
LOAD DATA LOCAL INFILE 'MATRIX_FILE' INTO TABLE people (user_id, name);
SELECT name FROM people WHERE user_id = 39 ORDER BY name;
