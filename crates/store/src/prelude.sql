-- Run once for each schema. The lock keeps two controllers from doing it at the same time.
BEGIN;

SELECT pg_advisory_xact_lock(hashtext('tutti-store'), hashtext('{schema}'));

CREATE SCHEMA IF NOT EXISTS {schema};

DO $$
BEGIN
    IF to_regtype('{schema}.blob') IS NULL THEN
        CREATE DOMAIN {schema}.blob AS bytea;
    END IF;
END
$$;

-- As SQLite's: `IN (SELECT value FROM json_each($1))` for a list, `key` and `value` of an object. Values are text: cast
-- them where the column is not.
CREATE OR REPLACE FUNCTION {schema}.json_each(document text) RETURNS TABLE (key text, value text)
LANGUAGE sql IMMUTABLE STRICT ROWS 10 AS $$
    SELECT (list.n - 1)::text, list.v
    FROM json_array_elements_text(
        CASE json_typeof(document::json) WHEN 'array' THEN document::json ELSE '[]'::json END
    ) WITH ORDINALITY AS list (v, n)
    UNION ALL
    SELECT pair.k, pair.v
    FROM json_each_text(
        CASE json_typeof(document::json) WHEN 'object' THEN document::json ELSE '{}'::json END
    ) AS pair (k, v)
$$;

COMMIT;
