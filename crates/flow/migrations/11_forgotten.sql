-- It has so many tasks that it is forgotten in parts, and some of them are gone: nothing can be made of it any more.
ALTER TABLE flow ADD COLUMN forgotten BOOLEAN NOT NULL DEFAULT FALSE;
