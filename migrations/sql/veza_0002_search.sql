-- How texts are cut into words for search. It lies here and not beside the read models: a rebuild makes those
-- anew, and a message names the configuration that it was indexed by.
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- One per language that messages are recognised in, as Postgres has it but blind to accents; `any_words` for all others.
-- Postgres looks for names among its own first, so these are not called `english` and so on.
DO $$
DECLARE
    language text;
BEGIN
    FOREACH language IN ARRAY ARRAY['arabic', 'dutch', 'english', 'french', 'german', 'italian', 'portuguese',
        'russian', 'spanish', 'swedish', 'turkish']
    LOOP
        EXECUTE format('CREATE TEXT SEARCH CONFIGURATION %I (COPY = pg_catalog.%I)', language || '_words', language);
        EXECUTE format('ALTER TEXT SEARCH CONFIGURATION %I ALTER MAPPING FOR hword, hword_part, word
            WITH unaccent, %I', language || '_words', language || '_stem');
    END LOOP;
    CREATE TEXT SEARCH CONFIGURATION any_words (COPY = pg_catalog.simple);
    ALTER TEXT SEARCH CONFIGURATION any_words ALTER MAPPING FOR hword, hword_part, word WITH unaccent, simple;
END
$$;

-- What is looked for: all words and all phrases, by the rules of any one language, and nothing of `without` by any.
-- NULL when nothing is left to look for.
CREATE FUNCTION search_query(words text, phrases text[], without text[]) RETURNS tsquery
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    language regconfig;
    one tsquery;
    wanted tsquery := '';
    unwanted tsquery := '';
    phrase text;
BEGIN
    FOREACH language IN ARRAY ARRAY['any_words', 'arabic_words', 'dutch_words', 'english_words', 'french_words',
        'german_words', 'italian_words', 'portuguese_words', 'russian_words', 'spanish_words', 'swedish_words',
        'turkish_words']::regconfig[]
    LOOP
        one := plainto_tsquery(language, words);
        FOREACH phrase IN ARRAY phrases LOOP
            one := one && phraseto_tsquery(language, phrase);
        END LOOP;
        IF numnode(one) > 0 AND NOT wanted = one THEN
            wanted := wanted || one;
        END IF;
        FOREACH phrase IN ARRAY without LOOP
            unwanted := unwanted || phraseto_tsquery(language, phrase);
        END LOOP;
    END LOOP;
    IF numnode(unwanted) > 0 THEN
        wanted := wanted && !!unwanted;
    END IF;
    RETURN CASE WHEN numnode(wanted) > 0 THEN wanted END;
END
$$;
