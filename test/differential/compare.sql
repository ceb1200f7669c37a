-- The same statements in both twins from PL/pgSQL: each in a subtransaction, read
-- through a cursor.
CREATE FUNCTION twin.answer(twin text, statement text) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
	answer text[] := '{}';
	r record;
	n bigint;
	hint text;
BEGIN
	PERFORM set_config('search_path', twin || ', twin, public', true);
	BEGIN
		FOR r IN EXECUTE statement LOOP
			answer := answer || r::text;
		END LOOP;
	EXCEPTION
		WHEN invalid_cursor_definition THEN
			BEGIN
				EXECUTE statement;
				GET DIAGNOSTICS n = ROW_COUNT;
				answer := ARRAY[n::text];
			EXCEPTION WHEN OTHERS THEN
				GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
				answer := ARRAY['error', SQLSTATE, hint];
			END;
		WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
			answer := ARRAY['error', SQLSTATE, hint];
	END;
	IF answer[1] IS DISTINCT FROM 'error' AND statement ~ '^(INSERT|UPDATE|DELETE|WITH|TRUNCATE)' THEN
		FOR r IN EXECUTE 'TABLE ' || COALESCE(
			(regexp_match(statement, '\m(?:INSERT INTO|UPDATE(?: ONLY)?|DELETE FROM|TRUNCATE) (\w+)'))[1], 'posts')
		LOOP
			answer := answer || ('has ' || r::text);
		END LOOP;
	END IF;
	RETURN answer;
END $$;

-- NULL: the same.  What is refused in the distributed twin is not run in the other.
CREATE FUNCTION twin.difference(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	dist text[] := twin.answer('twin_dist', statement);
	here text[];
BEGIN
	IF dist[1] = 'error' AND dist[2] = '0A000' AND dist[3] <> '' THEN
		RETURN 'refused';
	END IF;
	here := twin.answer('twin_local', statement);
	IF statement !~ '^\W*(SELECT|VALUES|WITH)' OR regexp_replace(statement, '\(.*\)', '') !~ 'ORDER BY' THEN
		dist := ARRAY(SELECT d FROM unnest(dist) d ORDER BY d);
		here := ARRAY(SELECT h FROM unnest(here) h ORDER BY h);
	END IF;
	IF here[1] = 'error' AND dist[1] = 'error' THEN
		RETURN CASE WHEN here[2] <> dist[2] THEN here[2] || ' ' || dist[2] END;
	END IF;
	IF here IS NOT DISTINCT FROM dist THEN
		RETURN NULL;
	END IF;
	RETURN format('local %s distributed %s',
		ARRAY(SELECT unnest(here) EXCEPT ALL SELECT unnest(dist) LIMIT 5),
		ARRAY(SELECT unnest(dist) EXCEPT ALL SELECT unnest(here) LIMIT 5));
END $$;
