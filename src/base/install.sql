/* base: the two schemas of the extension */
CREATE SCHEMA tessera;
COMMENT ON SCHEMA tessera IS 'Tessera: what users call and look at, and the catalogs';
GRANT USAGE ON SCHEMA tessera TO PUBLIC;

CREATE SCHEMA tessera_internal;
COMMENT ON SCHEMA tessera_internal IS 'Tessera: what servers call on each other';
GRANT USAGE ON SCHEMA tessera_internal TO PUBLIC;

