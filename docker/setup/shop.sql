-- The sample database of one shard: the rows whose slots are @first to @last.
-- The table sessions is made last, with its rows: where it is, all is there.
CREATE DATABASE IF NOT EXISTS shop;
USE shop;
CREATE TABLE IF NOT EXISTS countries (code CHAR(2) PRIMARY KEY, name VARCHAR(60) NOT NULL);
CREATE TABLE IF NOT EXISTS users (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL,
  country CHAR(2) NOT NULL, created DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE IF NOT EXISTS orders (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL,
  total DECIMAL(10,2) NOT NULL, placed DATE NOT NULL, KEY (user_id));

INSERT IGNORE INTO countries VALUES ('de','Germany'), ('fr','France'), ('jp','Japan'), ('pl','Poland'), ('us','United States');
INSERT IGNORE INTO users (id, name, country, created)
  WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 1000)
  SELECT id, CONCAT('user ', id), ELT(1 + MOD(id, 5), 'de', 'fr', 'jp', 'pl', 'us'), '2026-01-01 12:00:00'
  FROM n WHERE MOD(id, 1024) BETWEEN @first AND @last;
INSERT IGNORE INTO orders (id, user_id, total, placed)
  SELECT 3 * id + k.d, id, 5 + MOD(id * 7 + k.d, 90), '2026-02-01'
  FROM users, (SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2) k;
CREATE TABLE IF NOT EXISTS sessions (token VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
  user_id BIGINT NOT NULL, seen DATETIME NOT NULL)
  WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 1000)
  SELECT SHA2(id, 256) AS token, id AS user_id, '2026-02-02 08:00:00' AS seen
  FROM n WHERE MOD(CRC32(SHA2(id, 256)), 1024) BETWEEN @first AND @last;
