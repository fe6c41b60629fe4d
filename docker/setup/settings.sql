-- A table that the map doesn't list: it lives whole on the default shard.
CREATE DATABASE IF NOT EXISTS shop;
USE shop;
CREATE TABLE IF NOT EXISTS settings (name VARCHAR(40) PRIMARY KEY, value VARCHAR(200) NOT NULL);
INSERT IGNORE INTO settings VALUES ('currency', 'EUR'), ('tax', '19');
